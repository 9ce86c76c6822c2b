from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.baseline.compare import Comparison, percent_change
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from tests.unit.entries import BY_ID, call, entry

calls = st.lists(
    st.builds(
        call,
        model=st.sampled_from(["small", "large", "tiered"]),
        tokens=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
        attempts=st.integers(1, 4),
    ),
    max_size=6,
)


def compare(before: list[Call], now: list[Call]) -> Comparison:
    return Comparison(before=entry(*before), now=entry(*now), cards=BY_ID)


def texts(before: list[Call], now: list[Call]) -> list[str]:
    return [cause.text for cause in compare(before, now).causes()]


@given(calls, calls)
def test_causes_sum_to_the_change_in_cost(before: list[Call], now: list[Call]) -> None:
    found = compare(before, now)
    old, new = found.costs()
    assert old.usd is not None
    assert new.usd is not None
    told = sum((cause.usd for cause in found.causes() if cause.usd is not None), Decimal(0))
    assert told == new.usd - old.usd


@given(calls)
def test_equal_sides_have_no_causes(some: list[Call]) -> None:
    found = compare(some, list(reversed(some)))
    assert found.identical
    assert found.causes() == ()
    assert not found.vanished


def test_a_dearer_model_is_named() -> None:
    found = compare([call(tokens=(1000, 500))], [call("large", tokens=(1000, 500))])
    (cause,) = found.causes()
    assert (cause.kind, cause.text) == ("model", "model small -> large")
    assert cause.usd == Decimal("0.018")


def test_more_calls_of_the_same_size() -> None:
    assert texts([call()], [call()] * 3) == ["2 more calls"]
    assert texts([call()] * 3, [call()] * 2) == ["1 fewer call"]


def test_longer_input_and_output_per_call() -> None:
    before, now = [call(tokens=(1000, 100))] * 2, [call(tokens=(1500, 300))] * 2
    assert texts(before, now) == [
        "input per call +50 % (1,000 -> 1,500 tokens)",
        "output per call +200 % (100 -> 300 tokens)",
    ]
    assert texts(before[:1], now[:1])[0] == "input +50 % (1,000 -> 1,500 tokens)"


def test_a_lost_cache_is_not_longer_input() -> None:
    before = [call(tokens=(1000, 100), cache_read_tokens=800)]
    found = compare(before, [call(tokens=(1000, 100), cache_read_tokens=0)])
    (cause,) = found.causes()
    assert (cause.kind, cause.text) == ("cache", "cached input 800 -> 0 tokens")
    assert cause.usd == Decimal("0.0004")


def test_grown_input_keeps_its_cached_share_before_the_cache_is_blamed() -> None:
    before = [call(tokens=(1000, 0), cache_read_tokens=500)]
    found = compare(before, [call(tokens=(2000, 0), cache_read_tokens=1000)])
    assert [(cause.kind, cause.usd) for cause in found.causes() if cause.usd] == [
        ("input", Decimal("0.00075"))
    ]


def test_retries_are_told_without_a_price() -> None:
    found = compare([call()], [call(attempts=4)])
    (cause,) = found.causes()
    assert (cause.kind, cause.text, cause.usd) == ("retries", "3 more retries", None)


def test_causes_name_the_model_where_several_are_involved() -> None:
    before, now = [call(), call("large")], [call(), call(), call("large")]
    assert texts(before, now) == ["1 more call, small"]
    assert texts([call()], [call(), call("large")]) == ["1 more call, large"]


def test_vanished_and_changed_basis() -> None:
    assert compare([call()], []).vanished
    assert not compare([], []).vanished
    counted = [call(usage_source="tokenizer")]
    assert compare([call()], counted).basis_changed
    assert not compare(counted, counted).basis_changed
    assert not compare([call()], []).basis_changed


def test_what_grows_without_a_price_is_named() -> None:
    before = [call("private", (100, 50))]
    assert compare(before, before).unpriced_growth() == ()
    assert compare(before, [call("private", (99, 50))]).unpriced_growth() == ()
    assert compare(before, [call("private", (101, 50))]).unpriced_growth() == ("openai/private",)
    assert compare([call()], before).unpriced_growth() == ("openai/private",)
    lost_cache = [call("private", (100, 50), cache_read_tokens=80)]
    assert compare(lost_cache, before).unpriced_growth() == ("openai/private",)


def test_calls_of_unknown_usage_hide_no_unpriced_growth_beside_them() -> None:
    unknown = [call("private", usage=Usage(), usage_source="none")] * 2
    before = [*unknown, call("private", (100, 50))]
    assert compare(before, before).unpriced_growth() == ()
    grown = [*unknown, call("private", (110, 50))]
    assert compare(before, grown).unpriced_growth() == ("openai/private",)


def test_percent_change() -> None:
    assert percent_change(100, 150) == "+50 %"
    assert percent_change(100, 104) == "+4.0 %"
    assert percent_change(100, 91) == "-9.0 %"
    assert percent_change(0, 3) == "new"
    assert percent_change(0, 0) == "0 %"
    assert percent_change(7, 7) == "0 %"
    assert percent_change(1, 10**9) == "+99,999,999,900 %"
