"""Capture breaks no user code: whatever a program sees without it, it sees with it."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import json
import pickle
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest

from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.install import interposition
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Attempt, Recorder
from pytest_crashlens.providers.registry import wanted
from tests.integration.conftest import Project
from tests.llm_server import LLMServer

HTTP = pytest.mark.parametrize("http", [httpx, httpx2])
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "four words of prompt"}]}
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


def script(text: str) -> dict[str, Any]:
    return CHAT | {"messages": [{"role": "user", "content": text}]}


class Capture:
    """The interposition of a run, without the run."""

    def __init__(self) -> None:
        self.recorder = Recorder(wanted=wanted, call_sites=CallSites(Path(__file__).parent))
        self.interposition = interposition(self.recorder)

    @contextmanager
    def installed(self) -> Iterator[Owner]:
        owner = Owner("test")
        self.interposition.install()
        try:
            with self.recorder.owners.at_work(owner):
                yield owner
        finally:
            self.interposition.remove()
            assert self.recorder.faults == []


@pytest.fixture
def capture() -> Capture:
    return Capture()


def same_with_capture(act: Callable[[], Any], *, attempts: int) -> None:
    """``act`` gives the same with and without capture, which sees ``attempts``."""
    without = act()
    capture = Capture()
    with capture.installed() as owner:
        seen = act()
    for with_it, without_it in zip(seen, without, strict=True):
        assert with_it == without_it
    assert len(owner.attempts) == attempts


def told(answer: Any) -> Any:
    """What a program can see of an SDK's object."""
    return type(answer), answer.model_dump(warnings=False)


def raised(error: BaseException) -> Any:
    """What a program can see of an exception."""
    chain = []
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        body = response and (response.status_code, response.content)
        chain.append((type(cause), repr(cause.args), str(cause), body))
        cause = cause.__cause__
    return chain, type(error.__context__), error.__suppress_context__


def headers_of(response: Any) -> list[tuple[str, str]]:
    changing = ("date", "x-request-id", "request-id")
    return [(name, value) for name, value in response.headers.items() if name not in changing]


# --- through the SDKs


def openai_sync(server: LLMServer) -> Any:
    found = []
    with openai.OpenAI(base_url=server.openai_url, api_key="k") as client:
        found.append(told(client.chat.completions.create(**CHAT)))
        found += map(told, client.chat.completions.create(**CHAT, **ASKED))
        raw = client.chat.completions.with_raw_response.create(**CHAT)
        found += facts(raw.http_response)
        with client.chat.completions.with_streaming_response.create(**CHAT) as response:
            found += [b"".join(response.iter_bytes(5)), headers_of(response)]
        found.append(told(client.responses.create(model="gpt-4.1", input="hello")))
        found += map(told, client.responses.create(model="gpt-4.1", input="hi", stream=True))
        with client.responses.stream(model="gpt-4.1", input="hello") as stream:
            found += [*map(told, stream), told(stream.get_final_response())]
        found.append(told(client.embeddings.create(model="text-embedding-3-small", input="a b")))
    return found


async def openai_async(server: LLMServer) -> Any:
    found = []
    async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="k") as client:
        found.append(told(await client.chat.completions.create(**CHAT)))
        async for chunk in await client.chat.completions.create(**CHAT, **ASKED):
            found.append(told(chunk))
        async with client.chat.completions.with_streaming_response.create(**CHAT) as response:
            found += [[part async for part in response.iter_bytes(5)], headers_of(response)]
        async with client.responses.stream(model="gpt-4.1", input="hello") as stream:
            found += [told(event) async for event in stream]
    return found


def anthropic_sync(server: LLMServer) -> Any:
    found = []
    asked = CHAT | {"model": "claude-haiku-4-5", "max_tokens": 100}
    with anthropic.Anthropic(base_url=server.url, api_key="k") as client:
        found.append(told(client.messages.create(**asked)))
        found += map(told, client.messages.create(**asked, stream=True))
        with client.messages.stream(**asked) as stream:
            found += [*stream.text_stream, told(stream.get_final_message())]
        raw = client.messages.with_raw_response.create(**asked)
        found += facts(raw.http_response)
        found.append(told(client.messages.count_tokens(model="m", messages=asked["messages"])))
    return found


async def anthropic_async(server: LLMServer) -> Any:
    found = []
    asked = CHAT | {"model": "claude-haiku-4-5", "max_tokens": 100}
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k") as client:
        found.append(told(await client.messages.create(**asked)))
        async with client.messages.stream(**asked) as stream:
            found += [told(event) async for event in stream]
    return found


