"""The items of a list in a YAML file, one after the other and as plain data only.

Built from the parser's events: no tag makes an object, nothing before a mistake is lost, nesting
costs no stack, and aliases may not make much out of little.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from pytest_crashlens.recordings.recording import Unusable

_DEEPEST = 500
_MOST_REPEATED = 2**26
"""Characters and values that the aliases of one document may repeat in all."""

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def yaml_items(stream: IO[str], keys: frozenset[str]) -> Iterator[object]:
    """Items of the lists below one of ``keys``, or of a document that is a list.

    Raises:
        Unusable: the text is no YAML from here on.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder(keys)
    try:
        for event in yaml.parse(stream, Loader=loader):
            yield from builder.take(event)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Unusable(f"{line}{error.problem or 'no YAML'}") from None
    except yaml.YAMLError as error:
        raise Unusable(
            f"no YAML: {getattr(error, 'reason', None) or type(error).__name__}"
        ) from None
    except RecursionError:
        raise Unusable("its YAML is nested too deep") from None


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    value: list[Any] | dict[Any, Any]
    anchor: str | None
    streamed: bool
    """Its items are handed out instead of being kept."""
    weight: int = 1
    key: str | None = None
    """The key whose value comes next."""


@dataclass(slots=True)
class _Builder:
    keys: frozenset[str]
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    repeated: int = 0
    tag_of: Callable[[str, Any], str] = field(default_factory=lambda: _tag_of())

    def take(self, event: Any) -> Iterator[object]:
        """The items that are complete with this event: one or none."""
        match type(event).__name__:
            case "MappingStartEvent":
                self._open({}, event.anchor)
            case "SequenceStartEvent":
                self._open([], event.anchor)
            case "MappingEndEvent" | "SequenceEndEvent":
                done = self.stack.pop()
                yield from self._add(done.value, done.weight, done.anchor)
            case "ScalarEvent":
                value = self._scalar(event)
                yield from self._add(value, 1 + len(event.value), event.anchor)
            case "AliasEvent":
                yield from self._add(*self._repeat(event))
            case "DocumentEndEvent":
                self.anchors.clear()
                self.repeated = 0

    def _open(self, value: list[Any] | dict[Any, Any], anchor: str | None) -> None:
        if len(self.stack) >= _DEEPEST:
            raise Unusable("its YAML is nested too deep")
        streamed = isinstance(value, list) and (
            not self.stack or (len(self.stack) == 1 and self.stack[0].key in self.keys)
        )
        self.stack.append(_Open(value, anchor, streamed))

    def _add(self, value: Any, weight: int, anchor: str | None) -> Iterator[object]:
        """Put ``value`` where it belongs."""
        if anchor is not None:
            self.anchors[anchor] = (value, weight)
        if not self.stack:
            return
        parent = self.stack[-1]
        parent.weight += weight
        if isinstance(parent.value, dict):
            if parent.key is None:
                parent.key = value if isinstance(value, str) else type(value).__name__
            else:
                parent.value[parent.key] = value
                parent.key = None
        elif parent.streamed:
            yield value
        else:
            parent.value.append(value)

    def _repeat(self, event: Any) -> tuple[Any, int, None]:
        if event.anchor not in self.anchors:
            raise Unusable(f"line {event.start_mark.line + 1}: an alias of nothing, or of itself")
        value, weight = self.anchors[event.anchor]
        self.repeated += weight
        if self.repeated > _MOST_REPEATED:
            raise Unusable("its aliases repeat too much")
        return value, weight, None

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.tag_of(event.value, event.implicit)
        return _plain(str(tag).rpartition(":")[2].removeprefix("!"), event.value)


def _tag_of() -> Callable[[str, Any], str]:
    """What tells the tag of a scalar that has none, by its look."""
    from yaml.nodes import ScalarNode
    from yaml.resolver import Resolver

    resolve: Callable[[Any, str, Any], str] = Resolver().resolve
    return partial(resolve, ScalarNode)


def _plain(kind: str, text: str) -> Any:
    """The value of a scalar; text where it is none of the simple kinds (dates, unknown tags)."""
    if kind == "null":
        return None
    if kind == "bool":
        return _WORDS.get(text.lower(), text)
    if kind in ("binary", "python/bytes"):
        try:
            return base64.b64decode(text)
        except (binascii.Error, ValueError):
            return text
    if kind in ("int", "float"):
        try:
            return int(text) if kind == "int" else float(text)
        except ValueError:  # octal, sexagesimal, 1_000
            return text
    return text
