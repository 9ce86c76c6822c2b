"""Why a test uses more or less than its baseline: causes that sum to the change exactly.

From before to now leads a path of small steps (another model, more calls, longer input ...), each
with its own cost and tokens; a cause is the difference that one step makes. What is lost by looking
at mean calls is a step of its own, so that nothing is left over, in tokens or in USD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from pytest_crashlens.baseline.entry import Block, Entry
from pytest_crashlens.baseline.pairs import (
    cost_at,
    cost_of,
    difference,
    model_text,
    pairs,
    sum_of,
    summed,
)
from pytest_crashlens.model.input_parts import PARTS
from pytest_crashlens.model.usage import OUTPUT_FIELDS, USAGE_FIELDS, Usage
from pytest_crashlens.pricing.card import RateCard

CauseKind = Literal["model", "calls", "input", "cache", "output", "reasoning", "retries"]

Measure = Callable[[Usage], int | None]

_ZERO = Decimal(0)
_INPUT_PARTS = tuple(
    name for name in USAGE_FIELDS if name not in (*OUTPUT_FIELDS, "input_tokens", "web_searches")
)
_IMAGE_CHARACTERS = 1_000
"""An image weighs about as much: several hundred tokens. It only decides which part is first."""
_OTHERWISE: dict[CauseKind, str] = {
    "model": "another rate card",
    "calls": "number of calls",
    "input": "input per call",
    "cache": "other parts of the input (cache writes, audio, images, searches)",
    "output": "other parts of the output (audio, images, billed units)",
    "reasoning": "reasoning",
}
"""Words for a step that moved something but none of its usual counts."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why a test uses more or less than its baseline."""

    kind: CauseKind
    text: str
    usd: Decimal | None
    """Its share of the change in cost; None where that has no price."""
    tokens: int = 0
    """Its share of the change of all tokens."""
    model: str = ""
    """The model (now) it is about."""


def causes(before: Entry, now: Entry, cards: Mapping[str, RateCard]) -> tuple[Cause, ...]:
    """All causes, largest rise first: by money, then by tokens.

    Their tokens always sum to the change of all tokens; their USD to the change in cost, unless
    some of it has no price.
    """
    side_by_side = pairs(before, now)
    found = [
        cause for old, new in side_by_side if old != new for cause in _between(old, new, cards)
    ]
    if len(side_by_side) > 1:
        found = [_of_model(cause) for cause in found]
    retries = now.retries - before.retries
    if retries:
        found.append(Cause("retries", count(retries, "retry", "retries"), _ZERO))
    return tuple(sorted(found, key=lambda cause: (-(cause.usd or 0), -cause.tokens)))


def _between(
    before: Sequence[Block], now: Sequence[Block], cards: Mapping[str, RateCard]
) -> list[Cause]:
    """Causes within one model, or within a pair where one model took another's place."""
    if not now or not before:
        return [_calls_alone(before, now, cards)]
    old, new = summed(before), summed(now)
    thinks = bool(old.usage.reasoning_tokens or new.usage.reasoning_tokens)
    steps = _steps(old, new)
    texts: list[tuple[CauseKind, str]] = [
        ("model", model_text(old, new)),
        ("calls", count(new.calls - old.calls, *_words(new))),
        ("input", _input_text(old, new)),
        ("cache", _cache_text(old, new, steps[3][1])),
        ("output", _per_call("visible output" if thinks else "output", old, new, _visible)),
        ("reasoning", _per_call("reasoning", old, new, _reasoning)),
    ]
    model = new.kind.model
    ends = cost_of(before, cards).usd, cost_of(now, cards).usd
    costs = [cost_at(block, usage, calls, cards) for block, usage, calls in steps]
    if None not in ends:  # then a step without a price of its own leaves it to the next one
        costs = _filled(costs, ends[0])
    found = []
    for (kind, text), (start, end), (first, then) in zip(
        texts, pairwise(costs), pairwise(steps), strict=True
    ):
        usd = difference(start, end)
        tokens = then[1].total_tokens - first[1].total_tokens
        if text or usd or tokens:
            found.append(Cause(kind, text or _OTHERWISE[kind], usd, tokens, model))
    # the path prices every call as the mean one; single long calls may be dearer
    entering, leaving = difference(ends[0], costs[0]), difference(costs[-1], ends[1])
    if entering is not None and leaving is not None and (usd := sum_of(entering, leaving)):
        banded = any(block.kind.band for block in (*before, *now))
        text = "prices above the long-context threshold" if banded else _OTHERWISE["model"]
        found.append(Cause("input" if banded else "model", text, usd, 0, model))
    return found


def _calls_alone(
    before: Sequence[Block], now: Sequence[Block], cards: Mapping[str, RateCard]
) -> Cause:
    block = summed(now or before)
    sign = 1 if now else -1
    usd = cost_of(now or before, cards).usd
    return Cause(
        "calls",
        f"{count(sign * block.calls, *_words(block))}, {block.kind.model}",
        None if usd is None else difference(usd, _ZERO) if sign < 0 else usd,
        sign * block.usage.total_tokens,
        block.kind.model,
    )


def _words(block: Block) -> tuple[str, str]:
    return ("refused call", "refused calls") if block.kind.refused else ("call", "calls")


Step = tuple[Block, Usage, int]
"""The kind of call, and the usage of so many calls of it."""


