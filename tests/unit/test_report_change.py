from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.baseline.causes import Cause
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.report.change import change_of, shares_text
from pytest_crashlens.report.headline import (
    accepted_sentence,
    is_notable,
    money_sentence,
    month_sentence,
    verdict,
)
from pytest_crashlens.report.run_result import BaselineStatus, BaseStatus
from pytest_crashlens.report.view import Context, RunView, TestView
from tests.unit.run_views import figures, over, rose, run, view

USD = st.decimals("-100", "100", places=9)


def shown(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", ""))


@given(st.lists(USD, max_size=8))
def test_shares_sum_as_they_are_shown(amounts: list[Decimal]) -> None:
    causes = [(f"cause {number}", usd) for number, usd in enumerate(amounts)]
    whole, shares = shares_text(causes)
    assert shown(whole) == sum(shown(usd) for _, usd in shares)
    assert abs(shown(whole) - sum(amounts)) <= Decimal("0.01")
    assert all(shown(usd) for _, usd in shares)


def test_shares_that_rounding_would_make_wrong() -> None:
    whole, shares = shares_text([("a", Decimal("0.014")), ("b", Decimal("0.0136"))])
    assert (whole, shares) == ("+$0.028", [("a", "+$0.014"), ("b", "+$0.014")])
    whole, shares = shares_text([("a", Decimal("0.0145")), ("b", Decimal("0.0145"))])
    assert (whole, shares) == ("+$0.029", [("a", "+$0.015"), ("b", "+$0.014")])


def test_causes_of_all_tests_are_summed_and_what_they_leave_is_told() -> None:
    tests = [
        over("a", "0.01", "0.02"),
        over("b", "0.01", "0.03", causes=(Cause("model", "model x -> y", Decimal("0.015")),)),
    ]
    assert change_of(run(*tests)).causes == (
        ("another model", Decimal("0.015")),
        ("input length", Decimal("0.01")),
        ("other", Decimal("0.005")),
    )


def test_only_what_can_be_compared_is_summed() -> None:
    tests = [
        view("same"),
        over("over", "0.01", "0.04"),
        view("new", None, "5", "missing"),
        view("gone", "7", figures("0", 0), "vanished"),
        view("unknown", "1", None, "over"),
        view("part", "1", figures("9", price_status="partial"), "over"),
        view("failed", "1", "2", "not judged", outcome="failed"),
    ]
    change = change_of(run(*tests))
    assert [test.key for test in change.compared] == ["same", "over"]
    assert (change.before.usd, change.now.usd, change.usd) == (
        Decimal("0.02"),
        Decimal("5.05"),
        Decimal("5.03"),
    )
    assert dict(change.causes)["new tests"] == 5
    assert (change.before.calls, change.now.input_tokens) == (2, 3000)
    assert [test.key for test in change.new] == ["new"]
    assert [test.key for test in change.vanished] == ["gone"]
    assert [test.key for test in change.unpriced] == ["unknown", "part"]
    assert [test.key for test in change.not_judged] == ["failed"]


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("0.20", "0.2412", "this change costs $0.041 more per test run (+21 %)"),
        ("0.20", "0.19", "this change costs $0.010 less per test run (-5.0 %)"),
        ("0.20", "0.20", "this test run costs the same as the committed baseline ($0.20)"),
        ("1", "1.0002", "this change costs $0.00020 more per test run (<0.1 %)"),
        (
            "0.0001",
            "5",
            "this change costs $5.00 more per test run (\N{MULTIPLICATION SIGN}50,000)",
        ),
        ("0", "0.20", "this change costs $0.20 more per test run (new)"),
    ],
)
def test_money(before: str, now: str, words: str) -> None:
    result = run(view("a", before, now, "moved"))
    assert money_sentence(result, change_of(result)) == words


def test_money_of_what_is_estimated_or_compared_with_nothing() -> None:
    guessed = run(view("a", now=figures("0.02", estimated=True), state="moved"))
    assert money_sentence(guessed, change_of(guessed)).startswith("this change costs ~$0.010 more")
    first = BaselineStatus(name="b", mode="first run")
    alone = run(view("a", None), spent=figures("0.03"), simulated=figures(None, 1), baseline=first)
    assert (
        money_sentence(alone, change_of(alone)) == "this test run's LLM calls cost at least $0.030"
    )
    nothing = run(simulated=figures("0", 0))
    assert money_sentence(nothing, change_of(nothing)) == "no LLM call was seen in this test run"


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (Context(), None),
        (Context(runs_per_month=30_000), "+$300.00 per month at 30,000 runs"),
        # one call in the baseline, so the tests stand for a thousandth of them
        (Context(calls_per_month=1_000), "+$10.00 per month at 1,000 calls"),
    ],
)
def test_money_of_a_month_where_the_volume_is_known(context: Context, words: str | None) -> None:
    result = run(over(now="0.02"), context=context)
    assert month_sentence(result, change_of(result)) == words


