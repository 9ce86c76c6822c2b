"""A body stream of ``aiohttp`` that keeps what it passes on.

The stream stays the object that the response, the parser and the connection hold: its class is
replaced by a subclass of its own without slots of its own, which looks over what is taken out of
its buffer. All ways to read (``read``, ``readany``, ``readline``, ``readuntil``, ``readexactly``,
``readchunk``, the iterators) take it from there. Nothing is read that nobody asks for.
"""

from __future__ import annotations

import functools
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.recorder import Recorder

OVERRIDDEN = ("_read_nowait_chunk", "_wait", "feed_eof", "set_exception", "unread_data")


class StreamTees:
    """Makes streams keep what is read from them."""

    def __init__(self, module: Any, recorder: Recorder) -> None:
        """Raises AttributeError where this aiohttp's streams work in another way."""
        for name in OVERRIDDEN:
            getattr(module.StreamReader, name)
        self._closed = module.ClientConnectionError
        self._recorder = recorder
        self._classes: dict[type, type] = {}
        self._readings: dict[int, _Reading] = {}
        """By the stream's id, which has no room for more; taken out as it dies."""

    def put_on(self, stream: Any, attempt: Attempt) -> None:
        """What is read from ``stream`` from now on is kept in ``attempt``."""
        if stream is None or stream.at_eof():
            # nothing to come; and all empty bodies are one stream
            self._recorder.end(attempt, "complete")
            return
        original = type(stream)
        tee = self._classes.get(original)
        if tee is None:
            tee = self._classes[original] = _subclass(original, self)
        self._readings[id(stream)] = _Reading(attempt)
        stream.__class__ = tee
        error = stream.exception()
        if error is not None:  # cut while it was handed over
            self.broken(stream, error)

    def passed(self, stream: Any, data: Any) -> None:
        """``data`` was taken out of the buffer."""
        try:
            reading = self._readings.get(id(stream))
            if reading is None:
                return
            reading.error = None
            reading.attempt.keep(reading.new(data))
            if stream.at_eof():
                self._recorder.end(reading.attempt, "complete")
        except Exception as fault:
            self._recorder.fault("capture of a stream", fault)

    def whole(self, stream: Any) -> None:
        """The server has sent everything."""
        try:
            reading = self._readings.get(id(stream))
            if reading is not None and stream.at_eof():
                self._recorder.end(reading.attempt, "complete")
        except Exception as fault:
            self._recorder.fault("capture of a stream", fault)

    def interrupted(self, stream: Any, error: BaseException) -> None:
        """A reader that waited was cancelled or timed out; it may come back for more."""
        reading = self._readings.get(id(stream))
        if reading is not None:
            reading.error = type(error).__name__  # not the error, which holds the user's frames

    def broken(self, stream: Any, error: Any) -> None:
        """The connection was cut, or the reader has closed the response."""
        try:
            reading = self._readings.get(id(stream))
            if reading is None or reading.attempt.ended is not None:
                return
            name = type(error).__name__ if isinstance(error, BaseException) else error.__name__
            if stream.at_eof():
                self._recorder.end(reading.attempt, "complete")
            elif name != self._closed.__name__ or reading.error is not None:
                reading.attempt.error = reading.error or name
                self._recorder.end(reading.attempt, "error")
            else:
                self._recorder.end(reading.attempt, "closed_early")
        except Exception as fault:
            self._recorder.fault("capture of a stream", fault)

    def put_back(self, stream: Any, data: bytes) -> None:
        """``data`` was put back into the buffer and will be taken out again."""
        reading = self._readings.get(id(stream))
        if reading is not None:
            reading.known += len(data)

    def gone(self, stream: Any) -> None:
        """Nobody holds ``stream`` any more."""
        self._readings.pop(id(stream), None)


class _Reading:
    """How far a stream has been read."""

    __slots__ = ("attempt", "error", "known")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.error: str | None = None
        """What the last reader got instead of data."""
        self.known = 0
        """Bytes at the head of the buffer that have been kept before."""

    def new(self, data: bytes) -> bytes:
        """What of ``data`` has not been kept yet."""
        if not self.known:
            return data
        known = min(self.known, len(data))
        self.known -= known
        return data[known:]


def _subclass(original: Any, tees: StreamTees) -> type:
    @functools.wraps(original._read_nowait_chunk)
    def _read_nowait_chunk(self: Any, n: int) -> Any:
        data = original._read_nowait_chunk(self, n)
        tees.passed(self, data)
        return data

    @functools.wraps(original._wait)
    async def _wait(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return await original._wait(self, *args, **kwargs)
        except BaseException as error:
            tees.interrupted(self, error)
            raise

    @functools.wraps(original.feed_eof)
    def feed_eof(self: Any) -> Any:
        done = original.feed_eof(self)
        tees.whole(self)
        return done

    @functools.wraps(original.set_exception)
    def set_exception(self: Any, exc: Any, *args: Any, **kwargs: Any) -> Any:
        tees.broken(self, exc)
        return original.set_exception(self, exc, *args, **kwargs)

    @functools.wraps(original.unread_data)
    def unread_data(self: Any, data: Any) -> Any:
        done = original.unread_data(self, data)
        tees.put_back(self, data)
        return done

    def __del__(self: Any) -> None:
        tees.gone(self)
        inherited = getattr(original, "__del__", None)
        if inherited is not None:
            inherited(self)

    members = {
        "__slots__": (),
        "__module__": original.__module__,
        "__doc__": original.__doc__,
        "__qualname__": original.__qualname__,
        "_read_nowait_chunk": _read_nowait_chunk,
        "_wait": _wait,
        "feed_eof": feed_eof,
        "set_exception": set_exception,
        "unread_data": unread_data,
        "__del__": __del__,
    }
    return type(original.__name__, (original,), members)
