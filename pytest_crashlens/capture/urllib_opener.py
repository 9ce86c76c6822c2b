"""Adapter for ``urllib.request``: ``OpenerDirector.open``.

All that is opened passes there, also by openers of the user's own. Redirects and answers to a
server that wants a password pass again, from within, and are part of the request.
"""

from __future__ import annotations

import functools
import io
import zlib
from collections.abc import Callable
from typing import Any

from pytest_crashlens.capture.file_tee import FileTees
from pytest_crashlens.capture.http_client import Going, Outgoing
from pytest_crashlens.capture.imports import put


def patch(module: Any, outgoing: Outgoing) -> Callable[[], None]:
    """Record what openers of ``urllib.request`` send from now on, also those made before."""
    opener_class = module.OpenerDirector
    original = opener_class.__dict__["open"]
    reader = _Reader(module, outgoing)

    @functools.wraps(original)
    def open(self: Any, fullurl: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A001 - its name
        __tracebackhide__ = True
        going = reader.begin(self, fullurl, args, kwargs)
        if going is None:
            return original(self, fullurl, *args, **kwargs)
        try:
            response = original(self, fullurl, *args, **kwargs)
        except BaseException as error:
            outgoing.leave(going)
            reader.failed(going, error)
            raise
        outgoing.leave(going)
        reader.answered(going, response)
        return response

    return put(opener_class, "open", open)


class _Reader:
    """Guarded steps around one ``open``: a fault of ours is noted and never raised."""

    def __init__(self, module: Any, outgoing: Outgoing) -> None:
        self._request_class = module.Request
        self._http_error = module.HTTPError
        self._outgoing = outgoing
        self._recorder = outgoing.recorder
        self._tees = FileTees(self._recorder, _decode)

    def begin(
        self, opener: Any, asked: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Going | None:
        try:
            if self._outgoing.client is opener and hasattr(asked, "redirect_dict"):
                return None  # a hop of the request that this opener is sending
            data = args[0] if args else kwargs.get("data")
            if not isinstance(asked, self._request_class):
                asked = self._request_class(asked, data)
            elif data is None:
                data = asked.data
            data = data.getvalue() if isinstance(data, io.BytesIO) else data
            body = bytes(data) if isinstance(data, bytes | bytearray) else b""
            method = asked.get_method() if data is None else getattr(asked, "method", None)
            headers = {name.lower(): str(value) for name, value in asked.header_items()}
            url = asked.full_url.partition("#")[0]
            return self._outgoing.begin(opener, method or "POST", url, lambda: body, headers)
        except Exception as fault:
            if not isinstance(fault, ValueError):  # what urllib itself will say of the URL
                self._recorder.fault("capture of a request", fault)
            return None

    def failed(self, going: Going, error: BaseException) -> None:
        try:
            if isinstance(error, self._http_error):
                attempt = self._outgoing.answered(going, error.code, error.headers or {})
                self._recorder.end(attempt, "complete")
                return
            reason = getattr(error, "reason", None)
            cause = reason if isinstance(reason, BaseException) else error
            self._outgoing.failed(going, cause)
        except Exception as fault:
            self._recorder.fault("capture of a failure", fault)
            self._recorder.end(going.attempt, "error", error)

    def answered(self, going: Going, response: Any) -> None:
        try:
            status, headers = response.status, response.headers
            attempt = self._outgoing.answered(going, status or 200, headers or {})
            # a handler of the user's own answers with a wrapper around any file
            is_wrapper = "read" not in dir(type(response))
            self._tees.put_on(response.fp if is_wrapper else response, attempt)
        except Exception as fault:
            self._recorder.fault("capture of a response", fault)
            self._recorder.end(going.attempt, "unfinished")


def _decode(body: bytes, encoding: str) -> bytes:
    """Undo what can be undone without a library; urllib leaves it to its users."""
    if encoding not in ("gzip", "deflate"):
        raise ValueError(encoding)
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body)
