from __future__ import annotations

import json

import pytest

from tests.provider_exchanges import HELLO, call, calls, exchange, stream

HOST = "https://api.cohere.com"
CHAT, CHAT_1, EMBED = f"{HOST}/v2/chat", f"{HOST}/v1/chat", f"{HOST}/v2/embed"
GENERATE, RERANK = "https://api.cohere.ai/v1/generate", f"{HOST}/v2/rerank"
GATEWAY = "http://gateway.example/cohere/v2/chat"
ASKED = {"model": "command-a-03-2025", "messages": HELLO, "max_tokens": 50}
ASKED_1 = {"model": "command-r", "message": "hello there", "preamble": "be brief"}
USAGE = {
    "billed_units": {"input_tokens": 10, "output_tokens": 104},
    "tokens": {"input_tokens": 505, "output_tokens": 107, "reasoning_tokens": 40},
    "cached_tokens": 448,
}
ASKED_RERANK = {"model": "rerank-v3.5", "query": "hello", "documents": ["one", "two"]}
READ = {
    "input_tokens": 505,
    "output_tokens": 107,
    "cache_read_tokens": 448,
    "reasoning_tokens": 40,
    "billed_input_tokens": 10,
    "billed_output_tokens": 104,
}
COUNTED = {"input_tokens": 2, "output_tokens": 3}


def delta(kind, index=0, **message):
    return {"type": kind, "index": index, "delta": {"message": message}}


def lines(*events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


@pytest.mark.parametrize("url", [CHAT, GATEWAY])
def test_tokens_and_beside_them_what_is_billed(url):
    one = call(url, {"id": "x", "usage": USAGE}, request=ASKED)
    assert one.usage.to_dict() == READ
    assert (one.provider, one.endpoint, one.model) == ("cohere", "chat", "command-a-03-2025")
    assert (one.model_returned, one.max_output_tokens, one.usage_source) == (None, 50, "provider")


def test_image_tokens_are_beside_the_input():
    usage = {"tokens": {"input_tokens": 34, "image_tokens": 259, "output_tokens": 5}}
    assert call(CHAT, {"usage": usage}, request=ASKED).usage.to_dict() == {
        "input_tokens": 293,
        "input_image_tokens": 259,
        "output_tokens": 5,
    }


def test_version_1_says_it_in_its_meta():
    one = call(CHAT_1, {"text": "hi", "meta": USAGE}, request=ASKED_1)
    assert one.usage.to_dict() == READ
    assert one.model == "command-r"


def test_version_1_may_leave_the_model_out():
    assert call(CHAT_1, {"meta": USAGE}, request={"message": "hello"}).model is None


def test_stream_of_events():
    body = stream(
        delta("message-start", role="assistant"),
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}},
        "[DONE]",
        named=True,
    )
    one = call(CHAT, body, request={**ASKED, "stream": True})
    assert (one.usage.to_dict(), one.streaming) == (READ, True)


def test_version_1_streams_lines():
    said = {"is_finished": False, "event_type": "text-generation", "text": "one two"}
    end = {"is_finished": True, "event_type": "stream-end", "response": {"meta": USAGE}}
    one = call(CHAT_1, lines(said, end), request={**ASKED_1, "stream": True})
    assert (one.usage.to_dict(), one.streaming) == (READ, True)


def test_a_cut_stream_is_counted():
    function = {"name": "find ", "arguments": "{}"}
    body = stream(
        delta("message-start"),
        delta("content-delta", content={"text": "one "}),
        delta("content-delta", content={"text": "two "}),
        delta("tool-call-start", tool_calls={"function": function}),
    )
    one = call(CHAT, body, request={**ASKED, "stream": True}, ended="closed_early")
    # "one two find {}" is four words
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 4}
    assert "before its usage" in one.note


def test_a_cut_stream_of_lines_is_counted():
    said = [{"event_type": "text-generation", "text": word} for word in ("one ", "two ")]
    one = call(CHAT_1, lines(*said) + b'{"text', request={**ASKED_1, "stream": True})
    assert one.usage.to_dict() == {"input_tokens": 4, "output_tokens": 2}


@pytest.mark.parametrize(
    ("url", "request_", "answer"),
    [
        (CHAT, ASKED, {"message": {"content": [{"text": "one "}, {"thinking": "two three"}]}}),
        (GENERATE, {"prompt": "hello there"}, {"generations": [{"text": "one two three"}]}),
    ],
)
def test_without_usage_the_texts_are_counted(url, request_, answer):
    one = call(url, answer, request=request_)
    assert one.usage.to_dict() == COUNTED
    assert "no usage in the answer" in one.note


