"""Traffic that never reaches a network is recorded once, as simulated, with the usage it states."""

from __future__ import annotations

import json
from typing import Any

import httpcore  # noqa: F401 - both map exceptions by class: an inner run must not load them anew
import httpcore2  # noqa: F401
import pytest
import vcr  # noqa: F401 - loaded once: it keeps the transports' methods of when it was imported

from tests import llm_wire as wire
from tests.integration.conftest import Project
from tests.llm_server import LLMServer

CASSETTES = """
import asyncio
import json

import anthropic
import httpx
import openai
import pytest
import vcr

STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def chat(**script):
    prompt = json.dumps({"usage": {"input": 900, "output": 70, "cache_read": 100}, **script})
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}


def ask():
    return chat() | {"model": "claude-haiku-4-5", "max_tokens": 100}


def openai_chat(**options):
    with openai.OpenAI(**options) as client:
        client.chat.completions.create(**chat())


def openai_chat_stream(**options):
    with openai.OpenAI(**options) as client:
        assert list(client.chat.completions.create(**chat(), **STREAM))[-1].usage


async def openai_chat_async():
    async with openai.AsyncOpenAI() as client:
        await client.chat.completions.create(**chat())


async def openai_chat_async_stream():
    async with openai.AsyncOpenAI() as client:
        assert [c async for c in await client.chat.completions.create(**chat(), **STREAM)]


def openai_chat_gzip():
    with openai.OpenAI() as client:
        client.chat.completions.create(**chat(gzip=True))


def openai_chat_retried():
    with openai.OpenAI() as client:
        client.chat.completions.create(**chat(fail=[429]))


def openai_chat_legacy_http_client():
    with httpx.Client() as http:
        openai_chat(http_client=http)


def openai_chat_legacy_http_client_stream():
    with httpx.Client() as http:
        openai_chat_stream(http_client=http)


def openai_responses_stream():
    with openai.OpenAI() as client:
        with client.responses.stream(model="gpt-4.1", input=chat()["messages"]) as stream:
            stream.until_done()


def anthropic_messages():
    with anthropic.Anthropic() as client:
        client.messages.create(**ask())


async def anthropic_messages_async_stream():
    async with anthropic.AsyncAnthropic() as client:
        async with client.messages.stream(**ask()) as stream:
            await stream.get_final_message()


def run(function):
    coroutine = function()
    if coroutine is not None:
        asyncio.run(coroutine)


FUNCTIONS = [
    openai_chat, openai_chat_stream, openai_chat_async, openai_chat_async_stream,
    openai_chat_gzip, openai_chat_retried, openai_chat_legacy_http_client,
    openai_chat_legacy_http_client_stream, openai_responses_stream,
    anthropic_messages, anthropic_messages_async_stream,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_vcrpy(function):
    with vcr.use_cassette(f"vcrpy/{function.__name__}.yaml"):
        run(function)


@pytest.mark.vcr
@pytest.mark.parametrize("function", [openai_chat, anthropic_messages_async_stream])
def test_recording(function):
    run(function)
"""


