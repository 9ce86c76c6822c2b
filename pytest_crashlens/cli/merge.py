"""``crashlens merge``: the baselines of shards as one file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_crashlens.cli.output import add_command, guarded, plural, say, say_all, say_json

DESCRIPTION = """\
Writes OUT from the baselines of a run's shards, in whatever order they come.
Replayed tests that are in several of them must be equal; the runs of live
tests are added up. OUT may be one of the parts."""
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
    parser.add_argument("parts", nargs="+", type=Path, metavar="PART")


def _merge(given: argparse.Namespace) -> int:
    from pytest_crashlens.baseline.file import load, write
    from pytest_crashlens.baseline.merge import MergeConflict, merge
    from pytest_crashlens.errors import BaselineError

    parts = []
    for path in given.parts:
        found = load(path)
        if found is None:
            raise BaselineError(f"{path}: there is no such file")
        parts.append(found)
    faults: dict[str, str] = {}
    entries, written = 0, False
    try:
        merged = merge(parts)
    except MergeConflict as conflict:
        faults = conflict.faults
    else:
        entries, written = len(merged.entries), write(given.out, merged)
    if given.json:
        say_json(
            {
                "schema_version": 1,
                "file": str(given.out),
                "parts": [str(path) for path in given.parts],
                "entries": entries,
                "written": written,
                "conflicts": faults,
            }
        )
    elif faults:
        say_all(f"conflict: {key}: {fault}" for key, fault in sorted(faults.items()))
        say(f"{given.out}: not written")
    else:
        what = f"{plural(entries, 'entry', 'entries')} of {plural(len(parts), 'part')}"
        say(f"{given.out}: {what}{'' if written else ', as it was'}")
    return 1 if faults else 0
