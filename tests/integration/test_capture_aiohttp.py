"""What goes out through aiohttp is recorded once, whoever sends it and however it is read."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import httpx2
import openai
import pytest

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.multipart import form_fields
from tests import event_streams
from tests.integration.conftest import Project
from tests.integration.test_invisible import Capture
from tests.llm_server import LLMServer

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")
test_utils = pytest.importorskip("aiohttp.test_utils")
web = pytest.importorskip("aiohttp.web")
URL = pytest.importorskip("yarl").URL

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "four words of prompt"}]}
STREAM = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
PATH = "/v1/chat/completions"
# google-genai asks a future for its own event loop as it is imported
DEPRECATED = "ignore::DeprecationWarning"


@pytest.fixture
def capture() -> Capture:
    return Capture()


def recorded(
    capture: Capture, act: Callable[[], Awaitable[Any]], expected: int = 1
) -> list[Attempt]:
    """The attempts of ``act``, of which there must be as many as ``expected``."""
    with capture.installed() as owner:
        asyncio.run(act())  # type: ignore[arg-type]
    assert len(owner.attempts) == expected
    return owner.attempts


def body_of(attempt: Attempt) -> bytes:
    return attempt.to_exchange().response_body


async def read(asking: Any) -> bytes:
    """The whole answer: an unread one holds its connection until it is garbage."""
    async with asking as response:
        body: bytes = await response.read()
        return body


# --- what was asked for

FORM = aiohttp.FormData({"model": "whisper-1", "prompt": "a b"})
UPLOAD = aiohttp.FormData({"model": "whisper-1"}, default_to_multipart=True)
UPLOAD.add_field("file", io.BytesIO(b"RIFF"), filename="a.wav")


async def pieces() -> Any:
    yield json.dumps(CHAT).encode()


ASKED: dict[str, tuple[dict[str, Any], bytes | None]] = {
    "json": ({"json": CHAT}, json.dumps(CHAT).encode()),
    "bytes": ({"data": b'{"model": "m"}'}, b'{"model": "m"}'),
    "bytearray": ({"data": bytearray(b"{}")}, b"{}"),
    "text": ({"data": '{"model": "ü"}'}, '{"model": "ü"}'.encode()),
    "buffer": ({"data": io.BytesIO(b"{}")}, b"{}"),
    "payload": ({"data": aiohttp.BytesPayload(b"{}")}, b"{}"),
    "form": ({"data": FORM}, b"model=whisper-1&prompt=a+b"),
    "mapping": ({"data": {"model": "m"}}, b"model=m"),
    "pairs": ({"data": [("model", "m")]}, b"model=m"),
    "generator": ({"data": pieces()}, b""),
    "nothing": ({}, b""),
}


@pytest.mark.parametrize("how", ASKED)
def test_request_body_is_what_the_server_gets(capture: Capture, how: str) -> None:
    options, expected = ASKED[how]
    got: list[bytes] = []

    async def answer(request: Any) -> Any:
        got.append(await request.read())
        return web.json_response({})

    async def act() -> None:
        async with served(answer) as url, aiohttp.ClientSession() as session:
            await read(session.post(url, **options))

    [attempt] = recorded(capture, act)
    assert attempt.request_body == expected
    assert how == "generator" or got == [expected]


def test_upload_shows_its_text_fields(capture: Capture) -> None:
    async def answer(request: Any) -> Any:
        form = await request.post()
        assert (form["model"], form["file"].file.read()) == ("whisper-1", b"RIFF")
        return web.json_response({})

    async def act() -> None:
        async with served(answer) as url, aiohttp.ClientSession() as session:
            await read(session.post(url, data=UPLOAD))

    [attempt] = recorded(capture, act)
    assert form_fields(attempt.request_body) == {"model": "whisper-1", "file": ""}


def test_what_the_sessions_own_serializer_makes(capture: Capture, server: LLMServer) -> None:
    def dumps(document: Any) -> str:
        return json.dumps(document, default=str)

    async def act() -> None:
        async with aiohttp.ClientSession(json_serialize=dumps) as session:
            asked = CHAT | {"user": URL("http://u")}
            await read(session.post(server.url + PATH, json=asked))

    [attempt] = recorded(capture, act)
    assert json.loads(attempt.request_body)["user"] == "http://u"


def test_address_method_and_headers(capture: Capture, server: LLMServer) -> None:
    count = {"X-Stainless-Retry-Count": "2"}

    async def act() -> None:
        async with aiohttp.ClientSession(server.url, headers=count) as session:
            await read(session.post(PATH, json=CHAT))
            await read(session.request("post", url=URL(PATH), params={"a": "b"}, json=CHAT))
            third = [("x-stainless-retry-count", "3")]
            await read(session.request(method="POST", url=server.url + PATH, headers=third))
            await read(session.get("/v1/models"))
            await read(session.post("/v1/telemetry", json=CHAT))
        async with aiohttp.request("POST", server.url + PATH, json=CHAT) as response:
            await response.read()

    attempts = recorded(capture, act, 4)
    assert [(one.method, one.url) for one in attempts] == [
        ("POST", server.url + PATH),
        ("POST", f"{server.url}{PATH}?a=b"),
        ("POST", server.url + PATH),
        ("POST", server.url + PATH),
    ]
    assert [one.request_headers.get("x-stainless-retry-count") for one in attempts] == [
        *"223",
        None,
    ]
    assert attempts[0].request_headers["content-type"] == "application/json"
    assert {one.call_site and one.call_site.rpartition(" ")[2] for one in attempts} == {
        "act",
        "read",
    }


class served:
    """``async with served(handler) as url``: an application on a port of its own."""

    def __init__(self, handler: Callable[[Any], Awaitable[Any]]) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        self._server = test_utils.TestServer(app)

    async def __aenter__(self) -> str:
        await self._server.start_server()
        return str(self._server.make_url(PATH))

    async def __aexit__(self, *exc: object) -> None:
        await self._server.close()


# --- how it is read


async def lines(response: Any) -> bytes:
    return b"".join([line async for line in response.content])


async def chunked(response: Any) -> bytes:
    return b"".join([part async for part in response.content.iter_chunked(7)])


async def at_hand(response: Any) -> bytes:
    return b"".join([part async for part in response.content.iter_any()])


async def as_sent(response: Any) -> bytes:
    return b"".join([part async for part, _ in response.content.iter_chunks()])


async def some_then_all(response: Any) -> bytes:
    content = response.content
    first = await content.readexactly(5) + await content.read(3) + await content.readuntil(b",")
    content_read: bytes = await response.read()
    return first + content_read


async def put_back(response: Any) -> bytes:
    first = await response.content.read(9)
    response.content.unread_data(first[4:])
    rest: bytes = await response.content.read()
    return first[:4] + rest


async def whole(response: Any) -> bytes:
    assert await response.read() is await response.read()
    body: bytes = await response.read()
    return body


async def text(response: Any) -> bytes:
    told: str = await response.text()
    return told.encode()


@pytest.mark.filterwarnings("ignore:unread_data:DeprecationWarning")
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("unpack", [True, False], ids=["decompressed", "raw"])
@pytest.mark.parametrize(
    "way", [whole, text, lines, chunked, at_hand, as_sent, some_then_all, put_back]
)
def test_everything_that_is_read_is_kept_once(
    capture: Capture, way: Callable[[Any], Awaitable[bytes]], unpack: bool, packed: bool
) -> None:
    if way is text and packed and not unpack:
        pytest.skip("compressed bytes are no text")
    seen: list[bytes] = []
    with LLMServer(gzip=packed) as server:

        async def act() -> None:
            async with (
                aiohttp.ClientSession(auto_decompress=unpack) as session,
                session.post(server.url + PATH, json=STREAM) as response,
            ):
                seen.append(await way(response))

        [attempt] = recorded(capture, act)
    assert (attempt.status, attempt.ended, attempt.live) == (200, "complete", True)
    if unpack or not packed:
        assert b"".join(attempt.chunks) == seen[0]
    assert body_of(attempt).endswith(b"data: [DONE]\n\n")


# --- how it ends


class Stage:
    """A stream whose first event is there and whose second comes when it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.cut = False

    async def answer(self, request: Any) -> Any:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await self.go_on.wait()
        if self.cut:
            request.transport.abort()
        with suppress(ConnectionError):
            await response.write(b"data: 2\n\n")
        return response


