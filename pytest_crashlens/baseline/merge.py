"""Several baselines as one: the shards of a run, each of which measured a part of the tests.

The result does not depend on the order or the grouping of the parts. What was replayed is a fact:
merging it with itself changes nothing, and two facts about one test are a conflict. What was live
keeps every run.

Shards mostly begin with the committed file. With it as the base, an entry that only some of them
changed is theirs, and the runs that all began with count once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_crashlens.baseline.entry import Block, Entry
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.runs import RUN_METRICS, Runs, RunTotals
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.pricing.card import RateCard

BETWEEN_REASONS = " / "


class MergeConflict(BaselineError):
    """Two parts contradict each other; the text names all keys where they do."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        """By key what is not the same."""
        super().__init__("\n".join(f"{key}: {fault}" for key, fault in sorted(faults.items())))


def merge(parts: Iterable[Baseline], base: Baseline | None = None) -> Baseline:
    """The baseline that holds what all ``parts`` hold.

    Args:
        parts: the baselines of the shards.
        base: what they began with, if that is known.

    Raises:
        MergeConflict: parts have different facts about a test.
    """
    parts = tuple(parts)
    gathered = _gathered(parts, base)
    cards: dict[str, RateCard] = {}
    for part in parts:
        for card_id, card in part.cards.items():
            known = cards.get(card_id, card)
            # what is charged is equal, as the ids are; where it was read may not be
            cards[card_id] = min(known, card, key=lambda each: _text(each.to_dict()))
    faults = {key: fault for key, found in gathered.items() if (fault := _conflict(found))}
    if faults:
        raise MergeConflict(faults)
    begun: Mapping[str, Entry] = base.entries if base else {}
    merged = {key: _merged(found, begun.get(key)) for key, found in gathered.items()}
    return Baseline().merged(merged, cards)


def undecided(parts: Iterable[Baseline], base: Baseline | None = None) -> dict[str, str]:
    """By key what :func:`merge` had to choose: which of different live answers is kept."""
    return {
        key: f"its live answers differ: {_size(smallest)[0]:,} to {_size(largest)[0]:,} tokens; "
        "the smallest are kept"
        for key, found in _gathered(tuple(parts), base).items()
        if (smallest := min((entry.blocks for entry in found), key=_size))
        != (largest := max((entry.blocks for entry in found), key=_size))
    }


def _gathered(parts: Sequence[Baseline], base: Baseline | None) -> dict[str, list[Entry]]:
    """By key what the parts say; of one that some of them changed, only what these say."""
    gathered: dict[str, list[Entry]] = {}
    for part in parts:
        for key, entry in part.entries.items():
            gathered.setdefault(key, []).append(entry)
    for key, entry in (base.entries if base else {}).items():
        if changed := [one for one in gathered.get(key, ()) if one.blocks != entry.blocks]:
            gathered[key] = changed
    return gathered


def _merged(entries: Sequence[Entry], base: Entry | None) -> Entry:
    if len(entries) == 1:
        return entries[0]
    # of live answers, each with another length, the smallest: a merge raises nothing
    blocks = min((entry.blocks for entry in entries), key=_size)
    reasons = {
        reason
        for entry in entries
        if entry.reason is not None
        for reason in entry.reason.split(BETWEEN_REASONS)
    }
    runs = RunTotals()
    if any(entry.live for entry in entries):
        runs = _runs([entry.runs for entry in entries], base.runs if base else RunTotals())
    return Entry(blocks, runs, BETWEEN_REASONS.join(sorted(reasons)) if reasons else None)


def _runs(found: Sequence[RunTotals], base: RunTotals) -> RunTotals:
    """All runs, those of ``base`` once."""
    more = [_beyond(runs, base) for runs in found]
    if any(each is None for each in more):  # written anew: what the base had is of the past
        base = RunTotals()
    return RunTotals.merged(
        [base, *(runs if each is None else each for runs, each in zip(found, more, strict=True))]
    )


def _beyond(runs: RunTotals, base: RunTotals) -> RunTotals | None:
    """``runs`` without those of ``base``; None: they do not hold all of these."""
    left: dict[str, Runs] = {}
    for metric in RUN_METRICS:
        totals, less = Counter(runs.of(metric)), Counter(base.of(metric))
        if not less <= totals:
            return None
        left[metric] = Runs(tuple((totals - less).elements()))
    return RunTotals(**left)


def _size(blocks: tuple[Block, ...]) -> tuple[int, str]:
    tokens = sum(block.usage.total_tokens for block in blocks)
    return tokens, _text([repr(block) for block in blocks])


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True)


def _conflict(entries: Sequence[Entry]) -> str | None:
    """What the first of ``entries`` and another one disagree on."""
    for other in entries[1:]:
        if fault := _difference(entries[0], other):
            return fault
    return None


def _difference(one: Entry, other: Entry) -> str | None:
    if one.live != other.live:
        return "is live in one part and replayed in another"
    if one.live:
        if _kinds(one) != _kinds(other):
            return f"its live calls differ: {_models(one)} and {_models(other)}"
        one, other = _replayed(one), _replayed(other)
    if one == other:
        return None
    if _without_cards(one) == _without_cards(other):
        return "the parts priced it with different rate cards; write them on one day"
    if (one.calls, one.usage) == (other.calls, other.usage):
        return f"{_models(one)} in one part and {_models(other)} in another"
    return f"{_figures(one)} in one part and {_figures(other)} in another"


def _kinds(entry: Entry) -> list[tuple[str, int]]:
    return [(repr(block.kind), block.calls) for block in entry.blocks]


def _replayed(entry: Entry) -> Entry:
    return Entry(tuple(block for block in entry.blocks if not block.kind.live))


def _without_cards(entry: Entry) -> list[Block]:
    return [replace(block, kind=replace(block.kind, card=None, band=0)) for block in entry.blocks]


def _models(entry: Entry) -> str:
    return ", ".join(f"{block.calls:,} of {block.kind.model}" for block in entry.blocks) or "none"


def _figures(entry: Entry) -> str:
    calls = f"{entry.calls:,} {'call' if entry.calls == 1 else 'calls'}"
    return f"{calls}, {entry.usage.total_tokens:,} tokens"
