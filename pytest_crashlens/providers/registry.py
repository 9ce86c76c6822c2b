"""The wire formats, found by method and path first and by the request's body second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.anthropic_messages import AnthropicMessages
from pytest_crashlens.providers.openai_chat import OpenAIChat
from pytest_crashlens.providers.openai_embeddings import OpenAIEmbeddings
from pytest_crashlens.providers.openai_responses import OpenAIResponses
from pytest_crashlens.providers.reading import Reading, Request, WireFormat, notes

FORMATS: tuple[WireFormat, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    OpenAIEmbeddings(),
)


def wanted(method: str, url: str, *, formats: Sequence[WireFormat] = FORMATS) -> bool:
    """Whether a request may be an LLM call, by method and path alone (cheap)."""
    path = url.partition("?")[0].partition("#")[0]
    method = method.upper()
    return any(known.matches(method, path) for known in formats)


def identify(
    exchange: Exchange, *, formats: Sequence[WireFormat] = FORMATS
) -> tuple[WireFormat, Request] | None:
    """The exchange's format and what it asks, or None when it is no LLM call."""
    try:
        method, path = exchange.method.upper(), exchange.path
    except ValueError:  # a URL that is none
        return None
    for known in formats:
        if known.matches(method, path) and (request := known.request(exchange)):
            return known, request
    return None


def read(known: WireFormat, exchange: Exchange, request: Request) -> Reading:
    """What the exchange says, whatever its answer is; never raises."""
    reading = Reading(streaming=request.streams)
    if answered(exchange):
        try:
            reading = known.read(exchange, request)
        except Exception as fault:  # a call must not get lost for its answer
            reading = replace(
                reading, note=notes(f"the answer could not be read ({type(fault).__name__})")
            )
    return replace(
        reading,
        model_requested=request.model,
        max_output_tokens=request.max_output_tokens,
    )


def find(
    exchange: Exchange, *, formats: Sequence[WireFormat] = FORMATS
) -> tuple[WireFormat, Reading] | None:
    """The exchange's format and reading, or None when it is no LLM call."""
    identified = identify(exchange, formats=formats)
    if identified is None:
        return None
    known, request = identified
    return known, read(known, exchange, request)


def answered(exchange: Exchange) -> bool:
    """Whether the provider did what was asked (status 2xx)."""
    return exchange.status is not None and 200 <= exchange.status < 300
