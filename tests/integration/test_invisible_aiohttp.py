"""Capture breaks no code that uses aiohttp: what it sees without capture, it sees with it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder
from tests.integration.conftest import Project
from tests.integration.test_invisible import Capture, raised, same_with_capture
from tests.llm_server import LLMServer

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")
web = pytest.importorskip("aiohttp.web")

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "four words of prompt"}]}
STREAM = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
PATH = "/v1/chat/completions"
METHODS = ("request", "get", "options", "head", "post", "put", "patch", "delete")


@pytest.fixture
def capture() -> Capture:
    return Capture()


def same(act: Callable[[Any], Awaitable[Any]], *, attempts: int, **options: Any) -> None:
    """``act(session)`` gives the same with and without capture."""

    async def whole() -> Any:
        async with aiohttp.ClientSession(**options) as session:
            return await act(session)

    same_with_capture(lambda: asyncio.run(whole()), attempts=attempts)  # type: ignore[arg-type]


def facts(response: Any) -> list[Any]:
    changing = ("date", "x-request-id", "request-id")
    return [
        (type(response), response.status, response.reason, response.ok, response.closed),
        [(name, value) for name, value in response.headers.items() if name.lower() not in changing],
        (response.method, str(response.url), response.content_type, response.charset),
        (isinstance(response.content, aiohttp.StreamReader), type(response.content).__name__),
        (response.content.is_eof(), response.content.at_eof(), response.content.exception()),
        (response.content.total_bytes, response.content.get_read_buffer_limits()),
        repr(response.content).partition(" ")[0],
    ]


def test_answers(server: LLMServer) -> None:
    url = server.url + PATH

    async def act(session: Any) -> Any:
        found: list[Any] = []
        async with session.post(url, json=CHAT) as response:
            found += [await response.json(), await response.text(), await response.read()]
            found += facts(response)
        response = await session.post(url, json=CHAT)
        found += [await response.read(), *facts(response)]
        response.release()
        try:
            await response.read()
        except aiohttp.ClientError as error:
            found.append(raised(error))
        async with session.post(url, json=STREAM) as response:
            found += [[line async for line in response.content], *facts(response)]
            found.append(await response.content.read())
        async with session.post(url, json=STREAM) as response:
            content = response.content
            found += [await content.readexactly(10), await content.readuntil(b"\n\n")]
            found += [[part async for part in content.iter_chunked(1 << 16)][-1][-6:]]
            found.append(await content.readchunk())
        async with session.post(url, json=STREAM) as response:
            try:
                await response.content.readexactly(1 << 20)
            except asyncio.IncompleteReadError as error:
                found.append(raised(error))
        async with session.get(url) as response:
            found += [await response.text(), response.status]
        return found

    same(act, attempts=5)


def test_errors(server: LLMServer) -> None:
    server.reply(for_model="refused", status=400)
    server.reply(for_model="cut", cut_after=30)
    server.reply(for_model="mute", status=0)
    url = server.url + PATH

    async def act(session: Any) -> Any:
        found = []
        for arguments, options in (
            ((url,), {"json": CHAT | {"model": "refused"}, "raise_for_status": True}),
            ((url,), {"json": CHAT | {"model": "cut"}}),
            ((url,), {"json": CHAT | {"model": "mute"}}),
            (("http://127.0.0.1:1" + PATH,), {"json": CHAT}),
            ((url,), {"json": CHAT, "data": b"both"}),
            ((url,), {"json": {"model": {1, 2}}}),
            ((url,), {"unknown": 1}),
            (("ftp://host" + PATH,), {}),
            ((), {}),
            ((), {"url": None}),
        ):
            try:
                async with session.post(*arguments, **options) as response:
                    await response.read()
            except (aiohttp.ClientError, ValueError, TypeError) as error:
                chain, context, suppressed = raised(error)
                found.append(([each[:1] + each[2:] for each in chain], context, suppressed))
        assert len(found) == 10
        return found

    same(act, attempts=7)


def test_first_chunk_arrives_before_the_last_is_sent(capture: Capture) -> None:
    async def act() -> None:
        got_first = asyncio.Event()

        async def answer(request: Any) -> Any:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
            await got_first.wait()
            await response.write(b"data: 2\n\n")
            return response

        app = web.Application()
        app.router.add_post(PATH, answer)
        async with (
            _Server(app) as url,
            aiohttp.ClientSession() as session,
            session.post(url, json=STREAM) as response,
        ):
            assert await response.content.readany() == b"data: 1\n\n"
            got_first.set()
            assert await response.content.readany() == b"data: 2\n\n"
            assert await response.content.readany() == b""

    with capture.installed() as owner:
        asyncio.run(asyncio.wait_for(act(), 30))
    assert [attempt.ended for attempt in owner.attempts] == ["complete"]


class _Server:
    def __init__(self, app: Any) -> None:
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return "http://{}:{}{}".format(*self._runner.addresses[0], PATH)

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()


# --- what request() and post() return


def test_what_is_returned_is_awaited_as_before(server: LLMServer) -> None:
    url = server.url + PATH

    async def act(session: Any) -> Any:
        found: list[Any] = []
        asking = session.post(url, json=CHAT)
        found += [type(asking), asyncio.iscoroutine(asking), inspect.isawaitable(asking)]
        async with asking as response:
            found.append(await response.json())
        for again in (asking, session.request("POST", url, json=CHAT)):
            try:
                for _ in range(2):
                    async with await again as response:
                        found.append(await response.json())
            except RuntimeError as error:
                found.append(raised(error))
        tasks = [asyncio.create_task(session.post(url, json=CHAT)) for _ in range(2)]
        for response in await asyncio.gather(*tasks):
            found.append(await response.json())
        response = await asyncio.wait_for(session.post(url, json=CHAT), 30)
        found.append(await response.json())
        return found

    same(act, attempts=5)


def test_what_is_never_awaited_warns_as_before(server: LLMServer) -> None:
    url = server.url + PATH

    async def act(session: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            session.post(url, json=CHAT)
            gc.collect()
            found: list[Any] = [str(one.message) for one in caught]
            assert len(found) == 1
            session.post(url, json=CHAT).close()
            task = asyncio.create_task(session.post(url, json=CHAT))
            task.cancel()
            [error] = await asyncio.gather(task, return_exceptions=True)
            with pytest.raises(KeyError) as thrown:
                session.post(url, json=CHAT).throw(KeyError("x"))
            gc.collect()
            found += [len(caught), raised(error), raised(thrown.value)]
        return found

    same(act, attempts=0)


def test_given_up_before_the_answer(server: LLMServer) -> None:
    async def act(session: Any) -> Any:
        reached, leave = asyncio.Event(), asyncio.Event()

        async def answer(request: Any) -> Any:
            reached.set()
            await leave.wait()
            return web.Response()

        app = web.Application()
        app.router.add_post(PATH, answer)
        async with _Server(app) as url:
            task = asyncio.create_task(session.post(url, json=CHAT))
            await reached.wait()
            task.cancel()
            [error] = await asyncio.gather(task, return_exceptions=True)
            leave.set()
        return [raised(error), task.cancelled()]

    same(act, attempts=1)


def test_middlewares_and_traces_see_the_same(server: LLMServer) -> None:
    url = server.url + PATH
    seen: list[Any] = []
    trace = aiohttp.TraceConfig()

    async def started(session: Any, context: Any, params: Any) -> None:
        seen.append((params.method, str(params.url), dict(params.headers)))

    async def received(session: Any, context: Any, params: Any) -> None:
        seen.append(params.chunk)

    trace.on_request_start.append(started)
    trace.on_response_chunk_received.append(received)

    async def act(session: Any) -> Any:
        seen.clear()
        async with session.post(url, json=CHAT, headers={"a": "b"}) as response:
            body = await response.read()
        return [body, *seen]

    same(act, attempts=1, trace_configs=[trace])


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
def test_sessions_made_before_and_subclasses(capture: Capture, server: LLMServer) -> None:
    class Stamping(aiohttp.ClientSession):  # type: ignore[misc,name-defined]
        def request(self, method: str, url: Any, **kwargs: Any) -> Any:
            return super().request(method, url, **kwargs | {"headers": {"x-stamp": "request"}})

        async def _request(self, *args: Any, **kwargs: Any) -> Any:
            return await super()._request(*args, **kwargs)

    async def act() -> None:
        url = server.url + PATH
        async with aiohttp.ClientSession() as early, Stamping() as own:
            capture.interposition.install()
            try:
                for asking in (
                    early.post(url, json=CHAT),
                    own.request("POST", url, json=CHAT),
                    own.post(url, json=CHAT),
                ):
                    async with asking as response:
                        await response.read()
            finally:
                capture.interposition.remove()
            async with early.post(url, json=CHAT) as response:
                await response.read()

    with capture.recorder.owners.at_work(Owner("test")) as owner:
        asyncio.run(act())
    assert [attempt.status for attempt in owner.attempts] == [200] * 3
    assert "x-stamp" in server.requests[-3].headers
    assert capture.recorder.faults == []


# --- the patched classes


def test_patched_methods_look_like_the_originals_and_are_put_back(capture: Capture) -> None:
    def methods() -> list[Any]:
        return [
            *(vars(aiohttp.ClientSession)[name] for name in METHODS),
            vars(aiohttp.BaseConnector)["connect"],
            aiohttp.request,
            aiohttp.client.request,
        ]

    def looks(method: Any) -> Any:
        return [
            inspect.signature(method),
            inspect.iscoroutinefunction(method),
            inspect.getdoc(method),
            inspect.getsource(method),
            (method.__name__, method.__qualname__, method.__module__, method.__annotations__),
        ]

    before = methods()
    with capture.installed():
        patched = methods()
        assert not [one for one, other in zip(patched, before, strict=True) if one is other]
        assert list(map(looks, patched)) == list(map(looks, before))
    assert methods() == before


def test_installed_twice_and_by_two_recorders(server: LLMServer) -> None:
    one, other = Capture(), Capture()

    async def act() -> None:
        url = server.url + PATH
        async with aiohttp.ClientSession() as session, session.post(url, json=STREAM) as response:
            assert (await response.read()).endswith(b"data: [DONE]\n\n")

    with one.installed() as first:
        one.interposition.install()
        with other.installed() as second:
            asyncio.run(act())
        one.interposition.remove()
    for owner in (first, second):
        [attempt] = owner.attempts
        assert (attempt.ended, attempt.live) == ("complete", True)
        assert b"".join(attempt.chunks).endswith(b"data: [DONE]\n\n")


def test_what_others_patched_meanwhile_is_left_alone(capture: Capture, server: LLMServer) -> None:
    session_class: Any = aiohttp.ClientSession
    original = session_class.__dict__["post"]

    async def act() -> None:
        async with session_class() as session, session.post(server.url + PATH, json=CHAT) as one:
            await one.read()

    try:
        with capture.installed() as owner:
            ours = session_class.post
            session_class.post = lambda self, *args, **kwargs: ours(self, *args, **kwargs)
            theirs = session_class.__dict__["post"]
            asyncio.run(act())
        capture.recorder.close()
        assert session_class.__dict__["post"] is theirs
        asyncio.run(act())  # through our wrapper, which does nothing any more
    finally:
        session_class.post = original
    assert len(owner.attempts) == 1


def test_streams_hold_nothing_after_they_are_gone(capture: Capture, server: LLMServer) -> None:
    async def act() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(server.url + PATH, json=STREAM) as response:
                    await response.content.readline()

    with capture.installed():
        asyncio.run(act())
        gc.collect()
        tees = [
            one
            for one in gc.get_objects()
            if type(one).__name__ == "StreamTees" and one._recorder is capture.recorder
        ]
    assert [len(one._readings) for one in tees] == [0]


# --- on and off

GUARDED = """
import aiohttp
import openai
import os
import pytest
from blockbuster import blockbuster_ctx

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
ASKED = {"stream": True, "stream_options": {"include_usage": True}}
URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"


