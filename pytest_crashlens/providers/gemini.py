"""Gemini's ``generateContent`` and ``streamGenerateContent``, on the Gemini API and Vertex AI.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers import google, sse
from pytest_crashlens.providers.gemini_usage import read_usage
from pytest_crashlens.providers.json_stream import dumped, json_objects
from pytest_crashlens.providers.reading import (
    Channels,
    Reading,
    Request,
    Texts,
    is_stream,
    mapping,
    name,
    notes,
    objects,
)

_PATH = google.MethodPath("generateContent", "streamGenerateContent")
_BILLED_BY_PROMPT = re.compile(r"gemini-(?:pro$|[12][.-])")
_MEDIA = ("inlineData", "inline_data", "fileData", "file_data")


class GeminiGenerate:
    """``POST .../models/MODEL:generateContent`` and ``:streamGenerateContent``."""

    endpoint = "generate_content"
    family = "google"

    def matches(self, method: str, path: str) -> bool:
        """Any host, any prefix."""
        return _PATH.matches(method, path)

    def request(self, exchange: Exchange) -> Request | None:
        """It has contents."""
        return google.requested(exchange, _PATH, "contents")

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, or chunks in events or in an array: the last usage holds."""
        if is_stream(exchange, request):
            chunks: Sequence[Mapping[str, Any]] = tuple(sse.events(exchange.response_body))
        else:
            chunks = json_objects(exchange.response_body)
        if not chunks:
            return Reading(streaming=request.streams, note="the answer has no JSON object")
        return _reading(request, chunks)


def _reading(request: Request, chunks: Sequence[Mapping[str, Any]]) -> Reading:
    model = next((found for one in chunks if (found := name(one.get("modelVersion")))), None)
    raw = _last_usage(chunks)
    ended = any(_has_ended(chunk) for chunk in chunks)
    usage, note = read_usage(raw)
    texts = None
    if usage.input_tokens is None or usage.output_tokens is None:
        texts = _texts(request, chunks)
        silent = ended and (texts is None or not texts.output)
        usage, note = read_usage(raw, silent=silent)
    usage = _with_searches(usage, chunks, model or request.model)
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    error = next((chunk["error"] for chunk in chunks if chunk.get("error")), None)
    elsewhere = not complete and bool(request.body.get("cachedContent"))
    return Reading(
        model_returned=model,
        usage=usage,
        usage_complete=complete,
        streaming=request.streams,
        service_tier=google.service_tier(raw),
        texts=None if complete or elsewhere else texts,
        error=google.google_error(error),
        note=notes(note, None if error else _missing(request, complete, ended), _kept(elsewhere)),
    )


def _missing(request: Request, complete: bool, ended: bool) -> str | None:
    if not complete:
        return "no usage in the stream" if request.streams else "no usage in the answer"
    return None if ended or not request.streams else "the stream was cut: its last usage so far"


def _kept(elsewhere: bool) -> str | None:
    return "part of its input is kept by the provider: not countable" if elsewhere else None


def _last_usage(chunks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The last usage that states something: each one replaces those before it, whole.

    The last one may be smaller, and lack what an earlier one has: those were not final.
    """
    for chunk in reversed(chunks):
        raw = mapping(chunk.get("usageMetadata"))
        if read_usage(raw)[0].stated:
            return raw
    return mapping(chunks[-1].get("usageMetadata"))


def _has_ended(chunk: Mapping[str, Any]) -> bool:
    blocked = mapping(chunk.get("promptFeedback")).get("blockReason")
    return bool(blocked) or any(one.get("finishReason") for one in objects(chunk.get("candidates")))


def _with_searches(usage: Usage, chunks: Sequence[Mapping[str, Any]], model: str | None) -> Usage:
    """``usage`` with the searches that ground the answer, which no usage object states.

    Since Gemini 3 each different query is billed, before it each prompt with any query.
    Source: https://ai.google.dev/gemini-api/docs/google-search#pricing
    """
    queries: set[str] = set()
    for chunk in chunks:
        for candidate in objects(chunk.get("candidates")):
            asked = mapping(candidate.get("groundingMetadata")).get("webSearchQueries")
            listed = asked if isinstance(asked, list) else ()
            queries.update(query for query in listed if isinstance(query, str) and query.strip())
    if not queries or not usage.stated:
        return usage
    by_prompt = _BILLED_BY_PROMPT.match(model or "") is not None
    return replace(usage, web_searches=1 if by_prompt else len(queries))


def _texts(request: Request, chunks: Iterable[Mapping[str, Any]]) -> Texts | None:
    """What can be counted; None where there is neither an answer nor a refusal to answer."""
    output = Channels()
    answered = False
    for chunk in chunks:
        for place, candidate in enumerate(objects(chunk.get("candidates"))):
            answered = True
            for part in objects(mapping(candidate.get("content")).get("parts")):
                _add(output, repr(candidate.get("index", place)), part)
    if not answered:
        return None
    body = request.body
    contents = body.get("contents")
    system = body.get("systemInstruction") or body.get("system_instruction")
    tools = objects(body.get("tools"))
    return Texts(
        messages=(
            *([_message(mapping(system), "system")] if system else ()),
            *(
                _message(one)
                for one in objects(contents if isinstance(contents, list) else [contents])
            ),
        ),
        tools=tuple(
            function
            for tool in tools
            for key in ("functionDeclarations", "function_declarations")
            for function in objects(tool.get(key))
        ),
        output=output.text,
    )


def _add(output: Channels, channel: str, part: Mapping[str, Any]) -> None:
    output.add(channel, part.get("text"))
    call = mapping(part.get("functionCall"))
    output.add(channel, call.get("name"))
    output.add(channel, dumped(call.get("args")))
    output.add(channel, mapping(part.get("executableCode")).get("code"))


def _message(content: Mapping[str, Any], role: str = "user") -> Mapping[str, Any]:
    """A content as a message: plain text where there is nothing else in it."""
    given = content.get("parts")
    parts = objects(given if isinstance(given, list) else [given])
    texts = google.texts_of({"parts": list(parts)})
    role = name(content.get("role")) or role
    if len(texts) == len(parts):
        return {"role": role, "content": "\n".join(texts)}
    media = [any(key in part for key in _MEDIA) for part in parts]
    pairs = zip(parts, media, strict=True)
    return {
        "role": role,
        "content": [{"type": "image"} if medium else dict(part) for part, medium in pairs],
    }