VERDICTS: dict[str, tuple[RunView, str, str]] = {
    "same": (run(view()), "good", "nothing changed"),
    "same, but for one that failed": (
        run(view(), view("b", state="not judged", outcome="failed")),
        "warn",
        "1 test could not be compared (it failed)",
    ),
    "same, but for those that failed or were skipped": (
        run(
            view(),
            view("b", state="not judged", outcome="failed"),
            view("c", state="not judged", outcome="skipped"),
        ),
        "warn",
        "2 tests could not be compared (they failed or were skipped)",
    ),
    "same, but for what nobody wants compared": (
        run(
            view(),
            view("b", state="not judged", outcome="ignored"),
            view("c", None, state="not judged", outcome="xfailed"),
        ),
        "good",
        "nothing changed, 2 tests not compared",
    ),
    "stopped": (run(view(), ended=False, partial=("-x",)), "warn", "the run was stopped"),
    "over and stopped": (
        run(over(), ended=False),
        "bad",
        "1 test over the limit, the run was stopped",
    ),
    "a part": (
        run(view(), partial=("-k",)),
        "good",
        "nothing changed, only part of the tests ran",
    ),
    "without a price, told": (
        run(view(), view("b", "1", None, "moved")),
        "warn",
        "1 test without a price",
    ),
    "without a price": (
        run(view("b", "1", None, "over", findings=(Finding(kind="unpriced", text="x"),))),
        "bad",
        "1 test without a price",
    ),
    "vanished": (
        run(view(), view("b", "1", figures("0", 0), "vanished")),
        "bad",
        "1 test makes no calls any more",
    ),
    "vanished, told": (
        run(view(), view("b", "1", figures("0", 0), "vanished", failed=False)),
        "warn",
        "1 test makes no calls any more",
    ),
    "off": (
        run(view(before=None, state="ok"), baseline=BaselineStatus(name="b", mode="off")),
        "good",
        "all limits held (no baseline: it is turned off in crashlens.yml)",
    ),
    "accepted": (
        run(view(now="0.02", state="accepted"), base=BaseStatus(revision="r", commit="c")),
        "good",
        "all tests within their limits",
    ),
    "only the file is another one": (
        run(view(), base=BaseStatus(revision="r", commit="c", changed=True)),
        "good",
        "all tests within their limits",
    ),
    "as in the base": (
        run(view(), base=BaseStatus(revision="r", commit="c")),
        "good",
        "nothing changed",
    ),
    "moved": (run(view(state="moved")), "good", "all tests within their limits"),
    "over": (run(over(), view("b")), "bad", "1 test over the limit"),
    "missing": (
        run(over(), view("b", None, state="missing")),
        "bad",
        "1 test over the limit, 1 new test without a baseline",
    ),
    "reporting only": (
        run(over(), may_fail=False, failed=False),
        "warn",
        "1 test over the limit (told only, nothing failed)",
    ),
    "incomplete": (run(view(), incomplete=("x",)), "warn", "the figures are incomplete"),
    "over and incomplete": (
        run(over(), incomplete=("x",)),
        "bad",
        "1 test over the limit, the figures are incomplete",
    ),
    "unjudged": (run(unjudged=True, failed=True), "bad", "not everything could be judged"),
    "whole run": (
        run(view(), session=(rose(),), failed=True),
        "bad",
        "1 limit of the whole run broken",
    ),
    "whole run told": (
        run(view(), session=(Finding(kind="stale", text="x", blocks=False),)),
        "good",
        "nothing changed",
    ),
    "not written": (
        run(
            view(),
            baseline=BaselineStatus(name="b", mode="updated", error="disk full"),
            failed=True,
        ),
        "bad",
        "the baseline could not be written",
    ),
    "updated": (
        run(view(), baseline=BaselineStatus(name="b", mode="updated")),
        "good",
        "the baseline was updated",
    ),
    "first run": (
        run(view(), baseline=BaselineStatus(name="b", mode="first run")),
        "warn",
        "nothing to compare with",
    ),
    "nothing": (run(), "warn", "no test was compared"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(name: str) -> None:
    result, mark, words = VERDICTS[name]
    assert verdict(result) == (mark, words)


def test_what_is_notable() -> None:
    quiet = {
        "same",
        "same, but for what nobody wants compared",
        "a part",
        "whole run told",
        "updated",
        "off",
        "as in the base",
    }
    assert {name for name, (result, *_) in VERDICTS.items() if not is_notable(result)} == quiet


GONE = view("gone", "1.31", figures("0", 0), "vanished")
NO_PRICE = view("b", "1", None, "over")
FAILED = view("c", "1", "2", "not judged", outcome="failed")
BASE = BaseStatus(revision="HEAD^1", commit="ab" * 20, changed=True)


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        (
            (view(), view("n", None, "13.08", "missing")),
            "this change costs $13.08 more per test run (all of it 1 new test)",
        ),
        (
            (over(), view("n", None, "3", "missing")),
            "this change costs $3.01 more per test run (+30,100 %, with $3.00 for 1 new test)",
        ),
        (
            (view(), view("n", None, None, "missing")),
            "what this change costs is not known: 1 of 2 tests has no price",
        ),
        (
            (view(), NO_PRICE),
            "what this change costs is not known: 1 of 2 tests has no price",
        ),
        (
            (view("d", "2", "1.5", "cheaper"), NO_PRICE, GONE, FAILED),
            "what this change costs is not known: 1 of 4 tests has no price, 1 of 4 tests makes no "
            "calls any more, 1 of 4 tests could not be compared (the others cost $0.50 less)",
        ),
        ((over(), GONE), "this change costs at least $0.010 more per test run (+100 %)"),
        (
            (view(), GONE),
            "what this change costs is not known: 1 of 2 tests makes no calls any more",
        ),
        ((GONE,), "what this change costs is not known: 1 of 1 test makes no calls any more"),
        (
            (view(), FAILED),
            "what this change costs is not known: 1 of 2 tests could not be compared",
        ),
    ],
)
def test_money_that_is_not_all_in_the_sums_is_never_the_same(
    tests: tuple[TestView, ...], words: str
) -> None:
    result = run(*tests)
    assert money_sentence(result, change_of(result)) == words


