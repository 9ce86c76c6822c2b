"""Gemini's Interactions, a format of its own with a usage of its own.

Source: https://ai.google.dev/api/interactions-api
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers import google, sse
from pytest_crashlens.providers.openai_usage import without_oversized
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

_PATH = re.compile(r"/interactions/?$")


class GeminiInteractions(PostedTo):
    """``POST .../interactions``."""

    endpoint = "interactions"
    family = "google"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """It has some input and a model, or an agent in its place."""
        asked = requested(exchange)
        if asked is None or not asked.body.get("input"):
            return None
        model = asked.model or name(asked.body.get("agent"))
        if model is None:
            return None
        cap = Stated(asked.body).count("generation_config", "max_output_tokens")
        return Request(body=asked.body, model=model, max_output_tokens=cap)

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One interaction, or the last state of it among the events."""
        if not is_stream(exchange, request):
            answer = json_object(exchange.response_body)
            if answer is None:
                return Reading(note="the answer is no JSON object")
            return _reading(request, answer, [answer])
        events = list(sse.events(exchange.response_body))
        states = [state for event in events if (state := mapping(event.get("interaction")))]
        state = {key: value for one in states for key, value in one.items() if value is not None}
        error = next((event["error"] for event in events if event.get("error")), None)
        if error and not state.get("error"):
            state["error"] = error
        return _reading(request, state, events, streaming=True)


def _reading(
    request: Request,
    state: Mapping[str, Any],
    said_in: Iterable[Mapping[str, Any]],
    *,
    streaming: bool = False,
) -> Reading:
    usage, note = _read_usage(state.get("usage"))
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    error = state.get("error")
    pending = not complete and request.body.get("background") is True
    elsewhere = not complete and bool(request.body.get("previous_interaction_id"))
    if complete or error:
        missing = None
    elif pending:
        missing = "answered in the background: its usage is not in this answer"
    elif elsewhere:
        missing = "part of its input is kept by the provider: not countable"
    else:
        missing = "the stream ended before its usage" if streaming else "no usage in the answer"
    countable = not (complete or pending or elsewhere) and bool(state)
    return Reading(
        model_returned=name(state.get("model")),
        usage=usage,
        usage_complete=complete,
        streaming=streaming,
        service_tier=tier(state.get("service_tier")),
        texts=_texts(request, said_in) if countable else None,
        error=error_name(error) if error else None,
        note=notes(note, missing),
    )


def _read_usage(raw: object) -> tuple[Usage, str | None]:
    """Thinking and what tools put into the prompt are counted beside output and input."""
    stated = Stated(raw)
    asked = stated.count("total_input_tokens")
    said = stated.count("total_output_tokens")
    thoughts = stated.count("total_thought_tokens")
    tools = stated.count("total_tool_use_tokens")
    inputs, tool_use, cached, outputs = (
        google.by_modality(stated.raw.get(f"{side}_tokens_by_modality"), "tokens")
        for side in ("input", "tool_use", "cached", "output")
    )
    usage, oversized = without_oversized(
        Usage(
            input_tokens=None if asked is None else asked + (tools or 0),
            output_tokens=None if said is None else said + (thoughts or 0),
            cache_read_tokens=stated.count("total_cached_tokens"),
            input_audio_tokens=google.uncached("AUDIO", [inputs, tool_use], cached),
            input_image_tokens=google.uncached("IMAGE", [inputs, tool_use], cached),
            reasoning_tokens=None if said is None else thoughts,
            output_audio_tokens=outputs.get("AUDIO"),
            output_image_tokens=outputs.get("IMAGE"),
        )
    )
    return usage, notes(stated.note, oversized)


def _texts(request: Request, said_in: Iterable[Mapping[str, Any]]) -> Texts:
    body = request.body
    given = body.get("input")
    messages: list[Mapping[str, Any]] = []
    if isinstance(body.get("system_instruction"), str):
        messages.append({"role": "system", "content": body["system_instruction"]})
    messages.append({"role": "user", "content": given if isinstance(given, str) else [given]})
    output = Channels()
    for told in said_in:
        delta = mapping(told.get("delta"))
        output.add(repr(told.get("index")), delta.get("text"))
        for step in objects(told.get("steps")):
            for content in objects(step.get("content")):
                output.add("steps", content.get("text"))
    return Texts(messages=tuple(messages), tools=objects(body.get("tools")), output=output.text)
