"""Entries whose tests are gone, and the new names under which they came back.

An entry is stale only for certain: what was not looked for is not missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from pytest_crashlens.baseline.entry import Block, Entry

_FIXTURE = "fixture:"
_TEARDOWN = "teardown:"
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
    return tuple(key for key in entries if _is_gone(key, extent, exists))


def _is_gone(key: str, extent: Extent, exists: Callable[[str], bool]) -> bool:
    if key.startswith(_FIXTURE):  # tests of any file may use it
        return extent.everything and extent.all_passed and key not in extent.keys
    test = key.removeprefix(_TEARDOWN)
    if test in extent.keys:
        return False
    file = test.partition("::")[0]
    return file in extent.whole_files or (extent.everything and not exists(file))


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
