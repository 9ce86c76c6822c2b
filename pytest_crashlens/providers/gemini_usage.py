"""The ``usageMetadata`` of Google's formats.

The prompt includes its cached part; what tools put into it, and the thinking, are counted beside
prompt and candidates. Zeros are left out, as everywhere in Google's JSON.
Source: https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from dataclasses import replace

from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.google import by_modality, uncached
from pytest_crashlens.providers.openai_usage import without_oversized
from pytest_crashlens.providers.reading import Stated, notes


def read_usage(raw: object, *, silent: bool = False) -> tuple[Usage, str | None]:
    """The counts of a ``usageMetadata``, and what a reader should know of them.

    Args:
        raw: the object.
        silent: whether the answer ended without saying anything, so that a total which is no more
            than the input proves an output of zero.
    """
    stated = Stated(raw)
    usage = _parts(stated)
    usage, outside = _with_outside(usage, stated.count("totalTokenCount"), silent=silent)
    usage, oversized = without_oversized(usage)
    return usage, notes(stated.note, outside, oversized)


def _parts(stated: Stated) -> Usage:
    prompt = stated.count("promptTokenCount")
    tools = stated.count("toolUsePromptTokenCount")
    said = stated.count("candidatesTokenCount")
    thoughts = stated.count("thoughtsTokenCount")
    inputs = [
        by_modality(stated.raw.get(key))
        # the second one is how the embedding methods of the Gemini API spell the first
        for key in ("promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails")
    ]
    cached = by_modality(stated.raw.get("cacheTokensDetails"))
    return Usage(
        input_tokens=None if prompt is None else prompt + (tools or 0),
        output_tokens=None if said is None and thoughts is None else (said or 0) + (thoughts or 0),
        cache_read_tokens=stated.count("cachedContentTokenCount"),
        input_audio_tokens=uncached("AUDIO", inputs, cached),
        input_image_tokens=uncached("IMAGE", inputs, cached),
        reasoning_tokens=thoughts,
        output_audio_tokens=_said(stated).get("AUDIO"),
        output_image_tokens=_said(stated).get("IMAGE"),
    )


def _said(stated: Stated) -> dict[str, int]:
    return by_modality(stated.raw.get("candidatesTokensDetails"))


def _with_outside(usage: Usage, total: int | None, *, silent: bool) -> tuple[Usage, str | None]:
    """``usage`` with the output that only the total proves."""
    if total is None or usage.input_tokens is None:
        return usage, None
    rest = total - usage.input_tokens - (usage.output_tokens or 0)
    if rest == 0 and usage.output_tokens is None and silent:
        return replace(usage, output_tokens=0), None
    if rest <= 0:
        return usage, None
    usage = replace(usage, output_tokens=(usage.output_tokens or 0) + rest)
    return usage, f"totalTokenCount exceeds its parts by {rest}: counted as output"
