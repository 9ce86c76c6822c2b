"""A project that calls LLMs, run by pytest inside pytest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# loaded once here: an inner run forgets what it was the first to import, and httpcore's table of
# exceptions breaks when it is loaded twice
import anthropic  # noqa: F401
import genai_prices.data  # noqa: F401
import httpcore  # noqa: F401
import httpcore2  # noqa: F401
import hypothesis  # noqa: F401
import openai  # noqa: F401
import pytest
import tiktoken_ext.openai_public  # noqa: F401

import pytest_crashlens.session  # noqa: F401
from tests.llm_server import LLMServer

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


@pytest.fixture(scope="session")
def server() -> Iterator[LLMServer]:
    with LLMServer() as running:
        yield running


class Project:
    """A project in a temporary folder, with short ways to run it and read its baseline."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path: Path = pytester.path
        pytester.makeini(INI)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> pytest.RunResult:
        """``pytest --crashlens ...`` in this process."""
        return self.pytester.runpytest_inprocess(
            "--crashlens", "-p", "no:cacheprovider", *arguments
        )

    def run_apart(self, *arguments: str) -> pytest.RunResult:
        """The same in a process of its own."""
        return self.pytester.runpytest_subprocess(
            "--crashlens", "-p", "no:cacheprovider", *arguments
        )

    def update(self, *arguments: str) -> pytest.RunResult:
        result = self.run("--crashlens-update-baseline", *arguments)
        assert result.ret == 0, result.outlines
        return result

    @property
    def baseline_path(self) -> Path:
        return self.path / "crashlens-baseline.json"

    @property
    def baseline(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.baseline_path.read_text())
        return found

    def usage(self, key: str) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = self.baseline["tests"][key]["usage"]
        return blocks


@pytest.fixture
def project(
    pytester: pytest.Pytester, server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> Project:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    for name in ("CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:randomly")  # inner runs in their own order
    monkeypatch.setenv("COLUMNS", "80")
    return Project(pytester)
