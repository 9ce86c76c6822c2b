"""Projects whose tests record what a plan says: the plan is what changes between two runs."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.conftest import Project

LEAN = tuple(f"-pno:{name}" for name in ("hypothesispytest", "recording", "anyio", "fakefs"))
"""Leaves out plugins that cost each process of its own a second or more."""

Calls = int | dict[str, Any] | list[dict[str, Any]]
"""Input tokens of one call; or arguments of ``crashlens.record``; or several of these."""

CONFTEST = """
import json
from pathlib import Path

import pytest

PLAN = Path(__file__).parent / "plan.json"
PLANNED = json.loads(PLAN.read_text())


@pytest.fixture
def spend(request, crashlens):
    def spend(name=None):
        node = request.node
        name = name or node.name
        if name not in PLANNED:
            name = node.originalname
        for call in PLANNED[name]:
            crashlens.record(**call)

    return spend
"""
LLM = '''
import httpx


def answer(request, tokens, usage=True):
    body = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "It is."},
            }
        ],
    }
    if usage:
        body["usage"] = {
            "prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1
        }
    return httpx.Response(200, json=body)


REQUEST = {
    "url": "https://api.openai.com/v1/chat/completions",
    "json": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Is it so?"}]},
}


def call(tokens, usage=True):
    """A call through httpx that is answered in this process."""
    transport = httpx.MockTransport(lambda request: answer(request, tokens, usage))
    with httpx.Client(transport=transport) as client:
        return client.post(**REQUEST).json()


async def acall(tokens):
    transport = httpx.MockTransport(lambda request: answer(request, tokens))
    async with httpx.AsyncClient(transport=transport) as client:
        return (await client.post(**REQUEST)).json()
'''


def plan(project: Project, **planned: Calls) -> None:
    """What ``spend()`` records from now on, by name of the test."""
    project.write("conftest.py", CONFTEST)
    found = {name: _calls(calls) for name, calls in planned.items()}
    project.write("plan.json", json.dumps(found))


def write_tests(project: Project, **planned: Calls) -> None:
    """``test_it.py`` with a test for each name, which does nothing but to spend as planned."""
    plan(project, **planned)
    tests = "".join(f"def {name}(spend):\n    spend()\n\n\n" for name in planned)
    project.write("test_it.py", tests)


def write_client(project: Project) -> None:
    """``llm.py``, whose ``call(tokens)`` and ``acall(tokens)`` send requests that can be seen."""
    project.write("llm.py", LLM)


def _calls(calls: Calls) -> list[dict[str, Any]]:
    if isinstance(calls, int):
        calls = {"input_tokens": calls}
    if isinstance(calls, dict):
        calls = [calls]
    return [{"provider": "openai", "model": "gpt-4o-mini"} | call for call in calls]


def states(result: Any, word: str = "FAILED") -> set[str]:
    """Names of the tests that the short summary calls ``word``."""
    return {
        line.partition("::")[2].split(" - ")[0]
        for line in result.outlines
        if line.startswith(f"{word} ") and "::" in line
    }
