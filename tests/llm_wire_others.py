"""What other providers answer on the wire, and forced tool calls: see :mod:`tests.llm_wire`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests import llm_wire as wire

_GEMINI = re.compile(r"/models/([^/:]+):(generateContent|streamGenerateContent)$")


def completed(path: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """``request`` with what Gemini says in the path: the model and whether to stream."""
    found = _GEMINI.search(path)
    if found is None:
        return request
    return {**request, "model": found[1], "stream": found[2] == "streamGenerateContent"}


# --- tools that must be called: how most libraries ask for structured output


def forced_tool(request: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Name and arguments of the tool call that ``request`` insists on."""
    choice, tools = request.get("tool_choice"), request.get("tools") or []
    kind = choice.get("type") if isinstance(choice, Mapping) else choice
    if kind not in ("required", "any", "function", "tool") or not tools:
        return None
    wanted = None
    if isinstance(choice, Mapping):
        wanted = choice.get("name") or (choice.get("function") or {}).get("name")
    for tool in tools:
        function = tool.get("function") or tool
        if wanted in (None, function["name"]):
            schema = function.get("parameters") or function.get("input_schema") or {}
            return function["name"], wire.instance(schema, schema.get("$defs", {}))
    return None


def chat(request: Mapping[str, Any], answer: wire.Answer) -> dict[str, Any]:
    body = wire.chat(request, answer)
    if forced := forced_tool(request):
        function = {"name": forced[0], "arguments": json.dumps(forced[1])}
        call = {"id": "call_1", "type": "function", "function": function}
        body["choices"][0]["message"] |= {"content": None, "tool_calls": [call]}
        body["choices"][0]["finish_reason"] = "tool_calls"
    return body


def message(request: Mapping[str, Any], answer: wire.Answer) -> dict[str, Any]:
    body = wire.message(request, answer)
    if forced := forced_tool(request):
        block = {"type": "tool_use", "id": "toolu_1", "name": forced[0], "input": forced[1]}
        body |= {"content": [block], "stop_reason": "tool_use"}
    return body


def response(request: Mapping[str, Any], answer: wire.Answer) -> dict[str, Any]:
    body = wire.response(request, answer)
    if forced := forced_tool(request):
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
        body["output"] = [item | {"name": forced[0], "arguments": json.dumps(forced[1])}]
    return body


# --- OpenAI-compatible providers whose streams state the usage unasked


def chat_events(request: Mapping[str, Any], answer: wire.Answer) -> Iterator[str]:
    """Mistral, Together: usage in the last chunk that has a choice."""
    return _with_usage(request, answer, lambda usage: {"usage": usage})


def groq_events(request: Mapping[str, Any], answer: wire.Answer) -> Iterator[str]:
    """Groq states it in a member of its own."""
    return _with_usage(request, answer, lambda usage: {"x_groq": {"id": "req_1", "usage": usage}})


def _with_usage(request: Mapping[str, Any], answer: wire.Answer, member: Any) -> Iterator[str]:
    unasked = {name: value for name, value in request.items() if name != "stream_options"}
    for event in wire.chat_events(unasked, answer):
        data = event.removeprefix("data: ").strip()
        if answer.usage and '"finish_reason": "stop"' in data:
            yield f"data: {json.dumps(json.loads(data) | member(wire.chat_usage(answer)))}\n\n"
        else:
            yield event


# --- Gemini


def gemini_usage(answer: wire.Answer) -> dict[str, Any]:
    """Candidates are counted without thoughts; the prompt with its cached part."""
    return {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": (answer.output_tokens or 0) - answer.reasoning_tokens,
        "thoughtsTokenCount": answer.reasoning_tokens,
        "cachedContentTokenCount": answer.cache_read_tokens,
        "totalTokenCount": (answer.input_tokens or 0) + (answer.output_tokens or 0),
    }


def _gemini_chunk(answer: wire.Answer, text: str, *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "index": 0,
        "content": {"role": "model", "parts": [{"text": text}]},
    }
    body: dict[str, Any] = {
        "candidates": [candidate],
        "modelVersion": answer.model,
        "responseId": wire.identifier("", answer),
    }
    if last:
        candidate["finishReason"] = "STOP"
        if answer.usage:
            body["usageMetadata"] = gemini_usage(answer)
    return body


def gemini(request: Mapping[str, Any], answer: wire.Answer) -> dict[str, Any]:
    return _gemini_chunk(answer, answer.text or "", last=True)


def gemini_events(request: Mapping[str, Any], answer: wire.Answer) -> Iterator[str]:
    pieces = wire.words(answer.text or "") or [""]
    for number, piece in enumerate(pieces, start=1):
        chunk = _gemini_chunk(answer, piece, last=number == len(pieces))
        yield f"data: {json.dumps(chunk)}\r\n\r\n"


# --- Cohere, version 2 of the chat


def cohere_usage(answer: wire.Answer) -> dict[str, Any]:
    counts = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": answer.cache_read_tokens}


def cohere(request: Mapping[str, Any], answer: wire.Answer) -> dict[str, Any]:
    """The model is nowhere in the answer."""
    content = [{"type": "text", "text": answer.text}]
    body = {
        "id": wire.identifier("", answer),
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": content},
    }
    return body | {"usage": cohere_usage(answer)} if answer.usage else body


def cohere_events(request: Mapping[str, Any], answer: wire.Answer) -> Iterator[str]:
    end: dict[str, Any] = {"finish_reason": "COMPLETE"}
    if answer.usage:
        end["usage"] = cohere_usage(answer)
    started = {
        "role": "assistant",
        "content": [],
        "tool_plan": "",
        "tool_calls": [],
        "citations": [],
    }
    events: list[tuple[str, dict[str, Any]]] = [
        ("message-start", {"id": "msg_1", "delta": {"message": started}}),
        ("content-start", {"index": 0, "delta": {"message": {"content": _text("")}}}),
        *(
            ("content-delta", {"index": 0, "delta": {"message": {"content": {"text": piece}}}})
            for piece in wire.words(answer.text or "")
        ),
        ("content-end", {"index": 0}),
        ("message-end", {"delta": end}),
    ]
    for kind, data in events:
        yield f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n"


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


# --- Ollama


def _ollama_line(answer: wire.Answer, text: str, *, done: bool) -> dict[str, Any]:
    line: dict[str, Any] = {
        "model": answer.model,
        "created_at": "2025-10-09T08:53:20Z",
        "message": {"role": "assistant", "content": text},
        "done": done,
    }
    if done:
        line |= {"done_reason": "stop", "total_duration": 4_000_000, "load_duration": 1_000_000}
        if answer.usage:
            line["prompt_eval_count"] = answer.input_tokens
            line["eval_count"] = answer.output_tokens
    return line


def ollama(request: Mapping[str, Any], answer: wire.Answer) -> dict[str, Any]:
    return _ollama_line(answer, answer.text or "", done=True)


def ollama_lines(request: Mapping[str, Any], answer: wire.Answer) -> Iterator[str]:
    for piece in wire.words(answer.text or ""):
        yield json.dumps(_ollama_line(answer, piece, done=False)) + "\n"
    yield json.dumps(_ollama_line(answer, "", done=True)) + "\n"
