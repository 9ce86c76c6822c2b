"""``crashlens history``: what tests cost over the commits of the baseline, and who accepted it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, plural, say_all, say_json
from pytest_crashlens.cli.project import Project, add_files, find_project, select, shown

if TYPE_CHECKING:
    from decimal import Decimal

    from pytest_crashlens.baseline.difference import Difference
    from pytest_crashlens.baseline.entry import Entry
    from pytest_crashlens.baseline.file import Baseline
    from pytest_crashlens.baseline.revisions import Version
    from pytest_crashlens.pricing.card import Cost

DESCRIPTION = """\
Reads the baseline's own history in git: for each commit that changed it (along
first parents, renames of the file followed) what the tests cost, priced with
that version's own rate cards, what changed, who accepted it and why."""
EPILOG = """\
exit codes:
  0  printed
  1  some versions cannot be read (each is named); with --anchor: costs rose
     further than crashlens.yml allows
  2  no git, no repository, no such file in it; with --spent: no record
"""
CHANGES_SHOWN = 3
TESTS_CHARTED = 10


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "history",
        lambda given: guarded(lambda: _history(given)),
        help="what tests cost over the commits, and who accepted it",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="the same as --baseline PATH"
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the N newest versions")
    parser.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="KEY",
        help="only these tests: a key, file, folder or glob; repeatable",
    )
    parser.add_argument(
        "--every-commit", action="store_true", help="commits of merged branches too"
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--chart", action="store_true", help="a line of bars for each test")
    ways.add_argument(
        "--anchor", action="store_true", help="hold the costs against the anchor of crashlens.yml"
    )
    ways.add_argument(
        "--spent", action="store_true", help="what test runs on this machine really spent"
    )
    add_files(parser)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, not {text!r}")
    return int(text)


def _history(given: argparse.Namespace) -> int:
    given.baseline = given.path or given.baseline
    project = find_project(given)
    if given.spent:
        from pytest_crashlens.cli.spent import spent

        return spent(given, project)
    if given.anchor:
        return _anchor(given, project)
    steps, unreadable = read_steps(
        project, limit=given.limit, every=given.every_commit, tests=given.test
    )
    if given.json:
        say_json(
            {
                "schema_version": 1,
                "file": project.name,
                "versions": [_plain(step) for step in steps],
                "unreadable": unreadable,
            }
        )
    else:
        say_all(_chart(steps) if given.chart else _table(project, steps))
        say_all(f"not read: {fault}" for fault in unreadable)
    return 1 if unreadable else 0


@dataclass(frozen=True, slots=True)
class Step:
    """One version of the baseline, and how it differs from the one before."""

    version: Version
    baseline: Baseline
    cost: Cost
    """At its own cards."""
    before: Cost | None
    """Of the version before, at that one's own cards; None: this is the first."""
    difference: Difference | None


def read_steps(
    project: Project, *, limit: int | None = None, every: bool = False, tests: Sequence[str] = ()
) -> tuple[list[Step], list[str]]:
    """The versions, newest first, and what is wrong with those that cannot be read."""
    from pytest_crashlens.baseline.difference import difference
    from pytest_crashlens.baseline.entry import sum_costs
    from pytest_crashlens.baseline.file import parse
    from pytest_crashlens.baseline.revisions import GitError, Repository
    from pytest_crashlens.errors import CrashlensError

    folder = project.path.parent
    repository = Repository.of(folder if folder.is_dir() else Path.cwd())
    name = repository.name(project.path)
    # one more than asked for, as the oldest is compared with the one before it
    versions = repository.versions(name, limit=limit + 1 if limit else None, every=every)
    if not versions:
        raise GitError(f"{project.name}: is in no commit of this branch yet")
    readable: list[tuple[Version, Baseline]] = []
    unreadable = []
    for at, version in enumerate(versions):
        try:
            text = repository.read(version.commit, version.path)
            found = parse(text or "", f"{version.commit[:8]}:{version.path}")
        except CrashlensError as error:
            if not limit or at < limit:
                unreadable.append(str(error).partition("; ")[0])
            continue
        readable.append((version, _only(found, tests, folder)))
    if tests and not any(found.entries for _, found in readable):
        raise CrashlensError(f"no version has an entry for {', '.join(tests)}")
    costs = [sum_costs(e.cost(b.cards) for e in b.entries.values()) for _, b in readable]
    steps = []
    for at, (version, baseline) in enumerate(readable[:limit]):
        earlier = readable[at + 1][1] if at + 1 < len(readable) else None
        steps.append(
            Step(
                version,
                baseline,
                costs[at],
                costs[at + 1] if earlier is not None else None,
                difference(earlier, baseline) if earlier is not None else None,
            )
        )
    return steps, unreadable


def _only(baseline: Baseline, named: Sequence[str], folder: Path) -> Baseline:
    from pytest_crashlens.baseline.file import Baseline
    from pytest_crashlens.cli.project import NoSuchKey

    if not named:
        return baseline
    entries: dict[str, Entry] = {}
    for name in named:
        try:
            keys = select(baseline.entries, [name], folder)
        except NoSuchKey:
            continue  # of another version
        entries |= {key: baseline.entries[key] for key in keys}
    return Baseline(entries, baseline.cards)


def _table(project: Project, steps: Sequence[Step]) -> Iterator[str]:
    from pytest_crashlens.cli.show import table
    from pytest_crashlens.report.terminal import cost_text, shortened

    rows = [("date        commit", "tests", "cost", "change", "accepted by")]
    for step in steps:
        version = step.version
        rows.append(
            (
                f"{version.day}  {version.commit[:8]}",
                f"{len(step.baseline.entries):,}",
                cost_text(step.cost),
                _change(step.before, step.cost),
                shortened(version.author, 24),
            )
        )
    header, *lines = table(rows)
    yield header
    for step, line in zip(steps, lines, strict=True):
        yield line
        yield f"    {step.version.subject}"
        yield from (f"    {text}" for text in _what_changed(step))
    yield f"{project.name}: {plural(len(steps), 'version')}, newest first"


def _change(before: Cost | None, now: Cost) -> str:
    from pytest_crashlens.baseline.causes import percent_change

    if before is None or before.usd is None or now.usd is None:
        return "-"
    return percent_change(before.usd, now.usd)


def _what_changed(step: Step) -> Iterator[str]:
    from pytest_crashlens.cli.diff import cost_change
    from pytest_crashlens.report.terminal import cost_text

    if step.difference is None:
        return
    # new reasons and rises first
    changes = sorted(step.difference.changes, key=lambda change: change.reason is None)
    for change in changes[:CHANGES_SHOWN]:
        before, now = change.comparison.costs()
        if change.state == "new":
            money = cost_text(now)
        elif change.state == "removed":
            money = f"was {cost_text(before)}"
        else:
            money = cost_change(before, now)
        yield f"{change.state}: {change.key} {money}"
        if change.reason is not None:
            yield f"  reason: {change.reason}"
    more = len(changes) - CHANGES_SHOWN
    if more > 0:
        yield f"... and {plural(more, 'more change')} (--json has them all)"
    if step.difference.renamed:
        yield f"{plural(len(step.difference.renamed), 'test')} renamed"


def _chart(steps: Sequence[Step]) -> Iterator[str]:
    from pytest_crashlens.cli.chart import sparkline
    from pytest_crashlens.cli.show import table
    from pytest_crashlens.model.money import format_usd

    ordered = list(reversed(steps))
    newest = steps[0]
    rows: list[tuple[str, ...]] = [("test", "oldest to newest", "then", "now", "change")]
    names = sorted(
        newest.baseline.entries,
        key=lambda key: (-(newest.baseline.entries[key].cost(newest.baseline.cards).usd or 0), key),
    )
    series: list[tuple[str, list[Decimal | None]]] = [
        ("total", [step.cost.usd for step in ordered])
    ]
    for key in names[:TESTS_CHARTED]:
        costs = []
        for step in ordered:
            entry = step.baseline.entries.get(key)
            costs.append(None if entry is None else entry.cost(step.baseline.cards).usd)
        series.append((key, costs))
    for name, amounts in series:
        known = [amount for amount in amounts if amount is not None]
        ends = [format_usd(known[0]), format_usd(known[-1])] if known else ["-", "-"]
        change = "-"
        if known:
            from pytest_crashlens.baseline.causes import percent_change

            change = percent_change(known[0], known[-1])
        rows.append((name, sparkline(amounts), *ends, change))
    yield from table(rows)
    if len(names) > TESTS_CHARTED:
        yield f"  ... and {len(names) - TESTS_CHARTED:,} cheaper tests (--test KEY shows one)"
    yield f"{ordered[0].version.day} to {newest.version.day}, {plural(len(steps), 'version')}"


def _plain(step: Step) -> dict[str, Any]:
    from pytest_crashlens.cli.diff import change_plain
    from pytest_crashlens.cli.show import figures
    from pytest_crashlens.model.money import plain_usd

    version = step.version
    return {
        "commit": version.commit,
        "at": version.at,
        "author": version.author,
        "subject": version.subject,
        "path": version.path,
        "cost_usd": None if step.cost.usd is None else plain_usd(step.cost.usd),
        "price_status": step.cost.status,
        "tests": {
            key: figures(entry, step.baseline) for key, entry in step.baseline.entries.items()
        },
        "changes": [change_plain(one) for one in step.difference.changes]
        if step.difference
        else [],
        "renamed": dict(step.difference.renamed) if step.difference else {},
    }


def _anchor(given: argparse.Namespace, project: Project) -> int:
    from pytest_crashlens.cli.anchored import creep
    from pytest_crashlens.errors import ConfigError

    anchor = project.config.anchor
    if anchor is None:
        where = shown(project.config.path) if project.config.path else "crashlens.yml"
        raise ConfigError(
            f'{where}: has no anchor; add one such as anchor: {{at: v1.0, max_increase: "50%"}}'
        )
    found = creep(project, project.load())
    if given.json:
        say_json(
            {
                "schema_version": 1,
                "file": project.name,
                "anchor": anchor.at,
                "max_increase": f"{anchor.max_increase:f}%",
                "findings": [{"text": one.text, "blocks": one.blocks} for one in found],
            }
        )
    else:
        say_all(one.text if one.blocks else f"warning: {one.text}" for one in found)
        if not found:
            limit = f"+{anchor.max_increase:f} %"
            say_all([f"{project.name}: within {limit} of {anchor.at}"])
    return 1 if any(one.blocks for one in found) else 0
