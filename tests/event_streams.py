"""Amazon's binary event streams, written by hand."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any
from zlib import crc32


def message(payload: bytes, headers: Mapping[str, str], *, extra: bytes = b"") -> bytes:
    """One message; ``extra`` is a header in its own encoding, in front of the others."""
    block = extra + b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text.encode()
        for name, text in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    prelude += struct.pack(">I", crc32(prelude))
    return (whole := prelude + block + payload) + struct.pack(">I", crc32(whole))


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """An event as Bedrock sends it."""
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return message(json.dumps(data).encode(), headers)


def exception(kind: str) -> bytes:
    """An exception in the midst of a stream."""
    headers = {":exception-type": kind, ":message-type": "exception"}
    return message(b'{"message": "secret"}', headers)


def chunk(data: Mapping[str, Any]) -> bytes:
    """A chunk of InvokeModelWithResponseStream."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(data).encode()).decode(), "p": "a"})
