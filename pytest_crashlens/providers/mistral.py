"""What Mistral has beside the formats of others: code completion, agents, reading of documents."""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.openai_chat import OpenAIChat
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    Stated,
    Texts,
    error_name,
    json_object,
    name,
    notes,
    requested,
)

_FIM = re.compile(r"/fim/completions/?$")
_AGENTS = re.compile(r"/agents/completions/?$")
_OCR = re.compile(r"/ocr/?$")


class MistralFIM(PostedTo):
    """``POST /v1/fim/completions``: a prompt and a suffix, answered as a chat.

    Source: https://docs.mistral.ai/api/endpoint/fim
    """

    endpoint = "fim"
    family = "mistral"
    paths = _FIM

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and a prompt."""
        asked = requested(exchange, "max_tokens")
        prompt = asked.body.get("prompt") if asked and asked.model else None
        return asked if isinstance(prompt, str) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """As a chat, whose input is no messages."""
        reading = OpenAIChat().read(exchange, request)
        if reading.texts is None:
            return reading
        given = (request.body.get("prompt"), request.body.get("suffix"))
        inputs = tuple(text for text in given if isinstance(text, str) and text)
        return replace(reading, texts=Texts(inputs=inputs, output=reading.texts.output))


class MistralAgents(PostedTo):
    """``POST /v1/agents/completions``: a chat whose model is the agent's.

    Source: https://docs.mistral.ai/api/endpoint/deprecated/agents
    """

    endpoint = "chat"
    family = "mistral"
    paths = _AGENTS

    def request(self, exchange: Exchange) -> Request | None:
        """It has an agent and messages."""
        asked = requested(exchange, "max_tokens")
        if asked is None or not isinstance(asked.body.get("messages"), list):
            return None
        return asked if name(asked.body.get("agent_id")) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """As a chat; but the agent's instructions, which nobody sees, cannot be counted."""
        return replace(OpenAIChat().read(exchange, request), texts=None)


class MistralOCR(PostedTo):
    """``POST /v1/ocr``: billed by the page.

    Source: https://docs.mistral.ai/api/endpoint/ocr
    """

    endpoint = "ocr"
    family = "mistral"
    paths = _OCR

    def request(self, exchange: Exchange) -> Request | None:
        """It has a model and a document."""
        asked = requested(exchange)
        if asked is None or not asked.model:
            return None
        return asked if isinstance(asked.body.get("document"), dict) else None

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """One object, which states pages and no tokens."""
        answer = json_object(exchange.response_body)
        if answer is None:
            return Reading(note="the answer is no JSON object")
        stated = Stated(answer.get("usage_info"))
        pages = stated.count("pages_processed")
        error = answer.get("error")
        used = None if error else "no usage in the answer"
        if pages is not None:
            used = f"billed by page: {pages} pages"
        return Reading(
            model_returned=name(answer.get("model")),
            error=error_name(error) if error else None,
            note=notes(stated.note, used),
        )
