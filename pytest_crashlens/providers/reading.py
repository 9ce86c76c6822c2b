"""What a wire format reads, and the careful little readers that all formats share.

Whatever comes from the wire is hostile until read by one of these: they never raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.stated_cost import loads

_STANDARD_TIERS = frozenset({"standard", "default", "auto", "on_demand"})
"""``on_demand`` is what Groq calls its standard tier."""

_MOST_TOKENS = 10**12
"""A larger number is no count of tokens."""

_BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:(?P<json>[{\[])|(?P<sse>data:|event:|error:|id:|retry:|:))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What a tokenizer counts when the provider stated nothing. Never leaves the process."""

    messages: tuple[Mapping[str, Any], ...] = ()
    """Chat-like input: mappings with ``role`` and ``content``."""
    tools: tuple[Mapping[str, Any], ...] = ()
    inputs: tuple[str, ...] = ()
    """Plain input texts (embeddings)."""
    output: str | None = None
    """Text seen in the answer, arguments of tool calls included; None: it has no text output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a call asked for."""

    body: Mapping[str, Any]
    model: str | None
    max_output_tokens: int | None = None
    in_stream: bool = False
    """Whether its path asks for a stream."""
    free: bool = False
    """Whether the provider's documentation says that such calls are free of charge."""

    @property
    def streams(self) -> bool:
        """Whether it asks for a stream."""
        return self.in_stream or self.body.get("stream") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one answer says of a call."""

    model_requested: str | None = None
    model_returned: str | None = None
    usage: Usage = field(default_factory=Usage)
    usage_complete: bool = False
    """False: nothing, or only a part, of input and output is stated."""
    streaming: bool = False
    service_tier: str | None = None
    """None: the standard one."""
    batch: bool = False
    max_output_tokens: int | None = None
    texts: Texts | None = None
    """Set where the usage is not complete and something can be counted."""
    error: str | None = None
    """The provider's name for an error that it answered with a 2xx status."""
    stated_cost_usd: str | None = None
    """What the answer says it costs, as exact decimal text."""
    free: bool = False
    """Whether such calls are free of charge."""
    note: str | None = None


class WireFormat(Protocol):
    """A format in which LLM providers talk over HTTP.

    ``matches`` is asked for every request of the program and must be cheap; ``request`` decides
    by the body; ``read`` gets only exchanges which were answered with a 2xx status.
    """

    endpoint: str
    """The endpoint's name in :class:`~pytest_crashlens.model.call.Call`."""
    family: str
    """Provider to name where the host is unknown."""

    def matches(self, method: str, path: str) -> bool:
        """Whether a request to this path may be a call in this format."""

    def request(self, exchange: Exchange) -> Request | None:
        """What is asked; None: not an LLM call after all."""

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """What the answer states."""


class PostedTo:
    """What a wire format is that is told by its ``paths``, at any host and after any prefix."""

    paths: re.Pattern[str]

    def matches(self, method: str, path: str) -> bool:
        """Whether a request to this path may be a call in this format."""
        return method == "POST" and self.paths.search(path) is not None


class Stated:
    """The counts of one usage object; remembers the names of those that are no counts."""

    def __init__(self, raw: object) -> None:
        self.raw = mapping(raw)
        self.odd: list[str] = []

    def count(self, *path: str) -> int | None:
        """The count at ``path``; None where it is absent, null, or no count.

        A count is an integer >= 0, also when written as a float (``12.0``).
        """
        *outer, last = path
        place = self.raw
        for key in outer:
            place = mapping(place.get(key))
        value = place.get(last)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and abs(value) <= _MOST_TOKENS:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_TOKENS:
            self.odd.append(".".join(path))
            return None
        return value

    def first(self, *paths: tuple[str, ...]) -> int | None:
        """The count at the first of ``paths`` that has one."""
        return next((value for path in paths if (value := self.count(*path)) is not None), None)

    @property
    def note(self) -> str | None:
        """Names what was stated and is no count."""
        return f"stated but no count: {', '.join(dict.fromkeys(self.odd))}" if self.odd else None


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> tuple[Mapping[str, Any], ...]:
    """The JSON objects in ``value``, if it is an array."""
    items = value if isinstance(value, list) else ()
    return tuple(item for item in items if isinstance(item, dict))


def name(value: object) -> str | None:
    """``value`` if it can be a name (of a model, a tier, an error): short and printable."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value if value and len(value) <= 200 and value.isprintable() else None


def tier(*candidates: object) -> str | None:
    """The first service tier stated; None where that is the standard one."""
    stated = next((found for value in candidates if (found := name(value))), None)
    return None if stated is None or stated.lower() in _STANDARD_TIERS else stated.lower()


def error_name(error: object) -> str:
    """A provider's name for an error, never its message (which may quote the prompt)."""
    told = mapping(error)
    found = name(told.get("type")) or name(told.get("code"))
    return found if found and re.fullmatch(r"[\w.-]{1,64}", found) else "error"


def notes(*parts: str | None) -> str | None:
    """The notes that there are, as one."""
    return "; ".join(dict.fromkeys(part for part in parts if part)) or None


def decode_json(data: bytes) -> object:
    """The JSON value in ``data``; None where there is none. Wrong bytes become U+FFFD."""
    try:
        return loads(data)
    except (ValueError, RecursionError):
        return None


def json_object(data: bytes) -> Mapping[str, Any] | None:
    """The JSON object in ``data``, if it is one."""
    value = decode_json(data)
    return value if isinstance(value, dict) else None


def requested(exchange: Exchange, *caps: str) -> Request | None:
    """The request's JSON object; its cap on output is the first of ``caps`` that it sets."""
    body = json_object(exchange.request_body)
    if body is None:
        return None
    cap = Stated(body).first(*((key,) for key in caps)) if caps else None
    return Request(body=body, model=name(body.get("model")), max_output_tokens=cap)


def is_stream(exchange: Exchange, request: Request) -> bool:
    """Whether the answer is an event stream: by its first bytes, then by what was said of it."""
    beginning = _BEGINNING.match(exchange.response_body)
    if beginning and (beginning["json"] or beginning["sse"]):
        return beginning["json"] is None
    return exchange.content_type == "text/event-stream" or request.streams


class Channels:
    """Text that arrives in interleaved pieces: joined per channel, channels in order of arrival."""

    def __init__(self) -> None:
        self._pieces: dict[object, list[str]] = {}

    def add(self, channel: object, piece: object) -> None:
        """Append ``piece``, if it is text."""
        if isinstance(piece, str) and piece:
            self._pieces.setdefault(channel, []).append(piece)

    def add_content(self, channel: object, content: object) -> None:
        """Append content that is text or an array of parts with text."""
        self.add(channel, content)
        for part in objects(content):
            self.add(channel, part.get("text"))

    def __iter__(self) -> Iterator[str]:
        return ("".join(pieces) for pieces in self._pieces.values())

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self)
