"""YAML text as nodes that know where and how they were written.

A small layer over PyYAML's events: nothing is converted (``off`` stays ``off``, ``0.10`` stays
``0.10``), nothing is constructed, and what cannot be understood at a glance is refused: duplicate
keys, anchors, aliases, tags, several documents, deep nesting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_crashlens.policy.amounts import shown

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 262_144
"""A settings file is a few kilobytes; more is the wrong file (and slow to read)."""
MAX_DEPTH = 24

Kind = Literal["text", "number", "bool", "null", "other"]
"""What YAML 1.1 takes a plain scalar for; quoted ones are text."""
KINDS: tuple[tuple[str, Kind], ...] = (
    ("tag:yaml.org,2002:str", "text"),
    ("tag:yaml.org,2002:int", "number"),
    ("tag:yaml.org,2002:float", "number"),
    ("tag:yaml.org,2002:bool", "bool"),
    ("tag:yaml.org,2002:null", "null"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a settings source, with its place and fix."""

    line: int
    """1-based, as ``col``; 0 where the source has no lines (a marker)."""
    col: int
    path: str
    """``policies[1].rules[2].max_retries``: lists are counted from 1; empty for the whole file."""
    text: str
    severity: Literal["error", "warning"] = "error"

    def render(self, filename: str) -> str:
        """``file:line:col: severity: path: text``."""
        path = f"{self.path}: " if self.path else ""
        return f"{filename}:{self.line}:{self.col}: {self.severity}: {path}{self.text}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, unconverted."""

    line: int
    col: int
    text: str
    kind: Kind
    quoted: bool = False
    comment: str = ""
    """What follows an empty value on its line, when that is a comment: often a forgotten quote."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    col: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping; keys are scalars and differ."""

    line: int
    col: int
    entries: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Items | Section


