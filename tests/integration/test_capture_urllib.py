"""What ``urllib.request`` opens is recorded once, however it is read, and reads as without us."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any
from urllib.response import addinfourl

import pytest

from tests.integration.conftest import Project
from tests.integration.test_capture_requests import brief, calls_of, moved
from tests.integration.test_invisible import Capture, Gate, deaf, error_of, same_with_capture
from tests.llm_server import LLMServer

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


def request_of(url: str, body: dict[str, Any]) -> urllib.request.Request:
    headers = {"content-type": "application/json"}
    return urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)


def script(**values: Any) -> dict[str, Any]:
    return CHAT | {"messages": [{"role": "user", "content": json.dumps(values)}]}


SCENARIOS = """
import gzip
import http.client
import io
import json
import os
import urllib.error
import urllib.request

import pytest

URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def sent(request):
    def sent(options={}, **script):
        usage = {"input": 1200, "output": 80, "cache_read": 200}
        prompt = json.dumps({"usage": usage, "scenario": "urllib " + request.node.name} | script)
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
        return urllib.request.Request(URL, json.dumps(body | options).encode())
    return sent


def test_json(sent):
    with urllib.request.urlopen(sent()) as response:
        assert json.load(response)["usage"]["prompt_tokens"] == 1200


def test_opener_and_url_with_data(sent):
    opener = urllib.request.build_opener()
    with opener.open(URL, data=sent().data) as response:
        assert response.read(100000)
        assert response.read(100000) == b""


def test_stream_lines(sent):
    with urllib.request.urlopen(sent(STREAM)) as response:
        assert list(response)[-2] == b"data: [DONE]\\n"


def test_stream_text(sent):
    with urllib.request.urlopen(sent(STREAM)) as response:
        assert list(io.TextIOWrapper(response))


def test_stream_piece_by_piece(sent):
    with urllib.request.urlopen(sent(STREAM)) as response:
        while response.read1(50):
            pass


def test_gzip(sent):
    with urllib.request.urlopen(sent(gzip=True)) as response:
        assert json.load(gzip.GzipFile(fileobj=response))


def test_stream_without_usage(sent):
    with urllib.request.urlopen(sent({"stream": True})) as response:
        assert response.readlines()


def test_stream_abandoned(sent):
    with urllib.request.urlopen(sent(STREAM)) as response:
        assert [response.readline() for _ in range(5)]


def test_stream_cut(sent):
    with urllib.request.urlopen(sent(STREAM, cut_after=4)) as response:
        with pytest.raises(http.client.IncompleteRead):
            response.read()


def test_refused(sent):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(sent(fail=[400]))
    assert json.load(caught.value)["error"]
    caught.value.close()


def test_retried_by_the_user(sent):
    for _ in range(3):
        try:
            with urllib.request.urlopen(sent(fail=[429, 500])) as response:
                assert response.read()
                break
        except urllib.error.HTTPError as error:
            error.close()


def test_no_answer(sent):
    with pytest.raises(http.client.RemoteDisconnected):
        urllib.request.urlopen(sent(fail=[0]))
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
STREAM = CALL | {"streaming": True}
FROM_TEXT = {"usage": "input and output", "usage_source": "tokenizer"}
UNKNOWN = {"usage": {}, "usage_source": "none"}
EXPECTED = {
    "test_stream_without_usage": STREAM | FROM_TEXT,
    "test_stream_abandoned": STREAM | FROM_TEXT | {"ended": "closed_early"},
    "test_stream_cut": STREAM | FROM_TEXT | {"ended": "error"},
    "test_refused": CALL | UNKNOWN | {"status": 400},
    "test_retried_by_the_user": CALL | {"attempts": 3},
    "test_no_answer": CALL | UNKNOWN | {"ended": "error", "status": None},
}


def test_every_call_however_it_is_read(project: Project, server: LLMServer) -> None:
    earlier = len(server.requests)
    project.write("test_it.py", SCENARIOS)
    calls = calls_of(project)
    assert len(calls) == 12
    for name, found in calls.items():
        expected = EXPECTED.get(name, STREAM if "stream" in name else CALL)
        assert (name, [brief(call) for call in found]) == (name, [expected])
        assert found[0]["call_site"].startswith("test_it.py:")
    attempts = sum(call["attempts"] for found in calls.values() for call in found)
    assert attempts == len(server.requests) - earlier


def facts(response: Any) -> list[Any]:
    changing = ("date", "x-request-id", "request-id")
    headers = [
        (name, value) for name, value in response.getheaders() if name.lower() not in changing
    ]
    return [
        (repr(response).partition(" object")[0], isinstance(response, http.client.HTTPResponse)),
        (headers, response.status, response.reason, response.msg, response.version, response.url),
        (response.readable(), response.seekable(), response.closed, response.isclosed()),
        (response.getcode(), response.geturl(), type(response.info()), response.length),
    ]


