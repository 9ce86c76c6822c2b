"""Adapter for ``httpx`` and ``httpx2``: ``Client.send`` and ``AsyncClient.send``.

``send`` is where every request of these libraries passes once per attempt, above whatever a mock
or replay tool replaces (transports, httpcore pools, ``handle_request``) and below the SDKs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from pytest_crashlens.capture.imports import put, together
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sending import (
    AttemptReader,
    Begun,
    around,
    around_async,
    is_recorded,
)
from pytest_crashlens.capture.tee import tee_classes

OWN_APP_TRANSPORTS = frozenset({"ASGITransport", "WSGITransport", "_TestClientTransport"})
"""Transports that call an application in this process: the user's own server, no provider."""


def patch(module: Any, recorder: Recorder) -> Callable[[], None]:
    """Record what clients of ``module`` send from now on, also those made before.

    Returns what undoes it.
    """
    send, async_send = (each.__dict__["send"] for each in (module.Client, module.AsyncClient))
    if is_recorded(send, recorder):
        return lambda: None  # httpx2.alias_httpx() makes both names one module
    tee, async_tee = tee_classes(module, recorder)
    return together(
        put(module.Client, "send", around(send, _Reader(module, recorder, tee))),
        put(
            module.AsyncClient,
            "send",
            around_async(async_send, _Reader(module, recorder, async_tee)),
        ),
    )


class _Reader(AttemptReader):
    def __init__(self, module: Any, recorder: Recorder, tee: type) -> None:
        self.recorder = recorder
        self._response = module.Response
        self._tee = tee

    def begin(self, client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Begun | None:
        request = args[0] if args else kwargs.get("request")
        if request is None or _is_own_app(client, request.url):
            return None
        return self.recorder.begin(
            request.method, str(request.url), lambda: _content(request), request.headers
        )

    def passed_on(self, response: Any) -> None:
        """An outer layer has this request: it cannot see whether it went out, this one can."""
        if _is_live(response):
            self.recorder.went_out()

    def answered(self, sent: Begun, response: Any) -> None:
        attempt, _ = sent
        attempt.live = bool(attempt.live) or _is_live(response)
        self.recorder.answered(attempt, response.status_code, response.headers)
        if response.is_closed or response.is_stream_consumed:
            attempt.keep(response.content)
            self.recorder.end(attempt, "complete")
        else:
            attempt.decode = self._decode
            response.stream = self._tee(response.stream, attempt)

    def _decode(self, body: bytes, encoding: str) -> bytes:
        response = self._response(200, headers={"content-encoding": encoding}, content=body)
        content: bytes = response.content
        return content


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
