from __future__ import annotations

import pytest

from tests.provider_exchanges import EMBEDDINGS, RESPONSES, call, calls, exchange, stream

USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 29,
}
READ = {"input_tokens": 20, "output_tokens": 9, "cache_read_tokens": 8, "reasoning_tokens": 4}
SAID = [
    {"type": "reasoning", "summary": [{"text": "hm "}]},
    {"type": "message", "content": [{"type": "output_text", "text": "one two "}]},
    {"type": "function_call", "name": "find ", "arguments": "{}"},
]


def answer(**fields: object) -> dict[str, object]:
    return {"object": "response", "model": "gpt-4o-2024-08-06", "output": SAID, **fields}


@pytest.mark.parametrize("url", [RESPONSES, f"{RESPONSES}/compact", f"{RESPONSES}/"])
def test_what_is_stated(url):
    one = call(
        url,
        answer(usage=USAGE, service_tier="priority"),
        request={"model": "gpt-4o", "input": "hi", "max_output_tokens": 30},
    )
    assert one.usage.to_dict() == READ
    assert (one.endpoint, one.service_tier, one.max_output_tokens) == ("responses", "priority", 30)


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
def test_stream(end):
    body = stream(
        {"type": "response.created", "response": answer(usage=None, service_tier="auto")},
        {"type": "response.output_text.delta", "delta": "one"},
        {"type": f"response.{end}", "response": answer(usage=USAGE, service_tier="default")},
        named=True,
    )
    one = call(RESPONSES, body)
    assert one.usage.to_dict() == READ
    assert (one.model_returned, one.streaming) == ("gpt-4o-2024-08-06", True)
    assert (one.service_tier, one.note) == (None, None)


def test_a_cut_stream_is_counted():
    body = stream(
        {"type": "response.created", "response": answer(usage=None)},
        {"type": "response.output_text.delta", "item_id": "a", "delta": "one "},
        {"type": "response.function_call_arguments.delta", "item_id": "b", "delta": "{} "},
        {"type": "response.output_text.delta", "item_id": "a", "delta": "two "},
        {"type": "response.audio.delta", "delta": "AAAA AAAA"},
    )
    one = call(RESPONSES, body, ended="error", error="ReadError")
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 3}
    assert (one.usage_source, one.error, one.billed) == ("tokenizer", "ReadError", True)
    assert one.model_returned == "gpt-4o-2024-08-06"


def test_no_usage_is_counted():
    request = {"model": "gpt-4o", "instructions": "be brief", "input": [{"content": "hello"}]}
    one = call(RESPONSES, answer(), request=request)
    assert one.usage.to_dict() == {"input_tokens": 3, "output_tokens": 5}


@pytest.mark.parametrize("key", ["previous_response_id", "conversation"])
def test_input_kept_by_the_provider_cannot_be_counted(key):
    one = call(RESPONSES, answer(), request={"model": "gpt-4o", "input": "hi", key: "id_1"})
    assert one.usage_unknown
    assert "kept by the provider" in one.note


def test_a_background_answer_has_no_usage_yet():
    one = call(RESPONSES, answer(status="queued", background=True, usage=None, output=[]))
    assert one.usage_unknown
    assert "background" in one.note


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "secret"},
        {"type": "error", "error": {"type": "rate_limit_exceeded"}},
        {
            "type": "response.failed",
            "response": {"error": {"code": "rate_limit_exceeded"}, "usage": None},
        },
    ],
)
def test_an_error_in_place_of_an_answer(event):
    one = call(RESPONSES, stream(event, named=True))
    assert not one.billed
    assert one.error in ("rate_limit_exceeded", "error")


def test_web_searches_are_counted_by_their_billed_action():
    output = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "web_search_call"},
    ]
    assert call(RESPONSES, answer(usage=USAGE, output=output)).usage.web_searches == 2
    stated = {**USAGE, "server_side_tool_usage_details": {"web_search_calls": 5}}
    assert call(RESPONSES, answer(usage=stated, output=output)).usage.web_searches == 5


@pytest.mark.parametrize(
    "request_body", [{"model": "m"}, {"input": "x"}, {"model": 1, "input": "x"}]
)
def test_other_services_are_no_calls(request_body):
    assert calls(exchange(RESPONSES, {}, request=request_body)) == []


def test_a_stored_prompt_needs_no_model():
    request = {"prompt": {"id": "pmpt_1"}}
    assert call(RESPONSES, answer(usage=USAGE), request=request).usage.to_dict() == READ


def test_embeddings():
    one = call(EMBEDDINGS, {"model": "e-3", "usage": {"prompt_tokens": 6, "total_tokens": 6}})
    assert one.usage.to_dict() == {"input_tokens": 6}
    assert (one.endpoint, one.model, one.usage_source) == ("embeddings", "e-3", "provider")


def test_embeddings_that_state_a_total_alone():
    assert call(EMBEDDINGS, {"usage": {"total_tokens": 6}}).usage.to_dict() == {"input_tokens": 6}


def test_embeddings_without_usage_are_counted():
    one = call(EMBEDDINGS, {"data": []})
    assert one.usage.to_dict() == {"input_tokens": 3}
    assert (one.usage_source, one.usage_unknown) == ("tokenizer", False)


def test_embeddings_of_tokens_cannot_be_counted():
    one = call(EMBEDDINGS, {"data": []}, request={"model": "e-3", "input": [[1, 2], [3]]})
    assert one.usage_unknown


@pytest.mark.parametrize("body", [{"input": "x"}, {"model": "e-3"}, {"vectors": []}])
def test_other_embeddings_are_no_calls(body):
    assert calls(exchange(EMBEDDINGS, {}, request=body)) == []


def test_a_last_state_that_leaves_out_the_model_keeps_the_first_ones():
    body = stream(
        {"type": "response.created", "response": answer(usage=None)},
        {"type": "response.completed", "response": {"model": None, "usage": USAGE}},
    )
    assert call(RESPONSES, body).model_returned == "gpt-4o-2024-08-06"
