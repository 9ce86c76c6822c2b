"""What reports say of a change as a whole: with what was accepted in it, and how much of it ran."""

from __future__ import annotations

import json
import os
import subprocess
from decimal import Decimal
from typing import Any

import pytest

from pytest_crashlens.cli.main import main
from tests.integration.conftest import Project
from tests.integration.planned import plan, write_tests

REPORTS = tuple(f"--crashlens-report={kind}:out.{kind}" for kind in ("json", "markdown", "github"))
DEAR = {"model": "gpt-4", "input_tokens": 500}


@pytest.fixture
def git(project: Project, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in (
        ("GIT_CONFIG_GLOBAL", os.devnull),
        ("GIT_CONFIG_SYSTEM", os.devnull),
        ("GIT_AUTHOR_NAME", "A. Developer"),
        ("GIT_AUTHOR_EMAIL", "dev@example.com"),
        ("GIT_COMMITTER_NAME", "A. Developer"),
        ("GIT_COMMITTER_EMAIL", "dev@example.com"),
    ):
        monkeypatch.setenv(name, value)

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=project.path, capture_output=True, text=True, check=True
        )
        return done.stdout

    git("init", "--quiet")
    return git


def reported(project: Project, *arguments: str) -> tuple[dict[str, Any], str, str]:
    """The reports of a run; from the saved one come the same texts again."""
    project.run("--tb=no", *REPORTS, *arguments)
    texts = {kind: (project.path / f"out.{kind}").read_text() for kind in ("markdown", "github")}
    for kind, text in texts.items():
        saved, again = project.path / "out.json", project.path / "again"
        assert main(["report", str(saved), "--format", kind, "--output", str(again)]) == 0
        assert again.read_text() == text
    found: dict[str, Any] = json.loads((project.path / "out.json").read_text())
    return found, texts["markdown"], texts["github"]


def heading(text: str) -> str:
    return text.splitlines()[1].partition("LLM cost: ")[2]


def test_what_was_accepted_since_a_commit(project: Project, git: Any) -> None:
    write_tests(project, test_a=500, test_b=200, test_old_name=70, test_removed=90, test_c=600)
    git("add", ".")
    git("commit", "--quiet", "--message", "No baseline")
    project.update()
    git("add", ".")
    git("commit", "--quiet", "--message", "Baseline")
    # one dearer, one new, one renamed, one removed: all accepted, but for one within its limit
    project.baseline_path.unlink()
    write_tests(project, test_a=DEAR, test_b=200, test_new_name=70, test_come=300, test_c=600)
    git("checkout", "--quiet", "HEAD", "crashlens-baseline.json")
    project.update("--crashlens-reason=better answers", "--crashlens-prune")
    git("add", ".")
    git("commit", "--quiet", "--message", "Better answers")
    planned = {"test_b": 200, "test_new_name": 70, "test_come": 300, "test_c": 610}
    plan(project, test_a=DEAR, **planned)

    report, text, annotations = reported(project, "--crashlens-base=HEAD^1")
    assert report["failed"] is False
    about = report["base"]
    assert about["commit"] == git("rev-parse", "HEAD^1").strip()
    assert (about["revision"], about["there"], about["changed"]) == ("HEAD^1", True, True)
    assert about["removed"] == ["test_it.py::test_removed"]
    by_name = {test["key"].partition("::")[2]: test for test in report["tests"]}
    assert by_name["test_a"]["state"] == "same"
    assert by_name["test_a"]["baseline"] == by_name["test_a"]["now"]
    before, since = by_name["test_a"]["base"], by_name["test_a"]["since_base"]
    assert set(before) == set(by_name["test_a"]["baseline"])
    assert (since["state"], since["accepted"], since["reason"]) == (
        "accepted",
        True,
        "better answers",
    )
    assert since["causes"][0]["kind"] == "model"
    rise = Decimal(since["now"]["cost_usd"]) - Decimal(before["cost_usd"])
    assert sum(Decimal(cause["usd"]) for cause in since["causes"]) == rise
    states = {name: test["since_base"]["state"] for name, test in by_name.items()}
    assert states == {
        "test_a": "accepted",
        "test_b": "same",
        "test_new_name": "same",
        "test_come": "new",
        "test_c": "moved",
    }
    assert text.startswith("<!-- crashlens:comment:v1 notable=yes -->\n### ✅ ")
    assert heading(text).startswith("this change costs $0.015 more per test run (+")
    assert " a rise of $0.015 accepted in this change: better answers — all tests" in text
    assert "| 👁 | `test_it.py::test_a` | $0.000075 | $0.015 |" in text
    assert "**Why** (+$0.01" in text
    assert "another model +$0.01" in text
    assert "1 entry of the baseline removed in this change" in text
    assert annotations.startswith("::notice title=LLM cost::this change costs $0.015 more per ")

    # without it, nothing of that can be seen: it is not called the change
    _, text, annotations = reported(project)
    assert heading(text).startswith("this change costs $0.0000015 more per test run")
    assert "accepted" not in text
    assert annotations == ""

    # a failing test stays one
    plan(project, test_a=[DEAR, DEAR], **planned)
    report, text, _ = reported(project, "--crashlens-base=HEAD^1")
    assert report["failed"] is True
    assert "— 1 test over the limit" in heading(text)
    assert "accepted in this change: better answers —" in heading(text)
    assert "a rise of $0.00" in heading(text), "only that of the new test"

    # no baseline there, a broken one, and no such commit
    report, text, _ = reported(project, "--crashlens-base=HEAD^1^1")
    assert report["base"]["there"] is False
    assert "which is new since `HEAD^1^1`" in text
    whole = project.baseline_path.read_text()
    project.baseline_path.write_text(f"<<<<<<< ours\n{whole}")
    git("commit", "--quiet", "--all", "--message", "Broken")
    project.baseline_path.write_text(whole)
    report, text, _ = reported(project, "--crashlens-base=HEAD")
    assert report["base"] is None
    assert "HEAD:crashlens-baseline.json" in report["notices"][0]
    result = project.run("--crashlens-base=nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--crashlens-base=nowhere: 'nowhere' is no commit*fetch-depth: 2*GIT_DEPTH*"]
    )
    # what a CI variable that is not set gives
    assert project.run("--crashlens-base=", "--tb=no").ret == pytest.ExitCode.TESTS_FAILED


