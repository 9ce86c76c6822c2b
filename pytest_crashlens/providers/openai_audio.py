"""OpenAI Audio and its imitators: tokens for some models, seconds or characters for others.

Source: https://platform.openai.com/docs/api-reference/audio
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers import sse
from pytest_crashlens.providers.multipart import form_fields
from pytest_crashlens.providers.openai_chat import with_deployment
from pytest_crashlens.providers.openai_usage import read_usage
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    Stated,
    error_name,
    is_stream,
    json_object,
    mapping,
    name,
    notes,
    requested,
    tier,
)
from pytest_crashlens.providers.stated_cost import stated_cost

_TRANSCRIPTIONS = re.compile(r"/audio/(transcriptions|translations)/?$")
_SPEECH = re.compile(r"/audio/speech/?$")
_TELLING = (b'"usage"', b'"error"')
_FILE = ("file", "file_url", "url", "input_audio", "audio")


class OpenAITranscriptions(PostedTo):
    """``POST .../audio/transcriptions`` and ``/translations``."""

    endpoint = "transcriptions"
    family = "openai"
    paths = _TRANSCRIPTIONS

    def request(self, exchange: Exchange) -> Request | None:
        """A form with a file; one that was streamed from a disk was not seen at all."""
        asked = requested(exchange)
        if asked is None:
            fields = form_fields(exchange.request_body)
            if fields is None and exchange.request_body:
                return None
            asked = Request(body=fields or {}, model=name((fields or {}).get("model")))
        asked = with_deployment(asked, exchange)
        is_asked = asked.model or any(key in asked.body for key in _FILE)
        return asked if is_asked or not exchange.request_body else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, a text (without usage), or the event ``transcript.text.done``."""
        if is_stream(exchange, request):
            return _read_stream(exchange)
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="a transcript without usage: ask for JSON")
        return _reading(answer, missing="no usage in the answer")


class OpenAISpeech(PostedTo):
    """``POST .../audio/speech``."""

    endpoint = "speech"
    family = "openai"
    paths = _SPEECH

    def request(self, exchange: Exchange) -> Request | None:
        """A text to speak."""
        asked = requested(exchange)
        if asked is None or not isinstance(asked.body.get("input"), str):
            return None
        return with_deployment(asked, exchange)

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """Sound, which states nothing, or events of which the last one has the usage."""
        if exchange.content_type == "text/event-stream":
            return _read_stream(exchange)
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note='sound without usage: pass stream_format="sse" to get one')
        return _reading(answer, missing="no usage in the answer")


def _read_stream(exchange: Exchange) -> Reading:
    merged: dict[str, Any] = {}
    for event in sse.telling(exchange.response_body, _TELLING):
        merged.update({key: event[key] for key in ("usage", "error") if event.get(key)})
    return _reading(merged, missing="the stream has no usage", streaming=True)


def _reading(answer: Mapping[str, Any], *, missing: str, streaming: bool = False) -> Reading:
    raw = answer.get("usage")
    usage, note = read_usage(raw)
    usage = _with_audio(usage, Stated(raw))
    complete = usage.input_tokens is not None and usage.output_tokens is not None
    error = answer.get("error")
    if _by_duration(mapping(raw)):
        missing = "billed by the duration, not by tokens"
    return Reading(
        model_returned=name(answer.get("model")),
        usage=usage,
        usage_complete=complete,
        streaming=streaming,
        service_tier=tier(mapping(raw).get("service_tier")),
        error=error_name(error) if error else None,
        stated_cost_usd=stated_cost(raw),
        note=notes(note, None if complete or error else missing),
    )


def _by_duration(usage: Mapping[str, Any]) -> bool:
    return usage.get("type") == "duration" or usage.get("seconds") is not None


def _with_audio(usage: Usage, stated: Stated) -> Usage:
    """``usage`` with the audio part of the input; here, ``token_details`` is in the singular."""
    audio = stated.count("input_token_details", "audio_tokens")
    total = usage.input_tokens
    if audio is None or usage.input_audio_tokens is not None or total is None or audio > total:
        return usage
    return replace(usage, input_audio_tokens=audio)
