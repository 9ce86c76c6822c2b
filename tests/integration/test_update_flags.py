"""What goes with --crashlens-update-baseline: new tests only, pruning, a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_crashlens.capture import httpx_family
from tests.integration.conftest import Project
from tests.integration.planned import plan, states, write_client, write_tests
from tests.integration.test_baseline_updates import inputs

UPDATE = "--crashlens-update-baseline"
NEW_ONLY = "--crashlens-update-baseline-new-only"
PRUNE = "--crashlens-prune"


def reasons(project: Project) -> dict[str, Any]:
    return {
        key.partition("::")[2]: entry["reason"]
        for key, entry in project.baseline["tests"].items()
        if "reason" in entry
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([PRUNE], "--crashlens-prune without --crashlens-update-baseline: add *"),
        (["--crashlens-reason=x"], "--crashlens-reason without --crashlens-update-baseline: add *"),
        (["--crashlens-reason="], "--crashlens-reason without *"),
        ([PRUNE, "--crashlens-reason=x"], "--crashlens-prune, --crashlens-reason without *"),
        ([UPDATE, "--crashlens-reason="], "--crashlens-reason: expected one line of text *''"),
        ([UPDATE, "--crashlens-reason=a\nb"], "--crashlens-reason: * control characters, got *"),
        ([UPDATE, "--crashlens-reason=\x1b[31m"], "--crashlens-reason: *got '\\x1b?31m'"),
        ([UPDATE, "--crashlens-reason=a\u202eb"], "--crashlens-reason: *got 'a\\u202eb'"),
    ],
)
def test_what_makes_no_sense_stops_the_run(
    project: Project, arguments: list[str], words: str
) -> None:
    write_tests(project, test_a=1000)
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {words}"])
    assert not project.baseline_path.exists()


def test_new_only_accepts_new_tests_and_compares_all_others(project: Project) -> None:
    write_tests(project, test_dearer=1000, test_cheaper=1000)
    first = project.pytester.runpytest_inprocess("-p", "no:cacheprovider", NEW_ONLY)
    assert first.ret == 0
    assert inputs(project) == {"test_dearer": 1000, "test_cheaper": 1000}
    write_tests(project, test_dearer=3000, test_cheaper=10, test_new=500)
    result = project.run(UPDATE, NEW_ONLY)
    assert result.ret == 1
    assert states(result) == {"test_dearer"}
    result.stdout.fnmatch_lines(
        [
            "crashlens: updating baseline crashlens-baseline.json (new only)",
            "FAILED * - LLM cost +200 %: *",
        ]
    )
    result.stdout.fnmatch_lines(["crashlens-baseline.json: 1 entry written, 3 in all"])
    result.stdout.no_fnmatch_line("*not written*")
    assert inputs(project) == {"test_dearer": 1000, "test_cheaper": 1000, "test_new": 500}


def test_new_only_leaves_what_another_process_added_meanwhile(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.update()
    other = json.loads(project.baseline_path.read_text())
    other["tests"]["test_it.py::test_new"] = other["tests"]["test_it.py::test_a"]
    project.write("other.json", json.dumps(other))
    plan(project, test_a=1000, test_new=500)
    project.write(
        "test_it.py",
        "import shutil\n\n\ndef test_a(spend):\n    spend()\n\n\ndef test_new(spend):\n"
        "    spend()\n    shutil.copy('other.json', 'crashlens-baseline.json')\n",
    )
    assert project.run(NEW_ONLY).ret == 0
    assert inputs(project) == {"test_a": 1000, "test_new": 1000}


def test_reason_stays_with_what_it_accepted(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000, test_c=1000)
    project.update()
    assert reasons(project) == {}
    write_tests(project, test_a=2000, test_b=10, test_c=1000, test_new=5)
    words = "Zwei Runden, “genauer” 🚀"
    result = project.update(f"--crashlens-reason= {words} ")
    result.stdout.fnmatch_lines(["crashlens-baseline.json: 3 entries written, 4 in all"])
    assert reasons(project) == {"test_a": words, "test_new": words}
    assert project.run().ret == 0
    project.update("--crashlens-reason=of another change")
    assert reasons(project) == {"test_a": words, "test_new": words}
    plan(project, test_a=4000, test_b=10, test_c=1000, test_new=5)
    project.update()
    assert reasons(project) == {"test_new": words}


def test_accepted_rises_are_listed_with_their_money(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000, test_c=1000)
    project.update()
    three = [{"input_tokens": 250}] * 2 + [{"input_tokens": 500}]
    plan(project, test_a=three, test_b=1000, test_c=[])
    result = project.update()
    result.stdout.fnmatch_lines(
        [
            "crashlens-baseline.json: 2 entries written, 3 in all",
            "  accepted: test_it.py::test_a: calls 1 -> 3 (+200 %, limit no more), "
            "$0.00015 -> $0.00015",
            "  accepted: test_it.py::test_c: no call seen, * $0.00015 -> $0.00",
        ]
    )


def test_prune_deletes_what_is_gone_after_a_whole_run_only(project: Project) -> None:
    names = dict.fromkeys(["test_a", "test_b", "test_gone"], 1000)
    write_tests(project, **names)
    project.update()
    before = project.baseline_path.read_bytes()
    write_tests(project, test_a=1000, test_b=1000)
    for arguments, why in (
        (["-k", "test"], "-k"),
        (["-m", "not slow"], "-m"),
        (["--deselect", "test_it.py::test_b"], "--deselect"),
        (["test_it.py::test_a", "test_it.py::test_b"], "single tests were asked for"),
    ):
        result = project.update(PRUNE, *arguments)
        result.stdout.fnmatch_lines([f"nothing deleted, as not every test ran ({why})"])
        assert project.baseline_path.read_bytes() == before
    result = project.update()
    result.stdout.fnmatch_lines(
        [
            "crashlens-baseline.json: nothing to write, 3 entries as before",
            "1 entry is stale (its test is gone): pytest --crashlens-update-baseline "
            "--crashlens-prune",
            "  test_it.py::test_gone",
        ]
    )
    assert project.baseline_path.read_bytes() == before
    result = project.update(PRUNE)
    result.stdout.fnmatch_lines(
        [
            "crashlens-baseline.json: nothing to write, 2 entries * after 1 stale one deleted",
            "  deleted: test_it.py::test_gone",
        ]
    )
    result.stdout.no_fnmatch_line("*is stale*")
    assert set(inputs(project)) == {"test_a", "test_b"}


def test_renamed_test_is_pruned_and_its_card_stays(project: Project) -> None:
    write_tests(project, test_old=1000)
    project.update()
    cards = project.baseline["cards"]
    write_tests(project, test_new=1000)
    result = project.update(PRUNE)
    result.stdout.fnmatch_lines(["*: 1 entry written, 1 in all after 1 stale one deleted"])
    assert inputs(project) == {"test_new": 1000}
    assert project.baseline["cards"] == cards
    project.write("test_it.py", "def test_new():\n    pass\n")
    project.write("test_it.py", "")
    project.write("test_other.py", "def test_nothing():\n    pass\n")
    project.update(PRUNE)
    assert project.baseline == {"version": 1, "cards": {}, "tests": {}}


def test_entry_that_another_process_wrote_anew_is_not_deleted(project: Project) -> None:
    write_tests(project, test_a=1000, test_gone=1000)
    project.update()
    other = json.loads(project.baseline_path.read_text())
    other["tests"]["test_it.py::test_gone"]["usage"][0]["input_tokens"] = 7
    project.write("other.json", json.dumps(other))
    project.write(
        "test_it.py",
        "import shutil\n\n\ndef test_a(spend):\n    spend()\n"
        "    shutil.copy('other.json', 'crashlens-baseline.json')\n",
    )
    project.update(PRUNE)
    assert inputs(project) == {"test_a": 1000, "test_gone": 7}


def test_generated_ids_are_told_once(project: Project) -> None:
    plan(project, test_p=10)
    project.write(
        "test_it.py",
        """
