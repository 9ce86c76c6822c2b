"""What ``requests`` sends is recorded once, however it is read, and reads as it did without us."""

from __future__ import annotations

import copy
import io
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import vcr  # noqa: F401 - loaded once: it keeps the connections' classes of when it was imported

from pytest_crashlens.capture.file_tee import FileTees
from tests import llm_wire as wire
from tests.integration.conftest import Project
from tests.integration.test_invisible import Capture, Gate, deaf, error_of, same_with_capture
from tests.llm_server import LLMServer

requests = pytest.importorskip("requests", reason="the adapter under test is that of requests")

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "four words of prompt"}]}
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def capture() -> Capture:
    return Capture()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.stop()


def script(**values: Any) -> dict[str, Any]:
    return CHAT | {"messages": [{"role": "user", "content": json.dumps(values)}]}


SHARED = """
import io
import json
import os

import pytest
import requests

URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def chat(request):
    def chat(**script):
        usage = {"input": 1200, "output": 80, "cache_read": 200}
        prompt = json.dumps({"usage": usage, "scenario": request.node.name} | script)
        return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
    return chat


@pytest.fixture
def stream(chat):
    def stream(**script):
        return requests.post(URL, json=chat(**script) | STREAM, stream=True)
    return stream
"""

SCENARIOS = (
    SHARED
    + '''
from requests.adapters import HTTPAdapter, Retry


@pytest.fixture(scope="module")
def kept_open():
    """Responses that no test closes."""
    kept = []
    yield kept
    for response in kept:
        response.close()


def retrying(times):
    """A session whose retries are urllib3's."""
    session = requests.Session()
    policy = Retry(times, status_forcelist=[429, 503], allowed_methods=None, backoff_factor=0)
    session.mount("http://", HTTPAdapter(max_retries=policy))
    return session


def test_plain(chat):
    assert requests.post(URL, json=chat()).json()["usage"]["prompt_tokens"] == 1200


def test_session_and_text_body(chat):
    with requests.Session() as session:
        session.post(URL, data=json.dumps(chat()))


def test_three_alike(chat):
    for _ in range(3):
        requests.post(URL, json=chat())


def test_gzip(chat):
    requests.post(URL, json=chat(gzip=True))


def test_stream_lines(stream):
    assert list(stream().iter_lines())


def test_stream_by_the_byte(stream):
    assert b"".join(stream().iter_content(1))


def test_stream_as_it_comes(stream):
    with stream() as response:
        assert list(response.iter_content(None))


def test_stream_iterated(stream):
    assert list(stream())


def test_stream_gzip(stream):
    assert list(stream(gzip=True).iter_lines())


def test_stream_content(stream):
    assert stream().content


def test_stream_raw(stream):
    assert stream().raw.read()


def test_stream_raw_gzip(stream):
    assert stream(gzip=True).raw.read()[:2] == bytes.fromhex("1f8b")


def test_stream_raw_decoded(stream):
    assert stream(gzip=True).raw.read(decode_content=True)[:5] == b"data:"


def test_stream_raw_stream(stream):
    assert list(stream().raw.stream(16, decode_content=True))


def test_stream_raw_lines(stream):
    assert list(stream().raw)


def test_stream_raw_buffered(stream):
    assert io.BufferedReader(stream().raw).read()


def test_stream_json(chat):
    response = requests.post(URL, json=chat(), stream=True)
    assert response.json()["usage"]["prompt_tokens"] == 1200


def test_stream_to_done(stream):
    with stream() as response:
        for line in response.iter_lines():
            if line == b"data: [DONE]":
                break


def test_stream_without_usage(chat):
    with requests.post(URL, json=chat() | {"stream": True}, stream=True) as response:
        assert list(response.iter_lines())


def test_stream_abandoned(stream):
    with stream() as response:
        next(response.iter_lines(chunk_size=1))


def test_stream_never_closed(stream, kept_open):
    kept_open.append(stream())
    chunks = kept_open[-1].iter_content(None)
    assert [next(chunks) for _ in range(3)]


def test_stream_never_read(stream, kept_open):
    kept_open.append(stream())


def test_stream_cut(stream):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(stream(cut_after=4).iter_lines())


def test_plain_cut(chat):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.post(URL, json=chat(cut_after=30))


def test_refused(chat):
    assert requests.post(URL, json=chat(fail=[400])).status_code == 400


def test_retried_by_the_user(chat):
    while requests.post(URL, json=chat(fail=[429, 500])).status_code != 200:
        pass


def test_retried_by_urllib3(chat):
    with retrying(3) as session:
        assert session.post(URL, json=chat(fail=[429, 503])).status_code == 200


def test_all_attempts_fail(chat):
    with retrying(2) as session, pytest.raises(requests.exceptions.RetryError):
        session.post(URL, json=chat(fail=[503, 503, 429]))


def test_no_answer(chat):
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.post(URL, json=chat(fail=[0]))
'''
)
COUNTED = {"input_tokens": 1200, "output_tokens": 80, "cache_read_tokens": 200}
CALL = {
    "usage": COUNTED,
    "usage_source": "provider",
    "attempts": 1,
    "streaming": False,
    "ended": "complete",
    "status": 200,
    "live": True,
}
STREAM = CALL | {"streaming": True}
FROM_TEXT = {"usage": "input and output", "usage_source": "tokenizer"}
UNKNOWN = {"usage": {}, "usage_source": "none"}
EXPECTED = {
    "test_three_alike": [CALL] * 3,
    "test_stream_json": [CALL],
    "test_stream_to_done": [STREAM | {"ended": "complete or closed_early"}],
    "test_stream_without_usage": [STREAM | FROM_TEXT],
    "test_stream_abandoned": [STREAM | FROM_TEXT | {"ended": "closed_early"}],
    "test_stream_never_closed": [STREAM | FROM_TEXT | {"ended": "unfinished"}],
    "test_stream_never_read": [STREAM | UNKNOWN | {"ended": "unfinished"}],
    "test_stream_cut": [STREAM | FROM_TEXT | {"ended": "error"}],
    "test_plain_cut": [CALL | UNKNOWN | {"ended": "error", "status": None}],
    "test_refused": [CALL | UNKNOWN | {"status": 400}],
    "test_retried_by_the_user": [CALL | {"attempts": 3}],
    "test_retried_by_urllib3": [CALL | {"attempts": 3}],
    "test_all_attempts_fail": [
        CALL | UNKNOWN | {"attempts": 3, "status": 429, "ended": "error"},
    ],
    "test_no_answer": [CALL | UNKNOWN | {"ended": "error", "status": None}],
}


