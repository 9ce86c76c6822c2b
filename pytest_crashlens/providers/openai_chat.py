"""OpenAI Chat Completions, which most providers, gateways and local servers speak."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.openai_usage import read_usage
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
    tier,
)
from pytest_crashlens.providers.stated_cost import stated_cost

_PATH = re.compile(r"/chat/completions/?$")
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_TELLING = (b'"usage"', b'"error"')

ASK_FOR_USAGE = 'no usage in the stream: pass stream_options={"include_usage": True}'


class OpenAIChat(PostedTo):
    """``POST .../chat/completions``."""

    endpoint = "chat"
    family = "openai"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """A chat has messages; its model may be in the path (Azure) or left to a local server."""
        asked = requested(exchange, "max_completion_tokens", "max_tokens")
        if asked is None or not isinstance(asked.body.get("messages"), list):
            return None
        return with_deployment(asked, exchange)

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or chunks of which the last one with a usage holds."""
        if not is_stream(exchange, request):
            answer = json_object(exchange.response_body)
            if answer is None:
                return Reading(note="the answer is no JSON object")
            return _reading(request, [answer])
        chunks = sse.telling(exchange.response_body, _TELLING)
        reading = _reading(request, chunks, streaming=True)
        if reading.usage_complete and reading.model_returned:
            return reading
        # the long way: texts to count, or a model's name that only other chunks tell
        return _reading(request, list(sse.events(exchange.response_body)), streaming=True)


def with_deployment(request: Request, exchange: Exchange) -> Request:
    """``request`` with Azure's deployment as its model, where the body names none."""
    deployment = _DEPLOYMENT.search(exchange.path)
    if request.model or not deployment:
        return request
    return Request(
        body=request.body,
        model=name(deployment[1]),
        max_output_tokens=request.max_output_tokens,
    )


def _reading(
    request: Request, chunks: Sequence[Mapping[str, Any]], *, streaming: bool = False
) -> Reading:
    raw = _last_usage(chunks)
    usage, note = read_usage(raw)
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    error = next((chunk["error"] for chunk in chunks if chunk.get("error")), None)
    return Reading(
        model_returned=next(
            (model for chunk in chunks if (model := name(chunk.get("model")))), None
        ),
        usage=usage,
        usage_complete=complete,
        streaming=streaming,
        service_tier=tier(
            *(chunk.get("service_tier") for chunk in chunks), raw.get("service_tier")
        ),
        texts=None if complete else _texts(request, chunks),
        error=error_name(error) if error else None,
        stated_cost_usd=stated_cost(raw),
        note=notes(note, None if complete or error else _missing(request, streaming)),
    )


def _last_usage(chunks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The last usage stated: later ones repeat or continue earlier ones (Perplexity)."""
    for chunk in reversed(chunks):
        places = (
            chunk.get("usage"),
            mapping(chunk.get("x_groq")).get("usage"),  # Groq, without include_usage
            *(choice.get("usage") for choice in objects(chunk.get("choices"))),  # Moonshot
        )
        for place in places:
            if read_usage(place)[0].stated:
                return mapping(place)
    return {}


def _missing(request: Request, streaming: bool) -> str:
    if not streaming:
        return "no usage in the answer"
    if mapping(request.body.get("stream_options")).get("include_usage") is True:
        return "no usage in the stream, though the request asks for it"
    return ASK_FOR_USAGE


def _texts(request: Request, chunks: Iterable[Mapping[str, Any]]) -> Texts | None:
    output = Channels()
    answered = False
    for chunk in chunks:
        for place, choice in enumerate(objects(chunk.get("choices"))):
            answered = True
            said = mapping(choice.get("delta")) or mapping(choice.get("message"))
            _add(output, choice.get("index", place), said)
    if not answered:
        return None
    tools = objects(request.body.get("tools")) + objects(request.body.get("functions"))
    return Texts(messages=objects(request.body.get("messages")), tools=tools, output=output.text)


def _add(output: Channels, choice: object, said: Mapping[str, Any]) -> None:
    index = repr(choice)
    # both names for the same text, where a server sends both
    output.add((index, "reasoning"), said.get("reasoning_content") or said.get("reasoning"))
    output.add_content((index, "content"), said.get("content"))
    output.add((index, "refusal"), said.get("refusal"))
    output.add((index, "audio"), mapping(said.get("audio")).get("transcript"))
    calls = (*objects(said.get("tool_calls")), {"function": said.get("function_call")})
    for place, call in enumerate(calls):
        function = mapping(call.get("function"))
        channel = (index, "tool", repr(call.get("index", place)))
        output.add(channel, function.get("name"))
        output.add(channel, function.get("arguments"))
