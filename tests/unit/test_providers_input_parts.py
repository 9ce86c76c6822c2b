from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.providers.input_parts import input_parts
from tests.provider_exchanges import WordCounter

S, H, U = "s" * 10, "h" * 100, "u" * 1000
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"name": "look", "description": "It looks.", "input_schema": SCHEMA}
BASE64 = "A" * 5000
DATA_URL = f"data:image/png;base64,{BASE64}"


def size(*values: Any) -> int:
    return sum(len(json.dumps(value, separators=(",", ":"))) for value in values)


FORMATS: dict[str, tuple[dict[str, Any], InputParts]] = {
    "openai chat": (
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "developer", "content": S},
                {"role": "user", "content": H},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "look", "arguments": '{"a":1}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": H},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": U},
                        {"type": "image_url", "image_url": {"url": DATA_URL}},
                        {"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}},
                    ],
                },
                {"role": "assistant", "content": H},
            ],
            "tools": [TOOL],
            "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        },
        InputParts(
            system=10,
            tools=size([TOOL], {"type": "json_schema", "json_schema": {"schema": SCHEMA}}),
            history=300 + len('look{"a":1}'),
            user=1000,
            images=2,
        ),
    ),
    "openai chat, a format without a schema": (
        {
            "messages": [{"role": "user", "content": U}],
            "functions": [TOOL],
            "response_format": {"type": "json_object"},
        },
        InputParts(tools=size([TOOL]), user=1000),
    ),
    "openai responses": (
        {
            "instructions": S,
            "input": [
                {"role": "user", "content": H},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": BASE64},
                {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": H},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": U},
                        {"type": "input_image", "image_url": DATA_URL},
                        {"type": "input_file", "file_data": BASE64, "filename": "a.pdf"},
                    ],
                },
            ],
            "tools": [TOOL],
            "text": {"format": {"type": "json_schema", "schema": SCHEMA}},
        },
        InputParts(
            system=10,
            tools=size([TOOL], {"type": "json_schema", "schema": SCHEMA}),
            history=200 + len("look{}"),
            user=1000,
            images=2,
        ),
    ),
    "openai responses, a text": ({"input": U, "text": {"verbosity": "low"}}, InputParts(user=1000)),
    "openai completions": ({"prompt": [U, U], "suffix": S}, InputParts(user=2010)),
    "openai embeddings": ({"input": [U, U]}, InputParts(user=2000)),
    "openai embeddings of tokens": ({"input": [[1, 2, 3]]}, InputParts()),
    "anthropic": (
        {
            "system": [{"type": "text", "text": S, "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": H},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": H, "signature": BASE64},
                        {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": H},
                        {"type": "text", "text": U},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": BASE64},
                        },
                    ],
                },
            ],
            "tools": [TOOL],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        },
        InputParts(
            system=10,
            tools=size([TOOL], {"type": "json_schema", "schema": SCHEMA}),
            history=300 + len('look{"a":1}'),
            user=1000,
            images=1,
        ),
    ),
    "anthropic, in the loop of an agent": (
        {
            "system": S,
            "messages": [
                {"role": "user", "content": U},
                {"role": "assistant", "content": H},
                {"role": "user", "content": [{"type": "tool_result", "content": H}]},
            ],
        },
        InputParts(system=10, history=200, user=1000),
    ),
    "gemini": (
        {
            "systemInstruction": {"parts": [{"text": S}]},
            "contents": [
                {"role": "user", "parts": [{"text": U}, {"inlineData": {"data": BASE64}}]},
                {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {"name": "look", "args": {"a": 1}},
                            "thoughtSignature": BASE64,
                        }
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": "look", "response": {"b": H}}}],
                },
            ],
            "tools": [{"functionDeclarations": [TOOL]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
            "generationConfig": {"responseSchema": SCHEMA, "temperature": 0},
        },
        InputParts(
            system=10,
            tools=size([{"functionDeclarations": [TOOL]}], SCHEMA),
            history=len('look{"a":1}look{"b":""}') + 100,
            user=1000,
            images=1,
        ),
    ),
    "gemini, one content": ({"contents": {"parts": [{"text": U}]}}, InputParts(user=1000)),
    "gemini embedding": ({"content": {"parts": [{"text": U}]}}, InputParts(user=1000)),
    "gemini embeddings": (
        {"requests": [{"content": {"parts": [{"text": U}]}}] * 2},
        InputParts(user=2000),
    ),
    "gemini interactions": (
        {
            "system_instruction": S,
            "input": [{"type": "text", "text": U}, {"type": "image", "data": BASE64}],
        },
        InputParts(system=10, user=1000, images=1),
    ),
    "vertex embeddings": ({"instances": [{"content": U}]}, InputParts(user=1000)),
    "bedrock converse": (
        {
            "system": [{"text": S}, {"cachePoint": {"type": "default"}}],
            "messages": [
                {"role": "user", "content": [{"text": H}]},
                {
                    "role": "assistant",
                    "content": [{"toolUse": {"toolUseId": "1", "name": "look", "input": {}}}],
                },
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "1", "content": [{"text": H}]}},
                        {"text": U},
                        {"document": {"format": "pdf", "source": {"bytes": BASE64}}},
                    ],
                },
            ],
            "toolConfig": {"tools": [{"toolSpec": TOOL}]},
        },
        InputParts(
            system=10,
            tools=size([{"toolSpec": TOOL}]),
            history=200 + len("look{}"),
            user=1000,
            images=1,
        ),
    ),
    "bedrock prompt variables": (
        {"promptVariables": {"topic": {"text": U}}},
        InputParts(user=1000),
    ),
    "bedrock titan": ({"inputText": U, "inputImage": BASE64}, InputParts(user=1000, images=1)),
    "bedrock llama": ({"prompt": U, "max_gen_len": 5}, InputParts(user=1000)),
    "cohere v1": (
        {
            "preamble": S,
            "chat_history": [
                {"role": "SYSTEM", "message": S},
                {"role": "USER", "message": H},
                {"role": "CHATBOT", "message": H},
            ],
            "message": U,
            "documents": [{"title": "t", "snippet": "1234"}],
        },
        InputParts(system=20, history=200, user=1005),
    ),
    "cohere v2": (
        {
            "messages": [
                {"role": "system", "content": S},
                {"role": "user", "content": U},
                {"role": "assistant", "tool_plan": H, "tool_calls": []},
                {
                    "role": "tool",
                    "tool_call_id": "1",
                    "content": [{"type": "document", "document": {"data": H}}],
                },
            ],
            "documents": [{"id": "1", "data": {"text": "1234"}}, "5678"],
            "tools": [TOOL],
        },
        InputParts(system=10, tools=size([TOOL]), history=200, user=1008),
    ),
    "cohere embeddings": (
        {"texts": [U, U], "images": [DATA_URL], "input_type": "classification"},
        InputParts(user=2000, images=1),
    ),
    "rerank": ({"query": U, "documents": [H, {"text": H}]}, InputParts(user=1200)),
    "ollama chat": (
        {
            "messages": [
                {"role": "system", "content": S},
                {"role": "user", "content": U, "images": [BASE64]},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"function": {"name": "look", "arguments": {"a": 1}}}],
                },
            ],
            "format": SCHEMA,
            "tools": [TOOL],
        },
        InputParts(
            system=10,
            tools=size([TOOL], SCHEMA),
            history=len('look{"a":1}'),
            user=1000,
            images=1,
        ),
    ),
    "ollama generate": (
        {"system": S, "prompt": U, "format": "json", "context": [1, 2]},
        InputParts(system=10, user=1000),
    ),
    "mistral ocr": (
        {"document": {"type": "document_url", "document_url": "https://example.com/a.pdf"}},
        InputParts(images=1),
    ),
    "hugging face": ({"inputs": {"question": U, "context": H}}, InputParts(user=1100)),
    "speech": ({"text": U}, InputParts(user=1000)),
    "an answer that was spoken": (
        {
            "messages": [
                {"role": "user", "content": U},
                {"role": "assistant", "audio": {"id": "audio_1"}, "content": H},
            ]
        },
        InputParts(history=100, user=1000),
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_parts_of_every_format(name: str) -> None:
    body, expected = FORMATS[name]
    assert input_parts(body) == expected


KEYS = [
    *("role", "content", "parts", "type", "text", "document", "image", "input", "tools", "data"),
    *("messages", "contents", "system", "requests", "images", "chat_history"),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "contents", "system"]), anything))
def test_whatever_is_sent_has_sizes_of_zero_or_more(body: dict[str, Any]) -> None:
    assert all(value > 0 for value in input_parts(body).to_dict().values())


def test_nesting_without_end_is_no_fault() -> None:
    deep: Any = "text"
    for _ in range(100_000):
        deep = [deep]
    assert input_parts({"messages": [{"role": "user", "content": deep}]}) == InputParts()
    while isinstance(deep, list):  # taken apart here: freeing it at once would recurse as deep
        deep = deep.pop()


def exchange(status: int) -> Exchange:
    body = {"model": "gpt-4o", "messages": [{"role": "system", "content": S}]}
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    return Exchange(
        method="POST",
        url="https://api.openai.com/v1/chat/completions",
        request_body=json.dumps(body).encode(),
        status=status,
        response_body=json.dumps({"model": "gpt-4o", "choices": [], "usage": usage}).encode(),
    )


def test_a_call_has_them_and_a_refused_one_has_none() -> None:
    calls = read_calls([exchange(200), exchange(400)], count=WordCounter(), fingerprint_key=b"")
    assert [call.input_parts for call in calls] == [InputParts(system=10), InputParts()]
