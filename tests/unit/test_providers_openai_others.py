from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.providers.multipart import form_fields
from tests.event_streams import chunk as bedrock_chunk
from tests.event_streams import event
from tests.provider_exchanges import call, calls, exchange, stream
from tests.unit.test_providers_calls import JSON, check

BASE = "https://api.openai.com/v1"
COMPLETIONS = f"{BASE}/completions"
COMPLETE = "https://api.anthropic.com/v1/complete"
IMAGES = f"{BASE}/images/generations"
EDITS = f"{BASE}/images/edits"
TRANSCRIPTIONS = f"{BASE}/audio/transcriptions"
SPEECH = f"{BASE}/audio/speech"
MODERATIONS = f"{BASE}/moderations"

PROMPT = {"model": "gpt-3.5-turbo-instruct", "prompt": "hello there", "max_tokens": 64}
PICTURE = {"model": "gpt-image-1", "prompt": "a cat"}
SPOKEN = {"model": "gpt-4o-mini-tts", "input": "hello there", "voice": "alloy"}
MARKED = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
    "output_tokens": 5,
    "total_tokens": 19,
}


def form(*parts: tuple[str, bytes], newline: bytes = b"\r\n") -> bytes:
    """A multipart form; a name with a slash is one of a file."""
    body = b""
    for name, value in parts:
        name, _, file = name.partition("/")
        head = f'Content-Disposition: form-data; name="{name}"'
        head += f'; filename="{file}"' if file else ""
        body += b"--b0undary" + newline + head.encode() + newline * 2 + value + newline
    return body + b"--b0undary--" + newline


SOUND = form(("model", b"gpt-4o-transcribe"), ("file/a.wav", b"RIFF\x00--b0\r\n\r\n" * 500))


def test_completions():
    usage = {"prompt_tokens": 13, "completion_tokens": 11, "total_tokens": 24}
    one = call(COMPLETIONS, {"model": "m-1", "choices": [], "usage": usage}, request=PROMPT)
    assert one.usage.to_dict() == {"input_tokens": 13, "output_tokens": 11}
    assert (one.endpoint, one.provider, one.model) == ("completions", "openai", "m-1")
    assert one.max_output_tokens == 64
    body = stream({"choices": [{"text": "one"}]}, {"choices": [], "usage": usage}, "[DONE]")
    one = call(COMPLETIONS, body, request=PROMPT)
    assert (one.usage.total_tokens, one.streaming) == (24, True)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("hello there", 2), (["hello there", "you"], 3), ([1, 2], None), (["a", 1], None)],
)
def test_completions_without_usage_are_counted(prompt, tokens):
    request = {**PROMPT, "prompt": prompt}
    choices = [{"index": n, "text": "one two"} for n in range(2)]
    one = call(COMPLETIONS, {"choices": choices}, request=request)
    assert one.usage.input_tokens == tokens
    assert one.usage.output_tokens == (None if tokens is None else 3)  # "one twoone two"
    pieces = [{"choices": [{"index": 0, "text": piece}]} for piece in ("one ", "two")]
    one = call(COMPLETIONS, stream(*pieces), request=request)
    assert one.usage.output_tokens == (None if tokens is None else 2)
    assert "include_usage" in one.note


def test_a_prompt_that_a_gateway_keeps():
    url = "https://api.portkey.ai/v1/prompts/p-1/completions"
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    request = {"variables": {"city": "secret"}}
    one = call(url, {"model": "gpt-4.1", "usage": usage}, request=request)
    assert (one.provider, one.model, one.usage.total_tokens) == ("portkey", "gpt-4.1", 3)
    assert call(url, {"choices": [{"text": "one"}]}, request=request).usage_unknown


def test_anthropics_completions_are_counted():
    request = {"model": "claude-2.1", "prompt": "Human: hi", "max_tokens_to_sample": 9}
    one = call(COMPLETE, {"model": "claude-2.1", "completion": "one two"}, request=request)
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 2}
    assert (one.endpoint, one.provider, one.max_output_tokens) == ("complete", "anthropic", 9)
    pieces = [{"type": "completion", "completion": piece} for piece in ("one ", "two three")]
    one = call(COMPLETE, stream({"type": "ping"}, *pieces, named=True), request=request)
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 3}
    failed = stream({"type": "error", "error": {"type": "overloaded_error"}})
    assert not call(COMPLETE, failed, request=request).billed