def calls_of(project: Project, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    """Calls by test of an inner run in which everything passes."""
    result = project.run("--crashlens-report=json:report.json", *arguments)
    assert result.ret == 0, result.outlines
    found: dict[str, Any] = json.loads((project.path / "report.json").read_text())
    assert (found["incomplete"], found["late_calls"]) == ([], [])
    return {test["key"].partition("::")[2]: test["calls"] for test in found["tests"]}


def brief(call: dict[str, Any]) -> dict[str, Any]:
    found = {name: call[name] for name in CALL}
    if call["usage_source"] == "tokenizer":
        assert call["usage"]["input_tokens"] > 0
        assert call["usage"]["output_tokens"] >= 0
        found["usage"] = "input and output"
    else:
        found["usage"] = {name: value for name, value in call["usage"].items() if value}
    return found


def test_every_call_however_it_is_read(project: Project, server: LLMServer) -> None:
    earlier = len(server.requests)
    project.write("test_it.py", SCENARIOS)
    calls = calls_of(project)
    assert len(calls) == 29
    for name, found in calls.items():
        told = [brief(call) for call in found]
        if name == "test_stream_to_done" and told[0]["ended"] in ("complete", "closed_early"):
            told[0]["ended"] = "complete or closed_early"
        expected = EXPECTED.get(name, [STREAM if "stream" in name else CALL])
        assert (name, told) == (name, expected)
        sites = {call["call_site"].partition(":")[0] for call in found}
        assert sites == {"test_it.py"}
    attempts = sum(call["attempts"] for found in calls.values() for call in found)
    assert attempts == len(server.requests) - earlier


CASSETTES = (
    SHARED
    + """
import urllib.request
import vcr


@pytest.fixture(autouse=True)
def cassette(request):
    with vcr.use_cassette(f"{request.node.name}.yaml"):
        yield


def test_plain(chat):
    assert requests.post(URL, json=chat()).json()["usage"]["prompt_tokens"] == 1200


def test_stream_lines(stream):
    assert list(stream().iter_lines())


def test_stream_raw(stream):
    assert stream().raw.read()


def test_retried(chat):
    while requests.post(URL, json=chat(fail=[429])).status_code != 200:
        pass


def test_urllib(chat):
    request = urllib.request.Request(URL, json.dumps(chat()).encode())
    with urllib.request.urlopen(request) as response:
        assert json.load(response)["usage"]["prompt_tokens"] == 1200


def test_stream_urllib(chat):
    request = urllib.request.Request(URL, json.dumps(chat() | STREAM).encode())
    with urllib.request.urlopen(request) as response:
        assert list(response)
"""
)


def test_cassettes_are_recorded_live_and_replayed_as_simulated(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("test_it.py", CASSETTES)
    with LLMServer() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        recorded = calls_of(project)
        sent = len(server.requests)
    replayed = calls_of(project)  # nobody listens there any more
    assert len(recorded) == 6
    for name, calls in recorded.items():
        expected = STREAM if "stream" in name else CALL
        attempts = {"attempts": 2 if "retried" in name else 1}
        assert (name, [brief(call) for call in calls]) == (name, [expected | attempts])
        again = [brief(call) for call in replayed[name]]
        assert (name, again) == (name, [expected | attempts | {"live": False}])
    assert sent == 7


MOCKS = """
import io
import json
from pathlib import Path

import pytest
import requests
import requests_mock as requests_mocking
import responses
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.credentials import Credentials
from requests.adapters import BaseAdapter
from wsgiadapter import WSGIAdapter

HERE = Path(__file__).parent
WHOLE = json.loads((HERE / "whole.json").read_text())
EVENTS = "".join(json.loads((HERE / "events.json").read_text()))
GEMINI = json.loads((HERE / "gemini.json").read_text())
URL = "https://api.openai.com/v1/chat/completions"
VERTEX = (
    "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1"
    "/publishers/google/models/gemini-2.5-flash:generateContent"
)
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@responses.activate
def test_responses():
    responses.post(URL, json=WHOLE)
    requests.post(URL, json=ASKED)


@responses.activate
def test_responses_stream():
    responses.post(URL, body=EVENTS, content_type="text/event-stream")
    with requests.post(URL, json=ASKED | STREAM, stream=True) as response:
        assert list(response.iter_lines())


def test_requests_mock(requests_mock):
    requests_mock.post(URL, json=WHOLE)
    requests.post(URL, json=ASKED)


def test_requests_mock_stream(requests_mock):
    requests_mock.post(URL, text=EVENTS, headers={"content-type": "text/event-stream"})
    with requests.post(URL, json=ASKED | STREAM, stream=True) as response:
        assert list(response.iter_content(64))


def test_requests_mock_adapter():
    adapter = requests_mocking.Adapter()
    adapter.register_uri("POST", URL, json=WHOLE)
    with requests.Session() as session:
        session.mount("https://", adapter)
        session.post(URL, json=ASKED)


class InMemory(BaseAdapter):
    def send(self, request, **options):
        response = requests.Response()
        response.status_code, response.request = 200, request
        response.raw = io.BytesIO(EVENTS.encode())
        response.headers["content-type"] = "text/event-stream"
        return response

    def close(self):
        pass


def test_adapter_with_a_file_in_memory_stream():
    with requests.Session() as session:
        session.mount("https://", InMemory())
        with session.post(URL, json=ASKED | STREAM, stream=True) as response:
            assert list(response.iter_lines())


@responses.activate
def test_vertex_by_hand():
    responses.post(VERTEX, json=GEMINI)
    with AuthorizedSession(Credentials("token")) as session:
        session.post(VERTEX, json={"contents": [{"parts": [{"text": "hello"}]}]})


def app(environ, start_response):
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps(WHOLE).encode()]


def test_own_app():
    with requests.Session() as session:
        session.mount("https://api.openai.com", WSGIAdapter(app))
        assert session.post(URL, json=ASKED).json() == WHOLE
"""


def test_mocked_answers_are_simulated_and_own_apps_are_no_provider(project: Project) -> None:
    for name in ("responses", "requests_mock", "wsgiadapter", "google.auth"):
        pytest.importorskip(name, reason="mocks requests, or sends with it")
    asked = {"model": "gpt-4o-mini", "stream_options": {"include_usage": True}}
    answer = wire.Answer(
        text="hello", input_tokens=1200, output_tokens=80, cache_read_tokens=200
    ).filled(asked)
    gemini = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}}],
        "usageMetadata": {
            "promptTokenCount": 1200,
            "cachedContentTokenCount": 200,
            "candidatesTokenCount": 80,
            "totalTokenCount": 1280,
        },
        "modelVersion": "gemini-2.5-flash",
    }
    project.write("whole.json", json.dumps(wire.chat(asked, answer)))
    project.write("events.json", json.dumps(list(wire.chat_events(asked, answer))))
    project.write("gemini.json", json.dumps(gemini))
    project.write("test_it.py", MOCKS)
    calls = calls_of(project)
    assert len(calls) == 7
    for name, found in calls.items():
        expected = (STREAM if "stream" in name else CALL) | {"live": False}
        assert (name, [brief(call) for call in found]) == (name, [expected])
    assert calls["test_vertex_by_hand"][0]["provider"] == "vertex"


