"""Keeps what adapters see. No I/O, no locks, no parsing while a request is in flight."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from threading import get_ident
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.owners import Owner, Owners
from pytest_crashlens.model.exchange import Ended, Exchange

REQUEST_HEADERS = ("content-type", "x-stainless-retry-count")
RESPONSE_HEADERS = (
    "content-type",
    "content-encoding",
    # in which Bedrock counts the tokens of models whose answers do not
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
)


class Recorder:
    """Collects the attempts of one test process, by owner."""

    def __init__(
        self,
        *,
        wanted: Callable[[str, str], bool],
        call_sites: CallSites,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Record requests for which ``wanted(method, url)``.

        ``clock`` is bound here, before a test can freeze the one in the time module.
        """
        self.owners = Owners()
        self.faults: list[str] = []
        """Faults of our own, one line each; the code under test never sees them."""
        self._wanted = wanted
        self._call_sites = call_sites
        self._clock = clock
        self._in_flight: ContextVar[Attempt | None] = ContextVar("crashlens_attempt", default=None)
        self._open = True

    def begin(
        self, method: str, url: str, body: Callable[[], bytes], headers: Mapping[str, str]
    ) -> tuple[Attempt, Token[Attempt | None]] | None:
        """Start an attempt; None: not of interest, or an outer layer has it already."""
        if not self._open or not self._wanted(method, url):
            return None
        try:
            content = body()
        except Exception:  # a request streamed from a generator has no body to show
            content = b""
        outer = self._in_flight.get()
        if (
            outer is not None
            and outer.status is None
            and outer.ended is None
            and outer.url == url
            and outer.request_body == content
        ):
            return None
        owner = self.owners.of_request()
        attempt = Attempt(
            method=method.upper(),
            url=url,
            request_body=content,
            request_headers=_chosen(headers, REQUEST_HEADERS),
            started=self._clock(),
            lane=_lane(),
            call_site=self._call_sites.here(),
            task=self.owners.task_of(owner),
        )
        owner.attempts.append(attempt)
        return attempt, self._in_flight.set(attempt)

    def leave(self, token: Token[Attempt | None]) -> None:
        """The request is no longer in flight in this context."""
        with suppress(ValueError):  # given up in another context than begun: it dies with that
            self._in_flight.reset(token)

    def answered(self, attempt: Attempt, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers have arrived."""
        attempt.response_headers = _chosen(headers, RESPONSE_HEADERS)
        attempt.status = status

    def end(self, attempt: Attempt, ended: Ended, error: BaseException | None = None) -> None:
        """The attempt is over; the first ending counts."""
        if attempt.ended is None:
            attempt.ended = ended
            attempt.finished = self._clock()
            if error is not None:
                attempt.error = type(error).__name__

    def fault(self, place: str, error: BaseException) -> None:
        """Note a fault of ours at ``place``; not its message, which may quote a prompt."""
        line = f"{place}: {type(error).__name__}{_raised_at(error)}"
        if line not in self.faults:
            self.faults.append(line)

    def take(self, owner: Owner, *, keep_streams: bool = False) -> list[Exchange]:
        """Exchanges of ``owner`` since the last take, oldest first.

        What has no answer yet stays for the next take, and with ``keep_streams`` also the answers
        that are still being read.
        """
        seen = list(owner.attempts)
        staying: list[Attempt] = []
        taken: list[Attempt] = []
        for attempt in seen:
            under_way = attempt.ended is None and (keep_streams or attempt.status is None)
            (staying if under_way else taken).append(attempt)
        owner.attempts[: len(seen)] = staying  # a thread may have added one since
        return [attempt.to_exchange() for attempt in taken]

    def take_all(self, owner: Owner) -> list[Exchange]:
        """Everything of ``owner``, also what never got an answer."""
        seen = list(owner.attempts)
        del owner.attempts[: len(seen)]
        return [attempt.to_exchange() for attempt in seen]

    def close(self) -> None:
        """Record nothing more (a wrapper that could not be removed stays harmless)."""
        self._open = False


def _chosen(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name in names if (value := headers.get(name)) is not None}


def _raised_at(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    filename = trace.tb_frame.f_code.co_filename
    return f" ({filename[filename.rfind(os.sep) + 1 :]}:{trace.tb_lineno})"


def _lane() -> str:
    try:
        task: Any = asyncio.current_task()
    except RuntimeError:
        task = None
    return f"{get_ident()}:{id(task) if task is not None else ''}"
