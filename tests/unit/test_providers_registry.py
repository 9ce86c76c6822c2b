from __future__ import annotations

import pytest

from pytest_crashlens.providers import registry
from pytest_crashlens.providers.hosts import provider_of
from tests.provider_exchanges import CHAT, calls, exchange


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1/chat/completions",
        "https://api.openai.com/v1/chat/completions/",
        "http://localhost:8000/chat/completions?x=1#y",
        "https://acme.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
        "https://api.groq.com/openai/v1/chat/completions",
        "https://api.openai.com/v1/responses",
        "https://api.openai.com/v1/responses/compact",
        "https://api.openai.com/v1/embeddings",
        "https://api.anthropic.com/v1/messages?beta=true",
        "https://gateway.example/anthropic/v1/messages",
    ],
)
def test_wanted(url):
    assert registry.wanted("POST", url)
    assert registry.wanted("post", url)
    assert not registry.wanted("GET", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1/responses/input_tokens",
        "https://api.openai.com/v1/responses/resp_1/cancel",
        "https://api.openai.com/v1/chat/completions/chatcmpl_1",
        "https://api.openai.com/v1/files",
        "https://api.openai.com/v1/batches",
        "https://api.openai.com/v1/traces/ingest",
        "https://api.anthropic.com/v1/messages/count_tokens",
        "https://api.anthropic.com/v1/messages/batches",
        "https://example.org/login?next=/v1/messages",
        "https://example.org/questionnaire-responses",
        "",
        "http://[broken",
    ],
)
def test_not_wanted(url):
    assert not registry.wanted("POST", url)
    assert registry.find(exchange(url, {})) is None


def test_a_broken_url_is_no_call():
    broken = exchange("http://[broken/v1/chat/completions", {})
    assert registry.find(broken) is None
    assert calls(broken) == []


def test_find_names_format_and_reading():
    known, reading = registry.find(exchange(CHAT, {"usage": {"prompt_tokens": 1}}))
    assert (known.endpoint, known.family) == ("chat", "openai")
    assert (reading.usage.input_tokens, reading.usage_complete) == (1, False)


def test_a_fault_in_a_format_loses_no_call():
    class Broken(type(registry.FORMATS[0])):
        def read(self, exchange, request):
            raise ZeroDivisionError

    _, reading = registry.find(exchange(CHAT, {}), formats=(Broken(),))
    assert reading.model_requested == "gpt-4o"
    assert "ZeroDivisionError" in reading.note


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("acme.openai.azure.com", "azure"),
        ("acme.services.ai.azure.com", "azure"),
        ("api.anthropic.com", "anthropic"),
        ("api.groq.com", "groq"),
        ("api.mistral.ai", "mistral"),
        ("api.deepseek.com", "deepseek"),
        ("openrouter.ai", "openrouter"),
        ("api.together.xyz", "together"),
        ("api.x.ai", "xai"),
        ("api.perplexity.ai", "perplexity"),
        ("api.fireworks.ai", "fireworks"),
        ("generativelanguage.googleapis.com", "google"),
        ("us-east5-aiplatform.googleapis.com", "vertex"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("API.OpenAI.com", "openai"),
        ("localhost", "family"),
        ("10.0.0.1", "family"),
        ("api.notopenai.com", "family"),
        ("max.ai", "family"),
        ("", "family"),
    ],
)
def test_providers_by_host(host, provider):
    assert provider_of(host, "family") == provider
