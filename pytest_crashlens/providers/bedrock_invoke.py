"""Bedrock's InvokeModel, in which every family of models speaks as it likes.

Which family answers is told by the answer's shape, for an inference profile need not name it. What
the answer does not count is in the response's headers, or in the metrics that end a stream.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers import aws_event_stream
from pytest_crashlens.providers.anthropic_messages import AnthropicMessages
from pytest_crashlens.providers.bedrock import (
    filled,
    header_usage,
    model_id,
    read_usage,
    refusal,
)
from pytest_crashlens.providers.bedrock_converse import said_in, texts
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.openai_chat import OpenAIChat
from pytest_crashlens.providers.reading import (
    Channels,
    PostedTo,
    Reading,
    Request,
    Stated,
    Texts,
    decode_json,
    error_name,
    json_object,
    mapping,
    notes,
    objects,
    requested,
)

_PATH = re.compile(r"/model/(.+)/invoke(-with-response-stream)?/?$")
_CAPS = ("max_tokens", "max_tokens_to_sample", "max_gen_len", "maxTokens", "max_completion_tokens")
_NESTED_CAPS = (
    ("textGenerationConfig", "maxTokenCount"),
    ("inferenceConfig", "maxTokens"),
    ("inferenceConfig", "max_new_tokens"),
)
_ASKS = frozenset(
    {"messages", "prompt", "inputText", "inputImage", "texts", "images", "inputs", "taskType"}
    | {"query", "message", "text_prompts"}
)
_METRICS = "amazon-bedrock-invocationMetrics"
_NO_OUTPUT = frozenset({"embedding", "embeddings", "embeddingsByType"})
_SAID = ("completion", "outputText", "generation", "text")
_SAID_WITHIN = ("results", "generations", "outputs", "completions")


class BedrockInvoke(PostedTo):
    """``POST /model/{id}/invoke`` and ``/invoke-with-response-stream``."""

    endpoint = "invoke"
    family = "bedrock"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """Anything at Bedrock itself; elsewhere what looks like a question to some family."""
        found = _PATH.search(exchange.path)
        asked = requested(exchange, *_CAPS) or Request(body={}, model=None)
        if not found:
            return None
        if _ASKS.isdisjoint(asked.body) and provider_of(exchange.host, "") != "bedrock":
            return None
        cap = asked.max_output_tokens
        return Request(
            body=asked.body,
            model=model_id(found[1]),
            max_output_tokens=Stated(asked.body).first(*_NESTED_CAPS) if cap is None else cap,
            in_stream=bool(found[2]),
        )

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or chunks of which each is an event in the family's own stream."""
        answer = json_object(exchange.response_body)
        if answer is not None:
            reading = _read(exchange, request, [answer])
            return _with_counts(reading, header_usage(exchange.response_headers), [answer])
        if request.in_stream or exchange.content_type == aws_event_stream.MEDIA_TYPE:
            return _read_stream(exchange, request)
        reading = Reading(note="the answer is no JSON object")
        return _with_counts(reading, header_usage(exchange.response_headers), [])


def _read_stream(exchange: Exchange, request: Request) -> Reading:
    chunks: list[Mapping[str, Any]] = []
    error: str | None = None
    for message in aws_event_stream.messages(exchange.response_body):
        error = error or message.exception
        chunks.extend(_chunks(message.data.get("bytes")))
    reading = _read(exchange, request, chunks, streaming=True)
    metrics: dict[str, Any] = {}
    for chunk in chunks:
        metrics.update(mapping(chunk.get(_METRICS)))
    reading = _with_counts(reading, read_usage(metrics)[0], chunks)
    return replace(reading, error=error_name({"type": error})) if error else reading


def _chunks(encoded: object) -> Iterator[Mapping[str, Any]]:
    if not isinstance(encoded, str):
        return
    try:
        decoded = decode_json(base64.b64decode(encoded))
    except ValueError:
        return
    if isinstance(decoded, dict):
        yield decoded


