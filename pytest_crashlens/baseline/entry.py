"""What one test used, in the form that is stored and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from pytest_crashlens.baseline.runs import RunTotals
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.model.usage import EXACT_SOURCES, Usage, UsageSource, total
from pytest_crashlens.pricing.card import Cost, RateCard, cost

UNNAMED_MODEL = "unknown"
"""Where neither request nor response names a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What calls must share to be summed: one rate card, one price band, one kind of count."""

    provider: str
    model: str
    service_tier: str | None = None
    batch: bool = False
    card: str | None = None
    """Id of the rate card; None: unpriced."""
    band: int = 0
    """The long-context threshold (input tokens) that each of the calls exceeds; 0: none."""
    usage_source: UsageSource = "provider"
    live: bool = False
    """Answered over a network, so that the output varies from run to run."""
    refused: bool = False
    """Answered with an error or never sent: no tokens, no cost."""

    @property
    def basis(self) -> str:
        """``exact``, ``counted``, ``estimated`` or ``unknown``: only equals are compared."""
        if self.refused or self.usage_source in EXACT_SOURCES:
            return "exact"
        return {"tokenizer": "counted", "estimated": "estimated"}.get(self.usage_source, "unknown")


@dataclass(frozen=True, slots=True)
class Block:
    """The sum of some calls of one kind."""

    kind: Kind
    calls: int
    retries: int
    usage: Usage
    input_parts: InputParts = field(default=InputParts(), compare=False)
    """Sizes that explain a change of the input; no part of what is compared."""

    def __add__(self, other: Block) -> Block:
        """Both together, of this one's kind."""
        return Block(
            self.kind,
            self.calls + other.calls,
            self.retries + other.retries,
            self.usage + other.usage,
            self.input_parts + other.input_parts,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One test (or long-lived fixture) in the baseline, or in this run."""

    blocks: tuple[Block, ...] = ()
    runs: RunTotals = field(default=RunTotals(), compare=False)
    """What several runs of a live test used, so that the spread between them is known."""
    reason: str | None = field(default=None, compare=False)
    """Why somebody accepted it, in their words."""

    @property
    def live(self) -> bool:
        """Whether any of it was answered over a network."""
        return any(block.kind.live for block in self.blocks)

    @property
    def refused_calls(self) -> int:
        """Calls that were answered with an error or never sent."""
        return sum(block.calls for block in self.blocks if block.kind.refused)

    @property
    def calls(self) -> int:
        """Logical calls, the refused ones included."""
        return sum(block.calls for block in self.blocks)

    @property
    def retries(self) -> int:
        """Attempts beyond the first of each call."""
        return sum(block.retries for block in self.blocks)

    @property
    def usage(self) -> Usage:
        """All tokens."""
        if len(self.blocks) == 1:
            return self.blocks[0].usage
        return total(block.usage for block in self.blocks)

    @property
    def bases(self) -> frozenset[str]:
        """On what the counts rest, over all blocks."""
        return frozenset(block.kind.basis for block in self.blocks)

    @property
    def estimated(self) -> bool:
        """Whether any count is not the provider's own."""
        return bool(self.bases - {"exact"})

    @property
    def unknown_calls(self) -> int:
        """Billed calls whose usage nobody knows."""
        return sum(block.calls for block in self.blocks if block.kind.basis == "unknown")

    def cost(self, cards: Mapping[str, RateCard]) -> Cost:
        """USD at ``cards``; ``partial`` with the known part when some of it has no price."""
        return sum_costs(block_cost(block, cards) for block in self.blocks)


CardOf = Callable[[Call], RateCard | None]


def entry_of(calls: Iterable[Call], card_of: CardOf) -> tuple[Entry, dict[str, RateCard]]:
    """Sum ``calls`` into blocks priced by ``card_of``; also the cards that were used, by id."""
    sums: dict[Kind, Block] = {}
    cards: dict[str, RateCard] = {}
    for call in calls:
        card = card_of(call) if call.billed else None
        if card is not None:
            cards[card.id] = card
        kind = Kind(
            provider=call.provider,
            model=call.model or UNNAMED_MODEL,
            service_tier=call.service_tier,
            batch=call.batch,
            card=card.id if card else None,
            band=card.band(call.usage.input_tokens) if card else 0,
            usage_source="provider" if not call.billed else call.usage_source,
            live=call.live,
            refused=not call.billed,
        )
        block = Block(kind, 1, call.retries, call.usage, call.input_parts)
        sums[kind] = sums[kind] + block if kind in sums else block
    return Entry(tuple(sorted(sums.values(), key=_order))), cards


def block_cost(block: Block, cards: Mapping[str, RateCard]) -> Cost:
    """USD of one block; refused calls cost nothing, unknown usage has no price."""
    if block.kind.refused:
        return Cost(Decimal(0), "priced", ())
    if block.kind.basis == "unknown":
        return Cost(None, "unpriced", ("usage unknown",))
    card = cards.get(block.kind.card) if block.kind.card else None
    if card is None:
        return Cost(None, "unpriced", (f"no price for {block.kind.provider}/{block.kind.model}",))
    return cost(card, block.usage, band=block.kind.band, calls=block.calls)


def sum_costs(costs: Iterable[Cost]) -> Cost:
    """The sum; a part without a price makes it a lower bound (``partial``), or ``unpriced``."""
    usd = Decimal(0)
    priced, reasons, whole = False, dict[str, None](), True
    for part in costs:
        whole = whole and part.status == "priced"
        reasons |= dict.fromkeys(part.reasons)
        if part.usd is not None:
            priced = True
            with localcontext(EXACT):
                usd += part.usd
    if whole:
        return Cost(usd, "priced", tuple(reasons))
    return Cost(usd if priced else None, "partial" if priced else "unpriced", tuple(reasons))


def _order(block: Block) -> tuple[str, ...]:
    kind = block.kind
    return (
        kind.provider,
        kind.model,
        kind.service_tier or "",
        str(kind.batch),
        f"{kind.band:012}",
        kind.usage_source,
        str(kind.live),
        str(kind.refused),
        kind.card or "",
    )
