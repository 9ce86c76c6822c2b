"""``crashlens report``: a saved run as a comment, as annotations, as a page, or as JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, say
from pytest_crashlens.cli.project import add_files, find_project

if TYPE_CHECKING:
    from pytest_crashlens.report.html_parts import Point

DESCRIPTION = """\
Renders the JSON report of a run (pytest --crashlens
--crashlens-report=json:RUN.json) for people and machines: the same text as the
run itself writes. The file may come from anybody (the artifact of a fork, say):
its size and every value are checked, and nothing in it is executed."""
EPILOG = """\
exit codes:
  0  rendered, whatever the run's verdict was
  2  the file cannot be read or is no report, or the output cannot be written
"""
VERSIONS = 60
"""Of the baseline, on the page."""
FORMATS = ("markdown", "github", "html", "json")


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "report",
        lambda given: guarded(lambda: _report(given)),
        help="a saved run as a comment, as annotations, as a page, or as JSON",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("saved", type=Path, metavar="RUN.json")
    parser.add_argument("--format", choices=FORMATS, help="default: markdown")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there, do not print")
    parser.add_argument(
        "--max-bytes", type=int, metavar="N", help="read larger files too; default: 64 MiB"
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="with html: also what the baseline cost over its commits in git",
    )
    add_files(parser)


def _report(given: argparse.Namespace) -> int:
    from pytest_crashlens.errors import CrashlensError
    from pytest_crashlens.report.html import html
    from pytest_crashlens.report.saved_run import MAX_BYTES, load_run, saved_text
    from pytest_crashlens.report.writers import WRITERS

    kind = given.format or ("json" if given.json else "markdown")
    if given.json and kind != "json":
        raise CrashlensError(f"--json and --format {kind}: choose one")
    if given.history and kind != "html":
        raise CrashlensError("--history is for --format html")
    run, plain = load_run(given.saved, MAX_BYTES if given.max_bytes is None else given.max_bytes)
    of_view = WRITERS[kind].of_view
    if given.history:
        text = html(run, _history(given))
    else:
        text = saved_text(plain) if of_view is None else of_view(run)
    if given.output is None:
        for line in text.splitlines():
            say(line)
        return 0
    try:
        given.output.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise CrashlensError(
            f"{given.output}: cannot be written: {error.strerror or error}"
        ) from None
    say(f"{given.output}: written", sys.stderr)
    return 0


def _history(given: argparse.Namespace) -> list[Point]:
    """The newest versions of the baseline, oldest first."""
    from pytest_crashlens.cli.history import read_steps
    from pytest_crashlens.report.html_parts import Point

    found, unreadable = read_steps(find_project(given), limit=VERSIONS)
    for fault in unreadable:
        say(f"not read: {fault}", sys.stderr)
    return [
        Point(
            step.version.day,
            step.version.commit[:8],
            len(step.baseline.entries),
            step.cost.usd,
            step.cost.status == "priced",
            step.version.author,
            step.version.subject,
        )
        for step in reversed(found)
    ]
