"""Entries of tests that are gone: told after a run that looked, and after no other."""

from __future__ import annotations

import pytest

from tests.integration.conftest import INI, Project
from tests.integration.planned import LEAN, plan, states, write_client, write_tests

GONE = "test_it.py::test_gone"
FILES = {
    "test_it.py": "def test_a(spend):\n    spend()\n",
    "sub/test_sub.py": "def test_s(spend):\n    spend()\n",
}


def told(result: pytest.RunResult) -> set[str]:
    """What the summary calls stale."""
    lines = result.outlines
    at = next((n for n, line in enumerate(lines) if " stale (" in line), None)
    if at is None:
        return set()
    names = []
    for line in lines[at + 1 :]:
        if not line.startswith("  "):
            break
        names.append(line.strip())
    return set(names)


def cached(project: Project, *arguments: str) -> pytest.RunResult:
    return project.pytester.runpytest_inprocess("--crashlens", *arguments)


@pytest.fixture
def gone(project: Project) -> Project:
    """A project whose baseline has a test too many in each of two files, and a file too many."""
    names = dict.fromkeys(("test_a", "test_gone", "test_s", "test_gone_s", "test_lost"), 1000)
    plan(project, **names)
    spend = "def %s(spend):\n    spend()\n\n\n"
    project.write("test_it.py", spend % "test_a" + spend % "test_gone")
    project.write("sub/test_sub.py", spend % "test_s" + spend % "test_gone_s")
    lost = project.write("test_lost.py", spend % "test_lost")
    project.update()
    lost.unlink()
    for name, text in FILES.items():
        project.write(name, text)
    return project


ALL = {GONE, "sub/test_sub.py::test_gone_s", "test_lost.py::test_lost"}


def test_told_after_a_run_that_looked(gone: Project) -> None:
    result = gone.run()
    assert result.ret == 0
    assert told(result) == ALL
    result.stdout.fnmatch_lines(
        ["3 entries are stale (their tests are gone): pytest * --crashlens-prune"]
    )
    assert told(cached(gone, "--ff")) == ALL
    assert told(gone.run("test_it.py")) == {GONE}
    assert told(gone.run("sub")) == {"sub/test_sub.py::test_gone_s"}
    assert told(gone.run("sub", "test_it.py")) == ALL - {"test_lost.py::test_lost"}
    assert told(gone.run(".")) == ALL
    # of a suite's own folders, all of it is all
    gone.write("tox.ini", f"{INI}testpaths = s*\n")
    assert told(gone.run()) == ALL - {GONE}


@pytest.mark.parametrize(
    ("arguments", "stale"),
    [
        (["-k", "test_a or test_s"], set()),
        (["-m", "not slow"], set()),
        (["--deselect", "test_it.py::test_a"], set()),
        (["test_it.py::test_a"], set()),
        (["test_it.py::test_a", "sub"], set()),
        (["--ignore", "sub"], {GONE}),
        (["--ignore-glob", "*sub*"], {GONE}),
        (["--collect-only"], set()),
    ],
)
def test_not_told_of_what_was_left_out(
    gone: Project, arguments: list[str], stale: set[str]
) -> None:
    before = gone.baseline_path.read_bytes()
    assert told(gone.run(*arguments)) == stale
    gone.run("--crashlens-update-baseline", "--crashlens-prune", *arguments)
    if not stale:
        assert gone.baseline_path.read_bytes() == before
    else:
        assert set(gone.baseline["tests"]) == {"test_it.py::test_a", "sub/test_sub.py::test_s"} | (
            ALL - stale
        )


STOPPED = {
    "stopped by -x": (
        ["-x"],
        "def test_0():\n    assert 0\n\n\ndef test_a(spend):\n    spend()\n",
    ),
    "stopped by maxfail": (
        ["--maxfail=1"],
        "def test_0():\n    assert 0\n\n\ndef test_a(spend):\n    spend()\n",
    ),
    "Ctrl-C": (
        [],
        "def test_0():\n    raise KeyboardInterrupt\n\n\ndef test_a(spend):\n    spend()\n",
    ),
    "pytest.exit": (
        [],
        "import pytest\n\n\ndef test_0():\n    pytest.exit('enough', 0)\n\n\n"
        "def test_a(spend):\n    spend()\n",
    ),
    "an error in the file": (["--continue-on-collection-errors"], "import nothing_of_this_name\n"),
    "a module that skips itself": (
        [],
        "import pytest\n\npytest.skip('not here', allow_module_level=True)\n",
    ),
    "an empty list of parameters": (
        [],
        "import pytest\n\n\n@pytest.mark.parametrize('x', [])\ndef test_gone(x):\n    pass\n",
    ),
}


APART = ("Ctrl-C", "pytest.exit")
STOPPED_EARLY = (*APART, "stopped by -x", "stopped by maxfail")


