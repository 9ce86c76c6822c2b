"""Bodies as recorders keep them -> bytes without content-encoding."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

MOST_BYTES = 256 * 1024 * 1024
"""A body that unpacks to more is taken for an attack and cut."""

_LAYERS = 4
_PIECE = 1024
_GZIP = b"\x1f\x8b"
_GZIP_IN_BASE64 = "H4sI"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_PLAIN = (b"{", b"[", b'"', b"data:", b"event:", b":", b"id:", b"retry:", b"<")
"""How a body begins that is packed no more, whatever its headers say."""


@dataclass(frozen=True, slots=True)
class Body:
    """The content, and what kept it from being read whole."""

    content: bytes = b""
    problem: str | None = None


def body(raw: object, encoding: str = "") -> Body:
    """The body that a cassette holds as ``raw``.

    Text, bytes, pieces of either, a mapping with ``string`` or ``base64_string``, the state of a
    pickled ``BytesIO``, or JSON that the recorder has parsed. Content-encodings are undone where
    the bytes still have them: many recorders unpack the body and keep the header.
    """
    packed = content(raw)
    return packed if packed.problem else unpacked(packed.content, encoding)


def content(raw: object) -> Body:
    """Like :func:`body`, as it was on the wire."""
    if raw is None:
        return Body()
    if isinstance(raw, bytes):
        return Body(raw)
    if isinstance(raw, str):
        return from_base64(raw) if raw.startswith(_GZIP_IN_BASE64) else _encoded(raw)
    if isinstance(raw, dict):
        return _of_mapping(raw)
    if isinstance(raw, list) and raw and all(isinstance(part, str | bytes) for part in raw):
        return Body(b"".join(_encoded(part).content for part in raw))
    return as_json(raw)


def from_base64(text: str | bytes) -> Body:
    """What ``text`` says in base64."""
    try:
        return Body(base64.b64decode(text))
    except (binascii.Error, ValueError):
        return Body(problem="is no base64")


def as_json(value: object) -> Body:
    """The JSON text of what a recorder has parsed."""
    try:
        return _encoded(json.dumps(value, default=_shown, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        return Body(problem="cannot be written as JSON")


def unpacked(packed: bytes, encoding: str) -> Body:
    """``packed`` without its content-encodings, told by ``encoding`` or by the first bytes."""
    named = [name.strip().lower() for name in reversed(encoding.split(","))]
    found = Body(packed)
    for layer in range(_LAYERS):
        name = named[layer] if layer < len(named) else ""
        undo = _undo(found.content, name)
        if undo is None:
            return found
        found = _tried(undo, found.content)
        if found.problem:
            return found
    return found


def _of_mapping(raw: dict[object, object]) -> Body:
    if "base64_string" in raw:
        text = raw["base64_string"]
        return from_base64(text) if isinstance(text, str | bytes) else content(text)
    if "string" in raw:
        text = raw["string"]
        in_base64 = str(raw.get("encoding")).lower() == "base64"
        return from_base64(text) if in_base64 and isinstance(text, str | bytes) else content(text)
    if not raw:
        return Body()
    for key in ("state", "args"):  # a pickled BytesIO or iterator
        kept = raw.get(key)
        if isinstance(kept, list) and kept and set(raw) <= {"state", "args"}:
            return content(kept[0])
    return as_json(raw)


def _encoded(text: str | bytes) -> Body:
    return Body(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))


def _shown(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _undo(data: bytes, name: str) -> Callable[[bytes], Body] | None:
    """What takes one encoding off ``data``; None where there is none on it."""
    if data.startswith(_GZIP):
        return _gunzip
    if data.startswith(_ZSTANDARD):
        return _unzstandard
    if not data or data.lstrip()[:8].startswith(_PLAIN):
        return None
    return {"br": _unbrotli, "deflate": _inflate}.get(name)


def _tried(undo: Callable[[bytes], Body], data: bytes) -> Body:
    """``data`` without one encoding, or as it is where that cannot be undone."""
    try:
        found = undo(data)
    except ImportError as missing:
        return Body(data, f"is compressed: it takes the package {missing.name} to read it")
    except Exception as fault:  # each decompressor has errors of its own
        return Body(data, f"cannot be decompressed ({type(fault).__name__})")
    if len(found.content) > MOST_BYTES:
        return Body(found.content[:MOST_BYTES], f"is cut: it has more than {MOST_BYTES:,} bytes")
    return found


def _gunzip(data: bytes) -> Body:
    return _zlib(data, 31)


def _inflate(data: bytes) -> Body:
    try:
        return _zlib(data, 15)
    except zlib.error:
        return _zlib(data, -15)  # as some servers understand the word


def _zlib(data: bytes, window: int) -> Body:
    """All members; a cut one as far as it goes."""
    plain, whole = b"", True
    while data and len(plain) <= MOST_BYTES:
        one = zlib.decompressobj(window)
        plain += one.decompress(data, MOST_BYTES + 1 - len(plain))
        whole = one.eof
        data = one.unused_data if one.unused_data.startswith(_GZIP) else b""
    return Body(plain, None if whole else "ends before its compression does")


def _unbrotli(data: bytes) -> Body:
    one = import_module("brotli").Decompressor()
    return _by_pieces(one.process, one.is_finished, data)


def _unzstandard(data: bytes) -> Body:
    one = import_module("zstandard").ZstdDecompressor().decompressobj()
    return _by_pieces(one.decompress, lambda: bool(one.eof), data)


def _by_pieces(
    process: Callable[[bytes], bytes], finished: Callable[[], bool], data: bytes
) -> Body:
    """Little by little: a piece may become very much."""
    plain = bytearray()
    for at in range(0, len(data), _PIECE):
        plain += process(data[at : at + _PIECE])
        if finished() or len(plain) > MOST_BYTES:
            break
    return Body(bytes(plain), None if finished() else "ends before its compression does")
