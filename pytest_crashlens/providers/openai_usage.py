"""The usage object of OpenAI's formats, as OpenAI and those who imitate it write it.

Chat Completions and Embeddings say ``prompt_tokens`` and ``completion_tokens``, Responses
``input_tokens`` and ``output_tokens``; imitators mix them and keep cache counts elsewhere.
Input includes its cached part everywhere here.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.reading import Stated, notes


def read_usage(raw: object) -> tuple[Usage, str | None]:
    """The counts that a usage object states, and what a reader should know of them.

    ``total_tokens`` proves where a provider keeps a part outside the two main counts (xAI its
    reasoning, Mistral audio input, Gemini its thinking); that part is then added to them.
    """
    stated = Stated(raw)
    usage = _parts(stated)
    usage, outside = _with_outside(usage, stated.count("total_tokens"))
    usage, beside = _with_reasoning(usage)
    usage, oversized = without_oversized(usage)
    return usage, notes(stated.note, outside, beside, oversized)


def _parts(stated: Stated) -> Usage:
    def detail(side: str, name: str) -> int | None:
        sides = {"input": ("prompt", "input"), "output": ("completion", "output")}[side]
        return stated.first(*((f"{word}_tokens_details", name) for word in sides))

    cache_read = detail("input", "cached_tokens")
    if cache_read is None:  # DeepSeek; Together and Moonshot
        cache_read = stated.first(("prompt_cache_hit_tokens",), ("cached_tokens",))
    cache_write = detail("input", "cache_write_tokens")
    if cache_write is None:  # gateways in front of Anthropic
        cache_write = stated.count("cache_creation_input_tokens")
    return Usage(
        input_tokens=stated.first(("prompt_tokens",), ("input_tokens",)),
        output_tokens=stated.first(("completion_tokens",), ("output_tokens",)),
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        input_audio_tokens=detail("input", "audio_tokens"),
        input_image_tokens=detail("input", "image_tokens"),
        reasoning_tokens=detail("output", "reasoning_tokens"),
        output_audio_tokens=detail("output", "audio_tokens"),
        output_image_tokens=detail("output", "image_tokens"),
        web_searches=stated.first(
            ("server_tool_use_details", "web_search_requests"),  # OpenRouter
            ("server_side_tool_usage_details", "web_search_calls"),  # xAI
        ),
    )


def _with_outside(usage: Usage, total: int | None) -> tuple[Usage, str | None]:
    """``usage`` with what the total has beyond input and output added to the side it is from."""
    input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
    if total is None or input_tokens is None or output_tokens is None:
        return usage, None
    rest = total - input_tokens - output_tokens
    if rest <= 0:
        return usage, None
    if rest == usage.input_audio_tokens != usage.reasoning_tokens:
        return replace(usage, input_tokens=input_tokens + rest), None
    usage = replace(usage, output_tokens=output_tokens + rest)
    if rest == usage.reasoning_tokens:
        return usage, None
    return usage, f"total_tokens exceeds prompt and completion by {rest}: counted as output"


def _with_reasoning(usage: Usage) -> tuple[Usage, str | None]:
    """``usage`` with reasoning added to an output that is too small to contain it.

    So does Vercel's gateway state Gemini's: the costs it states are for the sum of both.
    """
    reasoning, output = usage.reasoning_tokens, usage.output_tokens
    if reasoning is None or output is None or reasoning <= output:
        return usage, None
    usage = replace(usage, output_tokens=output + reasoning)
    return usage, "reasoning exceeds completion: counted beside it"


def without_oversized(usage: Usage) -> tuple[Usage, str | None]:
    """``usage`` without the parts that cannot be parts, being larger than their whole."""
    wholes = {
        "cache_read_tokens": usage.input_tokens,
        "cache_write_tokens": usage.input_tokens,
        "input_audio_tokens": usage.input_tokens,
        "input_image_tokens": usage.input_tokens,
        "output_audio_tokens": usage.output_tokens,
        "output_image_tokens": usage.output_tokens,
    }
    oversized = [
        part
        for part, whole in wholes.items()
        if whole is not None and (getattr(usage, part) or 0) > whole
    ]
    if not oversized:
        return usage, None
    return (
        replace(usage, **dict.fromkeys(oversized)),
        f"left out, being larger than the total it is part of: {', '.join(oversized)}",
    )
