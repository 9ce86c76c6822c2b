import anthropic
import pytest
from expected import FAILED, MESSAGES, RETRIED, STREAM


@pytest.fixture
def ask(messages):
    def ask(**script):
        return {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages(**script)}

    return ask


@pytest.mark.calls(MESSAGES, MESSAGES | STREAM, MESSAGES | RETRIED)
def test_sync(ask):
    with anthropic.Anthropic() as client:
        client.messages.create(**ask())  # here
        assert list(client.messages.create(**ask(), stream=True))  # here
        client.messages.create(**ask(fail=[529, 429]))  # here


@pytest.mark.calls(MESSAGES)
def test_structured(ask, ticket):
    with anthropic.Anthropic() as client:
        client.messages.parse(**ask(), output_format=ticket)  # here


@pytest.mark.calls(MESSAGES | FAILED | {"status": 429, "attempts": 2})
def test_retried_in_vain(ask):
    with anthropic.Anthropic(max_retries=1) as client, pytest.raises(anthropic.RateLimitError):
        client.messages.create(**ask(fail=[429, 429]))  # here


@pytest.mark.asyncio
@pytest.mark.parametrize("over", ["httpx", "aiohttp"])
@pytest.mark.calls(MESSAGES, MESSAGES | STREAM, MESSAGES | RETRIED)
async def test_async(ask, over):
    http = anthropic.DefaultAioHttpClient() if over == "aiohttp" else None
    async with anthropic.AsyncAnthropic(http_client=http) as client:
        await client.messages.create(**ask())  # here
        async with client.messages.stream(**ask()) as stream:  # here
            await stream.get_final_message()
        await client.messages.create(**ask(fail=[529, 429]))  # here
