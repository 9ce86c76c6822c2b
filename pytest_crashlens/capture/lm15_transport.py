"""Adapter for lm15, the HTTP client that dspy brings along: ``stream`` of its two transports.

It speaks HTTP over sockets of its own, so nothing stands below it that could replay or mock it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.bodies import inflate
from pytest_crashlens.capture.imports import put, together
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sending import AttemptReader, Begun, around, around_async
from pytest_crashlens.capture.tee import passing, passing_async

NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "TransportError"})
"""Errors of lm15 before anything is sent."""


def patch(module: Any, recorder: Recorder) -> Callable[[], None]:
    """Record what the transports of ``lm15.transports`` send, also those made before."""
    reader = _Reader(module, recorder)
    transport, async_transport = module.StdlibTransport, module.StdlibAsyncTransport
    stream, do_stream = transport.__dict__["stream"], async_transport.__dict__["_do_stream"]
    return together(
        put(transport, "stream", around(stream, reader)),
        put(async_transport, "_do_stream", around_async(do_stream, reader)),
    )


class _Reader(AttemptReader):
    def __init__(self, module: Any, recorder: Recorder) -> None:
        self.recorder = recorder
        self._tees = _tee_classes(module, recorder)

    def begin(self, client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Begun | None:
        request = args[0] if args else kwargs.get("request")
        if request is None:
            return None
        begun = self.recorder.begin(
            request.method, request.url, lambda: request.body or b"", _named(request.headers)
        )
        if begun is not None:
            try:
                self.recorder.before_sending()
            except BaseException as refusal:
                self.leave(begun)
                self.recorder.end(begun[0], "error", refusal)
                raise
        return begun

    def failed(self, sent: Begun, error: BaseException) -> None:
        if type(error).__name__ not in NOT_CONNECTED and isinstance(error, Exception):
            sent[0].live = True
        super().failed(sent, error)

    def answered(self, sent: Begun, response: Any) -> None:
        attempt, _ = sent
        attempt.live = True
        self.recorder.answered(attempt, response.status, _named(response.headers))
        attempt.decode = inflate  # it asks for no encoding; a server may send one all the same
        tee = self._tees.get(type(response))
        if tee is None:  # a transport of the user's own
            self.recorder.end(attempt, "unfinished")
            return
        response.crashlens_attempt = attempt
        response.__class__ = tee


def _tee_classes(module: Any, recorder: Recorder) -> dict[type, type]:
    """Subclasses of lm15's responses that keep what they pass on, by the original."""

    class TransportResponse(module.TransportResponse):  # type: ignore[misc]
        crashlens_attempt: Attempt

        def __iter__(self) -> Iterator[bytes]:
            return passing(super().__iter__(), self.crashlens_attempt, recorder)

        def close(self) -> None:
            try:
                super().close()
            finally:
                recorder.end(self.crashlens_attempt, "closed_early")

    class AsyncTransportResponse(module.AsyncTransportResponse):  # type: ignore[misc]
        crashlens_attempt: Attempt

        def __aiter__(self) -> AsyncIterator[bytes]:
            return passing_async(super().__aiter__(), self.crashlens_attempt, recorder)

        async def aclose(self) -> None:
            try:
                await super().aclose()
            finally:
                recorder.end(self.crashlens_attempt, "closed_early")

    originals = (module.TransportResponse, module.AsyncTransportResponse)
    tees = (TransportResponse, AsyncTransportResponse)
    for original, tee in zip(originals, tees, strict=True):
        tee.__module__, tee.__qualname__ = original.__module__, original.__qualname__
    return dict(zip(originals, tees, strict=True))


def _named(headers: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers}