IMAGE_USAGE = {
    "input_tokens": 431,
    "input_tokens_details": {"image_tokens": 388, "text_tokens": 43},
    "output_tokens": 1364,
    "output_tokens_details": {"image_tokens": 1056, "text_tokens": 308},
    "total_tokens": 1795,
}


@pytest.mark.parametrize(
    "request_",
    [PICTURE, form(("model", b"gpt-image-1"), ("image[]/a.png", b"\x89PNG"), ("prompt", b"x"))],
    ids=["json", "form"],
)
def test_images(request_):
    one = call(EDITS, {"data": [{}], "usage": IMAGE_USAGE}, request=request_)
    assert one.usage.to_dict() == {
        "input_tokens": 431,
        "output_tokens": 1364,
        "input_image_tokens": 388,
        "output_image_tokens": 1056,
    }
    assert (one.endpoint, one.model, one.usage_source) == ("images", "gpt-image-1", "provider")


def test_a_stream_of_images():
    partial = {"type": "image_generation.partial_image", "b64_json": "aGk="}
    done = {"type": "image_generation.completed", "b64_json": "aGk=", "usage": IMAGE_USAGE}
    one = call(IMAGES, stream(partial, done, named=True), request={**PICTURE, "stream": True})
    assert (one.usage.output_tokens, one.streaming) == (1364, True)


def test_images_with_a_price_each_are_unknown():
    one = call(IMAGES, {"data": [{"url": "x"}]}, request={**PICTURE, "model": "dall-e-3"})
    assert one.usage_unknown
    assert "billed by the image" in one.note
    ticks = {"data": [{}], "usage": {"cost_in_usd_ticks": 200000000}}
    one = call("https://api.x.ai/v1/images/generations", ticks, request=PICTURE)
    assert (one.usage_unknown, one.stated_cost_usd, one.provider) == (True, "0.02", "xai")


def test_a_shorter_path_for_images_needs_a_model():
    url = "https://openrouter.ai/api/v1/images"
    usage = {"prompt_tokens": 5, "completion_tokens": 1537, "cost": 0.03422675}
    one = call(url, {"data": [{}], "usage": usage}, request=PICTURE)
    assert (one.usage.total_tokens, one.stated_cost_usd) == (1542, "0.03422675")
    assert calls(exchange(url, {}, request={"prompt": "a cat"})) == []
    assert calls(exchange("https://shop.example/images", {}, request=SOUND)) == []


def test_fields_of_a_form():
    body = form(("model", b"m-1"), ("file/model.txt", b"secret"), ("long", b"x" * 5000))
    assert form_fields(body) == {"model": "m-1", "file": "", "long": ""}
    assert form_fields(body.replace(b'"', b"")) == {"model": "m-1", "file": "", "long": ""}
    assert form_fields(body[:70]) == {"model": ""}
    for none in (b"", b"--", b"RIFF", b"\n\n", b'{"a": 1}'):
        assert form_fields(none) is None


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_transcriptions(newline):
    request = form(("model", b"gpt-4o-transcribe"), ("file/a.wav", b"RIFF"), newline=newline)
    one = call(TRANSCRIPTIONS, {"text": "secret", "usage": MARKED}, request=request)
    assert one.usage.to_dict() == {
        "input_tokens": 14,
        "output_tokens": 5,
        "input_audio_tokens": 10,
    }
    assert (one.endpoint, one.model, one.streaming) == (
        "transcriptions",
        "gpt-4o-transcribe",
        False,
    )
    assert one.note is None


