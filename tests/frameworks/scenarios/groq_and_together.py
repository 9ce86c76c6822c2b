import groq
import pytest
import together
from expected import LLAMA, RETRIED, STREAM


@pytest.fixture
def chat(messages):
    def chat(**script):
        return {"model": "llama-3.1-8b", "messages": messages(**script)}

    return chat


@pytest.fixture(params=["groq", "together"])
def clients(request, server_url):
    """A synchronous and an asynchronous client, which nobody closes."""
    if request.param == "groq":
        options = {"api_key": "k", "base_url": server_url}
        return groq.Groq(**options), groq.AsyncGroq(**options)
    options = {"api_key": "k", "base_url": f"{server_url}/together"}
    return together.Together(**options), together.AsyncTogether(**options)


@pytest.mark.calls(LLAMA, LLAMA | STREAM, LLAMA | RETRIED)
def test_sync(clients, chat):
    with clients[0] as client:
        client.chat.completions.create(**chat())  # here
        assert list(client.chat.completions.create(**chat(), stream=True))  # here
        client.chat.completions.create(**chat(fail=[429, 429]))  # here


@pytest.mark.asyncio
@pytest.mark.calls(LLAMA, LLAMA | STREAM, LLAMA | RETRIED)
async def test_async(clients, chat):
    async with clients[1] as client:
        await client.chat.completions.create(**chat())  # here
        stream = await client.chat.completions.create(**chat(), stream=True)  # here
        assert [one async for one in stream]
        await client.chat.completions.create(**chat(fail=[429, 429]))  # here
