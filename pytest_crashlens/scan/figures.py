"""crashlens-prompts.json: the tokens of prompt files, committed; numbers only, no text."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_crashlens.errors import CrashlensError

VERSION = 1
NAME = "crashlens-prompts.json"
REGENERATE = "crashlens scan --update-prompts"


class FiguresError(CrashlensError):
    """The file cannot be read or written; what is on disk is left as it was."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The size of one file."""

    tokens: int
    encoding: str


Figures = Mapping[str, Figure]
"""By path from the project's root."""


def render(figures: Figures) -> str:
    """The file's text: sorted, a block of lines for each file, so that branches merge."""
    prompts = {
        name: {"encoding": figure.encoding, "tokens": figure.tokens}
        for name, figure in figures.items()
    }
    return json.dumps({"version": VERSION, "prompts": prompts}, indent=2, sort_keys=True) + "\n"


def load(path: Path) -> Figures | None:
    """The figures at ``path``; None: there is no file.

    Raises:
        FiguresError: It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise FiguresError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Figures:
    """The figures in ``text``; ``name`` is for messages.

    Raises:
        FiguresError: With the fault and the fix.
    """
    fix = f"restore it from version control, or delete it and run {REGENERATE}"
    try:
        plain = json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        conflict = any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines())
        fault = "unresolved merge conflict" if conflict else error.msg
        raise FiguresError(f"{name}:{error.lineno}:{error.colno}: {fault}; {fix}") from None
    except (ValueError, RecursionError) as error:
        raise FiguresError(f"{name}: {error}; {fix}") from None
    version = plain.get("version") if isinstance(plain, dict) else None
    if type(version) is not int or version < 1:
        raise FiguresError(f'{name}: no figures of prompts (no "version"); {fix}')
    if version > VERSION:
        raise FiguresError(
            f"{name}: has version {version}, this pytest-crashlens reads up to {VERSION}; "
            "upgrade it: pip install -U pytest-crashlens"
        )
    prompts = plain.get("prompts")
    if not isinstance(prompts, dict) or set(plain) != {"version", "prompts"}:
        raise FiguresError(f'{name}: must have "version" and "prompts"; {fix}')
    return {key: _figure(value, f"{name}: {key}", fix) for key, value in prompts.items()}


def write(path: Path, figures: Figures) -> bool:
    """Replace the file in one step; False: its bytes were the same already.

    Raises:
        FiguresError: It cannot be written; the old file is as it was.
    """
    data = render(figures).encode()
    path = Path(os.path.realpath(path))  # a link stays a link
    temporary = None
    try:
        if path.exists() and path.read_bytes() == data:
            return False
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o644)
        os.replace(temporary, path)  # noqa: PTH105 - one atomic step, by its own name
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
        raise FiguresError(
            f"{path}: cannot be written: {error.strerror or error}; nothing was changed"
        ) from None
    return True


def _figure(value: Any, place: str, fix: str) -> Figure:
    if not isinstance(value, dict) or set(value) != {"tokens", "encoding"}:
        raise FiguresError(f'{place}: must have "tokens" and "encoding"; {fix}')
    tokens, encoding = value["tokens"], value["encoding"]
    if type(tokens) is not int or tokens < 0 or not isinstance(encoding, str):
        raise FiguresError(f'{place}: "tokens" must be an integer of at least 0; {fix}')
    return Figure(tokens, encoding)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice (a merge gone wrong?)")
    return result
