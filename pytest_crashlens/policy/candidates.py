"""Which of several models would be cheapest for the same tokens: by price only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pytest_crashlens.baseline.entry import Block
from pytest_crashlens.policy.repricing import Change, Repricer, summed, usd_of
from pytest_crashlens.pricing.model_facts import ModelFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model, and what the tokens would cost with it."""

    name: str
    """As the user wrote it."""
    usd: Decimal | None = None
    estimated: bool = False
    excluded: str | None = None
    """Why it cannot answer these calls; None: it may."""
    unknown: tuple[str, ...] = ()
    """What could not be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A candidate as the price list knows it."""

    name: str
    provider: str
    model: str
    facts: ModelFacts


def rank(
    candidates: Sequence[Named],
    blocks: Sequence[Block],
    repricer: Repricer,
    forbids: Callable[[Named], str | None] = lambda _: None,
) -> list[Candidate]:
    """The candidates, cheapest first, the excluded ones last.

    Args:
        candidates: each once.
        blocks: the calls that they would have to answer.
        repricer: prices them.
        forbids: why a policy does not allow a candidate.
    """
    found = [_candidate(one, blocks, repricer, forbids) for one in candidates]
    fit = sorted((one for one in found if not one.excluded), key=lambda one: (one.usd, one.name))
    return fit + sorted((one for one in found if one.excluded), key=lambda one: one.name)


def _candidate(
    one: Named,
    blocks: Sequence[Block],
    repricer: Repricer,
    forbids: Callable[[Named], str | None],
) -> Candidate:
    change = Change(provider=one.provider, model=one.model)
    priced = summed(repricer.block(block, change) for block in blocks)
    reason = forbids(one) or _unfit(one.facts, blocks)
    usd = usd_of(priced.after)
    if reason is None and usd is None:
        reason = "; ".join(priced.after.reasons)
        if priced.after.usd is not None:
            reason = f"cannot answer all of these calls, or has no whole price: {reason}"
    return Candidate(
        name=one.name,
        usd=usd,
        estimated=priced.estimated,
        excluded=reason,
        unknown=() if one.facts.context_window else ("context window unknown",),
    )


def _unfit(facts: ModelFacts, blocks: Sequence[Block]) -> str | None:
    if facts.deprecated:
        return "deprecated by its provider"
    largest = max(map(least_input, blocks), default=0)
    window = facts.context_window
    if window and largest > window:
        return f"context window of {window:,} tokens, the input has {largest:,}"
    return None


def least_input(block: Block) -> int:
    """Input tokens that the largest call of a block has at least: one is no less than the mean."""
    tokens, calls = block.usage.input_tokens or 0, block.calls
    return max(-(-tokens // calls) if calls else 0, block.kind.band + 1 if block.kind.band else 0)