async def left(session: Any, url: str, stage: Stage) -> None:
    async with session.post(url, json=STREAM) as response:
        await response.content.readany()


async def released(session: Any, url: str, stage: Stage) -> None:
    response = await session.post(url, json=STREAM)
    await response.content.readany()
    response.release()


async def closed(session: Any, url: str, stage: Stage) -> None:
    response = await session.post(url, json=STREAM)
    await response.content.readany()
    response.close()
    with pytest.raises(aiohttp.ClientConnectionError, match="Connection closed"):
        await response.read()


async def never_read(session: Any, url: str, stage: Stage) -> None:
    async with session.post(url, json=STREAM):
        pass


async def cut(session: Any, url: str, stage: Stage) -> None:
    stage.cut = True
    async with session.post(url, json=STREAM) as response:
        await response.content.readany()
        stage.go_on.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readany()


async def cut_while_read_whole(session: Any, url: str, stage: Stage) -> None:
    stage.cut = True
    async with session.post(url, json=STREAM) as response:
        reading = asyncio.ensure_future(response.read())
        await asyncio.sleep(0)
        while response.content.total_bytes < 9:  # noqa: ASYNC110 - nobody tells when it is there
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        stage.go_on.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await reading


async def timed_out(session: Any, url: str, stage: Stage) -> None:
    timeout = aiohttp.ClientTimeout(sock_read=60)
    async with session.post(url, json=STREAM, timeout=timeout) as response:
        await response.content.readany()
        response.connection.protocol._on_read_timeout()  # as if the minute were over
        with pytest.raises(aiohttp.SocketTimeoutError):
            await response.read()


