"""What all of Bedrock's formats share: the model in the path, the counts, the names of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.reading import Stated, name, notes, objects

_HEADERS = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
}
"""Response headers in which InvokeModel counts tokens, whatever the model's family; for some it is
the only place. The API's reference does not list them."""


def model_id(quoted: str) -> str | None:
    """The model's id, inference profile or ARN, from its place in the path."""
    return name(unquote(quoted))


def read_usage(raw: object) -> tuple[Usage, str | None]:
    """The counts of a usage object of Bedrock's own, with the cached part inside the input.

    Converse says ``inputTokens``, the metrics at the end of InvokeModel's streams
    ``inputTokenCount``; both leave out what was read from and written to the cache. Source:
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    stated = Stated(raw)
    uncached = stated.first(("inputTokens",), ("inputTokenCount",))
    read = stated.first(("cacheReadInputTokens",), ("cacheReadInputTokenCount",))
    written = stated.first(("cacheWriteInputTokens",), ("cacheWriteInputTokenCount",))
    five, hour, note = _split(stated, written)
    return (
        Usage(
            input_tokens=None if uncached is None else uncached + (read or 0) + (written or 0),
            output_tokens=stated.first(("outputTokens",), ("outputTokenCount",)),
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_5m_tokens=five,
            cache_write_1h_tokens=hour,
        ),
        notes(stated.note, note),
    )


def _split(stated: Stated, written: int | None) -> tuple[int | None, int | None, str | None]:
    """Cache writes by lifetime (``cacheDetails``), where they make up all that was written."""
    sums: dict[str | None, int] = {}
    for part in objects(stated.raw.get("cacheDetails")):
        lifetime = name(part.get("ttl"))
        sums[lifetime] = sums.get(lifetime, 0) + (Stated(part).count("inputTokens") or 0)
    if not sums:
        return None, None, None
    if sum(sums.values()) != written or not sums.keys() <= {"5m", "1h"}:
        return None, sums.get("1h") or None, "the split of cache writes by lifetime is left out"
    return sums.get("5m"), sums.get("1h"), None


def header_usage(headers: Mapping[str, str]) -> Usage:
    """The counts in the headers of InvokeModel's answers."""
    counts = {key: _number(headers.get(header)) for key, header in _HEADERS.items()}
    return read_usage(counts)[0]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 13 else None


def filled(usage: Usage, other: Usage) -> Usage:
    """``usage``, with ``other``'s input and output where it has none itself."""
    if usage.input_tokens is None:
        usage = replace(
            usage,
            input_tokens=other.input_tokens,
            cache_read_tokens=other.cache_read_tokens,
            cache_write_tokens=other.cache_write_tokens,
        )
    if usage.output_tokens is None:
        usage = replace(usage, output_tokens=other.output_tokens)
    return usage


def refusal(answer: Mapping[str, object]) -> str | None:
    """The error that an answer with status 200 tells (a gateway's, or an unknown operation's)."""
    output = answer.get("Output")
    told = answer.get("__type") or (output.get("__type") if isinstance(output, dict) else None)
    if not isinstance(told, str):
        return None
    return name(told.rpartition("#")[2].partition(":")[0]) or "error"
