"""What a recorder keeps, for whom, and until when."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder

URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
def recorder() -> Recorder:
    ticks = iter(range(1000))
    return Recorder(
        wanted=lambda method, url: method == "POST",
        call_sites=CallSites(Path(__file__).parent),
        clock=lambda: float(next(ticks)),
    )


@pytest.fixture
def owner(recorder: Recorder) -> Iterator[Owner]:
    with recorder.owners.at_work(Owner("test")) as owner:
        yield owner


def begin(recorder: Recorder, url: str = URL, body: bytes = b"{}") -> Attempt | None:
    begun = recorder.begin("POST", url, lambda: body, {"content-type": "application/json"})
    if begun is None:
        return None
    attempt, token = begun
    recorder.leave(token)
    return attempt


def test_take_gives_each_exchange_once_and_waits_for_answers(
    recorder: Recorder, owner: Owner
) -> None:
    whole, stream, waiting = (begin(recorder, f"{URL}?{n}") for n in range(3))
    assert whole
    assert stream
    assert waiting
    recorder.answered(whole, 200, {})
    recorder.end(whole, "complete")
    recorder.answered(stream, 200, {})
    taken = recorder.take(owner, keep_streams=True)
    assert [one.url for one in taken] == [whole.url]
    stream.keep(b"data: 1")
    [taken_stream] = recorder.take(owner)
    assert (taken_stream.response_body, taken_stream.ended) == (b"data: 1", "unfinished")
    assert recorder.take(owner) == []
    [left] = recorder.take_all(owner)
    assert (left.url, left.status, left.ended) == (waiting.url, None, "unfinished")
    assert recorder.take_all(owner) == []


def test_first_ending_counts(recorder: Recorder, owner: Owner) -> None:
    attempt = begin(recorder)
    assert attempt
    recorder.end(attempt, "error", ValueError("secret"))
    recorder.end(attempt, "closed_early")
    assert (attempt.ended, attempt.error, attempt.finished) == ("error", "ValueError", 1.0)


def test_layers_around_the_same_request_are_one_attempt(recorder: Recorder, owner: Owner) -> None:
    begun = recorder.begin("POST", URL, lambda: b"{}", {})
    assert begun
    attempt, token = begun
    assert begin(recorder) is None
    assert begin(recorder, body=b"another"), "sent while the first is in flight, by a hook say"
    assert begin(recorder, url=f"{URL}/other")
    recorder.answered(attempt, 200, {})
    assert begin(recorder), "the first has its answer: this is a new one"
    recorder.leave(token)
    assert len(owner.attempts) == 4


def test_only_what_is_wanted_and_only_while_open(recorder: Recorder, owner: Owner) -> None:
    assert recorder.begin("GET", URL, lambda: b"", {}) is None
    assert begin(recorder)
    recorder.close()
    assert begin(recorder) is None
    assert len(owner.attempts) == 1


def test_body_that_cannot_be_shown_is_empty(recorder: Recorder, owner: Owner) -> None:
    def streamed() -> bytes:
        raise RuntimeError("not read yet")

    begun = recorder.begin("POST", URL, streamed, {})
    assert begun
    assert begun[0].request_body == b""


def test_no_header_that_could_hold_a_secret_is_kept(recorder: Recorder, owner: Owner) -> None:
    headers = {
        "authorization": "Bearer sk-1",
        "x-api-key": "sk-1",
        "cookie": "sk-1",
        "content-type": "application/json",
        "x-stainless-retry-count": "1",
    }
    begun = recorder.begin("POST", URL, lambda: b"{}", headers)
    assert begun
    recorder.answered(begun[0], 200, headers | {"set-cookie": "sk-1"})
    [exchange] = recorder.take(owner)
    assert "sk-1" not in repr(exchange)
    assert exchange.request_headers["x-stainless-retry-count"] == "1"


def test_body_is_cut_at_its_limit(
    recorder: Recorder, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = begin(recorder)
    assert attempt
    chunk = b"x" * (1024 * 1024)
    for _ in range(40):
        attempt.keep(chunk)
    assert attempt.kept == len(attempt.chunks) * len(chunk) == 32 * 1024 * 1024


def test_encoded_body_is_decoded_as_the_client_does(recorder: Recorder, owner: Owner) -> None:
    whole, cut = begin(recorder), begin(recorder)
    for attempt, body in ((whole, zlib.compress(b"{}")), (cut, b"\x00")):
        assert attempt
        recorder.answered(attempt, 200, {"content-encoding": "deflate"})
        attempt.keep(body)
        attempt.decode = lambda data, encoding: zlib.decompress(data)
    first, second = recorder.take(owner)
    assert (first.response_body, first.error) == (b"{}", None)
    assert (second.response_body, second.error) == (b"", "error")


def test_faults_are_told_once_and_without_what_they_quote(recorder: Recorder) -> None:
    for _ in range(2):
        try:
            raise ValueError("the prompt")
        except ValueError as fault:
            recorder.fault("capture of a request", fault)
    [line] = recorder.faults
    assert line.startswith("capture of a request: ValueError")
    assert "the prompt" not in line
