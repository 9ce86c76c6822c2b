"""Checks a document against one of our JSON Schemas, as far as these use the language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
KNOWN = frozenset(
    {
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "description",
        "enum",
        "items",
        "maximum",
        "minimum",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    }
)
"""Words of the language that are understood; a test keeps the schemas to them."""


def problems(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with ``value``, each as ``place: fault``."""
    yield from _problems(value, schema, schema, "")


def _problems(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        yield from _problems(value, root["$defs"][name], root, at)
        return
    if "anyOf" in schema:
        found = [list(_problems(value, one, root, at)) for one in schema["anyOf"]]
        if all(found):
            yield from found[-1]
        return
    fault = _fault(value, schema)
    if fault:
        yield f"{at or 'the document'}: {fault}"
    elif isinstance(value, dict):
        yield from _in_object(value, schema, root, at)
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from _problems(item, schema["items"], root, f"{at}[{number}]")


def _fault(value: Any, schema: Mapping[str, Any]) -> str | None:
    if "const" in schema and not _same(value, schema["const"]):
        return f"expected {schema['const']!r}, got {_shown(value)}"
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        return f"expected one of {', '.join(schema['enum'])}, got {_shown(value)}"
    wanted = schema.get("type", [])
    names = [wanted] if isinstance(wanted, str) else wanted
    if names and not any(_is(value, name) for name in names):
        return f"expected {' or '.join(names)}, got {_shown(value)}"
    if isinstance(value, str) and "pattern" in schema:
        # "$" of Python lets a line break pass
        pattern = schema["pattern"].removeprefix("^").removesuffix("$")
        if not re.fullmatch(pattern, value):
            return f"expected a text like {schema['pattern']}, got {_shown(value)}"
    if isinstance(value, int) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            return f"expected at least {schema['minimum']}, got {_shown(value)}"
        if value > schema.get("maximum", value):
            return f"expected at most {schema['maximum']}, got {_shown(value)}"
    return None


def _in_object(
    value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at or 'the document'}: {name} is missing"
    known = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name, item in value.items():
        inside = known.get(name, others)
        if inside is not None:
            place = f"{at}.{name}" if at else name
            yield from _problems(item, inside, root, place if name in known else _shown(place))


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _same(value: Any, wanted: Any) -> bool:
    return type(value) is type(wanted) and value == wanted


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > 100:
        return "a huge number"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
