"""``crashlens accept``, ``review`` and ``prune --stale`` after runs of pytest."""

from __future__ import annotations

import json
import os
import sys

import pytest

from pytest_crashlens.report.last_run import PLACE
from tests.integration.baselines import Command, Repo, narrow
from tests.integration.conftest import Project
from tests.integration.planned import plan

TESTS = """
import pytest

def test_small(spend):
    spend()

def test_large(spend):
    spend()

@pytest.mark.crashlens(max_total_tokens=5000)
def test_limited(spend):
    spend()
"""
SMALL, LARGE, LIMITED = (f"test_it.py::test_{name}" for name in ("small", "large", "limited"))


def run(project: Project, *arguments: str) -> pytest.RunResult:
    return project.pytester.runpytest_inprocess("--crashlens", *arguments)


def tokens(project: Project, key: str) -> int:
    return project.usage(key)[0]["input_tokens"]


@pytest.fixture
def risen(project, monkeypatch, capsys):
    """A run after which two tests are over the baseline and one also over a limit."""
    plan(project, test_small=1000, test_large=2000, test_limited=3000)
    project.write("test_it.py", TESTS)
    project.update()
    repo = Repo(project.path)
    repo.commit(None, "Begin")
    plan(project, test_small=1300, test_large=9000, test_limited=6000)
    run(project).assert_outcomes(failed=3)
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    return project


@pytest.fixture
def crashlens(capsys):
    return Command(capsys)


def test_review_and_accept(risen, crashlens):
    before = risen.baseline_path.read_bytes()
    shown = crashlens("review", code=1)
    assert narrow(shown)
    flat = " ".join(shown.split())
    assert f"over: {SMALL}: $0.00015 -> $0.00020 (+30 %)" in flat
    assert "$0.00045 -> $0.00090 (+100 %); increase, limit cannot be accepted: change" in flat
    assert flat.endswith("crashlens-baseline.json: 3 to decide: crashlens accept [NODEID...]")
    found = crashlens.json("review", code=1)
    assert {one["key"]: bool(one["refused"]) for one in found["proposals"]} == {
        SMALL: False,
        LARGE: False,
        LIMITED: True,
    }
    assert risen.baseline_path.read_bytes() == before

    shown = crashlens("accept", SMALL, "--reason", "new prompt")
    assert shown == (
        f"accepted: {SMALL}\n  $0.00015 -> $0.00020 (+30 %)\n"
        "crashlens-baseline.json: 1 entry written\n"
    )
    assert (tokens(risen, SMALL), tokens(risen, LARGE)) == (1300, 2000)
    assert risen.baseline["tests"][SMALL]["reason"] == "new prompt"

    # what is left can still be accepted
    shown = crashlens("accept", code=1)
    assert f"accepted: {LARGE}\n" in shown
    assert f"not accepted: {LIMITED}\n" in shown
    assert (tokens(risen, LARGE), tokens(risen, LIMITED)) == (9000, 3000)
    result = run(risen)
    result.assert_outcomes(passed=2, failed=1)


def test_what_stands_against_it(risen, crashlens):
    assert "did you mean" in crashlens("accept", "test_it.py::test_smal", code=2)
    assert "control characters" in crashlens("accept", "--reason", "\x1b[2J", code=2)
    assert "proposes no such rename" in crashlens("accept", "--rename", "a", "b", code=2)
    repo = Repo(risen.path)
    at = repo.git("rev-parse", "HEAD").strip()
    repo.commit(None, "Another")
    now = repo.git("rev-parse", "HEAD").strip()
    for command in (["accept"], ["review"], ["prune", "--stale"]):
        said = " ".join(crashlens(*command, code=2).split())
        assert f"the last run is of {at[:10]}, checked out is {now[:10]}" in said
        assert said.endswith("or add --force")
    assert f"accepted: {SMALL}" in crashlens("accept", SMALL, "--force")
    repo.git("reset", "-q", "--soft", at)
    risen.baseline_path.write_text(risen.baseline_path.read_text() + "\n")
    said = crashlens("accept", code=2)
    assert "crashlens-baseline.json has changed since the last run" in said
    assert tokens(risen, LARGE) == 2000

    place = risen.path / PLACE
    kept = json.loads(place.read_text())
    place.write_text(json.dumps(kept | {"incomplete": ["a worker crashed"]}))
    assert "incomplete (a worker crashed)" in crashlens("accept", code=2)
    place.write_text("{")
    assert "run pytest --crashlens again" in crashlens("accept", code=2)
    place.unlink()
    assert "no last run is stored" in crashlens("review", code=2)


def test_the_largest_rise_that_is_accepted(risen, crashlens):
    risen.write(
        "crashlens.yml",
        'version: 1\nlimits: {max_cost: "9"}\nmax_accept_increase: "50%"\n',
    )
    shown = crashlens("accept", SMALL, LARGE, code=1)
    assert f"accepted: {SMALL}\n" in shown
    assert f"not accepted: {LARGE}\n" in shown
    assert "rises by more than max_accept_increase (50 %): add --force" in shown
    assert tokens(risen, LARGE) == 2000
    found = crashlens.json("accept", LARGE, "--force")
    assert [one["key"] for one in found["accepted"]] == [LARGE]
    assert tokens(risen, LARGE) == 9000
    assert "nothing written" in crashlens("accept", "--force", code=1)