# --- nothing changes for the code under test


def facts(response: Any) -> list[Any]:
    changing = ("date", "x-request-id", "request-id")
    headers = [
        (name, value) for name, value in response.headers.items() if name.lower() not in changing
    ]
    return [
        (type(response), repr(response), response.status_code, response.reason, response.ok),
        (headers, response.encoding, response.text, response.content, response.history),
        (response.json(), list(response.iter_lines()), list(response.iter_content(50))),
        (response.url, response.request.body, response.is_redirect, sorted(vars(response))),
        (response.elapsed.total_seconds() > 0, isinstance(response.raw, io.IOBase)),
    ]


def hooked(response: Any, **options: Any) -> None:
    response.seen_by_hook = (response.status_code, sorted(options))


def plain(url: str) -> Any:
    """What a program can see of a session, a response and a streamed one."""
    found: list[Any] = []
    with requests.Session() as session:
        session.hooks["response"].append(hooked)
        whole = session.post(url, json=CHAT)
        found += facts(whole)
        for copied in (pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):
            found.append((type(copied), copied.status_code, copied.content, copied.raw))

        def stream(**values: Any) -> Any:
            return session.post(url, json=script(**values) | ASKED, stream=True)

        streamed = stream()
        raw = streamed.raw
        found.append((repr(raw).partition(" object")[0], type(raw).__name__, type(raw).__module__))
        found.append((isinstance(raw, io.IOBase), raw.readable(), raw.tell(), raw.closed))
        found.append([(chunk, raw.tell()) for chunk in streamed.iter_content(None)])
        found.append((raw.closed, error_of(lambda: streamed.content)))
        found.append(error_of(lambda: list(streamed.iter_content())))
        found.append(list(stream().iter_content(7, decode_unicode=True)))
        streamed = stream(gzip=True)
        found.append((streamed.raw.read(10), streamed.raw.tell(), len(streamed.raw.read())))
        streamed = stream(gzip=True)
        found.append((streamed.raw.read(10, decode_content=True), streamed.raw.closed))
        streamed = stream()
        found.append(pickle.loads(pickle.dumps(streamed)).content)
        found.append(copy.deepcopy(stream()).content)
        streamed = stream()
        lines = streamed.iter_lines()
        found.append(next(lines))
        streamed.close()
        found.append((streamed.raw.closed, error_of(lambda: streamed.raw.read())))
        found.append(error_of(lambda: list(stream(cut_after=2).iter_content(None))))
        found.append(error_of(lambda: stream(cut_after=2).content))
        found.append(error_of(lambda: stream(cut_after=2).raw.read()))
        buffer = bytearray(16)
        found.append((stream().raw.readinto(buffer), bytes(buffer)))
        found.append(list(io.TextIOWrapper(stream().raw))[:4])
        with stream() as held:
            found.append(held.raw.read1(5))
    return found


