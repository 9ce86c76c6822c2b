"""What an input consists of, in sizes: enough to say which part of it grew, and no text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class InputParts:
    """Sizes of the parts of one or several requests.

    Characters of text, but ``images`` (and other files), which are counted: no tokens, as no
    provider states tokens by part. They explain a change and are never compared themselves.
    """

    system: int = 0
    """Instructions: system and developer messages."""
    tools: int = 0
    """Definitions of tools and of the schema asked for, as JSON."""
    history: int = 0
    """Messages before the last of the user, answers and tool results included."""
    user: int = 0
    """The last message of the user; the texts of an embedding."""
    images: int = 0
    """Images, documents and recordings."""

    def __add__(self, other: InputParts) -> InputParts:
        """Part by part."""
        return InputParts(**{name: getattr(self, name) + getattr(other, name) for name in PARTS})

    def to_dict(self) -> dict[str, int]:
        """The parts that are there, by name."""
        return {name: size for name in PARTS if (size := getattr(self, name))}

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        return cls(**{name: sizes[name] for name in PARTS if name in sizes})


PARTS: tuple[str, ...] = tuple(field.name for field in fields(InputParts))
