"""Arguments and exit codes: 0 fine, 1 found something, 2 could not do it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_crashlens import __version__
from pytest_crashlens.cli import (
    accept,
    check,
    diff,
    history,
    merge,
    meter,
    prune,
    review,
    show,
)
from pytest_crashlens.errors import CrashlensError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="crashlens",
        description="The command beside pytest-crashlens. The tests themselves run with: "
        "pytest --crashlens",
    )
    parser.add_argument("--version", action="version", version=f"pytest-crashlens {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    validate = commands.add_parser("validate", help="check crashlens.yml")
    validate.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="the file; default: crashlens.yml or .github/crashlens.yml in this folder",
    )
    meter.add_to(commands)
    for command in (show, diff, accept, review, prune, check, merge, history):
        command.add_to(commands)
    given = parser.parse_args(arguments)
    if given.command == "validate":
        return _validate(given.config)
    code: int = given.run(given)
    return code


def _validate(path: Path | None) -> int:
    from pytest_crashlens.policy.loader import find_config, load_config

    try:
        found = find_config(Path.cwd(), path)
    except CrashlensError as error:
        return _say(str(error), 2)
    if found is None:
        return _say("no crashlens.yml or .github/crashlens.yml here: name it with --config", 2)
    try:
        config = load_config(found)
    except CrashlensError as error:
        return _say(str(error), 1)
    for warning in config.warnings:
        sys.stdout.write(f"{warning.render(str(found))}\n")
    rules = len(config.rules)
    sys.stdout.write(f"{found}: valid, {rules} {'rule' if rules == 1 else 'rules'}\n")
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code
