"""What people read, whole, as golden files.

``CRASHLENS_REWRITE_SCREENS=1`` rewrites them; read the diff.
"""

from __future__ import annotations

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
