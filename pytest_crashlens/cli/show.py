"""``crashlens show``: what the baseline holds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import (
    WIDTH,
    add_command,
    guarded,
    plural,
    printable,
    say_all,
    say_json,
)
from pytest_crashlens.cli.project import Project, add_files, find_project, live_text, select

if TYPE_CHECKING:
    from pytest_crashlens.baseline.entry import Entry
    from pytest_crashlens.baseline.file import Baseline

DESCRIPTION = """\
Prints the entries of the baseline: calls, tokens and dollars of each test; of
named ones also the models, the runs of live tests and why they were accepted.
KEY is a test as the baseline names it, a file, a folder, or a glob."""
EPILOG = """\
exit codes:
  0  printed
  2  no baseline, or not readable; no entry for a KEY
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "show",
        lambda given: guarded(lambda: _show(given)),
        help="what the baseline holds",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="default: all, in one table")
    parser.add_argument("--all", action="store_true", help="show every row of the table")
    add_files(parser)


def _show(given: argparse.Namespace) -> int:
    project = find_project(given)
    baseline = project.load()
    keys = select(sorted(baseline.entries), given.keys, project.path.parent)
    entries = {key: baseline.entries[key] for key in keys}
    if given.json:
        say_json(_plain(project, baseline, entries))
    elif given.keys:
        say_all(line for key in keys for line in _details(key, entries[key], baseline))
        if len(keys) > 1:
            say_all([_total(entries, baseline)])
    else:
        say_all(_overview(project, baseline, entries, everything=given.all))
    return 0


def _plain(project: Project, baseline: Baseline, entries: dict[str, Entry]) -> dict[str, Any]:
    from pytest_crashlens.baseline.file import Baseline

    stored = json.loads(Baseline(entries, baseline.cards).render())["tests"]
    return {
        "schema_version": 1,
        "file": project.name,
        "tests": {
            key: {**figures(entry, baseline), **stored[key]} for key, entry in entries.items()
        },
        "total": _cost(entries, baseline),
    }


def figures(entry: Entry, baseline: Baseline) -> dict[str, Any]:
    """An entry's sums for JSON."""
    from pytest_crashlens.model.money import plain_usd

    cost = entry.cost(baseline.cards)
    return {
        "calls": entry.calls,
        "retries": entry.retries,
        "tokens": entry.usage.total_tokens,
        "traffic": "live" if entry.live else "replayed",
        "cost_usd": None if cost.usd is None else plain_usd(cost.usd),
        "price_status": cost.status,
    }


def _cost(entries: dict[str, Entry], baseline: Baseline) -> dict[str, Any]:
    from pytest_crashlens.baseline.entry import sum_costs
    from pytest_crashlens.model.money import plain_usd

    cost = sum_costs(entry.cost(baseline.cards) for entry in entries.values())
    return {
        "tests": len(entries),
        "calls": sum(entry.calls for entry in entries.values()),
        "tokens": sum(entry.usage.total_tokens for entry in entries.values()),
        "cost_usd": None if cost.usd is None else plain_usd(cost.usd),
        "price_status": cost.status,
    }


def _overview(
    project: Project, baseline: Baseline, entries: dict[str, Entry], *, everything: bool
) -> Iterator[str]:
    from pytest_crashlens.report.terminal import ROWS_SHOWN, cost_text

    if not entries:
        yield f"{project.name}: no entries"
        return

    def dearest(key: str) -> tuple[Any, ...]:
        usd = entries[key].cost(baseline.cards).usd
        return -(usd or 0), -entries[key].usage.total_tokens, key

    ordered = sorted(entries, key=dearest)
    kept = ordered if everything else ordered[:ROWS_SHOWN]
    rows = [("test", "calls", "tokens", "cost", "traffic")]
    for key in kept:
        entry = entries[key]
        sign = "~" if entry.estimated else ""
        cost = cost_text(entry.cost(baseline.cards), estimated=entry.estimated)
        tokens = f"{sign}{entry.usage.total_tokens:,}"
        rows.append((key, f"{entry.calls:,}", tokens, cost, live_text(entry)))
    yield from table(rows)
    if len(ordered) > len(kept):
        yield f"  ... and {len(ordered) - len(kept):,} more (--all shows them)"
    yield f"{project.name}: {_total(entries, baseline)}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """``rows`` in 80 columns; the first column is shortened where it must be."""
    from pytest_crashlens.report.failure import as_table
    from pytest_crashlens.report.terminal import NARROWEST_NAME, shortened

    others = sum(
        max(len(cell) for cell in column) + 2 for column in list(zip(*rows, strict=True))[1:]
    )
    width = max(WIDTH - others - 2, NARROWEST_NAME)
    return as_table((shortened(printable(name), width), *cells) for name, *cells in rows)


def _details(key: str, entry: Entry, baseline: Baseline) -> Iterator[str]:
    from pytest_crashlens.baseline.entry import block_cost
    from pytest_crashlens.report.terminal import cost_text

    yield key
    rows = [("model", "calls", "input", "cached", "output", "cost")]
    for block in entry.blocks:
        kind, usage = block.kind, block.usage
        marks = [kind.service_tier, "batch" if kind.batch else None]
        marks += ["refused" if kind.refused else None]
        marks += [f"over {kind.band:,} tokens" if kind.band else None]
        mark = "".join(f", {one}" for one in marks if one)
        sign = "" if kind.basis == "exact" else "~"
        rows.append(
            (
                f"{kind.provider}/{kind.model}{mark}",
                f"{block.calls:,}",
                _count(usage.input_tokens, sign),
                _count(usage.cache_read_tokens, sign),
                _count(usage.output_tokens, sign),
                cost_text(block_cost(block, baseline.cards), estimated=kind.basis != "exact"),
            )
        )
    yield from table(rows) if entry.blocks else ["  no calls"]
    if entry.retries:
        yield f"  {plural(entry.retries, 'retry', 'retries')}"
    yield f"  {live_text(entry)}"
    if entry.runs:
        for name in ("calls", "input_tokens", "output_tokens"):
            totals = list(entry.runs.of(name))
            low, high = totals[0], totals[-1]
            words = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            yield f"    {name.replace('_', ' ')} of a run: {words}"
    if entry.reason is not None:
        yield f"  reason: {entry.reason}"


def _count(count: int | None, sign: str) -> str:
    return "-" if count is None else f"{sign}{count:,}"


def _total(entries: dict[str, Entry], baseline: Baseline) -> str:
    from pytest_crashlens.baseline.entry import sum_costs
    from pytest_crashlens.report.terminal import cost_text

    cost = sum_costs(entry.cost(baseline.cards) for entry in entries.values())
    calls = sum(entry.calls for entry in entries.values())
    tokens = sum(entry.usage.total_tokens for entry in entries.values())
    estimated = any(entry.estimated for entry in entries.values())
    return (
        f"{plural(len(entries), 'entry', 'entries')}, {plural(calls, 'call')}, "
        f"{plural(tokens, 'token')}, {cost_text(cost, estimated=estimated)}"
    )
