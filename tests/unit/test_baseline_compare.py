from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.baseline.compare import Comparison
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


@given(calls)
def test_equal_sides_have_no_causes(some: list[Call]) -> None:
    found = compare(some, list(reversed(some)))
    assert found.identical
    assert found.causes() == ()
    assert not found.vanished


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
