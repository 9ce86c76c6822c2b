"""Exact differences between an entry and now, and the causes they split into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise, zip_longest
from typing import Literal

from pytest_crashlens.baseline.entry import Block, Entry
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.model.usage import OUTPUT_FIELDS, USAGE_FIELDS, Usage, total
from pytest_crashlens.pricing.card import Cost, RateCard, cost

CauseKind = Literal["model", "calls", "input", "cache", "output", "retries"]


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why a test uses more or less than its baseline."""

    kind: CauseKind
    text: str
    usd: Decimal | None
    """Its share of the change in cost; None where that has no price."""
    model: str = ""
    """The model (now) it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A test's entry in the baseline beside what it used now, at the same rate cards."""

    before: Entry
    now: Entry
    cards: Mapping[str, RateCard]
    """The cards of both sides: the baseline's, and today's for models that are new to it."""

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
        return bool(self.before.calls and self.now.calls) and self.before.bases != self.now.bases

    def reversed(self) -> Comparison:
        """From now back to before."""
        return Comparison(before=self.now, now=self.before, cards=self.cards)

    def costs(self) -> tuple[Cost, Cost]:
        """USD before and now."""
        return self.before.cost(self.cards), self.now.cost(self.cards)

    def judged_costs(self) -> tuple[Cost, Cost]:
        """USD before and now of all that does not vary: of live calls only the input."""
        if not self.live:
            return self.costs()
        return self._without_live_output(self.before), self._without_live_output(self.now)

    def judged_output(self) -> tuple[int, int]:
        """Output tokens before and now of all that does not vary."""
        before, now = (
            sum(
                block.usage.output_tokens or 0
                for block in entry.blocks
                if not (self.live and block.kind.live)
            )
            for entry in (self.before, self.now)
        )
        return before, now

    def models_cost(self) -> tuple[Decimal, Decimal] | None:
        """USD of the baseline's own tokens at its models and at those that took their place.

        The price of a changed model without any noise; None where no model changed or one of them
        has no price.
        """
        old_usd, new_usd, changed = Decimal(0), Decimal(0), False
        for before, now in _pairs(self.before, self.now):
            if not before:
                continue
            usd = moved = _priced(before, self.cards).usd
            if now:
                old, new = _summed(before), _summed(now)
                if _model_text(old, new):
                    changed = True
                    moved = self._at(new, old.usage, old.calls)
            if usd is None or moved is None:
                return None
            old_usd, new_usd = _sum(old_usd, usd), _sum(new_usd, moved)
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
        return _priced(blocks, self.cards)

    def unpriced_growth(self) -> tuple[str, ...]:
        """What grew and has no (whole) price, so that the change in cost is unknown."""
        before = _by_model(_known(self.before))
        names: dict[str, None] = {}
        for key, blocks in _by_model(_known(self.now)).items():
            block = _summed(blocks)
            if _priced(blocks, self.cards).status == "priced":
                continue
            if _grew(_summed(before[key]).usage if key in before else None, block.usage):
                names[f"{block.kind.provider}/{block.kind.model}"] = None
        return tuple(names)

    def causes(self) -> tuple[Cause, ...]:
        """Why the cost changed, largest rise first; where all is priced they sum to the change."""
        pairs = _pairs(self.before, self.now)
        found = [cause for pair in pairs for cause in self._of(*pair)]
        if len(pairs) > 1:
            found = [_of_model(cause) for cause in found]
        retries = self.now.retries - self.before.retries
        if retries:
            found.append(Cause("retries", _count(retries, "retry", "retries"), None))
        return tuple(sorted(found, key=lambda cause: -(cause.usd or 0)))

    def _of(self, before: Sequence[Block], now: Sequence[Block]) -> list[Cause]:
        """Causes within one model, or within a pair where one model took another's place."""
        if not now or not before:
            return self._calls_alone(before, now)
        old, new = _summed(before), _summed(now)
        model = new.kind.model
        texts: list[tuple[CauseKind, str]] = [
            ("model", _model_text(old, new)),
            ("calls", _count(new.calls - old.calls, "call", "calls")),
            ("input", _per_call("input", old, new, "input_tokens")),
            ("cache", _cache_text(old, new)),
            ("output", _per_call("output", old, new, "output_tokens")),
        ]
        real_before, real_now = _priced(before, self.cards).usd, _priced(now, self.cards).usd
        path = self._path(old, new)
        causes = []
        for (kind, text), (start, end) in zip(texts, pairwise(path), strict=True):
            usd = _difference(start, end)
            if text or usd:
                causes.append(Cause(kind, text or _OTHERWISE[kind], usd, model))
        # the path prices every call as the mean one; single long calls may be dearer
        entering = _difference(real_before, path[0])
        leaving = _difference(path[-1], real_now)
        if entering is not None and leaving is not None and (usd := _sum(entering, leaving)):
            causes.append(Cause("input", "prices above the long-context threshold", usd, model))
        return causes

    def _calls_alone(self, before: Sequence[Block], now: Sequence[Block]) -> list[Cause]:
        blocks = now or before
        sign = 1 if now else -1
        text = _count(sign * sum(block.calls for block in blocks), "call", "calls")
        usd = _priced(blocks, self.cards).usd
        model = blocks[0].kind.model
        with localcontext(EXACT):
            return [Cause("calls", f"{text}, {model}", usd and sign * usd, model)]

    def _path(self, old: Block, new: Block) -> list[Decimal | None]:
        """Cost at each step from before to now: model, calls, input, cache, output."""
        ratio = Fraction(new.calls, old.calls) if old.calls else Fraction(1)
        more_calls = _scaled(old.usage, ratio)
        more_input = _with_input(more_calls, new.usage.input_tokens)
        recached = replace(new.usage, **_output_of(more_calls))
        return [
            self._at(old, old.usage, old.calls),
            self._at(new, old.usage, old.calls),
            self._at(new, more_calls, new.calls),
            self._at(new, more_input, new.calls),
            self._at(new, recached, new.calls),
            self._at(new, new.usage, new.calls),
        ]

    def _at(self, block: Block, usage: Usage, calls: int) -> Decimal | None:
        """Cost of ``usage`` at the block's card, as if all calls were of mean size."""
        if block.kind.refused:
            return Decimal(0)
        card = self.cards.get(block.kind.card) if block.kind.card else None
        if card is None or not calls:
            return None
        per_call = (usage.input_tokens or 0) // calls
        return cost(card, usage, band=card.band(per_call), calls=calls).usd


