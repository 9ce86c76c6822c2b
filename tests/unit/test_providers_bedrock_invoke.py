from __future__ import annotations

import pytest

from tests.event_streams import chunk, event, exception
from tests.provider_exchanges import call, calls, exchange

HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
METRICS = "amazon-bedrock-invocationMetrics"
CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "hello there"}],
}
PROMPT = {"prompt": "hello there"}
HEADERS = {
    "x-amzn-bedrock-input-token-count": "10",
    "x-amzn-bedrock-output-token-count": "4",
}


def url(model: str, *, stream: bool = False) -> str:
    return f"{HOST}/model/{model}/invoke{'-with-response-stream' if stream else ''}"


def message(**fields: object) -> dict[str, object]:
    content = [{"type": "text", "text": "one two"}]
    return {"type": "message", "model": "claude-x-1", "content": content, **fields}


@pytest.mark.parametrize(
    ("request_", "answer", "expected"),
    [
        (
            CLAUDE,
            message(
                usage={"input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 4},
            ),
            (10, 4, 7),
        ),
        (
            {"messages": [], "inferenceConfig": {"max_new_tokens": 64}},
            {
                "output": {},
                "usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokenCount": 7},
            },
            (10, 4, 7),
        ),
        (
            {"inputText": "hello", "textGenerationConfig": {"maxTokenCount": 64}},
            {"inputTextTokenCount": 10, "results": [{"tokenCount": 3}, {"tokenCount": 1}]},
            (10, 4, None),
        ),
        (
            {**PROMPT, "max_gen_len": 64},
            {"generation": "one", "prompt_token_count": 10, "generation_token_count": 4},
            (10, 4, None),
        ),
        (
            {"messages": [], "max_tokens": 64},
            {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 4}},
            (10, 4, None),
        ),
    ],
    ids=["claude", "nova", "titan", "llama", "jamba"],
)
def test_families(request_, answer, expected):
    one = call(url("a.model-v1%3A0"), answer, request=request_)
    usage = one.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == expected
    assert (one.provider, one.endpoint, one.model_requested) == (
        "bedrock",
        "invoke",
        "a.model-v1:0",
    )
    assert (one.usage_source, one.max_output_tokens, one.note) == ("provider", 64, None)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (PROMPT, {"generations": [{"text": "one two"}], "prompt": "hello there"}),
        (PROMPT, {"outputs": [{"text": "one two"}]}),
        (PROMPT, {"completion": "one two", "stop_reason": "stop_sequence"}),
        (PROMPT, {"completions": [{"data": {"text": "one two"}}]}),
        (CLAUDE, message()),
        (CLAUDE, {"choices": [{"message": {"content": "one two"}}]}),
    ],
    ids=["command", "mistral", "claude 2", "jurassic", "claude", "chat"],
)
def test_counts_in_the_headers_or_else_from_the_text(request_, answer):
    stated = call(url("m"), answer, request=request_, response_headers=HEADERS)
    assert stated.usage.to_dict() == {"input_tokens": 10, "output_tokens": 4}
    assert (stated.usage_source, stated.note) == ("provider", None)
    counted = call(url("m"), answer, request=request_)
    assert counted.usage.to_dict() == {"input_tokens": 2, "output_tokens": 2}
    assert counted.usage_source in ("tokenizer", "estimated")
    assert "no usage in the answer" in counted.note


def test_the_cached_part_of_counts_in_the_headers():
    headers = {
        **HEADERS,
        "x-amzn-bedrock-cache-read-input-token-count": "7",
        "x-amzn-bedrock-cache-write-input-token-count": "3",
    }
    usage = call(url("m"), b"cut", request=PROMPT, response_headers=headers).usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (20, 7, 3)


@pytest.mark.parametrize("odd", ["", "-1", "many", "1e3", "9" * 40, "9" * 5000, "\u0663"])
def test_odd_headers_state_nothing(odd):
    headers = {**HEADERS, "x-amzn-bedrock-output-token-count": odd}
    one = call(url("m"), {"outputs": []}, request=PROMPT, response_headers=headers)
    assert (one.usage.input_tokens, one.usage_source) == (10, "estimated")


