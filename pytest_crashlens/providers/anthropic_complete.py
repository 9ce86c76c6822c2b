"""Anthropic's legacy Text Completions, which state no usage at all.

Source: https://docs.anthropic.com/en/api/complete
"""

from __future__ import annotations

import re

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.reading import (
    Channels,
    PostedTo,
    Reading,
    Request,
    Texts,
    error_name,
    is_stream,
    json_object,
    name,
    requested,
)

_PATH = re.compile(r"/v1/complete/?$")


class AnthropicComplete(PostedTo):
    """``POST /v1/complete``."""

    endpoint = "complete"
    family = "anthropic"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and a prompt."""
        asked = requested(exchange, "max_tokens_to_sample")
        if asked is None or not asked.model:
            return None
        return asked if isinstance(asked.body.get("prompt"), str) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or the pieces of its text."""
        streaming = is_stream(exchange, request)
        body = exchange.response_body
        answer = json_object(body)
        pieces = list(sse.events(body)) if streaming else [answer or {}]
        output = Channels()
        for piece in pieces:
            output.add("completion", piece.get("completion"))
        error = next((piece["error"] for piece in pieces if piece.get("error")), None)
        answered = any("completion" in piece for piece in pieces)
        inputs = (str(request.body.get("prompt")),)
        return Reading(
            model_returned=next(
                (model for piece in pieces if (model := name(piece.get("model")))), None
            ),
            streaming=streaming,
            texts=Texts(inputs=inputs, output=output.text) if answered else None,
            error=error_name(error) if error else None,
            note=None if error else "answers in this format state no usage",
        )
