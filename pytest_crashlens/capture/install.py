"""The libraries we see, in one table."""

from __future__ import annotations

from functools import partial

from pytest_crashlens.capture import httpx_family
from pytest_crashlens.capture.imports import Interposition, Patch
from pytest_crashlens.capture.recorder import Recorder


def interposition(recorder: Recorder) -> Interposition:
    """What puts ``recorder`` between the SDKs and the network (not yet installed)."""
    httpx_patch: Patch = partial(httpx_family.patch, recorder=recorder)
    return Interposition({"httpx": httpx_patch, "httpx2": httpx_patch}, recorder.fault)