@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        ({"embedding": [0.1], "inputTextTokenCount": 10}, {}),
        ({"embeddings": [[0.1]]}, {"x-amzn-bedrock-input-token-count": "10"}),
    ],
)
def test_embeddings_have_no_output(answer, headers):
    one = call(url("m"), answer, request={"texts": ["a"]}, response_headers=headers)
    assert one.usage.to_dict() == {"input_tokens": 10}
    assert (one.usage_source, one.note) == ("provider", None)


def test_embeddings_without_counts_are_counted():
    one = call(url("m"), {"embeddings": [[0.1]]}, request={"texts": ["one two", "three"]})
    assert one.usage.to_dict() == {"input_tokens": 3}


def test_images_are_billed_by_the_piece():
    one = call(url("m"), {"images": ["aGk="]}, request={"taskType": "TEXT_IMAGE"})
    assert one.usage_unknown
    assert "by the piece" in one.note


CLAUDE_STREAM = [
    {"type": "message_start", "message": message(content=[], usage={"input_tokens": 10})},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one"}},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 4}},
]
NOVA_STREAM = [
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "one"}}},
    {"metadata": {"usage": {"inputTokens": 10, "outputTokens": 4}}},
]
LLAMA_STREAM = [
    {"generation": "one ", "prompt_token_count": 10, "generation_token_count": 1},
    {"generation": "two", "prompt_token_count": None, "generation_token_count": 4},
]
TITAN_STREAM = [{"outputText": "one", "inputTextTokenCount": 10, "totalOutputTextTokenCount": 4}]
MISTRAL_STREAM = [
    {"outputs": [{"text": "one two"}]},
    {"outputs": [], METRICS: {"inputTokenCount": 10, "outputTokenCount": 4}},
]
CHAT_STREAM = [
    {"choices": [{"delta": {"content": "one"}}]},
    {"choices": [], METRICS: {"inputTokenCount": 10, "outputTokenCount": 4}},
]
STREAMS = [CLAUDE_STREAM, NOVA_STREAM, LLAMA_STREAM, TITAN_STREAM, MISTRAL_STREAM, CHAT_STREAM]


@pytest.mark.parametrize("chunks", STREAMS, ids=lambda chunks: next(iter(chunks[0])))
def test_streams(chunks):
    body = b"".join(chunk(one) for one in chunks)
    one = call(url("m", stream=True), body, request=CLAUDE)
    assert one.usage.to_dict() == {"input_tokens": 10, "output_tokens": 4}
    assert (one.usage_source, one.streaming, one.note) == ("provider", True, None)


def test_the_models_own_count_holds_against_bedrocks():
    metrics = {"type": "message_stop", METRICS: {"inputTokenCount": 10, "outputTokenCount": 3}}
    body = b"".join(chunk(one) for one in [*CLAUDE_STREAM, metrics])
    one = call(url("m", stream=True), body, request=CLAUDE)
    assert one.usage.output_tokens == 4
    assert one.note == "Bedrock itself counts 3 output tokens"


def test_a_stream_that_was_closed_is_counted():
    body = chunk(CLAUDE_STREAM[0]) + chunk(CLAUDE_STREAM[1])
    one = call(url("m", stream=True), body, request=CLAUDE, ended="closed_early")
    assert one.usage.to_dict() == {"input_tokens": 10, "output_tokens": 1}
    assert one.usage_source == "estimated"
    body = chunk(MISTRAL_STREAM[0]) + chunk(MISTRAL_STREAM[1])[:-5]
    one = call(url("m", stream=True), body, request=PROMPT, ended="closed_early")
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 2}


