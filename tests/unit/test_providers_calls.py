from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.model.call import Call
from pytest_crashlens.providers.calls import read_calls
from tests.provider_exchanges import (
    CHAT,
    EMBEDDINGS,
    HELLO,
    MESSAGES,
    REQUESTS,
    RESPONSES,
    WordCounter,
    call,
    calls,
    chunk,
    exchange,
    stream,
)

USAGE = {"prompt_tokens": 20, "completion_tokens": 9}
URLS = [CHAT, RESPONSES, EMBEDDINGS, MESSAGES]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529, 302])
def test_a_refusal_is_not_billed(status):
    one = call(CHAT, {"error": {"message": "no"}, "usage": USAGE}, status=status)
    assert (one.status, one.billed, one.usage_source) == (status, False, "none")
    assert (one.usage.stated, one.usage_unknown) == (False, False)
    assert one.model_requested == "gpt-4o"


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        ("ConnectError", False),
        ("ConnectTimeout", False),
        ("ClientConnectorError", False),
        ("EndpointConnectionError", False),
        ("CannotOverwriteExistingRequestException", False),
        ("ReadTimeout", True),
        ("RemoteProtocolError", True),
        ("CancelledError", True),
        ("ConnectionError", True),
        (None, True),
    ],
)
def test_no_answer(error, billed):
    one = call(CHAT, b"", status=None, error=error, live=None, ended="error")
    assert (one.billed, one.usage_unknown, one.usage_source) == (billed, billed, "none")
    assert (one.error, one.live, one.usage.stated) == (error, False, False)


@pytest.mark.parametrize("ended", ["complete", "closed_early", "error", "unfinished"])
def test_a_usage_that_was_seen_counts_however_the_stream_ended(ended):
    one = call(CHAT, stream(chunk("one"), chunk(choices=[], usage=USAGE)), ended=ended)
    assert (one.usage.total_tokens, one.usage_source, one.ended) == (29, "provider", ended)


def test_nothing_seen_of_a_stream_is_unknown():
    request = {"model": "gpt-4o", "messages": HELLO, "stream": True}
    one = call(CHAT, b"", request=request, ended="closed_early")
    assert (one.usage_unknown, one.streaming) == (True, True)


def test_the_worst_count_holds():
    request = {"model": "gpt-4o", "messages": HELLO, "tools": [{"type": "function"}]}
    assert call(CHAT, stream(chunk("one")), request=request).usage_source == "estimated"


def test_a_counter_that_fails_loses_no_call():
    class Broken(WordCounter):
        def text(self, text, model):
            raise ZeroDivisionError

    (one,) = read_calls([exchange(CHAT, stream(chunk("a")))], count=Broken(), fingerprint_key=b"")
    assert one.usage_unknown
    assert "ZeroDivisionError" in one.note


def test_order_and_non_calls():
    other = exchange("https://telemetry.example/v1/traces", {})
    read = calls(exchange(MESSAGES, {}), other, exchange(CHAT, {}), exchange(EMBEDDINGS, {}))
    assert [one.endpoint for one in read] == ["messages", "chat", "embeddings"]


def test_fingerprints_are_keyed():
    first, second, other = calls(
        exchange(CHAT, {"usage": USAGE}),
        exchange(CHAT, {"usage": USAGE}),
        exchange(CHAT, {"usage": USAGE}, request={"model": "gpt-4o", "messages": []}),
    )
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert len(first.fingerprint) == 16
    (keyed,) = read_calls([exchange(CHAT, {})], count=WordCounter(), fingerprint_key=b"other")
    assert keyed.fingerprint != first.fingerprint


def test_what_capture_knows_is_kept():
    one = call(CHAT, {}, task="plan", call_site="app.py:4 plan", live=True, ended="unfinished")
    assert (one.task, one.call_site, one.live) == ("plan", "app.py:4 plan", True)
    assert one.host == "api.openai.com"


def test_an_unknown_host_is_named_by_its_format():
    assert call("http://localhost:8000/v1/messages", {}, request=REQUESTS[MESSAGES]).provider == (
        "anthropic"
    )


@pytest.mark.parametrize("url", URLS)
def test_no_text_is_in_a_call(url):
    canary = "canary"
    body = json.dumps(REQUESTS[url]).replace("hello there", canary).replace("one two", canary)
    said = {
        "error": {"type": f"{canary} said", "message": canary, "code": f"no {canary}"},
        "choices": [{"message": {"content": canary}}],
        "content": [{"text": canary}],
        "output": [{"content": [{"text": canary}]}],
    }
    for answer in (said, stream(said), {**said, "error": None}):
        one = call(url, answer, request=body.encode())
        assert canary not in repr(one)


def test_names_that_cannot_be_names_are_dropped():
    for odd in ("x" * 5000, "\ud800", "a\nb", 5, ["m"], ""):
        one = call(CHAT, {"model": odd, "service_tier": odd, "usage": USAGE})
        assert (one.model_returned, one.service_tier) == (None, None)


KEYS = """
model messages input usage prompt_tokens completion_tokens input_tokens output_tokens total_tokens
prompt_tokens_details completion_tokens_details cached_tokens reasoning_tokens audio_tokens choices
delta message content tool_calls function error type response output action iterations text index
cache_creation cache_creation_input_tokens ephemeral_5m_input_tokens service_tier x_groq stream
stream_options tools instructions
""".split()  # noqa: SIM905
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def check(one: Call) -> None:
    """What holds for every call."""
    counts = one.usage.to_dict()
    assert all(type(value) is int and value >= 0 for value in counts.values())
    if one.usage.input_tokens is not None:
        cached = (one.usage.cache_read_tokens or 0, one.usage.cache_write_tokens or 0)
        assert max(cached) <= one.usage.input_tokens
    if one.usage_source == "provider":
        assert one.usage.input_tokens is not None
    assert Call.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    repr(one).encode()


@given(url=st.sampled_from(URLS), request=st.binary(), answer=st.binary(), data=st.data())
def test_arbitrary_bytes_never_raise(url, request, answer, data):
    status = data.draw(st.sampled_from([None, 200, 429]))
    assert calls(exchange(url, answer, request=request, status=status)) == []
    check(call(url, answer, status=status))


@given(url=st.sampled_from(URLS), answers=st.lists(JSON, max_size=3), kind=st.text(max_size=3))
def test_arbitrary_json_never_raises(url, answers, kind):
    kinds = ["message_start", "message_delta", "error", "response.completed", "response.x.delta"]
    blocks = [
        f"event: {kinds[n] if kind else kind}\ndata: {json.dumps(answer)}\n\n"
        for n, answer in enumerate(answers)
    ]
    check(call(url, "".join(blocks).encode()))
    for answer in answers:
        check(call(url, json.dumps(answer).encode()))
        fields = answer if isinstance(answer, dict) else {}
        for one in calls(exchange(url, {}, request={**REQUESTS[url], **fields})):
            check(one)


@given(url=st.sampled_from(URLS), depth=st.integers(1, 30_000), opening=st.sampled_from('[{"'))
def test_deep_json_never_raises(url, depth, opening):
    nest = ('{"usage":' if opening == "{" else opening) * depth
    check(call(url, nest.encode()))
    check(call(url, b"data: " + nest.encode()))
    calls(exchange(url, {}, request=nest.encode()))
