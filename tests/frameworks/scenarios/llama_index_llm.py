import pytest
from expected import CHAT, COUNTED, RETRIED, STREAM
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI


@pytest.fixture
def gpt(server_url):
    return OpenAI(model="gpt-4o-mini", api_base=f"{server_url}/v1")


@pytest.mark.calls(CHAT, CHAT, CHAT | STREAM | COUNTED, CHAT | RETRIED)
def test_sync(gpt, say):
    gpt.complete(say())  # here
    gpt.chat([ChatMessage(say())])  # here
    assert list(gpt.stream_complete(say()))  # here
    gpt.complete(say(fail=[429, 429]))  # here


@pytest.mark.calls(CHAT)
def test_structured(gpt, say, ticket):
    gpt.as_structured_llm(ticket).complete(say())  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT | STREAM | COUNTED, CHAT | RETRIED)
async def test_async(gpt, say):
    await gpt.acomplete(say())  # here
    assert [one async for one in await gpt.astream_complete(say())]  # here
    await gpt.acomplete(say(fail=[429, 429]))  # here
