"""Rate cards: plain data there and back, and the cost of usage, exactly."""

import decimal
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.errors import PriceError
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.card import RATE_NAMES, Rate, RateCard, cost


def make_card(rates: dict | None = None, **changes) -> RateCard:
    given_rates = {"input": "2.5", "cache_read": "1.25", "output": "10"} if rates is None else rates
    plain = {"provider": "openai", "model": "m", "source": "test", "rates": given_rates, **changes}
    return RateCard.from_dict(plain)


TIERED = make_card({"input": {"base": "1.25", "above": [[200_000, "2.50"]]}, "output": "10"})
RICH = make_card(
    {
        "input": "3",
        "cache_read": "0.3",
        "cache_write": "3.75",
        "cache_write_1h": "6",
        "input_audio": "40",
        "output": "15",
        "output_audio": "80",
        "web_searches": "10",
    }
)

prices = st.decimals(0, 999, places=4).map(abs)
rates = st.one_of(
    prices.map(Rate),
    st.tuples(prices, prices, prices).map(lambda p: Rate(p[0], ((1000, p[1]), (200_000, p[2])))),
)
cards = st.builds(
    RateCard,
    provider=st.text(max_size=5),
    model=st.text(max_size=5),
    tier=st.sampled_from(["standard", "flex"]),
    rates=st.dictionaries(st.sampled_from(sorted(RATE_NAMES)), rates),
    source=st.text(max_size=5),
    free=st.booleans(),
    context_not_priced=st.booleans(),
)


@st.composite
def usages(draw) -> Usage:
    count = st.integers(0, 1_000_000)
    parts = {
        name: draw(count)
        for name in ("cache_read_tokens", "cache_write_1h_tokens", "input_audio_tokens")
    }
    audio = draw(count)
    return Usage(
        **parts,
        cache_write_tokens=parts["cache_write_1h_tokens"] + draw(count),
        input_tokens=3 * 1_000_000 + 1_000_000 + draw(count),
        output_audio_tokens=audio,
        output_tokens=audio + draw(count),
        web_searches=draw(st.integers(0, 50)),
    )


@settings(deadline=None)
@given(cards, usages())
def test_reading_back_changes_neither_card_nor_id_nor_cost(card, usage):
    again = RateCard.from_dict(json.loads(json.dumps(card.to_dict())))
    assert again == card
    assert again.id == card.id
    assert cost(again, usage) == cost(card, usage)


@settings(deadline=None)
@given(usages(), usages())
def test_cost_is_additive_on_a_card_without_bands(a, b):
    together = cost(RICH, a + b)
    assert together.status == "priced"
    assert cost(RICH, a).usd + cost(RICH, b).usd == together.usd


@settings(deadline=None)
@given(usages(), usages())
def test_more_usage_never_costs_less(a, b):
    assert cost(TIERED, a + b, band=0).usd >= cost(TIERED, a, band=0).usd
    assert cost(RICH, a + b).usd >= cost(RICH, a).usd


@settings(deadline=None)
@given(
    st.builds(
        Usage,
        **{
            name: st.none() | st.integers(-5, 10**12)
            for name in Usage.__dataclass_fields__  # any nonsense a provider may state
        },
    ),
    cards,
)
def test_nonsense_is_never_negative_money_nor_silently_priced(usage, card):
    result = cost(card, usage)
    assert result.usd is None or result.usd >= 0
    assert (result.status == "unpriced") == (result.usd is None)
    if min(usage.to_dict().values(), default=0) < 0 and not card.free:
        assert result.status != "priced"


def test_partitions_are_taken_out_of_the_totals():
    usage = Usage(
        input_tokens=1000,
        cache_read_tokens=100,
        cache_write_tokens=300,
        cache_write_1h_tokens=200,
        input_audio_tokens=50,
        output_tokens=40,
        output_audio_tokens=10,
        reasoning_tokens=5,
        web_searches=2,
    )
    expected = 550 * 3 + 100 * Decimal("0.3") + 100 * Decimal("3.75") + 200 * 6 + 50 * 40
    expected += 30 * 15 + 10 * 80
    assert cost(RICH, usage).usd == expected / 1_000_000 + Decimal("0.02")
    assert cost(RICH, usage).status == "priced"


