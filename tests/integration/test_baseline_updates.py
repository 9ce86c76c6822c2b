"""--crashlens-update-baseline: what is written, what stays, and what is never lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import INI, Project
from tests.integration.planned import plan, states, write_tests

FIVE = {f"test_{name}": 1000 for name in "abcde"}
TWICE = {name: 2 * tokens for name, tokens in FIVE.items()}


def inputs(project: Project) -> dict[str, Any]:
    """Input tokens by test name, from the baseline."""
    return {
        key.partition("::")[2]: sum(block["input_tokens"] for block in entry["usage"])
        for key, entry in project.baseline["tests"].items()
    }


def five(project: Project) -> None:
    """A baseline of 1,000 tokens for each of five tests, which now use 2,000."""
    write_tests(project, **FIVE)
    project.update()
    plan(project, **TWICE)


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["-k", "test_b or test_d"], {"test_b", "test_d"}),
        (["test_it.py::test_c"], {"test_c"}),
        (["--deselect", "test_it.py::test_a"], {"test_b", "test_c", "test_d", "test_e"}),
    ],
)
def test_subset_leaves_the_others_alone(
    project: Project, arguments: list[str], written: set[str]
) -> None:
    five(project)
    project.update(*arguments)
    assert inputs(project) == {name: 2000 if name in written else 1000 for name in FIVE}


def test_only_tests_that_passed_are_written(project: Project) -> None:
    five(project)
    project.write(
        "test_it.py",
        """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError

def test_a(spend):
    spend()

def test_b(spend):
    spend()
    assert False

def test_c(spend):
    spend()
    pytest.skip("later")

@pytest.mark.xfail
def test_d(spend):
    spend()
    assert False

def test_e(spend, broken):
    spend()
""",
    )
    result = project.run("--crashlens-update-baseline")
    result.assert_outcomes(passed=1, failed=1, skipped=1, xfailed=1, errors=1)
    assert inputs(project) == {**FIVE, "test_a": 2000}


def test_stopped_run_writes_what_it_has(project: Project) -> None:
    five(project)
    project.write(
        "test_it.py",
        "def test_a(spend):\n    spend()\n\n\ndef test_b(spend):\n    spend()\n    assert 0\n\n\n"
        "def test_c(spend):\n    spend()\n",
    )
    result = project.run("--crashlens-update-baseline", "-x")
    result.assert_outcomes(passed=1, failed=1)
    assert inputs(project) == {**FIVE, "test_a": 2000}


def test_nothing_is_written_when_nothing_changed(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=7)
    project.update()
    data = project.baseline_path.read_bytes()
    os.utime(project.baseline_path, ns=(1, 1))
    before = project.baseline_path.stat()
    result = project.update()
    result.stdout.fnmatch_lines(["crashlens-baseline.json: nothing to write, 2 entries as before"])
    after = project.baseline_path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert project.baseline_path.read_bytes() == data


def test_rises_are_listed_when_they_are_accepted(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=3000, test_b=1010)
    result = project.update()
    result.stdout.fnmatch_lines(
        [
            "crashlens-baseline.json: 2 entries written, 2 in all",
            "  accepted: test_it.py::test_a: cost $0.00015 -> $0.00045 (+200 %, limit +20 %)",
        ]
    )
    result.stdout.no_fnmatch_line("*accepted: test_it.py::test_b*")
    assert inputs(project) == {"test_a": 3000, "test_b": 1010}


def test_absolute_limits_fail_and_their_entries_are_kept_back(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    project.write("crashlens.yml", "version: 1\nlimits: {max_total_tokens: 2500}\n")
    plan(project, test_a=3000, test_b=2000)
    result = project.run("--crashlens-update-baseline")
    assert states(result) == {"test_a"}
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "crashlens-baseline.json: 1 entry written, 2 in all",
            "  accepted: test_it.py::test_b: *",
            "  not written (over a limit): test_it.py::test_a",
        ]
    )
    assert inputs(project) == {"test_a": 1000, "test_b": 2000}


def test_vanished_calls_become_an_empty_entry_and_their_return_a_rise(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=[], test_b=1000)
    assert states(project.run()) == {"test_a"}
    result = project.update()
    result.stdout.fnmatch_lines(["  accepted: test_it.py::test_a: no call seen*"])
    assert project.usage("test_it.py::test_a") == []
    assert project.run().ret == 0
    plan(project, test_a=1000, test_b=1000)
    assert states(project.run()) == {"test_a"}


def test_a_test_without_an_entry_fails_until_it_is_added(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.update()
    write_tests(project, test_a=1000, test_new=500)
    result = project.run()
    assert states(result) == {"test_new"}
    result.stdout.fnmatch_lines(["FAILED *::test_new - LLM cost: no baseline entry (a new *"])
    result = project.update()
    result.stdout.fnmatch_lines(["*::test_new *new"])
    assert inputs(project) == {"test_a": 1000, "test_new": 500}
    assert project.run().ret == 0


def test_live_entries_keep_their_numbers_within_tolerance(project: Project) -> None:
    live = {"input_tokens": 1000, "output_tokens": 100, "live": True}
    write_tests(project, test_a=live, test_b=live)
    project.update()
    stored = project.baseline["tests"]
    plan(project, test_a=live | {"output_tokens": 130}, test_b=live | {"input_tokens": 1040})
    project.update()
    stored["test_it.py::test_a"]["runs"] = {
        "calls": [1, 1],
        "input_tokens": [1000, 1000],
        "output_tokens": [100, 130],
    }
    assert project.baseline["tests"] == stored
    plan(project, test_a=live | {"input_tokens": 1500}, test_b=[live, live])
    project.update()
    assert inputs(project) == {"test_a": 1500, "test_b": 2000}


def test_update_keeps_the_prices_of_known_models(project: Project) -> None:
    """An accepted rise is no occasion to take over a new price list for tests that did not run."""
    write_tests(project, test_a=1000, test_b=1000)
    settings = "version: 1\nlimits: {max_calls: 5}\nprices:\n  openai/gpt-4o-mini: {input: %s}\n"
    project.write("crashlens.yml", settings % 1)
    project.update()
    cards = project.baseline["cards"]
    assert len(cards) == 1
    project.write("crashlens.yml", settings % 2)
    assert project.run().ret == 0
    plan(project, test_a=3000, test_b=1000)
    project.update()
    assert project.baseline["cards"] == cards
    costs = [entry["usage"][0]["cost_usd"] for entry in project.baseline["tests"].values()]
    assert costs == ["0.003", "0.001"]


def test_what_another_process_wrote_meanwhile_is_kept(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    other = json.loads(project.baseline_path.read_text())
    other["tests"]["elsewhere.py::test_x"] = other["tests"]["test_it.py::test_b"]
    project.write("other.json", json.dumps(other))
    plan(project, test_a=1500, test_b=1000)
    project.write(
        "test_it.py",
        "import shutil\n\n\ndef test_a(spend):\n    spend()\n"
        "    shutil.copy('other.json', 'crashlens-baseline.json')\n",
    )
    project.update()
    assert inputs(project) == {"test_a": 1500, "test_b": 1000, "test_x": 1000}


def test_baseline_broken_during_the_run_is_not_overwritten(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.update()
    plan(project, test_a=1500)
    project.write(
        "test_it.py",
        "from pathlib import Path\n\n\ndef test_a(spend):\n    spend()\n"
        "    Path('crashlens-baseline.json').write_text('<<<<<<< ours')\n",
    )
    result = project.run("--crashlens-update-baseline")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*crashlens-baseline.json:1: unresolved merge conflict; *"])
    assert project.baseline_path.read_text() == "<<<<<<< ours"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no/such/b.json", "the folder */no/such does not exist"),
        (".", "*Is a directory*"),
    ],
)
def test_place_that_cannot_be_written_stops_before_the_tests(
    project: Project, name: str, words: str
) -> None:
    write_tests(project, test_a=1000)
    result = project.run("--crashlens-update-baseline", f"--crashlens-baseline={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{words}*"])
    result.stdout.no_fnmatch_line("*test_it.py*")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_read_only_folder_stops_before_the_tests(project: Project) -> None:
    write_tests(project, test_a=1000)
    (project.path / "kept").mkdir(mode=0o555)
    result = project.run("--crashlens-update-baseline", "--crashlens-baseline=kept/b.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *kept/b.json cannot be written: it is not writable. *"])


def test_folder_that_refuses_at_the_end_leaves_the_old_file(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.update()
    data = project.baseline_path.read_bytes()
    plan(project, test_a=1500)
    project.write(
        "test_it.py",
        """
