"""Usage that moved from one test to another."""

from __future__ import annotations

import pytest

from pytest_crashlens.baseline.entry import Block, Entry, Kind
from pytest_crashlens.baseline.moved import Moved, moved
from pytest_crashlens.model.usage import Usage


def entry(*calls: int, model: str = "m") -> Entry:
    if not calls:
        return Entry()
    kind = Kind(provider="openai", model=model)
    usage = Usage(input_tokens=sum(calls), output_tokens=len(calls))
    return Entry((Block(kind, len(calls), 0, usage),))


def test_from_a_test_that_has_less_now() -> None:
    changes = {
        "a": (entry(500, 20), entry(20)),
        "b": (entry(10), entry(10, 500)),
        "same": (entry(500), entry(500)),
    }
    assert moved(changes, {}) == [Moved("a", "b", 1, 501)]


def test_from_a_test_that_did_not_run() -> None:
    changes = {"b": (entry(), entry(500))}
    assert moved(changes, {"a": entry(500), "c": entry(400)}) == [Moved("a", "b", 1, 501)]


def test_each_source_gives_once() -> None:
    changes = {
        "a": (entry(500), entry()),
        "b": (entry(), entry(500)),
        "c": (entry(), entry(500)),
    }
    assert moved(changes, {}) == [Moved("a", "b", 1, 501)]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (entry(10), entry(10, 501)),  # another size
        (entry(10), entry(10, 500, 500)),  # twice as many
        (entry(10), entry(10, model="n")),  # another model instead
        (entry(10), entry(510)),  # more input, no more calls
    ],
)
def test_other_growth_did_not_move(before: Entry, now: Entry) -> None:
    changes = {"a": (entry(500), entry()), "b": (before, now)}
    assert moved(changes, {}) == []
