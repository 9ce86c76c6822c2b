"""What a run as a whole costs against the baseline: the sums, the causes and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from itertools import chain
from typing import Literal

from pytest_crashlens.baseline.causes import CauseKind, percent_change
from pytest_crashlens.model.money import EXACT, format_usd, format_usd_change
from pytest_crashlens.report.view import Context, RunView, TestView

CAUSE_WORDS: dict[CauseKind | Literal["other"], str] = {
    "model": "another model",
    "calls": "number of calls",
    "input": "input length",
    "cache": "prompt cache",
    "output": "output length",
    "reasoning": "reasoning",
    "other": "other",
}
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
    """The tests that can be compared in money, summed; and those that cannot."""

    compared: tuple[TestView, ...]
    before: Sums
    now: Sums
    causes: tuple[tuple[str, Decimal], ...]
    """Words and USD, largest rise first; they sum to the change exactly."""
    new: tuple[TestView, ...]
    """Judged, with calls and without an entry."""
    vanished: tuple[TestView, ...]
    unpriced: tuple[TestView, ...]
    """Judged, with an entry, and without a whole price on one side."""
    not_judged: tuple[TestView, ...]

    @property
    def usd(self) -> Decimal:
        """USD more (or less) for each run of the tests."""
        with localcontext(EXACT):
            return self.now.usd - self.before.usd

    @property
    def live(self) -> int:
        """How many of the compared tests vary from run to run."""
        return sum(bool(test.now.live) for test in self.compared)

    @property
    def estimated(self) -> bool:
        """Whether any count is not the provider's own."""
        return any(
            side is not None and side.estimated
            for test in self.compared
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
    for test in run.tests:
        if not test.judged:
            not_judged.append(test)
        elif test.before is None:
            if test.now.calls and run.baseline.mode in ("compared", "updated"):
                new.append(test)
        elif test.before.calls and not test.now.calls:
            vanished.append(test)
        elif test.before.priced and test.now.priced:
            compared.append(test)
        else:
            unpriced.append(test)
    before, now = _sums(compared, now=False), _sums(compared, now=True)
    return Change(
        compared=tuple(compared),
        before=before,
        now=now,
        causes=_causes(compared, before.usd, now.usd),
        new=tuple(new),
        vanished=tuple(vanished),
        unpriced=tuple(unpriced),
        not_judged=tuple(not_judged),
    )


def _sums(tests: Iterable[TestView], *, now: bool) -> Sums:
    sides = [test.now if now else test.before for test in tests]
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
    tests: Iterable[TestView], before: Decimal, now: Decimal
) -> tuple[tuple[str, Decimal], ...]:
    sums: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for cause in chain.from_iterable(test.causes for test in tests):
            if cause.usd:
                word = CAUSE_WORDS.get(cause.kind, CAUSE_WORDS["other"])
                sums[word] = sums.get(word, _ZERO) + cause.usd
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


Mark = Literal["bad", "warn", "good"]


def verdict(run: RunView) -> tuple[Mark, str]:
    """Whether this may be merged, in words without money."""
    over = [test for test in run.tests if test.failed and test.state != "missing"]
    missing = [test for test in run.tests if test.failed and test.state == "missing"]
    whole = [finding for finding in run.session if finding.blocks]
    faults = []
    if over:
        faults.append(f"{plural(len(over), 'test', 'tests')} over the limit")
    if missing:
        faults.append(f"{plural(len(missing), 'new test', 'new tests')} without a baseline")
    if whole:
        faults.append(f"{plural(len(whole), 'limit', 'limits')} of the whole run broken")
    if run.baseline.error is not None:
        faults.append("the baseline could not be written")
    if run.unjudged:
        faults.append("not everything could be judged")
    if faults:
        faults += ["the figures are incomplete"] if run.incomplete else []
        text = ", ".join(faults)
        return ("bad", text) if run.failed else ("warn", f"{text} (told only, nothing failed)")
    if run.incomplete:
        return "warn", "the figures are incomplete"
    if run.baseline.mode == "updated":
        return "good", "the baseline was updated"
    if run.baseline.mode in ("first run", "off"):
        return "warn", "nothing to compare with"
    if not any(test.judged for test in run.tests):
        return "warn", "no test was compared"
    left = sum(not test.judged for test in run.tests)
    but = f", {plural(left, 'test', 'tests')} not compared" if left else ""
    if all(test.state in QUIET for test in run.tests):
        return "good", f"nothing changed{but}"
    return "good", f"all tests within their limits{but}"


def is_notable(run: RunView) -> bool:
    """Whether somebody should be told unasked: it fails, costs other money, or is not whole."""
    mark, _ = verdict(run)
    return mark != "good" or any(test.state not in QUIET for test in run.tests)


def money_sentence(run: RunView, change: Change) -> str:
    """What this change does to the bill."""
    sign = "~" if change.estimated else ""
    if not change.compared:
        total = usd_sum(side.usd for side in (run.spent, run.simulated))
        whole = all(side.priced or not side.calls for side in (run.spent, run.simulated))
        if not (run.spent.calls or run.simulated.calls):
            return "no LLM call was seen in this test run"
        return f"this test run's LLM calls cost {'' if whole else 'at least '}{format_usd(total)}"
    if not change.usd:
        return f"this change costs the same per test run ({sign}{format_usd(change.now.usd)})"
    word = "more" if change.usd > 0 else "less"
    percent = percent_change(change.before.usd, change.now.usd)
    return f"this change costs {sign}{format_usd(abs(change.usd))} {word} per test run ({percent})"


def month_sentence(run: RunView, change: Change) -> str | None:
    """The same in a month of production; None: nobody said how much that is."""
    month = change.per_month(run.context)
    if not month or not change.compared:
        return None
    runs, calls = run.context.runs_per_month, run.context.calls_per_month
    at = f"{runs:,} runs" if runs is not None else f"{calls:,} calls"
    return f"{format_usd_change(month)} per month at {at}"


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