async def timed_out_in_all(session: Any, url: str, stage: Stage) -> None:
    async with session.post(url, json=STREAM, timeout=aiohttp.ClientTimeout(total=60)) as response:
        await response.content.readany()
        asyncio.get_running_loop().call_soon(response._timer.timeout)
        with pytest.raises(asyncio.TimeoutError):
            await response.read()


async def cancelled(session: Any, url: str, stage: Stage) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async with session.post(url, json=STREAM) as response:
            async for _ in response.content:
                begun.set()

    task = asyncio.ensure_future(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def impatient(session: Any, url: str, stage: Stage) -> None:
    """Gives up waiting and comes back."""
    async with session.post(url, json=STREAM) as response:
        await response.content.readany()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(response.content.readany(), 0.01)
        stage.go_on.set()
        assert await response.content.read() == b"data: 2\n\n"


async def never_closed(session: Any, url: str, stage: Stage) -> Any:
    response = await session.post(url, json=STREAM)
    await response.content.readany()
    return response


ENDINGS = {
    left: ("closed_early", None, b"data: 1\n\n"),
    released: ("closed_early", None, b"data: 1\n\n"),
    closed: ("closed_early", None, b"data: 1\n\n"),
    never_read: ("closed_early", None, b""),
    cut: ("error", "ClientPayloadError", b"data: 1\n\n"),
    cut_while_read_whole: ("error", "ClientPayloadError", b"data: 1\n\n"),
    timed_out: ("error", "SocketTimeoutError", b"data: 1\n\n"),
    timed_out_in_all: ("error", "TimeoutError", b"data: 1\n\n"),
    cancelled: ("error", "CancelledError", b"data: 1\n\n"),
    impatient: ("complete", None, b"data: 1\n\ndata: 2\n\n"),
    never_closed: ("unfinished", None, b"data: 1\n\n"),
}


@pytest.mark.parametrize("end", ENDINGS)
def test_every_ending_leaves_what_was_seen(capture: Capture, end: Any) -> None:
    async def act(owner: Owner) -> Exchange:
        stage = Stage()
        async with served(stage.answer) as url, aiohttp.ClientSession() as session:
            left_open = await end(session, url, stage)
            [attempt] = owner.attempts
            exchange = attempt.to_exchange()
            if left_open is not None:
                left_open.close()
            stage.go_on.set()
        return exchange

    with capture.installed() as owner:
        exchange = asyncio.run(act(owner))
    assert (exchange.ended, exchange.error, exchange.response_body) == ENDINGS[end]
    assert (exchange.status, exchange.live) == (200, True)


def test_no_answer_at_all(capture: Capture, server: LLMServer) -> None:
    server.reply(for_model="mute", status=0)

    async def act() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.post("http://127.0.0.1:1" + PATH, json=CHAT)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.post(server.url + PATH, json=CHAT | {"model": "mute"})
            await session.close()
            with pytest.raises(RuntimeError, match="closed"):
                await session.post(server.url + PATH, json=CHAT)

    attempts = recorded(capture, act, 3)
    assert {(one.status, one.ended) for one in attempts} == {(None, "error")}
    assert [one.live for one in attempts] == [True, True, None]


def test_status_that_is_raised(capture: Capture, server: LLMServer) -> None:
    server.reply(for_model="busy", status=429, times=2)
    asked = {"url": server.url + PATH, "json": CHAT | {"model": "busy"}}

    async def act() -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            with pytest.raises(aiohttp.ClientResponseError, match="429"):
                await session.post(**asked)
            async with session.post(**asked, raise_for_status=False) as response:
                with pytest.raises(aiohttp.ClientResponseError, match="429"):
                    response.raise_for_status()
            await read(session.post(**asked))

    attempts = recorded(capture, act, 3)
    assert [one.status for one in attempts] == [429, 429, 200]
    assert attempts[0].error == "ClientResponseError"


def test_redirects_belong_to_the_request(capture: Capture, server: LLMServer) -> None:
    async def answer(request: Any) -> Any:
        raise web.HTTPTemporaryRedirect(server.url + PATH)

    async def act() -> None:
        async with served(answer) as url, aiohttp.ClientSession() as session:
            response = await session.post(url, json=CHAT)
            assert (await response.json())["usage"]
            assert [one.status for one in response.history] == [307]

    [attempt] = recorded(capture, act)
    assert json.loads(body_of(attempt))["usage"]


# --- beneath other libraries


@pytest.mark.parametrize("kind", ["openai", "anthropic", "httpx-aiohttp"])
def test_transport_beneath_httpx_is_not_recorded_again(
    capture: Capture, server: LLMServer, kind: str
) -> None:
    asked = STREAM | {"model": f"beneath-{kind}"}
    if kind == "httpx-aiohttp":
        make = pytest.importorskip("httpx_aiohttp", reason="httpx-aiohttp is not installed")
        client = make.HttpxAiohttpClient
    else:
        client = pytest.importorskip(kind).DefaultAioHttpClient
    earlier = len(server.requests)

    async def act() -> None:
        async with client() as http:
            url = f"{server.url}{PATH}?name=a%2Fb%7E%20c"
            await http.post(url, json=asked)
            async with http.stream("POST", url, json=asked) as response:
                async for _ in response.aiter_bytes():
                    pass
            await http.post(url, data={"model": "m"}, files={"file": b"RIFF"})

    attempts = recorded(capture, act, 3)
    assert len(server.requests) - earlier == 3
    assert [one.live for one in attempts] == [True] * 3
    assert [one.ended for one in attempts] == ["complete"] * 3


@pytest.mark.parametrize("http", [httpx, httpx2])
def test_transport_that_hands_over_a_url_object(
    capture: Capture, server: LLMServer, http: Any
) -> None:
    class Transport(http.AsyncBaseTransport):  # type: ignore[misc,name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            async with aiohttp.ClientSession() as session:
                url = URL(str(request.url), encoded=True)
                answer = await session.request(request.method, url, data=request.content)
                await read(session.post(server.url + PATH, json=CHAT))
                return http.Response(answer.status, content=await answer.read())

    async def act() -> None:
        async with http.AsyncClient(transport=Transport()) as client:
            await client.post(f"{server.url}/model/a%3Ab%2Fc/converse?q=%7E", json=CHAT)

    # a call from within the transport is one of its own
    assert [one.url.partition("?")[0][-8:] for one in recorded(capture, act, 2)] == [
        "converse",
        "pletions",
    ]


def test_openai_over_aiohttp_with_retries(capture: Capture, server: LLMServer) -> None:
    server.reply(for_model="over-aiohttp", status=429, times=2)

    async def act() -> None:
        async with (
            openai.DefaultAioHttpClient() as http,
            openai.AsyncOpenAI(base_url=server.openai_url, api_key="k", http_client=http) as client,
        ):
            asked: Any = STREAM | {"model": "over-aiohttp"}
            chunks = [chunk async for chunk in await client.chat.completions.create(**asked)]
            assert chunks[-1].usage

    attempts = recorded(capture, act, 3)
    assert [one.status for one in attempts] == [429, 429, 200]
    assert [one.request_headers["x-stainless-retry-count"] for one in attempts] == [*"012"]


@pytest.mark.filterwarnings(DEPRECATED)
def test_google_genai_async(capture: Capture, server: LLMServer) -> None:
    genai = pytest.importorskip("google.genai", reason="google-genai is not installed")
    earlier = len(server.requests)

    async def act() -> None:
        client = genai.Client(api_key="k", http_options={"base_url": server.url})
        asked = {"model": "gemini-2.5-flash", "contents": "hello"}
        whole = await client.aio.models.generate_content(**asked)
        assert whole.usage_metadata
        async for chunk in await client.aio.models.generate_content_stream(**asked):
            assert chunk.candidates
        await client.aio.aclose()

    attempts = recorded(capture, act, 2)
    assert len(server.requests) - earlier == 2
    for attempt in attempts:
        assert (attempt.status, attempt.live, attempt.ended) == (200, True, "complete")
        assert b"usageMetadata" in body_of(attempt)
        assert json.loads(attempt.request_body)["contents"]


CONVERSED = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 7, "outputTokens": 2, "totalTokens": 9},
    "metrics": {"latencyMs": 1},
}
EVENTS = b"".join(
    event_streams.event(kind, data)
    for kind, data in (
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "hi"}, "contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": CONVERSED["usage"], "metrics": {"latencyMs": 1}}),
    )
)


