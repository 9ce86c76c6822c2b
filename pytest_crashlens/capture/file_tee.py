"""Responses that are read like files, and keep what they pass on.

The object stays the one that the user gets: its class is replaced by a subclass of its own which
looks over what its reading methods return. Nothing is read that nobody asks for, and what the
methods call among themselves is not kept twice.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.recorder import Recorder

Decode = Callable[[bytes, str], bytes]

_STATE = "crashlens_reading"
_READS = ("read", "read1", "readall", "readline")
_READS_ALL = ("read", "readall")
"""Those that read to the end unless a number is given."""
_ITERATES = ("stream", "read_chunked")


class FileTees:
    """Makes responses keep what is read from them."""

    def __init__(self, recorder: Recorder, decode: Decode | None) -> None:
        """``decode`` undoes a content-encoding of what is read undecoded."""
        self._recorder = recorder
        self._decode = decode
        self._classes: dict[type, type] = {}

    def put_on(self, response: Any, attempt: Attempt) -> None:
        """What is read from ``response`` from now on is kept in ``attempt``.

        Objects that cannot be extended are left alone: what they say stays unknown.
        """
        if type(response) is io.BytesIO:
            # in memory, and of a class that cannot be replaced
            attempt.decode = self._decode
            attempt.keep(response.getvalue()[response.tell() :])
            self._recorder.end(attempt, "complete")
            return
        original = type(response)
        tee = self._classes.get(original)
        with suppress(AttributeError, TypeError):
            if tee is None:
                tee = self._classes[original] = _subclass(original)
            setattr(response, _STATE, _Reading(self._recorder, attempt, self._decode))
            response.__class__ = tee


class _Reading:
    """How far a response has been read."""

    __slots__ = ("_attempt", "_decode", "_recorder", "busy")

    def __init__(self, recorder: Recorder, attempt: Attempt, decode: Decode | None) -> None:
        self._recorder = recorder
        self._attempt = attempt
        self._decode = decode
        self.busy = False
        """One of the methods is at work, and calls others."""

    def passed(self, chunk: Any, *, decoded: bool) -> None:
        try:
            if isinstance(chunk, bytes | bytearray | memoryview) and chunk:
                self._attempt.decode = None if decoded else self._decode
                self._attempt.keep(bytes(chunk))
        except Exception as fault:
            self._recorder.fault("capture of a stream", fault)

    def complete(self) -> None:
        self._recorder.end(self._attempt, "complete")

    def failed(self, error: BaseException) -> None:
        # http.client hands out what it had read until then in its exception
        self.passed(getattr(error, "partial", None), decoded=False)
        self._recorder.end(self._attempt, "error", error)

    def closed(self) -> None:
        self._recorder.end(self._attempt, "closed_early")


def _subclass(original: type) -> type:
    members: dict[str, Any] = {"__module__": original.__module__, "__doc__": original.__doc__}
    for names, make in (
        (_READS, _read),
        (_ITERATES, _iterate),
        (("readinto", "readinto1"), _read_into),
        (("close",), _close),
    ):
        for name in names:
            method = getattr(original, name, None)
            if method is not None:
                members[name] = make(method)
    made = type(original.__name__, (original,), members)
    made.__qualname__ = original.__qualname__
    return made


def _read(method: Any) -> Any:
    name = method.__name__

    @functools.wraps(method)
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        reading = getattr(self, _STATE)
        if reading.busy:
            return method(self, *args, **kwargs)
        reading.busy = True
        try:
            data = method(self, *args, **kwargs)
        except BaseException as error:
            reading.failed(error)
            raise
        finally:
            reading.busy = False
        decoded = _is_decoded(self, args, kwargs)
        reading.passed(data, decoded=decoded)
        asked = args[0] if args else kwargs.get("amt", kwargs.get("limit"))
        to_the_end = name in _READS_ALL and (asked is None or asked < 0)
        if to_the_end or _is_last(self, asked, data, decoded=decoded):
            reading.complete()
        return data

    return read


def _read_into(method: Any) -> Any:
    @functools.wraps(method)
    def readinto(self: Any, buffer: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        reading = getattr(self, _STATE)
        if reading.busy:
            return method(self, buffer, *args, **kwargs)
        reading.busy = True
        try:
            count = method(self, buffer, *args, **kwargs)
        except BaseException as error:
            reading.failed(error)
            raise
        finally:
            reading.busy = False
        data = bytes(memoryview(buffer).cast("B")[: count or 0])
        decoded = _is_decoded(self, (), {})
        reading.passed(data, decoded=decoded)
        if _is_last(self, len(memoryview(buffer)), data, decoded=decoded):
            reading.complete()
        return count

    return readinto


def _iterate(method: Any) -> Any:
    @functools.wraps(method)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        __tracebackhide__ = True
        reading = getattr(self, _STATE)
        chunks = iter(method(self, *args, **kwargs))
        if reading.busy:
            yield from chunks
            return
        decoded = _is_decoded(self, args, kwargs)
        try:
            while True:
                reading.busy = True
                try:
                    chunk = next(chunks)
                except StopIteration:
                    break
                except BaseException as error:
                    reading.failed(error)
                    raise
                finally:
                    reading.busy = False
                reading.passed(chunk, decoded=decoded)
                yield chunk
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        reading.complete()

    return stream


def _close(method: Any) -> Any:
    @functools.wraps(method)
    def close(self: Any) -> Any:
        __tracebackhide__ = True
        reading = getattr(self, _STATE)
        try:
            return method(self)
        finally:
            if not reading.busy:  # urllib3 closes what fails, and that is the better reason
                reading.closed()

    return close


def _is_decoded(response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether urllib3 undoes the content-encoding of what it returns; nobody else does."""
    default = getattr(response, "decode_content", None)
    if default is None:
        return False
    asked = args[1] if len(args) > 1 else kwargs.get("decode_content")
    return bool(default if asked is None else asked)


def _is_last(response: Any, asked: Any, data: Any, *, decoded: bool) -> bool:
    """Whether nothing comes after ``data``."""
    if not data:
        return bool(asked != 0)
    # at its end http.client lets go of the connection, but what is being decoded may have a rest
    return not decoded and bool(getattr(response, "isclosed", _never)())


def _never() -> bool:
    return False
