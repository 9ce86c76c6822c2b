"""Exchanges as lines of JSON: one object a line, its bodies as JSON, as text or in base64.

Members: ``method``, ``url``, ``status``, ``req_headers``, ``resp_headers``,
``resp_content_type``, one of ``req_json``, ``req_text`` and ``req_b64``, and likewise ``resp_*``;
``id``, and ``repo`` and ``file`` where it was first recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import IO

from pytest_crashlens.recordings.bodies import Body, content, from_base64, unpacked
from pytest_crashlens.recordings.recording import (
    Entries,
    Recording,
    Unreadable,
    Unusable,
    headers,
    recording,
)

LONGEST_LINE = 512 * 1024 * 1024
_NAMED = 5
"""Lines that are named one by one before the others are only counted."""

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class _Member:
    """A member of an object: its value and how it was written."""

    __slots__ = ("text", "value")

    def __init__(self, value: object, text: str) -> None:
        self.value = value
        self.text = text


def read(lines: IO[bytes], source: str) -> Entries:
    """A recording for each line; those that are none are named, up to a few."""
    failed = 0
    index = -1
    for number, line in _numbered(lines):
        if line is not None and not line.strip():
            continue
        index += 1
        try:
            yield _recording(line, source, index)
        except Unusable as problem:
            failed += 1
            if failed <= _NAMED:
                yield Unreadable(source, f"line {number}: {problem}")
    if failed > _NAMED:
        yield Unreadable(source, f"... and {failed - _NAMED:,} more lines like that")


def _numbered(lines: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Lines by number; None for one that is too long to be held."""
    number = 0
    while line := lines.readline(LONGEST_LINE):
        number += 1
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = lines.readline(LONGEST_LINE)
        yield number, None


def _recording(line: bytes | None, source: str, index: int) -> Recording:
    if line is None:
        raise Unusable(f"longer than {LONGEST_LINE:,} bytes")
    members = _members(line.decode("utf-8-sig", "replace"))
    values = {name: member.value for name, member in members.items()}
    received = headers(values.get("resp_headers"))
    if isinstance(values.get("resp_content_type"), str):
        received.setdefault("content-type", str(values["resp_content_type"]))
    places = [str(values[name]) for name in ("repo", "file") if values.get(name)]
    return recording(
        source,
        index,
        id=None if values.get("id") is None else str(values["id"]),
        method=values.get("method"),
        url=values.get("url"),
        status=values.get("status"),
        request=_body(members, "req", ""),
        response=_body(members, "resp", received.get("content-encoding", "")),
        request_headers=headers(values.get("req_headers")),
        response_headers=received,
        lane="/".join(places),
    )


def _members(text: str) -> dict[str, _Member]:
    """The members of the object in ``text``, each as it was written: no number is rounded."""
    members: dict[str, _Member] = {}
    try:
        at = _after(text, 0, "{")
        ended = text[at] == "}"
        while not ended:
            name, at = _DECODER.raw_decode(text, at)
            at = start = _after(text, at, ":")
            value, at = _DECODER.raw_decode(text, at)
            if not isinstance(name, str):
                raise Unusable("no JSON object")
            members[name] = _Member(value, text[start:at])
            at = _blank(text, at)
            ended = text[at] == "}"
            at = at if ended else _after(text, at, ",")
    except RecursionError:
        raise Unusable("its JSON is nested too deep") from None
    except (ValueError, IndexError):
        raise Unusable("no JSON object") from None
    if _blank(text, at + 1) != len(text):
        raise Unusable("more than a JSON object")
    return members


def _after(text: str, at: int, sign: str) -> int:
    at = _blank(text, at)
    if text[at] != sign:
        raise ValueError(sign)
    return _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _body(members: Mapping[str, _Member], side: str, encoding: str) -> Body:
    parsed = members.get(f"{side}_json")
    if parsed is not None and parsed.value is not None:
        return Body(parsed.text.encode("utf-8", "replace"))
    for kind in ("text", "excerpt"):
        kept = members.get(f"{side}_{kind}")
        if kept is not None and kept.value is not None:
            return content(kept.value)
    packed = members.get(f"{side}_b64")
    if packed is None or not isinstance(packed.value, str):
        return Body()
    found = from_base64(packed.value)
    return found if found.problem else unpacked(found.content, encoding)