@pytest.mark.parametrize(
    ("sdk", "attempts"),
    [(openai_sync, 8), (openai_async, 4), (anthropic_sync, 4), (anthropic_async, 2)],
)
def test_answers_of_the_sdks(server: LLMServer, sdk: Callable[..., Any], attempts: int) -> None:
    def act() -> Any:
        found = sdk(server)
        return asyncio.run(found) if inspect.iscoroutine(found) else found

    same_with_capture(act, attempts=attempts)


@contextmanager
def deaf() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


FAULTS: dict[str, tuple[dict[str, Any], int]] = {
    "refused": ({"status": 400}, 1),
    "rate-limit": ({"status": 429}, 2),
    "server-error": ({"status": 500}, 2),
    "no-answer": ({"status": 0}, 1),
    "cut-answer": ({"cut_after": 30}, 1),
}


@pytest.mark.parametrize("fault", [*FAULTS, "cut-stream"])
def test_errors_of_the_sdks(server: LLMServer, fault: str) -> None:
    answer, attempts = FAULTS.get(fault, ({"cut_after": 3}, 1))
    server.reply(for_model=fault, **answer)
    asked = CHAT | {"model": fault} | (ASKED if fault == "cut-stream" else {})
    options = {"api_key": "k", "max_retries": attempts - 1}

    def openai_error() -> Any:
        with (
            openai.OpenAI(base_url=server.openai_url, **options) as client,
            pytest.raises(openai.APIError) as caught,
        ):
            list(client.chat.completions.create(**asked))
        return raised(caught.value)

    async def openai_error_async() -> Any:
        async with openai.AsyncOpenAI(base_url=server.openai_url, **options) as client:
            with pytest.raises(openai.APIError) as caught:
                [_ async for _ in await client.chat.completions.create(**asked)]
        return raised(caught.value)

    def anthropic_error() -> Any:
        with (
            anthropic.Anthropic(base_url=server.url, **options) as client,
            pytest.raises((anthropic.APIError, httpx2.RemoteProtocolError)) as caught,
        ):
            list(client.messages.create(max_tokens=9, **asked))
        return raised(caught.value)

    asked.pop("stream_options", None)
    same_with_capture(
        lambda: (openai_error(), asyncio.run(openai_error_async()), anthropic_error()),
        attempts=3 * attempts,
    )


def test_errors_of_the_network() -> None:
    def act(client: Any) -> Any:
        with client, pytest.raises(openai.APIConnectionError) as caught:
            client.chat.completions.create(**CHAT)
        return raised(caught.value)

    with deaf() as deaf_url:
        same_with_capture(
            lambda: [
                act(openai.OpenAI(api_key="k", max_retries=0, base_url=url, timeout=timeout))
                for url, timeout in [
                    ("http://127.0.0.1:1/v1", 60.0),
                    (deaf_url, httpx2.Timeout(60, read=0.01)),
                ]
            ],
            attempts=2,
        )


# --- through plain clients


def plain(http: Any, url: str) -> Any:
    """What a program can see of a client, a response and a streamed one."""
    hooks: list[Any] = []
    found: list[Any] = []
    with http.Client(
        verify=False,
        event_hooks={
            "request": [lambda request: hooks.append((request.method, request.content))],
            "response": [lambda response: hooks.append((response.status_code, response.is_closed))],
        },
    ) as client:
        whole = client.post(url, json=CHAT)
        found += facts(whole)
        found.append(type(whole.stream))
        for copied in (pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):
            found.append((type(copied), copied.status_code, copied.content, copied.is_closed))
        with client.stream("POST", url, json=CHAT | ASKED) as streamed:
            found.append(isinstance(streamed.stream, http.SyncByteStream))
            found.append(error_of(lambda: streamed.elapsed))
            found.append(error_of(lambda: streamed.content))
            found.append(sorted(streamed.extensions))
            progress = []
            for chunk in streamed.iter_raw():
                progress.append((chunk, streamed.num_bytes_downloaded))
            found.append(progress)
            found.append((streamed.is_closed, streamed.is_stream_consumed))
            found.append(error_of(lambda: list(streamed.iter_raw())))
        found.append(streamed.elapsed > timedelta())
        with client.stream("POST", url, json=CHAT | ASKED) as streamed:
            found.append((streamed.read(), streamed.read(), streamed.content))
            found.append(pickle.loads(pickle.dumps(streamed)).content)
            found.append(copy.deepcopy(streamed).text)
        with client.stream("POST", url, json=CHAT | ASKED) as streamed:
            lines = streamed.iter_lines()
            found.append(next(lines))
            streamed.close()
            found.append(streamed.is_closed)
            found.append(error_of(lambda: next(streamed.iter_raw())))
        with client.stream("POST", url, json=script('{"gzip": true}') | ASKED) as streamed:
            found.append(b"".join(streamed.iter_bytes()))
    return found, hooks


