from __future__ import annotations

from decimal import Decimal

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.model.usage import Usage
from tests.unit.entries import BY_ID, call, entry


def test_calls_of_one_kind_are_summed_and_others_kept_apart() -> None:
    found = entry(
        call(tokens=(100, 10)),
        call(tokens=(50, 5), attempts=3),
        call("large"),
        call(service_tier="flex"),
        call(usage_source="tokenizer"),
    )
    shapes = [
        (block.kind.model, block.kind.service_tier, block.kind.usage_source, block.calls)
        for block in found.blocks
    ]
    assert shapes == [
        ("large", None, "provider", 1),
        ("small", None, "provider", 2),
        ("small", None, "tokenizer", 1),
        ("small", "flex", "provider", 1),
    ]
    assert found.blocks[1].usage.input_tokens == 150
    assert (found.calls, found.retries, found.usage.output_tokens) == (5, 2, 165)


def test_the_order_of_calls_does_not_matter() -> None:
    calls = [call(), call("large"), call(tokens=(7, 7)), call("unheard-of")]
    assert entry(*calls) == entry(*reversed(calls))


def test_bands_are_kept_apart_because_a_flat_sum_cannot_be_priced() -> None:
    one_long = entry(call("tiered", (3000, 0)))
    three_short = entry(*[call("tiered", (1000, 0))] * 3)
    assert one_long.usage == three_short.usage
    assert one_long.blocks[0].kind.band == 1000
    assert three_short.blocks[0].kind.band == 0
    assert one_long.cost(BY_ID).usd == Decimal("0.006")
    assert three_short.cost(BY_ID).usd == Decimal("0.003")


def test_refused_calls_count_and_cost_nothing() -> None:
    refused = call(billed=False, usage=Usage(), usage_source="none", status=429, attempts=3)
    found = entry(refused)
    assert (found.calls, found.retries, found.unknown_calls) == (1, 2, 0)
    assert found.cost(BY_ID).usd == 0
    assert found.cost(BY_ID).status == "priced"
    assert not found.estimated


def test_unknown_usage_is_a_state_and_never_zero() -> None:
    found = entry(call(usage=Usage(), usage_source="none"))
    assert found.unknown_calls == 1
    assert found.cost(BY_ID).usd is None
    assert found.cost(BY_ID).status == "unpriced"


def test_an_unpriced_part_makes_the_cost_a_lower_bound() -> None:
    found = entry(call(tokens=(1000, 0)), call("unheard-of"))
    cost = found.cost(BY_ID)
    assert (cost.usd, cost.status) == (Decimal("0.001"), "partial")
    assert "openai/unheard-of" in cost.reasons[0]


def test_nothing_costs_nothing() -> None:
    assert Entry().cost({}).usd == 0
    assert Entry().cost({}).status == "priced"


def test_a_call_without_a_model_has_a_name_that_prices_nothing() -> None:
    found = entry(call(model_requested=None, model_returned=None))
    assert found.blocks[0].kind.model == "unknown"
    assert found.cost(BY_ID).usd is None


def test_live_when_any_call_is() -> None:
    assert not entry(call()).live
    assert entry(call(), call(live=True)).live
