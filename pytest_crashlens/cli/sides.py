"""What ``crashlens diff`` compares: files, reports of runs, and revisions of the baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pytest_crashlens.baseline.entry import Entry, entry_of
from pytest_crashlens.baseline.file import Baseline, load, parse
from pytest_crashlens.baseline.revisions import GitError, Repository
from pytest_crashlens.cli.project import Project, shown
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.model.call import Call
from pytest_crashlens.pricing.book import PriceBook, Unpriced
from pytest_crashlens.pricing.card import RateCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison."""

    name: str
    baseline: Baseline | None
    """None: a report, whose calls get their prices from the other side."""
    calls: Mapping[str, tuple[Call, ...]] | None = None
    """Of a report, by key: the tests that were judged."""

    def priced(self, book: PriceBook, other: Baseline | None) -> Baseline:
        """The baseline; that of a report at the cards of ``other``, else at today's."""
        if self.baseline is not None:
            return self.baseline
        frozen: dict[tuple[str, str, str | None, bool], str] = {}
        for entry in other.entries.values() if other else ():
            for block in entry.blocks:
                if block.kind.card is not None:
                    kind = block.kind
                    priced_as = kind.provider, kind.model, kind.service_tier, kind.batch
                    frozen.setdefault(priced_as, block.kind.card)
        entries: dict[str, Entry] = {}
        cards: dict[str, RateCard] = {}
        card_of = partial(_card_of, book, frozen, other.cards if other else {})
        for key, calls in (self.calls or {}).items():
            entries[key], used = entry_of(calls, card_of)
            cards |= used
        return Baseline(entries, cards)


def _card_of(
    book: PriceBook,
    frozen: Mapping[tuple[str, str, str | None, bool], str],
    cards: Mapping[str, RateCard],
    call: Call,
) -> RateCard | None:
    known = frozen.get((call.provider, call.model or "unknown", call.service_tier, call.batch))
    if known is not None:
        return cards[known]
    found = book.card(call.provider, call.model, service_tier=call.service_tier, batch=call.batch)
    return None if isinstance(found, Unpriced) else found


def pair(project: Project, given: list[str]) -> tuple[str, Baseline, str, Baseline, list[str]]:
    """Names and contents of both sides, and what is in neither because a report lacks it.

    Raises:
        CrashlensError: A side is nothing that can be read.
    """
    repository = None
    if not given:
        repository = Repository.of(project.path.parent)
    first = _side(project, given[0]) if given else _at(project, "HEAD", None, repository)
    second = _side(project, given[1]) if len(given) > 1 else _working(project)
    book = PriceBook(project.config.prices, at=datetime.now(UTC))
    old = first.priced(book, second.baseline)
    new = second.priced(book, old)
    left_out: list[str] = []
    if second.baseline is None:
        left_out += sorted(set(old.entries) - set(new.entries))
        old = replace(old, entries={k: e for k, e in old.entries.items() if k in new.entries})
    if first.baseline is None:
        left_out += sorted(set(new.entries) - set(old.entries))
        new = replace(new, entries={k: e for k, e in new.entries.items() if k in old.entries})
    return first.name, old, second.name, new, left_out


def _working(project: Project) -> Side:
    return Side(name=project.name, baseline=project.load())


def _side(project: Project, text: str) -> Side:
    path = Path.cwd() / text
    try:
        if path.is_file():
            return _file(path)
    except (OSError, ValueError):
        pass  # no path
    revision, separator, name = text.partition(":")
    try:
        return _at(project, revision, name if separator else None, None)
    except GitError as error:
        raise BaselineError(f"{text}: there is no such file, and as a revision: {error}") from None


def _at(project: Project, revision: str, name: str | None, repository: Repository | None) -> Side:
    repository = repository or Repository.of(
        project.path.parent if project.path.parent.is_dir() else Path.cwd()
    )
    commit = repository.commit(revision or "HEAD")
    if name:
        text = repository.read(commit, name)
        found = None if text is None else (name, text)
    else:
        name = repository.name(project.path)
        found = repository.read_followed(commit, name)
    if found is None:
        raise BaselineError(
            f"{revision}:{name}: {revision} has no such file (is the baseline committed?)"
        )
    title = f"{found[0]} at {revision}"
    if not commit.startswith(revision):
        title += f" ({commit[:8]})"
    return Side(name=title, baseline=parse(found[1], f"{revision}:{found[0]}"))


def _file(path: Path) -> Side:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        plain = None  # the baseline's own reader says what is wrong
    if isinstance(plain, dict) and "schema_version" in plain:
        return Side(name=shown(path), baseline=None, calls=_report(plain, shown(path)))
    baseline = load(path)
    if baseline is None:
        raise BaselineError(f"{shown(path)}: there is no such file")
    return Side(name=shown(path), baseline=baseline)


def _report(plain: dict[str, Any], name: str) -> dict[str, tuple[Call, ...]]:
    if plain["schema_version"] != 1:
        raise BaselineError(
            f"{name}: a report of schema_version {plain['schema_version']!r}; this release reads 1"
        )
    try:
        return {
            test["key"]: tuple(Call.from_dict(call) for call in test["calls"])
            for test in plain["tests"]
            if test["state"] != "not judged"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BaselineError(
            f"{name}: is no report of a run; write one: "
            "pytest --crashlens --crashlens-report=json:PATH"
        ) from None