def test_an_exception_in_a_stream():
    refused = call(url("m", stream=True), exception("throttlingException"), request=CLAUDE)
    assert (refused.billed, refused.error, refused.streaming) == (
        False,
        "throttlingException",
        True,
    )
    body = chunk(CLAUDE_STREAM[0]) + chunk(CLAUDE_STREAM[1]) + exception("modelTimeoutException")
    late = call(url("m", stream=True), body, request=CLAUDE)
    assert (late.billed, late.error) == (True, "modelTimeoutException")


@pytest.mark.parametrize("data", [{}, {"bytes": 5}, {"bytes": "!"}, {"bytes": "WzFd"}])
def test_odd_chunks_are_left_out(data):
    body = event("chunk", data) + b"".join(chunk(one) for one in LLAMA_STREAM)
    assert call(url("m", stream=True), body, request=PROMPT).usage.total_tokens == 14


def test_what_is_no_call():
    others = [
        exchange("https://example.org/model/x/invoke", {}, request={"rows": [1]}),
        exchange(f"{HOST}/model/x/count-tokens", {"inputTokens": 1}, request=CLAUDE),
        exchange(f"{HOST}/model/x/async-invoke", {}, request=CLAUDE),
    ]
    assert calls(*others) == []
    assert call("http://localhost/model/x/invoke", {}, request=PROMPT).provider == "bedrock"


AGENT = (
    "https://bedrock-agent-runtime.us-east-1.amazonaws.com/agents/A/agentAliases/B/sessions/c/text"
)


def trace(kind: str, model: str | None, **usage: int) -> bytes:
    said = {"modelInvocationInput": {"foundationModel": model, "text": "secret"}}
    done = {"modelInvocationOutput": {"metadata": {"usage": usage}, "rawResponse": {}}}
    return event("trace", {"trace": {kind: said}}) + event("trace", {"trace": {kind: done}})


def test_the_models_that_an_agent_calls_are_summed():
    body = (
        trace("preProcessingTrace", "amazon.nova-pro-v1:0", inputTokens=3, outputTokens=1)
        + trace("orchestrationTrace", "amazon.nova-pro-v1:0", inputTokens=7, outputTokens=3)
        + event("chunk", {"bytes": "aGk="})
    )
    one = call(AGENT, body, request={"inputText": "go", "enableTrace": True})
    assert one.usage.to_dict() == {"input_tokens": 10, "output_tokens": 4}
    assert (one.provider, one.endpoint, one.model) == ("bedrock", "agents", "amazon.nova-pro-v1:0")
    assert one.note == "sum of 2 calls of models by the agent"
    cut = call(AGENT, body, request={"inputText": "go"}, ended="closed_early")
    assert cut.usage_source == "none"


def test_several_models_of_an_agent_are_no_model():
    body = trace("a", "m-1", inputTokens=3, outputTokens=1)
    one = call(AGENT, body + trace("b", "m-2", inputTokens=1, outputTokens=1), request={"x": 1})
    assert one.model is None
    assert "m-1, m-2" in one.note


@pytest.mark.parametrize(("asked", "hint"), [(False, "pass enableTrace=True"), (True, "no calls")])
def test_an_agent_without_a_trace_is_unknown(asked, hint):
    body = event("chunk", {"bytes": "aGk="})
    one = call(AGENT, body, request={"inputText": "go", "enableTrace": asked})
    assert one.usage_unknown
    assert hint in one.note


def test_an_answer_from_a_knowledge_base_is_unknown():
    given = {"knowledgeBaseConfiguration": {"modelArn": "m-1"}, "type": "KNOWLEDGE_BASE"}
    request = {"input": {"text": "go"}, "retrieveAndGenerateConfiguration": given}
    base = "https://bedrock-agent-runtime.us-east-1.amazonaws.com/"
    one = call(base + "retrieveAndGenerate", {"output": {"text": "secret"}}, request=request)
    assert (one.usage_unknown, one.model, one.streaming) == (True, "m-1", False)
    assert call(base + "retrieveAndGenerateStream", b"", request=request).streaming
    assert calls(exchange(base + "knowledgebases/K/retrieve", {}, request=request)) == []
    assert calls(exchange("https://example.org/agents/7", {}, request=request)) == []