async def plain_async(http: Any, url: str) -> Any:
    hooks: list[Any] = []
    found: list[Any] = []

    async def asking(request: Any) -> None:
        hooks.append((request.method, request.content))

    async def answered(response: Any) -> None:
        hooks.append((response.status_code, response.is_closed))

    async with http.AsyncClient(
        verify=False, event_hooks={"request": [asking], "response": [answered]}
    ) as client:
        whole = await client.post(url, json=CHAT)
        found += facts(whole)
        async with client.stream("POST", url, json=CHAT | ASKED) as streamed:
            found.append(isinstance(streamed.stream, http.AsyncByteStream))
            found.append(error_of(lambda: streamed.elapsed))
            progress = []
            async for chunk in streamed.aiter_raw():
                progress.append((chunk, streamed.num_bytes_downloaded))
            found.append(progress)
            found.append(await error_of_async(streamed.aiter_raw()))
        found.append(streamed.elapsed > timedelta())
        async with client.stream("POST", url, json=CHAT | ASKED) as streamed:
            found.append((await streamed.aread(), await streamed.aread(), streamed.content))
        async with client.stream("POST", url, json=CHAT | ASKED) as streamed:
            lines = streamed.aiter_lines()
            found.append(await anext(lines))
            await streamed.aclose()
            await lines.aclose()
            found.append(streamed.is_closed)
            found.append(await error_of_async(streamed.aiter_raw()))
            found.append(error_of(streamed.read))
    return found, hooks


def facts(response: Any) -> list[Any]:
    return [
        (type(response), repr(response), response.status_code, response.reason_phrase),
        (headers_of(response), response.http_version, response.encoding, response.text),
        (response.content, response.json(), response.read(), list(response.iter_lines())),
        (response.num_bytes_downloaded, response.is_closed, response.is_stream_consumed),
        (response.elapsed > timedelta(), sorted(response.extensions), response.history),
        (response.request.content, str(response.url), response.raise_for_status() is response),
    ]


def error_of(act: Callable[[], Any]) -> Any:
    try:
        return "no error", act()
    except Exception as error:
        return type(error), str(error)


async def error_of_async(steps: AsyncIterator[Any]) -> Any:
    try:
        return "no error", [step async for step in steps]
    except Exception as error:
        return type(error), str(error)


@HTTP
def test_plain_clients(server: LLMServer, http: ModuleType) -> None:
    url = f"{server.openai_url}/chat/completions"
    same_with_capture(lambda: plain(http, url), attempts=5)
    same_with_capture(lambda: asyncio.run(plain_async(http, url)), attempts=4)


# --- streams in time