class Problems:
    """What is wrong with one source, in the order it was found."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def error(self, node: Node, path: str, text: str) -> None:
        """Note a fault that makes the source unusable."""
        self.found.append(Problem(node.line, node.col, path, text))

    def warn(self, node: Node, path: str, text: str) -> None:
        """Note something the user should know that does not stop the run."""
        self.found.append(Problem(node.line, node.col, path, text, "warning"))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The faults, by place."""
        return self._of("error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings, by place."""
        return self._of("warning")

    def _of(self, severity: str) -> tuple[Problem, ...]:
        return tuple(
            sorted((p for p in self.found if p.severity == severity), key=lambda p: (p.line, p.col))
        )


def parse_document(text: str, problems: Problems) -> Section | None:
    """The root of the one document in ``text``; None when ``problems`` says why not."""
    import yaml

    if len(text) > MAX_BYTES:
        problems.error(
            START, "", f"larger than {MAX_BYTES // 1024} KiB; is this the file you mean?"
        )
        return None
    reader = _DocumentReader(text, problems)
    try:
        root = reader.read()
    except _TooDeepError as error:
        problems.found.append(error.problem)
        return None
    except yaml.YAMLError as error:
        problems.found.append(_syntax_problem(error, text))
        return None
    except (ValueError, OverflowError):
        # PyYAML lets these through: an escape beyond Unicode ("\U99999999"), a huge %YAML version
        problems.error(
            START, "", "not valid YAML: an escape sequence or directive holds a number out of range"
        )
        return None
    return None if reader.lost else root


class _TooDeepError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


START = Scalar(1, 1, "", "null")
"""The beginning of the file, for what concerns all of it."""


class _DocumentReader:
    """Builds nodes from events; faults of form are collected, faults of syntax are raised."""

    def __init__(self, text: str, problems: Problems) -> None:
        import yaml

        self.problems = problems
        self.lines = text.splitlines()
        self.resolver = yaml.resolver.Resolver()
        self.lost = False
        """Whether a value is not known, so that what it is part of cannot be judged."""
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def read(self) -> Section | None:
        import yaml

        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            self.problems.error(START, "", EMPTY)
            return None
        root = self.node(next(self.events), depth=1)
        next(self.events)  # the document's end
        following = next(self.events)
        if isinstance(following, yaml.DocumentStartEvent):
            self.refuse(following, "a second document begins here; keep one, without ---")
        if isinstance(root, Section):
            return root
        empty = isinstance(root, Scalar) and root.kind == "null"
        self.problems.error(root, "", EMPTY if empty else "expected keys; begin with: version: 1")
        return None

    def node(self, event: yaml.Event, depth: int) -> Node:
        import yaml

        line, col = _place(event)
        if isinstance(event, yaml.AliasEvent):
            self.lost = True
            name = f"*{event.anchor}"
            self.refuse(
                event, f"{name} is a YAML alias: write the value out, or quote it if * is meant"
            )
            return Scalar(line, col, "", "null")
        if getattr(event, "anchor", None):
            self.refuse(
                event, f"&{getattr(event, 'anchor', '')} is a YAML anchor: write values out"
            )
        tag = getattr(event, "tag", None)
        if tag:
            self.refuse(event, f"YAML tags are not understood here: remove {shown(str(tag))}")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if depth > MAX_DEPTH:
            raise _TooDeepError(Problem(line, col, "", f"nested more than {MAX_DEPTH} deep"))
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(line, col, tuple(self.children(yaml.SequenceEndEvent, depth)))
        return self.section(line, col, depth)

    def children(self, end: type[yaml.Event], depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), end):
            yield self.node(event, depth + 1)

    def section(self, line: int, col: int, depth: int) -> Section:
        import yaml

        entries: dict[str, tuple[Scalar, Node]] = {}
        nodes = self.children(yaml.MappingEndEvent, depth)
        for key in nodes:
            value = next(nodes)
            if not isinstance(key, Scalar):
                self.lost = True
                self.problems.error(key, "", "a key must be a single word; put {} or [] in quotes")
            elif key.text in entries:
                first = entries[key.text][0]
                again = f"{shown(key.text)} is given twice (first in line {first.line}); keep one"
                self.problems.error(key, "", again)
            else:
                entries[key.text] = (key, value)
        return Section(line, col, tuple(entries.values()))

    def scalar(self, event: yaml.ScalarEvent) -> Scalar:
        import yaml

        line, col = _place(event)
        resolve: Callable[..., str] = self.resolver.resolve
        tag = resolve(yaml.ScalarNode, event.value, event.implicit)
        kind = dict(KINDS).get(tag, "other")
        rest = self.lines[line - 1][col - 1 :].strip() if line <= len(self.lines) else ""
        return Scalar(
            line,
            col,
            event.value,
            kind,
            quoted=bool(event.style),
            comment=rest if not event.value and not event.style and rest[:1] == "#" else "",
        )

    def refuse(self, event: yaml.Event, text: str) -> None:
        self.problems.error(Scalar(*_place(event), "", "null"), "", text)


EMPTY = "the file is empty; begin with: version: 1"


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    """PyYAML's complaint with its place and, where we know the usual cause, the fix."""
    import yaml

    if isinstance(error, yaml.reader.ReaderError):
        before = f"{text[: error.position]}?".splitlines()  # and the character itself
        character = text[error.position].encode("unicode_escape").decode()
        said = f"the character {character} is not allowed in YAML; remove it"
        return Problem(len(before), len(before[-1]), "", said)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = (getattr(error, "context", None), getattr(error, "problem", None))
    said = ", ".join(str(part) for part in parts if part) or "cannot be read"
    line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(line, col, "", f"not valid YAML: {said}{_usual_cause(said)}")


def _usual_cause(said: str) -> str:
    if r"'\t'" in said:
        return "; indent with spaces, not tabs"
    if "alias" in said or "anchor" in said or "cannot start any token" in said:
        return "; put values that begin with a special character in quotes"
    if "mapping values are not allowed" in said:
        return "; check the indentation, and quote values that hold ': '"
    if "expected <block end>" in said or "could not find expected ':'" in said:
        return "; check the indentation and the ':' after each key"
    if "flow" in said:
        return "; close every [ and {, and quote values with #"
    return ""
