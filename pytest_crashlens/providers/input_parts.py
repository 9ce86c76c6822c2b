"""What a request's input consists of, in sizes, whatever the wire format.

The formats differ in names and not in kind, so the names are read and not the format: a gateway
or a server of one's own is read as well as the provider it imitates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.providers.reading import mapping, objects

_SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction", "preamble")
_TOOLS = (
    ("tools",),
    ("functions",),
    ("toolConfig", "tools"),  # Bedrock's; Gemini's toolConfig has none
)
_SCHEMAS = (
    ("response_format",),
    ("text", "format"),  # Responses
    ("format",),  # Ollama
    ("output_format",),  # Anthropic
    ("output_config", "format"),
    ("outputConfig", "textFormat"),  # Bedrock
    ("generationConfig", "responseSchema"),
    ("generationConfig", "responseJsonSchema"),
    ("generation_config", "response_schema"),
)
_ASKED = (
    *("prompt", "suffix", "inputs", "inputText", "text_prompts", "promptVariables", "message"),
    *("texts", "query", "documents", "document", "inputImage", "images", "content"),
)
_MEDIA_TYPES = frozenset(
    {"image", "image_url", "input_image", "audio", "input_audio", "video", "video_url"}
    | {"file", "input_file", "document", "document_url"}
)
_MEDIA = frozenset(
    {"image", "image_url", "input_audio", "video", "audio", "document", "document_url"}
    | {"inlineData", "inline_data", "fileData", "file_data"}
)
_AS_JSON = frozenset({"input", "args", "arguments", "response", "json", "parameters"})
"""What a tool was asked and what it answered; it enters the input as JSON."""
_NO_TEXT = frozenset(
    {"role", "type", "id", "call_id", "tool_call_id", "tool_use_id", "toolUseId", "status"}
    | {"signature", "thoughtSignature", "thought_signature", "encrypted_content"}
    | {"redactedContent", "cache_control", "cachePoint", "annotations", "logprobs", "bytes"}
)
_RESULTS = frozenset({"toolResult", "functionResponse", "function_response"})
_USERS_TYPES = frozenset({None, "message", "text", "input_text", "user_input"}) | _MEDIA_TYPES
"""What an item without a role may be, and be of the user."""


def input_parts(body: Mapping[str, Any]) -> InputParts:
    """The sizes of what ``body``, a request's JSON, gives to the model; never raises."""
    try:
        return _Input(body).parts()
    except Exception:  # hostile or too deep: it explains a change, and no call depends on it
        return InputParts()


class _Size:
    """Characters of text, and how many images and files are among it."""

    def __init__(self) -> None:
        self.text = 0
        self.media = 0

    def add(self, node: object) -> None:
        """Count all text in ``node``; numbers, names of roles, ids and the like are no text."""
        if isinstance(node, str):
            self.text += len(node)
        elif isinstance(node, list):
            for item in node:
                self.add(item)
        elif isinstance(node, dict):
            if _is_medium(node):
                self.media += 1
            else:
                self.add_fields(node)

    def add_fields(self, node: Mapping[str, Any]) -> None:
        """Count the fields of what is no image itself."""
        for key, value in node.items():
            if key in _NO_TEXT or (key == "data" and isinstance(value, str)):  # base64
                continue
            if key == "images" and isinstance(value, list):  # Ollama, Cohere
                self.media += len(value)
            elif key == "inputImage":  # Titan
                self.media += 1
            elif key == "document" and "data" in mapping(value):  # Cohere's are texts
                self.add(value["data"])
            elif key in _AS_JSON and isinstance(value, dict | list):
                self.text += _json_size(value)
            else:
                self.add(value)


