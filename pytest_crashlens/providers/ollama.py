"""Ollama's own API: JSON lines, the last of which has the counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.json_stream import dumped, json_objects
from pytest_crashlens.providers.reading import (
    Channels,
    PostedTo,
    Reading,
    Request,
    Stated,
    Texts,
    error_name,
    json_object,
    mapping,
    name,
    notes,
    objects,
    requested,
)

_CHAT = re.compile(r"/api/chat/?$")
_GENERATE = re.compile(r"/api/generate/?$")
_EMBED = re.compile(r"/api/(?:embed|embeddings)/?$")
_TELLING = (b'"eval_count"', b'"error"')


class OllamaChat(PostedTo):
    """``POST /api/chat``.

    Source: https://docs.ollama.com/api/chat
    """

    endpoint = "chat"
    family = "ollama"
    paths = _CHAT

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and messages; without messages it only loads the model."""
        asked = _requested(exchange)
        return asked if asked and objects(asked.body.get("messages")) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or lines of which the last one has the counts."""
        return _read(exchange, request)


class OllamaGenerate(PostedTo):
    """``POST /api/generate``.

    Source: https://docs.ollama.com/api/generate
    """

    endpoint = "generate"
    family = "ollama"
    paths = _GENERATE

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and a prompt; without a prompt it only loads the model."""
        asked = _requested(exchange)
        prompt = asked.body.get("prompt") if asked else None
        return asked if isinstance(prompt, str) and prompt else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """As a chat."""
        return _read(exchange, request)


class OllamaEmbeddings(PostedTo):
    """``POST /api/embed``, and ``/api/embeddings``, which states no counts.

    Source: https://docs.ollama.com/api/embed
    """

    endpoint = "embeddings"
    family = "ollama"
    paths = _EMBED

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and an input, formerly a prompt."""
        asked = requested(exchange)
        if asked is None or not asked.model or not _texts_to_embed(asked):
            return None
        return asked if _may_be(exchange, b'"embedding') else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        stated = Stated(answer)
        usage = Usage(input_tokens=stated.count("prompt_eval_count"))
        complete = usage.input_tokens is not None
        error = answer.get("error")
        return Reading(
            model_returned=name(answer.get("model")),
            usage=usage,
            usage_complete=complete,
            texts=None if complete or error else Texts(inputs=_texts_to_embed(request)),
            error=error_name(error) if error else None,
            note=notes(stated.note, None if complete or error else "no usage in the answer"),
        )


def _requested(exchange: Exchange) -> Request | None:
    """The request; it asks for a stream unless it says otherwise."""
    asked = requested(exchange)
    if asked is None or not asked.model or not _may_be(exchange, b'"done"', b'"error"'):
        return None
    return Request(
        body=asked.body,
        model=asked.model,
        max_output_tokens=Stated(asked.body).count("options", "num_predict"),
        in_stream=asked.body.get("stream") is not False,
    )


def _may_be(exchange: Exchange, *signs: bytes) -> bool:
    """Whether the answer does not speak against it: applications have such paths as well."""
    status, answer = exchange.status, exchange.response_body
    if status is None or not 200 <= status < 300 or not answer.strip():
        return True
    return any(sign in answer for sign in signs)


def _texts_to_embed(request: Request) -> tuple[str, ...]:
    given = request.body.get("input", request.body.get("prompt"))
    listed = given if isinstance(given, list) else [given]
    return tuple(text for text in listed if isinstance(text, str))


def _read(exchange: Exchange, request: Request) -> Reading:
    reading = _reading(request, json_objects(exchange.response_body, _TELLING))
    if reading.usage_complete:
        return reading
    return _reading(request, json_objects(exchange.response_body))


def _reading(request: Request, lines: tuple[Mapping[str, Any], ...]) -> Reading:
    stated = Stated(lines[-1] if lines else None)
    usage = Usage(
        input_tokens=stated.count("prompt_eval_count"), output_tokens=stated.count("eval_count")
    )
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    error = next((line["error"] for line in lines if line.get("error")), None)
    return Reading(
        model_returned=next((model for one in lines if (model := name(one.get("model")))), None),
        usage=usage,
        usage_complete=complete,
        streaming=request.streams,
        texts=None if complete or not lines else _texts(request, lines),
        error=error_name(error) if error else None,
        note=notes(stated.note, None if complete or error else _missing(lines, usage)),
    )


def _missing(lines: tuple[Mapping[str, Any], ...], usage: Usage) -> str:
    if not lines:
        return "the answer has no JSON object"
    if usage.output_tokens is not None:
        # left out by older versions when the whole prompt was still in memory
        return "prompt_eval_count is missing"
    return "the answer ended before its counts"


def _texts(request: Request, lines: Iterable[Mapping[str, Any]]) -> Texts:
    body = request.body
    output = Channels()
    for line in lines:
        message = mapping(line.get("message"))
        for said in (line, message):
            output.add("thinking", said.get("thinking"))
        output.add("text", line.get("response"))
        output.add("text", message.get("content"))
        for call in objects(message.get("tool_calls")):
            output.add("tool", dumped(call.get("function")))
    prompts = (body.get("system"), body.get("prompt"))
    return Texts(
        messages=objects(body.get("messages")),
        tools=objects(body.get("tools")),
        inputs=tuple(text for text in prompts if isinstance(text, str) and text),
        output=output.text,
    )
