"""The fake provider, seen by the real SDKs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import anthropic
import httpx
import httpx2
import openai
import pydantic
import pytest

from tests.llm_server import LLMServer

PROMPT = "four words of prompt"
MESSAGES = [{"role": "user", "content": PROMPT}]
WORDS = 8  # of the default answer, so its output tokens too
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


class Ticket(pydantic.BaseModel):
    title: str
    urgent: bool
    tags: list[str]


@pytest.fixture
def server() -> Iterator[LLMServer]:
    with LLMServer() as running:
        yield running


@pytest.fixture
def oai(server: LLMServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.openai_url, api_key="sk-fake") as client:
        yield client


@pytest.fixture
def ant(server: LLMServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="sk-fake") as client:
        yield client


def script(**magic: object) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"please {json.dumps(magic)} now"}]


class TestChat:
    def test_whole(self, oai, server):
        answer = oai.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert answer.model == "gpt-4o-mini-2024-07-18"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, WORDS)
        assert answer.choices[0].message.content == "This is the answer of the fake provider."
        [seen] = server.requests
        assert (seen.path, seen.status) == ("/v1/chat/completions", 200)
        assert seen.body == {"model": "gpt-4o-mini", "messages": MESSAGES}
        assert seen.headers["authorization"] == "Bearer sk-fake"

    def test_stream_states_usage_only_when_asked(self, oai):
        quiet = list(oai.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
        asked = list(oai.chat.completions.create(model="gpt-4o", messages=MESSAGES, **ASKED))
        assert all(chunk.usage is None and chunk.choices for chunk in quiet)
        assert asked[-1].choices == []
        assert asked[-1].usage.total_tokens == 4 + WORDS
        assert all(chunk.usage is None for chunk in asked[:-1])
        text = "".join(chunk.choices[0].delta.content or "" for chunk in asked[:-1])
        assert text == "This is the answer of the fake provider."

    def test_stream_helper(self, oai):
        with oai.chat.completions.stream(model="gpt-4o", messages=MESSAGES) as stream:
            final = stream.get_final_completion()
        assert final.choices[0].message.content == "This is the answer of the fake provider."

    def test_async(self, server):
        async def calls():
            async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="k") as client:
                create = client.chat.completions.create
                whole = await create(model="gpt-4o", messages=MESSAGES)
                chunks = [c async for c in await create(model="gpt-4o", messages=MESSAGES, **ASKED)]
                return whole, chunks

        whole, chunks = asyncio.run(calls())
        assert whole.usage.completion_tokens == chunks[-1].usage.completion_tokens == WORDS

    def test_raw_and_streaming_response(self, oai):
        raw = oai.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
        assert raw.parse().usage.prompt_tokens == 4
        with oai.chat.completions.with_streaming_response.create(
            model="gpt-4o", messages=MESSAGES
        ) as response:
            assert json.loads(response.read())["usage"]["prompt_tokens"] == 4

    def test_parse(self, oai):
        answer = oai.chat.completions.parse(
            model="gpt-4o", messages=MESSAGES, response_format=Ticket
        )
        assert answer.choices[0].message.parsed == Ticket(title="text", urgent=True, tags=["text"])

    @pytest.mark.parametrize("http", [httpx, httpx2])
    def test_own_http_client(self, server, http):
        with (
            http.Client() as transport,
            openai.OpenAI(base_url=server.openai_url, api_key="k", http_client=transport) as client,
        ):
            answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        assert answer.usage.prompt_tokens == 4

    def test_azure(self, server):
        with openai.AzureOpenAI(
            azure_endpoint=server.url, api_key="k", api_version="2024-10-21"
        ) as client:
            answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        assert answer.usage.prompt_tokens == 4
        assert server.requests[0].path.startswith("/openai/deployments/gpt-4o/chat/completions?")


class TestEmbeddings:
    @pytest.mark.parametrize("encoding", [openai.omit, "float", "base64"])
    def test_one_vector_per_text(self, oai, encoding):
        answer = oai.embeddings.create(
            model="text-embedding-3-small", input=["a b", "c"], encoding_format=encoding
        )
        assert answer.usage.prompt_tokens == 3
        first, second = (item.embedding for item in answer.data)
        assert len(first) == 8 or encoding == "base64"
        assert first != second


class TestResponses:
    def test_whole(self, oai):
        answer = oai.responses.create(model="gpt-5-mini", input=PROMPT, instructions="be brief")
        assert answer.output_text == "This is the answer of the fake provider."
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (6, WORDS)
        assert answer.model == "gpt-5-mini-2025-08-07"

    def test_streams_always_state_usage(self, oai):
        events = list(oai.responses.create(model="gpt-5", input=PROMPT, stream=True))
        assert events[0].response.usage is None
        assert events[-1].type == "response.completed"
        assert events[-1].response.usage.output_tokens == WORDS
        with oai.responses.stream(model="gpt-5", input=PROMPT) as stream:
            assert stream.get_final_response().usage.input_tokens == 4

    def test_parse(self, oai):
        answer = oai.responses.parse(model="gpt-5", input=PROMPT, text_format=Ticket)
        assert answer.output_parsed.title == "text"

    def test_async_stream(self, server):
        async def call():
            async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="k") as client:
                stream = await client.responses.create(model="gpt-5", input=PROMPT, stream=True)
                return [event async for event in stream]

        assert asyncio.run(call())[-1].response.usage.input_tokens == 4


class TestMessages:
    ask = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": MESSAGES}  # noqa: RUF012

    def test_whole(self, ant, server):
        answer = ant.messages.create(**self.ask, system="be brief")
        assert answer.model == "claude-haiku-4-5-20251001"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (6, WORDS)
        assert answer.content[0].text == "This is the answer of the fake provider."
        assert server.requests[0].path == "/v1/messages"

    def test_input_is_stated_without_its_cached_part(self, ant, server):
        server.reply(input_tokens=1000, cache_read_tokens=600, cache_write_tokens=300)
        usage = ant.messages.create(**self.ask).usage
        assert (usage.input_tokens, usage.cache_read_input_tokens) == (100, 600)
        assert usage.cache_creation_input_tokens == 300
        assert usage.cache_creation.ephemeral_5m_input_tokens == 300

    def test_streams(self, ant):
        events = list(ant.messages.create(**self.ask, stream=True))
        assert events[0].message.usage.output_tokens == 1
        assert [e.usage.output_tokens for e in events if e.type == "message_delta"] == [WORDS]
        with ant.messages.stream(**self.ask) as stream:
            assert "".join(stream.text_stream) == "This is the answer of the fake provider."
            assert stream.get_final_message().usage.output_tokens == WORDS

    def test_async(self, server):
        async def calls():
            async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k") as client:
                whole = await client.messages.create(**self.ask)
                async with client.messages.stream(**self.ask) as stream:
                    return whole, await stream.get_final_message()

        whole, streamed = asyncio.run(calls())
        assert whole.usage == streamed.usage
        assert whole.content[0].text == streamed.content[0].text

    def test_parse_raw_and_count(self, ant):
        parsed = ant.messages.parse(**self.ask, output_format=Ticket)
        assert parsed.parsed_output.urgent is True
        raw = ant.messages.with_raw_response.create(**self.ask)
        assert raw.parse().usage.input_tokens == 4
        with ant.messages.with_streaming_response.create(**self.ask) as response:
            assert json.loads(response.read())["usage"]["input_tokens"] == 4
        counted = ant.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES)
        assert counted.input_tokens == 4


class TestScript:
    def test_rules_are_used_in_order_and_used_up(self, oai, server):
        server.reply(for_model="gpt-4o", times=1, input_tokens=1200, output_tokens=80)
        server.reply(for_path="/embeddings", input_tokens=7)
        create = oai.chat.completions.create

        def usage(model):
            return create(model=model, messages=MESSAGES).usage.prompt_tokens

        assert [usage("gpt-4o-mini"), usage("gpt-4o"), usage("gpt-4o")] == [4, 1200, 4]
        assert oai.embeddings.create(model="e", input="a").usage.prompt_tokens == 7

    def test_a_misspelt_answer_fails_at_once(self, server):
        with pytest.raises(TypeError, match="input_token"):
            server.reply(input_token=3)

    def test_failures_are_retried_by_the_sdk(self, oai, server):
        server.reply(status=429, times=2)
        answer = oai.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        assert answer.usage.prompt_tokens == 4
        assert [seen.status for seen in server.requests] == [429, 429, 200]
        assert [s.headers["x-stainless-retry-count"] for s in server.requests] == ["0", "1", "2"]

    def test_failures_from_the_prompt_repeat_for_every_call(self, ant, server):
        ask = {"model": "c", "max_tokens": 9, "messages": script(fail=[529], usage={"output": 5})}
        for _ in range(2):
            assert ant.messages.create(**ask).usage.output_tokens == 5
        assert [seen.status for seen in server.requests] == [529, 200, 529, 200]

    def test_errors_are_the_sdks_own(self, server):
        server.reply(status=400)
        with (
            openai.OpenAI(base_url=server.openai_url, api_key="k") as oai,
            pytest.raises(openai.BadRequestError, match="scripted 400"),
        ):
            oai.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        with (
            anthropic.Anthropic(base_url=server.url, api_key="k") as ant,
            pytest.raises(anthropic.BadRequestError, match="scripted 400"),
        ):
            ant.messages.create(**TestMessages.ask)

    def test_unknown_paths_are_404(self, oai, server):
        with pytest.raises(openai.NotFoundError):
            oai.models.list()
        assert server.requests[0].method == "GET"

    def test_no_answer_at_all(self, server):
        server.reply(status=0)
        with (
            openai.OpenAI(base_url=server.openai_url, api_key="k", max_retries=0) as client,
            pytest.raises(openai.APIConnectionError),
        ):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    def test_usage_from_the_prompt(self, oai):
        usage = {"input": 1200, "output": 80, "cache_read": 1024, "reasoning": 64}
        chat = oai.chat.completions.create(
            model="gpt-5", messages=script(usage=usage, text="ok", model="gpt-5-2025-08-07")
        )
        assert chat.model == "gpt-5-2025-08-07"
        assert chat.choices[0].message.content == "ok"
        assert (chat.usage.prompt_tokens, chat.usage.completion_tokens) == (1200, 80)
        assert chat.usage.prompt_tokens_details.cached_tokens == 1024
        assert chat.usage.completion_tokens_details.reasoning_tokens == 64
        answer = oai.responses.create(model="gpt-5", input=json.dumps({"usage": usage}))
        assert answer.usage.output_tokens_details.reasoning_tokens == 64
        assert answer.usage.input_tokens_details.cached_tokens == 1024
        embedded = oai.embeddings.create(model="e", input=json.dumps({"usage": {"input": 9}}))
        assert embedded.usage.total_tokens == 9

    def test_no_usage(self, oai):
        create = oai.chat.completions.create
        assert create(model="gpt-4o", messages=script(usage=None)).usage is None
        chunks = list(create(model="gpt-4o", messages=script(usage=None), **ASKED))
        assert all(chunk.usage is None for chunk in chunks)

    def test_cut_stream(self, oai, ant):
        chunks = []
        stream = oai.chat.completions.create(
            model="gpt-4o", messages=script(cut_after=3), stream=True
        )
        with pytest.raises(openai.APIConnectionError):
            chunks.extend(stream)
        assert len(chunks) == 3
        with (
            pytest.raises(httpx2.RemoteProtocolError),
            ant.messages.stream(model="c", max_tokens=9, messages=script(cut_after=4)) as stream,
        ):
            stream.until_done()

    def test_cut_json(self, server):
        server.reply(cut_after=20)
        with httpx2.Client() as client, pytest.raises(httpx2.RemoteProtocolError):
            client.post(f"{server.openai_url}/embeddings", json={"input": "a"})

    def test_nothing_is_left_of_a_slow_stream(self):
        before = set(threading.enumerate())
        with LLMServer() as server, openai.OpenAI(base_url=server.openai_url, api_key="k") as oai:
            server.reply(delay_between_chunks=600)
            with oai.embeddings.with_streaming_response.create(model="e", input="a"):
                pass
            with oai.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, stream=True
            ) as stream:
                assert next(iter(stream)).choices
        for thread in set(threading.enumerate()) - before:
            thread.join(timeout=20)
            assert not thread.is_alive()

    @pytest.mark.parametrize("stream", [False, True])
    def test_gzip(self, server, stream):
        server.gzip = True
        with anthropic.Anthropic(base_url=server.url, api_key="k") as client:
            raw = client.messages.with_raw_response.create(**TestMessages.ask, stream=stream)
            assert raw.headers["content-encoding"] == "gzip"
            if stream:
                assert list(raw.parse())[-1].type == "message_stop"
            else:
                assert raw.parse().usage.input_tokens == 4

    def test_env(self, server, monkeypatch):
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        with openai.OpenAI() as oai, anthropic.Anthropic() as ant:
            oai.embeddings.create(model="e", input="a")
            ant.messages.create(**TestMessages.ask)
        assert [seen.path for seen in server.requests] == ["/v1/embeddings", "/v1/messages"]
