"""What a request is made of, in numbers and keyed hashes: enough to see loops, and no text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

TurnKind = Literal["system", "user", "assistant", "tool_call", "tool_result"]

PREFIX_STEP = 1_024
"""Characters between two hashes of a request's beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A text, a tool call or a tool's result in a conversation."""

    kind: TurnKind
    own: str
    """Keyed hash of its content; ids that differ between runs are left out."""
    through: str
    """Keyed hash of the conversation up to here and including it, whatever the wire format."""
    size: int
    """Characters."""
    complains: bool = False
    """A user's text or a tool's result that reports a fault in what the model said."""
    waits: bool = False
    """A tool's result that says that something is not finished yet."""
    tool: str = ""
    """Keyed hash of the tool's name, of a tool call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestShape:
    """A request without its text. Hashes compare within one run only (its key is a secret)."""

    conversation: str = ""
    """Keyed hash of all turns, without the model and its parameters: equal for one question put
    to several models in several formats. Empty: no conversation was found."""
    count: int = 0
    """Turns in all."""
    turns: tuple[Turn, ...] = ()
    """The last ones."""
    characters: int = 0
    """Of tools and turns together."""
    prefix: tuple[str, ...] = ()
    """Keyed hashes of its first 1,024, 2,048 ... characters (tools, then turns), as providers
    compare beginnings for their caches."""
    cache_marks: int = 0
    """Breakpoints and other references to a prompt cache."""
    samples: bool | None = None
    """Whether the temperature is above zero; None: it is not stated."""

    def to_dict(self) -> dict[str, Any]:
        """Exact builtin types only (it crosses process borders on a test report)."""
        plain = asdict(self)
        plain["turns"] = list(plain["turns"])
        plain["prefix"] = list(self.prefix)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        known = {f.name: plain[f.name] for f in fields(cls) if f.name in plain}
        known["turns"] = tuple(Turn(**turn) for turn in plain.get("turns", ()))
        known["prefix"] = tuple(plain.get("prefix", ()))
        return cls(**known)
