"""Exact, dated or prefix: how a price list's row matches an id."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.pricing.model_ids import classify, normalise, places, without_revision


@dataclass
class Equals:
    equals: str

    def is_match(self, text):
        return text == self.equals


@dataclass
class StartsWith:
    starts_with: str

    def is_match(self, text):
        return text.startswith(self.starts_with)


@dataclass
class EndsWith:
    ends_with: str

    def is_match(self, text):
        return text.endswith(self.ends_with)


@dataclass
class Contains:
    contains: str

    def is_match(self, text):
        return self.contains in text


@dataclass
class Regex:
    regex: str

    def is_match(self, text):
        return bool(re.search(self.regex, text))


@dataclass
class Or:
    or_: list

    def is_match(self, text):
        return any(part.is_match(text) for part in self.or_)


@dataclass
class And:
    and_: list

    def is_match(self, text):
        return all(part.is_match(text) for part in self.and_)


NO_TTS = Regex(r"^(?!.*-tts(?:$|-))")


@pytest.mark.parametrize(
    ("clause", "ref", "expected"),
    [
        (Equals("gpt-4o"), "gpt-4o", "exact"),
        (Equals("gpt-4o"), "gpt-4o-mini", None),
        (StartsWith("claude-3-haiku"), "claude-3-haiku", "exact"),
        (StartsWith("claude-3-haiku"), "claude-3-haiku-20240307", "dated"),
        (StartsWith("claude-3-haiku"), "claude-3-haiku@20240307", "dated"),
        (StartsWith("claude-3-haiku"), "claude-3-haiku-latest", "dated"),
        (StartsWith("claude-2"), "claude-2.1", "prefix"),
        (StartsWith("claude-sonnet-4-2025"), "claude-sonnet-4-20250514", "dated"),
        (StartsWith("ft:gpt-4o-mini-2024-"), "ft:gpt-4o-mini-2024-07-18:o::i", "dated"),
        (StartsWith("ft:gpt-4o-"), "ft:gpt-4o-mini-2024-07-18:o::i", "prefix"),
        (Contains("gemini-1.5-flash"), "gemini-1.5-flash-8b", "prefix"),
        (Contains("gemini-1.5-flash"), "gemini-1.5-flash-002", "dated"),
        (Contains("o4-mini"), "my-o4-mini", "prefix"),
        (Contains("amazon.nova-lite"), "us.amazon.nova-lite-v1:0", "dated"),
        (Contains("claude-3-haiku"), "eu.anthropic.claude-3-haiku-20240307-v1:0", "dated"),
        (EndsWith("global.m.x"), "global.m.x", "exact"),
        (EndsWith("gemini-2.0-flash"), "not-gemini-2.0-flash", "prefix"),
        (Regex(r"^m-\d{8}$"), "m-20250101", "dated"),
        (Regex(r"^m-\d"), "m-3x", "prefix"),
        (Regex(r"^m-(?!y)\w+$"), "m-3x", "prefix"),
        (NO_TTS, "m-3x", "prefix"),
        (And([StartsWith("gemini-2.5-pro"), NO_TTS]), "gemini-2.5-pro-preview-06-05", "dated"),
        (And([StartsWith("gemini-2.5-pro"), NO_TTS]), "gemini-2.5-pro-tts", None),
        (Or([StartsWith("a"), Equals("abc")]), "abc", "exact"),
    ],
)
def test_classify(clause, ref, expected):
    assert classify(clause, ref, "another-row") == expected


def test_the_name_of_the_row_counts_as_well():
    loose = StartsWith("gpt-4o-mini-audio")
    row = "gpt-4o-mini-audio-preview"
    assert classify(loose, "gpt-4o-mini-audio-preview-2024-12-17", row) == "dated"
    assert classify(loose, row, row) == "exact"
    assert classify(loose, "gpt-4o-mini-audio-lite", row) == "prefix"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (" GPT-4o ", ("gpt-4o", None)),
        ("models/gemini-2.5-pro", ("gemini-2.5-pro", None)),
        ("gpt-35-turbo-16k", ("gpt-3.5-turbo-16k", None)),
        ("openai/gpt-4o:online", ("openai/gpt-4o", "online")),
        ("us.amazon.nova-lite-v1%3A0", ("us.amazon.nova-lite-v1:0", None)),
        ("arn:aws:bedrock:eu-west-1::foundation-model/amazon.x", ("amazon.x", None)),
        (
            "arn:aws:bedrock:eu-west-1:1:custom-model/x",
            ("arn:aws:bedrock:eu-west-1:1:custom-model/x", None),
        ),
    ],
)
def test_normalise(model, expected):
    assert normalise(model) == expected


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4-0613", "gpt-4"),
        ("claude-3-opus@20240229", "claude-3-opus"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("o1-preview", "o1-preview"),
        ("gpt-4-32k", "gpt-4-32k"),
        ("gpt-4-turbo", "gpt-4-turbo"),
    ],
)
def test_without_revision(ref, expected):
    assert without_revision(ref) == expected


def test_places_of_gateways_and_resellers():
    assert list(places("openrouter", "openai/gpt-4o")) == [("openrouter", "openai/gpt-4o")]
    assert list(places("huggingface", "org/m:together")) == [("huggingface_together", "org/m")]
    assert list(places("vllm", "gpt-4o")) == []
    assert list(places("gateway", "groq/llama")) == [("groq", "llama")]
    assert ("anthropic", "claude-x") in list(places("gateway", "claude-x"))


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_name_can_be_asked(provider, model):
    ref, _ = normalise(model)
    list(places(provider, ref))
    without_revision(ref)
    classify(Contains(ref[1:4]), ref, "row")
