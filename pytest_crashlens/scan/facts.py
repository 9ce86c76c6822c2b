"""What a file says, before any policy is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands."""

    line: int
    column: int
    """1-based, as ``line``."""
    end_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelText:
    """A string constant that may be the name of a model."""

    place: Place
    text: str
    named: bool
    """Whether what it is given to is called a model (``model=``, ``MODEL = ``)."""
    sure: bool
    """Whether it is there to be called; else it may only be known."""


Cap = Literal["stated", "missing", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A call of a shape that is known to reach a model, or the making of what will call it."""

    place: Place
    name: str
    """As it is written: ``chat.completions.create``."""
    model: str | None = None
    """None: not known here."""
    cap_name: str
    """The argument that caps the output."""
    cap: Cap
    cap_tokens: int | None = None
    """Of a stated cap; None: its value is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySetting:
    """How often something may try again."""

    place: Place
    text: str
    """As it is written: ``max_retries=5``."""
    retries: int | None
    """Attempts after the first; None: without end."""
    models: tuple[str | None, ...] = (None,)
    """Of the calls that it repeats; None: one that is not known."""
    sure: bool = True
    """Whether what is repeated are calls of a model."""


@dataclass(slots=True)
class Facts:
    """Of one file."""

    models: list[ModelText] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    retries: list[RetrySetting] = field(default_factory=list)
