"""What the real SDKs send is recorded: every attempt once, for the right test, however it is read.

Each scenario is a test of an inner project; its prompt carries its name, so that what the server
got can be held against what was recorded.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpcore  # noqa: F401 - both map exceptions by class: an inner run must not load them anew
import httpcore2  # noqa: F401
import pytest

from tests.integration.conftest import Project
from tests.llm_server import LLMServer

SHARED = '''
import json
import os

import anthropic
import httpx
import httpx2
import openai
import pydantic
import pytest


class Ticket(pydantic.BaseModel):
    title: str


@pytest.fixture
def say(request):
    """The prompt: a script for the server that names the test."""
    def say(name=request.node.name, **script):
        usage = {"input": 1200, "output": 80, "cache_read": 200}
        return json.dumps({"usage": usage, "scenario": name} | script)
    return say


@pytest.fixture
def chat(say):
    def chat(**script):
        return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": say(**script)}]}
    return chat


@pytest.fixture
def respond(say):
    def respond(**script):
        return {"model": "gpt-4.1", "input": say(**script)}
    return respond


@pytest.fixture
def ask(say):
    def ask(**script):
        messages = [{"role": "user", "content": say(**script)}]
        return {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages}
    return ask


@pytest.fixture
def embed(say):
    def embed(**script):
        return {"model": "text-embedding-3-small", "input": say(**script)}
    return embed


STREAM = {"stream": True, "stream_options": {"include_usage": True}}
CUT_OFF = (openai.APIConnectionError, httpx.RemoteProtocolError, httpx2.RemoteProtocolError)
'''

SYNC = '''
@pytest.fixture(scope="module")
def oai():
    with openai.OpenAI() as client:
        yield client


@pytest.fixture(scope="module")
def ant():
    with anthropic.Anthropic() as client:
        yield client


@pytest.fixture(scope="module")
def kept_open():
    """Streams that no test closes."""
    streams = []
    yield streams
    for stream in streams:
        stream.close()


def test_chat(oai, chat):
    oai.chat.completions.create(**chat())


def test_chat_three_alike(oai, chat):
    for _ in range(3):
        oai.chat.completions.create(**chat())


def test_chat_stream(oai, chat):
    assert list(oai.chat.completions.create(**chat(), **STREAM))


def test_chat_stream_without_usage(oai, chat):
    assert list(oai.chat.completions.create(**chat(), stream=True))


def test_chat_stream_abandoned(oai, chat):
    stream = oai.chat.completions.create(**chat(), **STREAM)
    for chunk in stream:
        break
    stream.close()


def test_chat_stream_never_closed(oai, chat, kept_open):
    stream = oai.chat.completions.create(**chat(), **STREAM)
    kept_open.append(stream)
    next(stream)


def test_chat_stream_never_read(oai, chat, kept_open):
    kept_open.append(oai.chat.completions.create(**chat(), **STREAM))


def test_chat_stream_cut(oai, chat):
    with pytest.raises(CUT_OFF):
        list(oai.chat.completions.create(**chat(cut_after=4), **STREAM))


def test_chat_stream_helper(oai, chat):
    options = {"stream_options": {"include_usage": True}}
    with oai.chat.completions.stream(**chat(), **options) as stream:
        stream.until_done()


def test_chat_raw_response(oai, chat):
    raw = oai.chat.completions.with_raw_response.create(**chat())
    assert raw.parse().usage.prompt_tokens == 1200


def test_chat_raw_response_stream(oai, chat):
    raw = oai.chat.completions.with_raw_response.create(**chat(), **STREAM)
    assert list(raw.parse())[-1].usage.prompt_tokens == 1200


def test_chat_streaming_response(oai, chat):
    with oai.chat.completions.with_streaming_response.create(**chat()) as response:
        assert json.loads(b"".join(response.iter_bytes(7)))["usage"]["prompt_tokens"] == 1200


def test_chat_parse(oai, chat):
    oai.chat.completions.parse(**chat(), response_format=Ticket)


def test_chat_gzip(oai, chat):
    oai.chat.completions.create(**chat(gzip=True))


def test_chat_gzip_stream(oai, chat):
    assert list(oai.chat.completions.create(**chat(gzip=True), **STREAM))


def test_chat_gzip_stream_abandoned(oai, chat):
    with oai.chat.completions.create(**chat(gzip=True), **STREAM) as stream:
        assert next(stream)


def test_chat_retried(oai, chat):
    oai.chat.completions.create(**chat(fail=[429, 429]))


def test_chat_stream_retried(oai, chat):
    assert list(oai.chat.completions.create(**chat(fail=[500]), **STREAM))


def test_chat_all_attempts_fail(oai, chat):
    with pytest.raises(openai.InternalServerError):
        oai.chat.completions.create(**chat(fail=[503, 503, 503]))


def test_chat_refused(oai, chat):
    with pytest.raises(openai.BadRequestError):
        oai.chat.completions.create(**chat(fail=[400]))


def test_chat_legacy_http_client(chat):
    with httpx.Client() as http, openai.OpenAI(http_client=http) as client:
        client.chat.completions.create(**chat())
        assert list(client.chat.completions.create(**chat(), **STREAM))


def test_chat_azure(chat):
    endpoint = os.environ["ANTHROPIC_BASE_URL"]
    with openai.AzureOpenAI(azure_endpoint=endpoint, api_key="k", api_version="1") as client:
        client.chat.completions.create(**chat())


def test_responses(oai, respond):
    oai.responses.create(**respond())


def test_responses_stream(oai, respond):
    assert list(oai.responses.create(**respond(), stream=True))


def test_responses_stream_helper(oai, respond):
    with oai.responses.stream(**respond()) as stream:
        stream.until_done()


def test_responses_stream_abandoned(oai, respond):
    with oai.responses.create(**respond(), stream=True) as stream:
        next(iter(stream))


def test_responses_parse(oai, respond):
    oai.responses.parse(**respond(), text_format=Ticket)


def test_responses_raw_response(oai, respond):
    oai.responses.with_raw_response.create(**respond())


def test_responses_retried(oai, respond):
    oai.responses.create(**respond(fail=[429, 429]))


def test_embeddings(oai, embed):
    oai.embeddings.create(**embed())


def test_embeddings_raw_response(oai, embed):
    oai.embeddings.with_raw_response.create(**embed())


def test_messages(ant, ask):
    ant.messages.create(**ask())


def test_messages_stream(ant, ask):
    assert list(ant.messages.create(**ask(), stream=True))


def test_messages_stream_helper(ant, ask):
    with ant.messages.stream(**ask()) as stream:
        assert "".join(stream.text_stream)


def test_messages_stream_abandoned(ant, ask):
    with ant.messages.stream(**ask()) as stream:
        next(stream.text_stream)


def test_messages_stream_never_closed(ant, ask, kept_open):
    stream = ant.messages.create(**ask(), stream=True)
    kept_open.append(stream)
    next(stream)


def test_messages_stream_cut(ant, ask):
    with pytest.raises(CUT_OFF):
        list(ant.messages.create(**ask(cut_after=4), stream=True))


def test_messages_raw_response(ant, ask):
    ant.messages.with_raw_response.create(**ask())


def test_messages_streaming_response(ant, ask):
    with ant.messages.with_streaming_response.create(**ask()) as response:
        response.parse()


def test_messages_parse(ant, ask):
    ant.messages.parse(**ask(), output_format=Ticket)


def test_messages_gzip_stream(ant, ask):
    assert list(ant.messages.create(**ask(gzip=True), stream=True))


def test_messages_retried(ant, ask):
    ant.messages.create(**ask(fail=[529, 429]))


def test_messages_all_attempts_fail(ant, ask):
    with pytest.raises(anthropic.RateLimitError):
        ant.messages.create(**ask(fail=[429, 429, 429]))
'''

ASYNC = """
import asyncio
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def oai():
    async with openai.AsyncOpenAI() as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ant():
    async with anthropic.AsyncAnthropic() as client:
        yield client


