from __future__ import annotations

import json

import pytest

from pytest_crashlens.model.request_shape import PREFIX_STEP, RequestShape
from pytest_crashlens.providers.shape import (
    LAST_TURNS,
    MOST_PREFIXES,
    complains,
    instructions,
    request_shape,
)

KEY = b"a key"


def shape(**body: object) -> RequestShape:
    return request_shape(body, KEY)


def chat(*texts: str, **more: object) -> RequestShape:
    roles = ("user", "assistant") * len(texts)
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return shape(messages=messages, **more)


SEARCH = {"q": "otters", "n": 3}
IN_FORMATS = {
    "chat": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "search", "arguments": json.dumps(SEARCH)},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "In rivers."},
        ]
    },
    "responses": {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Where?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "function_call",
                "call_id": "c",
                "name": "search",
                "arguments": '{"n":3, "q":"otters"}',
            },
            {"type": "function_call_output", "call_id": "c", "output": "In rivers."},
        ],
    },
    "messages": {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "Where?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "tool_use", "id": "toolu_1", "name": "search", "input": SEARCH},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "text", "text": "In rivers."}],
                    }
                ],
            },
        ],
    },
    "converse": {
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [{"text": "Where?"}]},
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "t", "name": "search", "input": SEARCH}}],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "t", "content": [{"text": "In rivers."}]}},
                ],
            },
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Where?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "search", "args": SEARCH}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "search", "response": {"text": "In rivers."}}}
                ],
            },
        ],
    },
}


@pytest.mark.parametrize("name", IN_FORMATS)
def test_one_conversation_in_every_format(name: str) -> None:
    expected = request_shape(IN_FORMATS["chat"], KEY)
    found = request_shape(IN_FORMATS[name], KEY)
    assert [turn.kind for turn in found.turns] == ["system", "user", "tool_call", "tool_result"]
    assert found.conversation == expected.conversation != ""
    assert [turn.own for turn in found.turns] == [turn.own for turn in expected.turns]
    assert found.turns[2].tool == expected.turns[2].tool != ""
    assert found.count == 4
    assert found.cache_marks == (name in ("messages", "converse"))


def test_a_longer_conversation_continues_a_shorter_one() -> None:
    short, long = chat("a", "b", "c"), chat("a", "b", "c", "d", "e")
    assert long.turns[2].through == short.conversation
    assert chat("a", "b", "x", "d", "e").turns[2].through != short.conversation
    many = chat(*(str(number) for number in range(100)))
    assert (many.count, len(many.turns)) == (100, LAST_TURNS)


def test_ids_count_where_they_are_arguments_and_not_where_they_name_a_call() -> None:
    def called(arguments: dict[str, int], call_id: str) -> str:
        block = {"type": "tool_use", "id": call_id, "name": "order", "input": arguments}
        return shape(messages=[{"role": "assistant", "content": [block]}]).turns[0].own

    assert called({"id": 1}, "a") == called({"id": 1}, "b")
    assert called({"id": 1}, "a") != called({"id": 2}, "a")


def test_what_is_kept_elsewhere_is_another_conversation() -> None:
    assert (
        shape(input="hi").conversation != shape(input="hi", previous_response_id="r").conversation
    )
    assert shape(input="hi", model="a").conversation == shape(input="hi", model="b").conversation


def test_equal_beginnings() -> None:
    start = "x" * (3 * PREFIX_STEP)
    one, two = chat(f"{start} one" + "y" * 5000), chat(f"{start} two" + "z" * 500)
    assert one.prefix[:2] == two.prefix[:2]
    assert one.prefix[3] not in two.prefix
    assert chat("short").prefix == ()
    assert len(chat("x" * 10**6, "y" * 10**5).prefix) == MOST_PREFIXES
    with_tools = chat(start, tools=[{"name": "t" * PREFIX_STEP}])
    assert with_tools.prefix[0] != one.prefix[0]
    assert with_tools.characters > one.characters - 5004


