"""Bodies: what of them is at hand, and undoing what they were compressed with."""

from __future__ import annotations

import io
import zlib
from typing import Any


def in_memory(body: Any) -> bytes | None:
    """What is going to be sent of ``body``; None where reading it would take it from the client.

    That is so of files and generators.
    """
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, io.BytesIO):
        return body.getvalue()[body.tell() :]
    return None


def inflate(body: bytes, encoding: str, limit: int = 0) -> bytes:
    """Undo a content-encoding without a library, of a body that was cut as far as it goes.

    Raises:
        ValueError: the encoding needs one.
        zlib.error: the body is not encoded so.
    """
    for name in reversed([name.strip().lower() for name in encoding.split(",")]):
        if name == "identity":
            continue
        if name not in ("gzip", "x-gzip", "deflate"):
            raise ValueError(name)
        try:
            body = _inflated(body, zlib.MAX_WBITS | 32, limit)
        except zlib.error:
            if name != "deflate":
                raise
            body = _inflated(body, -zlib.MAX_WBITS, limit)  # as some servers understand the word
    return body


def _inflated(body: bytes, window: int, limit: int) -> bytes:
    return zlib.decompressobj(window).decompress(body, limit)