def plain(url: str) -> Any:
    """What a program can see of the responses."""
    found: list[Any] = []

    def opened(body: dict[str, Any]) -> Any:
        return urllib.request.urlopen(request_of(url, body))

    with opened(CHAT) as whole:
        found += facts(whole)
        found += [whole.peek(5), whole.read(5), whole.read(), whole.read(), whole.isclosed()]
    found += [whole.closed, error_of(whole.read), error_of(whole.readline)]
    with opened(CHAT | ASKED) as streamed:
        found += facts(streamed)
        buffer = bytearray(8)
        found += [streamed.readinto(buffer), bytes(buffer), streamed.readline(), streamed.read1(9)]
        found += [next(streamed), streamed.readlines(60), list(streamed), streamed.isclosed()]
    with opened(script(cut_after=2) | ASKED) as streamed:
        found.append(error_of(streamed.read))
    with opened(script(cut_after=2) | ASKED) as streamed:
        found.append(error_of(lambda: list(streamed)))
    with opened(script(gzip=True)) as packed:
        found.append(gzip.decompress(packed.read()))
    with opened(CHAT) as held:
        found.append([*io.BufferedReader(held)])
    with pytest.raises(urllib.error.HTTPError) as caught:
        opened(script(fail=[400, 400]))
    error = caught.value
    found += [type(error), str(error), error.code, type(error.fp), error.read(), error.reason]
    error.close()
    return found


def test_responses(server: LLMServer) -> None:
    same_with_capture(lambda: plain(server.openai_url), attempts=7)


def test_errors_of_the_network(capture: Capture) -> None:
    def act(url: str, timeout: float) -> Any:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - which of them is compared
            urllib.request.urlopen(request_of(url, CHAT), timeout=timeout)
        return type(caught.value), str(caught.value), type(caught.value.__context__)

    with deaf() as deaf_url:
        urls = [("http://127.0.0.1:1/v1", 60), (deaf_url, 0.01), ("nothing://host/v1", 1)]
        same_with_capture(lambda: [act(*one) for one in urls], attempts=3)
        with capture.installed() as owner:
            for one in urls:
                act(*one)
            with pytest.raises(ValueError, match="unknown url type"):
                urllib.request.urlopen("v1/chat/completions", b"{}")
    refused, unanswered, nowhere = owner.attempts
    assert (refused.error, unanswered.error) == ("ConnectionRefusedError", "TimeoutError")
    assert (unanswered.live, nowhere.live) == (True, False)


READERS: dict[str, Callable[[Any], bytes]] = {
    "readline": lambda response: response.readline() or b"",
    "read1": lambda response: response.read1(100) or b"",
    "next": lambda response: next(response, b""),
}


@pytest.mark.parametrize("reader", READERS)
def test_first_chunk_arrives_before_the_last_is_sent(
    capture: Capture, gate: Gate, reader: str
) -> None:
    read = READERS[reader]
    with (
        capture.installed() as owner,
        urllib.request.urlopen(request_of(gate.url, CHAT | ASKED), timeout=20) as response,
    ):
        first = read(response)
        assert not gate.open.is_set()
        gate.open.set()
        rest = b"".join(iter(lambda: read(response), b""))
    assert (first[:5], rest[-14:]) == (b"data:", b"data: [DONE]\n\n")
    [attempt] = owner.attempts
    assert (attempt.ended, b"".join(attempt.chunks)) == ("complete", first + rest)


def test_redirected_request_is_one(capture: Capture, server: LLMServer) -> None:
    """urllib itself redirects no POST, but programs make it do so."""

    class Following(urllib.request.HTTPRedirectHandler):
        def redirect_request(
            self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> Any:
            return urllib.request.Request(newurl, req.data, dict(req.header_items()))

    opener = urllib.request.build_opener(Following)
    with moved(server.url) as url, capture.installed() as owner:
        with opener.open(request_of(f"{url}/v1", CHAT)) as response:
            assert json.load(response)["usage"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request_of(f"{url}/v1", CHAT))
        caught.value.close()
    found = [(one.status, one.ended, one.live) for one in owner.attempts]
    assert found == [(200, "complete", True), (307, "complete", True)]


def test_answers_of_a_handler_of_the_users_own(capture: Capture) -> None:
    """The usual way to mock urllib: nothing goes out, and the answer is a wrapper of a file."""
    content = json.dumps({"usage": {"prompt_tokens": 3}}).encode()

    class Replay(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            headers = Message()
            headers["content-type"] = "application/json"
            response = addinfourl(io.BytesIO(content), headers, req.full_url, 200)
            response.msg = "OK"  # type: ignore[attr-defined]
            return response

    opener = urllib.request.build_opener(Replay)
    with capture.installed() as owner:
        request = request_of("https://api.openai.com/v1", CHAT)
        with opener.open(request) as response:
            assert (type(response), response.read()) == (addinfourl, content)
    [attempt] = owner.attempts
    assert (attempt.live, attempt.ended, b"".join(attempt.chunks)) == (False, "complete", content)
    assert attempt.request_body == request.data


def test_openers_made_before_and_after(capture: Capture, server: LLMServer) -> None:
    methods = [(urllib.request.OpenerDirector, "open"), (http.client.HTTPConnection, "getresponse")]
    originals = [vars(cls)[name] for cls, name in methods]
    opener = urllib.request.build_opener()

    def act() -> None:
        with opener.open(request_of(server.openai_url, CHAT)) as response:
            assert response.read()

    with capture.installed() as owner:
        act()
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(f"{server.url}/models")
        caught.value.close()
        assert vars(urllib.request.OpenerDirector)["open"] is not originals[0]
    act()
    assert [vars(cls)[name] for cls, name in methods] == originals
    assert [attempt.status for attempt in owner.attempts] == [200]