def test_a_cache_larger_than_what_was_counted_is_left_out():
    answer = {"message": {"content": [{"text": "one"}]}, "usage": {"cached_tokens": 9}}
    one = call(CHAT, answer, request=ASKED)
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 1}
    assert "cache_read_tokens" in one.note


def test_generate_and_embed_state_only_what_is_billed():
    meta = {"billed_units": {"input_tokens": 11, "output_tokens": 32}}
    one = call(GENERATE, {"meta": meta}, request={"prompt": "x", "model": "command"})
    assert one.endpoint == "generate"
    assert one.usage.to_dict() == {
        "input_tokens": 11,
        "output_tokens": 32,
        "billed_input_tokens": 11,
        "billed_output_tokens": 32,
    }
    meta = {"billed_units": {"input_tokens": 2, "image_tokens": 7}}
    one = call(EMBED, {"meta": meta}, request={"model": "embed-v4.0", "texts": ["one two"]})
    assert one.endpoint == "embeddings"
    assert one.usage.to_dict() == {
        "input_tokens": 9,
        "input_image_tokens": 7,
        "billed_input_tokens": 9,
    }


def test_embeddings_without_usage():
    one = call(EMBED, {"meta": {}}, request={"model": "embed-v4.0", "texts": ["one two", "three"]})
    assert one.usage.to_dict() == {"input_tokens": 3}
    one = call(EMBED, {"meta": {}}, request={"model": "embed-v4.0", "images": ["data:"]})
    assert one.usage_unknown


def test_an_error_in_the_stream():
    end = {"type": "message-end", "delta": {"error": "secret words", "finish_reason": "ERROR"}}
    one = call(CHAT, stream(end), request=ASKED)
    assert (one.billed, one.error) == (False, "error")


@pytest.mark.parametrize(
    ("path", "request_", "answer"),
    [
        ("/v1/chat", {"message": "hello"}, {"answer": "hi"}),
        ("/v2/chat", ASKED, {"answer": "hi"}),
        ("/v1/generate", {"prompt": "hello"}, {"url": "x"}),
        ("/v1/embed", {"texts": ["x"]}, {}),
    ],
)
def test_an_applications_own_paths_are_no_calls(path, request_, answer):
    assert calls(exchange(f"http://localhost:8000{path}", answer, request=request_)) == []


def test_a_gateways_refusal_belongs_to_the_call():
    busy = exchange(GATEWAY, {}, request=ASKED, status=429, finished=1.0)
    done = exchange(GATEWAY, {"usage": USAGE}, request=ASKED, started=2.0, finished=3.0)
    (one,) = calls(busy, done)
    assert one.attempts == 2


@pytest.mark.parametrize("request_", [{}, {"messages": HELLO}, {"model": "m"}, {"message": 5}])
def test_other_bodies_are_no_calls(request_):
    assert calls(exchange(CHAT, {"usage": USAGE}, request=request_)) == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[1]", b'{"usage"', b"\xff"])
@pytest.mark.parametrize("streams", [False, True])
def test_an_unreadable_answer_is_unknown_never_zero(body, streams):
    one = call(CHAT, body, request={**ASKED, "stream": streams})
    assert one.usage_unknown
    assert one.note


class TestRerank:
    def test_searches_are_no_tokens(self):
        meta = {"billed_units": {"search_units": 2}}
        one = call(RERANK, {"results": [], "meta": meta}, request=ASKED_RERANK)
        assert (one.endpoint, one.model, one.usage_unknown) == ("rerank", "rerank-v3.5", True)
        assert one.note == "billed by search: 2 search units"

    @pytest.mark.parametrize(
        ("url", "provider"),
        [
            ("https://api.voyageai.com/v1/rerank", "voyage"),
            ("https://openrouter.ai/api/v1/rerank", "openrouter"),
        ],
    )
    def test_others_state_a_total(self, url, provider):
        answer = {"model": "rerank-2", "usage": {"total_tokens": 17, "cost": 3.4e-07}}
        one = call(url, answer, request=ASKED_RERANK)
        assert one.usage.to_dict() == {"input_tokens": 17}
        assert (one.provider, one.model_returned) == (provider, "rerank-2")
        assert one.stated_cost_usd == "0.00000034"

    @pytest.mark.parametrize("gone", ["model", "query", "documents"])
    def test_other_bodies_are_no_calls(self, gone):
        request = {key: value for key, value in ASKED_RERANK.items() if key != gone}
        assert calls(exchange(RERANK, {}, request=request)) == []
