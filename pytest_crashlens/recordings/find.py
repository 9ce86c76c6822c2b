"""Which files hold recordings, told by what is in them, and reading each in its own way."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, cast

from pytest_crashlens.recordings import har, jsonl, vcr
from pytest_crashlens.recordings.recording import Entries, Unreadable, Unusable

Kind = Literal["yaml", "json", "jsonl"]
"""YAML cassette; JSON cassette or HAR file; lines of JSON."""

_HEAD = 65_536
_PIECE = 4096
_LARGEST_DOCUMENT = 512 * 1024 * 1024
"""Bytes of a JSON document that are read: it has to be held whole."""

_PASSED_OVER = frozenset(
    {
        ".git",
        ".hg",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "node_modules",
        "site-packages",
    }
)
"""Folders that are not walked, unless named."""

_BY_NAME: tuple[tuple[tuple[str, ...], Kind], ...] = (
    ((".jsonl", ".ndjson"), "jsonl"),
    ((".har", ".json"), "json"),
    ((".yaml", ".yml"), "yaml"),
)

_HAR = re.compile(r'\{\s*"log"\s*:\s*\{')
_JSON_CASSETTE = re.compile(
    r'\{(?:\s*"\w+"\s*:\s*(?:"[^"\\]{0,200}"|[\d.]+)\s*,){0,20}'
    r'\s*"(?:http_)?interactions"\s*:\s*\[\s*(?:\]|\{)'
)
_OLD_JSON_CASSETTE = re.compile(r'\[\s*\{\s*"(?:request|response)"\s*:\s*\{')
_EXCHANGE = (re.compile(r'"method"\s*:\s*"'), re.compile(r'"url"\s*:\s*"'))
_YAML_CASSETTE = re.compile(r"(?:http_)?interactions:|-\s+request:")
_YAML_LINE = re.compile(r"[\w.-]+:(?:\s|$)|[\s#%-]|$")
"""What may stand before the interactions of a cassette."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that holds recordings, or was named as if it did."""

    path: Path
    source: str
    kind: Kind | None
    """None: it is none of the kinds that can be read."""
    by_content: bool = True
    """False: only its name says so."""


def find(paths: Iterable[Path]) -> Iterator[Found | Unreadable]:
    """Files among and below ``paths`` that hold recordings, in order of name, each once.

    A file that is named is always there; below a folder only those that hold recordings.
    """
    seen: set[str] = set()
    for path in paths:
        for file, named in _files(path):
            if isinstance(file, Unreadable):
                yield file
                continue
            real = os.path.realpath(file)
            if real in seen:
                continue
            found = _look(file, named=named)
            if found is not None:
                seen.add(real)
                yield found


def read(found: Found) -> Entries:
    """What is in a file; never raises for anything that is in it."""
    try:
        if found.kind is None:
            raise Unusable("no cassette, HAR file or exchanges as lines of JSON")
        with _opened(found.path) as file:
            if found.kind == "jsonl":
                yield from jsonl.read(file, found.source)
            elif found.kind == "yaml":
                yield from _cassette(file, found)
            else:
                yield from _document(file, found.source)
    except (Unusable, OSError, EOFError, zlib.error) as problem:
        yield Unreadable(found.source, reason(problem))


def reason(problem: BaseException) -> str:
    """Why something could not be read, in few words."""
    if isinstance(problem, Unusable):
        return str(problem)
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    packed = isinstance(problem, EOFError | zlib.error | gzip.BadGzipFile)
    return "its compression is broken from here on" if packed else type(problem).__name__


def kind_of(head: bytes, name: str = "") -> Kind | None:
    """What a file is that begins with ``head``; None: nothing to be read here."""
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith(("{", "[")):
        if any(known.match(text) for known in (_HAR, _JSON_CASSETTE, _OLD_JSON_CASSETTE)):
            return "json"
        return "jsonl" if _has_exchanges(text, name) else None
    for line in text.splitlines():
        if _YAML_CASSETTE.match(line):
            return "yaml" if re.search(r"\brequest:|interactions: *\[\]", text) else None
        if not _YAML_LINE.match(line):
            return None
    return None


