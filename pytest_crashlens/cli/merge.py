"""``crashlens merge``: the baselines of shards as one file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, plural, say, say_all, say_json

if TYPE_CHECKING:
    from pytest_crashlens.baseline.file import Baseline

DESCRIPTION = """\
Writes OUT from the baselines of a run's shards, in whatever order they come.
An entry that only some of them changed (against --base) is theirs. Replayed
tests that several changed must be equal; the runs of live tests are added up.
OUT may be one of the parts."""
EPILOG = """\
exit codes:
  0  written (or as it was already)
  1  the parts contradict each other: each test is named, nothing is written
  2  a part cannot be read, or OUT not be written
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "merge",
        lambda given: guarded(lambda: _merge(given)),
        help="make one baseline of those of several shards",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument(
        "--base",
        type=Path,
        metavar="FILE",
        help="what the shards began with; default: OUT as committed (at HEAD), if it is",
    )
    parser.add_argument("parts", nargs="+", type=Path, metavar="PART")


def _merge(given: argparse.Namespace) -> int:
    from pytest_crashlens.baseline.file import locked, write
    from pytest_crashlens.baseline.merge import MergeConflict, merge, undecided

    faults: dict[str, str] = {}
    notes: dict[str, str] = {}
    entries, written = 0, False
    base = _committed(given.out) if given.base is None else _load(given.base)
    with locked(given.out):
        parts = [_load(path) for path in given.parts]
        try:
            merged = merge(parts, base)
        except MergeConflict as conflict:
            faults = conflict.faults
        else:
            entries, written = len(merged.entries), write(given.out, merged)
            notes = undecided(parts, base)
    if given.json:
        say_json(
            {
                "schema_version": 1,
                "file": str(given.out),
                "parts": [str(path) for path in given.parts],
                "entries": entries,
                "written": written,
                "conflicts": faults,
                "notes": notes,
            }
        )
    elif faults:
        say_all(f"conflict: {key}: {fault}" for key, fault in sorted(faults.items()))
        say(f"{given.out}: not written")
    else:
        say_all(f"note: {key}: {note}" for key, note in sorted(notes.items()))
        what = f"{plural(entries, 'entry', 'entries')} of {plural(len(parts), 'part')}"
        say(f"{given.out}: {what}{'' if written else ', as it was'}")
    return 1 if faults else 0


def _load(path: Path) -> Baseline:
    from pytest_crashlens.baseline.file import load
    from pytest_crashlens.errors import BaselineError

    found = load(path)
    if found is None:
        raise BaselineError(f"{path}: there is no such file")
    return found


def _committed(path: Path) -> Baseline | None:
    """The file at ``path`` as it is in HEAD; None: it is not, or cannot be read there."""
    from pytest_crashlens.baseline.file import parse
    from pytest_crashlens.baseline.revisions import Repository
    from pytest_crashlens.errors import CrashlensError

    try:
        repository = Repository.of(path.parent)
        text = repository.read("HEAD", repository.name(path))
        return None if text is None else parse(text, f"HEAD:{path}")
    except CrashlensError:
        return None
