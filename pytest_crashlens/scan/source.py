"""One Python file: its tree, and the comments that silence lines of it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path

LARGEST = 5_000_000
"""Bytes of a file that are read: more was written by a machine."""

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
        Unreadable: It cannot be read, or is too large to have been written by hand.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from None
    if len(data) > LARGEST:
        raise Unreadable(f"is larger than {LARGEST // 1_000_000} MB")
    return data


def parse(data: bytes) -> Source:
    """The file with the content ``data``, in the encoding that it declares.

    Raises:
        Unreadable: It is no Python that this Python understands.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (SyntaxError, LookupError, UnicodeError) as error:
        raise Unreadable(f"is no text in its encoding: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and comparisons in code that is not ours
            tree = ast.parse(text)
    except SyntaxError as error:
        raise Unreadable(f"is no Python: {error.msg}", error.lineno or 1) from None
    except ValueError as error:  # a null byte
        raise Unreadable(f"is no Python: {error}") from None
    except (RecursionError, MemoryError):
        raise Unreadable("is nested too deeply") from None
    return Source(tree, _silences(text))


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