def _has_exchanges(text: str, name: str) -> bool:
    """Whether a line of JSON is an exchange; by its look if it is broken or goes on."""
    try:
        first = json.loads(text.partition("\n")[0])
    except (ValueError, RecursionError):
        return _by_name(name) == "jsonl" and all(member.search(text) for member in _EXCHANGE)
    members = first if isinstance(first, dict) else {}
    return all(isinstance(members.get(member), str) for member in ("method", "url"))


def _files(path: Path) -> Iterator[tuple[Path | Unreadable, bool]]:
    """Files and whether they were named; unreadable folders."""
    if not path.is_dir():
        yield path, True
        return
    failed: list[OSError] = []
    for folder, folders, names in os.walk(path, onerror=failed.append):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        for name in sorted(names):
            yield Path(folder, name), False
        while failed:
            yield _unreadable_folder(failed.pop()), False
    for error in failed:
        yield _unreadable_folder(error), False


def _unreadable_folder(error: OSError) -> Unreadable:
    return Unreadable(shown(Path(str(error.filename))), reason(error))


def _look(path: Path, *, named: bool) -> Found | Unreadable | None:
    source = shown(path)
    try:
        if not path.is_file():  # a socket or pipe would never end
            return Unreadable(source, "no file") if named else None
        with _opened(path) as file:
            kind = kind_of(_head(file), path.name)
    except (OSError, EOFError, zlib.error) as problem:
        by_name = _by_name(path.name) is not None
        return Unreadable(source, reason(problem)) if named or by_name else None
    if kind is None and not named:
        return None
    return Found(path, source, kind or _by_name(path.name), by_content=kind is not None)


def _head(file: IO[bytes]) -> bytes:
    """The beginning, as far as it can be unpacked."""
    head = b""
    try:
        while len(head) < _HEAD and (more := file.read(_PIECE)):
            head += more
    except (OSError, EOFError, zlib.error):
        if not head:
            raise
    return head


def _by_name(name: str) -> Kind | None:
    name = name.lower().removesuffix(".gz")
    return next((kind for ends, kind in _BY_NAME if name.endswith(ends)), None)


def shown(path: Path) -> str:
    """``path`` in characters that any terminal may get."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _opened(path: Path) -> IO[bytes]:
    """The file's content, unpacked if it is packed."""
    file = path.open("rb")
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file
    file.close()
    return cast(IO[bytes], gzip.open(path, "rb"))


def _cassette(file: IO[bytes], found: Found) -> Entries:
    empty = True
    with io.TextIOWrapper(cast(BinaryIO, file), "utf-8-sig", "replace") as text:
        for entry in vcr.read_yaml(text, found.source):
            empty = False
            yield entry
    if empty and not found.by_content:
        raise Unusable("no interactions in it")


def _document(file: IO[bytes], source: str) -> Entries:
    data = file.read(_LARGEST_DOCUMENT + 1)
    if len(data) > _LARGEST_DOCUMENT:
        raise Unusable(f"larger than {_LARGEST_DOCUMENT:,} bytes")
    try:
        document: Any = json.loads(data.decode("utf-8-sig", "replace"))
    except json.JSONDecodeError as error:
        raise Unusable(f"line {error.lineno}: no JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise Unusable(f"no JSON that can be read ({type(error).__name__})") from None
    if isinstance(document, dict) and "log" in document:
        return har.entries(document["log"], source)
    listed = document
    if isinstance(document, dict):
        listed = next((document[key] for key in vcr.INTERACTIONS if key in document), None)
    if not isinstance(listed, list):
        raise Unusable("no interactions and no log of a HAR file in it")
    return vcr.entries(listed, source)