class Gate:
    """A server that sends the first event of a stream and the others only when told to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                self.send(b'data: {"id": "1", "choices": [], "model": "m"}\n\n')
                if gate.open.wait(30):
                    self.send(b"data: [DONE]\n\n")
                    self.send(b"")

            def send(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def stop(self) -> None:
        self.open.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.stop()


@HTTP
def test_first_chunk_arrives_before_the_last_is_sent(
    capture: Capture, gate: Gate, http: ModuleType
) -> None:
    asked: dict[str, Any] = {"json": CHAT | ASKED, "timeout": 20}
    with (
        capture.installed() as owner,
        http.Client(verify=False) as client,
        client.stream("POST", f"{gate.url}/chat/completions", **asked) as response,
    ):
        chunks = response.iter_raw()
        first = next(chunks)
        assert not gate.open.is_set()
        gate.open.set()
        assert [first[:5], *chunks] == [b"data:", b"data: [DONE]\n\n"]
    assert [attempt.ended for attempt in owner.attempts] == ["complete"]


@HTTP
def test_first_chunk_arrives_before_the_last_is_sent_async(
    capture: Capture, gate: Gate, http: ModuleType
) -> None:
    async def act() -> None:
        asked: dict[str, Any] = {"json": CHAT | ASKED, "timeout": 20}
        async with (
            http.AsyncClient(verify=False) as client,
            client.stream("POST", f"{gate.url}/chat/completions", **asked) as response,
        ):
            chunks = response.aiter_raw()
            await anext(chunks)
            assert not gate.open.is_set()
            gate.open.set()
            assert [chunk async for chunk in chunks] == [b"data: [DONE]\n\n"]

    with capture.installed() as owner:
        asyncio.run(act())
    assert [attempt.ended for attempt in owner.attempts] == ["complete"]


def test_cancelled_in_the_midst_of_a_stream(gate: Gate) -> None:
    async def read(client: openai.AsyncOpenAI, seen: asyncio.Queue[Any]) -> None:
        async with await client.chat.completions.create(**CHAT, **ASKED) as stream:
            async for chunk in stream:
                await seen.put(told(chunk))

    async def act() -> Any:
        seen: asyncio.Queue[Any] = asyncio.Queue()
        async with openai.AsyncOpenAI(base_url=gate.url, api_key="k") as client:
            task = asyncio.ensure_future(read(client, seen))
            first = await seen.get()
            task.cancel()
            [error] = await asyncio.gather(task, return_exceptions=True)
            return first, raised(error), task.cancelled(), seen.empty()

    same_with_capture(lambda: asyncio.run(act()), attempts=1)


@HTTP
def test_request_given_up_in_another_context(capture: Capture, http: ModuleType) -> None:
    """A loop that dies closes what it was waiting for, in whatever context it is by then."""

    class Never:
        def __await__(self) -> Iterator[None]:
            yield

    async def answer(request: Any) -> Any:
        await Never()

    client = http.AsyncClient(transport=http.MockTransport(answer), verify=False)
    request = client.build_request("POST", "http://host/v1/chat/completions", json=CHAT)
    with capture.installed() as owner:
        sending = client.send(request)
        contextvars.copy_context().run(sending.send, None)
        contextvars.copy_context().run(sending.close)
    [attempt] = owner.attempts
    assert (attempt.ended, attempt.error) == ("error", "GeneratorExit")


# --- the patched classes


@HTTP
def test_patched_methods_look_like_the_originals(capture: Capture, http: ModuleType) -> None:
    methods = (http.Client.send, http.AsyncClient.send)

    def looks(method: Any) -> Any:
        return [
            inspect.signature(method),
            inspect.iscoroutinefunction(method),
            inspect.getdoc(method),
            inspect.getsource(method),
            (method.__name__, method.__qualname__, method.__module__, method.__annotations__),
        ]

    with capture.installed():
        patched = (http.Client.send, http.AsyncClient.send)
        assert patched[0] is not methods[0]
        assert patched[1] is not methods[1]
        assert list(map(looks, patched)) == list(map(looks, methods))
    assert (http.Client.send, http.AsyncClient.send) == methods


@HTTP
def test_clients_made_before_and_subclasses_that_send_themselves(
    capture: Capture, server: LLMServer, http: ModuleType
) -> None:
    class Stamping(http.Client):  # type: ignore[misc,name-defined]
        def send(self, request: Any, **options: Any) -> Any:
            request.headers["x-stamp"] = "1"
            return super().send(request, **options)

    url = f"{server.openai_url}/chat/completions"
    with http.Client(verify=False) as early, Stamping(verify=False) as own:
        with capture.installed() as owner:
            early.post(url, json=CHAT)
            answer = own.post(url, json=CHAT)
            early.get(url)
            early.post(f"{server.openai_url}/telemetry", json=CHAT)
        early.post(url, json=CHAT)
    assert answer.request.headers["x-stamp"] == "1"
    assert [attempt.status for attempt in owner.attempts] == [200, 200]


@HTTP
def test_streams_of_a_transport_of_the_users_own(http: ModuleType) -> None:
    class Numbered(http.SyncByteStream):  # type: ignore[misc,name-defined]
        number = 7
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            for number in range(3):
                if self.closed:
                    raise http.ReadError(f"closed before {number}")
                yield b"%d" % number

        def close(self) -> None:
            self.closed += 1

    def act() -> Any:
        streams: list[Numbered] = []

        def answer(request: Any) -> Any:
            streams.append(Numbered())
            return http.Response(200, stream=streams[-1])

        ask = "POST", "http://host/v1/chat/completions"
        with http.Client(transport=http.MockTransport(answer)) as client:
            with client.stream(*ask, json=CHAT) as whole:
                copied = copy.copy(whole.stream)
                found = [list(copied), error_of(lambda: whole.stream.absent)[0]]
                found.append(list(whole.iter_raw()))
            with client.stream(*ask, json=CHAT) as closed:
                chunks = closed.iter_raw()
                found.append(next(chunks))
                closed.close()
                found.append(error_of(lambda: list(chunks)))
        return found, [stream.closed for stream in streams]

    same_with_capture(act, attempts=2)


def test_what_others_patched_meanwhile_is_left_alone(capture: Capture, server: LLMServer) -> None:
    original = httpx2.Client.__dict__["send"]
    seen = []
    url = f"{server.openai_url}/chat/completions"
    try:
        with capture.installed() as owner:
            ours = httpx2.Client.send

            def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
                seen.append(args)
                return ours(self, *args, **kwargs)

            httpx2.Client.send = theirs  # type: ignore[method-assign]
            httpx2.post(url, json=CHAT)
        capture.recorder.close()
        assert httpx2.Client.__dict__["send"] is theirs
        httpx2.post(url, json=CHAT)  # through our wrapper, which does nothing any more
    finally:
        httpx2.Client.send = original  # type: ignore[method-assign]
    assert len(seen) == 2
    assert len(owner.attempts) == 1


# --- on and off

LOOK = """
import sys
import httpx, httpx2


