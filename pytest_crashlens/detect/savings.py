"""What the same answers could have cost less: duplicates, prompt caches, output caps."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import NamedTuple

from pytest_crashlens.detect.detection import Detection, DetectionKind
from pytest_crashlens.detect.seen import Found, Seen, model_of, pause, sites
from pytest_crashlens.model.money import EXACT, format_usd
from pytest_crashlens.model.request_shape import PREFIX_STEP
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.card import RateCard, cost

_SAME_EVERY_TIME = frozenset({"embeddings", "rerank", "moderations"})
_CACHE_LIFETIME = 300.0
_WORTH_IT = Decimal("0.2")
"""Share of the input's cost that a cache must save to be mentioned."""
_MINIMUMS = tuple(
    (re.compile(pattern), tokens)
    for pattern, tokens in (
        (
            r"claude-(?:3-opus|3(?:[-.][57])?-sonnet|opus-4[-.]1|sonnet-4[-.]5"
            r"|(?:opus|sonnet)-4(?:[-.]0)?(?=$|-20\d|[@:]|-v))(?!\d)",
            1_024,
        ),
        (r"claude-sonnet-4[-.]6|claude-3(?:[-.]5)?-haiku", 2_048),
        (r"claude", 4_096),
    )
)
"""Models whose cache must be asked for, and the shortest beginning that they keep; of those
that providers' pages state differently, the longest. A model not listed needs none, or has none.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching"""
_LARGE_CAP, _LARGE_CAP_BEYOND, _LARGE_CAP_CALLS = 16, 4_096, 5


def duplicates(calls: Sequence[Seen], claimed: Collection[int] = ()) -> Iterator[Found]:
    """Identical requests whose answer is the same by their own settings: a cache saves them.

    Where a temperature above zero is set, or none, several answers may be wanted.
    """
    same: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, one in enumerate(calls):
        call = one.call
        settled = one.shape.samples is False or call.endpoint in _SAME_EVERY_TIME
        if settled and one.succeeded and call.fingerprint and position not in claimed:
            same[call.host, call.fingerprint].append(position)
    for members in same.values():
        if len(members) > 1:
            text = (
                f"one request to {model_of(calls[members[0]])} was answered {len(members)} times, "
                "and its settings ask for the same answer each time"
            )
            yield Found("duplicate", "info", tuple(members), tuple(members[1:]), text)


class _Shared(NamedTuple):
    """Calls that begin alike."""

    members: tuple[int, ...]
    tokens: int
    saved: Decimal
    paid: Decimal


def prompt_caches(calls: Sequence[Seen], claimed: Collection[int] = ()) -> Iterator[Detection]:
    """Long beginnings that several calls share and that no cache was asked to keep.

    Only for models whose cache must be asked for. The size in tokens is estimated from the call's
    own tokens per character; writing to the cache, its lifetime and calls at the same time are
    taken into account.
    """
    by_model: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, one in enumerate(calls):
        if position not in claimed and _could_cache(one):
            by_model[one.call.provider, one.call.model or ""].append(position)
    for positions in by_model.values():
        left = set(positions)
        while best := _best(calls, sorted(left)):
            left -= set(best.members)
            yield _advice(calls, best)


def _could_cache(one: Seen) -> bool:
    usage, shape = one.call.usage, one.shape
    return (
        one.succeeded
        and one.card is not None
        and {"input", "cache_read", "cache_write"} <= one.card.rates.keys()
        and minimum(one.call.model) is not None
        and bool(usage.input_tokens and shape.characters and shape.prefix)
        and not (usage.cache_read_tokens or usage.cache_write_tokens or shape.cache_marks)
        and not one.call.input_parts.images
    )


def minimum(model: str | None) -> int | None:
    """The shortest beginning in tokens that the model's cache keeps; None: nothing to ask for."""
    name = (model or "").lower()
    return next((tokens for pattern, tokens in _MINIMUMS if pattern.search(name)), None)


