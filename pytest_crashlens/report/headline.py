"""The first line of every report: the verdict, and what the change does to the bill."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal

from pytest_crashlens.model.money import format_usd, format_usd_change
from pytest_crashlens.report.change import QUIET, Change, change_of, plural, rise, usd_sum
from pytest_crashlens.report.percent import percent
from pytest_crashlens.report.view import RunView, TestView

Mark = Literal["bad", "warn", "good"]
_NO_PRICE = frozenset({"unpriced", "unknown_usage"})
_OFF = "all limits held (no baseline: it is turned off in crashlens.yml)"


def verdict(run: RunView) -> tuple[Mark, str]:
    """Whether this may be merged, in words without money."""
    faults = _faults(run)
    doubts = _doubts(run)
    if faults:
        text = ", ".join([*faults, *doubts])
        return ("bad", text) if run.failed else ("warn", f"{text} (told only, nothing failed)")
    doubts += _left_over(run)
    if doubts and run.baseline.mode == "first run":
        doubts.append("nothing to compare with")
    part = ", only part of the tests ran" if run.partial and run.ended else ""
    if doubts:
        return "warn", f"{', '.join(doubts)}{part}"
    if run.baseline.mode == "updated":
        return "good", f"the baseline was updated{part}"
    if run.baseline.mode == "off":
        return "good", f"{_OFF}{part}"
    if run.baseline.mode == "first run":
        return "warn", f"nothing to compare with{part}"
    if not any(test.judged for test in run.tests):
        return "warn", f"no test was compared{part}"
    left = sum(not test.judged for test in run.tests)
    but = f", {plural(left, 'test', 'tests')} not compared" if left else ""
    if all(test.state in QUIET for test in run.tests) and not _changed(run):
        return "good", f"nothing changed{but}{part}"
    return "good", f"all tests within their limits{but}{part}"


def _faults(run: RunView) -> list[str]:
    """What fails the run, each kind in words of its own."""
    groups: dict[str, int] = dict.fromkeys(("over", "vanished", "unpriced", "missing"), 0)
    for test in run.tests:
        if test.failed:
            groups[_kind(test)] += 1
    over, vanished, unpriced, missing = groups.values()
    whole = sum(finding.blocks for finding in run.session)
    counted = (
        (over, "test over the limit", "tests over the limit"),
        (vanished, "test makes no calls any more", "tests make no calls any more"),
        (unpriced, "test without a price", "tests without a price"),
        (missing, "new test without a baseline", "new tests without a baseline"),
        (whole, "limit of the whole run broken", "limits of the whole run broken"),
    )
    faults = [plural(number, one, many) for number, one, many in counted if number]
    if run.baseline.error is not None:
        faults.append("the baseline could not be written")
    if run.unjudged:
        faults.append("not everything could be judged")
    return faults


def _kind(test: TestView) -> str:
    if test.state in ("missing", "vanished"):
        return test.state
    kinds = {finding.kind for finding in test.findings if finding.blocks}
    return "unpriced" if kinds and kinds <= _NO_PRICE else "over"


def _doubts(run: RunView) -> list[str]:
    """Why it is not known of the whole run, whatever its verdict."""
    doubts = ["the figures are incomplete"] if run.incomplete else []
    return doubts if run.ended else [*doubts, "the run was stopped"]


def _left_over(run: RunView) -> list[str]:
    """Tests of which nobody can say that they cost the same, though nothing fails."""
    change = change_of(run)
    found = []
    if change.unpriced:
        number = len(change.unpriced)
        found.append(plural(number, "test without a price", "tests without a price"))
    vanished = [test for test in change.vanished if test.state == "vanished"]
    if vanished:
        number = len(vanished)
        found.append(plural(number, "test makes no calls any more", "tests make no calls any more"))
    lost = change.lost
    if lost:
        failed = all(test.outcome in ("failed", "error") for test in lost)
        they = "it" if len(lost) == 1 else "they"
        was = "was" if len(lost) == 1 else "were"
        why = f"{they} failed" if failed else f"{they} failed or {was} skipped"
        done = "compared" if _compares(run) else "judged"
        found.append(f"{plural(len(lost), 'test', 'tests')} could not be {done} ({why})")
    return found


def _changed(run: RunView) -> bool:
    return run.base is not None and run.base.changed


def is_notable(run: RunView) -> bool:
    """Whether somebody should be told unasked: it fails, costs other money, or is not whole."""
    mark, _ = verdict(run)
    moved = any(test.state not in QUIET for test in run.tests if test.judged)
    return mark != "good" or moved or _changed(run)


def money_sentence(run: RunView, change: Change) -> str:
    """What this change does to the bill."""
    unknown = change.unknown
    if not change.summed and not (unknown and _compares(run)):
        return _alone(run)
    sign = "~" if change.estimated else ""
    usd = f"{sign}{format_usd(abs(change.usd))}"
    if unknown and change.usd <= 0:
        rest = f" (the others cost {usd} less)" if change.usd else ""
        return f"what this change costs is not known: {', '.join(unknown)}{rest}"
    if not change.usd:
        now = f"{sign}{format_usd(change.now.usd)}"
        if run.base is not None and run.base.there:
            return f"this change costs the same per test run ({now})"
        return f"this test run costs the same as the committed baseline ({now})"
    word = "more" if change.usd > 0 else "less"
    least = "at least " if unknown else ""
    about = ", ".join(_about(change))
    return f"this change costs {least}{usd} {word} per test run ({about})"


def _compares(run: RunView) -> bool:
    return run.baseline.mode in ("compared", "updated") or (run.base is not None and run.base.there)


def _alone(run: RunView) -> str:
    """The bill itself, where it is compared with nothing."""
    total = usd_sum(side.usd for side in (run.spent, run.simulated))
    whole = all(side.priced or not side.calls for side in (run.spent, run.simulated))
    if not (run.spent.calls or run.simulated.calls):
        return "no LLM call was seen in this test run"
    return f"this test run's LLM calls cost {'' if whole else 'at least '}{format_usd(total)}"


def _about(change: Change) -> list[str]:
    new = usd_sum(test.now.usd for test in change.new)
    tests = plural(len(change.new), "new test", "new tests")
    if new and new == change.usd:
        return [f"all of it {tests}"]
    about = [percent(change.before.usd, change.now.usd)]
    return [*about, f"with {format_usd(new)} for {tests}"] if new else about


def month_sentence(run: RunView, change: Change) -> str | None:
    """The same in a month of production; None: nobody said how much that is."""
    month = change.per_month(run.context)
    if not month or not change.summed or (change.unknown and month < 0):
        return None
    runs, calls = run.context.runs_per_month, run.context.calls_per_month
    at = f"{runs:,} runs" if runs is not None else f"{calls:,} calls"
    least = "at least " if change.unknown else ""
    return f"{least}{format_usd_change(month)} per month at {at}"


def accepted_sentence(run: RunView, shown: Callable[[str], str]) -> str | None:
    """That what rose was accepted in this change, and why; ``shown`` makes the reason harmless."""
    change = change_of(run)
    if run.base is None or not run.base.there or change.first:
        return None
    rises = {id(test): _rise(test) for test in change.summed}
    rose = [test for test in change.summed if rises[id(test)] > 0]
    accepted = [test for test in rose if not test.failed and test.state in ("accepted", "new")]
    if not accepted:
        return None
    usd = usd_sum(rises[id(test)] for test in accepted)
    whole = len(accepted) == len(rose) and change.usd > 0
    reasons = list(dict.fromkeys(test.reason for test in accepted if test.reason))
    why = f": {shown(reasons[0])}" if reasons else " without a reason"
    more = len(reasons) - 1
    why += f" (and {plural(more, 'more reason', 'more reasons')})" if more > 0 else ""
    which = "" if whole else f"a rise of {format_usd(usd)} "
    return f"{which}accepted in this change{why}"


def _rise(test: TestView) -> Decimal:
    return rise(test) if test.before is not None else test.now.usd or Decimal(0)


def sentences(run: RunView, change: Change, shown: Callable[[str], str]) -> str:
    """All of it but the verdict, in one line."""
    parts = (
        money_sentence(run, change),
        month_sentence(run, change),
        accepted_sentence(run, shown),
    )
    return ", ".join(part for part in parts if part)
