"""A pull request from its first commit to its merge, in a repository that is thrown away.

Baseline on main, a branch that makes a prompt longer and a model dearer, the comment and the
annotations as the workflows would post them, the fix of one, the accepting of the other, green.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.github_actions import ROOT, Ran, Runner
from tests.integration.conftest import Project
from tests.integration.planned import LEAN

CI = ROOT / "docs" / "ci"
APP = '''
"""Answers customers."""

import json

from openai import OpenAI

SYSTEM = "You answer customers."
MODEL = "gpt-4o-mini"


def ask(question, given, said):
    script = json.dumps({"usage": {"input": given + len(SYSTEM), "output": said}})
    with OpenAI() as client:
        completion = client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": question + script},
            ],
        )
    return completion.choices[0].message.content


def answer(question):
    return ask(question, 400, 60)


def triage(question):
    return ask("urgent? " + question, 200, 5)
'''
TESTS = """
from app import answer, triage


def test_answer():
    assert answer("Where is my refund?")


def test_triage():
    assert triage("It burns!")


def test_without_a_model():
    assert 1 + 1 == 2
"""
LONGER = 'SYSTEM = "You answer customers. " + "Never promise a refund before ten days. " * 40'
SPENT_AT = 15
"""The line of app.py that sends."""


class Repository:
    """The project under git, with GitHub around it."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        for name, value in (
            ("GIT_CONFIG_GLOBAL", os.devnull),
            ("GIT_CONFIG_SYSTEM", os.devnull),
            ("GIT_AUTHOR_NAME", "A. Developer"),
            ("GIT_AUTHOR_EMAIL", "dev@example.com"),
            ("GIT_COMMITTER_NAME", "A. Developer"),
            ("GIT_COMMITTER_EMAIL", "dev@example.com"),
            ("PYTEST_ADDOPTS", " ".join(LEAN)),
        ):
            monkeypatch.setenv(name, value)
        self.runner = Runner(project.path.parent / f"{project.path.name}-runner")
        self.git("init", "--quiet", "--initial-branch", "main")
        project.write("app.py", APP)
        project.write("test_app.py", TESTS)
        project.write(".gitignore", "__pycache__/\n.crashlens/\n.pytest_cache/\n")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.project.path, capture_output=True, text=True, check=True
        )
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def change(self, before: str, after: str) -> None:
        path = self.project.path / "app.py"
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    def tool(self, *arguments: str, code: int = 0) -> str:
        """Run a command as a developer would, in the project's folder."""
        done = subprocess.run(
            [self.runner.bin / arguments[0], *arguments[1:]],
            cwd=self.project.path,
            env={**os.environ, **self.runner.environment} | {"GITHUB_ACTIONS": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def tests_of_the_pull_request(self) -> Ran:
        """The first workflow; what it leaves is an artifact of its run.

        It runs in the merge of the branch into main, as GitHub makes it, and with no more of the
        history than that and its two parents.
        """
        sha = self.git("rev-parse", "HEAD").strip()
        self.runner.base_ref = "main"
        self.git("switch", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", "Merge 7 into main", "better-answers")
        merge = self.git("rev-parse", "HEAD").strip()
        self.git("switch", "--quiet", "better-answers")
        checkout = self.runner.files / merge
        self.git("init", "--quiet", str(checkout))
        origin = self.project.path.as_uri()
        git_in = ["-C", str(checkout)]
        self.git(*git_in, "fetch", "--quiet", "--depth", "2", origin, merge)
        self.git(*git_in, "checkout", "--quiet", "--detach", merge)
        summary = self.runner.files / "summary.md"
        summary.unlink(missing_ok=True)
        ran = self.runner.job(CI / "crashlens.yml", {}, checkout)
        report = checkout / "crashlens-report.json"
        pull = {
            "number": 7,
            "state": "open",
            "head": {
                "sha": sha,
                "ref": "better-answers",
                "user": {"login": "acme"},
                "repo": {"full_name": "acme/shop"},
            },
        }
        self.runner.put(self.runner.state | {"pulls": [pull]})
        self.runner.artifact("77", {report.name: report.read_bytes()})
        return ran

    def comment(self, conclusion: str) -> str:
        """The second workflow; the comment that stands on the pull request afterwards."""
        run: dict[str, Any] = {
            "id": 77,
            "event": "pull_request",
            "conclusion": conclusion,
            "head_sha": self.git("rev-parse", "HEAD").strip(),
            "head_branch": "better-answers",
            "head_repository": {"full_name": "acme/shop", "owner": {"login": "acme"}},
        }
        elsewhere = self.runner.files / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        ran = self.runner.job(CI / "crashlens-comment.yml", {"workflow_run": run}, elsewhere)
        assert ran.code == 0, ran.out
        [comment] = self.runner.state["comments"]["7"]
        body: str = comment["body"]
        return body


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(project, monkeypatch)


def verdict(comment: str) -> str:
    return comment.splitlines()[1]


def test_from_the_first_commit_to_the_merge(repository: Repository) -> None:
    repository.tool("pytest", "--crashlens-update-baseline")
    repository.commit("Cost baseline")
    assert "2 tests with LLM calls" in repository.tool("pytest", "--crashlens")

    repository.git("switch", "--quiet", "--create", "better-answers")
    repository.change('SYSTEM = "You answer customers."', LONGER)
    repository.change('MODEL = "gpt-4o-mini"', 'MODEL = "gpt-4o"')
    repository.commit("Better answers")

    ran = repository.tests_of_the_pull_request()
    assert ran.code == 1
    annotations = [line for line in ran.out.splitlines() if line.startswith("::error ")]
    [spending] = [line for line in annotations if "LLM cost" in line]
    assert f"file=app.py,line={SPENT_AT}," in spending
    comment = repository.comment("failure")
    assert re.match(
        r"### ❌ LLM cost: this change costs \$0\.\d+ more per test run \(\+[\d,]+ %\) — "
        r"2 tests over the limit$",
        verdict(comment),
    )
    assert "another model +$0.00" in comment
    assert "input length +$0.00" in comment
    assert f"`app.py:{SPENT_AT} ask`" in comment
    assert "--crashlens-reason" in comment
    summary = (repository.runner.files / "summary.md").read_text()
    sha = repository.git("rev-parse", "HEAD")[:7]
    assert comment == f"{summary}\n<sub>For commit {sha}.</sub>\n"

    # the reviewer says: the dearer model was not needed
    repository.change('MODEL = "gpt-4o"', 'MODEL = "gpt-4o-mini"')
    repository.commit("The small model is enough")
    assert repository.tests_of_the_pull_request().code == 1
    comment = repository.comment("failure")
    assert "another model" not in comment
    assert "(+" in verdict(comment)

    # the longer prompt was: it is accepted, with the reason in the diff of the baseline
    repository.tool("pytest", "--crashlens", code=1)
    assert "test_answer" in repository.tool("crashlens", "review", "--json", code=1)
    accepted = repository.tool("crashlens", "accept", "--reason", "fewer wrong promises")
    assert "2" in accepted
    repository.commit("Accept longer prompts")
    changed = repository.git("show", "--stat", "--format=", "HEAD")
    assert changed.split()[0] == "crashlens-baseline.json"
    assert repository.git("show", "HEAD").count('+      "reason": "fewer wrong promises"') == 2
    assert "fewer wrong promises" in repository.tool("crashlens", "diff", "main")

    ran = repository.tests_of_the_pull_request()
    assert ran.code == 0, ran.out
    comment = repository.comment("success")
    assert re.match(
        r"<!-- crashlens:comment:v1 notable=yes -->\n"
        r"### ✅ LLM cost: this change costs \$0\.\d+ more per test run \(\+[\d,]+ %\), "
        r"accepted in this change: fewer wrong promises — all tests within their limits\n",
        comment,
    )
    assert "❌" not in comment
    assert "input length +$0.00" in comment
    assert re.search(
        r"\| 👁 \| `test_app.py::test_answer` \| .* \| accepted in this change", comment
    )
    [notice] = [line for line in ran.out.splitlines() if line.startswith("::notice")]
    assert "accepted in this change: fewer wrong promises" in notice

    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", "Merge", "better-answers")
    repository.tool("pytest", "--crashlens")
    history = repository.tool("crashlens", "history", "--json")
    assert json.loads(history)
    told = repository.tool("crashlens", "history")
    assert "Accept longer prompts" in told or "fewer wrong promises" in told


def test_a_fork_cannot_write_more_than_a_comment(repository: Repository) -> None:
    """What it left as its report is no report: nothing is posted, and the job says why."""
    repository.tool("pytest", "--crashlens-update-baseline")
    repository.commit("Cost baseline")
    repository.runner.artifact(
        "77", {"crashlens-report.json": b'{"schema_version": 1, "x": "@all"}'}
    )
    sha = repository.git("rev-parse", "HEAD").strip()
    pull = {
        "number": 7,
        "state": "open",
        "head": {
            "sha": sha,
            "ref": "x",
            "user": {"login": "mallory"},
            "repo": {"full_name": "mallory/shop"},
        },
    }
    repository.runner.put(repository.runner.state | {"pulls": [pull]})
    run = {
        "id": 77,
        "event": "pull_request",
        "conclusion": "success",
        "head_sha": sha,
        "head_branch": "x",
        "head_repository": {"full_name": "mallory/shop", "owner": {"login": "mallory"}},
    }
    elsewhere = Path(repository.runner.files) / "elsewhere"
    elsewhere.mkdir()
    ran = repository.runner.job(CI / "crashlens-comment.yml", {"workflow_run": run}, elsewhere)
    assert ran.code == 2
    assert "crashlens-report.json" in ran.out
    assert repository.runner.state["comments"].get("7", []) == []
