"""What a run as a whole costs against the baseline: the sums and the causes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from itertools import chain
from typing import Literal

from pytest_crashlens.baseline.causes import CauseKind
from pytest_crashlens.model.money import EXACT, format_usd
from pytest_crashlens.report.view import Context, Figures, RunView, TestView

CAUSE_WORDS: dict[CauseKind | Literal["other"], str] = {
    "model": "another model",
    "calls": "number of calls",
    "input": "input length",
    "cache": "prompt cache",
    "output": "output length",
    "reasoning": "reasoning",
    "other": "other",
}
NEW_TESTS = "new tests"
QUIET = frozenset({"same", "ok", "not judged"})
"""States of which nobody needs to be told."""
_ZERO = Decimal(0)
_FINEST = 6
"""Decimals beyond those of the whole change in which its shares are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """One side of the comparison."""

    usd: Decimal = _ZERO
    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What can be told in money, summed; and the tests of which it cannot be told."""

    compared: tuple[TestView, ...]
    """Judged, and with a whole price on both sides."""
    before: Sums
    now: Sums
    """Of the compared tests and of the new ones: they cost nothing before."""
    causes: tuple[tuple[str, Decimal], ...]
    """Words and USD, largest rise first; they sum to the change exactly."""
    new: tuple[TestView, ...]
    """Judged, with calls and without an entry."""
    vanished: tuple[TestView, ...]
    unpriced: tuple[TestView, ...]
    """Judged, and without a whole price on one side."""
    not_judged: tuple[TestView, ...]
    first: bool = False
    """Whether the baseline is only just written: nothing in it is news."""

    @property
    def summed(self) -> tuple[TestView, ...]:
        """The tests that the sums are of."""
        return self.compared if self.first else (*self.compared, *self.new)

    @property
    def usd(self) -> Decimal:
        """USD more (or less) for each run of the tests."""
        with localcontext(EXACT):
            return self.now.usd - self.before.usd

    @property
    def lost(self) -> tuple[TestView, ...]:
        """Tests that nobody wanted left out, but were."""
        return tuple(test for test in self.not_judged if _is_lost(test))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Why the whole change is not known, with the tests that it is not known of."""
        number = len(self.compared) + len(self.vanished) + len(self.new) + len(self.lost)
        number += sum(test not in self.new for test in self.unpriced)
        groups = (
            (self.unpriced, "has no price", "have no price"),
            (self.vanished, "makes no calls any more", "make no calls any more"),
            (self.lost, "could not be compared", "could not be compared"),
        )
        return tuple(
            f"{len(tests):,} of {plural(number, 'test', 'tests')} "
            f"{one if len(tests) == 1 else many}"
            for tests, one, many in groups
            if tests
        )

    @property
    def live(self) -> int:
        """How many of the compared tests vary from run to run."""
        return sum(bool(test.now.live) for test in self.compared)

    @property
    def estimated(self) -> bool:
        """Whether any count is not the provider's own."""
        return any(
            side is not None and side.estimated
            for test in self.summed
            for side in (test.before, test.now)
        )

    def per_month(self, context: Context) -> Decimal | None:
        """USD more a month at the volume of production, where that is given."""
        with localcontext(EXACT):
            if context.runs_per_month is not None:
                return self.usd * context.runs_per_month
            if context.calls_per_month is not None and self.before.calls:
                return self.usd * context.calls_per_month / self.before.calls
        return None


def change_of(run: RunView) -> Change:
    """Sort the tests of ``run`` by what can be said of them, and sum."""
    compared, new, vanished, unpriced, not_judged = [], [], [], [], []
    against = run.base is not None and run.base.there
    against = against or run.baseline.mode in ("compared", "updated")
    for test in run.tests:
        if not test.judged:
            not_judged.append(test)
        elif test.before is None:
            if test.now.calls and against:
                new.append(test)
                if not test.now.priced:
                    unpriced.append(test)
        elif test.before.calls and not test.now.calls:
            vanished.append(test)
        elif test.before.priced and test.now.priced:
            compared.append(test)
        else:
            unpriced.append(test)
    had = compared or vanished or any(test.before is not None for test in unpriced)
    first = run.baseline.mode == "updated" and not had
    before = _sums(test.before for test in compared)
    now = _sums(test.now for test in (compared if first else (*compared, *new)))
    return Change(
        compared=tuple(compared),
        before=before,
        now=now,
        causes=_causes(compared, () if first else new, before.usd, now.usd),
        new=tuple(new),
        vanished=tuple(vanished),
        unpriced=tuple(unpriced),
        not_judged=tuple(not_judged),
        first=first,
    )