def test_a_month_with_what_is_not_in_the_sums() -> None:
    context = Context(runs_per_month=100)
    new = run(view(), view("n", None, "13", "missing"), context=context)
    assert month_sentence(new, change_of(new)) == "+$1,300.00 per month at 100 runs"
    least = run(over(), GONE, context=context)
    assert month_sentence(least, change_of(least)) == "at least +$1.00 per month at 100 runs"
    less = run(view("d", "2", "1", "cheaper"), GONE, context=context)
    assert month_sentence(less, change_of(less)) is None


def accepted(key: str, before: str | None = "0.01", now: str = "0.02", **changes: Any) -> TestView:
    given: dict[str, Any] = {"state": "new" if before is None else "accepted"}
    return view(key, before, now, **(given | changes))


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ((accepted("a", reason="better"), view("b")), "accepted in this change: <better>"),
        ((accepted("a"),), "accepted in this change without a reason"),
        (
            (accepted("a", reason="x"), accepted("b", None, reason="y")),
            "accepted in this change: <x> (and 1 more reason)",
        ),
        (
            (accepted("a", reason="x"), view("b", now="0.011", state="moved")),
            "a rise of $0.010 accepted in this change: <x>",
        ),
        (
            (accepted("a", reason="x"), view("b", "9", "1", "cheaper")),
            "a rise of $0.010 accepted in this change: <x>",
        ),
        ((over(),), None),
        ((view("b", "9", "1", "cheaper", reason="x"),), None),
    ],
)
def test_what_was_accepted(tests: tuple[TestView, ...], words: str | None) -> None:
    assert accepted_sentence(run(*tests, base=BASE), lambda text: f"<{text}>") == words
    assert accepted_sentence(run(*tests), str) is None


def test_the_same_as_the_base() -> None:
    result = run(view(), base=BASE)
    words = "this change costs the same per test run ($0.010)"
    assert money_sentence(result, change_of(result)) == words
