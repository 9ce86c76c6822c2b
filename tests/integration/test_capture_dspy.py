"""What dspy sends with the HTTP client it brings along is recorded, and reads as without us."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

# neither may ask the network for its list of models while it is imported
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
dspy = pytest.importorskip(
    "dspy", minversion="3.4", reason="the adapter under test is its client's"
)

from dspy._vendor.lm15 import transports  # noqa: E402

from tests.integration.conftest import Project  # noqa: E402
from tests.integration.test_capture_requests import brief, calls_of  # noqa: E402
from tests.integration.test_invisible import (  # noqa: E402
    Capture,
    Gate,
    deaf,
    error_of,
    same_with_capture,
)
from tests.llm_server import LLMServer  # noqa: E402

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "four words of prompt"}]}
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.stop()


def request_of(url: str, body: dict[str, Any], **timeouts: float) -> Any:
    return transports.TransportRequest(
        method="POST",
        url=f"{url}/chat/completions",
        headers=[("content-type", "application/json")],
        body=json.dumps(body).encode(),
        **timeouts,
    )


def script(**values: Any) -> dict[str, Any]:
    return CHAT | {"messages": [{"role": "user", "content": json.dumps(values)}]}


SCENARIOS = """
import asyncio
import json
import os

import dspy
import pytest

URL = os.environ["OPENAI_BASE_URL"]


@pytest.fixture
def prompt(request):
    def prompt(**script):
        usage = {"input": 1200, "output": 80, "cache_read": 200}
        return json.dumps({"usage": usage, "scenario": request.node.name} | script)
    return prompt


def model(num_retries=0):
    return dspy.LM(
        "openai/gpt-4o-mini", api_base=URL, api_key="k", cache=False, num_retries=num_retries
    )


def test_call(prompt):
    assert model()(prompt())


def test_call_async(prompt):
    assert asyncio.run(model().acall(prompt()))


def test_retried(prompt):
    assert model(num_retries=2)(prompt(fail=[429, 500]))


def test_refused(prompt):
    with pytest.raises(Exception):
        model()(prompt(fail=[400]))

