"""Text generation of Hugging Face: its inference API, and servers of one model.

Source: https://huggingface.co/docs/text-generation-inference/reference/api_reference
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.json_stream import json_objects
from pytest_crashlens.providers.reading import (
    Channels,
    PostedTo,
    Reading,
    Request,
    Stated,
    Texts,
    error_name,
    is_stream,
    json_object,
    mapping,
    name,
    notes,
    objects,
)

_PATH = re.compile(
    r"/models/(?P<model>[^/:?#]+(?:/(?!pipeline/)[^/:?#]+)?)(?:/pipeline/[\w-]+)?/?$"
    r"|/generate(?P<stream>_stream)?/?$"
)
_SIGNS = (b'"generated_text"', b'"token"')


class HuggingFaceInference(PostedTo):
    """``POST /models/MODEL``, and ``/generate`` and ``/generate_stream`` of a model's server."""

    endpoint = "text_generation"
    family = "huggingface"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """It has inputs, and the host or the answer is as theirs."""
        place = _PATH.search(exchange.path)
        if place is None or not _is_theirs(exchange):
            return None
        body = json_object(exchange.request_body)
        if body is None or not _inputs(body):
            return None
        return Request(
            body=body,
            model=name(unquote(place["model"] or "")),
            max_output_tokens=Stated(body).count("parameters", "max_new_tokens"),
            in_stream=place["stream"] is not None,
        )

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """Generated texts with details where they were asked for, or events of a token each."""
        streaming = is_stream(exchange, request)
        answers: Sequence[Mapping[str, Any]] = (
            tuple(sse.events(exchange.response_body))
            if streaming
            else json_objects(exchange.response_body)
        )
        stated = [Stated(answer.get("details")) for answer in answers if answer.get("details")]
        usage = Usage(
            input_tokens=_total([_prompt(one) for one in stated]),
            output_tokens=_total([one.count("generated_tokens") for one in stated]),
        )
        complete = usage.input_tokens is not None and usage.output_tokens is not None
        error = next((answer["error"] for answer in answers if answer.get("error")), None)
        return Reading(
            usage=usage,
            usage_complete=complete,
            streaming=streaming,
            texts=None if complete else _texts(request, answers),
            error=error_name(error) if error else None,
            note=notes(
                *(one.note for one in stated),
                None if complete or error else "no usage in the answer",
            ),
        )


def _is_theirs(exchange: Exchange) -> bool:
    if provider_of(exchange.host, "") == "huggingface":
        return True
    return any(sign in exchange.response_body for sign in _SIGNS)


def _inputs(body: Mapping[str, Any]) -> tuple[str, ...]:
    given = body.get("inputs")
    listed = given if isinstance(given, list) else [given]
    return tuple(text for text in listed if isinstance(text, str) and text)


def _prompt(details: Stated) -> int | None:
    """The input, where details tell its length or list its tokens."""
    listed = objects(details.raw.get("prefill"))
    return details.count("input_length") or len(listed) or None


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _texts(request: Request, answers: Sequence[Mapping[str, Any]]) -> Texts | None:
    """Prompts and generated texts; None for what generates no text (classes, vectors)."""
    output = Channels()
    generated = False
    for place, answer in enumerate(answers):
        token = answer.get("token")
        text = mapping(token).get("text") if token else answer.get("generated_text")
        if isinstance(text, str):
            generated = True
            for prompt in () if token else _inputs(request.body):
                text = text.removeprefix(prompt)  # which may be returned in front of it
            output.add("stream" if token else place, text)
    return Texts(inputs=_inputs(request.body), output=output.text) if generated else None