MOCKS = """
import asyncio
import json
from pathlib import Path

import httpx
import httpx2
import openai
import pytest
import respx
from pytest_httpx import IteratorStream

HERE = Path(__file__).parent
WHOLE = json.loads((HERE / "whole.json").read_text())
EVENTS = [event.encode() for event in json.loads((HERE / "events.json").read_text())]
SSE = {"content-type": "text/event-stream"}
URL = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")


def create(http_client=None):
    with openai.OpenAI(http_client=http_client) as client:
        assert client.chat.completions.create(**ASKED).usage.prompt_tokens == 900


def stream(http_client=None):
    with openai.OpenAI(http_client=http_client) as client:
        assert list(client.chat.completions.create(**ASKED, **STREAM))[-1].usage


def create_async(http_client=None):
    async def main():
        async with openai.AsyncOpenAI(http_client=http_client) as client:
            assert (await client.chat.completions.create(**ASKED)).usage.prompt_tokens == 900
    asyncio.run(main())


def stream_async(http_client=None):
    async def main():
        async with openai.AsyncOpenAI(http_client=http_client) as client:
            made = await client.chat.completions.create(**ASKED, **STREAM)
            assert [chunk async for chunk in made][-1].usage
    asyncio.run(main())


def refusal_then_answer():
    refusal = httpx.Response(429, headers={"retry-after-ms": "1"})
    return [refusal, httpx.Response(200, json=WHOLE)]


BOTH = pytest.mark.parametrize("using", ["httpcore", "httpx"])


@BOTH
def test_respx_plain(using):
    with respx.mock(using=using) as router:
        router.post(URL).respond(json=WHOLE)
        httpx.post(URL, json=ASKED)


@BOTH
def test_respx_sdk(using):
    with respx.mock(using=using) as router:
        router.post(URL).respond(json=WHOLE)
        create(httpx.Client())


@BOTH
def test_respx_stream(using):
    with respx.mock(using=using) as router:
        router.post(URL).respond(headers=SSE, stream=httpx.ByteStream(b"".join(EVENTS)))
        stream(httpx.Client())


def test_respx_async():
    with respx.mock() as router:
        router.post(URL).respond(json=WHOLE)
        create_async(httpx.AsyncClient())


def test_respx_retried():
    with respx.mock() as router:
        router.post(URL).mock(side_effect=refusal_then_answer())
        create(httpx.Client())


def test_pytest_httpx_plain(httpx_mock):
    httpx_mock.add_response(json=WHOLE)
    httpx.post(URL, json=ASKED)


def test_pytest_httpx_sdk(httpx_mock):
    httpx_mock.add_response(json=WHOLE)
    create(httpx.Client())


def test_pytest_httpx_stream(httpx_mock):
    httpx_mock.add_response(headers=SSE, stream=IteratorStream(EVENTS))
    stream(httpx.Client())


def test_pytest_httpx_async(httpx_mock):
    httpx_mock.add_response(json=WHOLE)
    create_async(httpx.AsyncClient())


def test_pytest_httpx_async_stream(httpx_mock):
    httpx_mock.add_response(headers=SSE, stream=IteratorStream(EVENTS))
    stream_async(httpx.AsyncClient())


def test_pytest_httpx2_plain(httpx2_mock):
    httpx2_mock.post(URL).respond(json=WHOLE)
    httpx2.post(URL, json=ASKED)


def test_pytest_httpx2_sdk(httpx2_mock):
    httpx2_mock.post(URL).respond(json=WHOLE)
    create()


def test_pytest_httpx2_async_stream(httpx2_mock):
    httpx2_mock.post(URL).respond(headers=SSE, content=b"".join(EVENTS))
    stream_async()


def test_pytest_httpx2_retried(httpx2_mock):
    httpx2_mock.post(URL).mock(side_effect=refusal_then_answer())
    create()


HTTPS = pytest.mark.parametrize("http", [httpx, httpx2])


def transport(http):
    def answer(request):
        if json.loads(request.content).get("stream"):
            return http.Response(200, headers=SSE, content=b"".join(EVENTS))
        return http.Response(200, json=WHOLE)
    return http.MockTransport(answer)


@HTTPS
def test_mock_transport(http):
    create(http.Client(transport=transport(http)))


@HTTPS
def test_mock_transport_stream(http):
    stream(http.Client(transport=transport(http)))


@HTTPS
def test_mock_transport_async(http):
    create_async(http.AsyncClient(transport=transport(http)))


@HTTPS
def test_mock_transport_async_stream(http):
    stream_async(http.AsyncClient(transport=transport(http)))


def wsgi(environ, start_response):
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps(WHOLE).encode()]


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(WHOLE).encode()})


@HTTPS
def test_own_wsgi_app(http):
    create(http.Client(transport=http.WSGITransport(app=wsgi)))


@HTTPS
def test_own_asgi_app(http):
    create_async(http.AsyncClient(transport=http.ASGITransport(app=asgi)))


@HTTPS
def test_own_app_mounted_at_a_url(http):
    create(http.Client(mounts={"https://": http.WSGITransport(app=wsgi)}))


@HTTPS
def test_provider_mounted_beside_an_app(http):
    app = http.WSGITransport(app=wsgi)
    create(http.Client(transport=app, mounts={"https://api.openai.com": transport(http)}))
"""


def report_of(project: Project, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    """Calls by test of an inner run in which everything passes."""
    result = project.run("--crashlens-report=json:report.json", *arguments)
    assert result.ret == 0, result.outlines
    found: dict[str, Any] = json.loads((project.path / "report.json").read_text())
    assert (found["incomplete"], found["late_calls"]) == ([], [])
    return {test["key"].partition("::")[2]: test["calls"] for test in found["tests"]}


def brief(call: dict[str, Any]) -> tuple[Any, ...]:
    usage = call["usage"]
    counts = tuple(usage[f"{name}_tokens"] for name in ("input", "cache_read", "output"))
    return call["live"], call["attempts"], counts, call["usage_source"]


def test_cassettes_are_recorded_live_and_replayed_as_simulated(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("test_replay.py", CASSETTES)
    with LLMServer() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        recorded = report_of(project, "--record-mode=once")
        sent = len(server.requests)
    replayed = report_of(project)  # nobody listens there any more
    assert len(recorded) == 13
    for name, calls in recorded.items():
        attempts = 2 if "retried" in name else 1
        assert [brief(call) for call in calls] == [(True, attempts, (900, 100, 70), "provider")]
        [call] = calls
        assert replayed.pop(name) == [call | {"live": False}]
    assert replayed == {}
    assert sent == 14


def test_mocked_answers_are_simulated_and_own_apps_are_no_provider(project: Project) -> None:
    asked = {"model": "gpt-4o-mini", "stream_options": {"include_usage": True}}
    answer = wire.Answer(
        text="hello", input_tokens=900, output_tokens=70, cache_read_tokens=100
    ).filled(asked)
    project.write("whole.json", json.dumps(wire.chat(asked, answer)))
    project.write("events.json", json.dumps(list(wire.chat_events(asked, answer))))
    project.write("test_mocks.py", MOCKS)
    calls = report_of(project)
    assert len(calls) == 27
    for name, found in calls.items():
        attempts = 2 if "retried" in name else 1
        expected = [(False, attempts, (900, 100, 70), "provider")]
        assert (name, [brief(call) for call in found]) == (name, expected)
        assert found[0]["streaming"] is ("stream" in name)
    assert not [name for name in calls if "own_" in name]