@pytest.mark.parametrize(
    "write",
    [{"cache_write_5m_tokens": 100}, {"cache_write_tokens": 100}],
    ids=["split only", "total only"],
)
def test_cache_writes_count_once_however_stated(write):
    usage = Usage(input_tokens=100, output_tokens=0, **write)
    assert cost(RICH, usage).usd == Decimal("0.000375")


@pytest.mark.parametrize(
    ("used", "dimension"),
    [
        ({"input_audio_tokens": 10}, "input_audio"),
        ({"input_image_tokens": 10}, "input_image"),
        ({"cache_write_1h_tokens": 10}, "cache_write_1h"),
        ({"output_audio_tokens": 10}, "output_audio"),
        ({"web_searches": 1}, "web_searches"),
    ],
)
def test_a_dimension_without_rate_makes_a_partial_lower_bound(used, dimension):
    result = cost(make_card(), Usage(input_tokens=100, output_tokens=20, **used))
    assert result.status == "partial"
    assert result.reasons == (f"no rate for {dimension}",)
    assert result.usd <= cost(make_card(), Usage(input_tokens=100, output_tokens=20)).usd


def test_cached_tokens_without_rate_cost_as_input_and_say_so():
    card = make_card({"input": "2", "output": "8"})
    usage = Usage(input_tokens=100, cache_read_tokens=60, cache_write_5m_tokens=40, output_tokens=0)
    result = cost(card, usage)
    assert (result.usd, result.status) == (Decimal("0.0002"), "priced")
    assert result.reasons == (
        "cache_read has no rate: priced as input",
        "cache_write has no rate: priced as input",
    )


def test_parts_beyond_the_total_are_partial_and_not_negative():
    result = cost(make_card(), Usage(input_tokens=10, cache_read_tokens=1000, output_tokens=0))
    assert result.status == "partial"
    assert result.usd == Decimal("0.00125")
    assert result.reasons == ("the parts of input_tokens exceed input_tokens",)


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (Usage(input_tokens=5), "output_tokens not stated"),
        (Usage(output_tokens=5), "input_tokens not stated"),
        (Usage(input_tokens=1, output_tokens=1, reasoning_tokens=2), "reasoning_tokens exceed"),
    ],
)
def test_what_is_missing_or_contradictory_is_named(usage, reason):
    result = cost(make_card(), usage)
    assert result.status == "partial"
    assert result.reasons[0].startswith(reason)


def test_embeddings_have_no_output_to_miss():
    assert cost(make_card({"input": "0.02"}), Usage(input_tokens=5)).status == "priced"


def test_billed_units_replace_the_totals():
    usage = Usage(
        input_tokens=900, output_tokens=90, billed_input_tokens=100, billed_output_tokens=10
    )
    assert cost(make_card(), usage).usd == Decimal("0.00035")


def test_billed_units_are_the_whole_bill():
    usage = Usage(
        input_tokens=900,
        output_tokens=90,
        cache_read_tokens=800,
        input_image_tokens=50,
        reasoning_tokens=80,
        billed_input_tokens=100,
        billed_output_tokens=10,
    )
    found = cost(make_card(), usage)
    assert (found.usd, found.status) == (Decimal("0.00035"), "priced")


def test_image_tokens_of_the_output_have_a_rate_of_their_own():
    usage = Usage(input_tokens=0, output_tokens=1000, output_image_tokens=900)
    rates = {"input": "1", "output": "10", "output_image": "40"}
    assert cost(make_card(rates), usage).usd == Decimal("0.037")
    without = cost(make_card({"input": "1", "output": "10"}), usage)
    assert (without.usd, without.status) == (Decimal("0.001"), "partial")


def test_unknown_is_never_zero():
    usage = Usage(input_tokens=1, output_tokens=1)
    assert cost(None, usage).usd is None
    assert cost(make_card(), Usage()).usd is None
    assert cost(make_card({"web_searches": "1"}), usage).usd is None
    assert cost(make_card({"requests": "1"}), Usage()).usd is None
    assert cost(make_card({}, free=True), Usage()).usd == 0
    assert cost(make_card({}, free=True), Usage()).status == "priced"


