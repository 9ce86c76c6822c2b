"""OpenAI Images and its imitators: tokens for some models, a price per picture for others.

Source: https://platform.openai.com/docs/api-reference/images
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.multipart import form_fields
from pytest_crashlens.providers.openai_chat import with_deployment
from pytest_crashlens.providers.openai_usage import read_usage
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    error_name,
    is_stream,
    json_object,
    name,
    notes,
    requested,
    tier,
)
from pytest_crashlens.providers.stated_cost import stated_cost

_PATH = re.compile(r"/images(/generations|/edits|/variations)?/?$")
_TELLING = (b'"usage"', b'"error"')


class OpenAIImages(PostedTo):
    """``POST .../images/generations``, ``/edits``, ``/variations``; OpenRouter's ``/images``.

    Source of the last: https://openrouter.ai/docs/features/multimodal/image-generation
    """

    endpoint = "images"
    family = "openai"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """A prompt or a picture to change; without a more telling path also a model."""
        found = _PATH.search(exchange.path)
        asked = requested(exchange)
        if asked is None:
            fields = form_fields(exchange.request_body)
            if fields is None:
                return None
            asked = Request(body=fields, model=name(fields.get("model")))
        asked = with_deployment(asked, exchange)
        is_asked = any(key in asked.body for key in ("prompt", "image", "image[]"))
        return asked if found and is_asked and (found[1] or asked.model) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or the event which ends the stream of partial images."""
        if not is_stream(exchange, request):
            answer = json_object(exchange.response_body)
            if answer is None:
                return Reading(note="the answer is no JSON object")
            return _reading(answer)
        merged: dict[str, Any] = {}
        for event in sse.telling(exchange.response_body, _TELLING):
            merged.update({key: event.get(key) for key in ("usage", "error") if event.get(key)})
        return _reading(merged, streaming=True)


def _reading(answer: Mapping[str, Any], *, streaming: bool = False) -> Reading:
    raw = answer.get("usage")
    usage, note = read_usage(raw)
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    error = answer.get("error")
    missing = None if complete or error else "no usage in the answer: billed by the image"
    return Reading(
        model_returned=name(answer.get("model")),
        usage=usage,
        usage_complete=complete,
        streaming=streaming,
        service_tier=tier(answer.get("service_tier")),
        error=error_name(error) if error else None,
        stated_cost_usd=stated_cost(raw),
        note=notes(note, missing),
    )
