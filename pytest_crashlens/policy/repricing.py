"""What recorded calls would cost under another model, output cap or retry behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from pytest_crashlens.baseline.entry import Block, Entry, Kind, block_cost, sum_costs
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.model.usage import OUTPUT_FIELDS, Usage
from pytest_crashlens.pricing.card import Cost, RateCard, cost

CardAt = Callable[[str, str, str | None, bool], RateCard | None]
"""Today's rate card by provider, model, service tier and whether the call is part of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is done otherwise; None: as recorded."""

    provider: str = ""
    model: str | None = None
    max_output_tokens: int | None = None
    retries: int | None = None
    """Of every call, each billed like the call itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repriced:
    """Recorded calls before and after a change, at today's prices."""

    before: Cost
    after: Cost
    at_most: bool = False
    """Whether ``after`` may be too high: calls are stored as sums, and a cap holds for each."""
    estimated: bool = False
    """Whether tokens were not stated by the provider, or a long-context price had to be guessed."""
    kept: int = 0
    """Calls without output (embeddings, say), which another chat model cannot answer."""
    cached: int = 0
    """Tokens of the prompt cache that another model is taken to read and write alike."""


class Repricer:
    """Prices blocks of a baseline anew."""

    def __init__(self, card_at: CardAt, frozen: Mapping[str, RateCard]) -> None:
        """``frozen``: the baseline's cards, for models that have no price today."""
        self._card_at = card_at
        self._frozen = frozen

    def entry(self, entry: Entry, change: Change) -> Repriced:
        """One test."""
        return summed(self.block(block, change) for block in entry.blocks)

    def block(self, block: Block, change: Change) -> Repriced:
        """The calls of one kind."""
        kind, usage = block.kind, block.usage
        own = self._card(kind)
        before, guessed = _cost(block, own)
        if kind.refused or kind.basis == "unknown" or not usage.stated:
            return Repriced(before=before, after=before, estimated=kind.basis != "exact")
        kept = change.model is not None and usage.output_tokens is None
        other, card = kind, own
        if change.model is not None and not kept:
            tier = kind.service_tier if change.provider == kind.provider else None
            other = replace(kind, provider=change.provider, model=change.model, service_tier=tier)
            card = self._card_at(change.provider, change.model, tier, kind.batch)
        cap = change.max_output_tokens
        capped = usage if cap is None else with_cap(usage, cap * block.calls)
        after, guessed_too = _cost(replace(block, kind=other, usage=capped), card)
        if change.retries and after.usd is not None:
            with localcontext(EXACT):
                after = replace(after, usd=after.usd * (change.retries + 1))
        cached = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
        return Repriced(
            before=before,
            after=after,
            at_most=bool(change.retries)
            or (cap is not None and block.calls > 1 and (usage.output_tokens or 0) > cap),
            estimated=kind.basis != "exact" or guessed or guessed_too,
            kept=block.calls if kept else 0,
            cached=cached if change.model is not None and not kept else 0,
        )

    def _card(self, kind: Kind) -> RateCard | None:
        today = self._card_at(kind.provider, kind.model, kind.service_tier, kind.batch)
        return today or (self._frozen.get(kind.card) if kind.card else None)


def summed(parts: Iterable[Repriced]) -> Repriced:
    """All ``parts`` together."""
    parts = list(parts)
    return Repriced(
        before=sum_costs(part.before for part in parts),
        after=sum_costs(part.after for part in parts),
        at_most=any(part.at_most for part in parts),
        estimated=any(part.estimated for part in parts),
        kept=sum(part.kept for part in parts),
        cached=sum(part.cached for part in parts),
    )


def with_cap(usage: Usage, most: int) -> Usage:
    """``usage`` with at most so many output tokens, its parts within them."""
    if (usage.output_tokens or 0) <= most:
        return usage
    capped: dict[str, int] = {"output_tokens": most}
    left = most
    for name in OUTPUT_FIELDS:
        stated = getattr(usage, name)
        if name == "billed_output_tokens" and stated is not None:
            capped[name] = min(stated, most)
        elif name != "output_tokens" and stated is not None:
            capped[name] = min(stated, left)
            left -= capped[name]
    return replace(usage, **capped)


def mean_usage(blocks: Iterable[Block]) -> tuple[int, int | None, int | None]:
    """How many calls state their tokens, and their mean input and output, in whole tokens."""
    stated = [block for block in blocks if _is_stated(block)]
    calls = sum(block.calls for block in stated)
    if not calls:
        return 0, None, None
    sums = Usage()
    for block in stated:
        sums += block.usage
    return calls, _mean(sums.input_tokens, calls), _mean(sums.output_tokens, calls)


def _is_stated(block: Block) -> bool:
    counts = block.usage.input_tokens, block.usage.output_tokens
    return not block.kind.refused and block.kind.basis != "unknown" and None not in counts


def _mean(tokens: int | None, calls: int) -> int | None:
    return None if tokens is None else (2 * tokens + calls) // (2 * calls)


def _cost(block: Block, card: RateCard | None) -> tuple[Cost, bool]:
    """USD of a block at ``card``, and whether its long-context price had to be guessed."""
    kind = block.kind
    if kind.refused or kind.basis == "unknown":
        return block_cost(block, {}), False
    if card is None:
        name = f"{kind.provider}/{kind.model}" if kind.provider else kind.model
        return Cost(None, "unpriced", (f"no price for {name}",)), False
    band, guessed = _band(block, card)
    return cost(card, block.usage, band=band, calls=block.calls), guessed


def _band(block: Block, card: RateCard) -> tuple[int, bool]:
    """The price band of a block at another card, and whether the mean call had to decide it."""
    tokens, calls, known = block.usage.input_tokens or 0, block.calls, block.kind.band
    if card.id == block.kind.card:
        return known, False
    mean = card.band(-(-tokens // calls) if calls else 0)
    least, most = card.band(known + 1 if known else 0), card.band(tokens)
    return mean, calls > 1 and least != most


def usd_of(cost: Cost) -> Decimal | None:
    """USD that are wholly known; None where a part has no price."""
    return cost.usd if cost.status == "priced" else None
