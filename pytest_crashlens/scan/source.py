"""One Python file: its tree, and the comments that silence lines of it."""

from __future__ import annotations

import ast
import io
import re
import sys
import threading
import tokenize
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LARGEST = 5_000_000
"""Bytes of a file that are read: more was written by a machine."""

HEAD = 5
"""Lines in which a whole file may be silenced."""
HEAD_BYTES = 4096
DEEP = 20_000
"""Python's limit of recursion for the second try at a file."""
DEEP_STACK = 256 << 20
"""Bytes of address space for it; only what is used is taken."""

SILENCE = re.compile(r"#\s*crashlens:\s*ignore(?=$|[\s,;:.(-])")


class Unreadable(Exception):
    """A file that cannot be understood; ``line`` is where, ``str(error)`` why."""

    def __init__(self, text: str, line: int = 1) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class Source:
    """A file's syntax tree."""

    tree: ast.Module
    silences: frozenset[int]
    """Lines with a comment ``# crashlens: ignore``."""


def read(path: Path) -> bytes:
    """The content of the file at ``path``.

    Raises:
        Unreadable: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from None


def is_silenced(data: bytes) -> bool:
    """Whether a comment in the first lines silences that the file cannot be understood."""
    lines = data[:HEAD_BYTES].decode("utf-8-sig", "replace").splitlines()[:HEAD]
    return any(SILENCE.match(line.lstrip()) for line in lines)


def parse(data: bytes) -> Source:
    """The file with the content ``data``, in the encoding that it declares.

    Raises:
        Unreadable: It is no Python that this Python understands, or too large to have been written
            by hand.
    """
    if len(data) > LARGEST:
        raise Unreadable(f"is larger than {LARGEST // 1_000_000} MB")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (SyntaxError, LookupError, UnicodeError) as error:
        raise Unreadable(f"is no text in its encoding: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and comparisons in code that is not ours
            tree = _tree(text)
    except SyntaxError as error:
        raise Unreadable(f"is no Python: {error.msg}", error.lineno or 1) from None
    except ValueError as error:  # a null byte
        raise Unreadable(f"is no Python: {error}") from None
    except (RecursionError, MemoryError):
        raise Unreadable("is nested too deeply") from None
    return Source(tree, _silences(text))


def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except RecursionError:
        return _deep_tree(text)


def _deep_tree(text: str) -> ast.Module:
    """The tree of a text with long chains (``a + b + ...``), too deep for the usual limit.

    Raises:
        RecursionError: So is ours.
    """
    found: list[ast.Module] = []

    def run() -> None:
        with suppress(RecursionError, MemoryError, SyntaxError):
            found.append(ast.parse(text))

    before, size = sys.getrecursionlimit(), threading.stack_size(DEEP_STACK)
    try:
        sys.setrecursionlimit(DEEP)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    except RuntimeError:  # there is no room for such a stack
        pass
    finally:
        sys.setrecursionlimit(before)
        threading.stack_size(size)
    if not found:
        raise RecursionError
    return found[0]


def _silences(text: str) -> frozenset[int]:
    """Lines whose comment silences; never those where the words stand in a string."""
    if "crashlens" not in text:
        return frozenset()
    found: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and SILENCE.match(token.string):
                found.add(token.start[0])
    except (tokenize.TokenError, SyntaxError):  # it may end in the middle
        pass
    return frozenset(found)
