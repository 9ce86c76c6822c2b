"""Adapter for ``botocore`` (so boto3): calls of Bedrock's two runtimes.

``BaseClient._make_api_call`` is where a call begins and ends; each attempt at it passes
``Endpoint._do_get_response``, with the bytes of request and answer, above whatever replays or
mocks them. A ``Stubber`` answers before that, with an object and no bytes: these are rebuilt.
aiobotocore overrides both with coroutines and is seen where it sends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

from pytest_crashlens.capture import botocore_stubs
from pytest_crashlens.capture.bodies import in_memory
from pytest_crashlens.capture.file_tee import FileTees
from pytest_crashlens.capture.http_client import Going, GoingReader, Outgoing
from pytest_crashlens.capture.imports import put, together
from pytest_crashlens.capture.sending import around

SERVICES = frozenset({"bedrock-runtime", "bedrock-agent-runtime"})


@dataclass(eq=False, slots=True)
class _Asking:
    """One call, and what has become of it."""

    request: Mapping[str, Any] | None = None
    """Botocore's own description: method, URL, headers and body."""
    attempts: int = 0
    """How often it was given to an endpoint."""
    streams: bool = False
    """Whether its answer is read piece by piece."""


class BotocoreClients(GoingReader):
    """Records what clients of botocore ask Bedrock; each step is guarded."""

    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__(outgoing)
        self._tees = FileTees(self.recorder, decode=None)
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

        return together(
            put(client_class, "_make_api_call", _make_api_call),
            put(client_class, "_convert_to_request_dict", _convert_to_request_dict),
        )

    def patch_endpoint(self, module: Any) -> Callable[[], None]:
        """See the attempts at these calls (``botocore.endpoint``)."""
        endpoint_class = module.Endpoint
        original = endpoint_class.__dict__["_do_get_response"]
        return put(endpoint_class, "_do_get_response", around(original, self))

    def _enter(self, client: Any) -> tuple[_Asking, Token[_Asking | None]] | None:
        try:
            if client.meta.service_model.service_name not in SERVICES:
                return None
            asking = _Asking()
            return asking, self._asking.set(asking)
        except Exception as fault:
            self.recorder.fault("capture of a call", fault)
            return None

    def begin(self, client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Going | None:
        """``client`` is an endpoint, with a request and the model of an operation."""
        asking = self._asking.get()
        if asking is None:
            return None
        request = args[0] if args else kwargs["request"]
        operation = args[1] if len(args) > 1 else kwargs["operation_model"]
        asking.attempts += 1
        asking.streams = operation.has_event_stream_output or operation.has_streaming_output
        return self.outgoing.begin(
            client,
            request.method,
            request.url,
            lambda: in_memory(request.body) or b"",
            _named(request.headers),
        )

    def answered(self, sent: Going, response: Any) -> None:
        """It is a pair: the response and what was parsed, or None; and an exception."""
        success, error = response
        if success is None:
            refused = getattr(error, "response", None)
            if isinstance(refused, dict):  # a mock's refusal: the provider said no
                status, headers = botocore_stubs.status_and_headers(refused)
                self.recorder.end(self.outgoing.answered(sent, status, headers), "complete")
            else:
                self.failed(sent, error)
            return
        answer = success[0]
        attempt = self.outgoing.answered(sent, answer.status_code, answer.headers)
        asking = self._asking.get()
        if asking is not None and asking.streams and answer.status_code < 300:
            self._tees.put_on(answer.raw, attempt)
        else:
            attempt.keep(answer.content)  # botocore has read it for its parser
            self.recorder.end(attempt, "complete")

    def _stubbed(self, asking: _Asking, parsed: Any) -> None:
        """Record a call that was answered without being given to an endpoint."""
        request = asking.request
        if asking.attempts or request is None or not isinstance(parsed, dict):
            return
        try:
            begun = self.recorder.begin(
                request["method"],
                request["url"],
                lambda: in_memory(request["body"]) or b"",
                _named(request["headers"]),
            )
            if begun is None:
                return
            attempt, token = begun
            self.recorder.leave(token)
            attempt.live = False
            status, headers = botocore_stubs.status_and_headers(parsed)
            self.recorder.answered(attempt, status, headers)
            body = botocore_stubs.body(parsed)
            if isinstance(body, bytes):
                attempt.keep(body)
                self.recorder.end(attempt, "complete")
            elif body is not None:
                self._tees.put_on(body, attempt)
        except Exception as fault:
            self.recorder.fault("capture of a stubbed answer", fault)


def _named(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in headers.items()
    }
