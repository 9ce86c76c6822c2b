"""Scenarios with real frameworks, each framework in a pytest process of its own."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Project, project, server

__all__ = ["Project", "project", "server"]


@pytest.fixture(autouse=True)
def _quiet_frameworks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the calls under test is sent."""
    quiet = {
        "HF_HUB_OFFLINE": "1",  # litellm looks for tokenizers there
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LANGSMITH_TRACING": "false",
        "GEMINI_API_KEY": "k",
    }
    for name, value in quiet.items():
        monkeypatch.setenv(name, value)