@pytest.mark.filterwarnings(DEPRECATED)
def test_bedrock_through_aiobotocore(capture: Capture) -> None:
    session = pytest.importorskip(
        "aiobotocore.session", reason="aiobotocore is not installed"
    ).get_session()
    config = pytest.importorskip("aiobotocore.config").AioConfig
    failures = [503]

    async def answer(request: Any) -> Any:
        await request.read()
        if request.path.endswith("/converse"):
            if failures:
                return web.json_response({"message": "busy"}, status=failures.pop())
            return web.json_response(CONVERSED)
        if request.path.endswith("/converse-stream"):
            return web.Response(body=EVENTS, content_type="application/vnd.amazon.eventstream")
        return web.json_response({"usage": {"input_tokens": 7, "output_tokens": 2}})

    async def act() -> None:
        async with served(answer) as url:
            options = {
                "region_name": "us-east-1",
                "endpoint_url": url.removesuffix(PATH),
                "aws_access_key_id": "k",
                "aws_secret_access_key": "s",
                "config": config(retries={"max_attempts": 2, "mode": "standard"}),
            }
            async with session.create_client("bedrock-runtime", **options) as client:
                asked = {"modelId": "us.anthropic.claude-haiku-4-5-20251001-v1:0"}
                says = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
                assert (await client.converse(**asked, **says))["usage"]["inputTokens"] == 7
                stream = await client.converse_stream(**asked, **says)
                events = [event async for event in stream["stream"]]
                assert "metadata" in events[-1]
                made = await client.invoke_model(**asked, body=b'{"max_tokens": 9}')
                assert json.loads(await made["body"].read())["usage"]

    attempts = recorded(capture, act, 4)
    assert [one.status for one in attempts] == [503, 200, 200, 200]
    assert json.loads(body_of(attempts[1])) == CONVERSED
    assert body_of(attempts[2]) == EVENTS
    assert attempts[3].request_body == b'{"max_tokens": 9}'
    assert all(one.live and one.ended == "complete" for one in attempts)
    assert all("/model/us.anthropic" in one.url for one in attempts)


