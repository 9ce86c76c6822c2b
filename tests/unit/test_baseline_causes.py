from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.baseline.causes import Cause, causes, percent_change
from pytest_crashlens.baseline.entry import Entry, entry_of
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.card import Rate, RateCard
from tests.unit.entries import BY_ID, CARDS, call, card

THINKING = card("thinking", "1", "2", output_reasoning="7")
FULL = RateCard(
    provider="openai",
    model="full",
    rates={
        "input": Rate(Decimal("1.25"), ((1000, Decimal("2.5")),)),
        "cache_read": Rate(Decimal("0.125"), ((1000, Decimal("0.25")),)),
        "cache_write": Rate(Decimal("1.5625")),
        "input_audio": Rate(Decimal(40)),
        "output": Rate(Decimal(10), ((1000, Decimal(15)),)),
        "web_searches": Rate(Decimal(10)),
        "requests": Rate(Decimal("0.07")),
    },
    source="test",
)
ALL = BY_ID | {found.id: found for found in (THINKING, FULL)}
KNOWN = CARDS | {"thinking": THINKING, "full": FULL}


def a_sum(*some: Call) -> Entry:
    return entry_of(some, lambda one: KNOWN.get(one.model or ""))[0]


def between(before: list[Call], now: list[Call]) -> tuple[Cause, ...]:
    return causes(a_sum(*before), a_sum(*now), ALL)


def texts(before: list[Call], now: list[Call]) -> list[str]:
    return [cause.text for cause in between(before, now)]


tokens = st.none() | st.integers(0, 3000)
usages = st.builds(
    Usage,
    input_tokens=tokens,
    output_tokens=tokens,
    cache_read_tokens=tokens,
    cache_write_tokens=tokens,
    reasoning_tokens=tokens,
    input_audio_tokens=tokens,
    web_searches=st.none() | st.integers(0, 3),
    billed_output_tokens=st.none() | st.integers(0, 50),
)
models = [*KNOWN, "free of a price"]
anything = st.lists(
    st.builds(
        call,
        model=st.sampled_from(models),
        usage=usages,
        attempts=st.integers(1, 4),
        usage_source=st.sampled_from(["provider", "tokenizer", "none"]),
        billed=st.sampled_from([True, True, True, False]),
        service_tier=st.sampled_from([None, "flex"]),
        batch=st.booleans(),
        live=st.booleans(),
    ),
    max_size=6,
)
simple = st.lists(
    st.builds(
        call,
        model=st.sampled_from([*KNOWN]),
        tokens=st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
        cache_read_tokens=st.integers(0, 3000),
        reasoning_tokens=st.integers(0, 3000),
        attempts=st.integers(1, 4),
    ),
    max_size=6,
)


@given(anything, anything)
def test_tokens_sum_to_the_change_whatever_was_called(before: list[Call], now: list[Call]) -> None:
    told = sum(cause.tokens for cause in between(before, now))
    assert told == a_sum(*now).usage.total_tokens - a_sum(*before).usage.total_tokens


@given(anything, anything)
def test_dollars_sum_wherever_both_sides_have_a_whole_price(
    before: list[Call], now: list[Call]
) -> None:
    old, new = a_sum(*before).cost(ALL), a_sum(*now).cost(ALL)
    found = between(before, now)
    if old.status == new.status == "priced":
        assert sum((cause.usd for cause in found if cause.usd is not None), Decimal(0)) == (
            (new.usd or 0) - (old.usd or 0)
        )
        assert all(cause.usd is not None for cause in found)


@given(simple, simple)
def test_dollars_and_tokens_sum_exactly(before: list[Call], now: list[Call]) -> None:
    old, new = a_sum(*before), a_sum(*now)
    found = between(before, now)
    was, is_now = old.cost(ALL).usd, new.cost(ALL).usd
    assert was is not None
    assert is_now is not None
    assert sum((cause.usd or Decimal(0) for cause in found), Decimal(0)) == is_now - was
    assert sum(cause.tokens for cause in found) == (new.usage.total_tokens - old.usage.total_tokens)


@given(anything)
def test_what_did_not_change_has_no_cause(some: list[Call]) -> None:
    assert between(some, list(reversed(some))) == ()


