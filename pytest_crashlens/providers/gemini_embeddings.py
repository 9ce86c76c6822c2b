"""Google's embeddings: methods of the Gemini API, and predictions of Vertex AI's models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers import google
from pytest_crashlens.providers.gemini_usage import read_usage
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.reading import (
    Reading,
    Request,
    Stated,
    Texts,
    json_object,
    mapping,
    notes,
    objects,
)

_EMBED = google.MethodPath("embedContent", "batchEmbedContents")
_PREDICT = google.MethodPath("predict", "predictLongRunning")
_PUBLISHER = "/publishers/google/"


class GeminiEmbeddings:
    """``POST .../models/MODEL:embedContent`` and ``:batchEmbedContents``.

    Source: https://ai.google.dev/api/embeddings
    """

    endpoint = "embeddings"
    family = "google"

    def matches(self, method: str, path: str) -> bool:
        """Any host, any prefix."""
        return _EMBED.matches(method, path)

    def request(self, exchange: Exchange) -> Request | None:
        """It has a content, or several requests with one each."""
        one = google.requested(exchange, _EMBED, "content")
        return one or google.requested(exchange, _EMBED, "requests")

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object; older models state no usage."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        usage, note = read_usage(answer.get("usageMetadata"))
        body = request.body
        asked = [body] if "content" in body else objects(body.get("requests"))
        contents = [mapping(one.get("content")) for one in asked]
        return _reading(answer, usage, note, _texts(contents))


class VertexEmbeddings:
    """``POST .../publishers/google/models/MODEL:predict`` with texts to embed.

    Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
    """

    endpoint = "embeddings"
    family = "google"

    def matches(self, method: str, path: str) -> bool:
        """Any host, any prefix."""
        return _PREDICT.matches(method, path)

    def request(self, exchange: Exchange) -> Request | None:
        """Google's model, with instances of which each has a content."""
        asked = _predicted(exchange)
        if asked is None:
            return None
        instances = objects(asked.body.get("instances"))
        embeds = instances and all(isinstance(one.get("content"), str) for one in instances)
        return asked if embeds else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object with the statistics of each prediction."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        counts: list[int | None] = []
        odd: list[str | None] = []
        for prediction in objects(answer.get("predictions")):
            stated = Stated(mapping(prediction.get("embeddings")).get("statistics"))
            counts.append(stated.first(("token_count",), ("tokenCount",)))
            odd.append(stated.note)
        known = [count for count in counts if count is not None]
        usage = Usage(input_tokens=sum(known) if known and len(known) == len(counts) else None)
        instances = objects(request.body.get("instances"))
        texts = Texts(inputs=tuple(str(one["content"]) for one in instances))
        return _reading(answer, usage, notes(*odd), texts)


class GooglePredict:
    """``POST ...:predict`` and ``:predictLongRunning`` of Imagen, Veo and other such models.

    They are billed by the picture or by the second, which no answer states.
    Source: https://ai.google.dev/gemini-api/docs/pricing
    """

    endpoint = "predict"
    family = "google"

    def matches(self, method: str, path: str) -> bool:
        """Any host, any prefix."""
        return _PREDICT.matches(method, path)

    def request(self, exchange: Exchange) -> Request | None:
        """Google's model, and some instances."""
        return _predicted(exchange)

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """What it used is never stated."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        error = google.google_error(answer.get("error"))
        return Reading(error=error, note=None if error else "its answers state no usage")


def _predicted(exchange: Exchange) -> Request | None:
    """The request, if it is for a model of Google's: others serve their own models likewise."""
    googles = provider_of(exchange.host, "") in ("google", "vertex")
    own = "/endpoints/" in exchange.path
    if _PUBLISHER not in exchange.path and (own or not googles):
        return None
    return google.requested(exchange, _PREDICT, "instances")


def _texts(contents: list[Mapping[str, Any]]) -> Texts | None:
    texts = [google.texts_of(content) for content in contents]
    whole = all(
        isinstance(content.get("parts"), list) and len(content["parts"]) == len(found)
        for content, found in zip(contents, texts, strict=True)
    )
    # else some of it is pictures or sound
    return Texts(inputs=tuple("\n".join(found) for found in texts)) if whole and texts else None


def _reading(
    answer: Mapping[str, Any], usage: Usage, note: str | None, texts: Texts | None
) -> Reading:
    complete = usage.input_tokens is not None
    error = google.google_error(answer.get("error"))
    return Reading(
        usage=usage,
        usage_complete=complete,
        texts=None if complete or error else texts,
        error=error,
        note=notes(note, None if complete or error else "no usage in the answer"),
    )
