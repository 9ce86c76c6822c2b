"""Adapter for ``httpx`` and ``httpx2``: ``Client.send`` and ``AsyncClient.send``.

``send`` is where every request of these libraries passes once per attempt, above whatever a mock
or replay tool replaces (transports, httpcore pools, ``handle_request``) and below the SDKs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.tee import tee_classes

OWN_APP_TRANSPORTS = frozenset({"ASGITransport", "WSGITransport", "_TestClientTransport"})
"""Transports that call an application in this process: the user's own server, no provider."""


def patch(module: Any, recorder: Recorder) -> Callable[[], None]:
    """Record what clients of ``module`` send from now on, also those made before.

    Returns what undoes it.
    """
    tee, async_tee = tee_classes(module, recorder)
    undo = [
        _replace(module.Client, _sync_send, recorder, _Reader(module, recorder, tee)),
        _replace(module.AsyncClient, _async_send, recorder, _Reader(module, recorder, async_tee)),
    ]

    def undo_all() -> None:
        for step in undo:
            step()

    return undo_all


class _Reader:
    """Guarded steps around one ``send``: a fault of ours is noted and never raised."""

    def __init__(self, module: Any, recorder: Recorder, tee: type) -> None:
        self._response = module.Response
        self._recorder = recorder
        self._tee = tee

    def begin(self, client: Any, request: Any) -> Any:
        try:
            if _is_own_app(client, request.url):
                return None
            return self._recorder.begin(
                request.method, str(request.url), lambda: _content(request), request.headers
            )
        except Exception as fault:
            self._recorder.fault("capture of a request", fault)
            return None

    def passed_on(self, response: Any) -> None:
        """An outer layer has this request: it cannot see whether it went out, this one can."""
        if _is_live(response):
            self._recorder.went_out()

    def failed(self, attempt: Attempt, error: BaseException) -> None:
        self._recorder.end(attempt, "error", error)

    def answered(self, attempt: Attempt, response: Any) -> None:
        try:
            attempt.live = bool(attempt.live) or _is_live(response)
            self._recorder.answered(attempt, response.status_code, response.headers)
            if response.is_closed or response.is_stream_consumed:
                attempt.keep(response.content)
                self._recorder.end(attempt, "complete")
            else:
                attempt.decode = self._decode
                response.stream = self._tee(response.stream, attempt)
        except Exception as fault:
            self._recorder.fault("capture of a response", fault)
            self._recorder.end(attempt, "unfinished")

    def _decode(self, body: bytes, encoding: str) -> bytes:
        response = self._response(200, headers={"content-encoding": encoding}, content=body)
        content: bytes = response.content
        return content


def _sync_send(original: Any, recorder: Recorder, reader: _Reader) -> Any:
    @functools.wraps(original)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        begun = reader.begin(self, request)
        if begun is None:
            response = original(self, request, *args, **kwargs)
            reader.passed_on(response)
            return response
        attempt, token = begun
        try:
            response = original(self, request, *args, **kwargs)
        except BaseException as error:
            reader.failed(attempt, error)
            raise
        finally:
            recorder.leave(token)
        reader.answered(attempt, response)
        return response

    return send


def _async_send(original: Any, recorder: Recorder, reader: _Reader) -> Any:
    @functools.wraps(original)
    async def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        begun = reader.begin(self, request)
        if begun is None:
            response = await original(self, request, *args, **kwargs)
            reader.passed_on(response)
            return response
        attempt, token = begun
        try:
            response = await original(self, request, *args, **kwargs)
        except BaseException as error:
            reader.failed(attempt, error)
            raise
        finally:
            recorder.leave(token)
        reader.answered(attempt, response)
        return response

    return send


def _replace(
    client_class: Any,
    make: Callable[[Any, Recorder, _Reader], Any],
    recorder: Recorder,
    reader: _Reader,
) -> Callable[[], None]:
    original = client_class.__dict__["send"]
    if getattr(original, "crashlens_recorder", None) is recorder:
        return lambda: None  # httpx2.alias_httpx() makes both names one module
    wrapper = make(original, recorder, reader)
    wrapper.crashlens_recorder = recorder
    client_class.send = wrapper

    def undo() -> None:
        if client_class.__dict__.get("send") is wrapper:
            client_class.send = original

    return undo


def _is_own_app(client: Any, url: Any) -> bool:
    transport = getattr(client, "_transport", None)
    for pattern, mounted in getattr(client, "_mounts", {}).items():
        if pattern.matches(url):
            transport = mounted or transport
            break
    return any(cls.__name__ in OWN_APP_TRANSPORTS for cls in type(transport).__mro__)


def _is_live(response: Any) -> bool:
    return "network_stream" in getattr(response, "extensions", ())


def _content(request: Any) -> bytes:
    """The body; of a form that is sent as a stream its fields and digests of its files.

    Its boundary, which differs in each attempt, is not kept: the attempts of a call are alike.
    """
    form = getattr(request.stream, "fields", None)
    if form is None:
        content: bytes = request.content
        return content
    return form_content(form)


def form_content(form: Any) -> bytes:
    """The body of an httpx multipart stream with these fields, without its files' contents."""
    parts = [field.render_headers() + _field_content(field) for field in form]
    return b"".join(b"--form\r\n" + part + b"\r\n" for part in parts) + b"--form--\r\n"


def _field_content(field: Any) -> bytes:
    if hasattr(field, "value"):
        content: bytes = field.render_data()
        return content
    file = getattr(field, "file", None)
    if isinstance(file, str):
        file = file.encode()
    return blake2b(file).hexdigest().encode() if isinstance(file, bytes) else b""
