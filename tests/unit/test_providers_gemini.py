from __future__ import annotations

import json

import pytest

from tests.provider_exchanges import call, calls, exchange, stream

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
VERTEX = (
    "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
    "/publishers/google/models/gemini-2.5-flash:generateContent"
)
STREAM = GEMINI.replace(":generate", ":streamGenerate") + "?alt=sse"
ARRAY = STREAM.partition("?")[0]
ASKED = {
    "contents": [{"role": "user", "parts": [{"text": "hello there"}]}],
    "generationConfig": {"maxOutputTokens": 64},
}
USAGE = {
    "promptTokenCount": 100,
    "toolUsePromptTokenCount": 20,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 5,
    "cachedContentTokenCount": 60,
    "totalTokenCount": 132,
}
READ = {
    "input_tokens": 120,
    "output_tokens": 12,
    "cache_read_tokens": 60,
    "reasoning_tokens": 5,
}


def chunk(usage=None, text="one two", finish="STOP", **candidate):
    said = {"content": {"role": "model", "parts": [{"text": text}] if text else []}, **candidate}
    whole = {"candidates": [{**said, "finishReason": finish}], "modelVersion": "gemini-2.5-flash-x"}
    return whole if usage is None else {**whole, "usageMetadata": usage}


def gemini(answer, url=GEMINI, request=ASKED, **fields):
    return call(url, answer, request=request, **fields)


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        (GEMINI, "google"),
        (GEMINI.replace("v1beta", "v1"), "google"),
        (VERTEX, "vertex"),
        (VERTEX.replace(":generate", "%3Agenerate"), "vertex"),
        ("http://localhost:4000/google/v1beta/models/gemini-2.5-flash:generateContent", "google"),
    ],
)
def test_input_is_prompt_and_tools_and_output_is_candidates_and_thoughts(url, provider):
    one = gemini(chunk(USAGE), url)
    assert one.usage.to_dict() == READ
    assert (one.provider, one.endpoint) == (provider, "generate_content")
    assert (one.model_requested, one.model) == ("gemini-2.5-flash", "gemini-2.5-flash-x")
    assert (one.max_output_tokens, one.streaming, one.note) == (64, False, None)


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ("tunedModels/my-tuned", "tunedModels/my-tuned"),
        ("projects/p/locations/l/endpoints/123", "endpoints/123"),
        ("models/gemini%2D2.5", "gemini-2.5"),
    ],
)
def test_the_model_is_in_the_path(place, model):
    url = f"https://aiplatform.googleapis.com/v1/{place}:generateContent"
    answer = {**chunk(USAGE), "modelVersion": None}
    assert gemini(answer, url).model == model


@pytest.mark.parametrize(
    "method",
    ["countTokens", "batchGenerateContent", "generateContents", "generateContent/operations"],
)
def test_other_methods_are_no_calls(method):
    assert calls(exchange(GEMINI.replace("generateContent", method), {}, request=ASKED)) == []


@pytest.mark.parametrize("request_", [{}, {"contents": "hello"}, b"hello", [ASKED]])
def test_a_request_without_contents_is_no_call(request_):
    body = request_ if isinstance(request_, bytes) else json.dumps(request_).encode()
    assert calls(exchange(GEMINI, chunk(USAGE), request=body)) == []


def test_parts_by_modality_without_what_is_cached():
    usage = {
        **USAGE,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 30},
            {"modality": "AUDIO", "tokenCount": 40},
            {"modality": "IMAGE", "tokenCount": 30},
        ],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
        "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}],
    }
    parts = {"input_audio_tokens": 30, "input_image_tokens": 35, "output_audio_tokens": 6}
    assert gemini(chunk(usage)).usage.to_dict() == {**READ, **parts}


def test_modalities_and_traffic_types_may_be_numbers():
    details = [{"modality": n, "tokenCount": 10 * (n or 1)} for n in (1, 2, 4, 99, -1, None)]
    one = gemini(chunk({**USAGE, "promptTokensDetails": details, "trafficType": 2}))
    assert (one.usage.input_image_tokens, one.usage.input_audio_tokens) == (20, 40)
    assert one.service_tier == "provisioned_throughput"


def test_image_output_is_counted_apart():
    details = [{"modality": "IMAGE", "tokenCount": 6}, {"modality": "TEXT", "tokenCount": 1}]
    one = gemini(chunk({**USAGE, "candidatesTokensDetails": details}))
    assert one.usage.output_image_tokens == 6


@pytest.mark.parametrize(
    ("stated", "tier"),
    [
        ({"serviceTier": "standard"}, None),
        ({"serviceTier": "flex"}, "flex"),
        ({"trafficType": "ON_DEMAND"}, None),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
        ({"trafficType": 1}, None),
        ({"trafficType": 99}, None),
    ],
)
def test_tiers(stated, tier):
    assert gemini(chunk({**USAGE, **stated})).service_tier == tier


def test_a_total_below_its_parts_is_ignored_and_one_above_proves_output():
    assert gemini(chunk({**USAGE, "totalTokenCount": 131})).usage.to_dict() == READ
    one = gemini(chunk({**USAGE, "totalTokenCount": 142}))
    assert one.usage.output_tokens == 22
    assert "exceeds its parts by 10" in one.note


def test_an_answer_that_says_nothing_has_no_output():
    usage = {"promptTokenCount": 14, "totalTokenCount": 14}
    one = gemini(chunk(usage, text="", finish="SAFETY"))
    assert one.usage.to_dict() == {"input_tokens": 14, "output_tokens": 0}
    assert one.usage_source == "provider"


