"""Rerankers: Cohere, and Voyage, Jina, OpenRouter and others, who imitate it."""

from __future__ import annotations

import re

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    Stated,
    error_name,
    json_object,
    name,
    notes,
    requested,
)
from pytest_crashlens.providers.stated_cost import stated_cost

_PATH = re.compile(r"/rerank/?$")


class Rerank(PostedTo):
    """``POST .../rerank``.

    Cohere bills searches and states no tokens (https://docs.cohere.com/reference/rerank), Voyage
    bills tokens and states their total (https://docs.voyageai.com/reference/reranker-api).
    """

    endpoint = "rerank"
    family = "cohere"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model, a query and documents."""
        asked = requested(exchange)
        if asked is None or not asked.model or not isinstance(asked.body.get("documents"), list):
            return None
        return asked if isinstance(asked.body.get("query"), str | dict) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        stated = Stated(answer)
        usage = Usage(
            input_tokens=stated.first(
                ("usage", "total_tokens"),
                ("usage", "prompt_tokens"),
                ("meta", "tokens", "input_tokens"),
            )
        )
        searches = stated.count("meta", "billed_units", "search_units")
        complete = usage.input_tokens is not None
        error = answer.get("error")
        missing = None if complete or error else "no usage in the answer"
        if searches is not None:
            missing = f"billed by search: {searches} search units"
        return Reading(
            model_returned=name(answer.get("model")),
            usage=usage,
            usage_complete=complete,
            error=error_name(error) if error else None,
            stated_cost_usd=stated_cost(answer.get("usage")),
            note=notes(stated.note, missing),
        )
