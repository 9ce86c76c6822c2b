"""Token counts of LLM calls: exact integers, None where the provider did not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

UsageSource = Literal["provider", "gateway", "tokenizer", "estimated", "none"]
"""Where counts come from, best first; of several the worst one holds for the sum."""

USAGE_SOURCES: tuple[UsageSource, ...] = ("provider", "gateway", "tokenizer", "estimated", "none")
EXACT_SOURCES: frozenset[UsageSource] = frozenset({"provider", "gateway"})


def worst_source(sources: Iterable[UsageSource]) -> UsageSource:
    """The least trustworthy of ``sources`` (``provider`` when there are none)."""
    return max(sources, key=USAGE_SOURCES.index, default="provider")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one or several calls used, in tokens (and pieces, where a field says so).

    ``input_tokens`` and ``output_tokens`` are totals. The ``cache_*`` and ``input_*`` fields are
    partitions of the input; ``reasoning_tokens``, ``output_audio_tokens`` and
    ``output_image_tokens`` of the output: they are inside the totals and are never added to them.
    ``None`` means: not stated. Providers that state the input without its cached part (Anthropic,
    Bedrock) are normalised to this form.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    """All cache writes, in whatever time to live; the two below are its split, where stated."""
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    web_searches: int | None = None
    """Searches billed by piece."""
    billed_input_tokens: int | None = None
    """What is billed where that differs from the tokens (Cohere's billed units)."""
    billed_output_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        """Field by field; None plus a number is the number (unknown is tracked by its source)."""
        return Usage(
            **{
                name: a if b is None else b if a is None else a + b
                for name in USAGE_FIELDS
                for a, b in [(getattr(self, name), getattr(other, name))]
            }
        )

    @property
    def stated(self) -> bool:
        """Whether any count is known."""
        return any(getattr(self, name) is not None for name in USAGE_FIELDS)

    @property
    def total_tokens(self) -> int:
        """Input plus output; what was not stated adds nothing."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    def to_dict(self) -> dict[str, int]:
        """The stated counts by name."""
        return {name: value for name in USAGE_FIELDS if (value := getattr(self, name)) is not None}

    @classmethod
    def from_dict(cls, counts: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; keys that are no counts are ignored."""
        return cls(**{name: counts[name] for name in USAGE_FIELDS if name in counts})


USAGE_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Usage))
OUTPUT_FIELDS: tuple[str, ...] = (
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "billed_output_tokens",
)
"""What was generated; all other fields are of the input or beside both."""


def total(usages: Iterable[Usage]) -> Usage:
    """The sum of ``usages``."""
    result = Usage()
    for usage in usages:
        result += usage
    return result
