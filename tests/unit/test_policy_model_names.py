from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_crashlens.policy.model_names import first_match, matches_model, may_overlap

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How fast a machine is proves nothing here."""

SAME = [
    ("gpt-4", "gpt-4"),
    ("gpt-4", "GPT-4"),
    ("GPT-4", "gpt-4"),
    ("gpt-4", "gpt-4-0613"),
    ("gpt-4", "gpt-4-0314"),
    ("gpt-4", "gpt-4-latest"),
    ("gpt-4", "openai/gpt-4"),
    ("gpt-4", "azure/gpt-4"),
    ("gpt-4", "openrouter/openai/gpt-4-0613"),
    ("gpt-4", "ft:gpt-4-0613:acme::abc123"),
    ("gpt-4", "ft:gpt-4:acme:support:abc123:ckpt-step-90"),
    ("openai/gpt-4", "openai/gpt-4-0613"),
    ("openai/gpt-4", "openrouter/openai/gpt-4"),
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4o", "openai/gpt-4o-2024-08-06"),
    ("gpt-4o", "ft:gpt-4o:org::id"),
    ("gpt-4o", "gpt-4o-2024-08-06.ft-0a1b2c"),
    ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("gpt-4o-mini", "ft:gpt-4o-mini-2024-07-18:my-org::9abcXYZ"),
    ("gpt-4.1", "gpt-4.1-2025-04-14"),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
    ("o1-pro", "o1-pro-2025-03-19"),
    ("o1", "o1-2024-12-17"),
    ("claude-3-opus", "claude-3-opus-20240229"),
    ("claude-3-opus", "claude-3-opus-latest"),
    ("claude-3-opus", "claude-3-opus@20240229"),
    ("claude-3-opus", "anthropic/claude-3-opus"),
    ("claude-3-opus", "anthropic.claude-3-opus-20240229-v1:0"),
    ("claude-3-opus", "anthropic.claude-3-opus-20240229-v1:0:200k"),
    ("claude-3-opus", "us.anthropic.claude-3-opus-20240229-v1:0"),
    ("claude-3-opus", "us-gov.anthropic.claude-3-opus-20240229-v1:0"),
    ("claude-3-opus", "bedrock/eu.anthropic.claude-3-opus-20240229-v1:0"),
    (
        "claude-3-opus",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-opus-20240229-v1:0",
    ),
    ("anthropic.claude-3-opus", "us.anthropic.claude-3-opus-20240229-v1:0"),
    ("us.anthropic.claude-3-opus", "us.anthropic.claude-3-opus-20240229-v1:0"),
    ("claude-3-opus-20240229", "us.anthropic.claude-3-opus-20240229-v1:0"),
    ("claude-opus-4-6", "us.anthropic.claude-opus-4-6-v1"),
    ("claude-sonnet-4", "claude-sonnet-4-20250514"),
    ("claude-sonnet-4", "claude-sonnet-4-0"),
    ("gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
    ("gemini-2.5-pro", "models/gemini-2.5-pro"),
    ("gemini-2.5-flash", "projects/p/locations/l/publishers/google/models/gemini-2.5-flash"),
    ("gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash@default"),
    ("gemini-2.0-flash", "gemini-2.0-flash-001"),
    ("gemini-2.5-pro-preview", "gemini-2.5-pro-preview-03-25"),
    ("command-a", "command-a-03-2025"),
    ("mistral-large", "mistral-large-2411"),
    ("qwen3.6", "qwen3.6:latest"),
    ("gemma3:4b", "gemma3:4b"),
    ("minimax-m2", "minimax/minimax-m2:free"),
    ("kimi-k2", "moonshotai/kimi-k2-0905"),
    ("gpt-4*", "gpt-4o-mini"),
    ("gpt-4*", "openai/gpt-4-turbo"),
    ("claude-*-opus", "claude-3-opus"),
    ("*-opus-*", "us.anthropic.claude-3-opus-20240229-v1:0"),
    ("openai/*", "openai/gpt-4"),
    ("claude-3-[os]*", "claude-3-opus-20240229"),
    ("GPT-4*", "gpt-4o"),
    ("all", "anything-at-all"),
    ("ALL", "gpt-4"),
    ("*", "gpt-4"),
]

OTHER = [
    ("gpt-4", "gpt-4o"),
    ("gpt-4", "gpt-4o-mini"),
    ("gpt-4", "gpt-4o-2024-08-06"),
    ("gpt-4", "gpt-4-turbo"),
    ("gpt-4", "gpt-4-turbo-2024-04-09"),
    ("gpt-4", "gpt-4-32k"),
    ("gpt-4", "gpt-4-32k-0613"),
    ("gpt-4", "gpt-4.1"),
    ("gpt-4", "gpt-4.1-2025-04-14"),
    ("gpt-4", "gpt-4.5-preview"),
    ("gpt-4", "gpt-4-0125-preview"),
    ("gpt-4", "gpt-4-vision-preview"),
    ("gpt-4", "gpt-4-turbo-preview"),
    ("gpt-4", "openai/gpt-4o"),
    ("gpt-4", "azure/gpt-4-turbo"),
    ("gpt-4", "ft:gpt-4o:acme::gpt-4"),
    ("gpt-4", "my-gpt-4"),
    ("gpt-4", "gpt-40"),
    ("gpt-4", "gpt-4-"),
    ("gpt-4", ""),
    ("", "gpt-4"),
    ("gpt-4-0613", "gpt-4"),
    ("gpt-4-0613", "gpt-4-0314"),
    ("gpt-4o", "gpt-4"),
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4o", "ft:gpt-4o-mini-2024-07-18:org::id"),
    ("gpt-4o", "gpt-4o-audio-preview-2024-12-17"),
    ("gpt-4o", "gpt-4o-search-preview"),
    ("gpt-4o-mini", "gpt-4o"),
    ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
    ("azure/gpt-4", "openai/gpt-4"),
    ("azure/gpt-4", "gpt-4"),
    ("gpt-5", "gpt-5-mini"),
    ("gpt-5", "gpt-5.1"),
    ("gpt-5", "gpt-5-pro-2025-10-06"),
    ("o1", "o1-pro"),
    ("o1", "o1-mini-2024-09-12"),
    ("o1-pro", "o1"),
    ("claude-3-opus", "claude-3-sonnet-20240229"),
    ("claude-3-opus", "claude-opus-4-1-20250805"),
    ("claude-3-sonnet", "claude-3-5-sonnet-20241022"),
    ("claude-sonnet-4", "claude-sonnet-4-5-20250929"),
    ("claude-sonnet-4", "us.anthropic.claude-sonnet-4-6"),
    ("claude-opus-4", "claude-opus-4-1-20250805"),
    ("anthropic.claude-3-opus", "claude-3-opus"),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("gemini-2.5-flash", "models/gemini-2.5-pro"),
    ("1-mini", "gpt-4.1-mini"),
    ("llama3", "llama3:70b"),
    ("gemma3", "gemma3:4b"),
    ("gpt-4*", "gpt-3.5-turbo"),
    ("openai/*", "azure/gpt-4"),
    ("gpt-4?", "gpt-4"),
    ("gpt.4", "gpt-4"),
    ("mini", "gpt-4o-mini"),
]


@pytest.mark.parametrize(("pattern", "model"), SAME)
def test_one_model_in_many_spellings(pattern, model):
    assert matches_model(pattern, model)


@pytest.mark.parametrize(("pattern", "model"), OTHER)
def test_siblings_are_other_models(pattern, model):
    assert not matches_model(pattern, model)


@relaxed
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_gets_an_answer(pattern, model):
    assert matches_model(pattern, model) in (True, False)


@relaxed
@given(st.from_regex(r"[a-z0-9][a-z0-9.:/@-]{0,30}", fullmatch=True))
def test_a_model_matches_its_own_name(model):
    assert matches_model(model, model)


def test_first_match_looks_at_requested_and_returned():
    assert first_match(["o1-pro", "gpt-4"], ["my-alias", "gpt-4-0613"]) == "gpt-4"
    assert first_match(["o1-pro", "gpt-4"], [None, "gpt-4o"]) is None
    assert first_match(["azure/gpt-4"], ["gpt-4", "azure/gpt-4"]) == "azure/gpt-4"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("all", "gpt-4", True),
        ("gpt-4", "gpt-4-0613", True),
        ("gpt-4", "gpt-4o", False),
        ("gpt-4*", "gpt-4o", True),
        ("gpt-4o-2024*", "gpt-4o", True),
        ("claude*", "gpt-4", False),
        ("claude*", "gpt-*", False),
        ("openai/*", "gpt-4", True),
        ("us.anthropic.*", "claude-3-opus", True),
        ("*-mini", "gpt-4*", True),
    ],
)
def test_overlap_of_patterns_is_denied_only_when_certain(one, other, expected):
    assert may_overlap(one, other) is expected
    assert may_overlap(other, one) is expected
