"""Two whole baselines, test by test, at the rate cards of the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Literal

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.entry import Entry, Kind, sum_costs
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.stale import renamed as find_renamed
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.pricing.card import Cost

ChangeState = Literal["rose", "fell", "moved", "vanished", "basis changed", "new", "removed"]
"""``moved``: other figures at the same cost. ``vanished``: there were calls and are none."""

FAILING: frozenset[ChangeState] = frozenset({"rose", "vanished", "basis changed"})
"""More, or nobody can say that it is not more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One test that is not the same in both."""

    key: str
    state: ChangeState
    comparison: Comparison
    """With an empty entry on the side where there is none."""

    @property
    def reason(self) -> str | None:
        """Why somebody accepted it, where the new side says so and the old one did not."""
        now, before = self.comparison.now.reason, self.comparison.before.reason
        return now if now != before else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What lies between two baselines."""

    changes: tuple[Change, ...]
    """The dearest rise first."""
    renamed: Mapping[str, str]
    """New keys by old ones, of tests whose usage is the same."""
    before: Cost
    now: Cost
    """At the old side's cards."""
    price_list: Decimal | None
    """USD by which the new side's own cards differ, for the same usage; None: not known."""

    @property
    def rose(self) -> tuple[Change, ...]:
        """Changes that cost more, or of which nobody can say that they do not."""
        return tuple(change for change in self.changes if change.state in FAILING)

    @property
    def empty(self) -> bool:
        """Whether the tests are the same in both, by name and figures."""
        return not self.changes and not self.renamed


def difference(old: Baseline, new: Baseline) -> Difference:
    """Compare all entries; ``new`` is priced with the cards of ``old`` where it has them."""
    cards = {**new.cards, **old.cards}
    priced = recarded(new, old)
    gone = {key: entry for key, entry in old.entries.items() if key not in priced}
    come = {key: entry for key, entry in priced.items() if key not in old.entries}
    renamed = {one.old: one.new for one in find_renamed(gone, come)}
    changes = []
    for key, entry in priced.items():
        before = old.entries.get(key)
        if key in come:
            if key in renamed.values():
                continue
            comparison = Comparison(before=Entry(), now=entry, cards=cards)
            changes.append(Change(key=key, state="new", comparison=comparison))
        elif before is not None and before != entry:
            comparison = Comparison(before=before, now=entry, cards=cards)
            changes.append(Change(key=key, state=_state(comparison), comparison=comparison))
    for key, entry in gone.items():
        if key not in renamed:
            comparison = Comparison(before=entry, now=Entry(), cards=cards)
            changes.append(Change(key=key, state="removed", comparison=comparison))
    now = sum_costs(entry.cost(cards) for entry in priced.values())
    own = sum_costs(entry.cost(new.cards) for entry in new.entries.values())
    return Difference(
        changes=tuple(sorted(changes, key=lambda change: (-_rise(change.comparison), change.key))),
        renamed=renamed,
        before=sum_costs(entry.cost(cards) for entry in old.entries.values()),
        now=now,
        price_list=usd_change(now, own) if now.status == own.status == "priced" else None,
    )


def usd_change(before: Cost, now: Cost) -> Decimal | None:
    """USD from ``before`` to ``now``; None where one of them has no (whole) price."""
    if before.usd is None or now.usd is None or "unpriced" in (before.status, now.status):
        return None
    with localcontext(EXACT):
        return now.usd - before.usd


def recarded(new: Baseline, old: Baseline) -> dict[str, Entry]:
    """Entries of ``new`` with the cards ``old`` has for their models, the test's own before all."""
    frozen = _cards(entry for _, entry in sorted(old.entries.items()))
    found = {}
    for key, entry in new.entries.items():
        own = _cards([old.entries[key]]) if key in old.entries else {}
        blocks = []
        for block in entry.blocks:
            priced_as = _priced_as(block.kind)
            if not block.kind.refused:
                card = own.get(priced_as) or frozen.get(priced_as) or block.kind.card
                block = replace(block, kind=replace(block.kind, card=card))
            blocks.append(block)
        found[key] = replace(entry, blocks=tuple(blocks))
    return found


def _cards(entries: Iterable[Entry]) -> dict[PricedAs, str]:
    """The first card of each model as priced."""
    found: dict[PricedAs, str] = {}
    for entry in entries:
        for block in entry.blocks:
            if block.kind.card is not None:
                found.setdefault(_priced_as(block.kind), block.kind.card)
    return found


def _state(comparison: Comparison) -> ChangeState:
    if comparison.vanished:
        return "vanished"
    if comparison.basis_changed:
        return "basis changed"
    before, now = comparison.costs()
    usd = usd_change(before, now)
    if comparison.more_unknown() or comparison.unpriced_growth():
        return "rose"
    if usd is None or not usd:
        return "moved"
    return "rose" if usd > 0 else "fell"


def _rise(comparison: Comparison) -> Decimal:
    before, now = comparison.costs()
    return usd_change(before, now) or Decimal(0)


PricedAs = tuple[str, str, str | None, bool]


def _priced_as(kind: Kind) -> PricedAs:
    return kind.provider, kind.model, kind.service_tier, kind.batch
