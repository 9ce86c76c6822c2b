"""Attempts -> calls: an SDK's, a library's or a user's own retries are one call."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from pytest_crashlens.model.exchange import Exchange

_RETRIED_STATUSES = frozenset({408, 409, 425, 429})


def group(exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """The attempts of each call, calls and attempts in the order given.

    An attempt belongs to an earlier call when thread, address and body are the same, the call's
    last attempt failed and had ended before this one began, no other task of the same event loop
    sent it, and, where the SDK numbers its retries, the numbers follow each other. So three
    successes are three calls.
    """
    calls: list[list[Exchange]] = []
    retryable: dict[tuple[str, str, bytes], list[list[Exchange]]] = {}
    for exchange in exchanges:
        key = (
            exchange.lane.partition("/")[0],
            exchange.url.partition("?")[0],
            blake2b(exchange.request_body, digest_size=16).digest(),
        )
        waiting = retryable.get(key, [])
        attempts = next((known for known in waiting if _follows(known[-1], exchange)), None)
        if attempts is None:
            attempts = []
            calls.append(attempts)
        attempts.append(exchange)
        still = [known for known in waiting if known is not attempts]
        retryable[key] = [*still, attempts] if failed(exchange) else still
    return calls


def failed(exchange: Exchange) -> bool:
    """Whether the attempt is of a kind that clients try again."""
    status = exchange.status
    return status is None or status in _RETRIED_STATUSES or status >= 500


def _follows(previous: Exchange, exchange: Exchange) -> bool:
    if previous.finished is None or previous.finished > exchange.started:
        return False
    if not _same_work(previous.lane, exchange.lane):
        return False
    number = _retry_number(exchange)
    return number == 0 or _retry_number(previous) == number - 1


def _same_work(before: str, now: str) -> bool:
    """Whether one flow of control can have sent both: loops of a thread follow each other."""
    _, loop_before, task_before = f"{before}//".split("/")[:3]
    _, loop, task = f"{now}//".split("/")[:3]
    return loop_before != loop or task_before == task


def _retry_number(exchange: Exchange) -> int:
    """The SDK's own count (openai and anthropic send it); 0: a first attempt, or not numbered."""
    text = exchange.request_headers.get("x-stainless-retry-count", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