def test_an_hour_in_the_cache_never_costs_what_five_minutes_do():
    card = make_card({"input": "3", "cache_write": "3.75", "output": "15"})
    usage = Usage(input_tokens=10, cache_write_1h_tokens=10, output_tokens=1)
    assert cost(card, usage).reasons == ("no rate for cache_write_1h",)


def test_a_negative_count_is_named():
    result = cost(make_card(), Usage(input_tokens=10, output_tokens=1, web_searches=-1))
    assert result.status == "partial"
    assert result.reasons == ("a stated count is negative",)


def test_a_band_holds_for_all_tokens_and_begins_above_its_threshold():
    def usd(tokens, **kwargs):
        return cost(TIERED, Usage(input_tokens=tokens, output_tokens=0), **kwargs).usd

    assert usd(200_000) == Decimal("0.25")
    assert usd(200_001) == Decimal("0.5000025")
    assert usd(300_000, band=0) == Decimal("0.375")
    assert (TIERED.band(200_000), TIERED.band(200_001), TIERED.band(None)) == (0, 200_000, 0)


def test_fees_per_request_count_calls():
    card = make_card({"input": "3", "output": "15", "requests": "14"})
    assert cost(card, Usage(input_tokens=0, output_tokens=0), calls=3).usd == Decimal("0.042")


def test_a_tier_the_price_list_does_not_know_is_partial():
    result = cost(
        make_card(tier="flex", context_not_priced=True), Usage(input_tokens=1, output_tokens=0)
    )
    assert result.status == "partial"
    assert "context_not_priced" in result.reasons[0]
    assert "'flex'" in result.reasons[0]


def test_the_id_is_of_what_is_charged():
    card = make_card()
    assert len(card.id) == 12
    assert card.id == make_card(source="elsewhere").id
    turned = dict(reversed(list(card.to_dict()["rates"].items())))
    assert card.id == make_card(turned).id
    others = [
        make_card(model="n"),
        make_card(provider="azure"),
        make_card(tier="flex"),
        make_card(free=True),
        make_card({"input": "2.6", "cache_read": "1.25", "output": "10"}),
    ]
    assert len({card.id, *(other.id for other in others)}) == 6
    assert make_card({"input": "2.50"}).id == make_card({"input": "2.5"}).id


def test_the_global_decimal_context_has_no_say():
    usage = Usage(input_tokens=2006, output_tokens=300, cache_read_tokens=1920)
    with decimal.localcontext(prec=3, traps=[decimal.Inexact]):
        assert cost(make_card(), usage).usd == Decimal("0.005615")
        assert RateCard.from_dict(make_card().to_dict()).id == make_card().id


GOOD = make_card().to_dict()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rates": {"input": True}}, "rates.input"),
        ({"rates": {"input": 2.5}}, "rates.input"),
        ({"rates": {"input": 2}}, "rates.input"),
        ({"rates": {"input": "-2"}}, "rates.input"),
        ({"rates": {"input": "NaN"}}, "rates.input"),
        ({"rates": {"input": "Infinity"}}, "rates.input"),
        ({"rates": {"input": "1e999999999"}}, "rates.input"),
        ({"rates": {"input": None}}, "rates.input"),
        ({"rates": {"inptu": "2"}}, "inptu"),
        ({"rates": ["2"]}, "rates"),
        ({"rates": {"input": {"base": "1", "over": []}}}, "over"),
        ({"rates": {"input": {"above": []}}}, "input.base"),
        ({"rates": {"input": {"base": "1", "above": [[True, "2"]]}}}, "rates.input"),
        ({"rates": {"input": {"base": "1", "above": [[5, "2"], [5, "3"]]}}}, "rates.input"),
        ({"rates": {"input": {"base": "1", "above": [[5, 2]]}}}, "input.above"),
        ({"rates": {"input": {"base": "1", "above": [5]}}}, "input.above"),
        ({"free": 1}, "free"),
        ({"context_not_priced": "no"}, "context_not_priced"),
        ({"model": None}, "model"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_where(change, field):
    with pytest.raises(PriceError, match=field):
        RateCard.from_dict({**GOOD, **change})


@pytest.mark.parametrize("price", [Decimal("NaN"), Decimal(-1), Decimal("1e99"), 1.5, True])
def test_a_rate_takes_no_other_price_than_a_decimal_in_range(price):
    with pytest.raises(PriceError):
        Rate(price)