def test_outside_of_git_and_without_crashlens(project: Project) -> None:
    write_tests(project, test_a=500)
    project.update()
    result = project.run("--crashlens-base=HEAD")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--crashlens-base=HEAD: git rev-parse: not a git repository*"])
    result = project.pytester.runpytest_inprocess("--crashlens-base=HEAD")
    result.stderr.fnmatch_lines(["*--crashlens-base without --crashlens: add --crashlens*"])


def test_runs_that_saw_only_a_part(project: Project) -> None:
    write_tests(project, test_a=500, test_b=200, test_c=100)
    project.write("test_other.py", "def test_d(spend):\n    spend('test_a')\n")
    project.update()
    report, text, _ = reported(project)
    assert (report["ended"], report["partial"]) == (True, [])
    assert heading(text).endswith("— nothing changed")

    for arguments, why in (
        (("-k", "test_a"), "Only part of the tests ran: -k."),
        (("test_other.py",), "ran: not all files and folders were asked for."),
        (("test_it.py::test_a",), "ran: single tests were asked for."),
    ):
        report, text, _ = reported(project, *arguments)
        assert report["ended"] is True
        assert heading(text).endswith("— nothing changed, only part of the tests ran")
        assert why in text

    failing = "def test_b(spend):\n    spend()\n    assert not PATIENCE\n"
    for setting, arguments in (("", ()), ("-x", ("-x",))):
        code = (project.path / "test_it.py").read_text()
        broken = code.replace("def test_b(spend):\n    spend()\n", failing)
        project.write("test_it.py", f"PATIENCE = 1\n{broken}")
        report, text, annotations = reported(project, *arguments)
        project.write("test_it.py", code)
        assert report["ended"] is not bool(setting)
        assert text.startswith("<!-- crashlens:comment:v1 notable=yes -->\n### ⚠️ ")
        assert "1 test could not be compared (it failed)" in heading(text)
        assert ("the run was stopped" in heading(text)) is bool(setting)
        assert "::warning title=LLM cost::what this change costs is not known" in annotations

    left = "import pytest\n\n\ndef test_0(spend):\n    spend('test_a')\n    pytest.exit('home')\n"
    project.write("test_later.py", left)
    report, text, _ = reported(project, "test_it.py", "test_later.py", "test_other.py")
    assert report["ended"] is False
    assert "the run was stopped" in heading(text)

    project.write("test_later.py", "import nothing_of_the_kind\n")
    report, text, _ = reported(project, "--continue-on-collection-errors")
    assert report["incomplete"] == ["test_later.py could not be collected: its tests did not run"]
    assert "### ⚠️" in text
    assert "the figures are incomplete" in heading(text)
