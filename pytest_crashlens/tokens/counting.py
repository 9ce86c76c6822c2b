"""Counting what no provider counted: text and chat requests, marked by how sure the count is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_crashlens.model.usage import UsageSource, worst_source
from pytest_crashlens.tokens.encodings import (
    EncodingName,
    RankFiles,
    RanksUnavailable,
    bare_name,
    tokenizer_for,
)

if TYPE_CHECKING:
    from tiktoken import Encoding

_CHARS_PER_TOKEN = 4
"""Rule of thumb of OpenAI and Google for English text."""

_LONGEST_RUN = 50_000
"""Blanks in a row, beyond which a text is cut to be counted: a run of a million overflows the
stack of tiktoken's pattern matching."""

_MEDIA_TOKENS = 765
"""One 1024 x 1024 image at high detail on gpt-4o (85 + 4 * 170): for any image, file or audio."""

_LOW_DETAIL_TOKENS = 85

_MEDIA_TYPES = re.compile(r"image|input_image|image_url|input_audio|audio|file|input_file|document")

_MAX_LEAVES = 100_000

_CHAT_FORMULA = re.compile(r"gpt-4o(-mini)?(-\d{4}-\d{2}-\d{2})?|gpt-4(-32k)?(-0314|-0613)?")
"""Models for which the OpenAI cookbook's formula is documented and met the API's own count."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number of tokens and where it comes from."""

    tokens: int
    source: UsageSource
    """``tokenizer``: the model's own tokenizer and a documented formula; else ``estimated``."""


