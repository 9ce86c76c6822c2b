import ollama
import pytest
from expected import OLLAMA, STREAM


@pytest.fixture
def ask(messages):
    def ask(**script):
        return {"model": "gemma3:1b", "messages": messages(**script)}

    return ask


@pytest.mark.calls(OLLAMA, OLLAMA | STREAM, OLLAMA | {"attempts": 2})
def test_sync(server_url, ask):
    with ollama.Client(server_url) as client:
        client.chat(**ask())  # here
        assert list(client.chat(**ask(), stream=True))  # here
        with pytest.raises(ollama.ResponseError):
            client.chat(**ask(fail=[500]))  # here
        client.chat(**ask(fail=[500]))  # here


@pytest.mark.asyncio
@pytest.mark.calls(OLLAMA, OLLAMA | STREAM)
async def test_async(server_url, ask):
    async with ollama.AsyncClient(server_url) as client:
        await client.chat(**ask())  # here
        assert [one async for one in await client.chat(**ask(), stream=True)]  # here
