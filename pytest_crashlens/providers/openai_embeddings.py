"""OpenAI Embeddings and its imitators: input tokens only."""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.openai_chat import with_deployment
from pytest_crashlens.providers.openai_usage import read_usage
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    Stated,
    Texts,
    error_name,
    json_object,
    name,
    notes,
    requested,
    tier,
)
from pytest_crashlens.providers.stated_cost import stated_cost

_PATH = re.compile(r"/embeddings/?$")


class OpenAIEmbeddings(PostedTo):
    """``POST .../embeddings``."""

    endpoint = "embeddings"
    family = "openai"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """An embedding has a model (Azure: in the path) and an input of text or tokens."""
        asked = requested(exchange)
        if asked is None or not isinstance(asked.body.get("input"), str | list):
            return None
        asked = with_deployment(asked, exchange)
        return asked if asked.model else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        raw = answer.get("usage")
        usage, note = read_usage(raw)
        if usage.input_tokens is None:  # Voyage states the total alone
            usage = replace(usage, input_tokens=Stated(raw).count("total_tokens"))
        complete = usage.input_tokens is not None
        error = answer.get("error")
        return Reading(
            model_returned=name(answer.get("model")),
            usage=usage,
            usage_complete=complete,
            service_tier=tier(answer.get("service_tier")),
            texts=None if complete or error else _texts(request),
            error=error_name(error) if error else None,
            stated_cost_usd=stated_cost(raw),
            note=notes(note, None if complete or error else "no usage in the answer"),
        )


def _texts(request: Request) -> Texts | None:
    given = request.body.get("input")
    inputs = given if isinstance(given, list) else [given]
    texts = tuple(text for text in inputs if isinstance(text, str))
    # else some are tokens or pictures
    return Texts(inputs=texts) if len(texts) == len(inputs) else None
