"""Keeps what adapters see. No I/O, no locks, no parsing while a request is in flight."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import lru_cache
from urllib.parse import urlsplit

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.lanes import Lanes
from pytest_crashlens.capture.live_calls import LiveCallBlocked, LiveCalls, blocked, proxy_hosts
from pytest_crashlens.capture.owners import Owner, Owners
from pytest_crashlens.model.exchange import Ended, Exchange


class Recorder:
    """Collects the attempts of one test process, by owner."""

    def __init__(
        self,
        *,
        wanted: Callable[[str, str], bool],
        call_sites: CallSites,
        is_provider: Callable[[str], bool] = lambda host: False,
        live_calls: LiveCalls | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Record requests for which ``wanted(method, url)``.

        Args:
            wanted: whether a request may be an LLM call.
            call_sites: finds the project's line that sends a request.
            is_provider: whether a host is known to serve models: looked up without a request
                that an adapter saw, it is noted as uncaptured.
            live_calls: which of them may leave for the network; None: all.
            clock: seconds; bound here, before a test can freeze the one in the time module.
        """
        self.owners = Owners()
        self.lanes = Lanes()
        self.faults: list[str] = []
        """Faults of our own, one line each; the code under test never sees them."""
        self._wanted = wanted
        self._call_sites = call_sites
        self._is_provider = lru_cache(maxsize=1024)(is_provider)
        self.live_calls = live_calls
        self._clock = clock
        self._host_of = lru_cache(maxsize=1024)(_host_of)
        self.on_begin: Callable[[Attempt, Owner], None] = lambda attempt, owner: None
        """Called with every attempt that has begun."""
        self.before_sending: Callable[[], None] = lambda: None
        """For adapters with nothing below them: called before what is in flight is sent; may raise
        a BaseException."""
        self._unanswered: dict[Attempt, Owner] = {}
        self._in_flight: ContextVar[Attempt | None] = ContextVar("crashlens_attempt", default=None)
        self._open = True

    def begin(
        self, method: str, url: str, body: Callable[[], bytes], headers: Mapping[str, str]
    ) -> tuple[Attempt, Token[Attempt | None]] | None:
        """Start an attempt; None: not of interest, or an outer layer has it already."""
        if not self._open:
            return None
        if not self._wanted(method, url):
            self._saw_other(url)
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
            request_headers=headers,
            started=self._clock(),
            lane=self.lanes.here(),
            call_site=self.call_site() or self._call_sites.awaited_by(owner.coroutine),
            task=self.owners.task_of(owner),
        )
        if owner is self.owners.late and (origin := self.owners.origin()):
            attempt.origin = origin.name
        owner.attempts.append(attempt)
        self._unanswered[attempt] = owner
        self.on_begin(attempt, owner)
        return attempt, self._in_flight.set(attempt)

    def in_flight(self) -> tuple[Attempt | None, Owner | None]:
        """What this context is sending and has no answer yet, and whose it is."""
        attempt = self._in_flight.get() if self._open else None
        return attempt, None if attempt is None else self._unanswered.get(attempt)

    def call_site(self) -> str | None:
        """The line of the project that is at work here, or that handed the work to this thread."""
        return self._call_sites.here() or self.owners.handed_over_at()

    def leave(self, token: Token[Attempt | None]) -> None:
        """The request is no longer in flight in this context."""
        with suppress(ValueError):  # given up in another context than begun: it dies with that
            self._in_flight.reset(token)

    def answered(self, attempt: Attempt, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers have arrived."""
        attempt.response_headers = headers
        attempt.status = status
        owner = self._unanswered.pop(attempt, None)
        if owner is not None and attempt.live and self.live_calls is not None:
            self._refuse_late(attempt, owner, self.live_calls)

    def went_out(self) -> None:
        """A layer below the attempt in flight here got its answer over a network."""
        attempt = self._in_flight.get()
        if attempt is not None and attempt.status is None and attempt.ended is None:
            attempt.live = True

    def reaching(self, host: str) -> None:
        """Somebody is about to connect to ``host``.

        Raises:
            LiveCallBlocked: live calls are refused, this is one, and its host is not allowed.
        """
        refusal = None
        try:
            refusal = self._reaching(host.lower())
        except Exception as fault:
            self.fault("look-up of a host", fault)
        if refusal is not None:
            raise blocked(refusal)

    def _reaching(self, host: str) -> str | None:
        if not self._open:
            return None
        going = [one for one in list(self._unanswered) if self._host_of(one.url) == host]
        if not going and host in proxy_hosts() and (attempt := self._in_flight.get()):
            going = [attempt] if attempt in self._unanswered else []
        if not going and not self._is_provider(host):
            return None
        owner = self._unanswered.get(going[0]) if going else None
        owner = owner or self.owners.of_request()
        if self.live_calls is not None and not self.live_calls.allowed(host):
            what = f"{going[0].method} {_without_query(going[0].url)}" if going else host
            site = going[0].call_site if going else self._call_sites.here()
            refusal = self.live_calls.refusal(what, site, host, owner.where)
            (self.owners.late if owner.finished else owner).refused.append(refusal)
            for attempt in going:
                attempt.error = LiveCallBlocked.__name__  # whatever it is wrapped in further up
            return refusal
        for attempt in going:
            attempt.live = True  # it goes out, whether or not an answer comes
        if not going and host in owner.others:
            owner.others.discard(host)  # it was looked up for that request; the next is not
        elif not going:
            owner.uncaptured[host] = None
        return None

    def _saw_other(self, url: str) -> None:
        """A request that is no LLM call was seen: its host is looked up for that."""
        host = self._host_of(url)
        if self._is_provider(host):
            self.owners.of_request().others.add(host)

    def _refuse_late(self, attempt: Attempt, owner: Owner, live_calls: LiveCalls) -> None:
        if attempt.error == LiveCallBlocked.__name__:
            return  # that is told already
        host = self._host_of(attempt.url)
        if not live_calls.allowed(host):
            what = f"{attempt.method} {_without_query(attempt.url)}"
            told = live_calls.too_late(what, attempt.call_site, owner.where)
            (self.owners.late if owner.finished else owner).refused.append(told)

    def end(self, attempt: Attempt, ended: Ended, error: BaseException | None = None) -> None:
        """The attempt is over; the first ending counts."""
        owner = self._unanswered.pop(attempt, None)
        if owner is not None and attempt.live and self.live_calls is not None:
            self._refuse_late(attempt, owner, self.live_calls)  # it went out, whatever came back
        if attempt.ended is None:
            attempt.ended = ended
            attempt.finished = self._clock()
            if error is not None:
                attempt.error = attempt.error or type(error).__name__

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


def _host_of(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def _raised_at(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    filename = trace.tb_frame.f_code.co_filename
    return f" ({filename[filename.rfind(os.sep) + 1 :]}:{trace.tb_lineno})"
