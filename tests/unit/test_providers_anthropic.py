from __future__ import annotations

import pytest

from tests.provider_exchanges import HELLO, MESSAGES, call, calls, exchange, stream

USAGE = {
    "input_tokens": 5,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 9,
    "output_tokens_details": {"thinking_tokens": 4},
    "server_tool_use": {"web_search_requests": 2},
    "service_tier": "standard",
}
READ = {
    "input_tokens": 135,
    "output_tokens": 9,
    "cache_read_tokens": 100,
    "cache_write_tokens": 30,
    "cache_write_5m_tokens": 10,
    "cache_write_1h_tokens": 20,
    "reasoning_tokens": 4,
    "web_searches": 2,
}
DELTA = {"type": "content_block_delta", "index": 0}


def message(usage: object, **fields: object) -> dict[str, object]:
    content = [
        {"type": "text", "text": "one two "},
        {"type": "tool_use", "name": "find", "input": {"a": 1}},
    ]
    return {"type": "message", "model": "claude-x-1", "content": content, "usage": usage, **fields}


def start(usage: object) -> dict[str, object]:
    return {"type": "message_start", "message": message(usage, content=[])}


def delta(**usage: object) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


def text(piece: str) -> dict[str, object]:
    return {**DELTA, "delta": {"type": "text_delta", "text": piece}}


def test_the_cached_part_is_added_to_the_input():
    one = call(MESSAGES, message(USAGE))
    assert one.usage.to_dict() == READ
    assert (one.provider, one.endpoint, one.model) == ("anthropic", "messages", "claude-x-1")
    assert (one.service_tier, one.max_output_tokens) == (None, 64)
    assert (one.usage_source, one.note) == ("provider", None)


def test_a_split_that_does_not_add_up_is_left_out():
    split = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0}
    one = call(MESSAGES, message({**USAGE, "cache_creation": split}))
    assert one.usage.cache_write_tokens == 30
    assert one.usage.cache_write_5m_tokens is None
    assert one.usage.cache_write_1h_tokens is None
    assert one.usage.input_tokens == 135
    assert "does not add up" in one.note


def test_an_hour_long_part_is_kept_though_the_split_does_not_add_up():
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 20}
    usage = call(MESSAGES, message({**USAGE, "cache_creation": split})).usage
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (None, 20)


def test_a_split_alone_is_the_cache_write():
    usage = {**USAGE, "cache_creation_input_tokens": None}
    assert call(MESSAGES, message(usage)).usage.to_dict() == READ


@pytest.mark.parametrize(("key", "tier"), [("service_tier", "priority"), ("speed", "fast")])
def test_tiers(key, tier):
    assert call(MESSAGES, message({**USAGE, key: tier})).service_tier == tier


@pytest.mark.parametrize("named", [True, False])
def test_stream_the_last_delta_replaces_the_output(named):
    body = stream(
        start({**USAGE, "output_tokens": 1}),
        {"type": "ping"},
        text("one"),
        delta(output_tokens=6),
        delta(output_tokens=9),
        {"type": "message_stop"},
        named=named,
    )
    one = call(MESSAGES, body)
    assert one.usage.to_dict() == READ
    assert (one.streaming, one.model_returned) == (True, "claude-x-1")


def test_a_delta_may_restate_the_input():
    restated = delta(input_tokens=17, cache_read_input_tokens=3, output_tokens=5)
    body = stream(start({"input_tokens": 3, "output_tokens": 1}), restated)
    assert call(MESSAGES, body).usage.to_dict() == {
        "input_tokens": 20,
        "cache_read_tokens": 3,
        "output_tokens": 5,
    }


def test_null_in_a_delta_restates_nothing():
    body = stream(start({"input_tokens": 3}), delta(input_tokens=None, output_tokens=5))
    assert call(MESSAGES, body).usage.to_dict() == {"input_tokens": 3, "output_tokens": 5}


def test_a_cut_stream_keeps_the_input_and_counts_the_output():
    body = stream(start({**USAGE, "output_tokens": 1}), text("one two "), text("three"))
    one = call(MESSAGES, body, ended="closed_early")
    assert (one.usage.input_tokens, one.usage.output_tokens) == (135, 3)
    assert (one.usage_source, one.ended) == ("estimated", "closed_early")
    assert "before its usage" in one.note


def test_a_stream_without_any_usage_is_counted():
    thinking = {**DELTA, "delta": {"type": "thinking_delta", "thinking": "hm "}}
    block = {"type": "content_block_start", "index": 1, "content_block": {"name": "find "}}
    tool = {**DELTA, "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}}
    request = {"model": "claude-x", "max_tokens": 9, "system": "be brief", "messages": HELLO}
    one = call(MESSAGES, stream(start(None), thinking, block, tool), request=request)
    assert one.usage.to_dict() == {"input_tokens": 4, "output_tokens": 3}
    assert one.usage_source == "estimated"


def test_an_answer_without_usage_is_counted():
    one = call(MESSAGES, message(None))
    assert one.usage.input_tokens == 2
    assert one.usage.output_tokens == 4  # one two find{'a': 1}


def test_iterations_beyond_the_own_counts_are_the_usage():
    compaction = {"type": "compaction", "input_tokens": 50, "output_tokens": 8}
    compaction |= {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 0}
    own = {"type": "message", "input_tokens": 5, "output_tokens": 9}
    usage = {"input_tokens": 5, "output_tokens": 9, "iterations": [compaction, own]}
    one = call(MESSAGES, message(usage))
    assert one.usage.to_dict() == {
        "input_tokens": 62,
        "output_tokens": 17,
        "cache_read_tokens": 7,
        "cache_write_tokens": 0,
    }
    assert one.note == "with all iterations"


def test_iterations_by_another_model_are_named():
    advisor = {"type": "advisor_message", "model": "claude-big", "input_tokens": 50}
    one = call(MESSAGES, message({"input_tokens": 5, "output_tokens": 9, "iterations": [advisor]}))
    assert "claude-big" in one.note


def test_one_iteration_repeats_the_own_counts():
    own = {"type": "message", "input_tokens": 5, "output_tokens": 9}
    one = call(MESSAGES, message({**own, "iterations": [own]}))
    assert one.usage.to_dict() == {"input_tokens": 5, "output_tokens": 9}
    assert one.note is None


def test_an_error_in_place_of_an_answer_is_not_billed():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}
    one = call(MESSAGES, stream(error, named=True))
    assert (one.billed, one.error) == (False, "overloaded_error")
    assert "secret" not in str(one)


def test_an_error_within_an_answer_keeps_what_was_stated():
    error = {"type": "error", "error": {"type": "overloaded_error"}}
    one = call(MESSAGES, stream(start({"input_tokens": 5, "output_tokens": 1}), text("a b"), error))
    assert one.usage.to_dict() == {"input_tokens": 5, "output_tokens": 2}
    assert (one.billed, one.usage_source, one.error) == (True, "estimated", "overloaded_error")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": HELLO},
        {"model": "m", "messages": "text"},
        {"to": "a@example.org", "text": "mail"},
        {"role": "user", "content": "a message of a thread"},
        b"to=a%40example.org",
        b"",
        b"[]",
    ],
)
def test_other_services_are_no_calls(body):
    assert calls(exchange(MESSAGES, {}, request=body)) == []
