"""Answers that stream as JSON, not as server-sent events.

Google streams one JSON array, Ollama and Cohere's first version a JSON object per line. Streams
may be cut anywhere: what came whole is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_crashlens.providers.reading import decode_json, objects

_BETWEEN = " \t\r\n,"


def json_objects(body: bytes, needles: Sequence[bytes] = ()) -> tuple[dict[str, Any], ...]:
    """The JSON objects of a body that holds one, an array of them, or one a line.

    With ``needles``, of many lines only the first and those in which a needle is said.
    """
    whole = None if needles and body.count(b"\n", 0, -1) else decode_json(body)
    if isinstance(whole, dict):
        return (whole,)
    if isinstance(whole, list):
        return tuple(dict(item) for item in objects(whole))
    if body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        return tuple(_beginning(body.decode("utf-8-sig", "replace")))
    found = tuple(_lines(body, needles))
    # several lines may also be one object, in an indented form
    return found if found or not needles else json_objects(body)


def dumped(value: object) -> str:
    """The JSON text of what a tool is called with; nothing where it is too deep."""
    try:
        return json.dumps(value, ensure_ascii=False) if value else ""
    except (ValueError, RecursionError):
        return ""


def _beginning(array: str) -> Iterator[dict[str, Any]]:
    """The whole objects at the beginning of an array that was cut."""
    decoder = json.JSONDecoder()
    at = array.index("[") + 1
    while True:
        while at < len(array) and array[at] in _BETWEEN:
            at += 1
        try:
            value, at = decoder.raw_decode(array, at)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            yield value


def _lines(body: bytes, needles: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    lines = [line for line in body.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if needles and place and not any(needle in line for needle in needles):
            continue
        value = decode_json(line)
        if isinstance(value, dict):
            yield value
        elif needles and not place:
            return
