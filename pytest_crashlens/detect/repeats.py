"""Retry storms, re-asking and corrections over and over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_crashlens.detect.detection import Level
from pytest_crashlens.detect.seen import Found, Link, Seen, follows, model_of

RETRIES_ALLOWED = 3
_RETRY_WINDOW = 600.0
_REASK_WINDOW = 30.0
_REASKS = 4
_REASKS_FAIL = 6
_ASKED_ONCE = 2
"""Other requests of a place, asked just once, that show that it does not sample."""
_CORRECTIONS = 3
_CORRECTIONS_FAIL = 5


def retry_storms(calls: Sequence[Seen], allowed: int = RETRIES_ALLOWED) -> Iterator[Found]:
    """Requests whose failed attempts were repeated more often than allowed."""
    for chain in _runs(calls, lambda before, after: before.failed, _RETRY_WINDOW):
        attempts = sum(calls[member].call.attempts for member in chain)
        if attempts - 1 <= allowed:
            continue
        first, last = calls[chain[0]], calls[chain[-1]]
        end = "and failed" if last.failed else "until it was answered"
        # what the last one cost is the answer's price
        wasted = tuple(m for m in chain if m != chain[-1] or last.failed or last.call.unanswered)
        text = (
            f"one request to {model_of(first)} was sent {attempts} times {end} "
            f"({attempts - 1 - allowed} more than the {allowed} retries allowed)"
        )
        yield Found("retry_storm", "failure", tuple(chain), wasted, text)


def reask_loops(calls: Sequence[Seen]) -> Iterator[Found]:
    """Identical requests that were answered and asked again, until an answer was liked.

    Sampling several answers looks the same, so more must speak for it: the answers were empty or
    cut off, or the same place asks other requests once only, while who samples does so each time.
    """
    per_site: dict[str, Counter[str]] = {}
    for one in calls:
        if one.succeeded and one.call.call_site:
            per_site.setdefault(one.call.call_site, Counter())[one.call.fingerprint] += 1
    for chain in _runs(calls, _answered_and_asked_again, _REASK_WINDOW):
        if len(chain) < _REASKS:
            continue
        first = calls[chain[0]]
        counts = per_site.get(first.call.call_site or "", Counter())
        rejected = all(calls[member].unusable for member in chain[:-1])
        once = sum(count == 1 for count in counts.values())
        if not rejected and (once < _ASKED_ONCE or first.shape.samples is False):
            continue
        why = "its answers were empty or cut off" if rejected else "other requests were asked once"
        text = f"one request to {model_of(first)} was asked {len(chain)} times in a row; {why}"
        level: Level = "failure" if len(chain) >= _REASKS_FAIL else "warning"
        yield Found("reask_loop", level, tuple(chain), tuple(chain[:-1]), text)


def feedback_loops(calls: Sequence[Seen], linked: Mapping[int, Link]) -> Iterator[Found]:
    """Answers sent back with a complaint, again and again."""
    chains: dict[int, list[int]] = {}
    for position in range(len(calls)):
        link = linked.get(position)
        if link is not None and _is_correction(link):
            chain = chains.pop(link.before, [link.before])
            chains[position] = [*chain, position]
    for chain in chains.values():
        corrections = len(chain) - 1
        if corrections >= _CORRECTIONS:
            text = (
                f"an answer of {model_of(calls[chain[0]])} was sent back "
                f"{corrections} times with a complaint"
            )
            level: Level = "failure" if corrections >= _CORRECTIONS_FAIL else "warning"
            yield Found("feedback_loop", level, tuple(chain), tuple(chain[:-1]), text)


def _is_correction(link: Link) -> bool:
    replies = [turn for turn in link.turns if turn.kind in ("user", "tool_result")]
    texts = [turn for turn in replies if turn.kind == "user"]
    return bool(replies) and (
        any(turn.complains for turn in texts) if texts else all(turn.complains for turn in replies)
    )


def _answered_and_asked_again(before: Seen, after: Seen) -> bool:
    return before.succeeded and after.succeeded


def _runs(
    calls: Sequence[Seen], joins: Callable[[Seen, Seen], bool], within: float
) -> list[list[int]]:
    """Calls with the same body, one after the other; nothing else from their place in between."""
    chains: list[list[int]] = []
    last_of_site: dict[str | None, list[int]] = {}
    last_of_body: dict[tuple[str, str], list[int]] = {}
    for position, one in enumerate(calls):
        call = one.call
        body = call.host, call.fingerprint
        chain = last_of_body.get(body) if call.fingerprint else None
        before = calls[chain[-1]] if chain else None
        if (
            chain is None
            or before is None
            or last_of_site.get(call.call_site) is not chain
            or not joins(before, one)
            or not follows(before, one, within)
        ):
            chain = []
            chains.append(chain)
        chain.append(position)
        last_of_site[call.call_site] = last_of_body[body] = chain
    return chains
