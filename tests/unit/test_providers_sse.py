from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.providers import sse

EVENTS = [{"n": 1}, {"n": 2, "usage": {"a": 1}}, {"n": 3, "usage": None}, {"n": 4}]
STREAM = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in EVENTS)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_any_line_end(end):
    assert list(sse.events(STREAM.replace(b"\n", end))) == EVENTS
    assert sse.telling(STREAM.replace(b"\n", end), [b'"usage"']) == EVENTS[:2]


def test_what_tells_is_the_first_event_and_those_with_a_needle_that_is_not_null():
    assert sse.telling(STREAM, [b'"usage"', b'"n": 4']) == [EVENTS[0], EVENTS[1], EVENTS[3]]
    assert sse.telling(STREAM, []) == EVENTS[:1]


def test_an_event_with_several_needles_comes_once():
    body = b'data: {"usage": {}, "error": {}}\n\n'
    assert len(sse.telling(body, [b'"usage"', b'"error"'])) == 1


def test_a_needle_quoted_in_a_text_does_not_tell():
    body = STREAM + b'data: {"text": "say \\"usage\\": 5"}\n\n'
    assert sse.telling(body, [b'"usage"']) == EVENTS[:2]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b": a comment\n\ndata: {}\n\ndata: [DONE]\n\n", [{}]),
        (b'data: {"a":\ndata: 1}\n\n', [{"a": 1}]),
        (b'data: {"a": 1}\ndata: {"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'data:{"a":1}\n\n\n\ndata: {"a": 2}', [{"a": 1}, {"a": 2}]),
        (b'data: {"a": 1}\n\ndata: {"a": 2', [{"a": 1}]),
        (b'\xef\xbb\xbfdata: {"a": 1}\n\n', [{"a": 1}]),
        (b'data: {"a": "\xe9"}\n\n', [{"a": "\ufffd"}]),
        (b'event: error\ndata: {"a": 1}\n\n', [{"type": "error", "a": 1}]),
        (b'event: x\ndata: {"type": "y"}\n\n', [{"type": "y"}]),
        (b'error: {"error": {}}\n\n', [{"error": {}}]),
        (b"data: 5\n\ndata: [1]\n\ndata: \n\nid: 3\n\n", []),
        (b"<html>no stream</html>", []),
        (b"", []),
    ],
)
def test_tolerance(body, expected):
    assert list(sse.events(body)) == expected


def test_deep_nesting_is_no_event():
    assert list(sse.events(b"data: " + b'{"a":' * 100_000 + b"\n\n" + STREAM)) == EVENTS


@given(st.integers(0, len(STREAM)))
def test_cut_anywhere_the_whole_events_are_read(at):
    read = list(sse.events(STREAM[:at]))
    assert read == EVENTS[: len(read)]
    assert len(read) >= STREAM[:at].count(b"\n\n")


@given(st.lists(st.sampled_from([b"\n", b"\r", b"data: ", b"{}", b'"usage"', b":", b"null", b"x"])))
def test_no_bytes_raise_and_what_tells_is_part_of_all(pieces):
    body = b"".join(pieces)
    everything = list(sse.events(body))
    assert all(event in everything for event in sse.telling(body, [b'"usage"']))
