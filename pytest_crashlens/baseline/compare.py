"""Exact differences between an entry and now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from pytest_crashlens.baseline.causes import Cause, causes
from pytest_crashlens.baseline.entry import Block, Entry
from pytest_crashlens.baseline.pairs import (
    by_model,
    cost_at,
    cost_of,
    model_text,
    pairs,
    sum_of,
    summed,
)
from pytest_crashlens.model.usage import OUTPUT_FIELDS, USAGE_FIELDS, Usage
from pytest_crashlens.pricing.card import Cost, RateCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A test's entry in the baseline beside what it used now, at the same rate cards."""

    before: Entry
    now: Entry
    cards: Mapping[str, RateCard]
    """The cards of both sides: the baseline's, and today's for models that are new to it."""
    _causes: tuple[Cause, ...] | None = field(init=False, default=None, repr=False, compare=False)
    """What :meth:`causes` found: several reports ask for it."""

    @property
    def live(self) -> bool:
        """Whether both sides vary from run to run; what was replayed once is held to its facts."""
        return self.before.live and self.now.live

    @property
    def identical(self) -> bool:
        """Nothing moved at all."""
        return self.before.blocks == self.now.blocks

    @property
    def vanished(self) -> bool:
        """There were calls, and none is seen now: never an improvement."""
        return self.before.calls > 0 and self.now.calls == 0

    @property
    def more_refused(self) -> int:
        """Calls refused now beyond those refused before: no answer is no improvement either."""
        return max(0, self.now.refused_calls - self.before.refused_calls)

    @property
    def basis_changed(self) -> bool:
        """Counts rest on something else than before and cannot be compared as if equal."""
        if not (self.before.calls and self.now.calls):
            return False
        return self.before.bases != self.now.bases or self.basis_moved

    @property
    def basis_moved(self) -> bool:
        """Whether fewer calls rest on one basis and more on another; more calls alone is none."""
        before, now = calls_by_basis(self.before), calls_by_basis(self.now)
        moves = [now.get(basis, 0) - before.get(basis, 0) for basis in before.keys() | now.keys()]
        return any(move < 0 for move in moves) and any(move > 0 for move in moves)

    @property
    def output_varies(self) -> bool:
        """Whether the output of live calls is left out of what is compared as a fact.

        Not where replayed calls went live: in a sum with live output nothing would judge theirs.
        """
        if not self.live:
            return False
        live, replayed = (
            [
                sum(
                    block.calls
                    for block in entry.blocks
                    if block.kind.live is live and not block.kind.refused
                )
                for entry in (self.before, self.now)
            ]
            for live in (True, False)
        )
        return not (live[1] > live[0] and replayed[1] < replayed[0])

    def only(self, wanted: Callable[[Block], bool]) -> Comparison:
        """Of some blocks alone."""
        before, now = (
            replace(entry, blocks=tuple(block for block in entry.blocks if wanted(block)))
            for entry in (self.before, self.now)
        )
        return replace(self, before=before, now=now)

    def reversed(self) -> Comparison:
        """From now back to before."""
        return Comparison(before=self.now, now=self.before, cards=self.cards)

    def costs(self) -> tuple[Cost, Cost]:
        """USD before and now."""
        return self.before.cost(self.cards), self.now.cost(self.cards)

    def judged_costs(self) -> tuple[Cost, Cost]:
        """USD before and now of all that does not vary: of live calls only the input."""
        if not self.output_varies:
            return self.costs()
        return self._without_live_output(self.before), self._without_live_output(self.now)

    def judged_output(self) -> tuple[int, int]:
        """Output tokens before and now of all that does not vary."""
        varies = self.output_varies
        before, now = (
            sum(
                block.usage.output_tokens or 0
                for block in entry.blocks
                if not (varies and block.kind.live)
            )
            for entry in (self.before, self.now)
        )
        return before, now

    def models_cost(self) -> tuple[Decimal, Decimal] | None:
        """USD of the baseline's own tokens at its models and at those that took their place.

        The price of a changed model without any noise; None where no model changed or one of them
        has no price.
        """
        if self.identical:
            return None
        old_usd, new_usd, changed = Decimal(0), Decimal(0), False
        for before, now in pairs(self.before, self.now):
            if not before:
                continue
            usd = moved = cost_of(before, self.cards).usd
            if now:
                old, new = summed(before), summed(now)
                if model_text(old, new):
                    changed = True
                    moved = cost_at(new, old.usage, old.calls, self.cards)
            if usd is None or moved is None:
                return None
            old_usd, new_usd = sum_of(old_usd, usd), sum_of(new_usd, moved)
        return (old_usd, new_usd) if changed else None

    def more_unknown(self) -> tuple[str, ...]:
        """Models with more calls of unknown usage than before."""
        before, now = _unknown_by_model(self.before), _unknown_by_model(self.now)
        return tuple(model for model, calls in now.items() if calls > before.get(model, 0))

    def _without_live_output(self, entry: Entry) -> Cost:
        blocks = [
            replace(block, usage=replace(block.usage, **_NO_OUTPUT))
            if block.kind.live and block.usage.stated
            else block
            for block in entry.blocks
        ]
        return cost_of(blocks, self.cards)

    def unpriced_growth(self) -> tuple[str, ...]:
        """What grew and has no (whole) price, so that the change in cost is unknown."""
        if self.identical:
            return ()
        before = by_model(_known(self.before))
        names: dict[str, None] = {}
        for key, blocks in by_model(_known(self.now)).items():
            block = summed(blocks)
            if cost_of(blocks, self.cards).status == "priced":
                continue
            if _grew(summed(before[key]).usage if key in before else None, block.usage):
                names[f"{block.kind.provider}/{block.kind.model}"] = None
        return tuple(names)

    def causes(self) -> tuple[Cause, ...]:
        """Why the cost changed, largest rise first; where all is priced they sum to the change."""
        if self._causes is None:
            object.__setattr__(self, "_causes", causes(self.before, self.now, self.cards))
        return self._causes or ()


_NO_OUTPUT: dict[str, int | None] = {**dict.fromkeys(OUTPUT_FIELDS), "output_tokens": 0}


def calls_by_basis(entry: Entry) -> dict[str, int]:
    """How many answered calls rest on each basis."""
    calls: dict[str, int] = {}
    for block in entry.blocks:
        if not block.kind.refused:
            calls[block.kind.basis] = calls.get(block.kind.basis, 0) + block.calls
    return calls


def _unknown_by_model(entry: Entry) -> dict[str, int]:
    calls: dict[str, int] = {}
    for block in entry.blocks:
        if block.kind.basis == "unknown":
            name = f"{block.kind.provider}/{block.kind.model}"
            calls[name] = calls.get(name, 0) + block.calls
    return calls


def _known(entry: Entry) -> Entry:
    """Without the calls whose usage nobody knows (they are a state of their own)."""
    return Entry(tuple(block for block in entry.blocks if block.kind.basis != "unknown"))


def _grew(before: Usage | None, now: Usage) -> bool:
    if before is None:
        return True
    uncached = [
        (usage.input_tokens or 0) - (usage.cache_read_tokens or 0) for usage in (before, now)
    ]
    return uncached[1] > uncached[0] or any(
        (getattr(now, name) or 0) > (getattr(before, name) or 0) for name in USAGE_FIELDS
    )
