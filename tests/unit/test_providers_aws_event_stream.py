from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.providers.aws_event_stream import messages
from tests.event_streams import event, exception, message

BODY = event("first", {"n": 1}) + event("second", {"n": 2}) + event("third", {"n": 3})
OTHER_HEADERS = [
    b"\x01a\x00",
    b"\x01a\x01",
    b"\x01a\x02\x05",
    b"\x01a\x03\x00\x05",
    b"\x01a\x04\x00\x00\x00\x05",
    b"\x01a\x05" + b"12345678",
    b"\x01a\x06\x00\x03abc",
    b"\x01a\x08" + b"12345678",
    b"\x01a\x09" + b"1234567890123456",
]


def kinds(body: bytes) -> list[str]:
    return [one.kind for one in messages(body)]


def test_messages():
    assert [(one.kind, one.exception, one.data) for one in messages(BODY)] == [
        ("first", None, {"n": 1}),
        ("second", None, {"n": 2}),
        ("third", None, {"n": 3}),
    ]


@pytest.mark.parametrize("extra", OTHER_HEADERS)
def test_headers_of_every_type_are_stepped_over(extra):
    (one,) = messages(message(b"{}", {":event-type": "x"}, extra=extra))
    assert one.kind == "x"


def test_headers_of_no_known_type_end_the_headers():
    (one,) = messages(message(b'{"n": 1}', {":event-type": "x"}, extra=b"\x01a\x63"))
    assert (one.kind, one.data) == ("", {"n": 1})


def test_exceptions_have_a_name():
    (one,) = messages(exception("throttlingException"))
    assert (one.kind, one.exception) == ("throttlingException", "throttlingException")
    (one,) = messages(message(b"", {":message-type": "error", ":error-code": "boom"}))
    assert one.exception == "boom"


@pytest.mark.parametrize("cut", range(len(BODY)))
def test_a_cut_stream_gives_what_came_whole(cut):
    third = len(event("third", {"n": 3}))
    first = len(event("first", {"n": 1}))
    whole = ["first"] * (cut >= first) + ["second"] * (cut >= len(BODY) - third)
    assert kinds(BODY[:cut]) == whole


def test_wrong_checksums_are_no_reason_to_lose_a_message():
    broken = bytearray(BODY)
    for at in (8, len(event("first", {"n": 1})) - 1):
        broken[at] ^= 0xFF
    assert kinds(bytes(broken)) == ["first", "second", "third"]


LIKE_A_MESSAGE = struct.pack(">III", 20, 4, 0) + b"\x01:\x00\x00" + bytes(4)


@pytest.mark.parametrize(
    "damage",
    [b"\xff" + LIKE_A_MESSAGE, b"\x00", b"\xff" * 40, b"HTTP/1.1 200 OK\r\n\r\n", bytes(500)],
)
def test_the_next_message_is_found_after_damage(damage):
    body = event("first", {}) + damage + event("second", {}) + damage + event("third", {})
    assert kinds(body) == ["first", "second", "third"]


def test_a_payload_that_is_no_object_is_empty():
    for payload in (b"", b"[1]", b"\xff", b'{"a": '):
        (one,) = messages(message(payload, {":event-type": "x"}))
        assert one.data == {}


def test_garbage_is_read_in_time():
    like_a_beginning = b"\x00\xff\xff\xff\x00\x00\x00\x10" + b"1234" + b"\x05:"
    assert kinds(b"\x00\x00\x00\x01" * 250_000) == []
    assert kinds(like_a_beginning * 50_000) == []


@given(st.binary(max_size=300), st.integers(0, len(BODY)))
def test_arbitrary_bytes_never_raise(noise, at):
    list(messages(noise))
    list(messages(BODY[:at] + noise + BODY[at:]))
