"""Typed reading of nodes: accessors note what is wrong and return None instead of raising."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeVar
from unicodedata import category

from pytest_crashlens.policy.amounts import (
    parse_factor,
    parse_percent,
    parse_usd,
    parse_whole,
    shown,
)
from pytest_crashlens.policy.document import Items, Node, Problems, Scalar, Section

Number = TypeVar("Number", int, Decimal)
Word = TypeVar("Word", bound=str)


@dataclass(frozen=True, slots=True)
class Field:
    """A value with its path, and the place where its problems are noted."""

    node: Node
    path: str
    problems: Problems

    def error(self, text: str) -> None:
        """Note a fault at this value."""
        self.problems.error(self.node, self.path, text)

    def warn(self, text: str) -> None:
        """Note a warning at this value."""
        self.problems.warn(self.node, self.path, text)

    def fields(self, valid: Iterable[str], *, required: Iterable[str] = ()) -> dict[str, Field]:
        """The known keys of a section; unknown, missing and all-absent ones are noted."""
        valid = tuple(valid)
        entries = self.entries()
        if entries is None:
            return {}
        known: dict[str, Field] = {}
        for key, field in entries:
            if key.text in valid:
                known[key.text] = field
            else:
                self.problems.error(key, self.path, unknown("key", key.text, valid))
        for name in required:
            if name not in known:
                self.error(f"{name} is missing; add it")
        return known

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a section as written, valid or not."""
        entries = self.node.entries if isinstance(self.node, Section) else ()
        return tuple(key.text for key, _ in entries)

    def entries(self) -> tuple[tuple[Scalar, Field], ...] | None:
        """All keys of a section with their values, whatever they are called; never empty."""
        if not isinstance(self.node, Section):
            self._wrong_kind("a section of keys and values")
            return None
        if not self.node.entries:
            self.error("is empty; fill it or remove it")
            return None
        return tuple(
            (key, Field(value, below(self.path, key.text), self.problems))
            for key, value in self.node.entries
        )

    def each(self) -> tuple[Field, ...]:
        """The members of a list that must not be empty."""
        if not isinstance(self.node, Items):
            self._wrong_kind("a list")
            return ()
        if not self.node.nodes:
            self.error("is an empty list; fill it or remove it")
        return tuple(
            Field(node, f"{self.path}[{number}]", self.problems)
            for number, node in enumerate(self.node.nodes, start=1)
        )

    def walk(self) -> Iterator[Field]:
        """This value and all values within it; nothing is noted."""
        yield self
        if isinstance(self.node, Items):
            for number, node in enumerate(self.node.nodes, start=1):
                yield from Field(node, f"{self.path}[{number}]", self.problems).walk()
        elif isinstance(self.node, Section):
            for key, node in self.node.entries:
                yield from Field(node, below(self.path, key.text), self.problems).walk()

    def text(self, *, pattern: str = r".*", example: str = "") -> str | None:
        """A text that is not empty; ``pattern`` is what all of it must look like."""
        expected = f"text such as {example}" if example else "text"
        scalar = self._scalar(expected)
        if scalar is None:
            return None
        if scalar.kind != "text":
            self.error(
                f"expected {expected}, found {KINDS[scalar.kind]} {shown(scalar.text)}; "
                "put it in quotes if it is meant"
            )
        elif not scalar.text.strip():
            self.error("is an empty text; fill it or remove it")
        elif any(category(c) in ("Cc", "Cs") and c not in "\n\t" for c in scalar.text):
            self.error(f"{shown(scalar.text)} has control characters; remove them")
        elif not re.fullmatch(pattern, scalar.text, re.DOTALL):
            self.error(f"{shown(scalar.text)} is not of the right form; write it like {example}")
        else:
            return scalar.text
        return None

    def words(self, valid: Iterable[Word]) -> tuple[Word, ...]:
        """A list of different ones of the ``valid`` words that must not be empty."""
        words = {str(word): word for word in valid}
        return tuple(words[text] for text in self._different(lambda one: one.choice(words)))

    def texts(self, *, pattern: str = r".*", example: str = "") -> tuple[str, ...]:
        """A list of different texts that must not be empty; for the rest see :meth:`text`."""
        return self._different(lambda one: one.text(pattern=pattern, example=example))

    def _different(self, read_one: Callable[[Field], str | None]) -> tuple[str, ...]:
        read: list[str] = []
        for field in self.each():
            text = read_one(field)
            if text in read:
                field.error(f"{shown(text)} is given twice; keep one")
            elif text is not None:
                read.append(text)
        return tuple(read)

    def choice(self, valid: Iterable[Word]) -> Word | None:
        """One of the ``valid`` words."""
        words = {str(word): word for word in valid}
        text = self.text(example=next(iter(words)))
        if text is not None and text not in words:
            self.error(unknown("value", text, tuple(words)))
        return words.get(text or "")

    def whole(self, *, minimum: int = 0) -> int | None:
        """A whole number of at least ``minimum``, written as a number."""
        scalar = self._scalar("a whole number")
        if scalar is None:
            return None
        if scalar.quoted:
            self.error(f"expected a whole number, found text {shown(scalar.text)}; remove quotes")
            return None
        if scalar.kind == "bool":
            self._wrong_kind("a whole number")
            return None
        return self._parsed(lambda text: parse_whole(text, minimum=minimum), scalar)

    def usd(self) -> Decimal | None:
        """US dollars, as text or number."""
        return self._amount("US dollars", parse_usd)

    def percent(self) -> Decimal | None:
        """A percentage: 20 for ``20%``."""
        return self._amount("a percentage", parse_percent)

    def factor(self) -> Decimal | None:
        """What something is multiplied by: 0.8."""
        return self._amount("a factor", parse_factor)

    def flag(self) -> bool | None:
        """``true`` or ``false``."""
        scalar = self._scalar("true or false")
        if scalar is None:
            return None
        if not scalar.quoted and scalar.text.lower() in ("true", "false"):
            return scalar.text.lower() == "true"
        self._wrong_kind("true or false")
        return None

    @property
    def is_off(self) -> bool:
        """Whether it says ``off`` (or ``false``), quoted or not."""
        return isinstance(self.node, Scalar) and self.node.text.strip().lower() in ("off", "false")

    def _amount(self, expected: str, parse: Callable[[str], Decimal]) -> Decimal | None:
        scalar = self._scalar(expected)
        if scalar is not None and scalar.kind == "bool":
            self._wrong_kind(expected)
            return None
        return self._parsed(parse, scalar) if scalar else None

    def _parsed(self, parse: Callable[[str], Number], scalar: Scalar) -> Number | None:
        try:
            return parse(scalar.text)
        except ValueError as error:
            self.error(str(error))
            return None

    def _scalar(self, expected: str) -> Scalar | None:
        if isinstance(self.node, Scalar) and self.node.kind != "null":
            return self.node
        self._wrong_kind(expected)
        return None

    def _wrong_kind(self, expected: str) -> None:
        node = self.node
        if isinstance(node, Scalar) and node.kind == "null":
            if node.comment:
                word = node.comment.split()[0]
                self.error(
                    f"is empty, because an unquoted # begins a YAML comment; expected {expected}; "
                    f"if {word} is the value, put it in quotes: {shown(word)}"
                )
            else:
                self.error(f"is empty; give it {expected}, or remove it")
            return
        if isinstance(node, Scalar):
            found = f"{KINDS[node.kind]} {shown(node.text)}"
        else:
            found = "a list" if isinstance(node, Items) else "a section of keys and values"
        self.error(
            f"expected {expected}, found {found}; write {EXAMPLES.get(expected, 'one text')}"
        )


EXAMPLES: Mapping[str, str] = {
    "a list": "[a, b]",
    "a section of keys and values": "key: value, each on its own line",
    "a whole number": "digits only, such as 750",
    "US dollars": 'an amount such as "0.05"',
    "a percentage": 'a percentage such as "20%"',
    "a factor": 'a number such as "0.8"',
    "true or false": "true",
}
KINDS: Mapping[str, str] = {
    "text": "text",
    "number": "the number",
    "bool": "the true/false value",
    "other": "a value of another kind,",
}


def unknown(what: str, given: str, valid: Iterable[str]) -> str:
    """Says that ``given`` is not among ``valid``, which is nearest, and what all of them are."""
    valid = tuple(valid)
    near = get_close_matches(given.lower()[:80], valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? Known" if near else "known"
    return f"unknown {what} {shown(given)}; {hint}: {', '.join(valid)}"


def below(path: str, key: str) -> str:
    """The path of what ``key`` holds in the section at ``path``."""
    if not path:
        return key if re.fullmatch(r"[\w-]+", key) else shown(key)
    return f"{path}.{key}" if re.fullmatch(r"[\w-]+", key) else f"{path}[{shown(key)}]"
