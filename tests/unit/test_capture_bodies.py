"""What is told of bodies in memory and of compressed ones."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_crashlens.capture.bodies import in_memory, inflate

TEXT = b'{"usage": {"input_tokens": 12}}' * 200
RAW = zlib.compress(TEXT, wbits=-zlib.MAX_WBITS)


def test_memory_is_read_and_stays_as_it_is() -> None:
    given: list[tuple[Any, bytes]] = [
        (b"a", b"a"),
        (bytearray(b"b"), b"b"),
        (memoryview(b"c"), b"c"),
        ("ä", "ä".encode()),
        (b"", b""),
    ]
    for body, said in given:
        assert in_memory(body) == said
    file = io.BytesIO(b"sent before, to be sent")
    file.seek(13)
    assert in_memory(file) == b"to be sent", "clients send from where it stands"
    assert file.tell() == 13


def test_what_can_be_read_only_once_is_left_alone() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"

    made = chunks()
    file = io.BufferedReader(io.BytesIO(b"a"))  # type: ignore[arg-type]
    for body in (None, made, file, 7, object(), {"a": "b"}):
        assert in_memory(body) is None
    assert list(made) == [b"a"]
    assert file.read() == b"a"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        (" X-Gzip ", gzip.compress(TEXT, mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", zlib.compress(TEXT, wbits=9)),
        ("deflate", RAW),
        ("deflate", gzip.compress(TEXT, mtime=0)),
        ("identity", TEXT),
        ("deflate, gzip", gzip.compress(zlib.compress(TEXT), mtime=0)),
    ],
)
def test_encodings_that_need_no_library(encoding: str, body: bytes) -> None:
    assert inflate(body, encoding) == TEXT
    if encoding != "identity":
        assert TEXT.startswith(inflate(body[:-20], encoding, limit=40))
        assert len(inflate(body, encoding, limit=40)) <= 40


def test_the_rest() -> None:
    with pytest.raises(ValueError, match="br"):
        inflate(TEXT, "br")
    for encoding in ("gzip", "deflate"):
        with pytest.raises(zlib.error):
            inflate(TEXT, encoding)
