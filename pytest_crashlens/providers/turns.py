"""The turns of a conversation in any wire format: texts, tool calls and results of tools.

Their texts never leave the process that saw the request: hashes, sizes and labels are made of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from pytest_crashlens.model.request_shape import TurnKind
from pytest_crashlens.providers.reading import mapping, objects

_SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction", "preamble")
_CONVERSATION = ("messages", "contents", "input", "chat_history")
_LAST = ("message", "prompt", "inputText", "inputs")
"""What is asked outside a list of messages."""
_ROLES: Mapping[str, TurnKind] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "tool": "tool_result",
    "function": "tool_result",
}
_CALLS = ("tool_use", "functionCall", "function_call", "toolUse")
_RESULTS = ("tool_result", "functionResponse", "function_response", "toolResult")
_SKIPPED = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoningContent"})
_DEEPEST = 8
NO_TEXT = "\0"
"""Stands before what is no text: images, files, the JSON of results."""


class Piece(NamedTuple):
    """One turn with its text."""

    kind: TurnKind
    text: str
    failed: bool = False
    """A tool's result that is marked as an error."""
    tool: str = ""


def pieces(body: Mapping[str, Any]) -> Iterator[Piece]:
    """The turns of a request's JSON, in order; system prompts that stand apart come first."""
    for key in _SYSTEM:
        if text := _text(body.get(key)):
            yield Piece("system", text)
    for key in _CONVERSATION:
        given = body.get(key)
        for turn in given if isinstance(given, list) else [given]:
            yield from _turn(turn)
    for key in _LAST:
        if text := _text(body.get(key)):
            yield Piece("user", text)


def _turn(turn: object) -> Iterator[Piece]:
    if isinstance(turn, str):
        if turn:
            yield Piece("user", turn)
        return
    given = mapping(turn)
    kind = given.get("type")
    if kind == "function_call":  # Responses
        yield _call(given)
    elif kind == "function_call_output":
        yield Piece("tool_result", _text(given.get("output")))
    elif kind not in _SKIPPED:
        yield from _message(given)


def _message(given: Mapping[str, Any]) -> Iterator[Piece]:
    role = _ROLES.get(str(given.get("role", "")).lower(), "user")
    key = next((key for key in ("content", "parts", "message", "text") if key in given), "content")
    content = given.get(key)
    if role == "tool_result" and not any(
        _is_any(block, _RESULTS) for block in objects(content if isinstance(content, list) else [])
    ):
        yield Piece("tool_result", _text(content))
        return
    texts: list[str] = []
    others: list[Piece] = []
    for block in content if isinstance(content, list) else [content]:
        if _is_any(block, _CALLS):
            others.append(_call(_inside(block, _CALLS)))
        elif _is_any(block, _RESULTS):
            others.append(_result(_inside(block, _RESULTS)))
        elif text := _text(block):
            texts.append(text)
    results = [piece for piece in others if piece.kind == "tool_result"]
    yield from results  # they answer what was before; a text beside them is new
    if texts:
        yield Piece("user" if role == "tool_result" else role, "\n".join(texts))
    yield from (piece for piece in others if piece.kind == "tool_call")
    for call in objects(given.get("tool_calls")):
        yield _call(mapping(call.get("function")) or call)
    if isinstance(given.get("function_call"), dict):
        yield _call(given["function_call"])


def _is_any(block: object, names: tuple[str, ...]) -> bool:
    given = mapping(block)
    return given.get("type") in names or any(isinstance(given.get(name), dict) for name in names)


def _inside(block: object, names: tuple[str, ...]) -> Mapping[str, Any]:
    given = mapping(block)
    return next((given[name] for name in names if isinstance(given.get(name), dict)), given)


def _call(given: Mapping[str, Any]) -> Piece:
    name = str(given.get("name", ""))
    arguments = next(
        (given[key] for key in ("arguments", "input", "args", "parameters") if key in given), None
    )
    if isinstance(arguments, str):
        with suppress(ValueError):  # a model's own JSON need not be any
            arguments = json.loads(arguments)
    return Piece("tool_call", f"{name} {canonical(arguments)}", tool=name)


def _result(given: Mapping[str, Any]) -> Piece:
    failed = given.get("is_error") is True or given.get("status") == "error"
    content = next((given[key] for key in ("content", "response", "output") if key in given), None)
    return Piece("tool_result", _text(content), failed)


def _text(node: object, depth: int = 0) -> str:
    """The text in ``node``; what is no text (an image, a result's JSON) in canonical JSON."""
    if isinstance(node, str):
        return node
    if isinstance(node, list):
        return "\n".join(text for item in node if (text := _text(item, depth + 1)))
    if not isinstance(node, dict) or depth > _DEEPEST:
        return "" if node is None else canonical(node)
    if node.get("type") in _SKIPPED or node.get("thought") is True or not node:
        return ""
    for key in ("text", "parts", "content", "json"):
        if isinstance(node.get(key), str | list | dict):
            return _text(node[key], depth + 1)
    if node.keys() <= {"cachePoint", "cache_control", "type"}:
        return ""
    return f"{NO_TEXT}{canonical(node)}"


def canonical(node: object) -> str:
    """``node`` as JSON in one spelling, without marks for caches: they move from turn to turn."""
    return json.dumps(_unmarked(node), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _unmarked(node: object) -> object:
    if isinstance(node, dict):
        return {key: _unmarked(node[key]) for key in node if key != "cache_control"}
    if isinstance(node, list):
        return [_unmarked(item) for item in node]
    return node