_OTHERWISE: dict[CauseKind, str] = {
    "model": "another rate card",
    "calls": "number of calls",
    "input": "input per call",
    "cache": "other parts of the input (cache writes, audio, images, searches)",
    "output": "other parts of the output (audio, reasoning)",
}
"""Words for a step that moved money but none of its usual counts."""


def _difference(start: Decimal | None, end: Decimal | None) -> Decimal | None:
    if start is None or end is None:
        return None
    with localcontext(EXACT):
        return end - start


def _sum(one: Decimal, other: Decimal) -> Decimal:
    with localcontext(EXACT):
        return one + other


def _model_text(old: Block, new: Block) -> str:
    before, now = old.kind, new.kind
    if before.model != now.model:
        return f"model {before.model} -> {now.model}"
    if before.provider != now.provider:
        return f"provider {before.provider} -> {now.provider}"
    if before.service_tier != now.service_tier:
        tiers = [kind.service_tier or "standard" for kind in (before, now)]
        return f"service tier {tiers[0]} -> {tiers[1]}"
    return ""


_NO_OUTPUT: dict[str, int | None] = {**dict.fromkeys(OUTPUT_FIELDS), "output_tokens": 0}


def _of_model(cause: Cause) -> Cause:
    if not cause.model or cause.model in cause.text:
        return cause
    return replace(cause, text=f"{cause.text}, {cause.model}")


def _unknown_by_model(entry: Entry) -> dict[str, int]:
    calls: dict[str, int] = {}
    for block in entry.blocks:
        if block.kind.basis == "unknown":
            name = f"{block.kind.provider}/{block.kind.model}"
            calls[name] = calls.get(name, 0) + block.calls
    return calls


def _priced(blocks: Sequence[Block], cards: Mapping[str, RateCard]) -> Cost:
    return Entry(tuple(blocks)).cost(cards)


def _known(entry: Entry) -> Entry:
    """Without the calls whose usage nobody knows (they are a state of their own)."""
    return Entry(tuple(block for block in entry.blocks if block.kind.basis != "unknown"))


