"""OpenAI's legacy Completions and its imitators.

Source: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.openai_chat import OpenAIChat, with_deployment
from pytest_crashlens.providers.reading import (
    Channels,
    Reading,
    Request,
    Texts,
    json_object,
    objects,
    requested,
)

_PATH = re.compile(r"/completions/?$")
_OTHERS = re.compile(r"/(chat|fim|agents)/completions/?$")
_STORED = re.compile(r"/prompts/[^/]+/completions/?$")


class OpenAICompletions:
    """``POST .../completions``; also of a prompt that a gateway keeps (Portkey).

    Source: https://portkey.ai/docs/api-reference/inference-api/prompts/prompt-completion
    """

    endpoint = "completions"
    family = "openai"

    def matches(self, method: str, path: str) -> bool:
        """Any host, any prefix."""
        return method == "POST" and bool(_PATH.search(path)) and not _OTHERS.search(path)

    def request(self, exchange: Exchange) -> Request | None:
        """It has a prompt (text, tokens, or several), or variables for a stored one."""
        asked = requested(exchange, "max_tokens")
        if asked is None:
            return None
        if isinstance(asked.body.get("prompt"), str | list):
            return with_deployment(asked, exchange)
        stored = _STORED.search(exchange.path) and isinstance(asked.body.get("variables"), dict)
        return asked if stored else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """As a chat answers, with ``text`` in place of a message."""
        reading = OpenAIChat().read(exchange, request)
        if reading.usage_complete or reading.texts is None:
            return reading
        return replace(reading, texts=_texts(exchange, request, streaming=reading.streaming))


def _texts(exchange: Exchange, request: Request, *, streaming: bool) -> Texts | None:
    prompt = request.body.get("prompt")
    prompts = prompt if isinstance(prompt, list) else [prompt]
    inputs = tuple(text for text in prompts if isinstance(text, str))
    if len(inputs) < len(prompts):  # tokens, or kept by the gateway
        return None
    body = exchange.response_body
    chunks = list(sse.events(body)) if streaming else [json_object(body) or {}]
    output = Channels()
    for chunk in chunks:
        for place, choice in enumerate(objects(chunk.get("choices"))):
            output.add(repr(choice.get("index", place)), choice.get("text"))
    return Texts(inputs=inputs, output=output.text)
