"""The wire formats, found by method and path first and by the request's body second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.anthropic_complete import AnthropicComplete
from pytest_crashlens.providers.anthropic_messages import AnthropicMessages
from pytest_crashlens.providers.bedrock_agents import BedrockAgents, BedrockKnowledge
from pytest_crashlens.providers.bedrock_converse import BedrockConverse
from pytest_crashlens.providers.bedrock_invoke import BedrockInvoke
from pytest_crashlens.providers.cohere import CohereChat, CohereEmbeddings, CohereGenerate
from pytest_crashlens.providers.framework_fakes import FAKES
from pytest_crashlens.providers.gemini import GeminiGenerate
from pytest_crashlens.providers.gemini_embeddings import (
    GeminiEmbeddings,
    GooglePredict,
    VertexEmbeddings,
)
from pytest_crashlens.providers.gemini_interactions import GeminiInteractions
from pytest_crashlens.providers.hosts import serves_models
from pytest_crashlens.providers.huggingface import HuggingFaceInference
from pytest_crashlens.providers.mistral import MistralAgents, MistralFIM, MistralOCR
from pytest_crashlens.providers.ollama import OllamaChat, OllamaEmbeddings, OllamaGenerate
from pytest_crashlens.providers.openai_audio import OpenAISpeech, OpenAITranscriptions
from pytest_crashlens.providers.openai_chat import OpenAIChat
from pytest_crashlens.providers.openai_completions import OpenAICompletions
from pytest_crashlens.providers.openai_embeddings import OpenAIEmbeddings
from pytest_crashlens.providers.openai_images import OpenAIImages
from pytest_crashlens.providers.openai_moderations import OpenAIModerations
from pytest_crashlens.providers.openai_responses import OpenAIResponses
from pytest_crashlens.providers.reading import Reading, Request, WireFormat, notes
from pytest_crashlens.providers.rerank import Rerank
from pytest_crashlens.providers.speech import Speech
from pytest_crashlens.providers.vertex_publishers import VERTEX_ANTHROPIC, VERTEX_OTHERS

FORMATS: tuple[WireFormat, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    OpenAIEmbeddings(),
    GeminiGenerate(),
    GeminiInteractions(),
    GeminiEmbeddings(),
    VertexEmbeddings(),
    GooglePredict(),
    VERTEX_ANTHROPIC,
    VERTEX_OTHERS,
    CohereChat(),
    CohereGenerate(),
    CohereEmbeddings(),
    Rerank(),
    OllamaChat(),
    OllamaGenerate(),
    OllamaEmbeddings(),
    MistralFIM(),
    MistralAgents(),
    MistralOCR(),
    HuggingFaceInference(),
    AnthropicComplete(),
    BedrockConverse(),
    BedrockInvoke(),
    BedrockAgents(),
    BedrockKnowledge(),
    OpenAICompletions(),
    OpenAIImages(),
    OpenAITranscriptions(),
    OpenAISpeech(),
    OpenAIModerations(),
    Speech(),
    *FAKES,
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
    return None if exchange.request_body else _by_answer(exchange, method, path, formats)


def _by_answer(
    exchange: Exchange, method: str, path: str, formats: Sequence[WireFormat]
) -> tuple[WireFormat, Request] | None:
    """The same of a request whose body was sent from a stream or file, so that nobody has it."""
    if exchange.status is None or exchange.status >= 300:
        return None
    request = Request(body={}, model=None)
    matching = [known for known in formats if known.matches(method, path)]
    for known in matching:
        reading = read(known, exchange, request)
        said = reading.texts is not None and bool(reading.texts.output)
        if reading.usage.stated or (said and serves_models(exchange.host)):
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
        free=request.free,
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
