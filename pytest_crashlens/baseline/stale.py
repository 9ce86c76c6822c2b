"""Entries whose tests are gone, and the new names under which they came back.

An entry is stale only for certain: what was not looked for is not missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from pytest_crashlens.baseline.entry import Block, Entry

_FIXTURE = "fixture:"
_TEARDOWN = "teardown:"
_OF_A_FOLDER = ("conftest.py", "__init__.py")
"""Files whose fixtures are for the tests below their folder; those of others may be imported."""
_TEST_FILES = ("test_*.py", "*_test.py")
"""As pytest has it by default; others are known by their tests' entries."""
MOST_COMPARED = 50
"""Names that are looked at for one rename; beyond, the usage is that of too many tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a run looked at; all names as in the baseline."""

    partial: tuple[str, ...] = ()
    """Why not every test ran, in words: then nothing is stale."""
    keys: frozenset[str] = frozenset()
    """Tests that are there, and fixtures that were set up."""
    whole_files: frozenset[str] = frozenset()
    """Files of which every test ran or was skipped."""
    everything: bool = False
    """Whether the whole suite was asked for, and nothing was left out."""
    all_passed: bool = False
    """Whether each test got as far as it can: one that is skipped sets no fixture up."""


def stale_keys(
    entries: Iterable[str], extent: Extent, exists: Callable[[str], bool]
) -> tuple[str, ...]:
    """The keys whose tests or fixtures are gone.

    Args:
        entries: keys of the baseline.
        extent: what the run looked at.
        exists: whether a file, as named in a key, is there.
    """
    if extent.partial:
        return ()
    keys = tuple(entries)
    unseen = frozenset(_unseen_files(keys, extent, exists))
    return tuple(key for key in keys if _is_gone(key, extent, exists, unseen))


def _unseen_files(keys: Iterable[str], extent: Extent, exists: Callable[[str], bool]) -> set[str]:
    """Files of tests that are there and were not looked at (a conftest.py may ignore them)."""
    tests = (key.removeprefix(_TEARDOWN) for key in keys if not key.startswith(_FIXTURE))
    files = {test.partition("::")[0] for test in tests if "::" in test and test not in extent.keys}
    return {file for file in files - extent.whole_files if exists(file)}


def _is_gone(
    key: str, extent: Extent, exists: Callable[[str], bool], unseen: frozenset[str]
) -> bool:
    if key.startswith(_FIXTURE):
        asked = extent.everything and extent.all_passed and key not in extent.keys
        return asked and _is_asked_for_no_more(key.removeprefix(_FIXTURE), extent, exists, unseen)
    test = key.removeprefix(_TEARDOWN)
    if test in extent.keys:
        return False
    file = test.partition("::")[0]
    return file in extent.whole_files or (extent.everything and not exists(file))


def _is_asked_for_no_more(
    fixture: str, extent: Extent, exists: Callable[[str], bool], unseen: frozenset[str]
) -> bool:
    """Whether all tests that may use ``fixture`` (``place::name``) were looked at."""
    place = PurePosixPath(fixture.partition("::")[0])
    folder = PurePosixPath()
    if place.suffix == ".py":
        if str(place) in extent.whole_files or not exists(str(place)):
            return True
        if any(fnmatchcase(place.name, pattern) for pattern in _TEST_FILES):
            return False  # it is there, and was not looked at
        if place.name in _OF_A_FOLDER:
            folder = place.parent
    elif exists(str(place)):
        folder = place
    # else the module of a plugin: tests of any file may use it
    if any(folder in PurePosixPath(file).parents for file in unseen):
        return False
    return folder == PurePosixPath() or any(
        folder in PurePosixPath(file).parents for file in extent.whole_files
    )


@dataclass(frozen=True, slots=True)
class Rename:
    """A stale entry and a new test that use exactly the same."""

    old: str
    new: str
    calls: int
    tokens: int


def renamed(stale: Mapping[str, Entry], new: Mapping[str, Entry]) -> tuple[Rename, ...]:
    """Pairs of equal usage; of several the most alike names, each key in one pair."""
    by_usage: dict[tuple[Block, ...], list[str]] = {}
    for key, entry in stale.items():
        if entry.calls:
            by_usage.setdefault(_usage(entry), []).append(key)
    found = []
    for key, entry in new.items():
        candidates = by_usage.get(_usage(entry), [])
        if not candidates:
            continue
        old = max(candidates[:MOST_COMPARED], key=lambda old: _alike(old, key))
        candidates.remove(old)
        found.append(Rename(old, key, entry.calls, entry.usage.total_tokens))
    return tuple(found)


def _usage(entry: Entry) -> tuple[Block, ...]:
    """``entry`` without its prices: a new test may be priced by a newer list."""
    return tuple(
        replace(block, kind=replace(block.kind, card=None, band=0)) for block in entry.blocks
    )


def _alike(old: str, new: str) -> float:
    return SequenceMatcher(None, old, new, autojunk=False).ratio()
