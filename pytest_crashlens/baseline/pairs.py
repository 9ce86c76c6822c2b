"""The blocks of two entries side by side: which calls are the same, and what took whose place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from functools import reduce
from itertools import zip_longest
from operator import add

from pytest_crashlens.baseline.entry import Block, Entry
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.card import Cost, RateCard, cost

Pair = tuple[list[Block], list[Block]]
"""Blocks before and now; either side may be empty, not both."""
ModelKey = tuple[str, str, str | None, bool, bool]


def by_model(entry: Entry) -> dict[ModelKey, list[Block]]:
    """The blocks of each model, service tier and kind of answer."""
    groups: dict[ModelKey, list[Block]] = {}
    for block in entry.blocks:
        kind = block.kind
        key = kind.provider, kind.model, kind.service_tier, kind.batch, kind.refused
        groups.setdefault(key, []).append(block)
    return groups


def pairs(before: Entry, now: Entry) -> list[Pair]:
    """Blocks of equal models side by side; of the rest, the n-th with the n-th by size.

    A refused call never stands beside one that was answered: they differ in more than the model.
    """
    old, new = by_model(before), by_model(now)
    found: list[Pair] = [(old.pop(key), new.pop(key)) for key in list(old) if key in new]
    for refused in (False, True):
        gone, come = (
            sorted(
                (blocks for blocks in side.values() if blocks[0].kind.refused is refused),
                key=lambda blocks: -summed(blocks).usage.total_tokens,
            )
            for side in (old, new)
        )
        found += [(a or [], b or []) for a, b in zip_longest(gone, come)]
    return found


def summed(blocks: Sequence[Block]) -> Block:
    """All of ``blocks`` as one, of the kind that most of the calls are."""
    if len(blocks) == 1:
        return blocks[0]
    largest = max(blocks, key=lambda block: block.calls)
    return replace(reduce(add, blocks), kind=largest.kind)


def model_text(old: Block, new: Block) -> str:
    """What ``new`` is asked instead of ``old``, in words; empty where that is the same."""
    before, now = old.kind, new.kind
    if before.model != now.model:
        return f"model {before.model} -> {now.model}"
    if before.provider != now.provider:
        return f"provider {before.provider} -> {now.provider}"
    if before.service_tier != now.service_tier:
        tiers = [kind.service_tier or "standard" for kind in (before, now)]
        return f"service tier {tiers[0]} -> {tiers[1]}"
    if before.batch != now.batch:
        return "single calls -> batch" if now.batch else "batch -> single calls"
    return ""


def cost_of(blocks: Sequence[Block], cards: Mapping[str, RateCard]) -> Cost:
    """USD of ``blocks``, each in its own price band."""
    return Entry(tuple(blocks)).cost(cards)


def cost_at(
    block: Block, usage: Usage, calls: int, cards: Mapping[str, RateCard]
) -> Decimal | None:
    """USD of ``usage`` at the card of ``block``, as if all calls were of mean size."""
    if block.kind.refused:
        return Decimal(0)
    card = cards.get(block.kind.card) if block.kind.card else None
    if card is None or not calls:
        return None
    per_call = (usage.input_tokens or 0) // calls
    return cost(card, usage, band=card.band(per_call), calls=calls).usd


def difference(start: Decimal | None, end: Decimal | None) -> Decimal | None:
    """``end - start``, exactly; None where either is unknown."""
    if start is None or end is None:
        return None
    with localcontext(EXACT):
        return end - start


def sum_of(one: Decimal, other: Decimal) -> Decimal:
    """``one + other``, exactly."""
    with localcontext(EXACT):
        return one + other
