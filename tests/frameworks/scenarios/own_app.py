"""The user's own application, called in process: what it asks of a provider counts, it does not."""

import httpx
import openai
import pytest
from expected import CHAT, OTHER_CHAT, RETRIED, STREAM
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

app = FastAPI()
"""A gateway: its own path is the provider's."""


@app.post("/v1/chat/completions")
def chat(body: dict):
    with openai.OpenAI() as client:
        return client.chat.completions.create(**body).model_dump()  # here


@app.post("/async/v1/chat/completions")
async def achat(body: dict):
    async with openai.AsyncOpenAI() as client:
        return (await client.chat.completions.create(**body)).model_dump()  # here


@app.post("/stream/v1/chat/completions")
async def stream(body: dict):
    async def events():
        async with openai.AsyncOpenAI() as client:
            options = {"stream": True, "stream_options": {"include_usage": True}}
            async for chunk in await client.chat.completions.create(**body, **options):  # here
                yield f"data: {chunk.model_dump_json()}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@pytest.fixture
def body(messages):
    def body(**script):
        return {"model": "gpt-4o-mini", "messages": messages(**script)}

    return body


@pytest.mark.calls(CHAT, CHAT, CHAT | STREAM, CHAT | RETRIED)
def test_client(body):
    client = TestClient(app)
    assert client.post("/v1/chat/completions", json=body()).status_code == 200
    assert client.post("/async/v1/chat/completions", json=body()).status_code == 200
    assert client.post("/stream/v1/chat/completions", json=body()).status_code == 200
    asked = body(fail=[429, 429])
    assert client.post("/async/v1/chat/completions", json=asked).status_code == 200


@pytest.mark.calls(CHAT)
def test_client_as_context(body):
    with TestClient(app) as client:
        assert client.post("/async/v1/chat/completions", json=body()).status_code == 200


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT | STREAM)
async def test_asgi_transport(body):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://own") as client:
        await client.post("/v1/chat/completions", json=body())
        await client.post("/stream/v1/chat/completions", json=body())


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, OTHER_CHAT)
async def test_sdk_on_the_own_app(body):
    """The SDK asks the application in process, and that asks the provider."""
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport) as http,
        openai.AsyncOpenAI(base_url="http://own/async/v1", http_client=http) as client,
    ):
        await client.chat.completions.create(**body())
        await client.chat.completions.create(**body() | {"model": "gpt-4o"})
