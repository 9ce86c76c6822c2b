"""Bedrock's Converse and ConverseStream, one format for all of its models.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers import aws_event_stream
from pytest_crashlens.providers.bedrock import model_id, read_usage, refusal
from pytest_crashlens.providers.hosts import provider_of
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
    tier,
)

_PATH = re.compile(r"/model/(.+)/converse(-stream)?/?$")
_MEDIA = ("image", "document", "video", "audio")


class BedrockConverse(PostedTo):
    """``POST /model/{id}/converse`` and ``/converse-stream``."""

    endpoint = "converse"
    family = "bedrock"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """Anything at Bedrock itself; elsewhere it has messages, or variables of a kept prompt."""
        found = _PATH.search(exchange.path)
        body = json_object(exchange.request_body) or {}
        is_asked = isinstance(body.get("messages"), list) or "promptVariables" in body
        if not found or not (is_asked or provider_of(exchange.host, "") == "bedrock"):
            return None
        cap = Stated(body.get("inferenceConfig")).count("maxTokens")
        return Request(
            body=body,
            model=model_id(found[1]),
            max_output_tokens=cap,
            in_stream=bool(found[2]),
        )

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or the event ``metadata`` that ends the stream."""
        answer = json_object(exchange.response_body)
        if answer is not None:
            error = answer.get("error") or refusal(answer)
            said = mapping(answer.get("output")).get("message")
            output = None if said is None else said_in([mapping(said)])
            return _reading(request, answer, error=error, output=output)
        if request.streams or exchange.content_type == aws_event_stream.MEDIA_TYPE:
            return _read_stream(exchange, request)
        return Reading(note="the answer is no JSON object")


def _read_stream(exchange: Exchange, request: Request) -> Reading:
    metadata: dict[str, Any] = {}
    events: list[Mapping[str, Any]] = []
    error: object = None
    for message in aws_event_stream.messages(exchange.response_body):
        if message.exception:
            error = {"type": message.exception}
        elif message.kind == "metadata":
            metadata.update(message.data)
        else:
            events.append({message.kind: message.data})
    output = said_in(events) if events else None
    return _reading(request, metadata, error=error, output=output, streaming=True)


def _reading(
    request: Request,
    answer: Mapping[str, Any],
    *,
    error: object,
    output: str | None,
    streaming: bool = False,
) -> Reading:
    usage, note = read_usage(answer.get("usage"))
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    if complete or error:
        missing = None
    else:
        missing = "the stream ended before its usage" if streaming else "no usage in the answer"
    router = mapping(mapping(answer.get("trace")).get("promptRouter"))
    return Reading(
        model_returned=name(router.get("invokedModelId")),
        usage=usage,
        usage_complete=complete,
        streaming=streaming,
        service_tier=_tier(answer),
        texts=None if complete or output is None else texts(request.body, output),
        error=_error_name(error) if error else None,
        note=notes(note, missing),
    )


def _tier(answer: Mapping[str, Any]) -> str | None:
    """The service tier; answering with optimised latency has a price of its own as well."""
    latency = mapping(answer.get("performanceConfig")).get("latency")
    fast = "latency-optimized" if latency == "optimized" else None
    return tier(mapping(answer.get("serviceTier")).get("type")) or fast


def _error_name(error: object) -> str:
    return error_name({"type": error} if isinstance(error, str) else error)


def texts(body: Mapping[str, Any], output: str) -> Texts:
    """What can be counted of a request in this format (Nova's own is the same)."""
    system = [{"role": "system", "content": _content(body.get("system"))}]
    tools = objects(mapping(body.get("toolConfig")).get("tools"))
    return Texts(
        messages=(
            *(system if body.get("system") else ()),
            *(
                {"role": message.get("role"), "content": _content(message.get("content"))}
                for message in objects(body.get("messages"))
            ),
        ),
        tools=tuple(mapping(tool.get("toolSpec")) for tool in tools),
        output=output,
    )


def _content(blocks: object) -> str | list[Mapping[str, Any]]:
    """Content blocks as one text, or as parts where there is more than text (never its bytes)."""
    if isinstance(blocks, str):
        return blocks
    parts: list[Mapping[str, Any]] = []
    for block in objects(blocks):
        if isinstance(block.get("text"), str):
            parts.append({"type": "text", "text": block["text"]})
        for medium in _MEDIA:
            if medium in block:
                parts.append({"type": medium})
        for key in ("toolUse", "toolResult"):
            if key in block:
                parts.append({"type": "text", "text": _dumped(block[key])})
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def said_in(events: Iterable[Mapping[str, Any]]) -> str:
    """The text in messages and stream events: answers, reasoning, calls of tools."""
    output = Channels()
    for event in events:
        for place, block in enumerate(objects(event.get("content"))):
            _add(output, place, block)
        for key, part in (("contentBlockStart", "start"), ("contentBlockDelta", "delta")):
            told = mapping(event.get(key))
            _add(output, repr(told.get("contentBlockIndex")), mapping(told.get(part)))
    return output.text


def _add(output: Channels, channel: object, block: Mapping[str, Any]) -> None:
    reasoning = mapping(block.get("reasoningContent"))
    tool = mapping(block.get("toolUse"))
    output.add((channel, "reasoning"), reasoning.get("text"))
    output.add((channel, "reasoning"), mapping(reasoning.get("reasoningText")).get("text"))
    output.add((channel, "text"), block.get("text"))
    output.add((channel, "tool"), tool.get("name"))
    given = tool.get("input")
    output.add((channel, "tool"), given if isinstance(given, str) or not given else _dumped(given))


def _dumped(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""