@pytest.mark.parametrize("how", STOPPED)
def test_not_told_where_the_run_was_stopped(gone: Project, how: str) -> None:
    arguments, text = STOPPED[how]
    gone.write("test_it.py", text)
    before = set(gone.baseline["tests"])
    run = gone.run_apart if how in APART else gone.run  # else this very run would be stopped
    result = run("--crashlens-update-baseline", "--crashlens-prune", *LEAN, *arguments)
    assert GONE not in told(result)
    after = set(gone.baseline["tests"])
    assert before - after == (set() if how in STOPPED_EARLY else {"sub/test_sub.py::test_gone_s"})


def test_not_told_after_last_failed_or_of_what_hooks_leave_out(gone: Project) -> None:
    gone.write("test_it.py", FILES["test_it.py"] + "\n\ndef test_0():\n    assert 0\n")
    cached(gone)
    assert told(cached(gone, "--lf")) == set()
    assert told(cached(gone, "--sw")) == set()
    hook = "\n\ndef pytest_collection_modifyitems(items):\n    del items[-1]\n"
    gone.write("conftest.py", (gone.path / "conftest.py").read_text() + hook)
    assert told(gone.run("sub", "test_it.py")) == {"sub/test_sub.py::test_gone_s"}
    assert told(gone.run()) == {"sub/test_sub.py::test_gone_s"}


def test_skipped_and_failing_tests_and_keys_of_markers_are_there(project: Project) -> None:
    plan(project, test_a=10, test_k=10, test_m=10, test_f=10)
    text = """
import pytest

def test_a(spend):
    spend()

%(skip)s
@pytest.mark.crashlens(key="mine")
def test_k(spend):
    spend()

%(skip)s
def test_m(spend):
    spend()

def test_f(spend):
    spend()
    assert %(passes)s
"""
    project.write("test_it.py", text % {"skip": "", "passes": True})
    project.update()
    assert "mine" in project.baseline["tests"]
    project.write("test_it.py", text % {"skip": "@pytest.mark.skip", "passes": False})
    assert told(project.run()) == set()
    project.write("test_it.py", "def test_a(spend):\n    spend()\n")
    assert told(project.run("test_it.py")) == {"test_it.py::test_m", "test_it.py::test_f"}
    assert told(project.run()) == {"test_it.py::test_m", "test_it.py::test_f", "mine"}


@pytest.mark.parametrize(("severity", "code"), [("error", 1), ("warn", 0), ("ignore", 0)])
def test_crashlens_yml_says_what_it_means(project: Project, severity: str, code: int) -> None:
    write_tests(project, test_a=1000, test_gone=1000)
    project.update()
    write_tests(project, test_a=1000)
    project.write("crashlens.yml", f"version: 1\nstale: {severity}\nlimits: {{max_calls: 9}}\n")
    result = project.run("--crashlens-report=json:report.json")
    assert result.ret == code
    assert told(result) == (set() if severity == "ignore" else {GONE})
    assert project.run("--crashlens-no-fail").ret == 0
    assert project.run("-q").ret == code
    project.update("--crashlens-prune")
    assert list(project.baseline["tests"]) == ["test_it.py::test_a"]


SPREAD = """
import pytest


@pytest.mark.parametrize("number", range(6))
def test_a(number, spend):
    spend()
"""


def test_in_a_distributed_run(project: Project) -> None:
    plan(project, test_a=10, test_gone=10)
    project.write("test_it.py", SPREAD + "\n\ndef test_gone(spend):\n    spend()\n")
    project.update("-n2")
    project.write("test_it.py", SPREAD)
    assert told(project.run("-n2", *LEAN)) == {GONE}
    assert told(project.run("-n2", "-k", "test_a", *LEAN)) == set()
    project.write("test_it.py", SPREAD + "    if number == 3:\n        import os; os._exit(3)\n")
    result = project.run("-n2", "--crashlens-update-baseline", "--crashlens-prune", *LEAN)
    assert result.ret == 1
    assert told(result) == set()
    assert GONE in project.baseline["tests"]
    project.write("test_it.py", SPREAD)
    project.update("-n2", "--crashlens-prune", *LEAN)
    assert GONE not in project.baseline["tests"]
    assert not states(project.run("-n2", *LEAN))


def test_fixtures_that_nobody_asks_for_any_more(project: Project) -> None:
    plan(project, test_a=10)
    fixture = """
import pytest
from llm import call


@pytest.fixture(scope="session")
def warmed():
    call(100)


"""
    write_client(project)
    both = "def test_a(spend):\n    spend()\n\n\n%sdef test_b(warmed):\n    pass\n"
    project.write("test_it.py", fixture + both % "")
    project.update()
    assert "fixture:test_it.py::warmed" in project.baseline["tests"]
    project.write("test_it.py", fixture + both % "@pytest.mark.skip\n")
    assert told(project.run()) == set()
    project.write("test_it.py", fixture + "def test_a(spend):\n    spend()\n")
    assert told(project.run("test_it.py")) == set()  # another file's tests may ask for it
    assert told(project.run()) == {"fixture:test_it.py::warmed"}
