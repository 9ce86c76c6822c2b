"""Speech at xAI and Deepgram: billed by seconds and characters, of which no answer has tokens.

Sources: https://docs.x.ai/docs/guides/voice,
https://developers.deepgram.com/reference/speech-to-text-api/listen,
https://developers.deepgram.com/reference/text-to-speech-api/speak
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.multipart import form_fields
from pytest_crashlens.providers.reading import PostedTo, Reading, Request, json_object, name

_PATH = re.compile(r"/v1/(stt|tts|listen|speak)/?$")
_PROVIDERS: Mapping[str, str] = MappingProxyType(
    {"stt": "xai", "tts": "xai", "listen": "deepgram", "speak": "deepgram"}
)
_BILLED_BY = MappingProxyType(
    {
        "stt": "the duration",
        "listen": "the duration",
        "tts": "the character",
        "speak": "the character",
    }
)


class Speech(PostedTo):
    """``POST /v1/stt`` and ``/v1/tts`` at xAI, ``/v1/listen`` and ``/v1/speak`` at Deepgram."""

    endpoint = "speech"
    family = "deepgram"
    paths = _PATH

    def request(self, exchange: Exchange) -> Request | None:
        """Only at the two providers: elsewhere such a path may be anything."""
        found = _PATH.search(exchange.path)
        if not found or provider_of(exchange.host, "") != _PROVIDERS[found[1]]:
            return None
        body = json_object(exchange.request_body) or form_fields(exchange.request_body) or {}
        asked = parse_qs(urlsplit(exchange.url).query).get("model")
        return Request(body=body, model=name(body.get("model")) or name(asked[0] if asked else ""))

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """No tokens: a named state."""
        found = _PATH.search(exchange.path)
        kind = _BILLED_BY[found[1]] if found else "what it is"
        return Reading(note=f"billed by {kind}, not by tokens")
