"""What SDKs hand out is read as if it had been seen on the wire."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import anthropic.types
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from pytest_crashlens.capture.sdk_objects import NoAnswer, exchange_of, states_usage
from pytest_crashlens.fixture import CrashlensFixture, detached
from pytest_crashlens.model.call import Call
from tests.provider_exchanges import WordCounter, read_calls

COUNTS = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CHAT: dict[str, Any] = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "hi", "refusal": None},
        }
    ],
    "usage": COUNTS,
}
RESPONSE: dict[str, Any] = {
    "id": "r",
    "object": "response",
    "created_at": 1,
    "model": "gpt-4.1",
    "output": [],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 7,
    },
}
MESSAGE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 4},
}
CONVERSE: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
    "ResponseMetadata": {"HTTPHeaders": {}, "RetryAttempts": 0},
}
NOVA = "amazon.nova-lite-v1:0"
GEMINI = {"modelVersion": "gemini-2.5-flash", "usageMetadata": {"promptTokenCount": 3}}
GEMINI["usageMetadata"]["candidatesTokenCount"] = 4  # type: ignore[index]
EMBEDDED: dict[str, Any] = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
HEAD = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
CHUNKS: list[dict[str, Any]] = [
    HEAD | {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]},
    HEAD | {"choices": [], "usage": COUNTS},
]
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 4},
    },
    {"type": "message_stop"},
]
OLLAMA = {"model": "llama3", "done": True, "prompt_eval_count": 3, "eval_count": 4}
BILLED = {"billed_units": {"input_tokens": 2, "output_tokens": 4}}


def typed_chunks() -> list[ChatCompletionChunk]:
    return [ChatCompletionChunk.model_validate(chunk) for chunk in CHUNKS]


def typed_events() -> list[Any]:
    kinds = [
        anthropic.types.RawMessageStartEvent,
        anthropic.types.RawMessageDeltaEvent,
        anthropic.types.RawMessageStopEvent,
    ]
    return [kind.model_validate(one) for kind, one in zip(kinds, EVENTS, strict=True)]


def recorded(answer: object, **options: Any) -> Call:
    fixture: CrashlensFixture = detached()
    fixture.record(answer, **options)
    [call] = fixture.calls
    return call


ANSWERS: dict[str, tuple[Any, str, str, str]] = {
    "chat": (ChatCompletion.model_validate(CHAT), "openai", "chat", CHAT["model"]),
    "chat dict": (CHAT, "openai", "chat", CHAT["model"]),
    "chat chunks": (typed_chunks(), "openai", "chat", "gpt-4o"),
    "chunks as dicts": (tuple(CHUNKS), "openai", "chat", "gpt-4o"),
    "responses": (Response.model_validate(RESPONSE), "openai", "responses", "gpt-4.1"),
    "responses events": (
        [
            {"type": "response.created", "response": RESPONSE | {"usage": None}},
            {"type": "response.completed", "response": RESPONSE},
        ],
        "openai",
        "responses",
        "gpt-4.1",
    ),
    "messages": (
        anthropic.types.Message.model_validate(MESSAGE),
        "anthropic",
        "messages",
        "claude-haiku-4-5",
    ),
    "messages events": (typed_events(), "anthropic", "messages", "claude-haiku-4-5"),
    "gemini dict": (GEMINI, "google", "generate_content", "gemini-2.5-flash"),
    "gemini chunks": ([GEMINI], "google", "generate_content", "gemini-2.5-flash"),
    "ollama chat": (OLLAMA | {"message": {"content": "hi"}}, "ollama", "chat", "llama3"),
    "ollama generate": (OLLAMA | {"response": "hi"}, "ollama", "generate", "llama3"),
    "ollama lines": (
        [{"model": "llama3", "message": {}}, OLLAMA | {"message": {}}],
        "ollama",
        "chat",
        "llama3",
    ),
    "completion": (
        {"model": "m", "choices": [{"text": "hi"}], "usage": COUNTS},
        "openai",
        "completions",
        "m",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str) -> None:
    answer, provider, endpoint, model = ANSWERS[name]
    call = recorded(answer)
    assert (call.provider, call.endpoint, call.model) == (provider, endpoint, model)
    assert (call.usage.input_tokens, call.usage.output_tokens) == (3, 4)
    assert (call.usage_source, call.live, call.billed) == ("provider", False, True)
    # Ollama streams unless it is told not to
    assert call.streaming is (isinstance(answer, list | tuple) or provider == "ollama")


def test_parts_of_the_usage_are_read_too() -> None:
    assert recorded(Response.model_validate(RESPONSE)).usage.reasoning_tokens == 2
    assert recorded(anthropic.types.Message.model_validate(MESSAGE)).usage.cache_read_tokens == 2


def test_embeddings() -> None:
    call = recorded(CreateEmbeddingResponse.model_validate(EMBEDDED))
    assert (call.endpoint, call.usage.input_tokens) == ("embeddings", 3)


@pytest.mark.parametrize("answer", [CONVERSE, [{"messageStart": {}}, {"metadata": CONVERSE}]])
def test_converse_needs_the_model(answer: Any) -> None:
    with pytest.raises(
        TypeError, match=r"crashlens.record: .* does not name its model: give model"
    ):
        recorded(answer)
    call = recorded(answer, model=NOVA)
    assert (call.provider, call.endpoint, call.model) == ("bedrock", "converse", NOVA)
    assert (call.usage.input_tokens, call.usage.output_tokens) == (3, 4)


@pytest.mark.parametrize(
    ("answer", "endpoint"),
    [
        ({"message": {"content": []}, "usage": BILLED}, "chat"),
        ({"text": "hi", "meta": BILLED}, "chat"),
        ({"embeddings": [[0.1]], "meta": BILLED}, "embeddings"),
    ],
)
def test_cohere(answer: dict[str, Any], endpoint: str) -> None:
    call = recorded(answer, model="command-r")
    assert (call.provider, call.endpoint) == ("cohere", endpoint)
    assert call.usage.billed_input_tokens == 2


def test_options_win_over_the_answer() -> None:
    call = recorded(CHAT, model="llama-3", provider="groq", endpoint="mine", attempts=2, live=True)
    assert (call.provider, call.model_requested, call.model_returned) == (
        "groq",
        "llama-3",
        "llama-3",
    )
    assert (call.endpoint, call.retries, call.live) == ("mine", 1, True)


UNREADABLE: list[Any] = [
    SimpleNamespace(usage=1),
    MagicMock(),
    {},
    {"a": 1},
    [],
    None,
    "text",
    [SimpleNamespace()],
]


@pytest.mark.parametrize("answer", UNREADABLE, ids=lambda answer: type(answer).__name__)
def test_what_is_no_answer(answer: Any) -> None:
    with pytest.raises(TypeError) as caught:
        recorded(answer)
    text = str(caught.value)
    assert type(answer).__name__ in text
    assert "a list of all chunks of a stream" in text
    assert not states_usage(answer)


@pytest.mark.parametrize("answer", [CHAT | {"usage": None}, CHUNKS[:1]])
def test_an_answer_without_usage_is_refused(answer: Any) -> None:
    with pytest.raises(
        ValueError, match=r"states? no usage: give model=, provider=, input_tokens="
    ):
        recorded(answer)


def test_counts_and_an_answer_do_not_go_together() -> None:
    with pytest.raises(TypeError, match="either an answer or counts"):
        recorded(CHAT, input_tokens=3)
    with pytest.raises(TypeError, match="provider= and input_tokens= missing"):
        detached().record(model="m")


def test_answers_are_not_changed() -> None:
    answer = ChatCompletion.model_validate(CHAT)
    before = answer.model_dump()
    recorded(answer)
    assert answer.model_dump() == before
    assert answer.model_fields_set == ChatCompletion.model_validate(CHAT).model_fields_set


def read(answer: object, asked: dict[str, Any]) -> Call:
    exchange = exchange_of(answer, asked=asked)
    [call] = read_calls([exchange], count=WordCounter(), fingerprint_key=b"k")
    return call


def test_the_request_is_known_from_its_arguments() -> None:
    asked = {"model": "gpt-4o-mini", "messages": [], "max_tokens": 9, "timeout": object()}
    call = read(ChatCompletion.model_validate(CHAT), asked)
    assert (call.model_requested, call.model_returned) == ("gpt-4o-mini", CHAT["model"])
    assert call.max_output_tokens == 9


@pytest.mark.parametrize("odd", [None, "hello", 5, object(), iter([]), {"a": object()}])
def test_odd_arguments_lose_no_call(odd: Any) -> None:
    names = ("model", "messages", "input", "contents", "stream", "max_tokens")
    asked = dict.fromkeys(names, odd)
    for answer in (ChatCompletion.model_validate(CHAT), Response.model_validate(RESPONSE), GEMINI):
        assert read(answer, asked).usage.input_tokens == 3


def test_what_states_usage() -> None:
    assert states_usage(ChatCompletion.model_validate(CHAT))
    assert states_usage(typed_chunks())
    assert states_usage(typed_events())
    assert not states_usage(ChatCompletion.model_validate(CHAT | {"usage": None}))
    assert not states_usage(typed_chunks()[:1])
    assert not states_usage(CHAT)  # anything may be a dict
    assert not states_usage([*typed_chunks(), None])


def test_google() -> None:
    types = pytest.importorskip("google.genai.types", reason="needs google-genai")
    usage = types.GenerateContentResponseUsageMetadata(
        prompt_token_count=3, candidates_token_count=4
    )
    answer = types.GenerateContentResponse(usage_metadata=usage)
    call = recorded(answer, model="gemini-2.5-flash")
    assert (call.provider, call.usage.input_tokens) == ("google", 3)
    asked = {"model": "gemini-2.5-flash", "contents": "hello there"}
    assert read(answer, asked).model_requested == "gemini-2.5-flash"


def test_mistral() -> None:
    models = pytest.importorskip("mistralai.client.models", reason="needs mistralai 2 or newer")
    call = recorded(models.ChatCompletionResponse.model_validate(CHAT))
    assert (call.provider, call.usage.input_tokens) == ("mistral", 3)
    chunks = [models.CompletionEvent.model_validate({"data": chunk}) for chunk in CHUNKS]
    assert recorded(chunks).usage.output_tokens == 4


def test_cohere_types() -> None:
    types = pytest.importorskip("cohere.v2.types.v2chat_response", reason="needs cohere 5 or newer")
    told = {"role": "assistant", "content": []}
    answer = types.V2ChatResponse(id="x", finish_reason="COMPLETE", message=told, usage=BILLED)
    call = recorded(answer, model="command-r")
    assert (call.provider, call.usage.billed_output_tokens) == ("cohere", 4)


def test_groq() -> None:
    chat = pytest.importorskip("groq.types.chat", reason="needs groq")
    assert recorded(chat.ChatCompletion.model_validate(CHAT)).provider == "groq"


def test_what_cannot_be_read_is_no_plain_type_error() -> None:
    with pytest.raises(NoAnswer):
        exchange_of(object())
