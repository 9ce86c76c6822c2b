"""Recorded, replayed and mocked beneath several layers: seen once, and known from live calls."""

import httpx
import litellm
import openai
import pytest
import respx
import vcr
from expected import CHAT, RETRIED, STREAM

REPLAYED = CHAT | {"live": False}
MOCKED = REPLAYED | {"usage": {"input_tokens": 7, "output_tokens": 2}}
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It is."}}
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
}


@pytest.fixture
def chat(messages):
    def chat(**script):
        return {"model": "gpt-4o-mini", "messages": messages(**script)}

    return chat


@pytest.fixture
def ask(server_url, chat):
    def ask(**script):
        return chat(**script) | {"api_base": f"{server_url}/v1", "api_key": "k"}

    return ask


@pytest.fixture
def cassette(tmp_path):
    def cassette(mode):
        return vcr.use_cassette(str(tmp_path / "cassette.yaml"), record_mode=mode)

    return cassette


@pytest.mark.calls(CHAT, REPLAYED)
def test_recorded_and_replayed(cassette, chat):
    with openai.OpenAI() as client:
        for mode in ("once", "none"):
            with cassette(mode):
                client.chat.completions.create(**chat())  # here


@pytest.mark.calls(CHAT, REPLAYED)
def test_recorded_and_replayed_through_litellm(cassette, ask):
    for mode in ("once", "none"):
        with cassette(mode):
            litellm.completion(**ask())  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT | STREAM, REPLAYED | STREAM)
async def test_stream_recorded_and_replayed_over_aiohttp(cassette, chat):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for mode in ("once", "none"):
        async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient()) as client:
            with cassette(mode):
                stream = await client.chat.completions.create(**chat(), **options)  # here
                assert [one async for one in stream]


@pytest.mark.calls(MOCKED | RETRIED, MOCKED)
def test_mocked(chat, ask, server_url):
    with respx.mock(base_url=server_url) as mock:
        again = httpx.Response(429, headers={"retry-after-ms": "1"})
        answers = [again, again, httpx.Response(200, json=ANSWER), httpx.Response(200, json=ANSWER)]
        mock.post("/v1/chat/completions").mock(side_effect=answers)
        with openai.OpenAI() as client:
            client.chat.completions.create(**chat())  # here
        litellm.completion(**ask())  # here