def _read(
    exchange: Exchange,
    request: Request,
    chunks: Sequence[Mapping[str, Any]],
    *,
    streaming: bool = False,
) -> Reading:
    if any(chunk.get("type") in ("message", "message_start") for chunk in chunks):
        reader: AnthropicMessages | OpenAIChat = AnthropicMessages()
    elif any("choices" in chunk for chunk in chunks):
        reader = OpenAIChat()
    else:
        return _read_other(request, chunks, streaming=streaming)
    if streaming:
        body = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        exchange = replace(exchange, response_body=body)
    return reader.read(exchange, request)


def _read_other(
    request: Request, chunks: Sequence[Mapping[str, Any]], *, streaming: bool
) -> Reading:
    """Nova, Titan, Llama, and those who count nothing in their answers."""
    merged: dict[str, Any] = {}
    for chunk in chunks:  # counts are cumulative: the last ones hold
        merged.update({key: value for key, value in chunk.items() if value is not None})
        merged.update(mapping(chunk.get("metadata")))
    usage, note = read_usage(merged.get("usage"))
    usage = filled(usage, _flat_usage(Stated(merged)))
    error = merged.get("error") or refusal(merged)
    return Reading(
        usage=usage,
        usage_complete=usage.input_tokens is not None and usage.output_tokens is not None,
        streaming=streaming,
        texts=_texts(request, chunks),
        error=error_name(error if isinstance(error, dict) else {"type": error}) if error else None,
        note=notes(note, None if error or usage.output_tokens is not None else _missing(merged)),
    )


def _flat_usage(stated: Stated) -> Usage:
    """The counts that Titan and Llama state beside their text."""
    output = stated.first(("totalOutputTextTokenCount",), ("generation_token_count",))
    results = [Stated(result).count("tokenCount") for result in objects(stated.raw.get("results"))]
    if output is None and results and None not in results:
        output = sum(count or 0 for count in results)
    return Usage(
        input_tokens=stated.first(("inputTextTokenCount",), ("prompt_token_count",)),
        output_tokens=output,
    )


def _missing(answer: Mapping[str, Any]) -> str:
    if "images" in answer or "artifacts" in answer:
        return "images, which are billed by the piece"
    return "no usage in the answer"


def _with_counts(reading: Reading, beside: Usage, chunks: Sequence[Mapping[str, Any]]) -> Reading:
    """``reading`` with the counts that are told beside it, where it lacks some."""
    stated, counted = reading.usage.output_tokens, beside.output_tokens
    if reading.usage_complete:
        if counted is None or stated == counted:
            return reading
        # seen with calls of tools; the model's own count is the one in the answer
        beside_it = f"Bedrock itself counts {counted} output tokens"
        return replace(reading, note=notes(reading.note, beside_it))
    usage = filled(reading.usage, beside)
    needs_output = not _is_embedding(chunks)
    if usage.input_tokens is None or (needs_output and usage.output_tokens is None):
        return replace(reading, usage=usage)
    return replace(reading, usage=usage, usage_complete=True, texts=None, note=None)


def _is_embedding(chunks: Sequence[Mapping[str, Any]]) -> bool:
    return any(key in chunk for chunk in chunks for key in _NO_OUTPUT)


def _texts(request: Request, chunks: Sequence[Mapping[str, Any]]) -> Texts | None:
    """What can be counted; without output where the answer is made of numbers (embeddings)."""
    body = request.body
    said = None if _is_embedding(chunks) else _said(chunks)
    if isinstance(body.get("messages"), list):
        return texts(body, said or "")
    given = [body.get("prompt"), body.get("inputText"), body.get("message")]
    listed = body.get("texts")
    inputs = tuple(text for text in (*given, *(listed if isinstance(listed, list) else ())) if text)
    if not inputs or not chunks or not all(isinstance(text, str) for text in inputs):
        return None
    return Texts(inputs=inputs, output=said)


def _said(chunks: Sequence[Mapping[str, Any]]) -> str:
    output = Channels()
    for chunk in chunks:
        parts = (chunk, *(part for key in _SAID_WITHIN for part in objects(chunk.get(key))))
        for part in parts:
            for key in _SAID:
                output.add("text", part.get(key))
            output.add("text", mapping(part.get("data")).get("text"))  # AI21's Jurassic
        message = mapping(mapping(chunk.get("output")).get("message"))  # Nova
        output.add("text", said_in([chunk, message]))
    return output.text