def _steps(old: Block, new: Block) -> list[Step]:
    """The path from before to now: model, calls, input, cache, visible output, reasoning."""
    ratio = Fraction(new.calls, old.calls) if old.calls else Fraction(1)
    more_calls = _scaled(old.usage, ratio)
    more_input = _with_input(more_calls, new)
    recached = replace(new.usage, **_output_of(more_calls))
    said = _with_reasoning(new.usage, more_calls.reasoning_tokens)
    return [
        (old, old.usage, old.calls),
        (new, old.usage, old.calls),
        (new, more_calls, new.calls),
        (new, more_input, new.calls),
        (new, recached, new.calls),
        (new, said, new.calls),
        (new, new.usage, new.calls),
    ]


def _filled(costs: Sequence[Decimal | None], first: Decimal | None) -> list[Decimal | None]:
    filled, last = [], first
    for usd in costs:
        last = last if usd is None else usd
        filled.append(last)
    return filled


def _scaled(usage: Usage, ratio: Fraction) -> Usage:
    return Usage(**{name: round(value * ratio) for name, value in usage.to_dict().items()})


def _with_input(usage: Usage, new: Block) -> Usage:
    """With the total input of ``new``, and of its parts what that alone explains.

    Where the input grows, what was cached may stay as it is (the news are behind it) or grow in
    proportion: between the two nothing is the cache's doing, nor is a token of rounding per call.
    """
    input_tokens = new.usage.input_tokens
    if not usage.input_tokens or input_tokens is None:
        return replace(usage, input_tokens=input_tokens)
    ratio = Fraction(input_tokens, usage.input_tokens)
    parts: dict[str, int | None] = {"input_tokens": input_tokens}
    for name in _INPUT_PARTS:
        before, now = getattr(usage, name), getattr(new.usage, name)
        if before is not None:
            least, most = sorted((before, round(before * ratio)))
            near = least - new.calls <= (now or 0) <= most + new.calls
            parts[name] = now if near else min(max(now or 0, least), most)
    return replace(usage, **parts)


def _with_reasoning(usage: Usage, reasoning_tokens: int | None) -> Usage:
    """With other reasoning and the visible output as it is."""
    if usage.output_tokens is None or usage.reasoning_tokens == reasoning_tokens:
        return usage
    output = _visible(usage) + (reasoning_tokens or 0)
    return replace(usage, output_tokens=output, reasoning_tokens=reasoning_tokens)


def _output_of(usage: Usage) -> dict[str, int | None]:
    return {name: getattr(usage, name) for name in OUTPUT_FIELDS}


def _input(usage: Usage) -> int | None:
    return usage.input_tokens


def _reasoning(usage: Usage) -> int:
    return min(usage.reasoning_tokens or 0, usage.output_tokens or 0)


def _visible(usage: Usage) -> int:
    """Output beside the reasoning, which is none where nothing is stated of it."""
    return (usage.output_tokens or 0) - _reasoning(usage)


def _of_model(cause: Cause) -> Cause:
    if not cause.model or cause.model in cause.text:
        return cause
    return replace(cause, text=f"{cause.text}, {cause.model}")


def count(difference: int, one: str, many: str) -> str:
    """``2 more calls``, ``1 fewer call``; empty for no difference."""
    if not difference:
        return ""
    word = one if abs(difference) == 1 else many
    return f"{abs(difference):,} {'more' if difference > 0 else 'fewer'} {word}"


def _per_call(word: str, old: Block, new: Block, of: Measure) -> str:
    before, now = of(old.usage), of(new.usage)
    if before is None or now is None or not old.calls or not new.calls:
        return "" if before == now else f"{word} {_number(before)} -> {_number(now)} tokens"
    if before * new.calls == now * old.calls:
        return ""
    each = "" if old.calls == new.calls == 1 else " per call"
    a, b = Fraction(before, old.calls), Fraction(now, new.calls)
    if not before:
        return f"{word}{each} 0 -> {_number(b)} tokens"
    return f"{word}{each} {percent_change(a, b)} ({_number(a)} -> {_number(b)} tokens)"


def _input_text(old: Block, new: Block) -> str:
    text = _per_call("input", old, new, _input)
    parts = _parts_text(old, new, grew=_tokens_per_call(new) > _tokens_per_call(old))
    return text and text + parts


def _tokens_per_call(block: Block) -> Fraction:
    return Fraction(block.usage.input_tokens or 0, block.calls or 1)


def _parts_text(old: Block, new: Block, *, grew: bool) -> str:
    """The parts that made the input grow (or shrink), largest first: two at most, none of dust."""
    if not (old.input_parts.to_dict() and new.input_parts.to_dict()):
        return ""  # one of them is not known
    changes = []
    for name in PARTS:
        before = Fraction(getattr(old.input_parts, name), old.calls or 1)
        change = round(Fraction(getattr(new.input_parts, name), new.calls or 1) - before)
        weight = abs(change) * (_IMAGE_CHARACTERS if name == "images" else 1)
        if change and (change > 0) is grew:
            changes.append((weight, name, change))
    changes.sort(reverse=True)
    told = [one for one in changes[:2] if one[0] * 10 >= changes[0][0]]
    return "".join(
        f", {name} {change:+,}{'' if name == 'images' else ' characters'}"
        for _, name, change in told
    )


def _cache_text(old: Block, new: Block, expected: Usage) -> str:
    """What comes from the provider's cache or is written to it, where that is not as expected."""
    for word, name in (
        ("cached input", "cache_read_tokens"),
        ("cache writes", "cache_write_tokens"),
    ):
        before, now = getattr(old.usage, name) or 0, getattr(new.usage, name) or 0
        if now != (getattr(expected, name) or 0) and old.calls and new.calls:
            each = "" if old.calls == new.calls == 1 else " per call"
            a, b = Fraction(before, old.calls), Fraction(now, new.calls)
            return f"{word}{each} {_number(a)} -> {_number(b)} tokens"
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
