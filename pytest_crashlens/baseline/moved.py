"""Usage that moved from one test to another: the mark of an application that caches answers.

The first test that asks pays and the others do not, so that who pays depends on the order and on
the selection of the tests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_crashlens.baseline.entry import Entry

Delta = frozenset[tuple[str, str, str, int]]
"""What changed: provider, model, field and by how much; equal sets are equal changes."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Calls that ``source`` has in the baseline and ``target`` made in this run."""

    source: str
    target: str
    calls: int
    tokens: int


def moved(changes: Mapping[str, tuple[Entry, Entry]], not_run: Mapping[str, Entry]) -> list[Moved]:
    """The calls that changed their test.

    Args:
        changes: baseline and now of the tests that ran, by key.
        not_run: baseline entries of tests that did not run.
    """
    lost: dict[Delta, deque[str]] = {}
    for key, entry in not_run.items():
        if entry.calls:
            lost.setdefault(_delta(Entry(), entry), deque()).append(key)
    # what this run lost for certain goes before what it did not look for
    for key, (before, now) in changes.items():
        if delta := _growth(now, before):
            lost.setdefault(delta, deque()).appendleft(key)
    found = []
    for key, (before, now) in changes.items():
        delta = _growth(before, now)
        if delta and (sources := lost.get(delta)):
            calls = sum(amount for *_, name, amount in delta if name == "calls")
            tokens = now.usage.total_tokens - before.usage.total_tokens
            found.append(Moved(sources.popleft(), key, calls, tokens))
    return found


def _growth(before: Entry, now: Entry) -> Delta:
    """What came to ``before``; empty when something also went, or no call came."""
    delta = _delta(before, now)
    grew = all(amount > 0 for *_, amount in delta)
    return delta if grew and any(name == "calls" for *_, name, _ in delta) else frozenset()


def _delta(before: Entry, now: Entry) -> Delta:
    sums: dict[tuple[str, str, str], int] = {}
    for sign, entry in ((-1, before), (1, now)):
        for provider, model, name, amount in _amounts(entry):
            key = provider, model, name
            sums[key] = sums.get(key, 0) + sign * amount
    return frozenset((*key, amount) for key, amount in sums.items() if amount)


def _amounts(entry: Entry) -> Iterable[tuple[str, str, str, int]]:
    for block in entry.blocks:
        yield block.kind.provider, block.kind.model, "calls", block.calls
        for name, amount in block.usage.to_dict().items():
            yield block.kind.provider, block.kind.model, name, amount
