"""Exchanges -> Calls: which are calls, what they used, whether that is billed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Protocol

from pytest_crashlens.model.call import TASK_LABEL, Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.model.usage import Usage, UsageSource, worst_source
from pytest_crashlens.providers import registry
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.input_parts import input_parts
from pytest_crashlens.providers.openai_usage import without_oversized
from pytest_crashlens.providers.reading import (
    Reading,
    Request,
    Texts,
    WireFormat,
    mapping,
    notes,
)
from pytest_crashlens.providers.retries import group
from pytest_crashlens.providers.shape import instructions, request_shape

TASK_HEADER = "x-crashlens-task"
"""Names the task of one request."""

_NEVER_SENT = frozenset(
    {
        # httpx, httpx2
        "ConnectError",
        "ConnectTimeout",
        "InvalidURL",
        "LocalProtocolError",
        "PoolTimeout",
        "ProxyError",
        "TooManyRedirects",
        "UnsupportedProtocol",
        # requests
        "InvalidHeader",
        "InvalidProxyURL",
        "InvalidSchema",
        "MissingSchema",
        "NameResolutionError",
        "NewConnectionError",
        # aiohttp
        "ClientConnectorCertificateError",
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ClientConnectorSSLError",
        "ClientHttpProxyError",
        "ClientProxyConnectionError",
        "ConnectionTimeoutError",
        "InvalidUrlClientError",
        "NonHttpUrlClientError",
        "UnixClientConnectorError",
        # botocore
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "NoCredentialsError",
        "ParamValidationError",
        "ProxyConnectionError",
        # the network itself
        "ConnectionRefusedError",
        "gaierror",
        # what stands between a test and the network
        "LiveCallBlocked",  # ours
        "SpendCapReached",  # likewise
        "AllMockedAssertionError",  # respx
        "CannotOverwriteExistingRequestException",  # vcrpy
        "NoMockAddress",  # requests-mock
        "SocketBlockedError",  # pytest-socket
        "SocketConnectBlockedError",
        "TimeoutException",  # pytest-httpx; httpx itself raises only its subclasses
    }
)
"""Exceptions after which nothing was sent, or nothing reached the provider, by class name."""

_AFTER_SENDING = frozenset({"ReadTimeout", "ReadTimeoutError", "RemoteProtocolError", "ReadError"})
"""Exceptions by which mocks say that an answer was lost."""


class Count(Protocol):
    """A number of tokens and how far it can be trusted."""

    @property
    def tokens(self) -> int:
        """Tokens."""

    @property
    def source(self) -> UsageSource:
        """``tokenizer`` or ``estimated``."""


class Counter(Protocol):
    """What counts the tokens of calls that state no usage."""

    def text(self, text: str, model: str | None) -> Count:
        """The tokens of a plain text."""

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str | None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Count:
        """The input tokens of a chat."""


class Inferred(Protocol):
    """The task that a request's words speak for."""

    @property
    def task(self) -> str:
        """Its name, or ``unknown``."""

    @property
    def confidence(self) -> float:
        """How often such an inference was right."""

    @property
    def cues(self) -> tuple[str, ...]:
        """Names of what spoke for it."""


Infer = Callable[[str, str], Inferred]
"""The task of a request, by its system prompt and the user's last text."""


def read_calls(
    exchanges: Sequence[Exchange],
    *,
    count: Counter,
    fingerprint_key: bytes,
    formats: Sequence[WireFormat] = registry.FORMATS,
    infer: Infer | None = None,
) -> list[Call]:
    """The LLM calls among ``exchanges``, in order; never raises for anything on the wire.

    Args:
        exchanges: everything seen, in the order in which it began.
        count: counts what providers did not state.
        fingerprint_key: secret of this run, at most 64 bytes.
        formats: the formats to know, the first that matches reads.
        infer: infers the tasks of calls without a label; None: nobody asks for them.
    """
    identified = {
        id(one): found for one in exchanges if (found := registry.identify(one, formats=formats))
    }
    calls = []
    for attempts in group([one for one in exchanges if id(one) in identified]):
        known, request = identified[id(attempts[-1])]
        call = _call(attempts, known, request, count, fingerprint_key)
        calls.append(_with_task(call, attempts[-1].request_headers, request, infer))
    return calls


