"""``crashlens review``: what the last run left to decide."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, folded, guarded, plural, say_all, say_json
from pytest_crashlens.cli.project import add_files, find_project

if TYPE_CHECKING:
    from pytest_crashlens.baseline.stale import Rename
    from pytest_crashlens.cli.accepting import LastState, Proposal

DESCRIPTION = """\
Lists what the last run (pytest --crashlens) left to decide: figures that are
not in the baseline, tests that seem renamed, entries whose tests are gone. On a
terminal it asks for each; else nothing is changed."""
EPILOG = """\
exit codes:
  0  nothing is left to decide
  1  something is, or the run failed as a whole (a budget, creep, a shift)
  2  no last run, or one that does not tell any more: incomplete, of another
     commit, or of a baseline that has changed since (--force overrides)
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "review",
        lambda given: guarded(lambda: _review(given)),
        help="what the last run left to accept, one by one",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("--no-input", action="store_true", help="list, and ask nothing")
    parser.add_argument("--force", action="store_true", help="also after later changes")
    add_files(parser)


@dataclass(slots=True)
class _Open:
    """What is left to decide."""

    proposals: list[Proposal]
    renames: list[Rename]
    stale: list[str]
    session: tuple[str, ...] = ()
    """What failed the run as a whole: told, and never asked."""

    @property
    def number(self) -> int:
        return len(self.proposals) + len(self.renames) + len(self.stale)


def _review(given: argparse.Namespace) -> int:
    from pytest_crashlens.cli.accepting import LastState

    named = given.baseline is not None or given.config is not None
    state = LastState.find(given.force, find_project(given) if named else None)
    left = _open(state, force=given.force)
    if given.json:
        say_json(_plain(state, left))
    elif left.number and not given.no_input and sys.stdin.isatty() and sys.stdout.isatty():
        _ask(state, left)
        left = _open(state, force=given.force)
        say_all([*_session_lines(left), _end(state, left)])
    else:
        say_all(_lines(left))
        say_all([_end(state, left)])
    return 1 if left.number or left.session else 0


def _open(state: LastState, *, force: bool) -> _Open:
    renames = state.renames()
    moved = {one.new for one in renames}
    return _Open(
        proposals=[one for one in state.proposals((), force=force) if one.key not in moved],
        renames=renames,
        stale=[key for key in state.stale() if key not in {one.old for one in renames}],
        session=state.last.session,
    )


def _lines(left: _Open) -> list[str]:
    lines = [_accept_line(one) for one in left.proposals]
    for rename in left.renames:
        lines += [_rename_line(rename), f"  crashlens accept --rename {rename.old} {rename.new}"]
    lines += [_stale_line(key) for key in left.stale]
    return [*lines, *_session_lines(left)]


def _session_lines(left: _Open) -> list[str]:
    return [f"failed the run: {text}" for text in left.session]


def _accept_line(one: Proposal) -> str:
    from pytest_crashlens.cli.accept import money

    words = f"{one.change.state}: {one.key}: {money(one)}"
    return words if one.refused is None else f"{words}; {one.refused}"


def _rename_line(one: Rename) -> str:
    usage = f"same {plural(one.calls, 'call')}, {plural(one.tokens, 'token')}"
    return f"renamed? {one.old} -> {one.new}: {usage}"


def _stale_line(key: str) -> str:
    return f"stale: {key}: its test is gone"


def _end(state: LastState, left: _Open) -> str:
    if not left.number:
        if left.session:
            return (
                f"{state.name}: nothing to accept, but the run failed as a whole; "
                "mend it and run the tests again"
            )
        return f"{state.name}: nothing is left to decide"
    ways = []
    if any(one.refused is None for one in left.proposals):
        ways.append("crashlens accept [NODEID...]")
    if left.stale:
        ways.append("crashlens prune --stale")
    how = f": {'; '.join(ways)}" if ways else ""
    return f"{state.name}: {left.number:,} to decide{how}"


def _ask(state: LastState, left: _Open) -> None:
    """Ask for each, then write all at once."""
    accept: list[str] = []
    rename: dict[str, str] = {}
    remove: list[str] = []
    try:
        for one in left.proposals:
            if one.refused is not None:
                say_all([_accept_line(one)])
            elif _yes(_accept_line(one), "accept"):
                accept.append(one.key)
        for each in left.renames:
            if _yes(_rename_line(each), "rename the entry"):
                rename[each.old] = each.new
        for key in left.stale:
            if _yes(_stale_line(key), "delete the entry"):
                remove.append(key)
    except EOFError:
        sys.stdout.write("\n")
    if accept or rename or remove:
        state.write(accept, rename, remove)
        number = len(accept) + len(rename) + len(remove)
        say_all([f"{state.name}: {plural(number, 'change')} written"])


def _yes(line: str, what: str) -> bool:
    """Whether the user says y.

    Raises:
        EOFError: They say q, or nothing any more.
    """
    for part in folded(line):
        sys.stdout.write(f"{part}\n")
    while True:
        answer = input(f"  {what}? [y/n/q] ").strip().lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("n", "no"):
            return False
        if answer in ("q", "quit"):
            raise EOFError


def _plain(state: LastState, left: _Open) -> dict[str, Any]:
    from pytest_crashlens.cli.accept import plain_proposal

    return {
        "schema_version": 1,
        "file": state.name,
        "proposals": [plain_proposal(one) for one in left.proposals],
        "renames": [
            {"old": one.old, "new": one.new, "calls": one.calls, "tokens": one.tokens}
            for one in left.renames
        ],
        "stale": left.stale,
        "session": list(left.session),
    }
