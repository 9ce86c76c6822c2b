"""Which entries are gone for certain, and under which names they came back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.baseline.entry import Entry, entry_of
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.stale import Extent, Rename, renamed, stale_keys
from pytest_crashlens.report.last_run import (
    PLACE,
    Change,
    LastRun,
    LastRunError,
    digest,
    find_last_run,
    load_last_run,
    to_plain,
)
from tests.unit.entries import CARDS, call, card, card_of, entry

ENTRIES = (
    "a.py::test_there",
    "a.py::test_gone",
    "a.py::test_gone[1]",
    "teardown:a.py::test_there",
    "teardown:a.py::test_gone",
    "b.py::test_x",
    "lost.py::test_x",
    "teardown:lost.py::test_x",
    "given key",
    "lost key",
    "fixture:a.py::client",
    "fixture:conftest.py::lost",
)
RAN = frozenset({"a.py::test_there", "given key", "fixture:a.py::client"})
ON_DISK = {"a.py", "b.py", "conftest.py"}


def stale(**extent: Any) -> set[str]:
    fields = {"keys": RAN, "whole_files": frozenset({"a.py"})} | extent
    return set(stale_keys(ENTRIES, Extent(**fields), ON_DISK.__contains__))


IN_A = {"a.py::test_gone", "a.py::test_gone[1]", "teardown:a.py::test_gone"}
LOST = {"lost.py::test_x", "teardown:lost.py::test_x", "lost key"}


@pytest.mark.parametrize(
    ("extent", "gone"),
    [
        ({}, IN_A),
        ({"all_passed": True}, IN_A),
        ({"whole_files": frozenset()}, set()),
        ({"everything": True}, IN_A | LOST),
        ({"everything": True, "whole_files": frozenset()}, LOST),
        ({"everything": True, "all_passed": True}, IN_A | LOST),  # b.py may use the fixture
        (
            {
                "everything": True,
                "all_passed": True,
                "whole_files": frozenset({"a.py", "b.py"}),
            },
            IN_A | LOST | {"b.py::test_x", "fixture:conftest.py::lost"},
        ),
        ({"everything": True, "all_passed": True, "partial": ("-k",)}, set()),
    ],
)
def test_only_what_was_looked_for_is_missed(extent: dict[str, Any], gone: set[str]) -> None:
    assert stale(**extent) == gone


def test_same_usage_under_another_name() -> None:
    gone = {"a.py::test_old": entry(call(), call()), "a.py::test_other": entry(call())}
    new = {"a.py::test_new": entry(call(), call()), "a.py::test_more": entry(call("large"))}
    assert renamed(gone, new) == (Rename("a.py::test_old", "a.py::test_new", 2, 300),)


def test_of_equal_usage_the_most_alike_name_each_once() -> None:
    gone = {f"a.py::{name}": entry(call()) for name in ("test_plan", "test_answer")}
    new = {f"b/a.py::{name}": entry(call()) for name in ("test_answer", "test_plan", "test_zero")}
    assert {(one.old, one.new) for one in renamed(gone, new)} == {
        ("a.py::test_plan", "b/a.py::test_plan"),
        ("a.py::test_answer", "b/a.py::test_answer"),
    }


def test_a_new_price_list_hides_no_rename_and_no_calls_are_no_likeness() -> None:
    dearer = card("small", "7", "8")
    now, _ = entry_of([call()], lambda found: dearer)
    assert len(renamed({"old": entry(call())}, {"new": now})) == 1
    assert renamed({"old": Entry()}, {"new": Entry()}) == ()


def last_run(folder: Path, **more: Any) -> LastRun:
    now, cards = entry_of([call(), call("large")], card_of)
    change = Change(
        key="a.py::test_x",
        nodeid="tests/a.py::test_x",
        state="over",
        kinds=("increase", "limit"),
        acceptable=False,
        cost_before="0.5",
    )
    fields = {
        "mode": "compared",
        "baseline_path": folder / "ci" / "base.json",
        "baseline_digest": digest(b"{}"),
        "git_head": "ab" * 20,
        "incomplete": ("a worker crashed",),
        "partial": ("-k",),
        "changes": (change,),
        "now": Baseline({"a.py::test_x": now}, cards),
        "stale": ("a.py::test_y",),
        "renames": (Rename("a.py::test_y", "a.py::test_x", 2, 300),),
        "session": ("the session cost $2, the limit is $1",),
    }
    return LastRun(**(fields | more))


def store(folder: Path, run: LastRun) -> Path:
    place = folder / PLACE
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(to_plain(run, place)))
    return place


def test_the_last_run_is_read_as_it_was_stored(tmp_path: Path) -> None:
    run = last_run(tmp_path)
    assert load_last_run(store(tmp_path, run)) == run
    assert not run.complete
    assert len(run.now.cards) == 2
    assert set(run.now.cards) <= {one.id for one in CARDS.values()}
    nothing = last_run(
        tmp_path, changes=(), now=Baseline(), baseline_digest=None, git_head=None, incomplete=()
    )
    assert load_last_run(store(tmp_path, nothing)) == nothing
    assert nothing.complete


def test_the_last_run_names_its_baseline_wherever_the_project_lies(tmp_path: Path) -> None:
    store(tmp_path / "here", last_run(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    found = load_last_run(tmp_path / "there" / PLACE)
    assert found.baseline_path == tmp_path / "there" / "ci" / "base.json"


def test_the_last_run_is_found_from_below_within_the_repository(tmp_path: Path) -> None:
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "a" / "b").mkdir(parents=True)
    store(tmp_path, last_run(tmp_path))
    with pytest.raises(
        LastRunError, match=r"no last run is stored .* run pytest --crashlens first"
    ):
        find_last_run(tmp_path / "repo" / "a")
    place = store(tmp_path / "repo", last_run(tmp_path))
    assert find_last_run(tmp_path / "repo" / "a" / "b") == place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is no JSON"),
        ("[", "it is no JSON"),
        ("[1]", r"another version wrote it \(schema None\)"),
        ('{"schema_version": true}', r"another version wrote it \(schema True\)"),
        ('{"schema_version": 2}', r"another version wrote it \(schema 2\)"),
        ('{"schema_version": 1}', "KeyError"),
        ('{"schema_version": 1, "baseline": [], "now": {}}', "no .version."),
        ('{"schema_version": 1, "baseline": 7, "now": {"version": 1, "tests": {}}}', "KeyError"),
    ],
)
def test_what_is_no_last_run_is_named(tmp_path: Path, text: str, words: str) -> None:
    place = tmp_path / "last-run"
    place.write_text(text)
    with pytest.raises(LastRunError, match=f"(?s)^{place}: .*{words}.*; run pytest"):
        load_last_run(place)


def test_a_change_without_its_entry_is_named(tmp_path: Path) -> None:
    place = store(tmp_path, last_run(tmp_path, now=Baseline()))
    with pytest.raises(LastRunError, match=r"no entry for 'a.py::test_x'"):
        load_last_run(place)
    with pytest.raises(LastRunError, match="no such file; run pytest --crashlens first"):
        load_last_run(tmp_path / "nowhere")
    with pytest.raises(LastRunError, match="cannot be read: "):
        load_last_run(tmp_path)


@pytest.mark.parametrize(
    ("fixture", "gone"),
    [
        ("live/test_l.py::big", False),
        ("live/conftest.py::big", False),
        ("live::big", False),
        ("quiet/test_q.py::big", False),
        ("a.py::old", True),
        ("ui/conftest.py::old", True),
        ("lost/conftest.py::old", True),
        ("conftest.py::old", False),
        ("helpers.py::old", False),
        ("some_plugin.fixtures::old", False),
    ],
)
def test_fixtures_of_files_that_a_conftest_ignores_are_kept(fixture: str, gone: bool) -> None:
    files = {"a.py", "ui/test_u.py", "live/test_l.py", "quiet/test_q.py", "live", "helpers.py"}
    files |= {"conftest.py", "live/conftest.py", "ui/conftest.py"}
    ran = {"a.py::test_a", "ui/test_u.py::test_u"}
    extent = Extent(
        keys=frozenset(ran),
        whole_files=frozenset({"a.py", "ui/test_u.py"}),
        everything=True,
        all_passed=True,
    )
    entries = (*ran, "live/test_l.py::test_l", key := f"fixture:{fixture}")
    assert stale_keys(entries, extent, files.__contains__) == ((key,) if gone else ())
    if not fixture.startswith(("live", "quiet")):  # without tests that were not looked at
        assert stale_keys((*ran, key), extent, files.__contains__) == (key,)