import os

def test_a(spend, monkeypatch):
    spend()
    def refuse(*args):
        raise PermissionError(13, "Permission denied")
    os.replace = refuse
""",
    )
    replace = os.replace
    try:
        result = project.run("--crashlens-update-baseline")
    finally:
        os.replace = replace
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*crashlens-baseline.json: cannot be written: Permission denied; nothing was changed.*"]
    )
    assert project.baseline_path.read_bytes() == data
    left = [path.name for path in Path(project.path).iterdir()]
    assert not [name for name in left if name.startswith(".crashlens")]


def test_keys_start_at_the_file_s_folder(project: Project) -> None:
    plan(project, test_a=1000)
    project.write("pkg/tests/test_it.py", "def test_a(spend):\n    spend()\n")
    project.update("--crashlens-baseline=pkg/own.json")
    stored = json.loads((project.path / "pkg" / "own.json").read_text())
    assert list(stored["tests"]) == ["tests/test_it.py::test_a"]
    project.write("tox.ini", f"{INI}crashlens_baseline = pkg/own.json\n")
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["crashlens: baseline own.json (1 entry)"])


def test_an_update_lowers_a_live_entry_that_is_far_too_high(project: Project) -> None:
    write_tests(project, test_a={"input_tokens": 5000, "live": True})
    project.update()
    plan(project, test_a={"input_tokens": 4500, "live": True})
    project.update()
    assert project.usage("test_it.py::test_a")[0]["input_tokens"] == 5000
    plan(project, test_a={"input_tokens": 500, "live": True})
    project.update()
    assert project.usage("test_it.py::test_a")[0]["input_tokens"] == 500


def test_path_limits_hold_wherever_the_baseline_lies(project: Project) -> None:
    write_tests(project, test_a=[{"input_tokens": 100}] * 2)
    project.write("ci/.keep", "")
    project.write(
        "crashlens.yml",
        "version: 1\nbaseline: ci/base.json\n"
        "paths: [{match: 'test_*.py', limits: {max_calls: 1}}]\n",
    )
    result = project.run("--crashlens-update-baseline")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   LLM cost: calls of this test over the limit (2 > 1)"])