# --- replayed, mocked, own


def test_vcrpy_records_live_and_replays_as_simulated(capture: Capture, tmp_path: Any) -> None:
    vcr = pytest.importorskip("vcr")

    async def act(url: str, found: list[bytes]) -> None:
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
            async with aiohttp.ClientSession() as session:
                async with session.post(url, json=CHAT) as response:
                    assert (await response.json())["usage"]
                async with session.post(url, json=STREAM) as response:
                    found.append(await lines(response))

    bodies: list[list[bytes]] = []
    seen: list[bytes] = []
    with LLMServer() as server:
        url = server.url + PATH
        lived = recorded(capture, lambda: act(url, seen), 2)
    replayed = recorded(Capture(), lambda: act(url, seen), 2)  # nobody listens there any more
    for attempts, live in ((lived, True), (replayed, False)):
        assert [(one.status, one.live, one.ended) for one in attempts] == [
            (200, live, "complete")
        ] * 2
        bodies.append([body_of(one) for one in attempts])
    assert bodies[0] == bodies[1]
    assert seen == [bodies[0][1]] * 2


@pytest.mark.skipif(
    hasattr(aiohttp.ClientResponse, "output_size"),
    reason="aioresponses makes no responses of this aiohttp",
)
def test_aioresponses_are_simulated(capture: Capture) -> None:
    aioresponses = pytest.importorskip("aioresponses", reason="aioresponses is not installed")
    url = "https://api.openai.com" + PATH
    events = b"data: 1\n\ndata: [DONE]\n\n"

    async def act() -> None:
        with aioresponses.aioresponses() as mock:
            mock.post(url, status=429)
            mock.post(url, payload={"usage": {"prompt_tokens": 7}})
            mock.post(url, body=events)
            async with aiohttp.ClientSession() as session:
                await read(session.post(url, json=CHAT))
                assert (await (await session.post(url, json=CHAT)).json())["usage"]
                assert await lines(await session.post(url, json=STREAM)) == events

    attempts = recorded(capture, act, 3)
    assert [(one.status, one.live) for one in attempts] == [
        (429, False),
        (200, False),
        (200, False),
    ]
    assert [body_of(one) for one in attempts][1:] == [b'{"usage": {"prompt_tokens": 7}}', events]


