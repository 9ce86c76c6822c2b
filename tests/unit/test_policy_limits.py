from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.amounts import parse_percent, parse_usd, parse_whole, shown
from pytest_crashlens.policy.limits import (
    DEFAULT_LIMITS,
    MARKER_KEYS,
    METRICS,
    Increase,
    Limits,
    limits_from_marker,
)

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How fast a machine is proves nothing here."""

amounts = st.decimals(0, 10**6, places=6)
by_metric = st.dictionaries(st.sampled_from(METRICS), amounts, min_size=1)
increases = st.one_of(
    st.builds(Increase, default=amounts, by_metric=by_metric | st.just({})),
    st.builds(Increase, by_metric=by_metric),
    st.builds(Increase, by_metric=by_metric, others_off=st.just(True)),
    st.sampled_from([Increase(), Increase(off=True)]),
)
counts = st.none() | st.integers(0, 10**9)
all_limits = st.builds(
    Limits,
    max_increase=st.none() | increases,
    min_increase_tokens=counts,
    min_increase_cost=st.none() | amounts,
    max_cost=st.none() | amounts,
    max_total_tokens=counts,
    max_input_tokens=counts,
    max_output_tokens=counts,
    max_calls=counts,
    max_retries=counts,
)


@relaxed
@given(all_limits)
def test_limits_survive_json(limits):
    assert Limits.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits


@relaxed
@given(all_limits, all_limits, all_limits)
def test_over_is_associative(a, b, c):
    assert a.over(b).over(c) == a.over(b.over(c))


@relaxed
@given(all_limits)
def test_no_limits_change_nothing(limits):
    assert Limits().over(limits) == limits
    assert limits.over(Limits()) == limits


def test_the_closer_limit_wins_key_by_key():
    near = Limits(max_calls=0, max_cost=Decimal("0.1"))
    far = Limits(max_calls=9, max_retries=2)
    assert near.over(far) == Limits(max_calls=0, max_cost=Decimal("0.1"), max_retries=2)


def test_default_gate():
    assert DEFAULT_LIMITS.max_increase is not None
    assert [DEFAULT_LIMITS.max_increase.limit(metric) for metric in METRICS] == [20] * 4
    assert DEFAULT_LIMITS.min_increase_tokens == 50


def test_a_metric_of_its_own_leaves_the_others_at_the_wider_default():
    near = Limits(max_increase=Increase(by_metric={"cost": Decimal(5)}))
    merged = near.over(DEFAULT_LIMITS).max_increase
    assert merged is not None
    assert (merged.limit("cost"), merged.limit("calls")) == (5, 20)


def test_a_closer_default_speaks_for_every_metric():
    far = Increase(default=Decimal(20), by_metric={"cost": Decimal(5)})
    assert Increase(default=Decimal(50)).over(far).limit("cost") == 50


def test_off_wins_when_closer_and_yields_when_wider():
    off, on = Increase(off=True), Increase(default=Decimal(20))
    assert off.over(on).off
    assert not on.over(off).off
    cost_only = Increase(by_metric={"cost": Decimal(5)}).over(off)
    for merged in (cost_only, cost_only.over(on)):
        assert (merged.off, merged.limit("cost"), merged.limit("calls")) == (False, 5, None)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0.05", "0.05"), ("$0.05", "0.05"), ("$ 1", "1"), (".5", "0.5"), ("5e-4", "0.0005")],
)
def test_dollars(text, amount):
    assert parse_usd(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "nan", ".nan", "inf", ".inf", "1,000", "5 USD", "€5", "1e999", "0x1", "1:30"),
        *("1_0", "\u0663", "9" * 50, "--1", "$", "."),
    ],
)
def test_what_is_no_amount_of_dollars(text):
    with pytest.raises(ValueError, match=r"expected US dollars, found .*; write"):
        parse_usd(text)


@relaxed
@given(st.decimals(0, 10**9, places=9))
def test_dollars_are_read_exactly(amount):
    assert parse_usd(f"{amount:f}") == amount


@pytest.mark.parametrize(("text", "percent"), [("20%", "20"), ("12.5 %", "12.5"), ("0%", "0")])
def test_percentages(text, percent):
    assert parse_percent(text) == Decimal(percent)


@pytest.mark.parametrize("text", ["", "%", "-5%", "nan%", "1e3%", "ten%", "\u0663%", "5%%"])
def test_what_is_no_percentage(text):
    with pytest.raises(ValueError, match="expected a percentage"):
        parse_percent(text)


def test_long_texts_are_cut_in_messages():
    assert shown("x" * 40) == f'"{"x" * 40}"'
    assert shown("x" * 41) == f'"{"x" * 37}..."'
    assert shown("\x1b[0m") == r'"\x1b[0m"'


def test_a_bare_number_is_told_to_take_a_percent_sign():
    with pytest.raises(ValueError, match='write "20%"'):
        parse_percent("20")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("750", 750), ("1_000_000", 1_000_000)])
def test_whole_numbers(text, number):
    assert parse_whole(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "-1", "0750", "0x1F", "1e3", "750.0", "1_0", "1:30", "\u0663", "9" * 5000, "+5", "0b1"],
)
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError, match="expected a whole number"):
        parse_whole(text)


def test_marker_words_are_those_of_the_file():
    settings = limits_from_marker(
        {
            "max_increase": {"cost": "12.5%"},
            "min_increase": {"tokens": 10, "cost": 0.001},
            "max_cost": "$0.05",
            "max_total_tokens": 4,
            "max_input_tokens": 3,
            "max_output_tokens": 2,
            "max_calls": 0,
            "max_retries": 1,
            "task": "summarization",
            "key": "checkout flow",
            "ignore": True,
        }
    )
    assert settings.limits == Limits(
        max_increase=Increase(by_metric={"cost": Decimal("12.5")}),
        min_increase_tokens=10,
        min_increase_cost=Decimal("0.001"),
        max_cost=Decimal("0.05"),
        max_total_tokens=4,
        max_input_tokens=3,
        max_output_tokens=2,
        max_calls=0,
        max_retries=1,
    )
    assert (settings.task, settings.key, settings.ignore) == (
        "summarization",
        "checkout flow",
        True,
    )
    json.dumps(settings.limits.to_dict())


def test_a_bare_marker_sets_nothing():
    assert limits_from_marker({}).limits == Limits()
    assert not limits_from_marker({"max_calls": 1}).ignore


@pytest.mark.parametrize("given", [0.05, "0.05", "$0.05", Decimal("0.05")], ids=lambda v: repr(v))
def test_marker_dollars_are_the_number_as_written(given):
    assert limits_from_marker({"max_cost": given}).limits.max_cost == Decimal("0.05")


def test_marker_tiny_float():
    assert limits_from_marker({"max_cost": 1e-05}).limits.max_cost == Decimal("0.00001")


@pytest.mark.parametrize(
    "kwargs",
    [
        {"max_cost": True},
        {"max_cost": -1},
        {"max_cost": float("nan")},
        {"max_cost": float("inf")},
        {"max_cost": Decimal("NaN")},
        {"max_cost": None},
        {"max_cost": [1]},
        {"max_cost": ...},
        {"max_calls": True},
        {"max_calls": "3"},
        {"max_calls": 3.0},
        {"max_calls": -1},
        {"max_increase": 20},
        {"max_increase": True},
        {"max_increase": {"speed": "5%"}},
        {"max_increase": {"cost": "off"}},
        {"max_increase": {}},
        {"min_increase": 5},
        {"min_increase": {"tokens": "5"}},
        {"task": ""},
        {"task": "No Task"},
        {"key": ""},
        {"key": 5},
        {"ignore": 1},
        {"ignore": "yes"},
        {"per": "call"},
    ],
    ids=str,
)
def test_wrong_marker_arguments(kwargs):
    with pytest.raises(ConfigError) as caught:
        limits_from_marker(kwargs)
    assert all(name in str(caught.value) for name in kwargs if name != "max_increase")
    assert all(key in str(caught.value) for key in MARKER_KEYS)


def test_every_wrong_argument_is_named_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        limits_from_marker({"max_costs": 1, "max_calls": -1, "max_increase": 20})
    text = str(caught.value)
    assert 'unknown key "max_costs"; did you mean max_cost?' in text
    assert "max_calls: expected a whole number of at least 0" in text
    assert 'write "20%"' in text
    assert "0:0" not in text


@relaxed
@given(
    st.dictionaries(
        st.sampled_from(MARKER_KEYS),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(),
            st.decimals(),
            st.lists(st.integers()),
            st.dictionaries(st.text(), st.floats() | st.text()),
            st.binary(),
        ),
    )
)
def test_a_marker_is_read_or_refused(kwargs):
    try:
        settings = limits_from_marker(kwargs)
    except ConfigError:
        return
    assert Limits.from_dict(json.loads(json.dumps(settings.limits.to_dict()))) == settings.limits