ModelKey = tuple[str, str, str | None, bool, bool]


def _by_model(entry: Entry) -> dict[ModelKey, list[Block]]:
    groups: dict[ModelKey, list[Block]] = {}
    for block in entry.blocks:
        kind = block.kind
        key = kind.provider, kind.model, kind.service_tier, kind.batch, kind.refused
        groups.setdefault(key, []).append(block)
    return groups


def _pairs(before: Entry, now: Entry) -> list[tuple[list[Block], list[Block]]]:
    """Blocks of equal models side by side; of the rest, the n-th with the n-th by size."""
    old, new = _by_model(before), _by_model(now)
    pairs = [(old.pop(key), new.pop(key)) for key in list(old) if key in new]
    gone, come = (
        sorted(side.values(), key=lambda blocks: -_summed(blocks).usage.total_tokens)
        for side in (old, new)
    )
    return [*pairs, *((a or [], b or []) for a, b in zip_longest(gone, come))]


def _summed(blocks: Sequence[Block]) -> Block:
    return Block(
        max(blocks, key=lambda block: block.calls).kind,
        sum(block.calls for block in blocks),
        sum(block.retries for block in blocks),
        total(block.usage for block in blocks),
    )


def _grew(before: Usage | None, now: Usage) -> bool:
    if before is None:
        return True
    uncached = [
        (usage.input_tokens or 0) - (usage.cache_read_tokens or 0) for usage in (before, now)
    ]
    return uncached[1] > uncached[0] or any(
        (getattr(now, name) or 0) > (getattr(before, name) or 0) for name in USAGE_FIELDS
    )


def _scaled(usage: Usage, ratio: Fraction) -> Usage:
    return Usage(**{name: round(value * ratio) for name, value in usage.to_dict().items()})


def _with_input(usage: Usage, input_tokens: int | None) -> Usage:
    """With another total input, its parts growing or shrinking in proportion."""
    if not usage.input_tokens or input_tokens is None:
        return replace(usage, input_tokens=input_tokens)
    ratio = Fraction(input_tokens, usage.input_tokens)
    parts = _scaled(usage, ratio)
    return replace(parts, **_output_of(usage), web_searches=usage.web_searches)


def _output_of(usage: Usage) -> dict[str, int | None]:
    return {name: getattr(usage, name) for name in OUTPUT_FIELDS}


def _count(difference: int, one: str, many: str) -> str:
    if not difference:
        return ""
    word = one if abs(difference) == 1 else many
    return f"{abs(difference):,} {'more' if difference > 0 else 'fewer'} {word}"


def _per_call(word: str, old: Block, new: Block, name: str) -> str:
    before, now = getattr(old.usage, name), getattr(new.usage, name)
    if before is None or now is None or not old.calls or not new.calls:
        return "" if before == now else f"{word} {_number(before)} -> {_number(now)} tokens"
    if before * new.calls == now * old.calls:
        return ""
    each = "" if old.calls == new.calls == 1 else " per call"
    a, b = Fraction(before, old.calls), Fraction(now, new.calls)
    return f"{word}{each} {percent_change(a, b)} ({_number(a)} -> {_number(b)} tokens)"


def _cache_text(old: Block, new: Block) -> str:
    before, now = old.usage.cache_read_tokens or 0, new.usage.cache_read_tokens or 0
    written = (old.usage.cache_write_tokens or 0, new.usage.cache_write_tokens or 0)
    if old.calls and before * new.calls != now * old.calls:
        return f"cached input {before:,} -> {now:,} tokens"
    if old.calls and written[0] * new.calls != written[1] * old.calls:
        return f"cache writes {written[0]:,} -> {written[1]:,} tokens"
    return ""


def percent_change(before: Fraction | Decimal | int, now: Fraction | Decimal | int) -> str:
    """``+50 %``, ``-8.5 %``, ``new`` from nothing; one decimal below 10 %."""
    if not before:
        return "new" if now else "0 %"
    change = (Fraction(now) / Fraction(before) - 1) * 100
    if not change:
        return "0 %"
    decimals = 1 if abs(change) < 10 else 0
    text = f"{float(change):+,.{decimals}f}"
    return f"{text} %"


def _number(value: Fraction | int | None) -> str:
    if value is None:
        return "?"
    return f"{float(value):,.0f}"