def _is_lost(test: TestView) -> bool:
    """Whether a test that was not judged should have been."""
    if test.outcome == "ignored":
        return False  # its marker says so
    if test.outcome in ("xfailed", "xpassed", "skipped") and test.before is None:
        return False  # it never was
    return bool(test.now.calls or test.before is not None or test.outcome in ("failed", "error"))


def _sums(sides: Iterable[Figures | None]) -> Sums:
    whole = [side for side in sides if side is not None]
    return Sums(
        usd=usd_sum(side.usd for side in whole),
        input_tokens=sum(side.usage.input_tokens or 0 for side in whole),
        output_tokens=sum(side.usage.output_tokens or 0 for side in whole),
        calls=sum(side.calls for side in whole),
    )


def usd_sum(amounts: Iterable[Decimal | None]) -> Decimal:
    """The sum of what is known."""
    with localcontext(EXACT):
        return sum((usd for usd in amounts if usd is not None), _ZERO)


def _causes(
    tests: Iterable[TestView], new: Iterable[TestView], before: Decimal, now: Decimal
) -> tuple[tuple[str, Decimal], ...]:
    sums: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for cause in chain.from_iterable(test.causes for test in tests):
            if cause.usd:
                word = CAUSE_WORDS.get(cause.kind, CAUSE_WORDS["other"])
                sums[word] = sums.get(word, _ZERO) + cause.usd
        sums[NEW_TESTS] = usd_sum(test.now.usd for test in new)
        rest = now - before - sum(sums.values(), _ZERO)
        if rest:
            sums["other"] = sums.get("other", _ZERO) + rest
    shares = [(word, usd) for word, usd in sums.items() if usd]
    return tuple(sorted(shares, key=lambda share: (share[1].copy_negate(), share[0])))


def shares_text(causes: Sequence[tuple[str, Decimal]]) -> tuple[str, list[tuple[str, str]]]:
    """The whole change and its shares as texts whose figures sum exactly as they stand there.

    All are told in the same decimals: in so many that the smallest share shows two digits, within
    reason. What rounding would lose goes where it hurts least.
    """
    whole = usd_sum(usd for _, usd in causes)
    sizes = [abs(usd) for _, usd in causes if usd] + ([abs(whole)] if whole else [])
    if not sizes:
        return format_usd(_ZERO), []
    most = max(2, 1 - max(sizes).adjusted()) + _FINEST
    decimals = min(max(2, 1 - min(sizes).adjusted()), most)
    with localcontext(EXACT):
        unit = Decimal(1).scaleb(-decimals)
        floors = [(usd / unit).to_integral_value(ROUND_FLOOR) for _, usd in causes]
        left = int((whole / unit).to_integral_value() - sum(floors))
        by_loss = sorted(range(len(causes)), key=lambda i: floors[i] - causes[i][1] / unit)
        for i in by_loss[:left]:
            floors[i] += 1
        shown = [
            (word, _signed(floor * unit, decimals))
            for (word, _), floor in zip(causes, floors, strict=True)
            if floor
        ]
        return _signed(sum(floors) * unit, decimals), shown


def _signed(usd: Decimal, decimals: int) -> str:
    sign = "+" if usd > 0 else "-" if usd < 0 else ""
    return f"{sign}${abs(usd):,.{decimals}f}"


def rise(test: TestView) -> Decimal:
    """USD by which the test rose; 0 where that is not known."""
    if test.before is None or test.before.usd is None or test.now.usd is None:
        return _ZERO
    if not test.now.calls:
        return _ZERO
    with localcontext(EXACT):
        return test.now.usd - test.before.usd


def most_money_first(tests: Iterable[TestView]) -> list[TestView]:
    """By rise, then by what they cost now."""
    return sorted(
        tests,
        key=lambda test: (
            rise(test).copy_negate(),
            (test.now.usd or _ZERO).copy_negate(),
            test.key,
        ),
    )


def plural(number: int, one: str, many: str) -> str:
    """``1 test``, ``2,000 tests``."""
    return f"{number:,} {one if number == 1 else many}"
