"""Hand-written exchanges with LLM providers, small and in the shape of the real ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import UsageSource
from pytest_crashlens.providers.calls import read_calls

CHAT = "https://api.openai.com/v1/chat/completions"
RESPONSES = "https://api.openai.com/v1/responses"
EMBEDDINGS = "https://api.openai.com/v1/embeddings"
MESSAGES = "https://api.anthropic.com/v1/messages"

HELLO = [{"role": "user", "content": "hello there"}]
REQUESTS: dict[str, dict[str, Any]] = {
    CHAT: {"model": "gpt-4o", "messages": HELLO},
    RESPONSES: {"model": "gpt-4o", "input": "hello there"},
    EMBEDDINGS: {"model": "text-embedding-3-small", "input": ["one two", "three"]},
    MESSAGES: {"model": "claude-sonnet-4-5", "max_tokens": 64, "messages": HELLO},
}


@dataclass(frozen=True)
class Words:
    tokens: int
    source: UsageSource = "tokenizer"


class WordCounter:
    """One token a word; knows only models of OpenAI."""

    def text(self, text: str, model: str | None) -> Words:
        known = model is not None and model.startswith(("gpt", "text-embedding"))
        return Words(len(text.split()), "tokenizer" if known else "estimated")

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str | None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Words:
        words = " ".join(str(message.get("content")) for message in messages)
        return Words(self.text(words, model).tokens, "estimated" if tools else "tokenizer")


def exchange(
    url: str = CHAT,
    answer: bytes | Mapping[str, Any] | None = None,
    *,
    request: bytes | Mapping[str, Any] | None = None,
    **fields: Any,
) -> Exchange:
    """An exchange answered with 200 and ``answer``, unless ``fields`` say otherwise."""
    if request is None:
        request = REQUESTS.get(url, REQUESTS[CHAT])
    return Exchange(
        **{
            "method": "POST",
            "url": url,
            "request_body": request if isinstance(request, bytes) else json.dumps(request).encode(),
            "status": 200,
            "response_body": answer if isinstance(answer, bytes) else json.dumps(answer).encode(),
            "live": False,
            **fields,
        }
    )


def stream(*events: Mapping[str, Any] | str, named: bool = False) -> bytes:
    """Events as a server sends them; strings as they are (``[DONE]``)."""
    blocks = []
    for event in events:
        name = f"event: {event['type']}\n" if named and isinstance(event, Mapping) else ""
        data = event if isinstance(event, str) else json.dumps(event)
        blocks.append(f"{name}data: {data}\n\n")
    return "".join(blocks).encode()


def chunk(text: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of a streamed chat."""
    choices = [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": None}]
    return {"model": "gpt-4o-2024-08-06", "choices": choices, **fields}


def calls(*exchanges: Exchange) -> list[Call]:
    return read_calls(exchanges, count=WordCounter(), fingerprint_key=b"key")


def call(*args: Any, **fields: Any) -> Call:
    """The one call read from the exchange that the arguments describe."""
    (only,) = calls(exchange(*args, **fields))
    return only
