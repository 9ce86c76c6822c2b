"""What is done around every request, whichever library sends it."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextvars import Token
from typing import Any, Generic, TypeVar

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.recorder import Recorder

Begun = tuple[Attempt, Token[Attempt | None]]
"""An attempt, and what the recorder wants back when it is no longer in flight."""

Sent = TypeVar("Sent")


class Reader(ABC, Generic[Sent]):
    """Understands the requests and answers of one library.

    Whoever sends calls ``before``, then ``after`` or ``instead``. They are guarded: what the other
    methods raise is noted as a fault and goes no further.
    """

    recorder: Recorder

    def before(self, client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sent | None:
        """``client`` is about to send what these arguments say."""
        try:
            return self.begin(client, args, kwargs)
        except Exception as fault:
            self.recorder.fault("capture of a request", fault)
            return None

    def after(self, sent: Sent | None, response: Any) -> None:
        """The client is about to return ``response``."""
        try:
            if sent is None:
                self.passed_on(response)
                return
            self.leave(sent)
            self.answered(sent, response)
        except Exception as fault:
            self.recorder.fault("capture of a response", fault)
            if sent is not None:
                self.recorder.end(self.attempt(sent), "unfinished")

    def instead(self, sent: Sent | None, error: BaseException) -> None:
        """The client is about to raise ``error``."""
        if sent is None:
            return
        try:
            self.leave(sent)
            self.failed(sent, error)
        except Exception as fault:
            self.recorder.fault("capture of a failure", fault)
            self.recorder.end(self.attempt(sent), "error", error)

    @abstractmethod
    def begin(self, client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sent | None:
        """Start an attempt; None: not of interest, or seen already."""

    @abstractmethod
    def leave(self, sent: Sent) -> None:
        """The request is no longer in flight in this context."""

    @abstractmethod
    def answered(self, sent: Sent, response: Any) -> None:
        """Note what ``response`` says."""

    @abstractmethod
    def failed(self, sent: Sent, error: BaseException) -> None:
        """Note that no answer came."""

    @abstractmethod
    def attempt(self, sent: Sent) -> Attempt:
        """The attempt that is to end where the above could not end it."""

    def passed_on(self, response: Any) -> None:
        """``response`` came for a request that ``begin`` left alone."""


class AttemptReader(Reader[Begun]):
    """Of a library with nothing known below it: one request is one attempt."""

    def leave(self, sent: Begun) -> None:
        """The request is no longer in flight in this context."""
        self.recorder.leave(sent[1])

    def failed(self, sent: Begun, error: BaseException) -> None:
        """No answer came."""
        self.recorder.end(sent[0], "error", error)

    def attempt(self, sent: Begun) -> Attempt:
        """The only one."""
        return sent[0]


def around(original: Any, reader: Reader[Any]) -> Any:
    """``original``, a method that sends a request and returns its answer, with ``reader``."""

    @functools.wraps(original)
    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        sent = reader.before(self, args, kwargs)
        try:
            response = original(self, *args, **kwargs)
        except BaseException as error:
            reader.instead(sent, error)
            raise
        reader.after(sent, response)
        return response

    return _marked(send, reader)


def around_async(original: Any, reader: Reader[Any]) -> Any:
    """The same of a coroutine function."""

    @functools.wraps(original)
    async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        sent = reader.before(self, args, kwargs)
        try:
            response = await original(self, *args, **kwargs)
        except BaseException as error:
            reader.instead(sent, error)
            raise
        reader.after(sent, response)
        return response

    return _marked(send, reader)


def _marked(send: Any, reader: Reader[Any]) -> Any:
    send.crashlens_recorder = reader.recorder
    return send


def is_recorded(method: Any, recorder: Recorder) -> bool:
    """Whether ``method`` tells ``recorder`` already: one module may have two names."""
    return getattr(method, "crashlens_recorder", None) is recorder
