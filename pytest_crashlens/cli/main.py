"""Arguments and exit codes: 0 fine, 1 found something, 2 could not do it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pytest_crashlens import __version__
from pytest_crashlens.cli import (
    accept,
    check,
    diff,
    history,
    init,
    merge,
    meter,
    prune,
    report,
    review,
    scan,
    show,
    simulate,
    validate,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="crashlens",
        description="The command beside pytest-crashlens. The tests themselves run with: "
        "pytest --crashlens",
    )
    parser.add_argument("--version", action="version", version=f"pytest-crashlens {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (
        init,
        validate,
        meter,
        show,
        diff,
        accept,
        review,
        report,
        prune,
        check,
        merge,
        history,
        simulate,
        scan,
    ):
        command.add_to(commands)
    given = parser.parse_args(arguments)
    code: int = given.run(given)
    return code
