"""Adapter for ``requests``: ``Session.send``.

Every request passes there once, above the adapters and connections that mock and replay tools
replace. Redirects pass again, from within, and are part of the request that was redirected;
retries of urllib3 do not, and are told by its history.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_crashlens.capture.bodies import in_memory
from pytest_crashlens.capture.file_tee import FileTees
from pytest_crashlens.capture.http_client import Going, GoingReader, Outgoing
from pytest_crashlens.capture.imports import put
from pytest_crashlens.capture.sending import around

OWN_APP_ADAPTERS = frozenset({"WSGIAdapter", "ASGIAdapter"})
"""Adapters that call an application in this process: the user's own server, no provider."""


def patch(module: Any, outgoing: Outgoing) -> Callable[[], None]:
    """Record what sessions of ``requests`` send from now on, also those made before."""
    session_class = module.Session
    return put(session_class, "send", around(session_class.__dict__["send"], _Reader(outgoing)))


def patch_requests_mock(module: Any, outgoing: Outgoing) -> Callable[[], None]:
    """Record what ``requests_mock.mocker`` answers.

    It takes the place of ``Session.send`` and calls the one it found when it was imported, which
    as a plugin of pytest it often was before us.
    """
    original = getattr(module, "_original_send", None)
    if original is None:
        return lambda: None
    while hasattr(original, "crashlens_recorder"):
        original = original.__wrapped__  # imported after us, perhaps in an earlier run
    module._original_send = original
    return put(module, "_original_send", around(original, _Reader(outgoing)))


class _Reader(GoingReader):
    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__(outgoing)
        self._tees = FileTees(self.recorder, decode)

    def begin(self, client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Going | None:
        request = args[0] if args else kwargs.get("request")
        if request is None:
            return None
        if kwargs.get("allow_redirects") is False and self.outgoing.client is client:
            return None  # a hop of the request that this session is sending
        if _is_own_app(client, request.url):
            return None
        return self.outgoing.begin(
            client,
            request.method,
            request.url,
            lambda: in_memory(request.body) or b"",
            request.headers,
        )

    def failed(self, sent: Going, error: BaseException) -> None:
        cause = _cause(error)
        if cause is not error and sent.statuses:
            *before, last = sent.statuses
            self.outgoing.retried(sent, [(status, None) for status in before])
            if last is not None:
                self.outgoing.answered(sent, last, {})
        super().failed(sent, cause)

    def answered(self, sent: Going, response: Any) -> None:
        raw = response.raw
        history = getattr(getattr(raw, "retries", None), "history", None) or ()
        self.outgoing.retried(sent, [(step.status, step.error) for step in history])
        attempt = self.outgoing.answered(sent, response.status_code, response.headers)
        if getattr(response, "_content_consumed", True) or raw is None:
            if isinstance(getattr(response, "_content", None), bytes):
                attempt.keep(response._content)
            self.recorder.end(attempt, "complete")
        else:
            self._tees.put_on(raw, attempt)


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
