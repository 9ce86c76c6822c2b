"""``crashlens diff``: what changed between two baselines, and what it costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, plural, say_all, say_json
from pytest_crashlens.cli.project import add_files, find_project

if TYPE_CHECKING:
    from pytest_crashlens.baseline.difference import Change, Difference
    from pytest_crashlens.pricing.card import Cost

DESCRIPTION = """\
Compares two baselines test by test. Each of A and B is a file, the JSON report
of a run (--crashlens-report=json:PATH), or a revision of the git repository:
REV (of the baseline, its renames followed) or REV:PATH (from the top folder).
An existing file goes before a revision. Without A: the baseline in HEAD;
without B: the one in the working tree. Both sides are priced with the rate
cards of A, so that a new price list is no change; it is told apart."""
EPILOG = """\
exit codes:
  0  compared
  1  with --fail: a test costs more, lost all its calls, or cannot be compared
     (new tests are no rise)
  2  a side cannot be read
"""
SHOWN = 20


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "diff",
        lambda given: guarded(lambda: _diff(given)),
        help="what changed between two baselines, and why",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("sides", nargs="*", metavar="A B", help="at most two")
    parser.add_argument("--fail", action="store_true", help="exit 1 when something rose")
    parser.add_argument("--all", action="store_true", help=f"show more than {SHOWN} tests")
    add_files(parser)


def _diff(given: argparse.Namespace) -> int:
    from pytest_crashlens.baseline.difference import difference
    from pytest_crashlens.cli.sides import pair
    from pytest_crashlens.errors import CrashlensError

    if len(given.sides) > 2:
        raise CrashlensError(f"two sides can be compared, not {len(given.sides)}")
    first, old, second, new, left_out = pair(find_project(given), given.sides)
    found = difference(old, new)
    if given.json:
        say_json(
            {"schema_version": 1, "from": first, "to": second, **as_plain(found)}
            | {"not_compared": left_out}
        )
    else:
        say_all([f"{first} -> {second}"])
        say_all(lines(found, None if given.all else SHOWN))
        if left_out:
            say_all([f"not compared, as the report lacks them: {plural(len(left_out), 'test')}"])
    return 1 if given.fail and found.rose else 0


def lines(found: Difference, cap: int | None) -> Iterator[str]:
    """The difference for people; at most ``cap`` tests."""
    from pytest_crashlens.model.money import format_usd_change

    for change in found.changes[:cap]:
        yield from change_lines(change)
    if cap is not None and len(found.changes) > cap:
        yield f"... and {len(found.changes) - cap:,} more (--all shows them)"
    for old, new in list(found.renamed.items())[:cap]:
        yield f"renamed: {old} -> {new} (same usage)"
    if cap is not None and len(found.renamed) > cap:
        yield f"... and {len(found.renamed) - cap:,} more renamed (--all shows them)"
    if found.empty:
        yield "no differences"
    else:
        yield f"total: {cost_change(found.before, found.now)}"
    if found.price_list:
        yield (
            f"note: another price list is stored with the new side: "
            f"{format_usd_change(found.price_list)} in all; not counted"
        )


def change_lines(change: Change) -> Iterator[str]:
    """What changed in one test, and why."""
    from pytest_crashlens.report.failure import cause_text

    comparison = change.comparison
    before, now = comparison.costs()
    yield f"{change.state}: {change.key}"
    if change.state == "new":
        yield f"  {_cost_text(now)}, {_counts(comparison.now)}"
    elif change.state == "removed":
        yield f"  was {_cost_text(before)}, {_counts(comparison.before)}"
    else:
        yield f"  {cost_change(before, now)}"
        for cause in comparison.causes() if change.state != "vanished" else ():
            yield f"  {cause_text(cause)}"
    if change.reason is not None:
        yield f"  reason: {change.reason}"


def cost_change(before: Cost, now: Cost) -> str:
    """``$0.010 -> $0.015 (+50 %)``."""
    from pytest_crashlens.baseline.causes import percent_change

    if before.usd is not None and before == now:
        return f"{_cost_text(now)}, as before"
    text = f"{_cost_text(before)} -> {_cost_text(now)}"
    if before.usd is None or now.usd is None:
        return text
    return f"{text} ({percent_change(before.usd, now.usd)})"


def _cost_text(cost: Cost) -> str:
    from pytest_crashlens.report.terminal import cost_text

    return cost_text(cost)


def _counts(entry: Any) -> str:
    return f"{plural(entry.calls, 'call')}, {plural(entry.usage.total_tokens, 'token')}"


def as_plain(found: Difference) -> dict[str, Any]:
    """The difference for JSON."""
    from pytest_crashlens.model.money import plain_usd

    return {
        "rose": bool(found.rose),
        "changes": [change_plain(change) for change in found.changes],
        "renamed": dict(found.renamed),
        "total": {"before": _cost_plain(found.before), "now": _cost_plain(found.now)},
        "price_list_usd": None if found.price_list is None else plain_usd(found.price_list),
    }


def change_plain(change: Change) -> dict[str, Any]:
    """One test for JSON."""
    from pytest_crashlens.model.money import plain_usd

    comparison = change.comparison
    before, now = comparison.costs()
    return {
        "key": change.key,
        "state": change.state,
        "before": None if change.state == "new" else _side(comparison.before, before),
        "now": None if change.state == "removed" else _side(comparison.now, now),
        "causes": [
            {
                "kind": cause.kind,
                "text": cause.text,
                "usd": None if cause.usd is None else plain_usd(cause.usd),
            }
            for cause in (comparison.causes() if change.state not in ("new", "removed") else ())
        ],
        "reason": change.reason,
    }


def _side(entry: Any, cost: Cost) -> dict[str, Any]:
    return {
        "calls": entry.calls,
        "tokens": entry.usage.total_tokens,
        **_cost_plain(cost),
    }


def _cost_plain(cost: Cost) -> dict[str, Any]:
    from pytest_crashlens.model.money import plain_usd

    usd = None if cost.usd is None else plain_usd(cost.usd)
    return {"cost_usd": usd, "price_status": cost.status}