def test_the_first_run_and_renames(project, monkeypatch, crashlens, capsys):
    plan(project, test_small=1000, test_large=2000, test_limited=3000)
    project.write("test_it.py", TESTS)
    run(project).assert_outcomes(passed=3)
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    assert "3 entries written" in crashlens("accept", "--reason", "first")
    assert crashlens("review") == "crashlens-baseline.json: nothing is left to decide\n"
    run(project).assert_outcomes(passed=3)

    plan(project, test_little=1000, test_limited=3000)
    project.write(
        "test_it.py",
        TESTS.replace("test_small", "test_little").replace(
            "def test_large(spend):\n    spend()\n", ""
        ),
    )
    run(project).assert_outcomes(passed=1, failed=1)
    capsys.readouterr()
    little = "test_it.py::test_little"
    shown = crashlens("review", code=1)
    flat = " ".join(shown.split())
    assert f"renamed? {SMALL} -> {little}: same 1 call, 1,000 tokens" in flat
    assert f"crashlens accept --rename {SMALL} {little}" in flat
    assert f"stale: {LARGE}: its test is gone" in flat
    assert "missing:" not in flat
    found = crashlens.json("review", code=1)
    assert (len(found["renames"]), found["stale"]) == (1, [LARGE])
    assert crashlens("accept", "--rename", SMALL, little).startswith(
        f"renamed: {SMALL} -> {little}\n"
    )
    assert project.baseline["tests"][little]["reason"] == "first"  # the entry that it was
    assert SMALL not in project.baseline["tests"]
    assert crashlens.json("prune", "--stale", "--dry-run", code=1)["deleted"] == [LARGE]
    assert f"deleted: {LARGE}\n" in crashlens("prune", "--stale")
    assert sorted(project.baseline["tests"]) == [LIMITED, little]
    assert "nothing to delete" in crashlens("prune", "--stale")
    run(project).assert_outcomes(passed=2)


class Terminal:
    """Standard input of somebody who types ``answers``."""

    def __init__(self, answers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = answers
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", self.input)

    def input(self, prompt: str) -> str:
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


def test_review_asks_on_a_terminal(risen, crashlens, monkeypatch):
    order = [one["key"] for one in crashlens.json("review", code=1)["proposals"]]
    assert order == [SMALL, LARGE, LIMITED]
    Terminal(["what?", "n", "Y"], monkeypatch)
    shown = crashlens("review", code=1)
    assert "1 change written" in shown
    assert "2 to decide" in shown
    assert (tokens(risen, SMALL), tokens(risen, LARGE)) == (1000, 9000)
    Terminal(["q"], monkeypatch)
    assert "written" not in crashlens("review", code=1)
    Terminal([], monkeypatch)
    assert "written" not in crashlens("review", code=1)
    Terminal(["y"], monkeypatch)
    assert "written" not in crashlens("review", "--no-input", code=1)
    assert tokens(risen, SMALL) == 1000


def test_a_baseline_that_cannot_be_written(risen, crashlens, monkeypatch):
    def refuse(*paths, **more):
        raise OSError(28, "No space left on device")

    before, place = risen.baseline_path.read_bytes(), (risen.path / PLACE).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        assert "No space left on device; nothing was changed" in crashlens("accept", SMALL, code=2)
    assert risen.baseline_path.read_bytes() == before
    assert (risen.path / PLACE).read_bytes() == place
    assert crashlens("accept", SMALL)


def test_a_report_of_a_run_can_be_compared(risen, crashlens, capsys):
    run(risen, "--crashlens-report=json:report.json", "-k", "small or large")
    capsys.readouterr()
    found = crashlens.json("diff", "HEAD", "report.json", "--fail", code=1)
    assert [(one["key"], one["state"]) for one in found["changes"]] == [
        (LARGE, "rose"),
        (SMALL, "rose"),
    ]
    assert found["not_compared"] == [LIMITED]
    assert "not compared, as the report lacks them: 1 test" in crashlens(
        "diff", "HEAD", "report.json"
    )
    assert crashlens.json("diff", "report.json", "report.json")["changes"] == []


def test_of_a_shared_key_the_first_figures_are_accepted(project, monkeypatch, crashlens, capsys):
    project.write(
        "test_it.py",
        """
import pytest

@pytest.mark.crashlens(key="shared")
def test_first(spend):
    spend()

@pytest.mark.crashlens(key="shared")
def test_second(spend):
    spend()
""",
    )
    plan(project, test_first=1000, test_second=7000)
    run(project)
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    assert "accepted: shared" in crashlens("accept", code=1)
    assert tokens(project, "shared") == 1000
    assert "shared key cannot be accepted" in " ".join(crashlens("accept", code=1).split())
    assert "an empty name" in crashlens("accept", "", code=2)


def test_review_tells_what_failed_the_run_as_a_whole(project, monkeypatch, crashlens, capsys):
    plan(project, test_small=1000, test_large=2000, test_limited=3000)
    project.write("test_it.py", TESTS)
    project.update()
    rule = "{max_total_tokens: 5000, per: session}"
    settings = f"version: 1\npolicies:\n  - enforce: budget\n    rules: [{rule}]\n"
    project.write("crashlens.yml", settings)
    assert run(project).ret == 1
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    shown = " ".join(crashlens("review", code=1).split())
    assert "failed the run: " in shown
    assert "nothing to accept, but the run failed as a whole" in shown
    assert len(crashlens.json("review", code=1)["session"]) == 1
