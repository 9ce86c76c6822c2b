"""What people read, whole, as golden files.

``CRASHLENS_REWRITE_SCREENS=1`` rewrites them; read the diff.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project, project, server  # noqa: F401 - fixtures
from tests.integration.planned import write_tests

SCREENS = Path(__file__).parent / "screens"
CONFIG = """
version: 1
limits: {max_retries: 2}
policies:
  - enforce: small-models
    rules:
      - disallowed_models: [o1-pro]
        suggest_fallback: gpt-4o-mini
"""
MINI: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "input_tokens": 1200,
    "output_tokens": 300,
}
CLAUDE: dict[str, Any] = {
    "provider": "anthropic",
    "model": "claude-haiku-4-5",
    "input_tokens": 5000,
    "output_tokens": 100,
    "cache_read_tokens": 4000,
}
BEFORE: dict[str, Any] = {
    "test_same": MINI,
    "test_longer_prompt": MINI,
    "test_longer_answer": MINI,
    "test_dearer_model": MINI,
    "test_more_calls": [MINI, CLAUDE],
    "test_lost_cache": CLAUDE,
    "test_vanished": [MINI, MINI],
    "test_unknown_model": MINI,
    "test_retries": MINI,
    "test_banned_model": MINI,
    "test_cheaper": MINI,
}
AFTER: dict[str, Any] = BEFORE | {
    "test_longer_prompt": MINI | {"input_tokens": 2400},
    "test_longer_answer": MINI | {"output_tokens": 2000},
    "test_dearer_model": MINI | {"model": "gpt-4o"},
    "test_more_calls": [MINI, MINI, MINI, CLAUDE],
    "test_lost_cache": CLAUDE | {"cache_read_tokens": 0},
    "test_vanished": [],
    "test_unknown_model": MINI | {"model": "acme-chat-1"},
    "test_retries": MINI | {"attempts": 5},
    "test_banned_model": MINI | {"model": "o1-pro"},
    "test_cheaper": MINI | {"input_tokens": 600},
    "test_missing": MINI,
}


APP = """
import json
from pathlib import Path

import httpx


def answer(asked, model, tokens, cached, output, reasoning):
    usage = {
        "prompt_tokens": tokens,
        "completion_tokens": output,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    return httpx.Response(200, json={"model": model, "choices": [], "usage": usage})


def ask(*, model="gpt-5-mini", system=400, history=0, tools=0, said=300, **used):
    \"\"\"A call with a prompt of such sizes, answered in this process.\"\"\"
    failures = used.pop("fails", 0)
    used = {"tokens": 1200, "cached": 1000, "output": 300, "reasoning": 0} | used

    def reply(request):
        nonlocal failures
        failures -= 1
        return httpx.Response(429) if failures >= 0 else answer(request, model, **used)

    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "s" * system},
            {"role": "assistant", "content": "h" * history},
            {"role": "user", "content": "u" * said},
        ],
    }
    if tools:
        body["tools"] = [{"function": {"description": "t" * tools}}]
    with httpx.Client(transport=httpx.MockTransport(reply)) as client:
        while client.post("https://api.openai.com/v1/chat/completions", json=body).is_error:
            pass


def agent(name):
    for each in json.loads(Path(__file__).with_name("plan.json").read_text())[name]:
        ask(**each)
"""
ONE: list[dict[str, Any]] = [{}]
CAUSES: dict[str, list[dict[str, Any]]] = {
    "test_model": [{"model": "gpt-5"}],
    "test_calls": [{}, {}, {}],
    "test_system_grew": [{"system": 2810, "tokens": 1800}],
    "test_history_grew": [{"history": 4000, "tokens": 2200}],
    "test_tools_grew": [{"tools": 3000, "system": 1400, "tokens": 2200}],
    "test_cache_lost": [{"cached": 0}],
    "test_output_longer": [{"output": 900}],
    "test_reasoning": [{"output": 1100, "reasoning": 800}],
    "test_retries": [{"fails": 2}],
    "test_several": [{"model": "gpt-5", "output": 600}, {"model": "gpt-5", "system": 2810}],
    "test_vanished": [],
    "test_unpriced": [{"model": "acme-chat-1"}],
    "test_new": ONE,
}


def screen(result: pytest.RunResult) -> str:
    """The output from the first result on, without what differs between machines."""
    text = "\n".join(line.rstrip() for line in result.outlines)
    text = re.sub(r"(?s)\A.*?collected", "collected", text)
    text = re.sub(r"in \d+\.\d+s", "in 0.12s", text)
    text = re.sub(r"Loaded: .*\.", "Loaded: httpx, openai.", text)
    return re.sub(r"=+ (\d.* in 0.12s) =+", r"=== \1 ===", text) + "\n"


def check(name: str, result: pytest.RunResult) -> None:
    path = SCREENS / f"{name}.txt"
    found = screen(result)
    if os.environ.get("CRASHLENS_REWRITE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


def test_first_run(project: Project) -> None:  # noqa: F811
    write_tests(project, test_ask=MINI, test_two=[MINI, CLAUDE], test_none=[])
    check("first_run", project.run())


def test_the_life_of_a_baseline(project: Project) -> None:  # noqa: F811
    write_tests(project, **BEFORE)
    project.write("crashlens.yml", CONFIG)
    check("update", project.run("--crashlens-update-baseline"))
    check("green", project.run())
    check("green_verbose", project.run("-v"))
    write_tests(project, **AFTER)
    check("red", project.run())
    check("red_quiet", project.run("-q", "--no-header", "--tb=no"))
    check("reporting_only", project.run("--crashlens-no-fail"))
    check("accepted", project.run("--crashlens-update-baseline", "--tb=short"))


def test_one_cause_each(project: Project) -> None:  # noqa: F811
    tests = [f"def {name}():\n    agent('{name}')\n\n\n" for name in CAUSES]
    project.write("app.py", APP)
    project.write("test_it.py", "from app import agent\n\n\n" + "".join(tests[:-1]))
    project.write("plan.json", json.dumps(dict.fromkeys(CAUSES, ONE)))
    project.update()
    project.write("test_it.py", "from app import agent\n\n\n" + "".join(tests))
    project.write("plan.json", json.dumps(CAUSES))
    check("causes", project.run())


def test_many_rows_are_cut(project: Project) -> None:  # noqa: F811
    write_tests(project, **{f"test_{number:02}": MINI for number in range(25)})
    check("many_rows", project.run())


def test_nothing_captured(project: Project) -> None:  # noqa: F811
    write_tests(project, test_none=[])
    check("nothing_captured", project.run())


def test_no_line_is_wider_than_the_terminal() -> None:
    for path in SCREENS.glob("*.txt"):
        wide = [
            line
            for line in path.read_text().splitlines()
            if len(line) > 80 and not line.startswith(("E   ", "  to accept", "  accepted"))
        ]
        assert wide == [], path.name