def test_plain_sessions(server: LLMServer) -> None:
    same_with_capture(lambda: plain(f"{server.openai_url}/chat/completions"), attempts=14)


def test_errors_of_the_network() -> None:
    def act(url: str, timeout: Any) -> Any:
        with pytest.raises(requests.exceptions.RequestException) as caught:
            requests.post(f"{url}/chat/completions", json=CHAT, timeout=timeout)
        error = caught.value
        reason = getattr(error.args[0], "reason", error.args[0])
        return type(error), type(reason), type(error.__context__), error.request.url

    with deaf() as deaf_url:
        same_with_capture(
            lambda: [act("http://127.0.0.1:1/v1", 60), act(deaf_url, (60, 0.01))], attempts=2
        )
        capture = Capture()
        with capture.installed() as owner:
            act("http://127.0.0.1:1/v1", 60)
            act(deaf_url, (60, 0.01))
            with pytest.raises(requests.exceptions.InvalidSchema):
                requests.post("nothing://host/v1/chat/completions", json=CHAT)
    assert [(one.status, one.ended, one.error) for one in owner.attempts] == [
        (None, "error", "NewConnectionError"),
        (None, "error", "ReadTimeout"),
        (None, "error", "InvalidSchema"),
    ]
    assert owner.attempts[1].live is True


