import pytest
from expected import MISTRAL, RETRIED, STREAM

try:
    from mistralai.client import Mistral
    from mistralai.client.utils import BackoffStrategy, RetryConfig
except ImportError:  # until version 1
    from mistralai import Mistral
    from mistralai.utils import BackoffStrategy, RetryConfig


@pytest.fixture
def client(server_url):
    retries = RetryConfig("backoff", BackoffStrategy(1, 2, 1.0, 10_000), False)
    with Mistral(api_key="k", server_url=f"{server_url}/mistral", retry_config=retries) as client:
        yield client


@pytest.fixture
def ask(messages):
    def ask(**script):
        return {"model": "mistral-small", "messages": messages(**script)}

    return ask


@pytest.mark.calls(MISTRAL, MISTRAL | STREAM, MISTRAL | RETRIED)
def test_sync(client, ask):
    client.chat.complete(**ask())  # here
    with client.chat.stream(**ask()) as stream:  # here
        assert list(stream)
    client.chat.complete(**ask(fail=[429, 429]))  # here


@pytest.mark.calls(MISTRAL)
def test_structured(client, ask, ticket):
    client.chat.parse(ticket, **ask())  # here


@pytest.mark.asyncio
@pytest.mark.calls(MISTRAL, MISTRAL | STREAM, MISTRAL | RETRIED)
async def test_async(client, ask):
    async with client:
        await client.chat.complete_async(**ask())  # here
        async with await client.chat.stream_async(**ask()) as stream:  # here
            assert [one async for one in stream]
        await client.chat.complete_async(**ask(fail=[429, 429]))  # here
