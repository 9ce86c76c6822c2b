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


def test_calls_that_move_from_one_basis_to_another_change_the_basis() -> None:
    stated, counted = call(), call(usage_source="tokenizer")
    refused = call(usage=Usage(), usage_source="none", billed=False)
    mostly_stated = [*[stated] * 9, counted]
    moved = compare(mostly_stated, [stated, *[counted] * 9])
    assert moved.basis_changed
    assert moved.before.bases == moved.now.bases
    assert not compare(mostly_stated, [*mostly_stated, counted, stated]).basis_changed
    assert not compare(mostly_stated, mostly_stated[1:]).basis_changed
    assert not compare([*mostly_stated, refused], [*mostly_stated, counted]).basis_changed


def test_output_of_replayed_calls_that_went_live_is_compared() -> None:
    live, replayed = call(tokens=(1000, 100), live=True), call(tokens=(1000, 1000))
    long = call(tokens=(1000, 10_000), live=True)
    before = [live, replayed]
    went_live = compare(before, [live, long])
    assert not went_live.output_varies
    assert went_live.judged_output() == (1100, 10_100)
    assert went_live.judged_costs() == went_live.costs()
    for now in ([long, replayed], [live, long, replayed], [live]):
        assert compare(before, now).output_varies
        assert compare(before, now).judged_output()[0] == 1000
    assert not compare(before, [call(), call()]).output_varies


def test_a_part_of_both_sides() -> None:
    whole = compare([call(), call("large")], [call("large"), call("large")])
    part = whole.only(lambda block: block.kind.model == "large")
    assert (part.before, part.now) == (entry(call("large")), whole.now)
