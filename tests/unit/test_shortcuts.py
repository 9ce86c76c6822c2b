"""What is left out or done piecemeal for the sake of large suites changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.baseline import compare, moved
from pytest_crashlens.baseline.causes import causes
from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, parse
from pytest_crashlens.model.call import Call
from pytest_crashlens.policy.assess import Assessor
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.limits import DEFAULT_LIMITS
from pytest_crashlens.policy.verdict import Verdict, against_baseline
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.report.json_report import to_json
from pytest_crashlens.report.run_result import BaselineStatus, Result, RunResult, Totals
from tests.unit.entries import BY_ID, CARDS, call, entry

TOKENS = st.none() | st.integers(0, 3000)
CALLS = st.lists(
    st.builds(
        lambda model, given, source, **more: call(model, given, usage_source=source, **more),
        st.sampled_from([*CARDS, "unpriced"]),
        st.tuples(TOKENS, TOKENS),
        st.sampled_from(["provider", "tokenizer", "estimated", "none"]),
        cache_read_tokens=TOKENS,
        reasoning_tokens=TOKENS,
        live=st.booleans(),
        billed=st.booleans(),
    ),
    max_size=4,
)
ODD = '"tests": [\n  "tests": {'
BOOK = PriceBook(at=datetime(2026, 11, 1, 12, tzinfo=UTC))


@given(CALLS)
def test_what_is_identical_is_neither_judged_nor_explained(calls: list[Call]) -> None:
    """The shortcuts of :class:`Comparison` are off here: the long way finds nothing either."""
    comparison = Comparison(before=entry(*calls), now=entry(*calls), cards=BY_ID)
    assert comparison.identical
    with patch.object(Comparison, "identical", new=False):
        assert against_baseline(comparison, DEFAULT_LIMITS) == []
        assert comparison.models_cost() is None
        assert comparison.unpriced_growth() == ()
    assert causes(comparison.before, comparison.now, BY_ID) == ()


def test_causes_are_looked_for_once() -> None:
    comparison = Comparison(before=entry(call()), now=entry(call(tokens=(900, 50))), cards=BY_ID)
    first = comparison.causes()
    assert first
    with patch.object(compare, "causes", side_effect=AssertionError):
        assert comparison.causes() is first
        assert comparison == Comparison(
            before=comparison.before, now=comparison.now, cards=comparison.cards
        )
    assert comparison.only(lambda _: False).causes() == ()


def test_entries_written_one_by_one_make_the_same_file() -> None:
    for keys in ([], [ODD], ["b", ODD, "a", "é::\u2028"]):
        entries = {key: entry(call(), call("large")) for key in keys}
        text = Baseline().merged(entries, BY_ID).render()
        plain = json.loads(text)
        assert text == json.dumps(plain, indent=2, sort_keys=True) + "\n"
        assert list(plain["tests"]) == sorted(keys)
        assert parse(text, "x").entries == entries


def test_tests_written_one_by_one_make_the_same_report() -> None:
    assessor = Assessor(Config(), None, BOOK, updating=False)
    nothing = Totals.of([], assessor.cost_today([]))
    for keys in ([], [ODD], ["b", ODD, "a"]):
        results = tuple(
            Result(assessment=assessor.describe(key, key, [call()]), outcome="passed")
            for key in keys
        )
        run = RunResult(
            results=results,
            session=Verdict(),
            spent=nothing,
            simulated=nothing,
            baseline=BaselineStatus(name=ODD, mode="off"),
        )
        text = to_json(run)
        plain = json.loads(text)
        assert text == json.dumps(plain, indent=2, sort_keys=True) + "\n"
        assert [test["key"] for test in plain["tests"]] == keys


def test_the_last_test_that_lost_calls_is_their_source() -> None:
    one, two = entry(call()), entry(call(), call())
    found = moved.moved({"a": (two, one), "b": (two, one), "c": (one, two)}, {"d": one})
    assert [(each.source, each.target) for each in found] == [("b", "c")]
    found = moved.moved({"c": (one, two), "e": (Entry(), one)}, {"d": one})
    assert [(each.source, each.target) for each in found] == [("d", "c")]


def test_cards_of_the_baseline_are_shared() -> None:
    baseline = Baseline().merged({"t": entry(call("large"))}, BY_ID)
    assessor = Assessor(Config(), baseline, BOOK, updating=False)
    known = assessor.assess("t", "t", [call("large")], place="t").comparison
    more = assessor.assess("t", "t", [call("gpt-4o-mini")], place="t").comparison
    assert known is not None
    assert known.cards is baseline.cards
    assert more is not None
    assert set(baseline.cards) < set(more.cards)