class _Input:
    """One request, its parts counted one after the other."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._system, self._history, self._user = _Size(), _Size(), _Size()

    def parts(self) -> InputParts:
        """Its sizes."""
        body = self._body
        for key in _SYSTEM:
            self._system.add(body.get(key))
        for key in ("messages", "contents", "input"):
            self._conversation(body.get(key))
        for turn in objects(body.get("chat_history")):  # Cohere's first version
            place = self._system if _role(turn) == "system" else self._history
            place.add_fields(turn)
        self._user.add_fields({key: body[key] for key in _ASKED if key in body})
        for each in (*objects(body.get("requests")), *objects(body.get("instances"))):  # Google
            self._user.add(each.get("content") or each.get("prompt"))
        if isinstance(body.get("text"), str):
            self._user.add(body["text"])
        sizes = (self._system, self._history, self._user)
        return InputParts(
            system=self._system.text,
            tools=sum(_json_size(tools) for tools in _found(body, _TOOLS))
            + sum(_json_size(schema) for schema in _found(body, _SCHEMAS) if _nests(schema)),
            history=self._history.text,
            user=self._user.text,
            images=sum(size.media for size in sizes),
        )

    def _conversation(self, given: object) -> None:
        """Messages, or what else is asked: a text, texts, one content."""
        listed = given if isinstance(given, list) else [given]
        turns = objects(listed)
        self._user.add([item for item in listed if isinstance(item, str)])
        has_roles = any(_role(turn) for turn in turns)
        asked = [place for place, turn in enumerate(turns) if _asks(turn)]
        last = set(asked[-1:] if has_roles else asked)
        for place, turn in enumerate(turns):
            if _role(turn) in ("system", "developer"):
                self._system.add_fields(turn)
            elif place not in last:
                self._add_turn(self._history, turn)
            else:
                results, rest = _without_results(turn)
                self._history.add(results)
                self._add_turn(self._user, rest)

    @staticmethod
    def _add_turn(size: _Size, turn: Mapping[str, Any]) -> None:
        # a message may have a field "audio" and is none
        add = size.add_fields if _role(turn) else size.add
        add(turn)


def _role(turn: Mapping[str, Any]) -> str:
    role = turn.get("role")
    return role.lower() if isinstance(role, str) else ""


def _asks(turn: Mapping[str, Any]) -> bool:
    """Whether it is a message of the user, and not only the results of tools in its place."""
    role = _role(turn)
    kind = turn.get("type")
    if role not in ("user", "human") and (role or not isinstance(kind, str | None)):
        return False
    if not role and kind not in _USERS_TYPES:
        return False
    blocks = objects(_blocks(turn))
    return not blocks or not all(_is_result(block) for block in blocks)


def _without_results(turn: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
    """The results of tools in a message of the user, and the message without them."""
    blocks = _blocks(turn)
    if not isinstance(blocks, list):
        return [], turn
    results = [block for block in blocks if _is_result(block)]
    if not results:
        return [], turn
    key = "parts" if "parts" in turn else "content"
    return results, {**turn, key: [block for block in blocks if not _is_result(block)]}


def _blocks(turn: Mapping[str, Any]) -> object:
    return turn.get("parts") if "parts" in turn else turn.get("content")


def _is_result(block: object) -> bool:
    if not isinstance(block, dict):
        return False
    return block.get("type") == "tool_result" or not _RESULTS.isdisjoint(block)


def _is_medium(node: Mapping[str, Any]) -> bool:
    """Whether it is an image, a document or a recording, in any format's way."""
    if "data" in mapping(node.get("document")):
        return False
    kind = node.get("type")
    if isinstance(kind, str) and kind in _MEDIA_TYPES:
        return True
    return any(isinstance(node[key], dict | str) for key in _MEDIA.intersection(node))


def _found(body: Mapping[str, Any], paths: Iterable[tuple[str, ...]]) -> Iterable[Any]:
    for *outer, last in paths:
        place = body
        for key in outer:
            place = mapping(place.get(key))
        value = place.get(last)
        if value and isinstance(value, dict | list):
            yield value


def _nests(value: Any) -> bool:
    """Whether it has a schema, and is not only the name of a format."""
    return isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values())


def _json_size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
