"""What all commands do with their output, and how they end."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from textwrap import wrap
from typing import Any, TextIO

from pytest_crashlens.errors import CrashlensError

WIDTH = 80
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], **texts: str
) -> argparse.ArgumentParser:
    """Add a command to the subparsers ``commands``, with ``--json``.

    ``texts``: ``help``, ``description`` and ``epilog``, which states the exit codes.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=texts["help"],
        description=texts["description"],
        epilog=texts["epilog"],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    parser.set_defaults(run=run)
    return parser


def guarded(command: Callable[[], int]) -> int:
    """Run ``command``; what its user can mend is said in one message, with exit code 2."""
    try:
        code = command()
        sys.stdout.flush()
    except CrashlensError as error:
        say(str(error), sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough
        _abandon_output()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def say(line: str, stream: TextIO | None = None) -> None:
    """Write a line in whatever characters the stream can show."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    shown = line.encode(encoding, "backslashreplace").decode(encoding)
    stream.write(f"{shown}\n")


def say_all(lines: Iterable[str]) -> None:
    """Write ``lines``, those of words wrapped."""
    for line in lines:
        for part in folded(line):
            say(part)


def say_json(plain: Any) -> None:
    """Write one document."""
    say(json.dumps(plain, indent=2, sort_keys=True))


def folded(line: str) -> list[str]:
    """``line`` in 80 columns, where its words allow; the rest is indented further."""
    line = printable(line)
    if len(line) <= WIDTH:
        return [line]
    indent = line[: len(line) - len(line.lstrip())] + "  "
    return wrap(
        line,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )


def printable(text: str) -> str:
    """``text`` without characters that move a terminal (a file may hold any)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 entry``, ``2,000 entries``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _abandon_output() -> None:
    """Write what is left nowhere, so that Python does not complain of it at its end.

    Source: https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # it has no file of its own
        pass
