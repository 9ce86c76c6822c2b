"""Models of other publishers on Vertex AI, each in its publisher's own format.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/use-partner-models
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.anthropic_messages import AnthropicMessages
from pytest_crashlens.providers.openai_chat import OpenAIChat
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    WireFormat,
    name,
    requested,
)

_PATH = re.compile(
    r"/publishers/(?P<publisher>[^/]+)/models/(?P<model>[^/:?#]+)"
    r"(?::|%3[Aa])(?P<stream>rawPredict|streamRawPredict)/?$"
)
_COUNTS_ONLY = "count-tokens"
"""In the model's place; free of charge.
Source: https://docs.anthropic.com/en/api/claude-on-vertex-ai"""


class RawPredict(PostedTo):
    """``POST .../publishers/PUBLISHER/models/MODEL:rawPredict`` and ``:streamRawPredict``."""

    paths = _PATH

    def __init__(self, inner: WireFormat, *, anthropic: bool) -> None:
        self.endpoint = inner.endpoint
        self.family = "vertex"
        self._inner = inner
        self._anthropic = anthropic

    def request(self, exchange: Exchange) -> Request | None:
        """It has messages; its model is in the path."""
        place = _PATH.search(exchange.path)
        asked = requested(exchange, "max_tokens")
        if place is None or asked is None or not isinstance(asked.body.get("messages"), list):
            return None
        model = unquote(place["model"])
        if model == _COUNTS_ONLY or (place["publisher"] == "anthropic") != self._anthropic:
            return None
        return Request(
            body=asked.body,
            model=name(model),
            max_output_tokens=asked.max_output_tokens,
            in_stream=place["stream"].startswith("stream"),
        )

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """As the publisher's own API."""
        return self._inner.read(exchange, request)


VERTEX_ANTHROPIC = RawPredict(AnthropicMessages(), anthropic=True)
VERTEX_OTHERS = RawPredict(OpenAIChat(), anthropic=False)
"""Mistral and AI21 speak OpenAI's format there."""
