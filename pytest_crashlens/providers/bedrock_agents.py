"""Bedrock's agents and knowledge bases, behind one request of which models are called.

What these used is told only in an agent's trace. Sources:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_RetrieveAndGenerate.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage, total
from pytest_crashlens.providers import aws_event_stream
from pytest_crashlens.providers.bedrock import read_usage
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.reading import (
    PostedTo,
    Reading,
    Request,
    error_name,
    json_object,
    mapping,
    name,
    notes,
)

_AGENT = re.compile(r"/agents/[^/]+(/agentAliases/[^/]+/sessions/[^/]+/text)?/?$")
_KNOWLEDGE = re.compile(r"/retrieveAndGenerate(Stream)?/?$")
_DEEPEST = 4
"""Objects between an event and the call of a model in it."""


class BedrockAgents(PostedTo):
    """``POST /agents/{id}/...`` (InvokeAgent, InvokeInlineAgent)."""

    endpoint = "agents"
    family = "bedrock"
    paths = _AGENT

    def request(self, exchange: Exchange) -> Request | None:
        """Something to do; only at Bedrock, elsewhere such a path may be anything."""
        body = json_object(exchange.request_body)
        if body is None or provider_of(exchange.host, "") != "bedrock":
            return None
        return Request(body=body, model=name(body.get("foundationModel")), in_stream=True)

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """The sum of the model calls in the trace, one event each."""
        usages: list[Usage] = []
        models: dict[str, None] = {}
        error: str | None = None
        for message in aws_event_stream.messages(exchange.response_body):
            error = error or message.exception
            if message.kind == "trace":
                for call in _model_calls(message.data.get("trace"), _DEEPEST):
                    usages.append(read_usage(mapping(call.get("metadata")).get("usage"))[0])
                models |= dict.fromkeys(_models(message.data.get("trace"), _DEEPEST))
        return Reading(
            model_returned=next(iter(models)) if len(models) == 1 else None,
            usage=total(usages),
            usage_complete=_complete(usages, exchange),
            streaming=True,
            error=error_name({"type": error}) if error else None,
            note=_note(usages, models, request),
        )


class BedrockKnowledge(PostedTo):
    """``POST /retrieveAndGenerate`` and ``/retrieveAndGenerateStream``."""

    endpoint = "retrieve_and_generate"
    family = "bedrock"
    paths = _KNOWLEDGE

    def request(self, exchange: Exchange) -> Request | None:
        """A question, to be answered by a model that the configuration names."""
        found = _KNOWLEDGE.search(exchange.path)
        body = json_object(exchange.request_body)
        if not found or body is None or not isinstance(body.get("input"), dict):
            return None
        given = mapping(body.get("retrieveAndGenerateConfiguration"))
        models = (name(mapping(part).get("modelArn")) for part in given.values())
        model = next((model for model in models if model), None)
        return Request(body=body, model=model, in_stream=bool(found[1]))

    def read(self, exchange: Exchange, request: Request) -> Reading:
        """Its answers state no usage, and its input is assembled by the provider."""
        return Reading(
            streaming=request.streams,
            note="no usage in the answer; its input is assembled by the provider: not countable",
        )


def _complete(usages: Iterable[Usage], exchange: Exchange) -> bool:
    """The whole trace was seen, and all of its calls are counted."""
    known = [(usage.input_tokens, usage.output_tokens) for usage in usages]
    return bool(known) and exchange.ended == "complete" and all(None not in one for one in known)


def _note(usages: list[Usage], models: Mapping[str, None], request: Request) -> str | None:
    if not usages and not request.body.get("enableTrace"):
        return "an agent states its usage only in its trace: pass enableTrace=True"
    if not usages:
        return "no calls of models in the agent's trace"
    return notes(
        f"sum of {len(usages)} calls of models by the agent" if len(usages) > 1 else None,
        f"by {', '.join(models)}" if len(models) > 1 else None,
    )


def _model_calls(trace: object, depth: int) -> Iterator[Mapping[str, Any]]:
    """What calls of models put out, wherever in a trace they are."""
    for key, value in mapping(trace).items():
        if key == "modelInvocationOutput":
            yield mapping(value)
        elif depth and isinstance(value, dict):
            yield from _model_calls(value, depth - 1)


def _models(trace: object, depth: int) -> Iterator[str]:
    for key, value in mapping(trace).items():
        if key == "modelInvocationInput":
            if model := name(mapping(value).get("foundationModel")):
                yield model
        elif depth and isinstance(value, dict):
            yield from _models(value, depth - 1)
