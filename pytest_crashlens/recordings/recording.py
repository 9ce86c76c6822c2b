"""One recorded exchange, and what is said where there should be one and is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.recordings.bodies import Body

_REQUEST_HEADERS = frozenset({"content-type", "x-stainless-retry-count"})
_LEFT_OUT = frozenset({"content-encoding", "content-length", "set-cookie", "transfer-encoding"})
"""Of the answer: what was undone here, and what is none of our business."""

_LATEST_STATUS = 999


class Unusable(Exception):
    """A part of a file is no recorded exchange; the text says why and never quotes the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """An exchange and where it stands."""

    source: str
    """The file's path as the user would write it."""
    index: int
    """Its place in the file, from 0."""
    id: str | None = None
    """Its name, where the file gives it one."""
    exchange: Exchange
    notes: tuple[str, ...] = ()
    """What is missing from the recording."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a part of it, that could not be read."""

    source: str
    problem: str

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


Entry = Recording | Unreadable
Entries = Iterator[Entry]


def recording(
    source: str,
    index: int,
    *,
    method: object,
    url: object,
    status: object,
    request: Body,
    response: Body,
    request_headers: Mapping[str, str],
    response_headers: Mapping[str, str],
    id: str | None = None,  # noqa: A002 - the name of the field
    lane: str = "",
) -> Recording:
    """The recording of these parts, as they stand in a file.

    Recordings seldom say when: exchanges of one file are taken as sent one after the other.

    Raises:
        Unusable: there is no method or no URL.
    """
    return Recording(
        source=source,
        index=index,
        id=id,
        exchange=Exchange(
            method=_text(method, "method").upper(),
            url=_url(url),
            request_headers=_some(request_headers, _REQUEST_HEADERS),
            request_body=request.content,
            status=_status(status),
            response_headers={
                name: value for name, value in response_headers.items() if name not in _LEFT_OUT
            },
            response_body=response.content,
            live=False,
            started=float(index),
            finished=index + 0.5,
            lane=lane or source,
        ),
        notes=tuple(
            f"the body of the {side} {body.problem}"
            for side, body in (("request", request), ("answer", response))
            if body.problem
        ),
    )


def headers(raw: object) -> dict[str, str]:
    """Headers by lower-case name, from any way to write them down; of several values the last."""
    found: dict[str, str] = {}
    for name, value in _pairs(raw):
        while isinstance(value, list | tuple) and value:
            value = value[-1]
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(name, str) and isinstance(value, str):
            found[name.lower()] = value
    return found


def mapping(value: object) -> Mapping[Any, Any]:
    """``value`` if it is one, else an empty mapping."""
    return value if isinstance(value, dict) else {}


def _pairs(raw: object) -> Iterator[tuple[object, object]]:
    if isinstance(raw, dict):
        yield from raw.items()
    elif isinstance(raw, list | tuple):
        for one in raw:
            if isinstance(one, dict):
                yield one.get("name"), one.get("value")
            elif isinstance(one, list | tuple) and len(one) == 2:
                yield one[0], one[1]


def _some(found: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if name in names}


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise Unusable(f"no {what}")
    return value


def _url(value: object) -> str:
    url = _text(value, "URL")
    try:
        urlsplit(url)
    except ValueError:
        raise Unusable("its URL is none") from None
    return url


def _status(value: object) -> int | None:
    """The HTTP status; None where there was no answer (browsers write 0)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    known = isinstance(value, int) and not isinstance(value, bool)
    return value if known and isinstance(value, int) and 0 < value <= _LATEST_STATUS else None
