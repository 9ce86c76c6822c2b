"""The baseline as committed where a change starts from: what reports hold the whole change against.

A rise that was accepted in a change is no difference to the change's own baseline; to the one it
started from it is. Nothing is judged by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.difference import recarded
from pytest_crashlens.baseline.entry import Entry, Kind
from pytest_crashlens.baseline.file import Baseline, parse
from pytest_crashlens.baseline.revisions import GitError, Repository
from pytest_crashlens.baseline.stale import renamed
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.pricing.card import RateCard

FIX = (
    "In CI it has to be fetched too: 'fetch-depth: 2' of actions/checkout for HEAD^1, "
    "'GIT_DEPTH: \"0\"' of GitLab"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The baseline in another commit."""

    revision: str
    """What the user calls it."""
    commit: str
    baseline: Baseline | None
    """None: there was none yet, or it is broken."""
    changed: bool
    """Whether the file is another one now."""
    fault: str | None = None
    """Why it cannot be read: the change may be what mends it."""


def find_base(revision: str | None, path: Path) -> Base | None:
    """What the baseline at ``path`` was in the commit ``revision``, whatever it was called.

    Raises:
        GitError: There is no repository, no such commit, or git cannot read it.
    """
    if not revision:
        return None
    try:
        repository = Repository.of(path.parent)
        commit = repository.commit(revision)
        found = repository.read_followed(commit, repository.name(path))
    except GitError as error:
        raise GitError(f"--crashlens-base={revision}: {error}. {FIX}") from None
    name, text = found or ("", None)
    try:
        now = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        now = None  # who reads it next says why
    baseline, fault = None, None
    if text is not None:
        try:
            baseline = parse(text, f"{revision}:{name}")
        except BaselineError as error:
            fault = str(error)
    changed = text is None or text.replace("\r\n", "\n") != now
    return Base(revision=revision, commit=commit, baseline=baseline, changed=changed, fault=fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a test uses in this run, and its entry in the baseline of today."""

    key: str
    now: Entry
    cards: Mapping[str, RateCard]
    """Of ``now``."""
    stored: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """A test held against the base."""

    comparison: Comparison | None
    """None: it had no entry then."""
    renewed: bool
    """Whether its entry is another one now: somebody accepted that."""
    reason: str | None
    """Why, in their words."""


def since(base: Baseline, entries: Mapping[str, Entry], tests: Sequence[Used]) -> list[Since]:
    """Hold each of ``tests`` against ``base``; ``entries`` are those of the baseline of today."""
    names = names_then(base, entries)
    found: list[Since | None] = [None] * len(tests)
    for numbers in _rounds(tests):
        keys = {number: names.get(tests[number].key, tests[number].key) for number in numbers}
        cards = {name: card for n in numbers for name, card in tests[n].cards.items()}
        used = Baseline({keys[number]: tests[number].now for number in numbers}, cards)
        priced = recarded(used, base)
        cards = {**cards, **base.cards}
        for number, key in keys.items():
            found[number] = _since(tests[number], base.entries.get(key), priced[key], cards)
    return [one for one in found if one is not None]


def _rounds(tests: Sequence[Used]) -> Iterator[list[int]]:
    """Numbers of tests with a key of their own: one round, unless tests share a key."""
    rounds: list[dict[str, int]] = []
    times: dict[str, int] = {}
    for number, test in enumerate(tests):
        seen = times[test.key] = times.get(test.key, -1) + 1
        if seen == len(rounds):
            rounds.append({})
        rounds[seen][test.key] = number
    return (list(each.values()) for each in rounds)


def _since(test: Used, before: Entry | None, now: Entry, cards: Mapping[str, RateCard]) -> Since:
    renewed = test.stored is not None and test.stored != before
    # an entry that is written anew never keeps an old reason
    reason = test.stored.reason if test.stored is not None and renewed else None
    if before is None:
        return Since(comparison=None, renewed=renewed, reason=reason)
    comparison = Comparison(before=_with_prices(before, now), now=now, cards=cards)
    return Since(comparison=comparison, renewed=renewed, reason=reason)


def _with_prices(before: Entry, now: Entry) -> Entry:
    """What had no price when it was stored gets the card that its model has now."""
    known = {_priced_as(block.kind): block.kind.card for block in now.blocks}
    blocks = [
        block
        if block.kind.card is not None or block.kind.refused
        else replace(block, kind=replace(block.kind, card=known.get(_priced_as(block.kind))))
        for block in before.blocks
    ]
    return replace(before, blocks=tuple(blocks))


def names_then(base: Baseline, entries: Mapping[str, Entry]) -> dict[str, str]:
    """Old keys by new ones, of tests that were renamed since."""
    gone = {key: entry for key, entry in base.entries.items() if key not in entries}
    come = {key: entry for key, entry in entries.items() if key not in base.entries}
    return {one.new: one.old for one in renamed(gone, come)}


PricedAs = tuple[str, str, str | None, bool]


def _priced_as(kind: Kind) -> PricedAs:
    return kind.provider, kind.model, kind.service_tier, kind.batch