async def test_chat(oai, chat):
    await oai.chat.completions.create(**chat())


async def test_chat_stream(oai, chat):
    assert [c async for c in await oai.chat.completions.create(**chat(), **STREAM)]


async def test_chat_stream_without_usage(oai, chat):
    assert [c async for c in await oai.chat.completions.create(**chat(), stream=True)]


async def test_chat_stream_abandoned(oai, chat):
    stream = await oai.chat.completions.create(**chat(), **STREAM)
    async for chunk in stream:
        break
    await stream.close()


async def test_chat_stream_cut(oai, chat):
    with pytest.raises(CUT_OFF):
        [c async for c in await oai.chat.completions.create(**chat(cut_after=4), **STREAM)]


async def test_chat_stream_cancelled(oai, chat):
    begun = asyncio.Event()
    async def read():
        async with await oai.chat.completions.create(**chat(delay=60), **STREAM) as stream:
            async for chunk in stream:
                begun.set()
    task = asyncio.ensure_future(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_chat_stream_helper(oai, chat):
    options = {"stream_options": {"include_usage": True}}
    async with oai.chat.completions.stream(**chat(), **options) as stream:
        await stream.until_done()


async def test_chat_raw_response(oai, chat):
    await oai.chat.completions.with_raw_response.create(**chat())


async def test_chat_streaming_response(oai, chat):
    async with oai.chat.completions.with_streaming_response.create(**chat()) as response:
        await response.parse()


async def test_chat_parse(oai, chat):
    await oai.chat.completions.parse(**chat(), response_format=Ticket)


async def test_chat_gzip_stream(oai, chat):
    assert [c async for c in await oai.chat.completions.create(**chat(gzip=True), **STREAM)]


async def test_chat_retried(oai, chat):
    await oai.chat.completions.create(**chat(fail=[429, 429]))


async def test_chat_each_of_three_retried(oai, chat):
    await asyncio.gather(*(
        oai.chat.completions.create(**chat(fail=[429], text=f"answer {number}"))
        for number in range(3)
    ))


async def test_chat_all_attempts_fail(oai, chat):
    with pytest.raises(openai.RateLimitError):
        await oai.chat.completions.create(**chat(fail=[429, 429, 429]))


async def test_chat_legacy_http_client(chat):
    async with httpx.AsyncClient() as http, openai.AsyncOpenAI(http_client=http) as client:
        await client.chat.completions.create(**chat())
        assert [c async for c in await client.chat.completions.create(**chat(), **STREAM)]


async def test_responses(oai, respond):
    await oai.responses.create(**respond())


async def test_responses_stream(oai, respond):
    assert [e async for e in await oai.responses.create(**respond(), stream=True)]


async def test_responses_stream_helper(oai, respond):
    async with oai.responses.stream(**respond()) as stream:
        await stream.until_done()


async def test_responses_parse(oai, respond):
    await oai.responses.parse(**respond(), text_format=Ticket)


async def test_embeddings(oai, embed):
    await oai.embeddings.create(**embed())


async def test_messages(ant, ask):
    await ant.messages.create(**ask())


async def test_messages_stream(ant, ask):
    assert [e async for e in await ant.messages.create(**ask(), stream=True)]


async def test_messages_stream_helper(ant, ask):
    async with ant.messages.stream(**ask()) as stream:
        await stream.get_final_message()


async def test_messages_stream_abandoned(ant, ask):
    async with ant.messages.stream(**ask()) as stream:
        await anext(aiter(stream.text_stream))


async def test_messages_streaming_response(ant, ask):
    async with ant.messages.with_streaming_response.create(**ask()) as response:
        await response.parse()


async def test_messages_retried(ant, ask):
    await ant.messages.create(**ask(fail=[529, 429]))
"""

COUNTED = {"input_tokens": 1200, "output_tokens": 80, "cache_read_tokens": 200}
CALL = {
    "provider": "openai",
    "usage": COUNTED,
    "usage_source": "provider",
    "attempts": 1,
    "streaming": False,
    "ended": "complete",
    "status": 200,
    "live": True,
}
CHAT = CALL | {"endpoint": "chat", "model_returned": "gpt-4o-mini-2024-07-18"}
RESPONSES = CALL | {"endpoint": "responses", "model_returned": "gpt-4.1-2025-04-14"}
EMBEDDINGS = CALL | {
    "endpoint": "embeddings",
    "model_returned": "text-embedding-3-small",
    "usage": {"input_tokens": 1200},
}
MESSAGES = CALL | {
    "endpoint": "messages",
    "model_returned": "claude-haiku-4-5-20251001",
    "provider": "anthropic",
}

STREAM = {"streaming": True}
# the SDK stops reading at "[DONE]", which may be before or after the body's end
DONE = {"streaming": True, "ended": "complete or closed_early"}
FROM_TEXT = {"usage": "input and output", "usage_source": "tokenizer"}
ESTIMATED = {"usage": "input and output", "usage_source": "estimated"}
ABANDONED = {"streaming": True, "ended": "closed_early"}
UNFINISHED = {"streaming": True, "ended": "unfinished"}
CUT = {"streaming": True, "ended": "error"}
UNKNOWN = {"model_returned": None, "usage": {}, "usage_source": "none"}

SYNC_CALLS = {
    "test_chat": [CHAT],
    "test_chat_three_alike": [CHAT, CHAT, CHAT],
    "test_chat_stream": [CHAT | DONE],
    "test_chat_stream_without_usage": [CHAT | DONE | FROM_TEXT],
    "test_chat_stream_abandoned": [CHAT | ABANDONED | FROM_TEXT],
    "test_chat_stream_never_closed": [CHAT | UNFINISHED | FROM_TEXT],
    "test_chat_stream_never_read": [CHAT | UNFINISHED | UNKNOWN],
    "test_chat_stream_cut": [CHAT | CUT | FROM_TEXT],
    "test_chat_stream_helper": [CHAT | DONE],
    "test_chat_raw_response": [CHAT],
    "test_chat_raw_response_stream": [CHAT | DONE],
    "test_chat_streaming_response": [CHAT],
    "test_chat_parse": [CHAT],
    "test_chat_gzip": [CHAT],
    "test_chat_gzip_stream": [CHAT | DONE],
    "test_chat_gzip_stream_abandoned": [CHAT | ABANDONED | FROM_TEXT],
    "test_chat_retried": [CHAT | {"attempts": 3}],
    "test_chat_stream_retried": [CHAT | DONE | {"attempts": 2}],
    "test_chat_all_attempts_fail": [CHAT | UNKNOWN | {"attempts": 3, "status": 503}],
    "test_chat_refused": [CHAT | UNKNOWN | {"status": 400}],
    "test_chat_legacy_http_client": [CHAT, CHAT | DONE],
    "test_chat_azure": [CHAT],
    "test_responses": [RESPONSES],
    "test_responses_stream": [RESPONSES | STREAM],
    "test_responses_stream_helper": [RESPONSES | STREAM],
    "test_responses_stream_abandoned": [RESPONSES | ABANDONED | ESTIMATED],
    "test_responses_parse": [RESPONSES],
    "test_responses_raw_response": [RESPONSES],
    "test_responses_retried": [RESPONSES | {"attempts": 3}],
    "test_embeddings": [EMBEDDINGS],
    "test_embeddings_raw_response": [EMBEDDINGS],
    "test_messages": [MESSAGES],
    "test_messages_stream": [MESSAGES | STREAM],
    "test_messages_stream_helper": [MESSAGES | STREAM],
    "test_messages_stream_abandoned": [MESSAGES | ABANDONED | ESTIMATED],
    "test_messages_stream_never_closed": [MESSAGES | UNFINISHED | ESTIMATED],
    "test_messages_stream_cut": [MESSAGES | CUT | ESTIMATED],
    "test_messages_raw_response": [MESSAGES],
    "test_messages_streaming_response": [MESSAGES],
    "test_messages_parse": [MESSAGES],
    "test_messages_gzip_stream": [MESSAGES | STREAM],
    "test_messages_retried": [MESSAGES | {"attempts": 3}],
    "test_messages_all_attempts_fail": [MESSAGES | UNKNOWN | {"attempts": 3, "status": 429}],
}

ASYNC_CALLS = {
    "test_chat": [CHAT],
    "test_chat_stream": [CHAT | DONE],
    "test_chat_stream_without_usage": [CHAT | DONE | FROM_TEXT],
    "test_chat_stream_abandoned": [CHAT | ABANDONED | FROM_TEXT],
    "test_chat_stream_cut": [CHAT | CUT | FROM_TEXT],
    "test_chat_stream_cancelled": [CHAT | CUT | FROM_TEXT],
    "test_chat_stream_helper": [CHAT | DONE],
    "test_chat_raw_response": [CHAT],
    "test_chat_streaming_response": [CHAT],
    "test_chat_parse": [CHAT],
    "test_chat_gzip_stream": [CHAT | DONE],
    "test_chat_retried": [CHAT | {"attempts": 3}],
    "test_chat_each_of_three_retried": [CHAT | {"attempts": 2}] * 3,
    "test_chat_all_attempts_fail": [CHAT | UNKNOWN | {"attempts": 3, "status": 429}],
    "test_chat_legacy_http_client": [CHAT, CHAT | DONE],
    "test_responses": [RESPONSES],
    "test_responses_stream": [RESPONSES | STREAM],
    "test_responses_stream_helper": [RESPONSES | STREAM],
    "test_responses_parse": [RESPONSES],
    "test_embeddings": [EMBEDDINGS],
    "test_messages": [MESSAGES],
    "test_messages_stream": [MESSAGES | STREAM],
    "test_messages_stream_helper": [MESSAGES | STREAM],
    "test_messages_stream_abandoned": [MESSAGES | ABANDONED | ESTIMATED],
    "test_messages_streaming_response": [MESSAGES],
    "test_messages_retried": [MESSAGES | {"attempts": 3}],
}


def report_of(project: Project) -> dict[str, Any]:
    """The JSON report of an inner run in which everything passes."""
    result = project.run("--crashlens-report=json:report.json")
    assert result.ret == 0, result.outlines
    found: dict[str, Any] = json.loads((project.path / "report.json").read_text())
    assert found["incomplete"] == []
    assert found["late_calls"] == []
    return found


def brief(call: dict[str, Any]) -> dict[str, Any]:
    """What is compared of a call."""
    found = {name: call[name] for name in CHAT}
    if call["usage_source"] in ("tokenizer", "estimated"):
        if call["usage"]["input_tokens"] > 0 and call["usage"]["output_tokens"] >= 0:
            found["usage"] = "input and output"
    else:
        found["usage"] = {name: value for name, value in call["usage"].items() if value}
    to_its_end = call["usage_source"] == "provider" or "pass stream_options" in str(call["note"])
    if call["endpoint"] == "chat" and call["streaming"] and to_its_end:
        assert call["ended"] in ("complete", "closed_early")
        found["ended"] = DONE["ended"]
    return found


@pytest.mark.parametrize(
    ("tests", "expected"), [(SYNC, SYNC_CALLS), (ASYNC, ASYNC_CALLS)], ids=["sync", "async"]
)
def test_every_call_of_every_kind(
    project: Project, server: LLMServer, tests: str, expected: dict[str, list[dict[str, Any]]]
) -> None:
    earlier = len(server.requests)
    project.write("test_sdks.py", SHARED + tests)
    report = report_of(project)
    calls = {test["key"].partition("::")[2]: test["calls"] for test in report["tests"]}
    assert {name: [brief(call) for call in found] for name, found in calls.items()} == expected
    attempts = {name: sum(call["attempts"] for call in found) for name, found in calls.items()}
    assert attempts == Counter(scenario(one.body) for one in server.requests[earlier:])
    # the line of the test, not one of the SDK's
    sites = {
        (name, call["call_site"].partition(":")[0], call["call_site"].rpartition(" ")[2])
        for name, found in calls.items()
        for call in found
    }
    own_function = {"test_chat_stream_cancelled": "read"}
    assert sites == {(name, "test_sdks.py", own_function.get(name, name)) for name in expected}


def scenario(body: dict[str, Any]) -> str:
    """The test that a request came from."""
    prompt = body["input"] if "input" in body else body["messages"][-1]["content"]
    name: str = json.loads(prompt)["scenario"]
    return name


def test_call_without_an_answer_is_unknown_not_free(project: Project) -> None:
    project.write(
        "test_sdks.py",
        SHARED
        + """
def test_chat(chat):
    with openai.OpenAI(max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(**chat(fail=[0]))


def test_nobody_listens(chat):
    with openai.OpenAI(max_retries=0, base_url="http://127.0.0.1:1/v1") as client:
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(**chat())
""",
    )
    [lost], [never_sent] = (test["calls"] for test in report_of(project)["tests"])
    assert (lost["status"], lost["ended"], lost["usage_source"]) == (None, "error", "none")
    assert lost["billed"] is True
    assert (never_sent["error"], never_sent["billed"]) == ("ConnectError", False)


OWNERS = '''
import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import pytest_asyncio

POOL = ThreadPoolExecutor(1)


URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"


def body(number):
    """The number of input tokens says whose call it is."""
    prompt = json.dumps({"usage": {"input": number, "output": 1}})
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}


def ask(number):
    with httpx2.Client(verify=False) as client:
        client.post(URL, json=body(number))


async def aask(number):
    async with httpx2.AsyncClient(verify=False) as client:
        await client.post(URL, json=body(number))


@pytest.fixture(scope="session")
def for_session():
    ask(101)
    yield
    ask(102)


@pytest.fixture(scope="module")
def for_module(for_session):
    ask(111)
    yield
    thread = threading.Thread(target=ask, args=[112])
    thread.start()
    thread.join()


@pytest.fixture
def for_function(for_module):
    ask(201)
    yield
    ask(202)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asyncio_module():
    await aask(121)
    yield
    await aask(122)


@pytest_asyncio.fixture
async def asyncio_function():
    await aask(211)
    yield
    await aask(212)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def anyio_module(anyio_backend):
    await aask(131)
    yield
    await aask(132)


@pytest.fixture
async def anyio_function(anyio_module):
    await aask(221)
    yield
    await aask(222)


def test_plain(for_module):
    ask(1)


def test_with_fixture(for_function):
    ask(2)


def test_thread():
    thread = threading.Thread(target=ask, args=[3])
    thread.start()
    thread.join()


def test_executor():
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, [4, 4]))


@pytest.mark.parametrize("number", [5, 6])
def test_executor_of_the_module(number):
    POOL.submit(ask, number).result()


def test_asyncio_run():
    async def main():
        await asyncio.gather(aask(7), asyncio.to_thread(ask, 7))
        await asyncio.get_running_loop().run_in_executor(None, ask, 7)
    asyncio.run(main())


def test_loop_in_a_thread():
    thread = threading.Thread(target=lambda: asyncio.run(aask(8)))
    thread.start()
    thread.join()


@pytest.mark.asyncio
async def test_asyncio(asyncio_function):
    await asyncio.gather(aask(11), aask(11))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [12, 13])
async def test_asyncio_shared_loop(number, asyncio_module):
    await asyncio.gather(aask(number), asyncio.to_thread(ask, number))


@pytest.mark.anyio
@pytest.mark.parametrize("number", [14, 15])
async def test_anyio(number, anyio_module):
    await aask(number)


@pytest.mark.anyio
@pytest.mark.parametrize("number", [16, 17])
async def test_anyio_with_fixture(number, anyio_function):
    await aask(number)

class TestMethods:
    @pytest_asyncio.fixture
    async def number(self):
        self.kept = 18
        await aask(218)
        return 18

    @pytest.mark.asyncio
    async def test_method(self, number):
        assert self.kept == number
        await aask(number)
'''

OWNED = {
    "test_owners.py::test_plain": [1],
    "test_owners.py::test_with_fixture": [201, 2],
    "test_owners.py::test_thread": [3],
    "test_owners.py::test_executor": [4, 4],
    "test_owners.py::test_executor_of_the_module[5]": [5],
    "test_owners.py::test_executor_of_the_module[6]": [6],
    "test_owners.py::test_asyncio_run": [7, 7, 7],
    "test_owners.py::test_loop_in_a_thread": [8],
    "test_owners.py::test_asyncio": [211, 11, 11],
    "test_owners.py::test_asyncio_shared_loop[12]": [12, 12],
    "test_owners.py::test_asyncio_shared_loop[13]": [13, 13],
    "test_owners.py::test_anyio[14]": [14],
    "test_owners.py::test_anyio[15]": [15],
    "test_owners.py::test_anyio_with_fixture[16]": [221, 16],
    "test_owners.py::test_anyio_with_fixture[17]": [221, 17],
    "test_owners.py::TestMethods::test_method": [218, 18],
    "fixture:test_owners.py::for_session": [101, 102],
    "fixture:test_owners.py::for_module": [111, 112],
    "fixture:test_owners.py::asyncio_module": [121, 122],
    "fixture:test_owners.py::anyio_module": [131, 132],
    "teardown:test_owners.py::test_with_fixture": [202],
    "teardown:test_owners.py::test_asyncio": [212],
    "teardown:test_owners.py::test_anyio_with_fixture[16]": [222],
    "teardown:test_owners.py::test_anyio_with_fixture[17]": [222],
}


@pytest.mark.parametrize("order", ["as written", "reversed"])
def test_calls_belong_to_their_test_or_fixture(project: Project, order: str) -> None:
    project.write("test_owners.py", OWNERS)
    if order == "reversed":
        project.write(
            "conftest.py", "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
        )
    report = report_of(project)
    owned = {
        test["key"]: [call["usage"]["input_tokens"] for call in test["calls"]]
        for test in report["tests"]
    }
    assert owned == OWNED
