"""Where a command finds crashlens.yml and the baseline, and which keys its arguments name."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pytest_crashlens.errors import BaselineError, CrashlensError

if TYPE_CHECKING:
    from pytest_crashlens.baseline.entry import Entry
    from pytest_crashlens.baseline.file import Baseline
    from pytest_crashlens.policy.config import Config

PREFIXES = ("fixture:", "teardown:")
"""Of keys that are no test's."""


class NoSuchKey(CrashlensError):
    """An argument names no entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The files that hold in the folder where the command was started."""

    config: Config
    path: Path
    """The baseline's."""

    @property
    def name(self) -> str:
        """The baseline's path as the user would type it."""
        return shown(self.path)

    def load(self) -> Baseline:
        """The baseline.

        Raises:
            BaselineError: There is none, or it cannot be read.
        """
        from pytest_crashlens.baseline.file import load

        found = load(self.path)
        if found is None:
            raise BaselineError(
                f"{self.name}: there is no such file; name it with --baseline PATH, or write it: "
                "pytest --crashlens-update-baseline"
            )
        return found


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the files."""
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="PATH",
        help="the baseline; default: as crashlens.yml says, else crashlens-baseline.json "
        "in this folder or one above, up to the repository's",
    )
    parser.add_argument(
        "--config", type=Path, metavar="PATH", help="another crashlens.yml than the one found so"
    )


def find_project(given: argparse.Namespace) -> Project:
    """The files that ``given`` or the current folder means.

    Raises:
        CrashlensError: crashlens.yml cannot be used.
    """
    from pytest_crashlens.baseline.file import DEFAULT_NAME
    from pytest_crashlens.policy.config import Config, project_root
    from pytest_crashlens.policy.loader import find_config, load_config, project_folder

    here = Path.cwd()
    folder = project_folder(here)
    found = find_config(here, given.config) if given.config else find_config(folder, None)
    config = load_config(found) if found else Config()
    if given.baseline is not None:
        return Project(config=config, path=here / given.baseline)
    if config.baseline_off:
        raise BaselineError(
            f"{shown(found or folder)}: baseline: off; name a file with --baseline PATH"
        )
    folder = project_root(found) if found else folder
    return Project(config=config, path=folder / (config.baseline or DEFAULT_NAME))


def shown(path: Path) -> str:
    """``path`` as the user would type it here."""
    here = Path.cwd()
    if path.is_relative_to(here):
        return path.relative_to(here).as_posix()
    return str(path)


def select(keys: Iterable[str], named: Sequence[str], folder: Path) -> list[str]:
    """The ``keys`` that are ``named``, all of them when none is.

    A name is a key, the start of keys (a folder, a file, a test without its parameters), or a glob;
    relative to the baseline's ``folder`` or to where the command was started.

    Raises:
        NoSuchKey: A name is none of this.
    """
    keys = list(keys)
    if not named:
        return keys
    chosen: dict[str, None] = {}
    for name in named:
        if not name.strip():
            raise NoSuchKey("an empty name is that of no entry; name a test, a file or a folder")
        found = [key for key in keys if _names(name, key)]
        path, separator, rest = name.partition("::")
        if not found and path:
            relative = PurePath(os.path.relpath(path, folder)).as_posix()
            found = [key for key in keys if _names(f"{relative}{separator}{rest}", key)]
        if not found:
            near = get_close_matches(name, keys, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}" if near else ""
            raise NoSuchKey(f"no entry for {name}{hint}")
        chosen |= dict.fromkeys(found)
    return [key for key in keys if key in chosen]


def _names(name: str, key: str) -> bool:
    name = name.removeprefix("./").rstrip("/")
    bare = next((key.removeprefix(p) for p in PREFIXES if key.startswith(p)), key)
    for one in {key, bare}:
        if one == name or name == ".":
            return True
        if one.startswith(name) and one[len(name) :].startswith(("/", "::", "[")):
            return True
        if any(sign in name for sign in "*?") and fnmatchcase(one, name):
            return True
    return False


def live_text(entry: Entry) -> str:
    """``live``, ``live, 5 runs`` or ``replayed``."""
    if not entry.live:
        return "replayed"
    runs = len(entry.runs)
    return f"live, {runs} {'run' if runs == 1 else 'runs'}" if runs else "live"
