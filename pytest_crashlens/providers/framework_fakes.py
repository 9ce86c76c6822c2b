"""What frameworks' own fake models say they used: no wire, but a format like the others.

A framework's fake asks nobody. What stands for its exchange is written by the capture and has the
counts that the framework states, or else the texts, which are counted.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.reading import (
    Reading,
    Request,
    Stated,
    Texts,
    json_object,
    mapping,
    objects,
    requested,
)


class FrameworkFake:
    """The fakes of one framework; ``family`` is the provider that its calls are given."""

    endpoint = "fake"

    def __init__(self, family: str) -> None:
        self.family = family
        self._ending = f"/crashlens-fakes/{family}"

    def matches(self, method: str, path: str) -> bool:
        """Only what the capture of fakes makes up."""
        return method == "POST" and path.endswith(self._ending)

    def request(self, exchange: Exchange) -> Request | None:
        """Anything in JSON."""
        return requested(exchange)

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """Counts by our own names, or the text that the fake said."""
        answer = mapping(json_object(exchange.response_body))
        stated = Stated(answer.get("usage"))
        usage = Usage(
            input_tokens=stated.count("input_tokens"),
            output_tokens=stated.count("output_tokens"),
        )
        parts = Usage(
            cache_read_tokens=stated.count("cache_read_tokens"),
            cache_write_tokens=stated.count("cache_write_tokens"),
        )
        complete = usage.input_tokens is not None and usage.output_tokens is not None
        output = answer.get("output")
        said = Texts(
            messages=objects(request.body.get("messages")),
            output=output if isinstance(output, str) else "",
        )
        return replace(
            Reading(
                model_returned=request.model,
                usage=usage + parts,
                usage_complete=complete,
                streaming=request.streams,
            ),
            texts=None if complete else said,
        )


FAKES = (FrameworkFake("langchain-fake"), FrameworkFake("pydantic-ai-test"))
