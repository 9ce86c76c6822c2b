"""Adapter for lm15, the HTTP client that dspy brings along: ``stream`` of its two transports.

It speaks HTTP over sockets of its own, so nothing stands below it that could replay or mock it.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.imports import put
from pytest_crashlens.capture.recorder import Recorder

NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "TransportError"})
"""Errors of lm15 before anything is sent."""


def patch(module: Any, recorder: Recorder) -> Callable[[], None]:
    """Record what the transports of ``lm15.transports`` send, also those made before."""
    reader = _Reader(module, recorder)
    undo = [
        put(module.StdlibTransport, "stream", _sync(module.StdlibTransport, recorder, reader)),
        put(
            module.StdlibAsyncTransport,
            "_do_stream",
            _async(module.StdlibAsyncTransport, recorder, reader),
        ),
    ]

    def undo_all() -> None:
        for step in undo:
            step()

    return undo_all


class _Reader:
    """Guarded steps around one request: a fault of ours is noted and never raised."""

    def __init__(self, module: Any, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tees = _tee_classes(module, recorder)

    def begin(self, request: Any) -> Any:
        try:
            return self._recorder.begin(
                request.method, request.url, lambda: request.body or b"", _named(request.headers)
            )
        except Exception as fault:
            self._recorder.fault("capture of a request", fault)
            return None

    def failed(self, attempt: Attempt, error: BaseException) -> None:
        if type(error).__name__ not in NOT_CONNECTED and isinstance(error, Exception):
            attempt.live = True
        self._recorder.end(attempt, "error", error)

    def answered(self, attempt: Attempt, response: Any) -> None:
        try:
            attempt.live = True
            self._recorder.answered(attempt, response.status, _named(response.headers))
            attempt.decode = _decode
            tee = self._tees.get(type(response))
            if tee is None:  # a transport of the user's own
                self._recorder.end(attempt, "unfinished")
                return
            response.crashlens_attempt = attempt
            response.__class__ = tee
        except Exception as fault:
            self._recorder.fault("capture of a response", fault)
            self._recorder.end(attempt, "unfinished")


def _sync(transport_class: Any, recorder: Recorder, reader: _Reader) -> Any:
    original = transport_class.__dict__["stream"]

    @functools.wraps(original)
    def stream(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        begun = reader.begin(request)
        if begun is None:
            return original(self, request)
        attempt, token = begun
        try:
            response = original(self, request)
        except BaseException as error:
            reader.failed(attempt, error)
            raise
        finally:
            recorder.leave(token)
        reader.answered(attempt, response)
        return response

    return stream


def _async(transport_class: Any, recorder: Recorder, reader: _Reader) -> Any:
    original = transport_class.__dict__["_do_stream"]

    @functools.wraps(original)
    async def _do_stream(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        begun = reader.begin(request)
        if begun is None:
            return await original(self, request)
        attempt, token = begun
        try:
            response = await original(self, request)
        except BaseException as error:
            reader.failed(attempt, error)
            raise
        finally:
            recorder.leave(token)
        reader.answered(attempt, response)
        return response

    return _do_stream


def _tee_classes(module: Any, recorder: Recorder) -> dict[type, type]:
    """Subclasses of lm15's responses that keep what they pass on, by the original."""

    def keep(attempt: Attempt, chunk: bytes) -> None:
        try:
            attempt.keep(chunk)
        except Exception as fault:
            recorder.fault("capture of a stream", fault)

    class TransportResponse(module.TransportResponse):  # type: ignore[misc]
        crashlens_attempt: Attempt

        def __iter__(self) -> Iterator[bytes]:
            attempt = self.crashlens_attempt
            try:
                for chunk in super().__iter__():
                    keep(attempt, chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                recorder.end(attempt, "error", error)
                raise
            recorder.end(attempt, "complete")

        def close(self) -> None:
            try:
                super().close()
            finally:
                recorder.end(self.crashlens_attempt, "closed_early")

    class AsyncTransportResponse(module.AsyncTransportResponse):  # type: ignore[misc]
        crashlens_attempt: Attempt

        async def __aiter__(self) -> AsyncIterator[bytes]:
            attempt = self.crashlens_attempt
            chunks = super().__aiter__()
            try:
                async for chunk in chunks:
                    keep(attempt, chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                recorder.end(attempt, "error", error)
                raise
            finally:
                aclose = getattr(chunks, "aclose", None)
                if aclose is not None:
                    await aclose()
            recorder.end(attempt, "complete")

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


def _decode(body: bytes, encoding: str) -> bytes:
    """lm15 asks for no encoding; a server may send one all the same."""
    if encoding not in ("gzip", "deflate"):
        raise ValueError(encoding)
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body)