READERS: dict[str, Callable[[Any], Iterator[bytes]]] = {
    "iter_content": lambda response: response.iter_content(None),
    "iter_lines": lambda response: response.iter_lines(chunk_size=1),
    "raw.stream": lambda response: response.raw.stream(),
    "raw.read1": lambda response: iter(response.raw.read1, b""),
}


@pytest.mark.parametrize("reader", READERS)
def test_first_chunk_arrives_before_the_last_is_sent(
    capture: Capture, gate: Gate, reader: str
) -> None:
    with (
        capture.installed() as owner,
        requests.post(
            f"{gate.url}/chat/completions", json=CHAT | ASKED, stream=True, timeout=20
        ) as response,
    ):
        chunks = READERS[reader](response)
        first = next(chunks)
        assert not gate.open.is_set()
        gate.open.set()
        rest = b"".join(chunks)
    assert (first[:5], rest.strip()[-12:]) == (b"data:", b"data: [DONE]")
    [attempt] = owner.attempts
    assert (attempt.ended, b"".join(attempt.chunks)[-14:]) == ("complete", b"data: [DONE]\n\n")


@contextmanager
def moved(to: str) -> Iterator[str]:
    """The URL of a server that has moved ``to`` another, and says so with status 307."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(307)
            self.send_header("location", f"{to}{self.path}")
            self.send_header("content-length", "0")
            self.end_headers()

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def test_redirected_request_is_one(capture: Capture, server: LLMServer) -> None:
    with moved(server.url) as url, capture.installed() as owner:
        answer = requests.post(f"{url}/v1/chat/completions", json=CHAT)
        asked = script() | ASKED
        with requests.post(f"{url}/v1/chat/completions", json=asked, stream=True) as streamed:
            assert streamed.content
        by_hand = requests.post(f"{url}/v1/chat/completions", json=CHAT, allow_redirects=False)
        with requests.Session() as session:
            assert session.send(by_hand.next).json()["usage"]
    assert [step.status_code for step in answer.history] == [307]
    found = [(one.status, one.ended, one.live) for one in owner.attempts]
    assert found == [(200, "complete", True)] * 2 + [
        (307, "complete", True),
        (200, "complete", True),
    ]


def test_sessions_made_before_subclasses_and_calls_from_hooks(
    capture: Capture, server: LLMServer
) -> None:
    url = f"{server.openai_url}/chat/completions"

    class Stamping(requests.Session):  # type: ignore[name-defined,misc]
        def send(self, request: Any, **options: Any) -> Any:
            request.headers["x-stamp"] = "1"
            return super().send(request, **options)

    original = requests.Session.send
    with requests.Session() as early, Stamping() as own:

        def judge(response: Any, **options: Any) -> None:
            if response.request.body == json.dumps(CHAT).encode():
                early.post(url, json=script(text="judged"))

        with capture.installed() as owner:
            early.post(url, json=CHAT, hooks={"response": judge})
            stamped = own.post(url, json=script())
            early.get(url)
            early.post(f"{server.openai_url}/telemetry", json=CHAT)
        assert requests.Session.send is original
        early.post(url, json=CHAT)
    assert stamped.request.headers["x-stamp"] == "1"
    assert [one.status for one in owner.attempts] == [200, 200, 200]


def test_connection_that_was_open_already_is_live(capture: Capture, server: LLMServer) -> None:
    url = f"{server.openai_url}/chat/completions"
    with requests.Session() as session:
        session.post(url, json=CHAT)
        with capture.installed() as owner:
            session.post(url, json=CHAT)
    assert [one.live for one in owner.attempts] == [True]


def test_request_bodies_are_not_read_for_us(capture: Capture, server: LLMServer) -> None:
    url = f"{server.openai_url}/chat/completions"
    sent = json.dumps(CHAT).encode()
    with capture.installed() as owner:
        for data in (sent, sent.decode(), io.BytesIO(sent), iter([sent])):
            assert requests.post(url, data=data).status_code == 200
    assert [one.request_body for one in owner.attempts] == [sent, sent, sent, b""]


def test_responses_that_cannot_be_extended_are_left_alone(capture: Capture) -> None:
    class Slotted:
        __slots__ = ()

        def read(self) -> bytes:
            return b"x"

    begun = capture.recorder.begin("POST", "http://host/v1/chat/completions", lambda: b"", {})
    assert begun is not None
    raw = Slotted()
    FileTees(capture.recorder, decode=None).put_on(raw, begun[0])
    capture.recorder.leave(begun[1])
    assert (type(raw), raw.read(), begun[0].chunks) == (Slotted, b"x", [])