def test_own_application_is_no_provider_but_what_it_calls_is(
    capture: Capture, server: LLMServer
) -> None:
    async def gateway(request: Any) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.post(server.url + PATH, json=await request.json()) as answer,
        ):
            return web.json_response(await answer.json())

    async def act() -> None:
        app = web.Application()
        app.router.add_post(PATH, gateway)
        async with test_utils.TestClient(test_utils.TestServer(app)) as client:
            for asking in (client.post(PATH, json=CHAT), client.request("POST", PATH, json=CHAT)):
                assert (await (await asking).json())["usage"]

    attempts = recorded(capture, act, 2)
    assert {one.url for one in attempts} == {server.url + PATH}


INNER = """
import asyncio
import json
import os

import aiohttp
import openai
import pytest

URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def chat(**script):
    prompt = json.dumps({"usage": {"input": 900, "output": 70, "cache_read": 100}, **script})
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}


def test_plain():
    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.post(URL, json=chat()) as response:
                await response.json()
    asyncio.run(main())


def test_stream():
    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.post(URL, json=chat() | STREAM) as response:
                async for line in response.content:
                    pass
    asyncio.run(main())


def test_retried():
    async def main():
        async with aiohttp.ClientSession() as session:
            for status in (429, 200):
                async with session.post(URL, json=chat(fail=[429])) as response:
                    assert response.status == status
                    await response.read()
    asyncio.run(main())


def test_openai():
    async def main():
        async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient()) as client:
            await client.chat.completions.create(**chat())
    asyncio.run(main())


def test_openai_stream_retried():
    async def main():
        async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient()) as client:
            stream = await client.chat.completions.create(**chat(fail=[500]), **STREAM)
            assert [chunk async for chunk in stream][-1].usage
    asyncio.run(main())
"""


def test_calls_of_a_run(project: Project, server: LLMServer) -> None:
    earlier = len(server.requests)
    project.write("test_inner.py", INNER)
    result = project.run("--crashlens-report=json:report.json")
    assert result.ret == 0, result.outlines
    report = json.loads((project.path / "report.json").read_text())
    assert (report["incomplete"], report["late_calls"]) == ([], [])
    found = {test["key"].partition("::")[2]: test["calls"] for test in report["tests"]}
    for name, calls in found.items():
        [call] = calls
        usage = {key: count for key, count in call["usage"].items() if count}
        assert usage == {"input_tokens": 900, "output_tokens": 70, "cache_read_tokens": 100}
        assert (call["live"], call["usage_source"]) == (True, "provider"), name
        assert call["attempts"] == (2 if "retried" in name else 1), name
        assert call["call_site"].startswith("test_inner.py:"), name
    assert len(found) == 5
    assert len(server.requests) - earlier == 7


def test_not_imported_by_us(capture: Capture) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from pytest_crashlens.capture.call_site import CallSites\n"
        "from pytest_crashlens.capture.install import interposition\n"
        "from pytest_crashlens.capture.recorder import Recorder\n"
        "sites = CallSites(Path.cwd())\n"
        "recorder = Recorder(wanted=lambda *_: True, call_sites=sites)\n"
        "capture = interposition(recorder); capture.install()\n"
        "assert 'aiohttp' not in sys.modules\n"
        "import aiohttp\n"
        "assert hasattr(aiohttp.ClientSession.post, 'crashlens_recorder')\n"
        "capture.remove()\n"
        "assert not hasattr(aiohttp.ClientSession.post, 'crashlens_recorder')\n"
        "assert recorder.faults == []\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
