"""Cohere's usage: tokens, and beside them what is billed.

The tokens include the prompt that Cohere puts around the user's, the billed units do not; image
tokens are beside the input tokens. Answers that state no tokens (embeddings, the old generate)
are counted by what is billed.
Sources: https://docs.cohere.com/reference/chat, https://docs.cohere.com/reference/embed,
https://docs.cohere.com/v2/docs/how-does-cohere-pricing-work
"""

from __future__ import annotations

from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.openai_usage import without_oversized
from pytest_crashlens.providers.reading import Stated, notes


def read_usage(raw: object) -> tuple[Usage, str | None]:
    """The counts of ``usage`` (version 2 of the chat) or ``meta`` (everything else)."""
    stated = Stated(raw)
    billed_images = stated.count("billed_units", "image_tokens")
    billed = _sum(stated.count("billed_units", "input_tokens"), billed_images)
    billed_output = stated.count("billed_units", "output_tokens")
    images = stated.count("tokens", "image_tokens")
    tokens = _sum(stated.count("tokens", "input_tokens"), images)
    output = stated.count("tokens", "output_tokens")
    usage, oversized = without_oversized(
        Usage(
            input_tokens=billed if tokens is None else tokens,
            output_tokens=billed_output if output is None else output,
            cache_read_tokens=stated.count("cached_tokens"),
            input_image_tokens=billed_images if images is None else images,
            reasoning_tokens=stated.count("tokens", "reasoning_tokens"),
            billed_input_tokens=billed,
            billed_output_tokens=billed_output,
        )
    )
    return usage, notes(stated.note, oversized)


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)