class TokenCounter:
    """Counts tokens from memory alone; make it before tests run, encodings are built lazily."""

    def __init__(self, ranks: RankFiles) -> None:
        self._ranks = ranks
        self._encodings: dict[EncodingName, Encoding | None] = {}

    @classmethod
    def load(cls) -> TokenCounter:
        """Read rank files and import tiktoken (no encoding is built yet)."""
        return cls(RankFiles.load())

    def text(self, text: str, model: str | None) -> Count:
        """The tokens of ``text`` as ``model`` counts them."""
        tokenizer = tokenizer_for(model)
        encoding = self._encoding(tokenizer.encoding)
        if encoding is None:
            return Count(-(-len(text) // _CHARS_PER_TOKEN), "estimated")
        pieces = _pieces(text)
        tokens = sum(len(encoding.encode_ordinary(piece)) for piece in pieces)
        exact = tokenizer.exact and len(pieces) == 1
        return Count(-(-tokens * tokenizer.percent // 100), "tokenizer" if exact else "estimated")

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str | None,
        tools: Sequence[Any] | None = None,
    ) -> Count:
        """The input tokens of a chat request, by the formula of OpenAI's cookbook.

        ``3 + sum(3 + tokens of all values + 1 for a name)`` per message. Nested content, images
        and tools have no documented formula: with them the count is estimated. Never raises,
        whatever JSON the request holds.

        Source: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
        """
        documented = _CHAT_FORMULA.fullmatch(bare_name(model)) is not None
        counts = [Count(3, "tokenizer" if documented else "estimated")]
        listed = messages if _is_list(messages) else [messages]
        counts.extend(self._message(message, model) for message in listed)
        if tools:
            counts.append(self._tools(tools if _is_list(tools) else [tools], model))
        return _total(counts)

    def _message(self, message: Any, model: str | None) -> Count:
        if not isinstance(message, Mapping):
            return _total([Count(3, "estimated"), self._nested(message, model)])
        counts = [Count(4 if "name" in message else 3, "tokenizer")]
        for key, value in message.items():
            if isinstance(value, str) and key in ("role", "content", "name"):
                counts.append(self.text(value, model))
            else:
                counts.append(self._nested(value, model))
        return _total(counts)

    def _nested(self, value: Any, model: str | None) -> Count:
        """An estimate for content that is no plain string: its texts, and a constant per medium."""
        texts: list[str] = []
        media = 0
        for leaf in _leaves(value):
            if isinstance(leaf, Mapping):
                media += _LOW_DETAIL_TOKENS if _is_low_detail(leaf) else _MEDIA_TOKENS
            else:
                texts.append(leaf)
        return Count(self.text("\n".join(texts), model).tokens + media, "estimated")

    def _tools(self, tools: Sequence[Any], model: str | None) -> Count:
        """Tool definitions, by the cookbook's constants; nested schemas as their JSON."""
        tokens = 12
        for tool in tools:
            function = tool.get("function", tool) if isinstance(tool, Mapping) else tool
            tokens += 7 if bare_name(model).startswith("gpt-4o") else 10
            tokens += sum(self.text(line, model).tokens + extra for line, extra in _lines(function))
        return Count(tokens, "estimated")

    def _encoding(self, name: EncodingName) -> Encoding | None:
        if name not in self._encodings:
            try:
                self._encodings[name] = self._ranks.build(name)
            except RanksUnavailable:
                self._encodings[name] = None
        return self._encodings[name]


def _pieces(text: str) -> list[str]:
    """``text`` whole, or cut if it holds a run of blanks too long for tiktoken."""
    if len(text) <= _LONGEST_RUN:
        return [text]
    runs = re.finditer(r"\s+", text)
    if all(run.end() - run.start() <= _LONGEST_RUN for run in runs):
        return [text]
    return [text[at : at + _LONGEST_RUN] for at in range(0, len(text), _LONGEST_RUN)]


def _total(counts: Sequence[Count]) -> Count:
    source = worst_source(count.source for count in counts)
    return Count(sum(count.tokens for count in counts), source)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_low_detail(medium: Mapping[Any, Any]) -> bool:
    inner = medium.get("image_url")
    details = inner if isinstance(inner, Mapping) else medium
    return details.get("detail") == "low"


def _leaves(value: Any) -> Iterator[str | Mapping[Any, Any]]:
    """Texts below ``value`` (most keys included), and media whole; without recursion, bounded."""
    waiting = [value]
    for _ in range(_MAX_LEAVES):
        if not waiting:
            return
        item = waiting.pop()
        if isinstance(item, Mapping):
            kind = item.get("type")
            if isinstance(kind, str) and _MEDIA_TYPES.fullmatch(kind):
                yield item
            else:
                for key, part in item.items():
                    if key not in _OPAQUE:
                        waiting.extend((part,) if key in _WRAPPERS else (key, part))
        elif _is_list(item):
            waiting.extend(item)
        elif item is not None:
            yield item if isinstance(item, str) else _scalar(item)


_OPAQUE = frozenset(
    {
        "type",
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "encrypted_content",
        "signature",
        "thoughtSignature",
        "thought_signature",
    }
)
"""Keys of what no model reads as text: names of parts, and reasoning that is sent back sealed."""
_WRAPPERS = frozenset({"content", "parts", "text"})
"""Keys that are themselves no text of the prompt."""


def _schema(function: Mapping[Any, Any]) -> Any:
    """A tool's parameters as OpenAI, Anthropic and Bedrock name them."""
    bedrock = function.get("inputSchema")
    if isinstance(bedrock, Mapping):
        return bedrock.get("json")
    return function.get("parameters") or function.get("input_schema")


def _lines(function: Any) -> Iterator[tuple[str, int]]:
    """The texts that a tool definition becomes, each with its constant."""
    if not isinstance(function, Mapping):
        yield _json(function), 0
        return
    yield f"{_words(function.get('name'))}:{_words(function.get('description'))}", 0
    parameters = _schema(function)
    properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
    if not isinstance(properties, Mapping) or not properties:
        if parameters:
            yield _json(parameters), 0
        return
    yield "", 3
    for key, schema in properties.items():
        if not isinstance(schema, Mapping) or not isinstance(schema.get("type"), str):
            yield f"{key}:{_json(schema)}", 3
            continue
        values = schema.get("enum")
        if isinstance(values, list):
            yield "", -3
            yield from ((_words(value), 3) for value in values)
        deeper = {name: schema[name] for name in ("items", "properties") if name in schema}
        if deeper:
            yield _json(deeper), 0
        yield f"{key}:{schema['type']}:{_words(schema.get('description'))}", 3


def _words(value: Any) -> str:
    return value.removesuffix(".") if isinstance(value, str) else _flat(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):
        return _flat(value)


def _flat(value: Any) -> str:
    return " ".join(leaf for leaf in _leaves(value) if isinstance(leaf, str))


def _scalar(value: Any) -> str:
    try:
        return str(value)
    except ValueError:  # an integer beyond Python's limit of digits
        return ""
