"""Paths of crashlens.yml: relative to the project root, and never out of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pytest_crashlens.policy.field import Field


def read_inside(given: Field, example: str) -> str | None:
    """A path relative to the project root, where a leading slash stands for that root."""
    text = given.text(example=example)
    if text is None:
        return None
    relative = text.strip().lstrip("/").removeprefix("./")
    if "\\" in text:
        given.error("has a backslash; write / between folders")
    elif ".." in PurePosixPath(relative).parts:
        given.error("leaves the project; write a path within it, without ..")
    else:
        return relative
    return None


def read_match(given: Field, folder: Path, known: Iterable[str | None] = ()) -> str | None:
    """A glob for the keys of tests below ``folder``, which is none of the ``known`` ones."""
    match = read_inside(given, "tests/live/**")
    if match is None:
        return None
    if match in known:
        given.error(f'"{match}" is given twice; put what it holds in one place')
    elif match.endswith("/") or is_folder(folder / match):
        given.error(f'is a folder and matches no test; write "{match.rstrip("/")}/**"')
    return match


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; yes when the system cannot tell."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return True


def is_folder(path: Path) -> bool:
    """Whether ``path`` is one; no when the system cannot tell (a name too long for it)."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
