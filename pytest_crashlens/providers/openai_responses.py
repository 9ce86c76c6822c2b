"""OpenAI Responses, its compaction endpoint and its imitators."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
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

_PATH = re.compile(r"/responses(?:/compact)?/?$")
_TELLING = (
    b'"response.completed"',
    b'"response.incomplete"',
    b'"response.failed"',
    b'"usage"',
    b'"error"',
)
_KEPT_BY_PROVIDER = ("prompt", "previous_response_id", "conversation")
_INPUTS = ("input", "instructions", *_KEPT_BY_PROVIDER)
_NO_TEXT = frozenset({"response.audio.delta", "response.output_audio.delta"})


class OpenAIResponses(PostedTo):
    """``POST .../responses`` and ``POST .../responses/compact``."""

    endpoint = "responses"
    family = "openai"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and some input, or a stored prompt, which may bring both."""
        asked = requested(exchange, "max_output_tokens")
        if asked is None:
            return None
        has_input = any(asked.body.get(key) for key in _INPUTS)
        has_model = asked.model or mapping(asked.body.get("prompt")).get("id")
        return asked if has_input and has_model else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One response object, or the one in the event that ends the stream."""
        if not is_stream(exchange, request):
            answer = json_object(exchange.response_body)
            if answer is None:
                return Reading(note="the answer is no JSON object")
            return _reading(request, answer, error=answer.get("error"), output=_said(answer))
        return _read_stream(exchange, request)


def _read_stream(exchange: Exchange, request: Request) -> Reading:
    events = sse.telling(exchange.response_body, _TELLING)
    error = next((_error(event) for event in events if _error(event)), None)
    states = [state for event in events if (state := mapping(event.get("response")))]
    # the fullest state is the last one; earlier ones (created, in progress) have the model
    answer = {key: value for state in states for key, value in state.items() if value is not None}
    reading = _reading(request, answer, error=error, streaming=True)
    if reading.usage_complete:
        return reading
    output = _streamed(sse.events(exchange.response_body))
    return _reading(request, answer, error=error, output=output, streaming=True)


def _error(event: Mapping[str, Any]) -> object:
    if event.get("type") == "error":
        return event.get("error") or event
    return event.get("error") or mapping(event.get("response")).get("error")


def _reading(
    request: Request,
    answer: Mapping[str, Any],
    *,
    error: object,
    output: str | None = None,
    streaming: bool = False,
) -> Reading:
    usage, note = read_usage(answer.get("usage"))
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    pending = answer.get("background") is True and not complete
    if complete:
        missing = None
    elif pending:
        missing = "answered in the background: its usage is not in this answer"
    else:
        missing = "the stream has no usage" if streaming else "no usage in the answer"
    elsewhere = not complete and any(request.body.get(key) for key in _KEPT_BY_PROVIDER)
    countable = not (complete or pending or elsewhere) and output is not None
    return Reading(
        model_returned=name(answer.get("model")),
        usage=_with_searches(usage, objects(answer.get("output"))),
        usage_complete=complete,
        streaming=streaming,
        service_tier=tier(answer.get("service_tier")),
        texts=_texts(request, output) if countable else None,
        error=error_name(error) if error else None,
        stated_cost_usd=stated_cost(answer.get("usage")),
        note=notes(
            note,
            None if error else missing,
            "part of its input is kept by the provider: not countable" if elsewhere else None,
        ),
    )


def _with_searches(usage: Usage, output: Sequence[Mapping[str, Any]]) -> Usage:
    """``usage`` with the searches among the output items, which no usage object of OpenAI states.

    Only the action ``search`` is billed (https://platform.openai.com/docs/guides/tools-web-search);
    answers from before actions were told have none.
    """
    searches = sum(
        mapping(item.get("action")).get("type", "search") == "search"
        for item in output
        if item.get("type") == "web_search_call"
    )
    if not searches or usage.web_searches is not None:
        return usage
    return replace(usage, web_searches=searches)


def _texts(request: Request, output: str | None) -> Texts:
    body = request.body
    messages: list[Mapping[str, Any]] = []
    if isinstance(body.get("instructions"), str):
        messages.append({"role": "system", "content": body["instructions"]})
    if isinstance(body.get("input"), str):
        messages.append({"role": "user", "content": body["input"]})
    messages.extend(objects(body.get("input")))
    return Texts(messages=tuple(messages), tools=objects(body.get("tools")), output=output)


def _said(answer: Mapping[str, Any]) -> str | None:
    if not isinstance(answer.get("output"), list):
        return None
    output = Channels()
    for item in objects(answer["output"]):
        for key in ("summary", "content", "name", "arguments", "input", "code"):
            output.add_content("all", item.get(key))
    return output.text


def _streamed(events: Iterable[Mapping[str, Any]]) -> str | None:
    output = Channels()
    answered = False
    for event in events:
        kind = event.get("type")
        if not isinstance(kind, str) or not kind.startswith("response."):
            continue
        answered = True
        if kind.endswith(".delta") and kind not in _NO_TEXT:
            places = ("item_id", "output_index", "content_index", "summary_index")
            output.add((kind, *(repr(event.get(place)) for place in places)), event.get("delta"))
        elif kind == "response.output_item.added":
            output.add(kind, mapping(event.get("item")).get("name"))
    return output.text if answered else None
