"""Host -> provider: who is billed, where the host tells."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_DOMAINS: Mapping[str, str] = MappingProxyType(
    {
        "ai-gateway.vercel.sh": "vercel",
        "ai21.com": "ai21",
        "anthropic.com": "anthropic",
        "api.aws": "bedrock",
        "api.cognitive.microsoft.com": "azure",
        "avian.io": "avian",
        "azure.com": "azure",
        "baseten.co": "baseten",
        "cerebras.ai": "cerebras",
        "cloudflare.com": "cloudflare",
        "cloud.databricks.com": "databricks",
        "cohere.ai": "cohere",
        "cohere.com": "cohere",
        "crusoecloud.com": "crusoe",
        "azuredatabricks.net": "databricks",
        "dashscope-intl.aliyuncs.com": "alibaba",
        "dashscope.aliyuncs.com": "alibaba",
        "deepgram.com": "deepgram",
        "deepinfra.com": "deepinfra",
        "deepseek.com": "deepseek",
        "fireworks.ai": "fireworks",
        "friendli.ai": "friendli",
        "gateway.pydantic.dev": "pydantic",
        "generativelanguage.googleapis.com": "google",
        "githubcopilot.com": "github",
        "groq.com": "groq",
        "huggingface.cloud": "huggingface",
        "huggingface.co": "huggingface",
        "hyperbolic.xyz": "hyperbolic",
        "jina.ai": "jina",
        "minimax.io": "minimax",
        "mistral.ai": "mistral",
        "models.github.ai": "github",
        "moonshot.ai": "moonshot",
        "moonshot.cn": "moonshot",
        "nebius.com": "nebius",
        "novita.ai": "novita",
        "nvidia.com": "nvidia",
        "ollama.com": "ollama",
        "openai.com": "openai",
        "openrouter.ai": "openrouter",
        "perplexity.ai": "perplexity",
        "portkey.ai": "portkey",
        "sambanova.ai": "sambanova",
        "snowflakecomputing.com": "snowflake",
        "together.ai": "together",
        "together.xyz": "together",
        "voyageai.com": "voyage",
        "x.ai": "xai",
        "z.ai": "zai",
        "bigmodel.cn": "zai",
    }
)


_SERVES_MORE = frozenset(
    {
        "api.aws",
        "azure.com",
        "azuredatabricks.net",
        "cloud.databricks.com",
        "cloudflare.com",
        "githubcopilot.com",
        "huggingface.cloud",
        "huggingface.co",
        "nvidia.com",
        "snowflakecomputing.com",
    }
)
"""Domains of the table that serve much else besides models."""

_INFERENCE = (
    "ai-gateway.vercel.sh",
    "api-inference.huggingface.co",
    "api.githubcopilot.com",
    "cognitiveservices.azure.com",
    "dashscope-intl.aliyuncs.com",
    "dashscope.aliyuncs.com",
    "endpoints.huggingface.cloud",
    "gateway.ai.cloudflare.com",
    "gateway.pydantic.dev",
    "generativelanguage.googleapis.com",
    "integrate.api.nvidia.com",
    "models.ai.azure.com",
    "models.github.ai",
    "openai.azure.com",
    "openrouter.ai",
    "router.huggingface.co",
    "services.ai.azure.com",
)
"""Hosts, and domains of hosts, that serve models and are not called ``api``."""


def serves_models(host: str) -> bool:
    """Whether ``host`` is known to serve models (their web sites and downloads are other hosts)."""
    labels = host.lower().split(".")
    if labels[0].startswith(("bedrock-runtime", "bedrock-agent-runtime", "bedrock-mantle")):
        return provider_of(host, "") == "bedrock"
    if provider_of(host, "") == "vertex":
        return True
    tails = [".".join(labels[start:]) for start in range(len(labels))]
    if any(tail in _INFERENCE for tail in tails):
        return True
    known = next((tail for tail in tails if tail in _DOMAINS), None)
    return known is not None and known not in _SERVES_MORE and "api" in labels


def provider_of(host: str, family: str) -> str:
    """The provider behind ``host``; ``family`` (whose format it speaks) where that is unknown."""
    labels = host.lower().split(".")
    if labels[0].startswith("bedrock") and labels[-2:] == ["amazonaws", "com"]:
        return "bedrock"
    if labels[0].endswith("aiplatform") and labels[-2:] == ["googleapis", "com"]:
        return "vertex"
    for start in range(len(labels)):
        if found := _DOMAINS.get(".".join(labels[start:])):
            return found
    return family
