"""Creep: many rises, each within its limit, held against the baseline as it once was.

``anchor:`` in crashlens.yml names a commit, tag or day of the repository and how far the tests may
have risen since. Held against it is each test that both baselines have (with the usual floor, so
that a few tokens are no rise), and their sum: new tests are no creep. Dollars are compared where
both sides have a whole price, else tokens; what cannot be compared is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path

from pytest_crashlens.baseline.causes import percent_change
from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.difference import recarded
from pytest_crashlens.baseline.entry import Entry, sum_costs
from pytest_crashlens.baseline.file import Baseline, parse
from pytest_crashlens.baseline.revisions import GitError, Repository
from pytest_crashlens.model.money import EXACT, format_usd
from pytest_crashlens.policy.amounts import shown
from pytest_crashlens.policy.config import Anchor
from pytest_crashlens.policy.document import Scalar
from pytest_crashlens.policy.field import Field
from pytest_crashlens.policy.limits import DEFAULT_LIMITS
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.pricing.card import Cost, RateCard

KEYS = ("at", "max_increase", "severity")
SEVERITIES = ("error", "warn")
TESTS_NAMED = 3
_REVISION = r"(?!-)(?!.*\.\.)[^\s:^~?*\[\\]+"
"""No option of git, and no range of commits."""


def read_anchor(given: Field) -> Anchor | None:
    """The section ``anchor``; what is wrong with it is noted."""
    fields = given.fields(KEYS, required=("at", "max_increase"))
    at = percent = None
    severity: str | None = "error"
    if "at" in fields:
        at = _read_revision(fields["at"])
    if "max_increase" in fields:
        percent = fields["max_increase"].percent()
    if "severity" in fields:
        severity = fields["severity"].choice(SEVERITIES)
    if at is None or percent is None or severity is None:
        return None
    return Anchor(at=at, max_increase=percent, blocks=severity == "error")


def _read_revision(given: Field) -> str | None:
    node = given.node
    if isinstance(node, Scalar) and node.kind in ("number", "other"):
        text: str | None = node.text  # YAML takes days and some commits for something else
    else:
        text = given.text(example="v1.0")
    if text is not None and not re.fullmatch(_REVISION, text):
        given.error(f"{shown(text)} is no commit, tag or day; write it like v1.0 or 2026-01-31")
        return None
    return text


@dataclass(frozen=True, slots=True)
class Anchored:
    """The anchor with the baseline as of then."""

    anchor: Anchor
    baseline: Baseline

    def creep(
        self, entries: Mapping[str, Entry], cards: Mapping[str, RateCard]
    ) -> tuple[Finding, ...]:
        """What rose too far: nothing, or one finding about the tests and one about their sum."""
        then = self.baseline
        known = {**cards, **then.cards}
        common = {key: entry for key, entry in entries.items() if key in then.entries}
        now = recarded(Baseline(common, cards), then)
        risen: dict[str, tuple[Decimal, Decimal]] = {}
        longer: dict[str, tuple[Decimal, Decimal]] = {}
        no_price, unknown = [], []
        sides: tuple[list[Cost], list[Cost]] = [], []
        for key, entry in now.items():
            before = then.entries[key]
            # the output of live answers varies: it is no creep
            comparison = Comparison(before=before, now=entry, cards=known)
            costs = comparison.judged_costs()
            if all(cost.status == "priced" for cost in costs):
                for side, cost in zip(sides, costs, strict=True):
                    side.append(cost)
                pair = costs[0].usd or Decimal(0), costs[1].usd or Decimal(0)
                if self._exceeds(*pair, _floor(before, pair[0])):
                    risen[key] = pair
                continue
            if before.unknown_calls or entry.unknown_calls:
                unknown.append(key)
                continue
            if costs[0].status == "priced":
                no_price.append(key)
            pair = _tokens(comparison)
            if self._exceeds(*pair, Decimal(DEFAULT_LIMITS.min_increase_tokens or 0)):
                longer[key] = pair
        findings = []
        if risen:
            findings.append(self._finding(_words(risen, format_usd), None))
        if longer:
            words = _words(longer, lambda tokens: f"{tokens:,f}")
            findings.append(self._finding(f"tokens (not all is priced) of {words}", None))
        sums = [sum_costs(side).usd for side in sides]
        if sums[0] is not None and sums[1] is not None:
            pair = sums[0], sums[1]
            if self._exceeds(*pair, Decimal(0)):
                findings.append(self._finding(f"sum of {len(sides[0]):,} tests", pair))
        return (
            *findings,
            *self._uncompared(no_price, "no whole price now: only their tokens were compared"),
            *self._uncompared(unknown, "calls of unknown usage: not compared"),
        )

    def _uncompared(self, keys: list[str], fault: str) -> tuple[Finding, ...]:
        if not keys:
            return ()
        number = "1 test has" if len(keys) == 1 else f"{len(keys):,} tests have"
        text = f"creep since {self.anchor.at}: {number} {fault}: {_some(sorted(keys))}"
        return (Finding(kind="creep", text=text, blocks=False),)

    def _exceeds(self, before: Decimal, now: Decimal, floor: Decimal) -> bool:
        with localcontext(EXACT):
            return now > before * (1 + self.anchor.max_increase / 100) and now - before > floor

    def _finding(self, text: str, pair: tuple[Decimal, Decimal] | None) -> Finding:
        limit = f"+{self.anchor.max_increase:f} %"
        if pair is not None:
            amounts = f"{format_usd(pair[0])} -> {format_usd(pair[1])}"
            text = f"{text} {amounts} ({percent_change(*pair)})"
        return Finding(
            kind="creep",
            text=f"creep since {self.anchor.at} beyond {limit}: {text}",
            blocks=self.anchor.blocks,
        )


def find_anchored(anchor: Anchor, path: Path) -> Anchored:
    """The anchor with what the baseline at ``path`` was then, whatever it was called.

    Raises:
        CrashlensError: git, the commit or the file in it is not there, or cannot be read.
    """
    try:
        repository = Repository.of(path.parent)
        found = repository.read_followed(repository.commit(anchor.at), repository.name(path))
    except GitError as error:
        raise GitError(f"anchor {anchor.at}: {error}") from None
    if found is None:
        raise GitError(f"anchor {anchor.at}: {path.name} was not there yet; choose a later one")
    return Anchored(anchor, parse(found[1], f"{anchor.at}:{found[0]}"))


def _floor(before: Entry, usd: Decimal) -> Decimal:
    """The usual floor in tokens at the test's own mean price."""
    tokens = before.usage.total_tokens
    with localcontext(EXACT):
        return usd / tokens * (DEFAULT_LIMITS.min_increase_tokens or 0) if tokens else Decimal(0)


def _tokens(comparison: Comparison) -> tuple[Decimal, Decimal]:
    """All that does not vary, before and now."""
    before, now = (entry.usage.input_tokens or 0 for entry in (comparison.before, comparison.now))
    output = comparison.judged_output()
    return Decimal(before + output[0]), Decimal(now + output[1])


def _words(risen: Mapping[str, tuple[Decimal, Decimal]], amount: Callable[[Decimal], str]) -> str:
    def rise(key: str) -> Decimal:
        with localcontext(EXACT):
            return risen[key][0] - risen[key][1]

    named = [
        f"{key} {amount(risen[key][0])} -> {amount(risen[key][1])} ({percent_change(*risen[key])})"
        for key in sorted(risen, key=lambda key: (rise(key), key))
    ]
    return _some(named)


def _some(named: list[str]) -> str:
    more = len(named) - TESTS_NAMED
    return ", ".join(named[:TESTS_NAMED]) + (f" and {more:,} more" if more > 0 else "")