def test_a_dearer_model_is_named() -> None:
    (cause,) = between([call(tokens=(1000, 500))], [call("large", tokens=(1000, 500))])
    assert (cause.kind, cause.text) == ("model", "model small -> large")
    assert (cause.usd, cause.tokens) == (Decimal("0.018"), 0)


def test_single_calls_instead_of_a_batch() -> None:
    assert texts([call(batch=True)], [call()]) == ["batch -> single calls"]


def test_more_calls_of_the_same_size() -> None:
    (cause,) = between([call()], [call()] * 3)
    assert (cause.kind, cause.text, cause.tokens) == ("calls", "2 more calls", 300)
    assert texts([call()] * 3, [call()] * 2) == ["1 fewer call"]


def test_longer_input_and_output_per_call() -> None:
    before, now = [call(tokens=(1000, 100))] * 2, [call(tokens=(1500, 300))] * 2
    assert texts(before, now) == [
        "input per call +50 % (1,000 -> 1,500 tokens)",
        "output per call +200 % (100 -> 300 tokens)",
    ]
    assert texts(before[:1], now[:1])[0] == "input +50 % (1,000 -> 1,500 tokens)"


def test_of_equal_money_the_larger_number_of_tokens_is_first() -> None:
    before, now = [call("unheard", (1000, 100))], [call("unheard", (1100, 300))]
    assert [cause.kind for cause in between(before, now)] == ["output", "input"]


def test_a_lost_cache_is_not_longer_input() -> None:
    before = [call(tokens=(1000, 100), cache_read_tokens=800)]
    (cause,) = between(before, [call(tokens=(1000, 100), cache_read_tokens=0)])
    assert (cause.kind, cause.text) == ("cache", "cached input 800 -> 0 tokens")
    assert (cause.usd, cause.tokens) == (Decimal("0.0004"), 0)


def test_grown_input_keeps_its_cached_share_before_the_cache_is_blamed() -> None:
    before = [call(tokens=(1000, 0), cache_read_tokens=500)]
    (cause,) = between(before, [call(tokens=(2000, 0), cache_read_tokens=1000)])
    assert (cause.kind, cause.usd) == ("input", Decimal("0.00075"))


def test_input_that_grows_behind_the_cached_part_loses_no_cache() -> None:
    before = [call(tokens=(1000, 0), cache_read_tokens=800)]
    (cause,) = between(before, [call(tokens=(1500, 0), cache_read_tokens=800)])
    assert (cause.kind, cause.usd) == ("input", Decimal("0.0005"))


def test_a_cache_lost_by_longer_input_is_told_apart() -> None:
    before = [call(tokens=(1000, 0), cache_read_tokens=800)] * 2
    found = between(before, [call(tokens=(1500, 0), cache_read_tokens=100)] * 2)
    assert [(cause.text, cause.usd) for cause in found] == [
        ("input per call +50 % (1,000 -> 1,500 tokens)", Decimal("0.001")),
        ("cached input per call 800 -> 100 tokens", Decimal("0.0007")),
    ]


def test_a_token_of_rounding_is_not_the_caches() -> None:
    before = [call(tokens=(1000, 0), cache_read_tokens=777)]
    (cause,) = between(before, [call(tokens=(1999, 0), cache_read_tokens=1554)])
    assert cause.kind == "input"


def test_reasoning_is_apart_from_what_is_said() -> None:
    before, now = [call(tokens=(0, 100))], [call(tokens=(0, 900), reasoning_tokens=800)]
    (cause,) = between(before, now)
    assert (cause.kind, cause.text) == ("reasoning", "reasoning 0 -> 800 tokens")
    assert (cause.usd, cause.tokens) == (Decimal("0.0016"), 800)
    now = [call(tokens=(0, 1100), reasoning_tokens=800)]
    assert texts(before, now) == [
        "reasoning 0 -> 800 tokens",
        "visible output +200 % (100 -> 300 tokens)",
    ]
    before = [call("thinking", (0, 500), reasoning_tokens=400)] * 2
    found = between(before, [call("thinking", (0, 900), reasoning_tokens=800)] * 2)
    assert [(cause.text, cause.usd, cause.tokens) for cause in found] == [
        ("reasoning per call +100 % (400 -> 800 tokens)", Decimal("0.0056"), 800)
    ]


