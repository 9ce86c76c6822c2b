"""Google, Cohere, Ollama, Hugging Face, Mistral: whatever they answer is a reading."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.provider_exchanges import HELLO, call, calls, exchange
from tests.unit.test_providers_calls import check

GOOGLE = "https://aiplatform.googleapis.com/v1/publishers"
PARTS = [{"parts": [{"text": "hello there"}]}]
REQUESTS = {
    f"{GOOGLE}/google/models/gemini-x:generateContent": {"contents": PARTS},
    f"{GOOGLE}/google/models/gemini-x:streamGenerateContent": {"contents": PARTS},
    f"{GOOGLE}/google/models/embed-x:embedContent": {"content": PARTS[0]},
    f"{GOOGLE}/google/models/embed-x:predict": {"instances": [{"content": "hello there"}]},
    f"{GOOGLE}/google/models/veo-x:predictLongRunning": {"instances": [{"prompt": "hello there"}]},
    f"{GOOGLE}/anthropic/models/claude-x:rawPredict": {"messages": HELLO},
    f"{GOOGLE}/mistralai/models/mistral-x:streamRawPredict": {"messages": HELLO},
    "https://x.googleapis.com/v1/interactions": {"model": "m", "input": "hello there"},
    "https://api.cohere.com/v2/chat": {"model": "m", "messages": HELLO},
    "https://api.cohere.com/v1/chat": {"message": "hello there", "stream": True},
    "https://api.cohere.com/v1/generate": {"prompt": "hello there"},
    "https://api.cohere.com/v2/embed": {"texts": ["hello there"]},
    "https://api.cohere.com/v2/rerank": {"model": "m", "query": "q", "documents": ["hello there"]},
    "http://localhost:11434/api/chat": {"model": "m", "messages": HELLO},
    "http://localhost:11434/api/generate": {"model": "m", "prompt": "hello there"},
    "http://localhost:11434/api/embed": {"model": "m", "input": "hello there"},
    "https://api-inference.huggingface.co/models/m": {"inputs": "hello there"},
    "https://api.mistral.ai/v1/fim/completions": {"model": "m", "prompt": "hello there"},
    "https://api.mistral.ai/v1/agents/completions": {"agent_id": "a", "messages": HELLO},
    "https://api.mistral.ai/v1/ocr": {"model": "m", "document": {}},
}
SIGNS = {"done": False, "embedding": [], "billed_units": {}}
"""So that answers may be theirs on any host."""

KEYS = """
usageMetadata promptTokenCount candidatesTokenCount thoughtsTokenCount totalTokenCount trafficType
cachedContentTokenCount promptTokensDetails modality tokenCount candidates content parts text error
status finishReason groundingMetadata webSearchQueries functionCall args name modelVersion contents
content instances predictions embeddings statistics token_count promptFeedback blockReason index
interaction usage total_input_tokens total_output_tokens input_tokens_by_modality tokens steps delta
meta billed_units input_tokens output_tokens image_tokens search_units cached_tokens message input
tool_calls function arguments response event_type generations texts documents query is_finished
prompt_eval_count eval_count done thinking model messages prompt options num_predict inputs details
generated_text generated_tokens prefill token usage_info pages_processed tools systemInstruction
functionDeclarations chat_history generationConfig maxOutputTokens stream requests
""".split()  # noqa: SIM905
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=20,
)
URLS = st.sampled_from(list(REQUESTS))

DETAILS = [{"modality": "AUDIO", "tokenCount": 2}, {"modality": 2, "tokens": 3}]
BILLED = {"input_tokens": 5, "output_tokens": 6, "image_tokens": 7, "search_units": 8}
GOOD = {
    "usageMetadata": {
        "promptTokenCount": 5,
        "toolUsePromptTokenCount": 5,
        "cachedContentTokenCount": 5,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 5,
        "totalTokenCount": 30,
        "trafficType": 1,
        "promptTokensDetails": DETAILS,
        "cacheTokensDetails": DETAILS,
        "candidatesTokensDetails": DETAILS,
    },
    "candidates": [
        {
            "index": 0,
            "content": {"parts": [{"text": "a"}, {"functionCall": {"name": "f", "args": {}}}]},
            "groundingMetadata": {"webSearchQueries": ["q", "r"]},
            "finishReason": "STOP",
        }
    ],
    "predictions": [{"embeddings": {"statistics": {"token_count": 5}}}],
    "interaction": {"usage": {"total_input_tokens": 5, "total_cached_tokens": 9}},
    "usage": {"tokens": BILLED, "billed_units": BILLED, "cached_tokens": 9, "total_tokens": 3},
    "meta": {"tokens": BILLED, "billed_units": BILLED},
    "message": {"content": [{"text": "a", "thinking": "b"}], "tool_calls": [{"function": {}}]},
    "details": {"generated_tokens": 5, "prefill": [{}], "input_length": 3},
    "token": {"text": "a"},
    "usage_info": {"pages_processed": 5},
    "prompt_eval_count": 5,
    "eval_count": 5,
}
"""What all of them could say at once."""

ODD = (None, True, -1, 0, 1.5, 7.0, 10**30, "12", "", [], {}, [[]], [None], {"a": 1}, float("nan"))


@given(url=URLS, request=st.binary(), answer=st.binary())
def test_arbitrary_bytes_never_raise(url, request, answer):
    assert calls(exchange(url, answer, request=request)) == []
    check(call(url, answer, request=REQUESTS[url], status=None))
    for one in calls(exchange(url, answer, request=REQUESTS[url])):
        check(one)


@given(url=URLS, answers=st.lists(JSON, min_size=1, max_size=3), data=st.data())
def test_arbitrary_json_never_raises(url, answers, data):
    signed = [{**SIGNS, **one} if isinstance(one, dict) else one for one in answers]
    told = [json.dumps(one) for one in signed]
    for body in (
        told[0],
        "\n".join(told),
        f"[{','.join(told)}]",
        "".join(f"data: {one}\n\n" for one in told),
    ):
        cut = data.draw(st.integers(0, len(body)))
        for answer in (body, body[:cut]):
            for one in calls(exchange(url, answer.encode(), request=REQUESTS[url])):
                check(one)
    for fields in answers:
        if isinstance(fields, dict):
            for one in calls(exchange(url, {}, request={**REQUESTS[url], **fields})):
                check(one)


def shaken(value, rnd):
    """``value`` with some of it gone and some of it something else."""
    if rnd.random() < 0.1:
        return rnd.choice(ODD)
    if isinstance(value, dict):
        return {key: shaken(inner, rnd) for key, inner in value.items() if rnd.random() > 0.1}
    return [shaken(inner, rnd) for inner in value] if isinstance(value, list) else value


@given(url=URLS, rnd=st.randoms(use_true_random=False), kind=st.sampled_from("{[:"))
def test_what_is_nearly_right_never_raises(url, rnd, kind):
    answers = [json.dumps(shaken(GOOD, rnd) or {}) for _ in range(3)]
    body = {
        "{": answers[0],
        "[": f"[{','.join(answers)}]",
        ":": "".join(f"data: {one}\n\n" for one in answers),
    }[kind]
    check(call(url, body.encode() + b"\n" + json.dumps(SIGNS).encode(), request=REQUESTS[url]))
    for one in calls(exchange(url, body.encode(), request=shaken(REQUESTS[url], rnd))):
        check(one)


@pytest.mark.parametrize("url", REQUESTS)
@pytest.mark.parametrize("opening", [b"[", b'{"usage":', b'[{"a":', b'data: {"a":'])
def test_deep_json_never_raises(url, opening):
    answer = json.dumps(SIGNS).encode() + b"\n" + opening * 20_000
    check(call(url, answer, request=REQUESTS[url]))
    assert calls(exchange(url, {}, request=opening * 20_000)) == []


@pytest.mark.parametrize("depth", [100, 300, 900])
def test_a_usage_beside_something_deep_is_read(depth):
    url = next(iter(REQUESTS))
    deep = '{"a":' * depth + "1" + "}" * depth
    part = f'{{"functionCall": {{"name": "f", "args": {deep}}}}}'
    usage = '{"promptTokenCount": 5, "candidatesTokenCount": 2}'
    body = f'{{"candidates": [{{"content": {{"parts": [{part}]}}}}], "usageMetadata": {usage}}}'
    assert call(url, body.encode(), request=REQUESTS[url]).usage.total_tokens == 7


@pytest.mark.parametrize("url", REQUESTS)
def test_no_text_is_in_a_call(url):
    canary = "canary"
    asked = json.dumps(REQUESTS[url]).replace("hello there", canary).encode()
    said = {
        "error": {"status": f"{canary} said", "type": f"{canary} !", "message": canary},
        "candidates": [{"content": {"parts": [{"text": canary}]}}],
        "message": {"content": canary},
        "content": [{"text": canary}],
        "generated_text": canary,
        "text": canary,
        "response": canary,
        "done": True,
        "embedding": [],
    }
    for answer in (said, {**said, "error": None}, {**said, "error": canary}):
        assert canary not in repr(call(url, answer, request=asked))
