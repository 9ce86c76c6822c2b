from __future__ import annotations

import json

import pytest

from tests.provider_exchanges import HELLO, call, calls, exchange

HOST = "http://localhost:11434"
CHAT, GENERATE, EMBED = f"{HOST}/api/chat", f"{HOST}/api/generate", f"{HOST}/api/embed"
ASKED = {"model": "gemma3:1b", "messages": HELLO}
PROMPT = {"model": "gemma3:1b", "prompt": "hello there"}
COUNTS = {"done": True, "prompt_eval_count": 21, "eval_count": 369}
READ = {"input_tokens": 21, "output_tokens": 369}


def say(text="", **fields):
    return {"model": "gemma3:1b", "message": {"content": text}, "done": False, **fields}


def lines(*objects):
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


@pytest.mark.parametrize(
    ("url", "request_", "endpoint"), [(CHAT, ASKED, "chat"), (GENERATE, PROMPT, "generate")]
)
def test_plain(url, request_, endpoint):
    request = {**request_, "stream": False, "options": {"num_predict": 100}}
    one = call(url, say("hi", **COUNTS), request=request)
    assert one.usage.to_dict() == READ
    assert (one.provider, one.endpoint, one.model) == ("ollama", endpoint, "gemma3:1b")
    assert (one.streaming, one.max_output_tokens, one.usage_source) == (False, 100, "provider")


def test_an_indented_answer():
    body = json.dumps(say("hi", **COUNTS), indent=2).encode()
    assert call(CHAT, body, request=ASKED).usage.to_dict() == READ


@pytest.mark.parametrize("stream", [{}, {"stream": True}])
def test_it_streams_unless_told_otherwise(stream):
    body = lines(say("one "), say("two"), say(**COUNTS))
    one = call(CHAT, body, request={**ASKED, **stream})
    assert (one.usage.to_dict(), one.streaming) == (READ, True)


def test_no_limit_is_no_cap():
    request = {**ASKED, "options": {"num_predict": -1}}
    assert call(CHAT, say(**COUNTS), request=request).max_output_tokens is None


def test_a_prompt_in_memory_has_no_count():
    end = say(done=True, eval_count=3)
    one = call(CHAT, lines(say("one"), end), request=ASKED)
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 3}
    assert (one.usage_source, "prompt_eval_count is missing" in one.note) == ("tokenizer", True)


def test_a_cut_stream_is_counted():
    tool = {"function": {"name": "find", "arguments": {"a": 1}}}
    body = lines(
        say("one "),
        say(message={"content": "two ", "thinking": "hm ", "tool_calls": [tool]}),
    )
    one = call(CHAT, body + b'{"model": "gem', request=ASKED, ended="closed_early")
    # "one two hm " and the call's four words as JSON
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 8}
    assert "before its counts" in one.note


def test_a_cut_generation_is_counted():
    body = lines({"model": "m", "response": "one two", "done": False})
    one = call(GENERATE, body, request={**PROMPT, "system": "be brief"})
    assert one.usage.to_dict() == {"input_tokens": 4, "output_tokens": 2}


@pytest.mark.parametrize("before", [(), (say("one"),)])
def test_an_error_line(before):
    one = call(CHAT, lines(*before, {"error": "secret words"}), request=ASKED)
    assert (one.error, one.billed, one.usage_source) == ("error", bool(before), "none")


def test_embeddings():
    request = {"model": "nomic", "input": ["one two", "three"]}
    one = call(EMBED, {"embeddings": [], "prompt_eval_count": 5, "model": "nomic"}, request=request)
    assert (one.usage.to_dict(), one.endpoint) == ({"input_tokens": 5}, "embeddings")
    one = call(EMBED, {"embeddings": []}, request=request)
    assert (one.usage.to_dict(), one.usage_source) == ({"input_tokens": 3}, "estimated")


def test_the_old_embeddings_state_nothing():
    url = f"{HOST}/api/embeddings"
    one = call(url, {"embedding": []}, request={"model": "nomic", "prompt": "one two"})
    assert (one.provider, one.usage.to_dict()) == ("ollama", {"input_tokens": 2})


@pytest.mark.parametrize(
    ("url", "request_"),
    [
        (CHAT, {"messages": HELLO}),
        (CHAT, {"model": "m", "messages": []}),
        (GENERATE, {"model": "m"}),
        (GENERATE, {"model": "m", "prompt": "", "keep_alive": 0}),
        (EMBED, {"model": "m"}),
        (f"{HOST}/api/pull", {"model": "m"}),
        (f"{HOST}/api/show", {"model": "m"}),
    ],
)
def test_what_only_loads_a_model_is_no_call(url, request_):
    assert calls(exchange(url, say(done=True), request=request_)) == []


def test_an_applications_own_chat_is_no_call():
    url = "http://localhost:3000/api/chat"
    assert calls(exchange(url, {"reply": "hi"}, request=ASKED)) == []


@pytest.mark.parametrize("status", [None, 404, 500])
def test_without_an_answer_the_request_decides(status):
    one = call(CHAT, {"error": "model not found"}, request=ASKED, status=status)
    assert (one.model, one.streaming) == ("gemma3:1b", True)


@pytest.mark.parametrize("body", [b"", b"\n", b'{"done"', b'[{"done": 1}', b'\xff"done"'])
def test_an_unreadable_answer_is_unknown_never_zero(body):
    one = call(CHAT, body, request=ASKED)
    assert one.usage_source != "provider"
    assert one.note
