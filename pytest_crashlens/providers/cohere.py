"""Cohere's chat, embeddings and the old generate, each in both versions of its API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.cohere_usage import read_usage
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.json_stream import json_objects
from pytest_crashlens.providers.reading import (
    Channels,
    PostedTo,
    Reading,
    Request,
    Texts,
    error_name,
    is_stream,
    json_object,
    mapping,
    name,
    notes,
    objects,
    requested,
)

_CHAT = re.compile(r"/v[12]/chat/?$")
_GENERATE = re.compile(r"/v1/generate/?$")
_EMBED = re.compile(r"/v[12]/embed/?$")
_SIGNS = (b'"billed_units"', b'"message-start"', b'"stream-start"')
_TELLING = (b'"message-end"', b'"stream-end"', b'"error"')


class CohereChat(PostedTo):
    """``POST /v2/chat`` and ``POST /v1/chat``.

    Sources: https://docs.cohere.com/reference/chat, https://docs.cohere.com/v1/reference/chat
    """

    endpoint = "chat"
    family = "cohere"
    paths = _CHAT

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and messages, or (version 1) a message; applications have that too."""
        asked = requested(exchange, "max_tokens")
        if asked is None:
            return None
        second = asked.model and isinstance(asked.body.get("messages"), list)
        first = isinstance(asked.body.get("message"), str)
        if not (second or first):
            return None
        refused = second and not 200 <= (exchange.status or 0) < 300
        return asked if refused or _is_coheres(exchange) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or the event that ends the stream, which may come as JSON lines."""
        return _read(exchange, request)


class CohereGenerate(PostedTo):
    """``POST /v1/generate``. Source: https://docs.cohere.com/v1/reference/generate."""

    endpoint = "generate"
    family = "cohere"
    paths = _GENERATE

    def request(self, exchange: Exchange) -> Request | None:
        """It has a prompt."""
        asked = requested(exchange, "max_tokens")
        if asked is None or not isinstance(asked.body.get("prompt"), str):
            return None
        return asked if _is_coheres(exchange) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """As the first version of the chat."""
        return _read(exchange, request)


class CohereEmbeddings(PostedTo):
    """``POST /v2/embed`` and ``POST /v1/embed``. Source: https://docs.cohere.com/reference/embed."""

    endpoint = "embeddings"
    family = "cohere"
    paths = _EMBED

    def request(self, exchange: Exchange) -> Request | None:
        """It has texts, images or inputs of both."""
        asked = requested(exchange)
        if asked is None:
            return None
        given = any(isinstance(asked.body.get(key), list) for key in ("texts", "images", "inputs"))
        return asked if given and _is_coheres(exchange) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        usage, note = read_usage(answer.get("meta"))
        complete = usage.input_tokens is not None
        error = answer.get("error")
        missing = None if complete or error else "no usage in the answer"
        given = request.body.get("texts")
        texts = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
        return Reading(
            usage=usage,
            usage_complete=complete,
            texts=None if complete or error or not texts else Texts(inputs=tuple(texts)),
            error=error_name(error) if error else None,
            note=notes(note, missing),
        )


def _is_coheres(exchange: Exchange) -> bool:
    """Whether it is Cohere's API or a copy of it: the host tells, or else the answer."""
    if provider_of(exchange.host, "") == "cohere":
        return True
    return any(sign in exchange.response_body for sign in _SIGNS)


def _read(exchange: Exchange, request: Request) -> Reading:
    body = exchange.response_body
    in_events = is_stream(exchange, request)
    streaming = in_events or request.streams
    events: Sequence[Mapping[str, Any]] = (
        sse.telling(body, _TELLING) if in_events else json_objects(body)
    )
    reading = _reading(request, events, streaming=streaming)
    if not in_events or reading.usage_complete:
        return reading
    return _reading(request, tuple(sse.events(body)), streaming=streaming)


def _reading(request: Request, events: Sequence[Mapping[str, Any]], *, streaming: bool) -> Reading:
    usage, note = _last_usage(events)
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    error = next((found for event in events if (found := _error(event))), None)
    if complete or error:
        missing = None
    elif not events:
        missing = "the answer has no JSON object"
    else:
        missing = "the stream ended before its usage" if streaming else "no usage in the answer"
    return Reading(
        model_returned=next((model for one in events if (model := name(one.get("model")))), None),
        usage=usage,
        usage_complete=complete,
        streaming=streaming,
        texts=None if complete or not events else _texts(request, events),
        error=error_name(error) if error else None,
        note=notes(note, missing),
    )


def _last_usage(events: Sequence[Mapping[str, Any]]) -> tuple[Usage, str | None]:
    for event in reversed(events):
        places = (
            event.get("usage"),
            mapping(event.get("delta")).get("usage"),
            event.get("meta"),
            mapping(event.get("response")).get("meta"),
        )
        for place in places:
            usage, note = read_usage(place)
            if usage.stated:
                return usage, note
    return Usage(), None


def _error(event: Mapping[str, Any]) -> object:
    return event.get("error") or mapping(event.get("delta")).get("error")


def _texts(request: Request, events: Iterable[Mapping[str, Any]]) -> Texts:
    body = request.body
    messages: list[Mapping[str, Any]] = list(objects(body.get("messages")))
    if not messages:
        parts = [("system", body.get("preamble")), ("user", body.get("message"))]
        parts[1:1] = [
            (str(turn.get("role")), turn.get("message"))
            for turn in objects(body.get("chat_history"))
        ]
        messages = [{"role": role, "content": text} for role, text in parts if text]
    prompt = body.get("prompt")
    output = Channels()
    for event in events:
        _add(output, event)
    return Texts(
        messages=tuple(messages),
        tools=objects(body.get("tools")),
        inputs=(prompt,) if isinstance(prompt, str) else (),
        output=output.text,
    )


def _add(output: Channels, event: Mapping[str, Any]) -> None:
    output.add("text", event.get("text"))
    for generation in objects(event.get("generations")):
        output.add("text", generation.get("text"))
    message = mapping(event.get("message")) or mapping(mapping(event.get("delta")).get("message"))
    output.add("plan", message.get("tool_plan"))
    content = message.get("content")
    for part in objects(content if isinstance(content, list) else [content]):
        channel = repr(event.get("index"))
        output.add((channel, "thinking"), part.get("thinking"))
        output.add((channel, "text"), part.get("text"))
    calls = message.get("tool_calls")
    for place, call in enumerate(objects(calls if isinstance(calls, list) else [calls])):
        function = mapping(call.get("function"))
        channel = repr(event.get("index", place))
        output.add((channel, "tool"), function.get("name"))
        output.add((channel, "tool"), function.get("arguments"))
