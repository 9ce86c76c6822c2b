"""What Google's formats share: methods at the end of the path, modalities, errors, tiers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.reading import (
    Request,
    Stated,
    error_name,
    json_object,
    mapping,
    name,
    objects,
    tier,
)

_MODALITIES = ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
"""In the order of their numbers, which clients may ask for instead of the names.
Source: https://ai.google.dev/api/generate-content#Modality"""

_ON_DEMAND = "ON_DEMAND_"
_TRAFFIC_TYPES = (None, None, "provisioned_throughput")
"""Likewise; only what is bought in advance has a number that matters.
Source: https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType"""


class MethodPath:
    """Paths ``.../models/MODEL:METHOD``, also of tuned models and of endpoints.

    The Gemini API and Vertex AI end their paths alike.
    Source: https://ai.google.dev/api/generate-content
    """

    def __init__(self, *methods: str) -> None:
        named = f"(?P<method>{'|'.join(methods)})/?$"
        model = r"/(?:models/)?(?P<model>(?:(?:tunedModels|endpoints)/)?[^/:?#]+)"
        self._ending = re.compile(f"[:Aa]{named}")
        self._place = re.compile(f"{model}(?::|%3[Aa]){named}")

    def matches(self, method: str, path: str) -> bool:
        """Whether it may be one, by its end (which is quick to see)."""
        return method == "POST" and self._ending.search(path) is not None

    def search(self, path: str) -> re.Match[str] | None:
        """The ``model`` and the ``method``."""
        return self._place.search(path)


def requested(exchange: Exchange, path: MethodPath, *keys: str) -> Request | None:
    """The request to a method of a model, if its body is a JSON object with all ``keys``."""
    place = path.search(exchange.path)
    body = json_object(exchange.request_body)
    if place is None or body is None or not all(isinstance(body.get(k), list | dict) for k in keys):
        return None
    cap = Stated(body).first(
        ("generationConfig", "maxOutputTokens"), ("generation_config", "max_output_tokens")
    )
    return Request(
        body=body,
        model=name(unquote(place["model"])),
        max_output_tokens=cap,
        in_stream=place["method"].startswith("stream"),
    )


def by_modality(details: object, count: str = "tokenCount") -> dict[str, int]:
    """Tokens by the name of their modality, in upper case."""
    found: dict[str, int] = {}
    for detail in objects(details):
        modality = detail.get("modality")
        if isinstance(modality, int) and 0 <= modality < len(_MODALITIES):
            modality = _MODALITIES[modality]
        tokens = Stated(detail).count(count)
        if isinstance(modality, str) and tokens is not None:
            found[modality.upper()] = found.get(modality.upper(), 0) + tokens
    return found


def uncached(modality: str, inputs: list[dict[str, int]], cached: dict[str, int]) -> int | None:
    """Input tokens of a modality beside the cached ones, which the cache read has already."""
    stated = [tokens[modality] for tokens in inputs if modality in tokens]
    return max(sum(stated) - cached.get(modality, 0), 0) if stated else None


def service_tier(usage: Mapping[str, Any]) -> str | None:
    """The tier, as the Gemini API (``serviceTier``) or Vertex AI (``trafficType``) states it."""
    traffic = usage.get("trafficType")
    if isinstance(traffic, int):
        traffic = _TRAFFIC_TYPES[traffic] if 0 <= traffic < len(_TRAFFIC_TYPES) else None
    if isinstance(traffic, str):
        traffic = traffic.removeprefix(_ON_DEMAND)
    return tier(usage.get("serviceTier"), traffic)


def google_error(error: object) -> str | None:
    """The status (``UNAVAILABLE``) of an error in place of an answer."""
    if not error:
        return None
    return error_name({"type": mapping(error).get("status")})


def texts_of(content: object) -> list[str]:
    """The texts of a content's parts."""
    return [
        part["text"]
        for part in objects(mapping(content).get("parts"))
        if isinstance(part.get("text"), str)
    ]
