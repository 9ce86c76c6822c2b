from __future__ import annotations

import pytest

from tests.provider_exchanges import CHAT, HELLO, call, chunk, stream

USAGE = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}


def answer(usage: object, **fields: object) -> dict[str, object]:
    message = {"role": "assistant", "content": "one two three"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"model": "gpt-4o-2024-08-06", "choices": choices, "usage": usage, **fields}


def usage_of(usage: object, **fields: object) -> dict[str, int]:
    return call(CHAT, answer(usage), **fields).usage.to_dict()


def test_what_is_stated():
    one = call(
        CHAT,
        answer(
            {
                **USAGE,
                "prompt_tokens_details": {
                    "cached_tokens": 8,
                    "cache_write_tokens": 2,
                    "audio_tokens": 1,
                    "image_tokens": 3,
                },
                "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
            },
            service_tier="default",
        ),
        request={"model": "gpt-4o", "messages": HELLO, "max_completion_tokens": 50},
    )
    assert one.usage.to_dict() == {
        "input_tokens": 20,
        "output_tokens": 9,
        "cache_read_tokens": 8,
        "cache_write_tokens": 2,
        "input_audio_tokens": 1,
        "input_image_tokens": 3,
        "reasoning_tokens": 4,
        "output_audio_tokens": 0,
    }
    assert (one.provider, one.endpoint, one.usage_source) == ("openai", "chat", "provider")
    assert (one.model_requested, one.model_returned) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert (one.service_tier, one.max_output_tokens, one.streaming) == (None, 50, False)
    assert one.note is None


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"prompt_cache_hit_tokens": 7, "prompt_cache_miss_tokens": 13}, 7),  # DeepSeek
        ({"cached_tokens": 6}, 6),  # Together, Moonshot
        ({"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 6}, 0),
        ({"prompt_tokens_details": None}, None),
    ],
)
def test_where_the_cached_part_is_stated(details, expected):
    assert usage_of({**USAGE, **details}).get("cache_read_tokens") == expected


def test_cache_writes_beside_the_details():
    assert usage_of({**USAGE, "cache_creation_input_tokens": 5})["cache_write_tokens"] == 5


@pytest.mark.parametrize(
    ("usage", "expected", "note"),
    [
        # xAI: reasoning outside completion_tokens, inside total_tokens
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "total_tokens": 59,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            (20, 39, 30),
            None,
        ),
        # Vercel's gateway for Gemini: outside both
        (
            {**USAGE, "completion_tokens_details": {"reasoning_tokens": 30}},
            (20, 39, 30),
            "reasoning exceeds completion",
        ),
        # Mistral: audio outside prompt_tokens
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "total_tokens": 404,
                "prompt_tokens_details": {"audio_tokens": 375},
            },
            (395, 9, None),
            None,
        ),
        # Gemini: thinking only in total_tokens
        (
            {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 91},
            (20, 71, None),
            "exceeds prompt and completion by 62",
        ),
        # a total that is too small proves nothing
        ({"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 5}, (20, 9, None), None),
    ],
    ids=["xai", "vercel", "mistral", "gemini", "small total"],
)
def test_parts_outside_their_whole(usage, expected, note):
    one = call(CHAT, answer(usage))
    read = one.usage
    assert (read.input_tokens, read.output_tokens, read.reasoning_tokens) == expected
    assert one.note is None if note is None else note in one.note


def test_a_part_larger_than_its_whole_is_left_out():
    one = call(CHAT, answer({**USAGE, "prompt_tokens_details": {"cached_tokens": 161}}))
    assert one.usage.to_dict() == {"input_tokens": 20, "output_tokens": 9}
    assert "cache_read_tokens" in one.note


@pytest.mark.parametrize("odd", [-1, True, "20", 20.5, 1e300, [], {}, float("inf"), 10**15])
def test_what_is_no_count_is_not_stated(odd):
    one = call(CHAT, answer({"prompt_tokens": odd, "completion_tokens": 9}))
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 9}
    assert one.usage_source == "tokenizer"
    assert "prompt_tokens" in one.note


def test_a_stated_zero_is_zero_and_an_integral_float_a_count():
    one = call(CHAT, answer({"prompt_tokens": 12.0, "completion_tokens": 0}))
    assert one.usage.to_dict() == {"input_tokens": 12, "output_tokens": 0}
    assert one.usage_source == "provider"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, [], "much"])
def test_an_answer_without_usage_is_counted(usage):
    one = call(CHAT, answer(usage))
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 3}
    assert one.usage_source == "tokenizer"
    assert "no usage in the answer" in one.note


