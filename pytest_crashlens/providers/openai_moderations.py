"""OpenAI Moderations, free of charge, and its imitators, which are not.

A moderation is a call, seen and counted as others are, but OpenAI does not bill it
(https://platform.openai.com/docs/guides/moderation). Mistral states its tokens and does
(https://docs.mistral.ai/capabilities/guardrailing).
"""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.openai_usage import read_usage
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    error_name,
    json_object,
    name,
    notes,
    requested,
)
from pytest_crashlens.providers.stated_cost import stated_cost

_PATH = re.compile(r"/moderations/?$")


class OpenAIModerations(PostedTo):
    """``POST .../moderations`` (Mistral also ``/chat/moderations``)."""

    endpoint = "moderations"
    family = "openai"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """Something to judge."""
        asked = requested(exchange)
        if asked is None or not isinstance(asked.body.get("input"), str | list):
            return None
        return replace(asked, free=provider_of(exchange.host, self.family) == "openai")

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object; its usage, if any, has no output."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        raw = answer.get("usage")
        usage, note = read_usage(raw)
        complete = usage.input_tokens is not None
        error = answer.get("error")
        missing = "free of charge" if request.free else "no usage in the answer"
        return Reading(
            model_returned=name(answer.get("model")),
            usage=usage,
            usage_complete=complete,
            error=error_name(error) if error else None,
            stated_cost_usd=stated_cost(raw),
            note=notes(note, None if complete or error else missing),
        )