"""
CALL = {
    "usage": {"input_tokens": 1200, "output_tokens": 80, "cache_read_tokens": 200},
    "usage_source": "provider",
    "attempts": 1,
    "streaming": False,
    "ended": "complete",
    "status": 200,
    "live": True,
}


def test_every_call_of_every_kind(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSPY_CACHEDIR", str(project.path / "cache"))
    project.write("test_it.py", SCENARIOS)
    with LLMServer() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        calls = calls_of(project)
        attempts = sum(call["attempts"] for found in calls.values() for call in found)
        assert attempts == len(server.requests)
    assert {name: [brief(call) for call in found] for name, found in calls.items()} == {
        "test_call": [CALL],
        "test_call_async": [CALL],
        "test_retried": [CALL | {"attempts": 3}],
        "test_refused": [CALL | {"usage": {}, "usage_source": "none", "status": 400}],
    }


def plain(url: str) -> Any:
    """What a program can see of the transport and its responses."""
    found: list[Any] = []
    with transports.StdlibTransport() as transport:

        def told(response: Any) -> Any:
            named = (type(response).__name__, isinstance(response, transports.TransportResponse))
            return named, response.status, response.reason, response.header("content-type")

        with transport.stream(request_of(url, CHAT)) as response:
            found += [told(response), response.read(), response.read()]
        with transport.stream(request_of(url, CHAT | ASKED)) as response:
            found += [told(response), *response]
        with transport.stream(request_of(url, CHAT | ASKED)) as response:
            found += response.iter_lines()
        with transport.stream(request_of(url, CHAT | ASKED)) as response:
            found.append(next(iter(response)))
        with transport.stream(request_of(url, script(cut_after=2) | ASKED)) as response:
            found.append(error_of(response.read))
        found.append(transport.pool_stats())
    return found


async def plain_async(url: str) -> Any:
    found: list[Any] = []
    async with transports.StdlibAsyncTransport() as transport:
        async with transport.stream(request_of(url, CHAT)) as response:
            found += [response.status, await response.read()]
        async with transport.stream(request_of(url, CHAT | ASKED)) as response:
            found += [type(response).__name__, *[chunk async for chunk in response]]
        response = await transport.stream(request_of(url, CHAT | ASKED))
        found += [line async for line in response.aiter_lines()]
        async with transport.stream(request_of(url, script(cut_after=2) | ASKED)) as response:
            try:
                await response.read()
            except transports.TransportError as error:
                found.append((type(error), str(error)))
        found.append(transport.pool_stats())
    return found


def test_transports(server: LLMServer) -> None:
    url = server.openai_url
    same_with_capture(lambda: plain(url), attempts=5)
    same_with_capture(lambda: asyncio.run(plain_async(url)), attempts=4)


def test_endings(server: LLMServer) -> None:
    url = server.openai_url
    capture = Capture()
    with capture.installed() as owner, deaf() as deaf_url:
        plain(url)
        asyncio.run(plain_async(url))
        with transports.StdlibTransport() as transport:
            error_of(lambda: transport.stream(request_of("http://127.0.0.1:1/v1", CHAT)))
            error_of(lambda: transport.stream(request_of(deaf_url, CHAT, read_timeout=0.01)))
            error_of(lambda: transport.stream(request_of("nothing://host/v1", CHAT)))
    ends = [attempt.ended for attempt in owner.attempts]
    assert ends == [*["complete"] * 3, "closed_early", "error", *["complete"] * 3, *["error"] * 4]
    errors = [attempt.error for attempt in owner.attempts[-3:-1]]
    assert errors == ["ConnectError", "ReadTimeout"]
    assert [attempt.live for attempt in owner.attempts[:10]] == [True] * 9 + [
        owner.attempts[9].live
    ]
    assert owner.attempts[10].live is True


def test_first_chunk_arrives_before_the_last_is_sent(gate: Gate) -> None:
    capture = Capture()
    asked = request_of(gate.url, CHAT | ASKED, read_timeout=20)
    with (
        capture.installed() as owner,
        transports.StdlibTransport() as transport,
        transport.stream(asked) as response,
    ):
        chunks = iter(response)
        first = next(chunks)
        assert not gate.open.is_set()
        gate.open.set()
        assert [first[:5], *chunks] == [b"data:", b"data: [DONE]\n\n"]
    assert [attempt.ended for attempt in owner.attempts] == ["complete"]


def test_cancelled_in_the_midst_of_a_stream(gate: Gate) -> None:
    async def act() -> None:
        begun = asyncio.Event()

        async def read(transport: Any) -> None:
            async with transport.stream(request_of(gate.url, CHAT | ASKED)) as response:
                async for _ in response:
                    begun.set()

        async with transports.StdlibAsyncTransport() as transport:
            task = asyncio.ensure_future(read(transport))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    capture = Capture()
    with capture.installed() as owner:
        asyncio.run(act())
    [attempt] = owner.attempts
    assert (attempt.ended, attempt.error, attempt.live) == ("error", "CancelledError", True)


def test_transports_made_before_and_after(server: LLMServer) -> None:
    methods = [
        (transports.StdlibTransport, "stream"),
        (transports.StdlibAsyncTransport, "_do_stream"),
    ]
    originals = [vars(cls)[name] for cls, name in methods]
    capture = Capture()
    with transports.StdlibTransport() as transport:
        asked = request_of(server.openai_url, CHAT)
        with capture.installed() as owner, transport.stream(asked) as response:
            response.read()
        with transport.stream(request_of(server.openai_url, CHAT)) as response:
            assert type(response) is transports.TransportResponse
            response.read()
    assert len(owner.attempts) == 1
    assert [vars(cls)[name] for cls, name in methods] == originals