def test_nothing_is_patched():
    for method in (httpx.Client.send, httpx.AsyncClient.send,
                   httpx2.Client.send, httpx2.AsyncClient.send):
        assert not hasattr(method, "crashlens_recorder")
        assert "pytest_crashlens" not in method.__code__.co_filename
    assert not [f for f in sys.meta_path if "crashlens" in type(f).__module__]
    loaded = {name for name in sys.modules if name.startswith("pytest_crashlens")}
    parts = {"pytest_crashlens", "pytest_crashlens.hookspecs", "pytest_crashlens.plugin"}
    assert loaded == parts
"""


def test_nothing_is_patched_or_loaded_when_off(project: Project) -> None:
    project.write("test_look.py", LOOK)
    result = project.pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_everything_is_put_back_after_a_run(project: Project) -> None:
    classes = (httpx.Client, httpx.AsyncClient, httpx2.Client, httpx2.AsyncClient)
    before = [each.__dict__["send"] for each in classes], list(sys.meta_path)
    project.write(
        "test_look.py",
        "import httpx, httpx2\n\ndef test_patched():\n"
        "    for module in (httpx, httpx2):\n"
        "        for each in (module.Client, module.AsyncClient):\n"
        "            assert hasattr(each.send, 'crashlens_recorder')\n",
    )
    assert project.run().ret == 0
    assert ([each.__dict__["send"] for each in classes], list(sys.meta_path)) == before


LATE_IMPORT = """
import importlib.machinery, importlib.util, sys
from pathlib import Path

from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.install import interposition
from pytest_crashlens.capture.recorder import Recorder

path = list(sys.meta_path)
recorder = Recorder(wanted=lambda method, url: True, call_sites=CallSites(Path.cwd()))
capture = interposition(recorder)
capture.install()
assert not {"httpx", "httpx2"} & set(sys.modules), "we import none of them"
import httpx, httpx2
for module in (httpx, httpx2):
    assert hasattr(module.Client.send, "crashlens_recorder")
    assert hasattr(module.AsyncClient.send, "crashlens_recorder")
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader
    assert module.__spec__.loader is module.__loader__
    assert importlib.util.find_spec(module.__name__) is module.__spec__
wrapped = [module.Client.send.__wrapped__ for module in (httpx, httpx2)]
capture.remove()
assert [module.Client.send for module in (httpx, httpx2)] == wrapped
assert sys.meta_path == path
assert recorder.faults == []
"""


def test_library_imported_later_is_patched_and_keeps_its_real_loader(project: Project) -> None:
    result = project.pytester.runpython(project.write("late.py", LATE_IMPORT))
    assert result.ret == 0, result.errlines


GUARDED = """
import asyncio

import anthropic
import openai
import pytest
import pytest_asyncio
from blockbuster import blockbuster_ctx

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(autouse=True)
def blocking_is_an_error():
    with blockbuster_ctx():
        yield


@pytest.fixture
def clients():
    return openai.AsyncOpenAI(), anthropic.AsyncAnthropic()


@pytest.mark.asyncio
async def test_async(clients):
    oai, ant = clients
    async with oai, ant:
        await oai.chat.completions.create(**CHAT)
        assert [chunk async for chunk in await oai.chat.completions.create(**CHAT, **ASKED)]
        async for chunk in await oai.chat.completions.create(**CHAT, **ASKED):
            break
        async with ant.messages.stream(**CHAT, max_tokens=9) as stream:
            assert await stream.get_final_message()


def test_sync():
    with openai.OpenAI() as oai:
        oai.chat.completions.create(**CHAT)
        assert list(oai.chat.completions.create(**CHAT, **ASKED))
"""


@pytest.mark.parametrize("flag", ["--crashlens", "--no-crashlens"])
def test_blocking_calls_and_warnings_forbidden(project: Project, flag: str) -> None:
    project.write("test_guarded.py", GUARDED)
    result = project.run(flag)
    result.assert_outcomes(passed=2)
    assert any("6 calls" in line for line in result.outlines) == (flag == "--crashlens")


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
