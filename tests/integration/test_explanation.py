"""What made a test dearer, through real SDKs: the part of the prompt that grew is named."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.integration.conftest import Project

TESTS = """
import json, os
import anthropic, openai, pytest

GROWN = os.environ.get("GROWN") == "yes"
MORE = "and so on and so forth " * 100 if GROWN else ""  # 2,300 characters
TOOL = {"name": "look", "description": "It looks. " + MORE, "input_schema": {"type": "object"}}


@pytest.fixture
def client():
    with openai.OpenAI() as client:
        yield client


def ask(client, *messages, model="gpt-4o-mini"):
    client.chat.completions.create(
        model=model, messages=[{"role": role, "content": text} for role, text in messages]
    )


def test_system(client):
    ask(client, ("system", "You help. " + MORE), ("user", "Hello there, how are you?"))


def test_history(client):
    ask(client, ("user", "One?"), ("assistant", "Two. " + MORE), ("user", "Three?"))


def test_user(client):
    client.responses.create(model="gpt-4.1-mini", instructions="Be brief.", input="Hm? " + MORE)


def test_tools():
    with anthropic.Anthropic() as client:
        script = json.dumps({"usage": {"input": 600 if GROWN else 100, "output": 5}})
        client.messages.create(
            model="claude-haiku-4-5", max_tokens=50, system="You help.", tools=[TOOL],
            messages=[{"role": "user", "content": script}],
        )


def test_reasoning(client):
    thought = 900 if GROWN else 100
    script = json.dumps({"usage": {"input": 50, "output": thought + 20, "reasoning": thought}})
    ask(client, ("user", script), model="gpt-5-mini")


def test_embedding(client):
    client.embeddings.create(model="text-embedding-3-small", input=["one two", "three " + MORE])


def test_same(client):
    ask(client, ("system", "You help."), ("user", "Hello there, how are you?"))
"""

EXPECTED = {
    "test_system": ("input", ", system +2,300 characters"),
    "test_history": ("input", ", history +2,300 characters"),
    "test_user": ("input", ", user +2,300 characters"),
    "test_tools": ("input", ", tools +2,300 characters"),
    "test_reasoning": ("reasoning", "reasoning +800 % (100 -> 900 tokens)"),
    "test_embedding": ("input", ", user +2,300 characters"),
}


LIVE_OUTPUT = {"test_reasoning"}
"""Explained, but judged by no percentage, as the server is live."""


def test_the_part_that_grew_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("test_it.py", TESTS)
    monkeypatch.setenv("GROWN", "no")
    project.update()
    assert project.usage("test_it.py::test_system")[0]["input_parts"] == {"system": 10, "user": 25}
    monkeypatch.setenv("GROWN", "yes")
    before = project.baseline_path.read_bytes()
    result = project.run("--crashlens-report=json:report.json")
    result.assert_outcomes(failed=5, passed=2)
    text = "\n".join(result.outlines)
    tests = json.loads((project.path / "report.json").read_text())["tests"]
    for test in tests:
        name = test["key"].partition("::")[2]
        if name not in EXPECTED:
            assert test["causes"] == []
            continue
        kind, words = EXPECTED[name]
        (top, *_) = test["causes"]
        assert (top["kind"], words in top["text"]) == (kind, True), top
        heads = [line for line in text.splitlines() if line.startswith("E   LLM ")]
        assert any(top["text"] in line for line in heads) is (name not in LIVE_OUTPUT), (top, heads)
        told = sum(Decimal(cause["usd"]) for cause in test["causes"])
        assert told == Decimal(test["now"]["cost_usd"]) - Decimal(test["baseline"]["cost_usd"])
        used = [
            sum(test[side]["usage"].get(f"{way}_tokens", 0) for way in ("input", "output"))
            for side in ("now", "baseline")
        ]
        assert sum(cause["tokens"] for cause in test["causes"]) == used[0] - used[1]
    assert project.baseline_path.read_bytes() == before
