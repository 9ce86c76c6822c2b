"""Anthropic Messages and its imitators."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage, total
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.reading import (
    Channels,
    PostedTo,
    Reading,
    Request,
    Stated,
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

_PATH = re.compile(r"/messages/?$")
_TELLING = (b'"message_start"', b'"message_delta"', b'"error"')


class AnthropicMessages(PostedTo):
    """``POST .../v1/messages``."""

    endpoint = "messages"
    family = "anthropic"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and messages; mail and chat services have not both."""
        asked = requested(exchange, "max_tokens")
        if asked is None or not asked.model:
            return None
        return asked if isinstance(asked.body.get("messages"), list) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One message, or its beginning and the deltas that replace parts of its usage."""
        if not is_stream(exchange, request):
            message = json_object(exchange.response_body)
            if message is None:
                return Reading(note="the answer is no JSON object")
            return _reading(
                request,
                message,
                mapping(message.get("usage")),
                error=message.get("error"),
                output=_said(message),
            )
        return _read_stream(exchange, request)


def _read_stream(exchange: Exchange, request: Request) -> Reading:
    message: Mapping[str, Any] = {}
    start: Mapping[str, Any] = {}
    raw: dict[str, Any] = {}
    error: object = None
    for event in sse.telling(exchange.response_body, _TELLING):
        kind = event.get("type")
        if kind == "message_start":
            message = mapping(event.get("message"))
            start = mapping(message.get("usage"))
            # the output stated here is only a beginning
            raw = {key: value for key, value in start.items() if key != "output_tokens"}
        elif kind == "message_delta":  # cumulative: replaces
            delta = mapping(event.get("usage"))
            raw.update({key: value for key, value in delta.items() if value is not None})
        elif event.get("error"):
            error = event["error"]
    reading = _reading(request, message, raw, error=error, streaming=True)
    if reading.usage_complete:
        return reading
    output = _streamed(sse.events(exchange.response_body))
    return _reading(request, message, raw, error=error, output=output, streaming=True)


def _reading(
    request: Request,
    message: Mapping[str, Any],
    raw: Mapping[str, Any],
    *,
    error: object,
    output: str | None = None,
    streaming: bool = False,
) -> Reading:
    usage, note = read_usage(raw)
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    if complete:
        missing = None
    else:
        missing = "the stream ended before its usage" if streaming else "no usage in the answer"
    return Reading(
        model_returned=name(message.get("model")),
        usage=usage,
        usage_complete=complete,
        streaming=streaming,
        service_tier=tier(raw.get("speed"), raw.get("service_tier")),
        texts=None if complete or output is None else _texts(request, output),
        error=error_name(error) if error else None,
        stated_cost_usd=stated_cost(raw),
        note=notes(note, None if error else missing),
    )


def read_usage(raw: Mapping[str, Any]) -> tuple[Usage, str | None]:
    """The counts of an Anthropic usage object, with the cached part inside the input.

    Where it lists iterations which used more than the object's own counts say (compaction,
    advisors: billed, but left out of those), their sum is the usage.
    """
    stated = Stated(raw)
    usage, note = _one_usage(stated)
    iterations = objects(raw.get("iterations"))
    summed = total(_one_usage(Stated(iteration))[0] for iteration in iterations)
    if summed.total_tokens > usage.total_tokens:
        usage = replace(
            summed, reasoning_tokens=usage.reasoning_tokens, web_searches=usage.web_searches
        )
        note = notes(note, "with all iterations" + _other_models(iterations))
    return usage, notes(stated.note, note)


def _one_usage(stated: Stated) -> tuple[Usage, str | None]:
    uncached = stated.count("input_tokens")
    read = stated.count("cache_read_input_tokens")
    five = stated.count("cache_creation", "ephemeral_5m_input_tokens")
    hour = stated.count("cache_creation", "ephemeral_1h_input_tokens")
    written = stated.count("cache_creation_input_tokens")
    split = None if five is None and hour is None else (five or 0) + (hour or 0)
    note = None
    if written is None:
        written = split
    elif split is not None and split != written:
        # seen with server tools: what the split leaves out is in neither part
        five, hour = None, hour or None
        note = "the split of cache writes by lifetime does not add up: left out"
    return (
        Usage(
            input_tokens=None if uncached is None else uncached + (read or 0) + (written or 0),
            output_tokens=stated.count("output_tokens"),
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_5m_tokens=five,
            cache_write_1h_tokens=hour,
            reasoning_tokens=stated.count("output_tokens_details", "thinking_tokens"),
            web_searches=stated.count("server_tool_use", "web_search_requests"),
        ),
        note,
    )


def _other_models(iterations: Iterable[Mapping[str, Any]]) -> str:
    models = sorted({model for part in iterations if (model := name(part.get("model")))})
    return f", some by {', '.join(models)}" if models else ""


def _texts(request: Request, output: str) -> Texts:
    body = request.body
    system = body.get("system")
    first = ({"role": "system", "content": system},) if system else ()
    return Texts(
        messages=(*first, *objects(body.get("messages"))),
        tools=objects(body.get("tools")),
        output=output,
    )


def _said(message: Mapping[str, Any]) -> str | None:
    if not isinstance(message.get("content"), list):
        return None
    return _joined({"content_block": block} for block in objects(message["content"]))


def _streamed(events: Iterable[Mapping[str, Any]]) -> str | None:
    seen = list(events)
    if not any(event.get("type") == "message_start" for event in seen):
        return None
    return _joined(seen)


def _joined(events: Iterable[Mapping[str, Any]]) -> str:
    output = Channels()
    for place, event in enumerate(events):
        channel = repr(event.get("index", place))
        block = mapping(event.get("content_block"))
        delta = mapping(event.get("delta"))
        for key in ("text", "thinking", "name"):
            output.add(channel, block.get(key))
        if block.get("input"):
            output.add(channel, repr(block["input"]))
        for key in ("text", "thinking", "partial_json"):
            output.add(channel, delta.get(key))
    return output.text
