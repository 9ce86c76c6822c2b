"""Google's SDK: httpx, or for asynchronous clients aiohttp, where that is installed."""

import pytest
from expected import GEMINI, RETRIED, STREAM
from google import genai
from google.genai.types import GenerateContentConfig, HttpOptions, HttpRetryOptions

MODEL = "gemini-2.5-flash"


@pytest.fixture
def client(server_url):
    retries = HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.002)
    options = HttpOptions(base_url=server_url, retry_options=retries)
    with genai.Client(api_key="k", http_options=options) as client:
        yield client


@pytest.mark.calls(GEMINI, GEMINI | STREAM, GEMINI | RETRIED)
def test_sync(client, say):
    client.models.generate_content(model=MODEL, contents=say())  # here
    assert list(client.models.generate_content_stream(model=MODEL, contents=say()))  # here
    client.models.generate_content(model=MODEL, contents=say(fail=[429, 503]))  # here


@pytest.mark.calls(GEMINI)
def test_structured(client, say, ticket):
    config = GenerateContentConfig(response_mime_type="application/json", response_schema=ticket)
    said = say(text='{"title": "one"}')
    answer = client.models.generate_content(model=MODEL, contents=said, config=config)  # here
    assert answer.parsed.title == "one"


@pytest.mark.calls(GEMINI, GEMINI)
def test_chat(client, say):
    chat = client.chats.create(model=MODEL)
    chat.send_message(say())  # here
    chat.send_message(say())  # here


@pytest.mark.asyncio
@pytest.mark.calls(GEMINI, GEMINI | STREAM, GEMINI | RETRIED)
async def test_async(client, say):
    async with client.aio as aio:
        await aio.models.generate_content(model=MODEL, contents=say())  # here
        stream = await aio.models.generate_content_stream(model=MODEL, contents=say())  # here
        assert [one async for one in stream]  # here
        await aio.models.generate_content(model=MODEL, contents=say(fail=[429, 503]))  # here
