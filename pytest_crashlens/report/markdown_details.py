"""What the comment folds away: all findings, what moved within limits, what was not compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from pytest_crashlens.model.money import format_usd, format_usd_change
from pytest_crashlens.report.change import Change, most_money_first, plural, usd_sum
from pytest_crashlens.report.failure import sentence
from pytest_crashlens.report.inert import code, words
from pytest_crashlens.report.percent import percent
from pytest_crashlens.report.view import Figures, RunView, TestView


def details(run: RunView, change: Change, listed: int) -> Iterator[str]:
    """Folded lists of at most ``listed`` lines each."""
    moved = [test for test in run.tests if test.state in ("moved", "cheaper") and not test.findings]
    told = sum(len(test.findings) for test in run.tests)
    noted = sum(1 for _ in notes(run))
    for title, number, lines in (
        ("All findings", told, _findings(run)),
        (
            f"{plural(len(moved), 'test', 'tests')} changed within the limits",
            len(moved),
            _moved(moved),
        ),
        (
            f"{plural(len(change.not_judged), 'test', 'tests')} not compared",
            len(change.not_judged),
            (
                f"{code(test.key, 160)}: {words(test.outcome, 60)}{_spend(test)}"
                for test in change.not_judged
            ),
        ),
        (
            "Waste, savings and budgets",
            len(run.detections) + len(run.labels),
            _detections(run),
        ),
        ("Notes", noted, notes(run)),
    ):
        yield from _folded(title, number, islice(lines, listed))
    same = sum(test.state == "same" for test in run.tests)
    unchanged = f"{plural(same, 'test', 'tests')} unchanged. " if same else ""
    yield (
        f"<sub>{unchanged}Only numbers and names are in here, no prompt and no answer. Written by "
        "pytest-crashlens.</sub>"
    )


def _folded(title: str, number: int, lines: Iterable[str]) -> Iterator[str]:
    """The first ones of ``number`` lines. Titles are ours: nothing in them is to be escaped."""
    if not number:
        return
    yield "<details>"
    yield f"<summary>{title}</summary>"
    yield ""
    shown = 0
    for line in lines:
        shown += 1
        yield f"- {line}"
    if shown < number:
        yield f"- … {number - shown:,} of {number:,} left out"
    yield ""
    yield "</details>"
    yield ""


def _findings(run: RunView) -> Iterator[str]:
    failing = [test for test in run.tests if test.findings]
    for test in sorted(most_money_first(failing), key=lambda test: not test.failed):
        for finding in test.findings:
            note = "" if finding.blocks else "note: "
            site = f" at {code(finding.call_site, 120)}" if finding.call_site else ""
            proof = f" ({words(finding.evidence, 200)})" if finding.evidence else ""
            yield f"{code(test.key, 160)}: {note}{words(sentence(finding))}{site}{proof}"


def _moved(tests: Iterable[TestView]) -> Iterator[str]:
    for test in reversed(most_money_first(tests)):
        before = cost(test.before) if test.before else "-"
        why = f": {words(test.causes[0].text, 200)}" if test.causes else ""
        yield f"{code(test.key, 160)} {before} → {cost(test.now)} ({change_of_test(test)}){why}"


def _spend(test: TestView) -> str:
    """What a test cost that was not compared."""
    sides = []
    if test.before is not None:
        sides.append(f"{cost(test.before)} in the baseline")
    if test.now.calls:
        sides.append(f"{cost(test.now)} now")
    return f" ({', '.join(sides)})" if sides else ""


def _detections(run: RunView) -> Iterator[str]:
    for one in run.detections:
        money = f", {format_usd(one.waste_usd)}" if one.waste_usd else ""
        sites = f" at {code(one.call_sites[0], 120)}" if one.call_sites else ""
        tests = plural(len(one.tests), "test", "tests")
        yield f"{words(one.text)}{money}{sites} ({tests})"
    for label in run.labels:
        least = "at least " if label.price_status == "partial" else ""
        usd = "no price" if label.usd is None else f"{least}{format_usd(label.usd)}"
        tests = plural(label.tests, "test", "tests")
        calls = plural(label.calls, "call", "calls")
        yield f"{code(label.label, 120)}: {tests}, {calls}, {usd}"


def notes(run: RunView) -> Iterator[str]:
    """What is worth knowing and no finding, with names as code spans."""
    change = usd_sum(test.price_list_change for test in run.tests)
    if change:
        yield (
            f"At today's price list this run costs {format_usd_change(change)} against the "
            "baseline's prices: not counted."
        )
    for one in run.moved:
        yield (
            f"{plural(one.calls, 'call', 'calls')} moved from {code(one.source, 160)} to "
            f"{code(one.target, 160)}: are answers cached between tests?"
        )
    if run.unanswered:
        number = plural(run.unanswered, "attempt", "attempts")
        yield f"{number} got no answer and may have been billed."
    for site, calls in run.late.items():
        at = f" at {code(site, 120)}" if site else ""
        yield f"{plural(calls, 'call belongs', 'calls belong')} to no running test{at}."
    for name, tests in run.unseen.items():
        number = plural(len(tests), "test", "tests")
        yield f"{number} called the mocked SDK {code(name, 120)}: not measured."
    for key in run.baseline.stale:
        yield f"No test for the baseline's entry {code(key, 160)} any more."
    if run.base is not None and run.base.removed:
        number = plural(len(run.base.removed), "entry", "entries")
        usd = run.base.removed_usd
        money = "" if usd is None else f", {format_usd(usd)} per test run"
        yield f"{number} of the baseline removed in this change{money}: not in the sums."
    for notice in run.notices:
        yield words(notice)


def change_of_test(test: TestView) -> str:
    """``+50 %``; empty where that cannot be said."""
    if test.before is None or test.before.usd is None or test.now.usd is None:
        return ""
    if not (test.now.calls and test.judged):
        return ""
    return percent(test.before.usd, test.now.usd)


def cost(side: Figures) -> str:
    """USD; ``~`` before estimates, ``≥`` where a part has no price."""
    if side.usd is None:
        return "no price"
    least = "≥ " if side.price_status == "partial" else ""
    return f"{least}{'~' if side.estimated and side.usd else ''}{format_usd(side.usd)}"
