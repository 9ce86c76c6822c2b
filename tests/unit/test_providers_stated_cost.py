from __future__ import annotations

import pytest

from tests.provider_exchanges import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, call, chunk, stream

COUNTS = '"prompt_tokens": 20, "completion_tokens": 9'


def cost_of(usage: str, url: str = CHAT, **fields: object) -> str | None:
    body = f'{{"model": "m", "choices": [], "usage": {{{COUNTS}, {usage}}}}}'
    return call(url, body.encode(), **fields).stated_cost_usd


@pytest.mark.parametrize(
    ("written", "cost"),
    [
        ("0.000735", "0.000735"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("1.4e-07", "0.00000014"),
        ("2.5E-6", "0.0000025"),
        ("12345678.90e-3", "12345.6789"),
        ("0.50", "0.5"),
        ("0", "0"),
        ("0.0", "0"),
        ("3", "3"),
        ('"0.003576"', "0.003576"),
    ],
)
def test_a_cost_is_kept_as_it_is_written(written, cost):
    assert cost_of(f'"cost": {written}') == cost


@pytest.mark.parametrize(
    "odd",
    [
        *("null", "true", "-0.01", "NaN", "Infinity", "1e999", "1e-400", "1" * 30, "1e9"),
        *('"free"', '"1_0"', '"\u0663"', '"-1"', '" "', "[1]", "{}"),
        *('{"total_cost": null}', '{"total_cost": {"total_cost": 1}}'),
    ],
)
def test_what_can_be_no_cost_is_not_stated(odd):
    assert cost_of(f'"cost": {odd}') is None


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ('"cost": {"input_tokens_cost": 0.0001, "total_cost": 0.00507}', "0.00507"),
        ('"cost_in_usd_ticks": 2488500', "0.00024885"),
        ('"cost_in_usd_ticks": 200000000', "0.02"),
        ('"cost_in_usd_ticks": 0', "0"),
        ('"pydantic_ai_gateway": {"cost_estimate": 0.001}', None),
        ('"cost_details": {"upstream_inference_cost": 0.001}', None),
    ],
)
def test_where_a_cost_is_stated(usage, cost):
    assert cost_of(usage) == cost


def test_every_format_that_gateways_speak():
    assert cost_of('"cost": 0.25', url=EMBEDDINGS) == "0.25"
    assert cost_of('"cost": 0.25', url=RESPONSES) == "0.25"
    assert cost_of('"cost": 0.25', url=MESSAGES) == "0.25"


def test_streams():
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "cost": 7.159e-05}
    body = stream(chunk("one"), chunk(choices=[], usage=usage), "[DONE]")
    assert call(CHAT, body).stated_cost_usd == "0.00007159"
    done = {"type": "response.completed", "response": {"usage": usage}}
    assert call(RESPONSES, stream(done, named=True)).stated_cost_usd == "0.00007159"
    started = {"type": "message_start", "message": {"usage": {"input_tokens": 1}}}
    delta = {"type": "message_delta", "usage": {"output_tokens": 1, "cost": 0.1}}
    assert call(MESSAGES, stream(started, delta)).stated_cost_usd == "0.1"


def test_exact_numbers_are_counts_as_others_are():
    body = b'{"choices": [], "usage": {"prompt_tokens": 12.0, "completion_tokens": 1.5, "cost": 1}}'
    one = call(CHAT, body)
    assert one.usage.input_tokens == 12
    assert "completion_tokens" in one.note


def test_a_refusal_costs_nothing():
    assert cost_of('"cost": 0.25', status=429) is None
    refused = call(RESPONSES, {"error": {"code": "no"}, "usage": {"cost": 1}})
    assert (refused.billed, refused.stated_cost_usd) == (False, None)
