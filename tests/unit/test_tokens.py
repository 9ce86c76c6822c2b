"""Counting without a provider: exact where documented, estimated elsewhere, never raising."""

import gzip
import socket
from dataclasses import replace

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.tokens.counting import TokenCounter
from pytest_crashlens.tokens.encodings import RankFiles, RanksUnavailable, tokenizer_for

COOKBOOK_MESSAGES = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate "
        "jargon into plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities "
        "for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client "
        "deliverable.",
    },
]
WEATHER_MESSAGES = [
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
WEATHER_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {
                        "type": "string",
                        "description": "The city and state, e.g. San Francisco, CA",
                    },
                    "unit": {
                        "type": "string",
                        "description": "The unit of temperature to return",
                        "enum": ["celsius", "fahrenheit"],
                    },
                },
                "required": ["location"],
            },
        },
    }
]


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter.load()


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4", 129), ("gpt-4o", 124), ("azure/gpt-4o-mini", 124)]
)
def test_the_cookbook_figures_for_messages(counter, model, tokens):
    count = counter.chat(COOKBOOK_MESSAGES, model)
    assert (count.tokens, count.source) == (tokens, "tokenizer")


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 105), ("gpt-4o", 101)])
def test_the_cookbook_figures_for_tools_stay_estimates(counter, model, tokens):
    count = counter.chat(WEATHER_MESSAGES, model, WEATHER_TOOLS)
    assert (count.tokens, count.source) == (tokens, "estimated")


def test_a_full_stop_after_a_description_is_free(counter):
    def tool(description):
        return {"name": "f", "description": description}

    with_stop, without = ([tool("Do it" + end)] for end in (".", ""))
    assert counter.chat([], "gpt-4o", with_stop) == counter.chat([], "gpt-4o", without)


@pytest.mark.parametrize(
    ("model", "encoding", "exact"),
    [
        ("gpt-4o-2024-08-06", "o200k_base", True),
        ("gpt-4.1", "o200k_base", True),
        ("ft:gpt-4.1-mini-2025-04-14:org::id", "o200k_base", True),
        ("openai/gpt-5-mini", "o200k_base", True),
        ("o3", "o200k_base", True),
        ("gpt-4", "cl100k_base", True),
        ("gpt-4-turbo-2024-04-09", "cl100k_base", True),
        ("gpt-35-turbo", "cl100k_base", True),
        ("text-embedding-3-small", "cl100k_base", True),
        ("gpt-4-my-deployment", "o200k_base", False),
        ("gpt-6-sol", "o200k_base", False),
        ("codex-mini-latest", "o200k_base", False),
        ("meta-llama/Llama-3.3-70B-Instruct", "cl100k_base", False),
        ("claude-sonnet-4-5", "o200k_base", False),
        (None, "o200k_base", False),
    ],
)
def test_the_table_of_encodings(model, encoding, exact):
    tokenizer = tokenizer_for(model)
    assert (tokenizer.encoding, tokenizer.exact) == (encoding, exact)


@pytest.mark.parametrize(
    ("model", "percent"),
    [
        ("claude-3-5-sonnet-20241022", 112),
        ("claude-sonnet-4-20250514", 112),
        ("claude-opus-4-6", 112),
        ("claude-opus-4-7", 154),
        ("us.anthropic.claude-opus-5-v1:0", 154),
        ("gemini-2.5-pro", 109),
        ("mistral-large-latest", 104),
        ("deepseek-chat", 102),
        ("something-new", 100),
    ],
)
def test_the_factors_of_estimates(counter, model, percent):
    text = "word " * 1000
    base = counter.text(text, "gpt-4o").tokens
    count = counter.text(text, model)
    assert count.source == "estimated"
    assert count.tokens == -(-base * percent // 100)


def test_special_tokens_in_a_text_are_text(counter):
    count = counter.text("<|endoftext|>", "gpt-4o")
    assert count.tokens > 1
    assert count.source == "tokenizer"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {"role": "tool", "tool_call_id": "x", "content": "hello"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "x", "function": {}}]},
        "hello",
    ],
)
def test_what_the_formula_does_not_cover_is_an_estimate(counter, message):
    count = counter.chat([message], "gpt-4o")
    assert count.source == "estimated"
    assert count.tokens > 3


def test_models_without_documented_formula_are_estimates(counter):
    for model in ("gpt-5", "gpt-3.5-turbo", "gpt-4o-audio-preview", "claude-opus-5", None):
        assert counter.chat(WEATHER_MESSAGES, model).source == "estimated"


