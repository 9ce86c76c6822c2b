"""``crashlens accept``: keep what the last run used as the baseline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, plural, say_all, say_json
from pytest_crashlens.cli.project import add_files, find_project

if TYPE_CHECKING:
    from pytest_crashlens.cli.accepting import LastState, Proposal
    from pytest_crashlens.pricing.card import Cost

DESCRIPTION = """\
Writes the figures of the last run (pytest --crashlens) to the baseline without
running or paying again: of all tests that failed by their cost or have no entry
yet, or of the named ones. Absolute limits and policies are never accepted."""
EPILOG = """\
exit codes:
  0  written, or there is nothing to accept
  1  some of it cannot be accepted (each is named); the rest is written
  2  no last run, or one that does not tell any more: incomplete, of another
     commit, or of a baseline that has changed since (--force overrides)
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "accept",
        lambda given: guarded(lambda: _accept(given)),
        help="keep what the last run used as the baseline",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("names", nargs="*", metavar="NODEID", help="default: all")
    parser.add_argument(
        "--rename",
        nargs=2,
        action="append",
        default=[],
        metavar=("OLD", "NEW"),
        help="keep an entry under the new name of its test, as crashlens review proposes",
    )
    parser.add_argument("--reason", metavar="TEXT", help="why; kept in the baseline")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also after later changes, and above max_accept_increase of crashlens.yml",
    )
    add_files(parser)


def _accept(given: argparse.Namespace) -> int:
    from pytest_crashlens.cli.accepting import LastState
    from pytest_crashlens.errors import CrashlensError

    if given.reason is not None and not (given.reason.strip() and given.reason.isprintable()):
        raise CrashlensError("--reason must be a line of text without control characters")
    named = given.baseline is not None or given.config is not None
    state = LastState.find(given.force, find_project(given) if named else None)
    renamed = dict(given.rename)
    proposed = {one.old: one.new for one in state.renames()}
    for old, new in renamed.items():
        if proposed.get(old) != new:
            raise CrashlensError(
                f"--rename {old} {new}: the last run proposes no such rename "
                "(crashlens review lists them)"
            )
    proposals = []
    if given.names or not renamed:
        proposals = [
            one
            for one in state.proposals(given.names, force=given.force)
            if one.key not in renamed.values()
        ]
    accepted = [one for one in proposals if one.refused is None]
    refused = [one for one in proposals if one.refused is not None]
    if accepted or renamed:
        state.write([one.key for one in accepted], renamed, reason=given.reason)
    if given.json:
        say_json(_plain(state, accepted, refused, renamed))
    else:
        say_all(_lines(state, accepted, refused, renamed))
    return 1 if refused else 0


def _lines(
    state: LastState, accepted: list[Proposal], refused: list[Proposal], renamed: dict[str, str]
) -> list[str]:
    lines = []
    for one in accepted:
        lines += [f"accepted: {one.key}", f"  {money(one)}"]
    lines += [f"renamed: {old} -> {new}" for old, new in renamed.items()]
    for one in refused:
        lines += [f"not accepted: {one.key}", f"  {money(one)}", f"  {one.refused}"]
    number = len(accepted) + len(renamed)
    if number:
        lines.append(f"{state.name}: {plural(number, 'entry', 'entries')} written")
    elif refused:
        lines.append(f"{state.name}: nothing written")
    else:
        lines.append(f"{state.name}: the last run left nothing to accept")
    return lines


def money(proposal: Proposal) -> str:
    """Old and new cost."""
    from pytest_crashlens.cli.diff import cost_change
    from pytest_crashlens.report.terminal import cost_text

    if proposal.before is None:
        return f"new: {cost_text(proposal.now)}"
    return cost_change(proposal.before, proposal.now)


def plain_proposal(one: Proposal) -> dict[str, Any]:
    """A proposal for JSON."""
    return {
        "key": one.key,
        "nodeid": one.change.nodeid,
        "state": one.change.state,
        "kinds": list(one.change.kinds),
        "before_usd": None if one.before is None else _usd(one.before),
        "now_usd": _usd(one.now),
        "refused": one.refused,
    }


def _usd(cost: Cost) -> str | None:
    from pytest_crashlens.model.money import plain_usd

    return None if cost.usd is None else plain_usd(cost.usd)


def _plain(
    state: LastState, accepted: list[Proposal], refused: list[Proposal], renamed: dict[str, str]
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "file": Path(state.name).as_posix(),
        "accepted": [plain_proposal(one) for one in accepted],
        "renamed": renamed,
        "refused": [plain_proposal(one) for one in refused],
    }
