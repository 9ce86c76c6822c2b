"""litellm asks OpenAI through its SDK and everybody else through an httpx client of its own."""

import litellm
import pytest
from expected import (
    CHAT,
    COHERE,
    COUNTED,
    EMBEDDINGS,
    GEMINI,
    LLAMA,
    MESSAGES,
    MISTRAL,
    OLLAMA,
    RETRIED,
    STREAM,
)

litellm.disable_hf_tokenizer_download = True

PROVIDERS = {
    "openai/gpt-4o-mini": ("/v1", CHAT),
    "anthropic/claude-haiku-4-5": ("", MESSAGES),
    "gemini/gemini-2.5-flash": ("/models", GEMINI),
    "groq/llama-3.1-8b": ("/openai/v1", LLAMA),
    "mistral/mistral-small": ("/mistral/v1", MISTRAL),
    "cohere_chat/command-r": ("/v2/chat", COHERE),
    "ollama_chat/gemma3:1b": ("", OLLAMA),
}


@pytest.fixture
def ask(server_url, messages):
    def ask(model="openai/gpt-4o-mini", **script):
        base = server_url + PROVIDERS[model][0]
        return {"model": model, "api_base": base, "api_key": "k", "messages": messages(**script)}

    return ask


def each(change, without=""):
    """One case for each provider, with what it is to be recorded with."""
    return pytest.mark.parametrize(
        "model",
        [
            pytest.param(model, marks=pytest.mark.calls(call | change))
            for model, (_, call) in PROVIDERS.items()
            if model != without
        ],
    )


@each({})
def test_sync(ask, model):
    litellm.completion(**ask(model))  # here


@each(STREAM, without="cohere_chat/command-r")  # litellm does not read its named events
def test_stream(ask, model):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    assert list(litellm.completion(**ask(model), **options))  # here


@pytest.mark.calls(CHAT | STREAM | COUNTED)
def test_stream_without_usage(ask):
    assert list(litellm.completion(**ask(), stream=True))  # here


@pytest.mark.calls(CHAT)
def test_structured(ask, ticket):
    litellm.completion(**ask(), response_format=ticket)  # here


@pytest.mark.calls(EMBEDDINGS)
def test_embeddings(server_url, say):
    where = {"api_base": f"{server_url}/v1", "api_key": "k"}
    litellm.embedding("openai/text-embedding-3-small", [say()], **where)  # here


@pytest.mark.calls(CHAT | RETRIED, MESSAGES | RETRIED)
def test_num_retries(ask):
    litellm.completion(**ask(fail=[429, 429]), num_retries=2)  # here
    asked = ask("anthropic/claude-haiku-4-5", fail=[429, 429])
    litellm.completion(**asked, num_retries=2)  # here


@pytest.mark.calls(CHAT, CHAT, CHAT)
def test_three_alike(ask):
    for _ in range(3):
        litellm.completion(**ask())  # here


@pytest.mark.asyncio
@each({})
async def test_async(ask, model):
    await litellm.acompletion(**ask(model))  # here


@pytest.mark.asyncio
@each(STREAM, without="cohere_chat/command-r")  # litellm does not read its named events
async def test_async_stream(ask, model):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    stream = await litellm.acompletion(**ask(model), **options)  # here
    assert [one async for one in stream]  # here: some are sent when they are read


@pytest.mark.asyncio
@pytest.mark.calls(CHAT | RETRIED, MESSAGES | RETRIED)
async def test_async_num_retries(ask):
    await litellm.acompletion(**ask(fail=[429, 429]), num_retries=2)  # here
    asked = ask("anthropic/claude-haiku-4-5", fail=[429, 429])
    await litellm.acompletion(**asked, num_retries=2)  # here


@pytest.mark.calls
def test_mocked_answer(ask):
    """Nothing is sent."""
    litellm.completion(**ask(), mock_response="hello")