def test_an_image_counts_as_an_image_and_not_as_base64(counter):
    url = "data:image/png;base64," + "QUJD" * 50_000
    image = {"type": "image_url", "image_url": {"url": url}}
    message = {"role": "user", "content": [{"type": "text", "text": "hi"}, image]}
    assert 700 < counter.chat([message], "gpt-4o").tokens < 900
    low = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    assert counter.chat([{"role": "user", "content": [low]}], "gpt-4o").tokens < 100


def test_a_run_that_tiktoken_cannot_take(counter):
    for blank in (" ", "\t"):
        assert counter.text(blank * 2_000_000, "gpt-4o").source == "estimated"
    long = "some words and 中文 " * 20_000
    assert counter.text(long, "gpt-4o").source == "tokenizer"


def test_after_loading_no_network_environment_or_registry(monkeypatch):
    from tiktoken import registry

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/nowhere")
    before = dict(registry.ENCODINGS), registry.ENCODING_CONSTRUCTORS
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    count = TokenCounter.load().text("hello world", "gpt-4o")
    assert (count.tokens, count.source) == (2, "tokenizer")
    assert (dict(registry.ENCODINGS), registry.ENCODING_CONSTRUCTORS) == before


def test_under_a_fake_file_system(fs):
    fs.pause()
    counter = TokenCounter.load()
    fs.resume()
    assert counter.text("hello world", "gpt-4").source == "tokenizer"


def test_tokens_are_those_of_tiktoken():
    encoding = RankFiles.load().build("cl100k_base")
    assert isinstance(encoding, tiktoken.Encoding)
    assert encoding.encode_ordinary("tiktoken is great!") == [83, 1609, 5963, 374, 2294, 0]
    assert encoding.eot_token == 100257


def tampered() -> RankFiles:
    ranks = RankFiles.load()
    content = gzip.decompress(ranks.compressed["o200k_base"])
    changed = gzip.compress(content.replace(b" 100\n", b" 101\n", 1), 1)
    return replace(ranks, compressed={**ranks.compressed, "o200k_base": changed})


@pytest.mark.parametrize(
    "ranks",
    [
        tampered(),
        replace(RankFiles.load(), compressed={"o200k_base": b"no gzip"}),
        RankFiles({}, {}),
        replace(RankFiles.load(), constructors={"o200k_base": len}),
        replace(RankFiles.load(), constructors={"o200k_base": lambda: {"name": "x"}}),
    ],
    ids=["tampered", "not gzip", "missing", "no function", "other parameters"],
)
def test_ranks_that_cannot_be_trusted_give_an_estimate(ranks):
    with pytest.raises(RanksUnavailable):
        ranks.build("o200k_base")
    count = TokenCounter(ranks).text("x" * 41, "gpt-4o")
    assert (count.tokens, count.source) == (11, "estimated")


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(json_like, json_like, st.none() | st.sampled_from(["gpt-4o", "claude-opus-5"]) | st.text())
def test_no_json_makes_it_raise(messages, tools, model):
    count = TokenCounter(RankFiles({}, {})).chat(messages, model, tools)
    assert count.tokens >= 3
    assert count.source in ("tokenizer", "estimated")


@pytest.mark.parametrize(
    "value",
    [
        nested(100_000),
        {"function": {"parameters": {"properties": {"a": {"type": "x", "enum": nested(9_000)}}}}},
        {"function": {"name": nested(9_000), "parameters": {"properties": {"a": nested(9_000)}}}},
        {"function": {"parameters": nested(9_000)}},
        {"content": "\ud800 lone surrogate \x00"},
        {"content": 10**5000},
    ],
    ids=["deep", "deep enum", "deep name", "deep schema", "surrogate", "huge number"],
)
def test_hostile_values(counter, value):
    assert counter.chat([value], "gpt-4o").tokens >= 3
    assert counter.chat([], "gpt-4o", [value]).tokens >= 3


def test_what_no_model_reads_as_text_is_not_counted(counter):
    plain = [{"role": "user", "content": [{"type": "text", "text": "hello there"}]}]
    sealed = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hello there", "id": "msg_0123456789abcdef"},
                {"type": "thinking", "signature": "Zm9vYmFy" * 500},
                {"type": "reasoning", "encrypted_content": "Zm9vYmFy" * 500},
            ],
        }
    ]
    few = counter.chat(plain, "claude-sonnet-4-6").tokens
    assert few <= counter.chat(sealed, "claude-sonnet-4-6").tokens <= few + 10


@pytest.mark.parametrize(
    "named", [lambda s: {"input_schema": s}, lambda s: {"inputSchema": {"json": s}}]
)
def test_tool_parameters_count_under_every_name(counter, named):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    messages = [{"role": "user", "content": "hi"}]

    def tokens(tool):
        return counter.chat(messages, "gpt-4o", [{"name": "weather", **tool}]).tokens

    assert tokens(named(schema)) == tokens({"parameters": schema}) > tokens({})