def test_a_stream_of_a_transcript():
    body = stream(
        {"type": "transcript.text.delta", "delta": "one"},
        {"type": "transcript.text.done", "text": "one", "usage": MARKED},
        "[DONE]",
    )
    one = call(TRANSCRIPTIONS, body, request=SOUND)
    assert (one.usage.total_tokens, one.streaming, one.model) == (19, True, "gpt-4o-transcribe")


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"text": "one", "usage": {"type": "duration", "seconds": 4}}, "by the duration"),
        ({"text": "one", "usage": {"type": "duration"}}, "by the duration"),
        ({"text": "one"}, "no usage in the answer"),
        (b"one two\n", "ask for JSON"),
        (b"1\n00:00:00,000 --> 00:00:03\none\n", "ask for JSON"),
    ],
)
def test_a_transcript_without_tokens_is_unknown(answer, hint):
    one = call(TRANSCRIPTIONS, answer, request=SOUND)
    assert one.usage_unknown
    assert hint in one.note


def test_a_transcription_whose_request_was_not_seen():
    one = call(TRANSCRIPTIONS, {"text": "one", "usage": MARKED}, request=b"")
    assert (one.model, one.usage.total_tokens) == (None, 19)
    assert calls(exchange(TRANSCRIPTIONS, {}, request=b"no form")) == []
    assert calls(exchange(TRANSCRIPTIONS, {}, request={"id": 1})) == []


def test_speech():
    one = call(
        SPEECH, b"ID3\x04\x00", request=SPOKEN, response_headers={"content-type": "audio/mpeg"}
    )
    assert (one.usage_unknown, one.endpoint, one.model) == (True, "speech", "gpt-4o-mini-tts")
    assert 'stream_format="sse"' in one.note
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    body = stream({"type": "speech.audio.delta"}, {"type": "speech.audio.done", "usage": usage})
    one = call(SPEECH, body, request=SPOKEN, response_headers={"content-type": "text/event-stream"})
    assert one.usage.to_dict() == {"input_tokens": 14, "output_tokens": 101}
    assert call(SPEECH, {"audio_data": "aGk="}, request=SPOKEN).usage_unknown


@pytest.mark.parametrize(
    ("url", "provider", "model", "kind"),
    [
        ("https://api.x.ai/v1/stt", "xai", "gpt-4o-transcribe", "the duration"),
        ("https://api.x.ai/v1/tts", "xai", "gpt-4o-transcribe", "the character"),
        (
            "https://api.deepgram.com/v1/listen?model=nova-3&x=1",
            "deepgram",
            "nova-3",
            "the duration",
        ),
        ("https://api.deepgram.com/v1/speak?model=aura-2", "deepgram", "aura-2", "the character"),
    ],
)
def test_speech_elsewhere(url, provider, model, kind):
    request = SOUND if provider == "xai" else b"RIFF\x00"
    one = call(url, {"text": "one"}, request=request)
    assert (one.provider, one.model, one.usage_unknown) == (provider, model, True)
    assert kind in one.note
    elsewhere = url.replace("api.", "example.").replace(".com", ".org").replace(".x.ai", ".org")
    assert calls(exchange(elsewhere, {}, request=request)) == []


def test_moderations_are_free_at_openai_only():
    request = {"model": "omni-moderation-latest", "input": "hello"}
    for fields in ({}, {"status": None, "error": "ReadTimeout"}, {"status": 429}):
        one = call(MODERATIONS, {"model": "m-1", "results": []}, request=request, **fields)
        assert (one.endpoint, one.billed, one.usage_unknown) == ("moderations", False, False)
    assert call(MODERATIONS, {"results": []}, request=request).note == "free of charge"
    usage = {"prompt_tokens": 7, "completion_tokens": 0}
    one = call("https://api.mistral.ai/v1/moderations", {"usage": usage}, request=request)
    assert (one.billed, one.usage.input_tokens, one.usage_source) == (True, 7, "provider")


def test_what_is_no_call():
    others = [
        exchange(COMPLETIONS, {}, request={"messages": []}),
        exchange(COMPLETIONS, {}, request={"variables": {}}),
        exchange(COMPLETE, {}, request={"prompt": "hello"}),
        exchange(IMAGES, {}, request={"name": "cat.png"}),
        exchange(SPEECH, {}, request={"text": "hello"}),
        exchange(MODERATIONS, {}, request={"id": 1}),
        exchange(f"{BASE}/responses/resp_1", {"usage": {}}, method="GET"),
        exchange("https://cdn.example/images/cat.png", {}, request=PICTURE),
    ]
    assert calls(*others) == []


BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m"
REQUESTS = {
    COMPLETIONS: PROMPT,
    COMPLETE: {**PROMPT, "model": "claude-2.1"},
    IMAGES: PICTURE,
    EDITS: SOUND + form(("prompt", b"x")),
    TRANSCRIPTIONS: SOUND,
    SPEECH: SPOKEN,
    MODERATIONS: SPOKEN,
    f"{BEDROCK}/converse": {"messages": [{"content": [{"text": "hello"}]}]},
    f"{BEDROCK}/converse-stream": {"messages": []},
    f"{BEDROCK}/invoke": PROMPT,
    f"{BEDROCK}/invoke-with-response-stream": PROMPT,
    "https://bedrock-agent-runtime.us-east-1.amazonaws.com/agents/a": {"inputText": "hello"},
    "https://bedrock-agent-runtime.us-east-1.amazonaws.com/retrieveAndGenerate": {"input": {}},
}
KEYS = """
usage inputTokens outputTokens cacheReadInputTokens cacheDetails ttl output message content text
toolUse input reasoningContent contentBlockDelta delta contentBlockIndex trace modelInvocationOutput
metadata modelInvocationInput foundationModel choices generations results tokenCount embeddings
inputTextTokenCount generation_token_count error type cost seconds input_token_details bytes
amazon-bedrock-invocationMetrics serviceTier performanceConfig __type Output system toolConfig
""".split()  # noqa: SIM905
SHAPES = st.recursive(
    JSON,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=20,
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "x-amzn-bedrock-input-token-count"]),
    st.sampled_from(["5", "x", "text/event-stream", "application/vnd.amazon.eventstream"]),
)


@given(url=st.sampled_from(list(REQUESTS)), noise=st.binary(), headers=HEADERS, data=st.data())
def test_arbitrary_bytes_never_raise(url, noise, headers, data):
    answer = data.draw(st.sampled_from([noise, event("metadata", {"usage": {}})[:-5] + noise]))
    check(call(url, answer, request=REQUESTS[url], response_headers=headers))
    for one in calls(exchange(url, answer, request=noise, response_headers=headers)):
        check(one)


@given(url=st.sampled_from(list(REQUESTS)), shapes=st.lists(SHAPES, max_size=3))
def test_arbitrary_json_never_raises(url, shapes):
    kinds = ["metadata", "trace", "contentBlockDelta"]
    objects = [shape for shape in shapes if isinstance(shape, dict)]
    bodies = [
        b"".join(event(kind, one) for kind, one in zip(kinds, objects, strict=False)),
        b"".join(bedrock_chunk(one) for one in objects),
        *(json.dumps(shape).encode() for shape in shapes),
        stream(*objects),
    ]
    request = REQUESTS[url]
    for body in bodies:
        check(call(url, body, request=request))
    for one in objects:
        fields = request if isinstance(request, dict) else {}
        for read in calls(exchange(url, bodies[0], request={**fields, **one})):
            check(read)


@pytest.mark.parametrize("url", list(REQUESTS))
def test_no_text_is_in_a_call(url):
    canary = "canary said"
    said = {
        "error": {"type": canary, "message": canary},
        "choices": [{"text": canary, "message": {"content": canary}}],
        "completion": canary,
        "text": canary,
        "output": {"message": {"content": [{"text": canary}]}},
        "contentBlockIndex": 0,
        "delta": {"text": canary},
    }
    request = REQUESTS[url]
    raw = request if isinstance(request, bytes) else json.dumps(request).encode()
    raw = raw.replace(b"hello", canary.encode()).replace(b"a cat", canary.encode())
    for body in (said, stream(said), event("contentBlockDelta", said), bedrock_chunk(said)):
        assert "canary" not in repr(call(url, body, request=raw))
