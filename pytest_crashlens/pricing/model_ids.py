"""Names of providers and models: as APIs spell them, and as price lists do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import unquote

Match = Literal["exact", "dated", "prefix"]
"""How a price list's row matches an id: by name, by name plus date or revision, or merely by how
the id begins. A prefix is no proof: ``gemini-1.5-flash-8b`` is not ``gemini-1.5-flash``."""

PRICE_LISTS = {
    "amazon": "aws",
    "anthropic": "anthropic",
    "aws": "aws",
    "aws.bedrock": "aws",
    "azure": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "cerebras": "cerebras",
    "cloudflare": "cloudflare",
    "cohere": "cohere",
    "databricks": "databricks",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "google": "google",
    "google_genai": "google",
    "groq": "groq",
    "huggingface": "huggingface",
    "minimax": "minimax",
    "mistral": "mistral",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "together_ai": "together",
    "vertex": "google",
    "vertex_ai": "google",
    "voyage": "voyageai",
    "voyageai": "voyageai",
    "x-ai": "x-ai",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "zai": "zai",
    "zhipuai": "zhipuai",
}
"""Provider names (ours, OpenTelemetry's and LiteLLM's) -> the price list of genai-prices."""

LOCAL = frozenset(
    {"llama.cpp", "llamacpp", "lm_studio", "lmstudio", "localai", "ollama", "ollama_chat", "vllm"}
)
"""Servers on one's own machine: what they serve shares names with paid models, not prices."""

_SEVERAL_MAKERS = frozenset(
    {"cloudflare", "fireworks", "groq", "huggingface", "novita", "openrouter", "perplexity"}
    | {"together"}
)
"""Price lists whose ids begin with the maker's name: ``openai/gpt-4o`` is a row of theirs."""

_MAKERS = ("openai", "anthropic", "google", "x-ai")
"""Makers whose models may be known by name alone, because a gateway resells them at list price."""

_OPEN_WEIGHTS = ("gpt-oss", "gemma")
"""Models of these makers which anybody may host, at any price."""

_REVISION = re.compile(r"(?<=.)([-@](\d{8}|\d{4}-\d{2}-\d{2}|\d{3,4}|latest)|@[\w.-]+)$")
_RELEASE = re.compile(
    r"(?<=.)(-v\d+(:\d+)?(:\d+k)?|:\d+|-preview(-\d{2}-\d{2,4})?|-exp(-\d{2}-\d{2}|-\d{4})?"
    r"|\.ft-[\w-]+)$"
)
_REGION_AND_MAKER = re.compile(
    r"((us|us-gov|eu|apac|jp|au|ca|in|sa|global)\.)?([a-z][a-z0-9]*\.)?(anthropic/)?"
)
_VARIANT = re.compile(r":(online|nitro|floor|exacto)$")
_BEDROCK_ARN = re.compile(
    r"arn:aws[\w-]*:bedrock:[^:]*:[^:]*:(foundation-model|inference-profile)/"
)
_GOOGLE_PATH = re.compile(r"(projects/[^/]+/locations/[^/]+/)?(publishers/[^/]+/)?models/")


def normalise(model: str) -> tuple[str, str | None]:
    """``model`` without the path or spelling an API puts around it, lower case; and its variant.

    The variant is OpenRouter's ``online``, ``nitro``, ``floor`` or ``exacto``: the same model at
    a price that is not its own.
    """
    ref = unquote(model.strip()).lower()
    for wrapping in (_BEDROCK_ARN, _GOOGLE_PATH):
        if found := wrapping.match(ref):
            ref = ref[found.end() :]
    variant = _VARIANT.search(ref)
    if variant:
        ref = ref[: variant.start()]
    if ref.startswith("gpt-35-"):  # Azure allows no dot in a deployment's name
        ref = "gpt-3.5-" + ref.removeprefix("gpt-35-")
    return ref, variant[1] if variant else None


def places(provider: str, ref: str) -> Iterator[tuple[str, str]]:
    """Where a price of the normalised ``ref`` may be found, best first: (price list, id there)."""
    name = provider.strip().lower()
    own = PRICE_LISTS.get(name)
    head, slash, rest = ref.partition("/")
    if name in LOCAL or (slash and head in LOCAL):
        return
    if own == "huggingface":
        ref, _, router = ref.rpartition(":")
        yield f"huggingface_{router}", ref
    elif own:
        yield own, ref
    named = PRICE_LISTS.get(head) if slash else None
    if named and (named == own or own not in _SEVERAL_MAKERS):
        yield named, rest.rpartition("/")[2] if named == "aws" else rest
    elif own in (None, "openai") and not ref.startswith(_OPEN_WEIGHTS):
        # A gateway; also one that speaks OpenAI's wire format and is therefore called openai.
        yield from ((maker, ref) for maker in _MAKERS if maker != own)


def without_revision(ref: str) -> str:
    """``ref`` without date, ``-NNNN``, ``-latest`` or ``@version``."""
    return _strip_all(ref, _REVISION)


def classify(clause: Any, ref: str, row: str) -> Match | None:
    """How ``clause`` (the match logic of the price list's row named ``row``) matches ``ref``.

    None where it does not. Clauses of genai-prices are recognised by their attributes.
    """
    if not clause.is_match(ref):
        return None
    if ref == row.lower():
        return "exact"
    stem = _stem(ref)
    return "dated" if stem == row.lower() else _grade(clause, ref, len(stem))


def best(matches: Iterator[Match]) -> Match:
    """The strongest of ``matches``; ``prefix`` if there are none."""
    return min(matches, key=("exact", "dated", "prefix").index, default="prefix")


def _grade(clause: Any, ref: str, stem_length: int) -> Match:
    if parts := getattr(clause, "or_", None) or getattr(clause, "and_", None):
        return best(_grade(part, ref, stem_length) for part in parts if part.is_match(ref))
    if hasattr(clause, "equals"):
        return "exact"
    if pattern := getattr(clause, "regex", None):
        anchored = pattern.startswith("^") and pattern.endswith("$") and "(?" not in pattern
        return "dated" if anchored else "prefix"
    text = _literal(clause)
    start = ref.rfind(text) if hasattr(clause, "ends_with") else ref.find(text)
    if not text or not _REGION_AND_MAKER.fullmatch(ref[:start]):
        return "prefix"
    end = start + len(text)
    if end == len(ref):
        return "exact"
    return "dated" if end >= stem_length else "prefix"


def _literal(clause: Any) -> str:
    texts = (getattr(clause, name, "") for name in ("starts_with", "ends_with", "contains"))
    return next((text.lower() for text in texts if text), "")


def _stem(ref: str) -> str:
    """``ref`` without revision, release and, of a fine-tuned model, its owner and name."""
    if ref.startswith("ft:"):
        ref = ":".join(ref.split(":")[:2])
    return _strip_all(ref, _REVISION, _RELEASE)


def _strip_all(ref: str, *suffixes: re.Pattern[str]) -> str:
    while True:
        shorter = ref
        for suffix in suffixes:
            shorter = suffix.sub("", shorter)
        if shorter == ref:
            return ref
        ref = shorter