def test_hashes_need_the_key() -> None:
    assert request_shape({"input": "hi"}, b"other").conversation != shape(input="hi").conversation


@pytest.mark.parametrize(
    ("body", "samples"),
    [
        ({}, None),
        ({"temperature": 0}, False),
        ({"temperature": 0.7}, True),
        ({"generationConfig": {"temperature": 1}}, True),
        ({"inferenceConfig": {"temperature": 0.0}}, False),
        ({"options": {"temperature": 0.1}}, True),
        ({"temperature": True}, None),
        ({"temperature": "0"}, None),
    ],
)
def test_whether_it_samples(body: dict[str, object], samples: bool | None) -> None:
    assert request_shape(body, KEY).samples is samples


@pytest.mark.parametrize(
    "text",
    [
        "2 validation errors for Invoice",
        "Your previous response was not valid JSON.",
        "The output could not be parsed. Answer again.",
        "Please fix the errors and return the object.",
        "Recall the function correctly, fix the errors",
        f"{'x' * 3000}\nJSONDecodeError: json decode error",
    ],
)
def test_complaints(text: str) -> None:
    assert complains(text)


@pytest.mark.parametrize(
    "text",
    [
        "There is an error in my order.",
        "I tried again and it works.",
        "How do I catch exceptions?",
        "Write valid answers only.",
        f"{'x' * 3000} validation error {'x' * 3000}",
    ],
)
def test_what_is_no_complaint(text: str) -> None:
    assert not complains(text)


def test_only_what_is_said_to_the_model_complains() -> None:
    text = "Your answer was not valid JSON."
    asked = chat(text, text)
    assert [turn.complains for turn in asked.turns] == [True, False]
    assert not shape(system=text).turns[0].complains


def test_results_of_tools() -> None:
    def last(content: object, **more: object) -> tuple[bool, bool]:
        block = {"type": "tool_result", "content": content, **more}
        turn = shape(messages=[{"role": "user", "content": [block]}]).turns[-1]
        return turn.complains, turn.waits

    assert last("done") == (False, False)
    assert last("done", is_error=True) == (True, False)
    assert last("Error: no such table") == (True, False)
    assert last('{"status": "pending"}') == (False, True)
    assert last("pending " + "x" * 500) == (False, False)


def test_across_processes() -> None:
    before = request_shape(IN_FORMATS["chat"], KEY)
    plain = before.to_dict()
    assert RequestShape.from_dict(json.loads(json.dumps(plain))) == before
    assert type(plain["turns"]) is type(plain["prefix"]) is list


def test_no_text_is_in_it() -> None:
    canary = "canary-text-5150"
    body = {
        "system": canary,
        "messages": [{"role": "user", "content": canary}],
        "tools": [{"name": canary}],
        "previous_response_id": canary,
    }
    assert canary not in repr(request_shape(body, KEY))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": 5, "contents": {"a": [None]}, "input": [[1]], "system": 3.5},
        {"messages": [None, {"role": 7, "content": {"text": {"text": []}}, "tool_calls": "x"}]},
        {"messages": [{"role": "tool", "content": None}], "tools": {"a": {1, 2}}},
        {"input": "\ud800"},
    ],
)
def test_hostile_bodies(body: dict[str, object]) -> None:
    assert isinstance(request_shape(body, KEY), RequestShape)
    assert len(instructions(body)) == 2


def test_too_deep() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert request_shape({"tools": deep}, KEY) == RequestShape()
    assert instructions({"input": "hi", "messages": [{"content": deep}]}) in (("", ""), ("", "hi"))


def test_instructions_are_the_system_prompt_and_the_last_words_of_the_user() -> None:
    assert instructions(IN_FORMATS["chat"]) == ("Be brief.", "Where?")
    image = {"type": "image_url", "image_url": {"url": "data:..."}}
    content = [{"type": "text", "text": "What is this?"}, image]
    assert instructions({"messages": [{"role": "user", "content": content}]}) == (
        "",
        "What is this?",
    )
