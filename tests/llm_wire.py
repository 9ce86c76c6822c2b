"""What OpenAI and Anthropic answer on the wire: pure functions from a request to JSON or events.

Counts are in our vocabulary (``input_tokens`` is the total input); each provider's own way to
state them is applied here, by hand, so that readers of the wire are tested against another hand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

CREATED = 1_760_000_000
TEXT_KEYS = ("content", "text", "input", "system", "instructions", "contents", "parts")

SNAPSHOTS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}
"""Aliases are answered with the dated snapshot, as the real APIs do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The script of one answer; None is filled in from the request."""

    model: str | None = None
    text: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    usage: bool = True
    """False: the answer states no usage at all, as some gateways do."""
    status: int = 200
    """0: the connection is closed without an answer."""
    cut_after: int | None = None
    """Close the connection after so many events (of a stream) or bytes (of JSON)."""
    delay_between_chunks: float = 0.0
    gzip: bool = False

    def filled(self, request: Mapping[str, Any]) -> Answer:
        """This answer with model, text and counts made up from ``request`` where not scripted."""
        asked = str(request.get("model", ""))
        text = self.text if self.text is not None else default_text(request)
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["text"] = text
        if self.model is None:
            values["model"] = SNAPSHOTS.get(asked, asked)
        if self.input_tokens is None:
            values["input_tokens"] = sum(len(part.split()) for part in prompt_texts(request))
        if self.output_tokens is None:
            values["output_tokens"] = len(text.split()) + self.reasoning_tokens
        return Answer(**values)


def magic(request: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON script inside the last text of the prompt, or {}.

    ``{"usage": {"input": 1200, "output": 80, "cache_read": 0, "cache_write": 0, "reasoning": 0},
    "fail": [429, 429], "fail_for": "model", "cut_after": 3, "delay": 0.01, "text": "...",
    "model": "...", "gzip": true}``; ``"usage": null`` answers without usage.
    """
    texts = list(prompt_texts({k: request.get(k) for k in ("input", "messages", "contents")}))
    start = texts[-1].find("{") if texts else -1
    if start < 0:
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(texts[-1], start)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def scripted(script: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of :class:`Answer` which a magic ``script`` sets."""
    plain = {key: script[key] for key in ("cut_after", "text", "model", "gzip") if key in script}
    if "delay" in script:
        plain["delay_between_chunks"] = script["delay"]
    if script.get("usage", {}) is None:
        return plain | {"usage": False}
    counts = script.get("usage", {})
    return plain | {f"{name}_tokens": count for name, count in counts.items()}


def prompt_texts(node: Any) -> Iterator[str]:
    """Every text of a prompt, in order."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for item in node:
            yield from prompt_texts(item)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key == "messages" or key in TEXT_KEYS:
                yield from prompt_texts(value)


def default_text(request: Mapping[str, Any]) -> str:
    """A fixed sentence, or an instance of the JSON schema that the request asks for."""
    schema = (
        (request.get("response_format") or {}).get("json_schema", {}).get("schema")
        or ((request.get("text") or {}).get("format") or {}).get("schema")
        or ((request.get("output_config") or {}).get("format") or {}).get("schema")
    )
    if schema:
        return json.dumps(instance(schema, schema.get("$defs", {})))
    return "This is the answer of the fake provider."


def instance(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Any:
    """The simplest value that fits ``schema``."""
    if "$ref" in schema:
        return instance(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], defs)
    match schema.get("type"):
        case "object":
            return {k: instance(v, defs) for k, v in schema.get("properties", {}).items()}
        case "array":
            return [instance(schema["items"], defs)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "null":
            return None
    return "text"


def words(text: str) -> list[str]:
    """``text`` in the pieces that a stream sends."""
    return re.findall(r"\S+\s*|\s+", text)


def identifier(prefix: str, answer: Answer) -> str:
    """A fixed id for ``answer``."""
    return prefix + hashlib.sha256(repr(answer).encode()).hexdigest()[:24]


# --- errors

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error(status: int, *, anthropic: bool) -> dict[str, Any]:
    """The body of an error of either provider."""
    kind, message = ERRORS.get(status, "api_error"), f"scripted {status}"
    if anthropic:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


# --- OpenAI Chat Completions


def chat_usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": (answer.input_tokens or 0) + (answer.output_tokens or 0),
        "prompt_tokens_details": {"cached_tokens": answer.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    body = {
        "id": identifier("chatcmpl-", answer),
        "object": "chat.completion",
        "created": CREATED,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "service_tier": "default",
        "system_fingerprint": "fp_0",
    }
    return body | {"usage": chat_usage(answer)} if answer.usage else body


def chat_events(request: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    """Usage comes last, in a chunk without choices, and only when it was asked for."""
    asked = bool((request.get("stream_options") or {}).get("include_usage")) and answer.usage
    base: dict[str, Any] = {
        "id": identifier("chatcmpl-", answer),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_0",
    }
    if asked:
        base["usage"] = None
    deltas: list[tuple[dict[str, Any], str | None]] = [
        ({"role": "assistant", "content": "", "refusal": None}, None),
        *(({"content": piece}, None) for piece in words(answer.text or "")),
        ({}, "stop"),
    ]
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield f"data: {json.dumps(base | {'choices': [choice]})}\n\n"
    if asked:
        yield f"data: {json.dumps(base | {'choices': [], 'usage': chat_usage(answer)})}\n\n"
    yield "data: [DONE]\n\n"


# --- OpenAI Embeddings


def embeddings(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    given = request.get("input", "")
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    body: dict[str, Any] = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": vector(text, request.get("encoding_format", "float")),
            }
            for index, text in enumerate(inputs)
        ],
        "model": answer.model,
    }
    if answer.usage:
        body["usage"] = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
    return body


def vector(text: Any, encoding: str) -> list[float] | str:
    """Eight numbers that depend on ``text``, in either encoding of the API."""
    numbers = [byte / 256 for byte in hashlib.sha256(repr(text).encode()).digest()[:8]]
    if encoding == "base64":
        return base64.b64encode(struct.pack("<8f", *numbers)).decode()
    return numbers


# --- OpenAI Responses


def response_item(answer: Answer, status: str, text: str | None) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": identifier("msg_", answer),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if text is None else [part],
    }


def response(request: Any, answer: Answer, status: str = "completed") -> dict[str, Any]:
    done = status == "completed"
    usage = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {
            "cached_tokens": answer.cache_read_tokens,
            "cache_write_tokens": answer.cache_write_tokens,
        },
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": (answer.input_tokens or 0) + (answer.output_tokens or 0),
    }
    return {
        "id": identifier("resp_", answer),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "model": answer.model,
        "output": [response_item(answer, status, answer.text)] if done else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "default",
        "temperature": 1.0,
        "text": request.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if done and answer.usage else None,
        "metadata": {},
    }


