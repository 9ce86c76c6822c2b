"""Baseline files and git repositories that hold them, for the tests of the command."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import DEFAULT_NAME, Baseline
from pytest_crashlens.cli.main import main
from tests.unit.entries import BY_ID

Entries = dict[str, Entry]


def render(entries: Entries) -> str:
    return Baseline().merged(entries, BY_ID).render()


class Repo:
    """A git repository in a temporary folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Ann Lee")
        self.git("config", "user.email", "ann@example.com")
        self.git("config", "commit.gpgsign", "false")

    def git(self, *arguments: str, day: str = "2026-01-01") -> str:
        at = f"{day}T12:00:00+00:00"
        environment = {**os.environ, "GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        environment["GIT_CONFIG_GLOBAL"] = os.devnull
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, entries: Entries | str, name: str = DEFAULT_NAME) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entries if isinstance(entries, str) else render(entries))
        return path

    def commit(
        self,
        entries: Entries | str | None,
        subject: str,
        *,
        name: str = DEFAULT_NAME,
        day: str = "2026-01-01",
        author: str = "Ann Lee",
    ) -> str:
        if entries is not None:
            self.write(entries, name)
        self.git("add", "-A")
        by = f"--author={author} <x@example.com>"
        self.git("commit", "-q", "--allow-empty", "-m", subject, by, day=day)
        return self.git("rev-parse", "HEAD").strip()


class Command:
    """``crashlens`` in this process, and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run it; what it printed, in lines of 80 columns at most."""
        got = main(arguments)
        shown = self._capsys.readouterr()
        assert got == code, (got, shown.out, shown.err)
        assert "Traceback" not in shown.err
        if code == 2:
            assert shown.err
            assert not shown.out
            return shown.err
        assert not shown.err
        return shown.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


def narrow(text: str) -> bool:
    """Whether no line is wider than 80 columns."""
    return max(map(len, text.splitlines()), default=0) <= 80
