"""``crashlens prune``: delete entries of tests that are gone."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_crashlens.cli.output import add_command, guarded, plural, say_all, say_json
from pytest_crashlens.cli.project import Project, add_files, find_project, select

DESCRIPTION = """\
Deletes entries from the baseline: the named ones, or with --stale those whose
tests the last run found gone. KEY is a test as the baseline names it, a file,
a folder, or a glob."""
EPILOG = """\
exit codes:
  0  deleted, or there is nothing to delete
  1  with --dry-run: there is something to delete
  2  no such entry; a file cannot be read or written; with --stale: no last run,
     or one that does not tell any more (--force overrides)
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "prune",
        lambda given: guarded(lambda: _prune(given)),
        help="delete entries of tests that are gone",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("keys", nargs="*", metavar="KEY")
    parser.add_argument("--stale", action="store_true", help="what the last run found gone")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    parser.add_argument(
        "--force", action="store_true", help="with --stale: also after later changes"
    )
    add_files(parser)


def _prune(given: argparse.Namespace) -> int:
    from pytest_crashlens.errors import CrashlensError

    if bool(given.keys) == given.stale:
        raise CrashlensError("name entries to delete, or give --stale (not both)")
    if given.stale:
        return _stale(given)
    project = find_project(given)
    keys = select(sorted(project.load().entries), given.keys, project.path.parent)
    if not given.dry_run:
        remove(project.path, keys)
    return _say(given, project.name, keys)


def _stale(given: argparse.Namespace) -> int:
    from pytest_crashlens.cli.accepting import LastState

    state = LastState.find(given.force, None if given.baseline is None else find_project(given))
    keys = [key for key in state.last.stale if key in state.stored.entries]
    if keys and not given.dry_run:
        state.write(remove=keys)
    return _say(given, Project(config=state.config, path=state.last.baseline_path).name, keys)


def remove(path: Path, keys: list[str]) -> None:
    """Delete the entries ``keys`` from the file, and the cards that nobody uses any more."""
    from pytest_crashlens.baseline.file import Baseline, load, locked, write

    with locked(path):
        current = load(path) or Baseline()
        kept = {key: entry for key, entry in current.entries.items() if key not in set(keys)}
        write(path, replace(current, entries=kept).merged({}, {}))


def _say(given: argparse.Namespace, name: str, keys: list[str]) -> int:
    if given.json:
        say_json({"schema_version": 1, "file": name, "dry_run": given.dry_run, "deleted": keys})
    else:
        word = "would delete" if given.dry_run else "deleted"
        say_all(f"{word}: {key}" for key in keys)
        number = plural(len(keys), "entry", "entries") if keys else "nothing"
        say_all([f"{name}: {number} {'to delete' if given.dry_run or not keys else 'deleted'}"])
    return 1 if keys and given.dry_run else 0