import enum
import re

import pytest


class Case:
    pass


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("case", [Case(), {"a": 1}, pytest.param(Case(), id="named")])
def test_p(case, spend):
    spend("test_p")


@pytest.mark.parametrize("value", [Colour.RED, re.compile("value0"), "value0", 0, None, Case])
def test_stable(value, spend):
    spend("test_p")


@pytest.mark.parametrize("case", [Case()], ids=repr)
def test_address(case, spend):
    spend("test_p")


@pytest.mark.parametrize("case", [Case()])
@pytest.mark.crashlens(key="mine")
def test_with_key(case, spend):
    spend("test_p")


@pytest.mark.parametrize("case", [Case()])
def test_without_calls(case):
    pass
""",
    )
    result = project.update()
    result.stdout.fnmatch_lines(
        [
            "note: 3 keys rest on a generated id: test_it.py::test_p[[]case0[]]",
            "  it moves when the parameters do: give them ids (pytest.param(..., id=))",
        ]
    )
    result = project.update("-k", "not address")
    result.stdout.no_fnmatch_line("*generated id*")
    result = project.run()
    result.stdout.no_fnmatch_line("*generated id*")
    result.stdout.no_fnmatch_line("*Are answers cached*")  # it is the same test: its name moved


def test_entries_are_not_lowered_by_calls_that_were_lost(project: Project) -> None:
    write_client(project)
    project.write("test_it.py", "from llm import call\n\n\ndef test_a():\n    call(100)\n")
    project.update()
    before = project.baseline_path.read_bytes()
    broken = pytest.MonkeyPatch()
    try:
        broken.setattr(httpx_family, "_is_own_app", lambda client, url: 1 / 0)
        result = project.run("--crashlens-update-baseline")
    finally:
        broken.undo()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["crashlens-baseline.json: 1 entry not lowered, as calls of this run may be lost *test_a"]
    )
    assert project.baseline_path.read_bytes() == before
