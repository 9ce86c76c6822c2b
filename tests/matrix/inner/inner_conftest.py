"""The conftest.py of the inner project: takes out the patches that the environment names."""

import os

import pytest

from pytest_crashlens.capture.imports import Interposition

_complete = Interposition.__init__


def pytest_configure():
    taken_out = os.environ["TAKEN_OUT"].split()

    def incomplete(self, patches, fault):
        _complete(self, {k: v for k, v in patches.items() if k not in taken_out}, fault)

    Interposition.__init__ = incomplete


def pytest_unconfigure():
    Interposition.__init__ = _complete


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Before a retry, botocore sleeps up to a second."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
