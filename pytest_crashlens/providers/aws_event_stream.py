"""Amazon's binary event streams (``application/vnd.amazon.eventstream``), read with tolerance.

A message is: its length and that of its headers (4 bytes each, big endian), a checksum of these
two, headers, payload, a checksum of all. Source:
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

from pytest_crashlens.providers.reading import json_object

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")
_CHECKSUM = 4
_LEAST = _PRELUDE.size + _CHECKSUM
_STRING = 7
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_VARIABLE = frozenset({6, _STRING})
_LIKE_A_BEGINNING = re.compile(rb"[\x00\x01].{3}\x00[\x00\x01].{6}[\x01-\x40]:", re.DOTALL)
"""Two lengths in range, a checksum, and a header whose name begins with a colon."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its headers that are text, and what it carries."""

    headers: Mapping[str, str]
    payload: bytes

    @property
    def kind(self) -> str:
        """The type of the event, or of the exception that it tells."""
        headers = self.headers
        return headers.get(":event-type") or self.exception or ""

    @property
    def exception(self) -> str | None:
        """The name of the exception or error, if it tells one."""
        headers = self.headers
        if headers.get(":message-type") in ("exception", "error"):
            return headers.get(":exception-type") or headers.get(":error-code") or "error"
        return None

    @property
    def data(self) -> Mapping[str, object]:
        """The JSON object in the payload; empty where there is none."""
        return json_object(self.payload) or {}


def messages(body: bytes) -> Iterator[Message]:
    """The messages in ``body``, in order; one that is cut is left out.

    Checksums are not required to be right (whoever rewrites a recording may not renew them), but
    help to find the next message where the stream is damaged.
    """
    at = 0
    while at + _LEAST <= len(body):
        length, headers_length, _ = _PRELUDE.unpack_from(body, at)
        end = at + length
        headers_end = at + _PRELUDE.size + headers_length
        if headers_end + _CHECKSUM <= end <= len(body):
            headers = _headers(body[at + _PRELUDE.size : headers_end])
            yield Message(headers, body[headers_end : end - _CHECKSUM])
            at = end
        else:
            at = _next_beginning(body, at + 1)


def _next_beginning(body: bytes, start: int) -> int:
    """Where the next prelude with a right checksum is; the end where there is none."""
    while found := _LIKE_A_BEGINNING.search(body, start):
        at = found.start()
        if crc32(body[at : at + 8]) == _PRELUDE.unpack_from(body, at)[2]:
            return at
        start = at + 1
    return len(body)


def _headers(block: bytes) -> dict[str, str]:
    """The headers that are text, as far as the block can be read."""
    headers: dict[str, str] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        kind = block[name_end] if name_end < len(block) else -1
        value_at = name_end + 1
        if kind in _VARIABLE:
            size = int.from_bytes(block[value_at : value_at + 2], "big")
            value_at += 2
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            break
        if kind == _STRING and value_at + size <= len(block):
            name = block[at + 1 : name_end].decode("utf-8", "replace")
            headers[name] = block[value_at : value_at + size].decode("utf-8", "replace")
        at = value_at + size
    return headers
