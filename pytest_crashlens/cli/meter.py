"""``crashlens meter``: calls, tokens and dollars in recordings that are already there."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import guarded, say

if TYPE_CHECKING:
    from pytest_crashlens.cli.metering import Meter, Metered, Totals
    from pytest_crashlens.recordings.recording import Unreadable

    Entry = Metered | Unreadable

HELP = "read recorded traffic: calls, tokens, dollars"
DESCRIPTION = """\
Reads cassettes (vcrpy, Betamax, Ruby's VCR; YAML and JSON), HAR files and lines
of JSON (.jsonl), each also packed with gzip, and prints the LLM calls, tokens
and dollars in them. Files are known by what is in them; folders are searched."""
EPILOG = """\
exit codes:
  0  all recordings were read
  1  some files, or parts of them, could not be read (each is named)
  2  a wrong argument, no such path, or no recordings there
"""

_PATIENCE = 1.0
"""Seconds until a progress line is shown, and between its changes."""

_CLEARED = "\r\x1b[K"


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = commands.add_parser(
        "meter",
        help=HELP,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file or folder")
    parser.add_argument(
        "--at",
        type=_day,
        metavar="YYYY-MM-DD",
        help="use the price list of that day; default: today (UTC)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object for each exchange instead"
    )
    parser.add_argument("--all", action="store_true", help="show every model in the table")


def run(given: argparse.Namespace) -> int:
    """Meter the paths; returns the exit code."""
    return guarded(lambda: _meter(given.paths, given.at or datetime.now(UTC).date(), given))


def _meter(paths: Sequence[Path], day: date, given: argparse.Namespace) -> int:
    from pytest_crashlens.cli.metering import Meter, Totals
    from pytest_crashlens.recordings.find import shown
    from pytest_crashlens.recordings.recording import Unreadable

    missing = [shown(path) for path in paths if not path.exists()]
    if missing:
        say(f"no such file or folder: {', '.join(missing)}", sys.stderr)
        return 2
    totals = Totals()
    entries = _entries(paths, Meter.load(at=_noon(day)), totals)
    over_output = given.json and sys.stdout.isatty()
    for entry in _with_progress(entries, over_output=over_output):
        if isinstance(entry, Unreadable):
            totals.unreadable.append(entry)
            if given.json:
                say(str(entry), sys.stderr)
            continue
        totals.add(entry)
        if given.json:
            say(json.dumps(as_plain(entry)))
    if not totals.files and not totals.unreadable:
        places = ", ".join(shown(path) for path in paths)
        say(f"no recordings in {places}", sys.stderr)
        return 2
    if not given.json:
        from pytest_crashlens.cli.meter_table import lines

        for line in lines(totals, day, everything=given.all):
            say(line)
    return 1 if totals.unreadable else 0


def _entries(paths: Sequence[Path], meter: Meter, totals: Totals) -> Iterator[Entry]:
    from pytest_crashlens.recordings.find import find, read
    from pytest_crashlens.recordings.recording import Unreadable

    for found in find(paths):
        if isinstance(found, Unreadable):
            yield found
            continue
        totals.files += 1
        for entry in read(found):
            yield entry if isinstance(entry, Unreadable) else meter.measure(entry)


def as_plain(metered: Metered) -> dict[str, Any]:
    """The object that ``--json`` prints: always the same names, null where nothing is known."""
    from pytest_crashlens.model.money import plain_usd
    from pytest_crashlens.model.usage import USAGE_FIELDS

    recording, call, cost = metered.recording, metered.call, metered.cost
    return {
        "source": recording.source,
        "index": recording.index,
        **({} if recording.id is None else {"id": recording.id}),
        "call": call is not None,
        "provider": call and call.provider,
        "endpoint": call and call.endpoint,
        "model_requested": call and call.model_requested,
        "model_returned": call and call.model_returned,
        "status": recording.exchange.status,
        "streaming": call and call.streaming,
        "usage": {name: call and getattr(call.usage, name) for name in USAGE_FIELDS},
        "usage_source": call and call.usage_source,
        "cost_usd": None if cost is None or cost.usd is None else plain_usd(cost.usd),
        "stated_cost_usd": call and call.stated_cost_usd,
        "price_status": cost and cost.status,
        "notes": list(metered.notes),
    }


def _with_progress(entries: Iterator[Entry], *, over_output: bool) -> Iterator[Entry]:
    """``entries``, telling a waiting person how many there were.

    Only in a terminal, only on long work, and not where the output itself runs over it.
    """
    if over_output or not sys.stderr.isatty():
        yield from entries
        return
    told = time.monotonic()
    shown = False
    try:
        for number, entry in enumerate(entries):
            if time.monotonic() - told > _PATIENCE:
                sys.stderr.write(f"{_CLEARED}{number:,} exchanges ...")
                sys.stderr.flush()
                told, shown = time.monotonic(), True
            yield entry
    finally:
        if shown:
            sys.stderr.write(_CLEARED)
            sys.stderr.flush()


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a day such as 2026-03-31, not {text!r}"
        ) from None


def _noon(day: date) -> datetime:
    """The middle of a day: some price lists have other prices by night."""
    return datetime.combine(day, clock(12), UTC)
