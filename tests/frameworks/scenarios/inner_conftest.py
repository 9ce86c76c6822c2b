"""The conftest.py of the inner projects: prompts that name their test, and what is expected."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pydantic
import pytest


class Ticket(pydantic.BaseModel):
    """What structured output is asked for."""

    title: str


@pytest.fixture
def say(request):
    """The prompt: a script for the server that names the test."""

    def say(**script):
        usage = {"input": 1200, "output": 80, "cache_read": 200}
        return json.dumps({"usage": usage, "scenario": request.node.name} | script)

    return say


@pytest.fixture
def messages(say):
    def messages(**script):
        return [{"role": "user", "content": say(**script)}]

    return messages


@pytest.fixture
def server_url():
    return os.environ["ANTHROPIC_BASE_URL"]


@pytest.fixture
def ticket():
    return Ticket


def pytest_configure(config):
    config.addinivalue_line("markers", "calls(*calls): what this test is to be recorded with")


def pytest_collection_modifyitems(items):
    """Write down what the tests say of themselves."""
    expected = {}
    for item in items:
        marks = list(item.iter_markers("calls"))
        assert len(marks) == 1, f"{item.name} must say its calls"
        expected[item.name] = list(marks[0].args)
    Path("expected.json").write_text(json.dumps(expected))