@pytest.mark.parametrize("end", [(), ("[DONE]",)])
def test_stream_with_usage(end):
    body = stream(
        chunk("one", usage=None),
        chunk("two", usage=None),
        chunk(choices=[], usage=USAGE, service_tier="flex"),
        *end,
    )
    one = call(CHAT, body)
    assert one.usage.to_dict() == {"input_tokens": 20, "output_tokens": 9}
    assert (one.streaming, one.service_tier, one.usage_source) == (True, "flex", "provider")
    assert one.model_returned == "gpt-4o-2024-08-06"


@pytest.mark.parametrize(
    "last",
    [
        {"x_groq": {"id": "req_1", "usage": USAGE}},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        {"usage": USAGE},
    ],
    ids=["groq", "moonshot", "in the last chunk"],
)
def test_where_a_stream_states_its_usage(last):
    one = call(CHAT, stream(chunk("one", x_groq={"id": "req_1"}), chunk(**last), "[DONE]"))
    assert one.usage.to_dict() == {"input_tokens": 20, "output_tokens": 9}


def test_cumulative_usage_the_last_holds():
    chunks = [chunk("w", usage={"prompt_tokens": 8, "completion_tokens": n}) for n in (1, 2, 3)]
    assert call(CHAT, stream(*chunks)).usage.to_dict() == {"input_tokens": 8, "output_tokens": 3}


def test_azures_first_chunk_has_no_model():
    body = stream({"choices": [], "model": ""}, chunk("one"), {"choices": [], "usage": USAGE})
    assert call(CHAT, body).model_returned == "gpt-4o-2024-08-06"


def test_stream_without_usage_is_counted_with_a_hint():
    tool = {"index": 0, "function": {"name": "find ", "arguments": '{"a": '}}
    more = {"index": 0, "function": {"arguments": "1}"}}
    body = stream(
        chunk("one two"),
        chunk(choices=[{"index": 0, "delta": {"reasoning_content": "hm ", "reasoning": "hm "}}]),
        chunk(choices=[{"index": 0, "delta": {"tool_calls": [tool]}}]),
        chunk(choices=[{"index": 0, "delta": {"tool_calls": [more]}}]),
    )
    one = call(CHAT, body)
    # "one twohm find {"a": 1}" is five words
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 5}
    assert one.usage_source == "tokenizer"
    assert 'stream_options={"include_usage": True}' in one.note


def test_a_stream_that_was_asked_for_usage_gets_no_hint():
    asked = {"include_usage": True}
    request = {"model": "gpt-4o", "messages": HELLO, "stream": True, "stream_options": asked}
    one = call(CHAT, stream(chunk("one")), request=request, ended="closed_early")
    assert "pass stream_options" not in one.note
    assert one.ended == "closed_early"


@pytest.mark.parametrize(
    "body",
    [
        stream({"error": {"type": "server_error", "message": "secret"}}),
        b'error: {"error": {"type": "server_error"}}\n\n',
        {"error": {"type": "server_error", "message": "secret"}},
    ],
)
def test_an_error_in_place_of_an_answer_is_not_billed(body):
    one = call(CHAT, body)
    assert (one.billed, one.error, one.usage_source) == (False, "server_error", "none")
    assert "secret" not in str(one)


def test_an_error_within_an_answer_is_unknown():
    one = call(CHAT, stream(chunk("one two"), {"error": {"code": 429}}))
    assert (one.usage_unknown, one.error) == (True, "error")


def test_an_error_after_the_usage_keeps_it():
    one = call(CHAT, stream(chunk("one", usage=USAGE), {"error": {"type": "overloaded"}}))
    assert (one.usage.total_tokens, one.usage_source, one.billed) == (29, "provider", True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[1]", b'{"model": "gpt-4o"', b"\xff"])
def test_an_unreadable_answer_is_unknown_never_zero(body):
    one = call(CHAT, body)
    assert one.usage_unknown
    assert one.note


def test_whitespace_kept_alive_before_json():
    body = b"\n   \n" * 50 + b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 1,'
    assert call(CHAT, body + b'"completion_tokens": 2}}').usage.total_tokens == 3


def test_azure_takes_the_model_from_the_path_where_the_body_has_none():
    url = "https://acme.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=1"
    one = call(url, answer(USAGE), request={"messages": HELLO})
    assert (one.provider, one.model_requested) == ("azure", "my-gpt")
    assert one.model == "gpt-4o-2024-08-06"
