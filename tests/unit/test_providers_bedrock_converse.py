from __future__ import annotations

import json

import pytest

from tests.event_streams import event, exception
from tests.provider_exchanges import call, calls, exchange

HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
URL = f"{HOST}/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
REQUEST = {
    "system": [{"text": "be brief"}],
    "messages": [{"role": "user", "content": [{"text": "hello there"}]}],
    "inferenceConfig": {"maxTokens": 64},
}
USAGE = {
    "inputTokens": 10,
    "outputTokens": 4,
    "totalTokens": 144,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 30,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 20}, {"ttl": "1h", "inputTokens": 10}],
    "serverToolUsage": {},
}
READ = {
    "input_tokens": 140,
    "output_tokens": 4,
    "cache_read_tokens": 100,
    "cache_write_tokens": 30,
    "cache_write_5m_tokens": 20,
    "cache_write_1h_tokens": 10,
}


def answer(usage: object, **fields: object) -> dict[str, object]:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"text": "one two "},
        {"toolUse": {"name": "find", "input": {"a": 1}}},
    ]
    message = {"role": "assistant", "content": content}
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, **fields}


def text(piece: str) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})


def ask(body: object, **fields: object):
    return call(URL, body, **{"request": REQUEST, **fields})


def test_the_cached_part_is_added_to_the_input():
    one = ask(answer(USAGE))
    assert one.usage.to_dict() == READ
    assert (one.provider, one.endpoint, one.model_requested) == ("bedrock", "converse", MODEL)
    assert (one.model_returned, one.max_output_tokens, one.streaming) == (None, 64, False)
    assert (one.usage_source, one.note, one.service_tier) == ("provider", None, None)


def test_counts_by_another_name():
    usage = {"inputTokens": 10, "outputTokens": 4, "cacheReadInputTokenCount": 7}
    assert ask(answer(usage)).usage.to_dict() == {
        "input_tokens": 17,
        "output_tokens": 4,
        "cache_read_tokens": 7,
    }


@pytest.mark.parametrize(
    "details",
    [
        [{"ttl": "5m", "inputTokens": 7}],
        [{"ttl": "5m", "inputTokens": 20}, {"ttl": "9m", "inputTokens": 10}],
    ],
)
def test_a_split_that_does_not_add_up_is_left_out(details):
    one = ask(answer({**USAGE, "cacheDetails": details}))
    assert (one.usage.cache_write_tokens, one.usage.cache_write_5m_tokens) == (30, None)
    assert "left out" in one.note


@pytest.mark.parametrize(
    ("quoted", "model"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("amazon.nova-lite-v1%3A0", "amazon.nova-lite-v1:0"),
        (
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fab1",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/ab1",
        ),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-lite-v1:0",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-lite-v1:0",
        ),
    ],
)
def test_models_in_the_path(quoted, model):
    for url in (
        f"{HOST}/model/{quoted}/converse",
        f"http://localhost:8/bedrock/model/{quoted}/converse",
    ):
        one = call(url, answer(USAGE), request=REQUEST)
        assert (one.provider, one.model_requested) == ("bedrock", model)


def test_the_model_that_a_router_chose():
    trace = {"promptRouter": {"invokedModelId": "amazon.nova-pro-v1:0"}}
    assert ask(answer(USAGE, trace=trace)).model == "amazon.nova-pro-v1:0"


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"serviceTier": {"type": "default"}}, None),
        ({"serviceTier": {"type": "flex"}}, "flex"),
        ({"performanceConfig": {"latency": "standard"}}, None),
        ({"performanceConfig": {"latency": "optimized"}}, "latency-optimized"),
    ],
)
def test_tiers(fields, tier):
    assert ask(answer(USAGE, **fields)).service_tier == tier


def test_a_stream():
    body = (
        event("messageStart", {"role": "assistant"})
        + text("one ")
        + event("messageStop", {"stopReason": "end_turn"})
        + event("metadata", {"usage": USAGE, "serviceTier": {"type": "priority"}})
    )
    one = call(f"{URL}-stream", body, request=REQUEST)
    assert one.usage.to_dict() == READ
    assert (one.endpoint, one.model_requested) == ("converse", MODEL)
    assert (one.streaming, one.service_tier, one.note) == (True, "priority", None)


def test_a_stream_that_was_closed_is_counted():
    start = {"contentBlockIndex": 1, "start": {"toolUse": {"name": "find "}}}
    given = {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a": 1}'}}}
    body = text("one two ") + event("contentBlockStart", start) + event("contentBlockDelta", given)
    one = call(f"{URL}-stream", body + text("three")[:-9], request=REQUEST, ended="closed_early")
    # "be brief" and "hello there"; "one two find {"a": 1}"
    assert one.usage.to_dict() == {"input_tokens": 4, "output_tokens": 5}
    assert (one.usage_source, one.ended) == ("estimated", "closed_early")
    assert "before its usage" in one.note


def test_nothing_seen_of_a_stream_is_unknown():
    one = call(f"{URL}-stream", b"", request=REQUEST, ended="closed_early")
    assert (one.usage_unknown, one.streaming) == (True, True)


def test_an_exception_in_a_stream():
    refused = call(f"{URL}-stream", exception("throttlingException"), request=REQUEST)
    assert (refused.billed, refused.error) == (False, "throttlingException")
    assert "secret" not in repr(refused)
    late = call(
        f"{URL}-stream", text("one") + exception("modelStreamErrorException"), request=REQUEST
    )
    assert (late.usage_unknown, late.error) == (True, "modelStreamErrorException")


@pytest.mark.parametrize("usage", [None, {}, {"outputTokens": 50}])
def test_an_answer_without_input_is_counted(usage):
    one = ask(answer(usage))
    assert one.usage.input_tokens == 4
    assert one.usage_source in ("tokenizer", "estimated")
    assert "no usage" in one.note


def test_pictures_are_counted_by_their_kind_not_by_their_bytes():
    content = [{"text": "what is it"}, {"image": {"source": {"bytes": "x " * 500}}}]
    request = {"messages": [{"role": "user", "content": content}]}
    assert call(URL, answer(None), request=request).usage.input_tokens < 20


def test_an_unknown_operation_is_no_answer():
    fault = {"__type": "com.amazon.coral.service#UnknownOperationException"}
    one = ask({"Output": fault, "Version": "1.0"})
    assert (one.billed, one.error) == (False, "UnknownOperationException")


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"\x00\x00"])
def test_an_unreadable_answer_is_unknown(body):
    assert ask(body).usage_unknown


def test_a_prompt_that_bedrock_keeps_cannot_be_counted():
    request = {"promptVariables": {"city": {"text": "Paris"}}}
    for url in (URL, "http://localhost:8/model/arn:aws:bedrock:us-east-1:1:prompt%2FP/converse"):
        assert call(url, answer(None), request=request).usage_unknown


def test_what_is_no_call():
    others = [
        exchange(URL.replace("/converse", "/count-tokens"), {"inputTokens": 3}, request=REQUEST),
        exchange(f"{HOST}/guardrail/g/version/1/apply", {}, request=REQUEST),
        exchange("https://example.org/model/x/converse", {}, request={"text": "hello"}),
        exchange(URL, {}, request=REQUEST, method="GET"),
    ]
    assert calls(*others) == []


def test_a_request_that_cannot_be_read_is_a_call_at_bedrock():
    one = call(URL, answer(USAGE), request=b'{"messages": [{"text": half')
    assert one.usage.to_dict() == READ
    json.dumps(one.to_dict())