def response_events(request: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    where = {"item_id": identifier("msg_", answer), "output_index": 0, "content_index": 0}
    item = {"output_index": 0}
    started, done = response(request, answer, "in_progress"), response(request, answer)
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    events: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": started}),
        ("in_progress", {"response": started}),
        ("output_item.added", item | {"item": response_item(answer, "in_progress", None)}),
        ("content_part.added", where | {"part": empty}),
        *(
            ("output_text.delta", where | {"delta": piece, "logprobs": []})
            for piece in words(answer.text or "")
        ),
        ("output_text.done", where | {"text": answer.text, "logprobs": []}),
        ("content_part.done", where | {"part": empty | {"text": answer.text}}),
        ("output_item.done", item | {"item": response_item(answer, "completed", answer.text)}),
        ("completed", {"response": done}),
    ]
    for number, (name, data) in enumerate(events):
        kind = f"response.{name}"
        event = {"type": kind, "sequence_number": number} | data
        yield f"event: {kind}\ndata: {json.dumps(event)}\n\n"


# --- Anthropic Messages


def message_usage(answer: Answer, output_tokens: int | None) -> dict[str, Any]:
    """Anthropic states the input without its cached part."""
    cached = answer.cache_read_tokens + answer.cache_write_tokens
    return {
        "input_tokens": (answer.input_tokens or 0) - cached,
        "cache_creation_input_tokens": answer.cache_write_tokens,
        "cache_read_input_tokens": answer.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": answer.cache_write_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def message(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    body = {
        "id": identifier("msg_", answer),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [{"type": "text", "text": answer.text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
    }
    return body | {"usage": message_usage(answer, answer.output_tokens)} if answer.usage else body


def message_events(request: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    start = message(request, answer) | {"content": [], "stop_reason": None}
    final: dict[str, Any] = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    if answer.usage:
        start["usage"] = message_usage(answer, 1)
        final["usage"] = message_usage(answer, answer.output_tokens)
        del final["usage"]["service_tier"], final["usage"]["cache_creation"]
    block = {"index": 0, "content_block": {"type": "text", "text": ""}}
    events: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": start}),
        ("content_block_start", block),
        ("ping", {}),
        *(
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in words(answer.text or "")
        ),
        ("content_block_stop", {"index": 0}),
        ("message_delta", final),
        ("message_stop", {}),
    ]
    for kind, data in events:
        yield f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n"


def count_tokens(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    return {"input_tokens": answer.input_tokens}
