"""The pages of the documentation, and the small project that their commands are run in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.integration.baselines import Repo
from tests.integration.conftest import INI
from tests.integration.planned import CONFTEST, LEAN

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ELSEWHERE = {"ci.md"}
"""Pages whose commands have tests of their own."""
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

RUN = re.compile(r"<!-- run: (?P<state>\w+)(?:, exit (?P<exit>\d))? -->")
"""Before a block: in which state of the project it is run, and how its last command ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str
    state: str = "green"
    exit: int = 0

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One line of a console, and what is printed below it."""

    line: str
    printed: tuple[str, ...] = ()


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    inside: list[str] | None = None
    before, language, begins = "", "", 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if inside is None and line.startswith("```"):
            inside, language, begins = [], line[3:].strip(), number
        elif inside is not None and line == "```":
            block = Block(
                page=page.name, line=begins, language=language, text="\n".join([*inside, ""])
            )
            if told := RUN.fullmatch(before):
                block = replace(block, state=told["state"], exit=int(told["exit"] or 0))
            found.append(block)
            inside, before = None, ""
        elif inside is not None:
            inside.append(line)
        elif line.strip():
            before = line.strip()
    assert inside is None, f"{page.name}:{begins}: the block has no end"
    return found


def all_blocks(*languages: str) -> list[Block]:
    return [
        block
        for page in PAGES
        if page.name not in ELSEWHERE
        for block in blocks(page)
        if block.language in languages
    ]


def commands(block: Block) -> list[Command]:
    """Of a console: ``$ `` begins a command. Elsewhere: lines that begin with one of ours."""
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line=line[2:]))
        elif block.language == "console":
            assert found, f"{block}: what is printed has no command"
            found[-1] = replace(found[-1], printed=(*found[-1].printed, line.rstrip()))
        elif re.match(r"(pytest|crashlens) ", line):
            found.append(Command(line=line))
    return found


APP = """\
from openai import OpenAI

client = OpenAI()


def summary(text):
    return client.chat.completions.create(
        model="gpt-4",
        max_retries=5,
        messages=[{"role": "user", "content": f"Summarize: {text}"}],
    )
"""
TESTS = """\
import pytest


def test_refund(spend):
    spend()


@pytest.mark.crashlens(task="summarization", tags="checkout")
def test_summary(spend):
    spend()


def test_plan(spend):
    spend()
"""
Planned = dict[str, list[dict[str, Any]]]
GREEN: Planned = {
    "test_refund": [{"input_tokens": 420, "output_tokens": 80}],
    "test_summary": [{"input_tokens": 390, "output_tokens": 60}],
    "test_plan": [{"input_tokens": 900, "output_tokens": 120}] * 3,
}
RISEN: Planned = GREEN | {
    "test_refund": [{"input_tokens": 1240, "output_tokens": 80}],
    "test_plan": [{"input_tokens": 900, "output_tokens": 120}] * 5,
}
RENAMED = {name.replace("refund", "refund_text"): calls for name, calls in GREEN.items()}
DISALLOWED: Planned = GREEN | {"test_summary": [GREEN["test_summary"][0] | {"model": "gpt-4"}]}
CASSETTE = {
    "version": 1,
    "interactions": [
        {
            "request": {
                "method": "POST",
                "uri": "https://api.openai.com/v1/chat/completions",
                "headers": {},
                "body": json.dumps({"model": "gpt-4o-mini", "messages": []}),
            },
            "response": {
                "status": {"code": 200, "message": "OK"},
                "headers": {"content-type": ["application/json"]},
                "body": {
                    "string": json.dumps(
                        {
                            "id": "x",
                            "object": "chat.completion",
                            "model": "gpt-4o-mini-2024-07-18",
                            "choices": [],
                            "usage": {
                                "prompt_tokens": 420,
                                "completion_tokens": 80,
                                "total_tokens": 500,
                            },
                        }
                    )
                },
            },
        }
    ],
}


def prepare(folder: Path) -> None:
    """A project in several states, each a folder.

    ``new`` has no baseline yet; in ``green`` nothing has changed since; in ``risen`` two tests cost
    more and have been run; in ``renamed`` one has another name, one is gone, and they have been
    run; in ``notifying`` a model is asked that a rule disallows.
    """
    new = folder / "new"
    settings = next(one for one in blocks(DOCS / "policies.md") if one.language == "yaml")
    for name, text in {
        "pytest.ini": INI,
        "conftest.py": CONFTEST,
        "plan.json": plan(GREEN),
        "tests/test_support.py": TESTS,
        "tests/cassettes/refund.json": json.dumps(CASSETTE),
        "app/support.py": APP,
        "tests/agents/README": "Tests of agents come here.\n",
        "prompts/support.md": "You answer questions about orders. Be brief.\n",
        "crashlens.yml": settings.text,
        ".gitignore": ".pytest_cache/\n__pycache__/\n.crashlens/\n",
    }.items():
        path = new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    repo = Repo(new)
    repo.commit(None, "Support answers")
    green = copied(new, folder / "green")
    run(green, "--crashlens-update-baseline", "--crashlens-reason=first figures")
    Repo(green).commit(None, "Baseline")
    risen = copied(green, folder / "risen")
    (risen / "plan.json").write_text(plan(RISEN), encoding="utf-8")
    run(risen, "--crashlens", "--crashlens-report=json:run.json", code=1)
    renamed = copied(green, folder / "renamed")
    (renamed / "plan.json").write_text(plan(RENAMED), encoding="utf-8")
    tests = TESTS.replace("test_refund", "test_refund_text").partition("\n\n\ndef test_plan")[0]
    (renamed / "tests/test_support.py").write_text(f"{tests}\n", encoding="utf-8")
    run(renamed, "--crashlens", code=1)
    notifying = copied(green, folder / "notifying")
    (notifying / "plan.json").write_text(plan(DISALLOWED), encoding="utf-8")
    notified = next(one for one in blocks(DOCS / "notifications.md") if one.language == "yaml")
    (notifying / "crashlens.yml").write_text(f"version: 1\n{notified.text}", encoding="utf-8")


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target, dirs_exist_ok=True))


def plan(calls: Planned) -> str:
    model = {"provider": "openai", "model": "gpt-4o-mini"}
    return json.dumps({name: [model | call for call in each] for name, each in calls.items()})


def run(folder: Path, *arguments: str, code: int = 0) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *LEAN, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
