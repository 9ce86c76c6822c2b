"""``http.client``, over which urllib, urllib3 (so requests) and botocore all send.

Mock and replay tools stand above it, and what they record for real goes through it: so a request
that waits for its answer here is live, also when none comes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.imports import put
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sending import Reader


@dataclass(eq=False, slots=True)
class Going:
    """What a client is sending, and what of it was seen here."""

    attempt: Attempt
    client: object
    """The client itself, to know its own redirects by."""
    recorded: Token[Attempt | None]
    entered: Token[Going | None] | None = None
    statuses: list[int | None] = field(default_factory=list)
    """Of every answer waited for; None where none came."""


class Outgoing:
    """What each context is sending, for the adapters whose libraries use ``http.client``."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._going: ContextVar[Going | None] = ContextVar("crashlens_going", default=None)

    @property
    def client(self) -> object | None:
        """The client that is sending here and now."""
        going = self._going.get()
        return None if going is None else going.client

    def begin(
        self,
        client: object,
        method: str,
        url: str,
        body: Callable[[], bytes],
        headers: Mapping[str, str],
    ) -> Going | None:
        """``client`` is about to send; None: nothing of interest, or seen already."""
        begun = self.recorder.begin(method, url, body, headers)
        if begun is None:
            return None
        going = Going(begun[0], client, begun[1])
        going.entered = self._going.set(going)
        return going

    def leave(self, going: Going) -> None:
        """The client has returned or raised."""
        self.recorder.leave(going.recorded)
        if going.entered is not None:
            with suppress(ValueError):  # given up in another context than begun
                self._going.reset(going.entered)

    def answered(self, going: Going, status: int, headers: Mapping[str, str]) -> Attempt:
        """Status and headers have arrived, for the attempt that is returned."""
        attempt = going.attempt
        if attempt.live is None:
            attempt.live = False  # nothing went out, so somebody answered in its place
        self.recorder.answered(attempt, status, headers)
        return attempt

    def failed(self, going: Going, error: BaseException) -> None:
        """No answer came, for the reason given."""
        if going.attempt.live is None:
            going.attempt.live = False  # nothing went out, whatever the error is wrapped in
        self.recorder.end(going.attempt, "error", error)

    def retried(self, going: Going, failures: Iterable[tuple[int | None, Any]]) -> None:
        """A layer below the client had ``failures`` (status or error) before what is told next."""
        recorder = self.recorder
        for status, error in failures:
            last = going.attempt
            if status is not None:
                self.answered(going, status, {})
                recorder.end(last, "complete")
            else:
                recorder.end(last, "error", error if isinstance(error, BaseException) else None)
            body = functools.partial(bytes, last.request_body)
            begun = recorder.begin(last.method, last.url, body, last.request_headers)
            if begun is None:
                return
            going.attempt = begun[0]
            going.attempt.live = last.live
            recorder.leave(begun[1])

    def patch(self, module: Any) -> Callable[[], None]:
        """See which requests go out over connections of ``http.client``."""
        connection_class = module.HTTPConnection
        original = connection_class.__dict__["getresponse"]

        @functools.wraps(original)
        def getresponse(connection: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            going = self._going.get()
            if going is None:
                return original(connection, *args, **kwargs)
            going.attempt.live = True
            status = None
            try:
                response = original(connection, *args, **kwargs)
                status = getattr(response, "status", None)
            finally:
                going.statuses.append(status)
            return response

        return put(connection_class, "getresponse", getresponse)


class GoingReader(Reader[Going]):
    """Of a library that sends over ``http.client``."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.recorder = outgoing.recorder
        self.outgoing = outgoing

    def leave(self, sent: Going) -> None:
        """The client has returned or raised."""
        self.outgoing.leave(sent)

    def failed(self, sent: Going, error: BaseException) -> None:
        """No answer came."""
        self.outgoing.failed(sent, error)

    def attempt(self, sent: Going) -> Attempt:
        """The last one."""
        return sent.attempt