def test_text_without_a_count_is_counted_whatever_the_total():
    one = gemini(chunk({"promptTokenCount": 14, "totalTokenCount": 14}))
    assert one.usage.to_dict() == {"input_tokens": 14, "output_tokens": 2}
    assert one.usage_source == "estimated"


def test_thinking_alone_is_an_output():
    usage = {"promptTokenCount": 14, "thoughtsTokenCount": 3, "totalTokenCount": 17}
    assert gemini(chunk(usage)).usage.output_tokens == 3


def test_a_cache_larger_than_its_prompt_is_left_out():
    one = gemini(
        chunk({"promptTokenCount": 5, "candidatesTokenCount": 1} | {"cachedContentTokenCount": 9})
    )
    assert one.usage.to_dict() == {"input_tokens": 5, "output_tokens": 1}
    assert "cache_read_tokens" in one.note


@pytest.mark.parametrize("kind", ["events", "array", "indented array"])
def test_stream_the_last_usage_holds_even_if_it_is_smaller(kind):
    chunks = [
        chunk({"trafficType": "ON_DEMAND"}, finish=None),
        chunk({"promptTokenCount": 169, "candidatesTokenCount": 90}, finish=None),
        chunk(USAGE),
    ]
    if kind == "events":
        one = gemini(stream(*chunks), STREAM)
    else:
        indent = 2 if kind.startswith("indented") else None
        one = gemini(json.dumps(chunks, indent=indent).encode(), ARRAY)
    assert one.usage.to_dict() == READ
    assert (one.streaming, one.note, one.model_returned) == (True, None, "gemini-2.5-flash-x")


def test_the_last_usage_replaces_the_whole_one_before():
    body = stream(chunk(USAGE), chunk({"promptTokenCount": 9, "thoughtsTokenCount": 8}))
    assert gemini(body, STREAM).usage.to_dict() == {
        "input_tokens": 9,
        "output_tokens": 8,
        "reasoning_tokens": 8,
    }


def test_a_last_chunk_may_state_nothing():
    body = stream(chunk(USAGE), chunk({"trafficType": "ON_DEMAND"}))
    assert gemini(body, STREAM).usage.to_dict() == READ


def test_a_blocked_prompt_has_no_output():
    usage = {"promptTokenCount": 14, "totalTokenCount": 14}
    one = gemini({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage})
    assert one.usage.to_dict() == {"input_tokens": 14, "output_tokens": 0}


@pytest.mark.parametrize("url", [STREAM, ARRAY])
def test_a_cut_stream_keeps_its_last_usage_and_says_so(url):
    chunks = [chunk(USAGE, finish=None), chunk(USAGE)]
    whole = stream(*chunks) if url == STREAM else json.dumps(chunks).encode()
    one = gemini(whole[:-60], url, ended="closed_early")
    assert one.usage.to_dict() == READ
    assert "cut" in one.note


def test_a_stream_cut_before_its_output_was_counted_is_counted():
    first = chunk({"promptTokenCount": 14, "totalTokenCount": 14}, finish=None)
    one = gemini(stream(first), STREAM, ended="closed_early")
    assert one.usage.to_dict() == {"input_tokens": 14, "output_tokens": 2}


def test_without_usage_the_texts_are_counted():
    request = {
        **ASKED,
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "tools": [{"functionDeclarations": [{"name": "find"}]}],
    }
    tool = {"functionCall": {"name": "find ", "args": {"a": 1}}}
    answer = chunk(content={"parts": [{"text": "one "}, tool]})
    one = gemini(answer, request=request)
    assert one.usage.to_dict() == {"input_tokens": 4, "output_tokens": 4}
    assert (one.usage_source, "no usage" in one.note) == ("estimated", True)


def test_with_a_kept_cache_nothing_can_be_counted():
    one = gemini(chunk(), request={**ASKED, "cachedContent": "cachedContents/1"})
    assert one.usage_unknown
    assert "kept by the provider" in one.note


def test_a_blocked_prompt_without_usage_is_unknown():
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"trafficType": 1}}
    assert gemini(blocked).usage_unknown


@pytest.mark.parametrize("kind", ["plain", "events", "array"])
def test_an_error_in_place_of_an_answer_is_not_billed(kind):
    error = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "secret"}}
    body = {"plain": error, "events": stream(error), "array": json.dumps([error]).encode()}[kind]
    one = gemini(body, GEMINI if kind == "plain" else ARRAY)
    assert (one.billed, one.error, one.usage_source) == (False, "UNAVAILABLE", "none")
    assert "secret" not in str(one)


@pytest.mark.parametrize(
    ("model", "searches"),
    [("gemini-2.5-flash", 1), ("gemini-pro", 1), ("gemini-3-pro", 2), ("gemini-10-x", 2)],
)
def test_searches_by_prompt_or_by_different_query(model, searches):
    grounding = [{"webSearchQueries": ["", "a", "b"]}, {"webSearchQueries": ["a"]}]
    chunks = [chunk(USAGE, groundingMetadata=one) for one in grounding]
    body = stream(*({**one, "modelVersion": model} for one in chunks))
    assert gemini(body, STREAM).usage.web_searches == searches


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[1]", b"[", b"[{", b"\xff", b"data: 1"]
)
@pytest.mark.parametrize("url", [GEMINI, STREAM])
def test_an_unreadable_answer_is_unknown_never_zero(url, body):
    one = gemini(body, url)
    assert one.usage_unknown
    assert (bool(one.note), one.streaming) == (True, url == STREAM)


def test_nothing_seen_of_a_stream_is_a_stream():
    one = gemini(b"", STREAM, status=None, error="ReadTimeout", ended="error")
    assert (one.streaming, one.usage_unknown) == (True, True)
