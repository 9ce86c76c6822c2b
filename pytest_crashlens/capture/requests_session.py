"""Adapter for ``requests``: ``Session.send``.

Every request passes there once, above the adapters and connections that mock and replay tools
replace. Redirects pass again, from within, and are part of the request that was redirected;
retries of urllib3 do not, and are told by its history.
"""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Callable
from typing import Any

from pytest_crashlens.capture.file_tee import FileTees
from pytest_crashlens.capture.http_client import Going, Outgoing
from pytest_crashlens.capture.imports import put

OWN_APP_ADAPTERS = frozenset({"WSGIAdapter", "ASGIAdapter"})
"""Adapters that call an application in this process: the user's own server, no provider."""


def patch(module: Any, outgoing: Outgoing) -> Callable[[], None]:
    """Record what sessions of ``requests`` send from now on, also those made before."""
    session_class = module.Session
    return put(session_class, "send", _recording(session_class.__dict__["send"], outgoing))


def patch_requests_mock(module: Any, outgoing: Outgoing) -> Callable[[], None]:
    """Record what ``requests_mock.mocker`` answers.

    It takes the place of ``Session.send`` and calls the one it found when it was imported, which
    as a plugin of pytest it often was before us.
    """
    original = getattr(module, "_original_send", None)
    if original is None:
        return lambda: None
    while hasattr(original, "crashlens_outgoing"):
        original = original.__wrapped__  # imported after us, perhaps in an earlier run
    module._original_send = original
    return put(module, "_original_send", _recording(original, outgoing))


def _recording(original: Any, outgoing: Outgoing) -> Any:
    reader = _Reader(outgoing)

    @functools.wraps(original)
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        going = reader.begin(self, request, kwargs)
        if going is None:
            return original(self, request, **kwargs)
        try:
            response = original(self, request, **kwargs)
        except BaseException as error:
            outgoing.leave(going)
            reader.failed(going, error)
            raise
        outgoing.leave(going)
        reader.answered(going, response)
        return response

    send.crashlens_outgoing = outgoing  # type: ignore[attr-defined]
    return send


class _Reader:
    """Guarded steps around one ``send``: a fault of ours is noted and never raised."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._recorder = outgoing.recorder
        self._tees = FileTees(self._recorder, decode)

    def begin(self, session: Any, request: Any, options: dict[str, Any]) -> Going | None:
        try:
            if options.get("allow_redirects") is False and self._outgoing.client is session:
                return None  # a hop of the request that this session is sending
            if _is_own_app(session, request.url):
                return None
            return self._outgoing.begin(
                session, request.method, request.url, lambda: _body(request), request.headers
            )
        except Exception as fault:
            self._recorder.fault("capture of a request", fault)
            return None

    def failed(self, going: Going, error: BaseException) -> None:
        try:
            cause = _cause(error)
            if cause is not error and going.statuses:
                *before, last = going.statuses
                self._outgoing.retried(going, [(status, None) for status in before])
                if last is not None:
                    self._outgoing.answered(going, last, {})
            self._outgoing.failed(going, cause)
        except Exception as fault:
            self._recorder.fault("capture of a failure", fault)
            self._recorder.end(going.attempt, "error", error)

    def answered(self, going: Going, response: Any) -> None:
        try:
            raw = response.raw
            history = getattr(getattr(raw, "retries", None), "history", None) or ()
            self._outgoing.retried(going, [(step.status, step.error) for step in history])
            attempt = self._outgoing.answered(going, response.status_code, response.headers)
            if getattr(response, "_content_consumed", True) or raw is None:
                if isinstance(getattr(response, "_content", None), bytes):
                    attempt.keep(response._content)
                self._recorder.end(attempt, "complete")
            else:
                self._tees.put_on(raw, attempt)
        except Exception as fault:
            self._recorder.fault("capture of a response", fault)
            self._recorder.end(going.attempt, "unfinished")


def decode(body: bytes, encoding: str) -> bytes:
    """Undo a content-encoding as urllib3 does; of a body that was cut as much as there is."""
    urllib3 = sys.modules["urllib3"]
    response = urllib3.HTTPResponse(
        body=io.BytesIO(body), headers={"content-encoding": encoding}, preload_content=False
    )
    parts: list[bytes] = []
    try:
        parts.extend(response.stream(decode_content=True))
    except Exception:
        if not parts:
            raise
    return b"".join(parts)


def _body(request: Any) -> bytes:
    """What is sent, where it is there already: files and generators are not read for us."""
    body = request.body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, io.BytesIO):
        return body.getvalue()
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


def _cause(error: BaseException) -> BaseException:
    """What made urllib3 give up, which requests and ``MaxRetryError`` wrap; else the error."""
    wrapped = error.args[0] if error.args else None
    reason = getattr(wrapped, "reason", None)
    return reason if isinstance(reason, BaseException) else error


def _is_own_app(session: Any, url: str) -> bool:
    adapter = next((one for start, one in session.adapters.items() if _starts(url, start)), None)
    return any(cls.__name__.lstrip("_") in OWN_APP_ADAPTERS for cls in type(adapter).__mro__)


def _starts(url: str, prefix: str) -> bool:
    return url.lower().startswith(prefix.lower())
