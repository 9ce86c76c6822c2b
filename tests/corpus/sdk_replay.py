"""Sends recorded requests through real SDKs, which get the recorded answers."""

from __future__ import annotations

import functools
import gzip
import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.corpus.recorded import exchange
from tests.corpus.sdk_calls import (
    ELIDED,
    STAND_IN,
    NotSendable,
    SDKCall,
    call_of,
    sdk_of,
    split_arguments,
)

NOT_SERVED = {"transfer-encoding", "content-length", "connection"}
"""Headers which are the transport's own."""
RETRY_AT_ONCE = {"retry-after-ms": "0.001"}
SIZES = (1, 7, 700, 64, 4096)
"""Bytes of the pieces in which streams arrive, in turn: they cut lines and characters."""


class Answers:
    """The far end of a mock transport: gives what was recorded, in order."""

    def __init__(self) -> None:
        self.waiting: list[Mapping[str, Any]] = []
        self.sent: list[Any] = []

    def expect(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.waiting, self.sent = list(rows), []

    def now(self, request: Any) -> Any:
        make, headers, body, streamed = self._next(request)
        return make(headers=headers, content=_pieces(body) if streamed else body)

    async def soon(self, request: Any) -> Any:
        make, headers, body, streamed = self._next(request)
        return make(headers=headers, content=_later(_pieces(body)) if streamed else body)

    def _next(self, request: Any) -> tuple[Any, dict[str, str], bytes, bool]:
        self.sent.append(request)
        row = self.waiting.pop(0)
        seen = exchange(row)
        headers = {
            name: value for name, value in seen.response_headers.items() if name not in NOT_SERVED
        }
        if row["status"] >= 400:
            headers = {name: v for name, v in headers.items() if name != "retry-after"}
            headers |= RETRY_AT_ONCE
        body = seen.response_body
        if sdk_of(row) == "google":
            body = ELIDED.sub(STAND_IN, body.decode()).encode()
        if headers.pop("content-encoding", "") == "gzip":
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body, 1)
        response = sys.modules[type(request).__module__.partition(".")[0]].Response
        streamed = seen.content_type not in ("application/json", "")
        return functools.partial(response, row["status"]), headers, body, streamed


def _pieces(body: bytes) -> Iterator[bytes]:
    at = number = 0
    while at < len(body):
        size = SIZES[number % len(SIZES)]
        yield body[at : at + size]
        at, number = at + size, number + 1