def _best(calls: Sequence[Seen], positions: Sequence[int]) -> _Shared | None:
    begins: dict[tuple[int, str], list[int]] = defaultdict(list)
    for position in positions:
        for length, digest in enumerate(calls[position].shape.prefix, 1):
            begins[length, digest].append(position)
    found = (
        _shared(calls, members, length * PREFIX_STEP)
        for (length, _), members in begins.items()
        if len(members) > 1
    )
    return max((one for one in found if one), key=lambda one: one.saved, default=None)


def _shared(calls: Sequence[Seen], members: Sequence[int], characters: int) -> _Shared | None:
    tokens = min(
        (calls[member].call.usage.input_tokens or 0) * characters // calls[member].shape.characters
        for member in members
    )
    if 10 * tokens < 11 * (minimum(calls[members[0]].call.model) or 0):  # the size is an estimate
        return None
    with localcontext(EXACT):
        saved = paid = Decimal(0)
        ordered = sorted((calls[member] for member in members), key=lambda one: one.started)
        writer = used = ordered[0]
        for one in ordered:
            band = one.call.usage.input_tokens
            hit = pause(writer, one) is not None and one.started - used.started <= _CACHE_LIFETIME
            kept = {"cache_read_tokens": tokens} if hit else {"cache_write_tokens": tokens}
            now = _usd(one.card, Usage(input_tokens=tokens, output_tokens=0), band)
            then = _usd(one.card, Usage(input_tokens=tokens, output_tokens=0, **kept), band)
            if now is None or then is None:
                return None
            saved += now - then
            paid += now * (band or 0) / tokens
            if not hit and pause(used, one) is not None:  # it had expired
                writer = one
            used = one
        if saved <= 0 or saved < paid * _WORTH_IT:
            return None
    return _Shared(tuple(members), tokens, saved, paid)


def _usd(card: RateCard | None, usage: Usage, input_tokens: int | None) -> Decimal | None:
    if card is None:
        return None
    priced = cost(card, usage, band=card.band(input_tokens))
    return priced.usd if priced.status == "priced" else None


def _advice(calls: Sequence[Seen], best: _Shared) -> Detection:
    involved = [calls[member] for member in best.members]
    return Detection(
        kind="prompt_cache",
        level="info",
        text=f"{len(involved)} calls to {model_of(involved[0])} begin with the same "
        f"~{best.tokens:,} tokens, and no prompt cache is asked for: "
        f"it would save {format_usd(best.saved)}",
        calls=len(involved),
        call_sites=sites(involved),
        waste_usd=best.saved,
        # tokens are not saved: they become cheaper
    )


def output_caps(calls: Sequence[Seen]) -> Iterator[Detection]:
    """Places that set no cap on the output, or one far above all that was ever answered.

    Nothing is said of calls whose request was not seen.
    """
    places: dict[tuple[str | None, str, bool], list[Seen]] = defaultdict(list)
    for one in calls:
        asked = one.shape.count or one.call.max_output_tokens is not None
        if asked and one.succeeded and one.call.usage.output_tokens:
            key = one.call.call_site, model_of(one), one.call.max_output_tokens is None
            places[key].append(one)
    for (_, model, uncapped), group in places.items():
        most = max(one.call.usage.output_tokens or 0 for one in group)
        if uncapped:
            text = f"no output cap is set for {model}; the longest answer had {most:,} tokens"
            yield _cap(group, "no_output_cap", text)
            continue
        cap = min(one.call.max_output_tokens or 0 for one in group)
        far = cap >= _LARGE_CAP * most and cap - most >= _LARGE_CAP_BEYOND
        if far and len(group) >= _LARGE_CAP_CALLS:
            text = (
                f"the output cap of {cap:,} tokens for {model} is {cap // most} times "
                f"the longest of {len(group)} answers ({most:,} tokens)"
            )
            yield _cap(group, "large_output_cap", text)


def _cap(group: Sequence[Seen], kind: DetectionKind, text: str) -> Detection:
    return Detection(
        kind=kind,
        level="info",
        text=text,
        calls=len(group),
        call_sites=sites(group),
        waste_usd=Decimal(0),  # a risk: nothing was spent for it yet
    )
