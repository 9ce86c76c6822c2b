"""What of the last run can be put into the baseline, without running or paying again."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from pathlib import Path

from pytest_crashlens.baseline.difference import usd_change
from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, load, locked, write
from pytest_crashlens.baseline.revisions import GitError, Repository
from pytest_crashlens.baseline.stale import Rename
from pytest_crashlens.cli.project import Project, select, shown
from pytest_crashlens.errors import CrashlensError
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.policy.config import Config
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.report.last_run import (
    Change,
    LastRun,
    digest_of,
    find_last_run,
    load_last_run,
    to_plain,
)


class NotAcceptable(CrashlensError):
    """The last run does not tell (any more) what belongs into the baseline."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of the last run beside what the baseline holds now."""

    change: Change
    before: Cost | None
    """At the baseline's cards; None: no entry."""
    now: Cost
    refused: str | None = None
    """Why it is not accepted."""

    @property
    def key(self) -> str:
        """The entry's key."""
        return self.change.key


@dataclass(slots=True)
class LastState:
    """The last run and the baseline it is about."""

    place: Path
    last: LastRun
    stored: Baseline
    config: Config
    obstacles: tuple[str, ...] = field(default=())
    """Why the run does not tell any more, overridden by force."""

    @classmethod
    def find(cls, force: bool, project: Project | None = None) -> LastState:
        """The last run at or above the current folder.

        Args:
            force: Take it though it may not tell any more.
            project: The files the user names; the run must be of the same baseline.

        Raises:
            CrashlensError: There is none, or it does not tell any more and ``force`` is not given.
        """
        place = find_last_run(Path.cwd())
        last = load_last_run(place)
        path = last.baseline_path
        if project is not None and project.path.resolve() != path.resolve():
            raise NotAcceptable(
                f"the last run was compared with {shown(path)}, not with {project.name}"
            )
        obstacles = tuple(_obstacles(last))
        if obstacles and not force:
            raise NotAcceptable("\n".join(f"{each}, or add --force" for each in obstacles))
        config = project.config if project else _config(path)
        return cls(place, last, load(path) or Baseline(), config, obstacles)

    @property
    def name(self) -> str:
        """The baseline's path as the user would type it."""
        return shown(self.last.baseline_path)

    def proposals(self, named: Sequence[str], *, force: bool) -> list[Proposal]:
        """The changes of the named tests (all of them when none is named).

        Raises:
            CrashlensError: A name is that of no change.
        """
        by_name: dict[str, str] = {}
        for change in self.last.changes:
            by_name[change.key] = change.key
            if change.nodeid:
                by_name.setdefault(change.nodeid, change.key)
        rootdir = self.place.parents[3]
        try:
            keys = {by_name[name] for name in select(by_name, named, rootdir)}
        except CrashlensError as error:
            raise NotAcceptable(
                f"{error}; the last run found nothing to accept there "
                "(crashlens review lists what it found)"
            ) from None
        return [
            self._proposal(change, force=force)
            for change in self.last.changes
            if change.key in keys
        ]

    def _proposal(self, change: Change, *, force: bool) -> Proposal:
        cards = {**self.last.now.cards, **self.stored.cards}
        entry = self.last.now.entries[change.key]
        known = self.stored.entries.get(change.key)
        before = None if known is None else known.cost(cards)
        now = entry.cost(cards)
        refused = None
        if not change.acceptable:
            kinds = ", ".join(kind.replace("_", " ") for kind in change.kinds)
            refused = f"{kinds or 'it'} cannot be accepted: change the test or the limit"
        elif known is not None and not force:
            refused = self._too_far(known, entry, known.cost(cards), now)
        return Proposal(change, before, now, refused)

    def _too_far(self, old: Entry, new: Entry, before: Cost, now: Cost) -> str | None:
        most = self.config.max_accept_increase
        if most is None:
            return None
        if usd_change(before, now) is not None:
            amounts = before.usd or Decimal(0), now.usd or Decimal(0)
        else:
            amounts = Decimal(old.usage.total_tokens), Decimal(new.usage.total_tokens)
        with localcontext(EXACT):
            if amounts[1] <= amounts[0] * (1 + most / 100):
                return None
        return f"rises by more than max_accept_increase ({most:f} %): add --force"

    def renames(self) -> list[Rename]:
        """Proposals whose old entry is still there and whose new one is not."""
        entries = self.stored.entries
        return [one for one in self.last.renames if one.old in entries and one.new not in entries]

    def stale(self) -> list[str]:
        """Entries whose tests are gone and that are still there."""
        return [key for key in self.last.stale if key in self.stored.entries]

    def write(
        self,
        accept: Collection[str] = (),
        rename: Mapping[str, str] | None = None,
        remove: Collection[str] = (),
        reason: str | None = None,
    ) -> bool:
        """Change the baseline, and leave of the last run what is still open.

        Args:
            accept: Keys to write as the last run saw them.
            rename: New keys by old ones: entries that are kept under another name.
            remove: Keys to delete.
            reason: Kept with each accepted entry.

        Returns:
            False: the file was so already.

        Raises:
            BaselineError: It cannot be read or written; nothing is changed.
        """
        path = self.last.baseline_path
        with locked(path):
            current = load(path) or Baseline()  # read again: another may have written meanwhile
            entries = dict(current.entries)
            for old, new in (rename or {}).items():
                entries[new] = entries.pop(old)
            for key in remove:
                entries.pop(key, None)
            accepted = {key: replace(self.last.now.entries[key], reason=reason) for key in accept}
            merged = replace(current, entries=entries).merged(accepted, self.last.now.cards)
            written = write(path, merged)
        done = {*accept, *(rename or {}).values()}
        gone = {*remove, *(rename or {})}
        self.stored = merged
        self.last = replace(
            self.last,
            baseline_digest=digest_of(path),
            # of tests that share a key, only the first one's change is done
            changes=tuple(
                one for one in self.last.changes if one.key not in done or not one.acceptable
            ),
            renames=tuple(
                one for one in self.last.renames if one.old not in gone and one.new not in done
            ),
            stale=tuple(key for key in self.last.stale if key not in gone),
        )
        self._keep()
        return written

    def _keep(self) -> None:
        """Store what is left of the run; without it the next command says that it is old."""
        text = json.dumps(to_plain(self.last, self.place), indent=2, sort_keys=True) + "\n"
        temporary = None
        with suppress(OSError):
            descriptor, temporary = tempfile.mkstemp(dir=self.place.parent, prefix=".last-run.")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(self.place)
            temporary = None
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()


def _obstacles(last: LastRun) -> Iterator[str]:
    path = last.baseline_path
    if digest_of(path) != last.baseline_digest:
        yield f"{shown(path)} has changed since the last run: run the tests again"
    for fault in last.incomplete:
        yield f"the last run is incomplete ({fault}): run the tests again"
    head = _head(path.parent)
    if head != last.git_head:
        names = [commit[:10] if commit else "no commit" for commit in (last.git_head, head)]
        yield f"the last run is of {names[0]}, checked out is {names[1]}: run the tests again"


def _head(folder: Path) -> str | None:
    try:
        return Repository.of(folder).head()
    except GitError:
        return None


def _config(baseline: Path) -> Config:
    """The crashlens.yml that holds for the baseline.

    Raises:
        ConfigError: It cannot be used.
    """
    from pytest_crashlens.policy.loader import find_config, load_config, project_folder

    found = find_config(project_folder(baseline.parent), None)
    return load_config(found) if found else Config()