async def _later(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Replay:
    """Clients of the SDKs, kept, and what became of each call."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.call: SDKCall | None = None
        self._clients: dict[str, Any] = {}

    def send(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """One call whose attempts get the answers of ``rows``."""
        self._note(rows, self._try(rows))

    async def send_async(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._note(rows, await self._try_async(rows))

    def _try(self, rows: Sequence[Mapping[str, Any]]) -> str:
        self.answers.expect(rows)
        self.call = None
        try:
            call = self.call = call_of(rows[0])
            answer = self._begin(call, len(rows), "")
            _read(answer)
        except Exception as error:
            return self._why(error)
        return "read"

    async def _try_async(self, rows: Sequence[Mapping[str, Any]]) -> str:
        self.answers.expect(rows)
        self.call = None
        try:
            call = self.call = call_of(rows[0])
            answer = await self._begin(call, len(rows), "Async")
            if hasattr(answer, "__aiter__"):
                async for _ in answer:
                    pass
            else:
                _read(answer)
        except Exception as error:
            return self._why(error)
        return "read"

    def _begin(self, call: SDKCall, attempts: int, kind: str) -> Any:
        if call.sdk == "google":
            return self._begin_google(call, attempts, kind)
        client = self._client(call, kind).with_options(max_retries=attempts - 1)
        options = {"extra_headers": call.extra_headers, "extra_query": call.extra_query or None}
        if call.generic:
            sdk = importlib.import_module(call.sdk)
            stream = getattr(sdk, f"{kind}Stream")[dict[str, Any]] if call.stream else None
            return client.post(
                call.method,
                body=call.arguments,
                cast_to=object,
                stream=call.stream,
                stream_cls=stream,
            )
        method = client
        for name in call.method.split("."):
            method = getattr(method, name)
        arguments, beside = split_arguments(method, call.arguments)
        return method(**arguments, extra_body=beside or None, **options)

    def _begin_google(self, call: SDKCall, attempts: int, kind: str) -> Any:
        types = importlib.import_module("google.genai.types")
        models = getattr(self._client(call, ""), "aio" if kind else "models")
        models = models.models if kind else models
        options = types.HttpOptions(
            extra_body=call.extra_body or None,
            retry_options=types.HttpRetryOptions(
                attempts=attempts, initial_delay=0.0, max_delay=0.0, jitter=0.0
            ),
        )
        arguments = dict(call.arguments)
        config = arguments.pop("config") | {"http_options": options}
        return getattr(models, call.method)(**arguments, config=config)

    def _client(self, call: SDKCall, kind: str) -> Any:
        key = f"{kind}{call.client} {json.dumps(call.settings)}"
        if key not in self._clients:
            make = self._google_client if call.sdk == "google" else self._stainless_client
            self._clients[key] = make(call, kind)
        return self._clients[key]

    def _stainless_client(self, call: SDKCall, kind: str) -> Any:
        sdk = importlib.import_module(call.sdk)
        http_class = getattr(sdk, f"Default{kind}HttpxClient")
        http = self._http(http_class)
        keys = {} if call.client == "AnthropicVertex" else {"api_key": "key"}
        return getattr(sdk, kind + call.client)(
            **call.settings, **keys, http_client=http, timeout=60
        )

    def _google_client(self, call: SDKCall, kind: str) -> Any:
        from google import genai

        settings = dict(call.settings)
        http = {name: settings.pop(name) for name in ("base_url", "api_version")}
        client_class = type(genai.Client(api_key="key")._api_client._httpx_client)
        library = _library(client_class)
        options = genai.types.HttpOptions(
            **http,
            httpx_client=self._http(library.Client),
            httpx_async_client=self._http(library.AsyncClient),
        )
        if "project" not in settings:
            return genai.Client(api_key="key", vertexai=False, http_options=options)
        from google.oauth2.credentials import Credentials

        return genai.Client(
            vertexai=True, credentials=Credentials("token"), http_options=options, **settings
        )

    def _http(self, client_class: Any) -> Any:
        library = _library(client_class)
        is_async = issubclass(client_class, library.AsyncClient)
        handler = self.answers.soon if is_async else self.answers.now
        return client_class(transport=library.MockTransport(handler), trust_env=False)

    def _why(self, error: Exception) -> str:
        name = type(error).__name__
        if isinstance(error, NotSendable):
            return f"no such call in the SDK: {error}"
        if not self.answers.sent:
            return f"refused by the SDK: {name}: {str(error)[:200]}"
        return f"raised: {name}: {str(error)[:200]}"

    def _note(self, rows: Sequence[Mapping[str, Any]], result: str) -> None:
        sent = self.answers.sent
        asked = unquote(urlsplit(rows[0]["url"]).path)
        self.outcomes[rows[0]["id"]] = {
            "result": result,
            "sent": len(sent),
            "generic": self.call is not None and self.call.generic,
            "as_recorded": bool(sent) and unquote(sent[-1].url.path) == asked,
            "same_body": bool(sent) and _same(sent[-1], rows[0]),
        }


def _read(answer: Any) -> None:
    if hasattr(answer, "__next__") or hasattr(answer, "response"):
        for _ in answer if hasattr(answer, "__iter__") else ():
            pass


def _same(request: Any, row: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(request.content) == row.get("req_json"))
    except ValueError:
        return False


def _library(client_class: Any) -> Any:
    """The httpx or httpx2 that a client class is of."""
    names = [cls.__module__.partition(".")[0] for cls in client_class.__mro__]
    return sys.modules[next(name for name in names if name in ("httpx", "httpx2"))]
