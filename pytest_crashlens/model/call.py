"""One logical LLM call, however many attempts it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from pytest_crashlens.model.exchange import Ended
from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.model.request_shape import RequestShape
from pytest_crashlens.model.usage import Usage, UsageSource

TASK_LABEL = r"[a-z][a-z0-9_]{0,79}"
"""What the name of a task looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call in the vocabulary of the OpenTelemetry GenAI conventions, without any text.

    Everything in it is a number, a name or a keyed hash, so that it may be stored and sent.
    """

    provider: str
    """By host where that is known (``openai``, ``azure``, ``anthropic``, ``groq`` ...), else the
    provider whose wire format the host speaks."""
    endpoint: str
    """``chat``, ``responses``, ``embeddings``, ``messages`` ..."""
    host: str = ""
    model_requested: str | None = None
    model_returned: str | None = None
    aliases: tuple[str, ...] = ()
    """What else the model is called: what it stands for, by ``prices:`` of crashlens.yml."""
    usage: Usage = field(default_factory=Usage)
    usage_source: UsageSource = "none"
    input_parts: InputParts = field(default_factory=InputParts)
    """Sizes of what the input consists of."""
    status: int | None = None
    """HTTP status of the last attempt; None: no answer."""
    ended: Ended = "complete"
    error: str | None = None
    billed: bool = True
    """False: refused by the provider (HTTP error), never sent (no connection) or free of charge by
    the provider's documentation; costs nothing."""
    attempts: int = 1
    unanswered: int = 0
    """Earlier attempts that were sent and got no answer (a timeout, say): the provider may bill
    them, and nobody knows how much."""
    streaming: bool = False
    live: bool = False
    """True: spent over a network; False: simulated (replayed or mocked)."""
    service_tier: str | None = None
    """As the response states it; None where it is the standard one."""
    batch: bool = False
    max_output_tokens: int | None = None
    """The cap on output that the request sets, if any."""
    fingerprint: str = ""
    """Keyed hash of the request's body: equal bodies are equal within one run."""
    shape: RequestShape = field(default_factory=RequestShape)
    """What the request consists of, in sizes and keyed hashes."""
    started: float = 0.0
    """Seconds on a monotonic clock: when its first attempt began."""
    finished: float | None = None
    """When its last attempt ended; None: that was not seen."""
    task: str | None = None
    """Its label: by a scope or marker, or as the request itself says."""
    task_inferred: str | None = None
    """The task that the request's words speak for; None: nothing was inferred."""
    task_confidence: float = 0.0
    """How often such an inference was right, where that was measured."""
    task_cues: tuple[str, ...] = ()
    """Names of what spoke for it."""
    call_site: str | None = None
    origin: str | None = None
    """For a call sent late: the test or fixture that started the work, which had finished."""
    stated_cost_usd: str | None = None
    """USD that the answer itself states (some gateways), as exact text: a fact beside our price."""
    note: str | None = None
    """What a reader should know of this reading (``no usage in the stream: pass ...``)."""

    @property
    def model(self) -> str | None:
        """The model that answered, or the one asked for when the answer does not say."""
        return self.model_returned or self.model_requested

    @property
    def retries(self) -> int:
        """Attempts beyond the first."""
        return self.attempts - 1

    @property
    def usage_unknown(self) -> bool:
        """Billed, yet neither stated nor countable: a named state, never zero."""
        return self.billed and self.usage_source == "none"

    def to_dict(self) -> dict[str, Any]:
        """Exact builtin types only (it crosses process borders on a test report)."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("usage", "input_parts", "shape"):
            plain[name] = plain[name].to_dict()
        return plain | {name: list(plain[name]) for name in _LISTS}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        known = {f.name: plain[f.name] for f in fields(cls) if f.name in plain}
        known["usage"] = Usage.from_dict(plain.get("usage", {}))
        known["input_parts"] = InputParts.from_dict(plain.get("input_parts", {}))
        known["shape"] = RequestShape.from_dict(plain.get("shape", {}))
        known |= {name: tuple(plain.get(name, ())) for name in _LISTS}
        return cls(**known)


_LISTS = ("aliases", "task_cues")
"""Fields that hold names."""
