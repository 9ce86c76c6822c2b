"""``crashlens check``: whether the baseline is whole, and true to itself."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, plural, say_all, say_json
from pytest_crashlens.cli.project import PREFIXES, Project, add_files, find_project

if TYPE_CHECKING:
    from pytest_crashlens.baseline.file import Baseline

DESCRIPTION = """\
Checks the baseline without running a test: the file can be read, is written as
we write it, holds no cards that nothing uses, its dollars agree with its
tokens and cards, the files of its tests are there, nothing is left of a merge,
and the anchor of crashlens.yml (if any) holds."""
EPILOG = """\
exit codes:
  0  nothing found (warnings at most)
  1  something found; each is named
  2  there is no baseline, or an anchor cannot be looked up
"""
_LEFTOVERS = re.compile(
    r"\.(orig|rej)$|\.(BASE|LOCAL|REMOTE|BACKUP)\.|_(BASE|LOCAL|REMOTE|BACKUP)_\d|^\."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    text: str
    blocks: bool = True


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "check",
        lambda given: guarded(lambda: _check(given)),
        help="check the baseline: form, prices, tests, anchor",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="write the file anew where only its form, cards or dollars are wrong",
    )
    add_files(parser)


def _check(given: argparse.Namespace) -> int:
    from pytest_crashlens.baseline.file import locked, parse, write
    from pytest_crashlens.errors import BaselineError

    project = find_project(given)
    if not project.path.is_file():
        project.load()  # says so
    problems: list[Problem] = []
    baseline, fixed = None, False
    try:
        data = project.path.read_bytes()
        baseline = parse(data.decode(), project.name)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem("unreadable", f"{project.name}: cannot be read: {error}"))
    except BaselineError as error:
        problems.append(Problem("unreadable", str(error)))
    if baseline is not None:
        lost = list(_lost_cards(baseline, data))
        form = list(_form(project, baseline, data))
        # written anew, entries would not even name the card that they lost
        if form and given.fix and not lost:
            with locked(project.path):
                current = parse(project.path.read_bytes().decode(), project.name)
                write(project.path, current.merged({}, {}))
            form, fixed = [], True
        problems += lost
        problems += form
        problems += _without_file(project, baseline)
        problems += _creep(project, baseline)
    problems += _leftovers(project.path)
    _say(given, project, baseline, problems, fixed=fixed)
    return 1 if any(problem.blocks for problem in problems) else 0


def _lost_cards(baseline: Baseline, data: bytes) -> Iterator[Problem]:
    """Cards that entries name and the file has not: what they priced has no price."""
    from pytest_crashlens.baseline.file import REGENERATE

    for card_id, keys in sorted(_users_of_lost_cards(baseline, data).items()):
        more = f" and {plural(len(keys) - 1, 'other')}" if len(keys) > 1 else ""
        text = (
            f"card {card_id} is not in the file, so {keys[0]}{more} cannot be priced (a merge gone "
            f"wrong?); restore it from version control, or run {REGENERATE}"
        )
        yield Problem("lost card", text)


def _users_of_lost_cards(baseline: Baseline, data: bytes) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for key, entry in sorted(json.loads(data)["tests"].items()):
        named = {block.get("card") for block in entry["usage"]} - {None, *baseline.cards}
        for card_id in sorted(named):
            users.setdefault(card_id, []).append(key)
    return users


def _form(project: Project, baseline: Baseline, data: bytes) -> Iterator[Problem]:
    """What writing it anew mends."""
    fix = "; mend it: crashlens check --fix"
    used = {block.kind.card for entry in baseline.entries.values() for block in entry.blocks}
    for card_id, card in sorted(baseline.cards.items()):
        if card_id not in used:
            text = f"card {card_id} ({card.provider}/{card.model}) is used by no test{fix}"
            yield Problem("unused card", text)
    lost = {key for keys in _users_of_lost_cards(baseline, data).values() for key in keys}
    wrong = [one for one in _wrong_costs(baseline, data) if one[0] not in lost]
    for key, stated, right in wrong:
        text = f"{key}: cost_usd is {stated}, its tokens and card make {right}{fix}"
        yield Problem("cost", text)
    if not wrong and not lost and baseline.render().encode() != data:
        yield Problem(
            "form", f"{project.name}: is not as we write it (order, spaces, line ends){fix}"
        )


def _wrong_costs(baseline: Baseline, data: bytes) -> Iterator[tuple[str, str, str]]:
    stated, right = (json.loads(text)["tests"] for text in (data, baseline.render()))
    for key, entry in sorted(stated.items()):
        for here, there in zip(entry["usage"], right[key]["usage"], strict=True):
            costs = here.get("cost_usd"), there.get("cost_usd")
            if not _same(*costs):
                yield key, str(costs[0]), str(costs[1])
                break


def _same(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _without_file(project: Project, baseline: Baseline) -> Iterator[Problem]:
    missing: dict[str, list[str]] = {}
    for key in sorted(baseline.entries):
        bare = next((key.removeprefix(p) for p in PREFIXES if key.startswith(p)), key)
        path, separator, _ = bare.partition("::")
        # a marker may give a test any key: only what can be a file is looked for
        if separator and PurePosixPath(path).suffix and not _is_file(project.path.parent / path):
            missing.setdefault(path, []).append(key)
    for path, keys in missing.items():
        number = plural(len(keys), "entry", "entries")
        text = f"{path}: there is no such file, and {number} of it; delete: crashlens prune {path}"
        yield Problem("no test file", text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _leftovers(path: Path) -> Iterator[Problem]:
    """Files that a merge, or a write that was cut off, has left beside."""
    for each in sorted(path.parent.iterdir()):
        name = each.name
        stem = name.removeprefix(".")
        if name != path.name and stem.startswith(path.stem) and _LEFTOVERS.search(name):
            text = f"{name}: is left of a merge or of a write that was cut off; delete it"
            yield Problem("leftover", text)


def _creep(project: Project, baseline: Baseline) -> Iterator[Problem]:
    from pytest_crashlens.cli.anchored import creep

    for finding in creep(project, baseline):
        yield Problem("creep", finding.text, finding.blocks)


def _say(
    given: argparse.Namespace,
    project: Project,
    baseline: Baseline | None,
    problems: list[Problem],
    *,
    fixed: bool,
) -> None:
    entries = len(baseline.entries) if baseline else 0
    if given.json:
        say_json(
            {
                "schema_version": 1,
                "file": project.name,
                "entries": entries,
                "fixed": fixed,
                "problems": [
                    {"kind": one.kind, "text": one.text, "blocks": one.blocks} for one in problems
                ],
            }
        )
        return
    say_all(one.text if one.blocks else f"warning: {one.text}" for one in problems)
    if fixed:
        say_all([f"{project.name}: written anew"])
    if baseline is not None:
        found = plural(len(problems), "problem") if problems else "fine"
        say_all([f"{project.name}: {plural(entries, 'entry', 'entries')}, {found}"])
