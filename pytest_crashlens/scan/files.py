"""Which files are scanned: those of the project, not those of others that lie in its folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_crashlens.errors import CrashlensError

TIMEOUT = 20.0
"""Seconds for git to list files."""

_OTHERS = frozenset({"__pycache__", "node_modules", "site-packages"})
_VENV = "pyvenv.cfg"
_TESTS = frozenset({"test", "tests"})
_OF_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})


class NoSuchPath(CrashlensError):
    """An argument names nothing that is there."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Python files to scan, in order of their paths."""

    files: tuple[Path, ...]
    tests: int = 0
    """Files of tests that were passed over: their calls are measured."""


def choose(paths: Sequence[Path], root: Path) -> Chosen:
    """Python files among and below ``paths``, each once.

    A file that is named is always there. Below a folder neither what git ignores nor virtual
    environments, installed packages and hidden folders are looked at; nor tests, unless the folder
    is one of tests in the project at ``root``.

    Raises:
        NoSuchPath: One of ``paths`` is not there.
    """
    files: dict[str, Path] = {}
    tests: set[str] = set()
    for path in paths:
        if path.is_dir():
            with_tests = _of_tests(path, root)
            for file in below(path):
                if file.suffix != ".py":
                    continue
                real = os.path.realpath(file)
                if not with_tests and is_test(file.relative_to(path)):
                    tests.add(real)
                else:
                    files.setdefault(real, file)
        elif path.is_file():
            files.setdefault(os.path.realpath(path), path)
        else:
            raise NoSuchPath(f"{path}: there is no such file or folder")
    return Chosen(tuple(sorted(files.values())), len(tests - set(files)))


def below(folder: Path) -> Iterator[Path]:
    """Files below ``folder`` that are the project's own, in no order."""
    listed = _of_git(folder)
    for at, folders, names in os.walk(folder):
        here = Path(at)
        folders[:] = [name for name in folders if not _is_foreign(here / name)]
        for name in names:
            file = here / name
            if (listed is None or os.path.normpath(file) in listed) and file.is_file():
                yield file


def is_test(relative: Path) -> bool:
    """Whether a file is one of tests, by its name or a folder's."""
    name = relative.name
    if name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py"):
        return True
    return any(part in _TESTS for part in relative.parts[:-1])


def _of_tests(folder: Path, root: Path) -> bool:
    inside = folder.is_relative_to(root)
    return any(part in _TESTS for part in (folder.relative_to(root).parts if inside else ()))


def _is_foreign(folder: Path) -> bool:
    name = folder.name
    return name.startswith(".") or name in _OTHERS or (folder / _VENV).is_file()


def _of_git(folder: Path) -> Collection[str] | None:
    """Files that git knows or would add; None: there is no git, or it ignores the whole folder."""
    try:
        ignored = _git(["check-ignore", "--quiet", "."], folder).returncode == 0
        listing = _git(["ls-files", "-z", "--cached", "--others", "--exclude-standard"], folder)
    except (OSError, subprocess.SubprocessError):
        return None
    if ignored or listing.returncode != 0:
        return None
    names = listing.stdout.split(b"\0")
    return {os.path.normpath(folder / os.fsdecode(name)) for name in names if name}


def _git(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    return subprocess.run(  # noqa: S603 - fixed words only
        ["git", *arguments],  # noqa: S607 - the user's own git
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