def _with_task(
    call: Call, headers: Mapping[str, str], request: Request, infer: Infer | None
) -> Call:
    """The call with the label that its request gives, else with what its words speak for."""
    if call.task is not None:
        return call
    said = mapping(request.body.get("metadata")).get("task_type") or headers.get(TASK_HEADER)
    if isinstance(said, str) and said:
        if re.fullmatch(TASK_LABEL, said):
            return replace(call, task=said)
        call = replace(call, note=notes(call.note, "the request's task label is no label: ignored"))
    if infer is None or not call.shape.count:
        return call
    inferred = infer(*instructions(request.body))
    return replace(
        call,
        task_inferred=inferred.task,
        task_confidence=inferred.confidence,
        task_cues=inferred.cues,
    )


def _call(
    attempts: Sequence[Exchange],
    known: WireFormat,
    request: Request,
    count: Counter,
    fingerprint_key: bytes,
) -> Call:
    last = attempts[-1]
    reading = registry.read(known, last, request)
    billed = _billed(last, reading) and not reading.free
    usage, source, note = _measured(reading, count) if billed else (Usage(), "none", None)
    fingerprint = blake2b(last.request_body, key=fingerprint_key, digest_size=8)
    return Call(
        provider=provider_of(last.host, known.family),
        endpoint=known.endpoint,
        host=last.host,
        model_requested=reading.model_requested,
        model_returned=reading.model_returned,
        usage=usage,
        usage_source=source,
        input_parts=input_parts(request.body) if billed else InputParts(),
        status=last.status,
        ended=last.ended,
        error=last.error or reading.error,
        billed=billed,
        attempts=len(attempts),
        unanswered=sum(one.status is None and _sent(one) for one in attempts[:-1]),
        streaming=reading.streaming,
        live=any(attempt.live is True for attempt in attempts),
        service_tier=reading.service_tier,
        batch=reading.batch,
        max_output_tokens=reading.max_output_tokens,
        fingerprint=fingerprint.hexdigest(),
        shape=request_shape(request.body, fingerprint_key),
        started=attempts[0].started,
        finished=last.finished,
        task=last.task,
        call_site=last.call_site,
        origin=last.origin,
        stated_cost_usd=reading.stated_cost_usd if billed else None,
        note=notes(reading.note, note),
    )


def _billed(exchange: Exchange, reading: Reading) -> bool:
    """Whether the provider may bill it: in doubt it does."""
    if exchange.status is None:
        return _sent(exchange)
    if not registry.answered(exchange):
        return False
    # an error in place of an answer is a refusal, whatever its status
    said = reading.texts is not None and bool(reading.texts.output)
    return not reading.error or reading.usage.stated or said


def _sent(exchange: Exchange) -> bool:
    """Whether what got no answer may have reached the provider."""
    if exchange.live is False and exchange.error:  # a mock says what would have happened
        return exchange.error in _AFTER_SENDING
    return exchange.error not in _NEVER_SENT


def _measured(reading: Reading, count: Counter) -> tuple[Usage, UsageSource, str | None]:
    """Usage, its source and a note: stated, else counted, else unknown."""
    if reading.usage_complete:
        return reading.usage, "provider", None
    if reading.error and not reading.usage.stated:
        return reading.usage, "none", "an error in the midst of the answer, without usage"
    if reading.texts is None:
        return reading.usage, "none", None
    try:
        return _counted(reading, reading.texts, count)
    except Exception as fault:  # counting must not lose a call
        return reading.usage, "none", f"the texts could not be counted ({type(fault).__name__})"


def _counted(
    reading: Reading, texts: Texts, count: Counter
) -> tuple[Usage, UsageSource, str | None]:
    usage = reading.usage
    model = reading.model_returned or reading.model_requested
    counts: list[Count] = []
    if usage.input_tokens is None:
        asked = [count.text(text, model) for text in texts.inputs]
        if texts.messages:
            asked.append(count.chat(texts.messages, model, texts.tools or None))
        if not asked:
            return usage, "none", "its input is not in the request"
        usage = replace(usage, input_tokens=sum(one.tokens for one in asked))
        counts += asked
    if usage.output_tokens is None and texts.output is not None:
        said = count.text(texts.output, model)
        usage = replace(usage, output_tokens=said.tokens)
        counts.append(said)
    usage, oversized = without_oversized(usage)  # parts may be stated without their whole
    source = worst_source(one.source for one in counts)
    return usage, source, notes("counted from the texts seen", oversized)
