"""Adapter for ``botocore`` (so boto3): calls of Bedrock's two runtimes.

``BaseClient._make_api_call`` is where a call begins and ends; each attempt at it passes
``Endpoint._do_get_response``, with the bytes of request and answer, above whatever replays or
mocks them. A ``Stubber`` answers before that, with an object and no bytes: these are rebuilt.
aiobotocore overrides both with coroutines and is seen where it sends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pytest_crashlens.capture import botocore_stubs
from pytest_crashlens.capture.file_tee import FileTees
from pytest_crashlens.capture.http_client import Going, Outgoing
from pytest_crashlens.capture.imports import put

SERVICES = frozenset({"bedrock-runtime", "bedrock-agent-runtime"})


@dataclass(eq=False, slots=True)
class _Asking:
    """One call, and what has become of it."""

    request: Mapping[str, Any] | None = None
    """Botocore's own description: method, URL, headers and body."""
    attempts: int = 0
    """How often it was given to an endpoint."""


class BotocoreClients:
    """Records what clients of botocore ask Bedrock; each step is guarded."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._recorder = outgoing.recorder
        self._tees = FileTees(self._recorder, decode=None)
        self._asking: ContextVar[_Asking | None] = ContextVar("crashlens_asking", default=None)

    def patch_client(self, module: Any) -> Callable[[], None]:
        """See the calls of clients (``botocore.client``), also of those made before."""
        client_class = module.BaseClient
        make, convert = (
            client_class.__dict__[name] for name in ("_make_api_call", "_convert_to_request_dict")
        )

        @functools.wraps(make)
        def _make_api_call(client: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            entered = self._enter(client)
            if entered is None:
                return make(client, *args, **kwargs)
            asking, token = entered
            try:
                parsed = make(client, *args, **kwargs)
            except Exception as error:
                self._stubbed(asking, getattr(error, "response", None))
                raise
            finally:
                with suppress(ValueError):
                    self._asking.reset(token)
            self._stubbed(asking, parsed)
            return parsed

        @functools.wraps(convert)
        def _convert_to_request_dict(client: Any, *args: Any, **kwargs: Any) -> Any:
            request = convert(client, *args, **kwargs)
            asking = self._asking.get()
            if asking is not None:
                asking.request = request
            return request

        undo = [
            put(client_class, "_make_api_call", _make_api_call),
            put(client_class, "_convert_to_request_dict", _convert_to_request_dict),
        ]

        def undo_all() -> None:
            for step in undo:
                step()

        return undo_all

    def patch_endpoint(self, module: Any) -> Callable[[], None]:
        """See the attempts at these calls (``botocore.endpoint``)."""
        endpoint_class = module.Endpoint
        original = endpoint_class.__dict__["_do_get_response"]

        @functools.wraps(original)
        def _do_get_response(
            endpoint: Any, request: Any, operation_model: Any, *args: Any, **kwargs: Any
        ) -> Any:
            __tracebackhide__ = True
            going = self._begin(endpoint, request)
            if going is None:
                return original(endpoint, request, operation_model, *args, **kwargs)
            try:
                found = original(endpoint, request, operation_model, *args, **kwargs)
            except BaseException as error:
                self._outgoing.leave(going)
                self._outgoing.failed(going, error)
                raise
            self._outgoing.leave(going)
            self._ended(going, operation_model, found)
            return found

        return put(endpoint_class, "_do_get_response", _do_get_response)

    def _enter(self, client: Any) -> tuple[_Asking, Token[_Asking | None]] | None:
        try:
            if client.meta.service_model.service_name not in SERVICES:
                return None
            asking = _Asking()
            return asking, self._asking.set(asking)
        except Exception as fault:
            self._recorder.fault("capture of a call", fault)
            return None

    def _begin(self, endpoint: Any, request: Any) -> Going | None:
        try:
            asking = self._asking.get()
            if asking is None:
                return None
            asking.attempts += 1
            return self._outgoing.begin(
                endpoint,
                request.method,
                request.url,
                lambda: _body(request.body),
                _named(request.headers),
            )
        except Exception as fault:
            self._recorder.fault("capture of a request", fault)
            return None

    def _ended(self, going: Going, operation_model: Any, found: Any) -> None:
        """``found`` is a pair: the response and what was parsed, or None; and an exception."""
        try:
            success, error = found
            if success is None:
                refused = getattr(error, "response", None)
                if isinstance(refused, dict):  # a mock's refusal: the provider said no
                    status, headers = botocore_stubs.status_and_headers(refused)
                    attempt = self._outgoing.answered(going, status, headers)
                    self._recorder.end(attempt, "complete")
                else:
                    self._outgoing.failed(going, error)
                return
            response = success[0]
            status = response.status_code
            attempt = self._outgoing.answered(going, status, response.headers)
            streams = (
                operation_model.has_event_stream_output or operation_model.has_streaming_output
            )
            if streams and status < 300:
                self._tees.put_on(response.raw, attempt)
            else:
                attempt.keep(response.content)  # botocore has read it for its parser
                self._recorder.end(attempt, "complete")
        except Exception as fault:
            self._recorder.fault("capture of a response", fault)
            self._recorder.end(going.attempt, "unfinished")

    def _stubbed(self, asking: _Asking, parsed: Any) -> None:
        """Record a call that was answered without being given to an endpoint."""
        request = asking.request
        if asking.attempts or request is None or not isinstance(parsed, dict):
            return
        try:
            begun = self._recorder.begin(
                request["method"],
                request["url"],
                lambda: _body(request["body"]),
                _named(request["headers"]),
            )
            if begun is None:
                return
            attempt, token = begun
            self._recorder.leave(token)
            attempt.live = False
            status, headers = botocore_stubs.status_and_headers(parsed)
            self._recorder.answered(attempt, status, headers)
            body = botocore_stubs.body(parsed)
            if isinstance(body, bytes):
                attempt.keep(body)
                self._recorder.end(attempt, "complete")
            elif body is not None:
                self._tees.put_on(body, attempt)
        except Exception as fault:
            self._recorder.fault("capture of a stubbed answer", fault)


def _body(body: Any) -> bytes:
    """What is sent, where it is in memory: files are not read for us."""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, BytesIO):
        return body.getvalue()
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


def _named(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in headers.items()
    }
