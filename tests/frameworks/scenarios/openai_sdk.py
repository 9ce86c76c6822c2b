"""The SDK's own retries, and those that applications put around it."""

import asyncio

import httpx
import openai
import pytest
import tenacity
from expected import CHAT, COUNTED, EMBEDDINGS, FAILED, OTHER_CHAT, RESPONSES, RETRIED, STREAM

USAGE = {"stream": True, "stream_options": {"include_usage": True}}
AGAIN = tenacity.retry_if_exception_type(openai.RateLimitError)
AT_ONCE = {"retry": AGAIN, "stop": tenacity.stop_after_attempt(4), "wait": tenacity.wait_none()}


@pytest.fixture
def client():
    with openai.OpenAI() as client:
        yield client


@pytest.fixture
def bare():
    """A client that does not retry."""
    with openai.OpenAI(max_retries=0) as client:
        yield client


@pytest.fixture
def chat(messages):
    def chat(model="gpt-4o-mini", **script):
        return {"model": model, "messages": messages(**script)}

    return chat


@pytest.mark.calls(CHAT)
def test_sync(client, chat):
    client.chat.completions.create(**chat())  # here


@pytest.mark.calls(CHAT | STREAM)
def test_stream(client, chat):
    assert list(client.chat.completions.create(**chat(), **USAGE))  # here


@pytest.mark.calls(CHAT | STREAM | COUNTED)
def test_stream_without_usage(client, chat):
    assert list(client.chat.completions.create(**chat(), stream=True))  # here


@pytest.mark.calls(CHAT)
def test_structured(client, chat, ticket):
    client.chat.completions.parse(**chat(), response_format=ticket)  # here


@pytest.mark.calls(RESPONSES)
def test_responses(client, say):
    client.responses.create(model="gpt-4o-mini", input=say())  # here


@pytest.mark.calls(EMBEDDINGS)
def test_embeddings(client, say):
    client.embeddings.create(model="text-embedding-3-small", input=say())  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT | STREAM)
async def test_async(chat):
    async with openai.AsyncOpenAI() as client:
        await client.chat.completions.create(**chat())  # here
        stream = await client.chat.completions.create(**chat(), **USAGE)  # here
        assert [one async for one in stream]


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT | STREAM)
async def test_async_over_aiohttp(chat):
    async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient()) as client:
        await client.chat.completions.create(**chat())  # here
        stream = await client.chat.completions.create(**chat(), **USAGE)  # here
        assert [one async for one in stream]


@pytest.mark.asyncio
@pytest.mark.calls(CHAT | RETRIED)
async def test_async_over_aiohttp_retried(chat):
    async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient()) as client:
        await client.chat.completions.create(**chat(fail=[429, 500]))  # here


@pytest.mark.calls(CHAT | RETRIED)
def test_retried_by_the_sdk(client, chat):
    client.chat.completions.create(**chat(fail=[429, 503]))  # here


@pytest.mark.calls(CHAT | RETRIED)
def test_retried_by_tenacity(bare, chat):
    asked = chat(fail=[429, 429])
    tenacity.retry(**AT_ONCE)(lambda: bare.chat.completions.create(**asked))()  # here


@pytest.mark.calls(CHAT | {"attempts": 4})
def test_retried_by_tenacity_and_the_sdk(chat):
    asked = chat(fail=[429, 429, 429])
    with openai.OpenAI(max_retries=1) as client:
        tenacity.retry(**AT_ONCE)(lambda: client.chat.completions.create(**asked))()  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT | RETRIED)
async def test_retried_by_tenacity_async(chat):
    asked = chat(fail=[429, 429])
    async with openai.AsyncOpenAI(max_retries=0) as client:

        @tenacity.retry(**AT_ONCE)
        async def ask():
            return await client.chat.completions.create(**asked)  # here

        await ask()


@pytest.mark.calls(CHAT | RETRIED)
def test_retried_in_a_loop(bare, chat):
    asked = chat(fail=[500, 429])
    for _ in range(3):
        try:
            bare.chat.completions.create(**asked)  # here
        except openai.APIStatusError:
            continue
        break


@pytest.mark.calls(CHAT | FAILED | {"attempts": 3, "status": 429})
def test_retried_in_vain(client, chat):
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(**chat(fail=[429, 429, 429]))  # here


@pytest.mark.calls(CHAT, CHAT, CHAT)
def test_three_alike(client, chat):
    for _ in range(3):
        client.chat.completions.create(**chat())  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT, CHAT)
async def test_three_alike_at_once(chat):
    async with openai.AsyncOpenAI() as client:

        async def ask():
            await client.chat.completions.create(**chat())  # here

        await asyncio.gather(ask(), ask(), ask())


@pytest.mark.calls(CHAT | FAILED | {"status": 429}, OTHER_CHAT)
def test_another_model_after_a_failure(bare, chat):
    with pytest.raises(openai.RateLimitError):
        bare.chat.completions.create(**chat(fail=[429]))  # here
    bare.chat.completions.create(**chat("gpt-4o"))  # here


@pytest.mark.calls(CHAT)
def test_the_users_own_transport(chat):
    class Transport(httpx.HTTPTransport):
        """As applications add theirs: it sends through a client of its own."""

        def handle_request(self, request):
            with httpx.Client() as inner:
                again = inner.build_request(
                    request.method, request.url, headers=request.headers, content=request.read()
                )
                answer = inner.send(again)
                return httpx.Response(200, json=answer.json())

    with httpx.Client(transport=Transport()) as http, openai.OpenAI(http_client=http) as client:
        client.chat.completions.create(**chat())  # here