@pytest.fixture(autouse=True)
def blocking_is_an_error():
    with blockbuster_ctx():
        yield


@pytest.mark.asyncio
async def test_async():
    async with aiohttp.ClientSession() as session:
        async with session.post(URL, json=CHAT) as response:
            assert await response.json()
        async with session.post(URL, json=CHAT | ASKED) as response:
            assert [line async for line in response.content][-2] == b"data: [DONE]\\n"
        async with session.post(URL, json=CHAT | ASKED) as response:
            assert await response.content.readline()


@pytest.fixture
def http_client():
    return openai.DefaultAioHttpClient()  # reads certificates, outside of the loop


@pytest.mark.asyncio
async def test_openai(http_client):
    async with openai.AsyncOpenAI(http_client=http_client) as client:
        await client.chat.completions.create(**CHAT)
        assert [chunk async for chunk in await client.chat.completions.create(**CHAT, **ASKED)]
"""


@pytest.mark.parametrize("flag", ["--crashlens", "--no-crashlens"])
def test_blocking_calls_and_warnings_forbidden(project: Project, flag: str) -> None:
    project.write("test_guarded.py", GUARDED)
    result = project.run(flag)
    result.assert_outcomes(passed=2)
    assert any("5 calls" in line for line in result.outlines) == (flag == "--crashlens")


@pytest.mark.parametrize(
    ("owner", "step"), [(Recorder, "begin"), (Recorder, "answered"), (Attempt, "keep")]
)
def test_fault_of_ours_reaches_no_user_code_and_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, owner: type, step: str
) -> None:
    class FaultOfOursError(Exception):
        pass

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise FaultOfOursError

    project.write("test_guarded.py", GUARDED)
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, broken)
        result = project.run("--crashlens-report=json:report.json")
    result.assert_outcomes(passed=2)
    report = json.loads((project.path / "report.json").read_text())
    assert any("FaultOfOursError" in line for line in report["incomplete"]), report["incomplete"]
