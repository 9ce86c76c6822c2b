"""Server-sent events, read from bytes after the fact and with tolerance.

Streams may be cut anywhere, use any line end, carry comments and other servers' habits. Decoding
every event of a long stream is slow, so that :func:`telling` decodes only those that matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_crashlens.providers.reading import decode_json

_NULL = re.compile(rb"\s*:\s*null\b")
_PAYLOAD = frozenset({b"data", b"error"})
"""``error: {...}`` is how llama.cpp's server ends a stream that failed."""


def events(body: bytes) -> Iterator[dict[str, Any]]:
    """All JSON objects that the stream carries, in order.

    An event's name becomes the object's ``type`` where it has none. ``[DONE]``, comments and
    events that were cut or are no JSON object are left out.
    """
    body = _plain(body)
    for start, end in _blocks(body):
        yield from _objects(body[start:end])


def telling(body: bytes, needles: Sequence[bytes]) -> list[dict[str, Any]]:
    """The first event and those in which one of ``needles`` is said (and not said to be null)."""
    body = _plain(body)
    found: dict[int, list[dict[str, Any]]] = {}
    for start, end in _blocks(body):
        if first := _objects(body[start:end]):
            found[end] = first
            break
    for needle in needles:
        at = body.find(needle)
        while at >= 0:
            end = at + len(needle)
            if not _NULL.match(body, end):
                end = _end(body, at)
                if end not in found:
                    found[end] = _objects(body[_start(body, at) : end])
            at = body.find(needle, end)
    return [event for end in sorted(found) for event in found[end]]


def _plain(body: bytes) -> bytes:
    """``body`` with LF as the only line end (JSON never holds a raw one inside a string)."""
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return body.removeprefix(b"\xef\xbb\xbf").lstrip(b"\n")


def _blocks(body: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(body):
        end = _end(body, start)
        yield start, end
        start = end + 2


def _start(body: bytes, at: int) -> int:
    blank = body.rfind(b"\n\n", 0, at)
    return 0 if blank < 0 else blank + 2


def _end(body: bytes, at: int) -> int:
    end = body.find(b"\n\n", at)
    return len(body) if end < 0 else end


def _objects(block: bytes) -> list[dict[str, Any]]:
    """The event of a block; several where a server leaves out the blank lines between them."""
    kind = ""
    payload: list[bytes] = []
    for line in block.split(b"\n"):
        key, _, value = line.partition(b":")
        if key in _PAYLOAD:
            payload.append(value)
        elif key == b"event":
            kind = value.strip().decode("utf-8", "replace")
    found = [decode_json(b"\n".join(payload))]
    if len(payload) > 1 and not isinstance(found[0], dict):
        found = [decode_json(line) for line in payload]
    return [_named(event, kind) for event in found if isinstance(event, dict)]


def _named(event: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"type": kind, **event} if kind and len(kind) < 100 else event
