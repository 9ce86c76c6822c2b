"""Cohere's asynchronous client takes aiohttp as its transport where httpx-aiohttp is installed."""

import cohere
import pytest
from expected import COHERE, RETRIED, STREAM


@pytest.fixture
def ask(messages):
    def ask(**script):
        return {"model": "command-r", "messages": messages(**script)}

    return ask


@pytest.mark.calls(COHERE, COHERE | STREAM, COHERE | RETRIED)
def test_sync(server_url, ask):
    with cohere.ClientV2("k", base_url=server_url) as client:
        client.chat(**ask())  # here
        assert list(client.chat_stream(**ask()))  # here
        client.chat(**ask(fail=[429, 429]))  # here


@pytest.mark.asyncio
@pytest.mark.calls(COHERE, COHERE | STREAM, COHERE | RETRIED)
async def test_async(server_url, ask):
    async with cohere.AsyncClientV2("k", base_url=server_url) as client:
        await client.chat(**ask())  # here
        assert [one async for one in client.chat_stream(**ask())]  # here
        await client.chat(**ask(fail=[429, 429]))  # here