def test_retries_cost_nothing_that_is_known_and_are_named() -> None:
    (cause,) = between([call()], [call(attempts=4)])
    assert (cause.kind, cause.text) == ("retries", "3 more retries")
    assert (cause.usd, cause.tokens) == (0, 0)


def test_a_refused_call_takes_no_answered_ones_place() -> None:
    refused = call("large", usage=Usage(), billed=False)
    assert texts([call()], [refused]) == ["1 more refused call, large", "1 fewer call, small"]


def test_a_single_long_call_among_short_ones() -> None:
    before = [call("tiered", (900, 0))] * 4
    found = between(before, [*before[:3], call("tiered", (1100, 0))])
    assert [cause.text for cause in found] == [
        "prices above the long-context threshold",
        "input per call +5.6 % (900 -> 950 tokens)",
    ]
    assert {cause.kind for cause in found} == {"input"}


def test_causes_name_the_model_where_several_are_involved() -> None:
    before, now = [call(), call("large")], [call(), call(), call("large")]
    assert texts(before, now) == ["1 more call, small"]
    assert texts([call()], [call(), call("large")]) == ["1 more call, large"]


class TestInputParts:
    """Which part of the input grew."""

    def text(self, before: dict[str, int], now: dict[str, int], calls: int = 1) -> str:
        sides = [
            [call(tokens=(size, 0), input_parts=InputParts(**parts))] * calls
            for size, parts in ((1200, before), (1800, now))
        ]
        (found,) = texts(*sides)
        return found.partition("tokens)")[2]

    def test_the_part_that_grew_is_named(self) -> None:
        assert self.text({"system": 10, "user": 5}, {"system": 2420, "user": 5}) == (
            ", system +2,410 characters"
        )

    def test_per_call(self) -> None:
        assert self.text({"system": 10}, {"system": 2420}, calls=3) == ", system +2,410 characters"

    def test_two_at_most_the_largest_first_and_no_dust(self) -> None:
        before = {"system": 100, "tools": 100, "user": 100}
        after = {"system": 400, "tools": 900, "user": 250}
        assert self.text(before, after) == ", tools +800 characters, system +300 characters"
        after = {"system": 110, "tools": 900, "user": 90}
        assert self.text(before, after) == ", tools +800 characters"

    def test_images_are_counted(self) -> None:
        assert self.text({"user": 100}, {"user": 300, "images": 2}) == (
            ", images +2, user +200 characters"
        )

    def test_nothing_is_said_of_what_is_not_known_or_only_shrank(self) -> None:
        assert self.text({}, {"system": 400}) == ""
        assert self.text({"system": 400}, {}) == ""
        assert self.text({"system": 400}, {"system": 300}) == ""

    def test_what_shrank_with_the_input(self) -> None:
        before = [call(tokens=(1800, 0), input_parts=InputParts(system=500))]
        now = [call(tokens=(1200, 0), input_parts=InputParts(system=100))]
        (found,) = texts(before, now)
        assert found.endswith("(1,800 -> 1,200 tokens), system -400 characters")


def test_percent_change() -> None:
    assert percent_change(100, 150) == "+50 %"
    assert percent_change(100, 104) == "+4.0 %"
    assert percent_change(100, 91) == "-9.0 %"
    assert percent_change(0, 3) == "new"
    assert percent_change(0, 0) == "0 %"
    assert percent_change(7, 7) == "0 %"
    assert percent_change(1, 10**9) == "+99,999,999,900 %"


def test_a_step_that_has_no_price_leaves_its_share_to_the_next() -> None:
    """Audio has no rate at the new model's card, which is asked with text alone."""
    audio = Usage(input_tokens=100, output_tokens=0, input_audio_tokens=100)
    found = between([call("full", usage=audio)], [call("small", (100, 50))])
    assert all(cause.usd is not None for cause in found)
    change = Decimal("0.0002") - Decimal("0.00407")
    assert sum(cause.usd or Decimal(0) for cause in found) == change
