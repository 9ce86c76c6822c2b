"""One question put to several models, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from itertools import pairwise

from pytest_crashlens.detect.seen import Found, Seen, follows, model_of
from pytest_crashlens.model.money import EXACT

_WINDOW = 120.0
_STORM = 3


def fallbacks(calls: Sequence[Seen]) -> Iterator[Found]:
    """Model changes on the same conversation: after errors, or after answers that were paid for.

    That several models work in one test is no fallback, and comparing them on one question is
    none either: an answer that was fine must not be followed by other models everywhere.
    """
    chains = _chains(calls)
    for chain in chains:
        changes = [
            (before, after)
            for before, after in pairwise(chain)
            if model_of(calls[before]) != model_of(calls[after])
        ]
        if not changes:
            continue
        lost = [before for before, _ in changes if _lost(calls[before])]
        models = " -> ".join(dict.fromkeys(model_of(calls[member]) for member in chain))
        members, wasted = tuple(chain), tuple(chain[:-1])
        if len(lost) == len(changes) >= _STORM:
            text = f"one question went through {len(changes) + 1} models: {models}"
            yield Found("fallback_storm", "failure", members, wasted, text)
        elif any(calls[before].succeeded for before in lost):
            text = f"a paid answer was empty or cut off, then another model was asked: {models}"
            yield Found("fallback_up", "warning", members, wasted, text)
        elif len(lost) == len(changes):
            text = f"after an error another model was asked: {models}"
            yield Found("fallback_down", "info", members, wasted, text)
        elif len(changes) == 1 and _escalates(calls, chains, *changes[0]):
            text = f"an answer was paid for, then a dearer model was asked the same: {models}"
            yield Found("fallback_up", "warning", members, wasted, text)


def _lost(one: Seen) -> bool:
    return one.failed or one.unusable


def _chains(calls: Sequence[Seen]) -> list[list[int]]:
    """Calls about the same conversation, each begun after the one before."""
    chains: list[list[int]] = []
    latest: dict[str, list[int]] = {}
    for position, one in enumerate(calls):
        conversation = one.shape.conversation
        if not conversation:
            continue
        chain = latest.get(conversation)
        if chain is None or not follows(calls[chain[-1]], one, _WINDOW):
            chain = latest[conversation] = []
            chains.append(chain)
        chain.append(position)
    return chains


def _escalates(
    calls: Sequence[Seen], chains: Sequence[Sequence[int]], before: int, after: int
) -> bool:
    """Whether a dearer model is asked now and then only, as a cascade does and a comparison not."""
    cheap, dear = _per_token(calls[before]), _per_token(calls[after])
    if cheap is None or dear is None or dear <= cheap:
        return False
    where = calls[before].call.call_site, model_of(calls[before])
    return where[0] is not None and any(
        len(chain) == 1
        and calls[chain[0]].succeeded
        and (calls[chain[0]].call.call_site, model_of(calls[chain[0]])) == where
        for chain in chains
    )


def _per_token(one: Seen) -> Decimal | None:
    if one.usd is None or not one.call.usage.total_tokens:
        return None
    with localcontext(EXACT):
        return one.usd / one.call.usage.total_tokens
