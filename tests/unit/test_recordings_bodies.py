from __future__ import annotations

import gzip
import sys
import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_crashlens.recordings import bodies
from pytest_crashlens.recordings.bodies import Body, body, unpacked

ZSTANDARD = b"\x28\xb5\x2f\xfd rest"


class Reversed:
    """A decompressor for what was reversed; ends with a full stop."""

    eof = False

    def process(self, data: bytes) -> bytes:
        if data == b"bad":
            raise ValueError("bad")
        self.eof = data.startswith(b".")
        return data[::-1]

    decompress = process

    def is_finished(self) -> bool:
        return self.eof


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    compressor = SimpleNamespace(decompressobj=Reversed)
    monkeypatch.setitem(sys.modules, "brotli", SimpleNamespace(Decompressor=Reversed))
    monkeypatch.setitem(
        sys.modules, "zstandard", SimpleNamespace(ZstdDecompressor=lambda: compressor)
    )


@pytest.mark.parametrize(
    ("packed", "encoding", "found"),
    [
        (b".olleh", "br", Body(b"hello.")),
        (b".olleh", "BR ", Body(b"hello.")),
        (b"olleh", "br", Body(b"hello", "ends before its compression does")),
        (b"bad", "br", Body(b"bad", "cannot be decompressed (ValueError)")),
        (b"{}", "br", Body(b"{}")),
        (b"data: 1", "br", Body(b"data: 1")),
        (ZSTANDARD, "", Body(ZSTANDARD[::-1], "ends before its compression does")),
        (b"", "br", Body()),
        (b".olleh", "identity", Body(b".olleh")),
    ],
)
@pytest.mark.usefixtures("packages")
def test_brotli_and_zstandard(packed, encoding, found):
    assert unpacked(packed, encoding) == found


@pytest.mark.parametrize(("packed", "name"), [(b"\x1b\0", "brotli"), (ZSTANDARD, "zstandard")])
def test_a_package_that_is_not_there_is_named(monkeypatch, packed, name):
    monkeypatch.setitem(sys.modules, name, None)
    found = unpacked(packed, "br")
    assert found == Body(packed, f"is compressed: it takes the package {name} to read it")


def test_cut_and_broken_gzip():
    packed = gzip.compress(b"hello" * 1000)
    assert unpacked(packed[:-9], "gzip").problem == "ends before its compression does"
    assert unpacked(packed[:-9], "gzip").content.startswith(b"hello")
    assert unpacked(b"\x1f\x8bnothing", "gzip") == Body(
        b"\x1f\x8bnothing", "cannot be decompressed (error)"
    )


def test_several_members():
    assert unpacked(gzip.compress(b"one") + gzip.compress(b"two"), "gzip") == Body(b"onetwo")


def test_a_body_that_grows_too_much_is_cut(monkeypatch):
    monkeypatch.setattr(bodies, "MOST_BYTES", 1000)
    for pack, encoding in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
        found = unpacked(pack(bytes(10**6)), encoding)
        assert found == Body(bytes(1000), "is cut: it has more than 1,000 bytes")


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (None, b""),
        ("", b""),
        ({}, b""),
        ({"string": None}, b""),
        ({"string": "\ud800"}, b"?"),
        ({"a": 1}, b'{"a": 1}'),
        ([1, 2], b"[1, 2]"),
        (["a", b"b"], b"ab"),
        ([], b"[]"),
        (True, b"true"),
        ({"state": [b"kept", 0]}, b"kept"),
        ({"state": "open"}, b'{"state": "open"}'),
    ],
)
def test_shapes(raw: Any, content: bytes):
    assert body(raw) == Body(content)


def test_what_is_no_base64_is_said():
    assert body({"base64_string": "e"}).problem == "is no base64"
    assert body({"base64_string": "\u00e9"}).problem == "is no base64"


def test_endless_json_is_said():
    raw: list[Any] = []
    raw.append(raw)
    assert body(raw).problem == "cannot be written as JSON"
