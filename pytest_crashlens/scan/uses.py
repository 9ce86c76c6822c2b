"""Whether a string constant is something that may be used as a model, by what it is given to."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MODEL_WORDS = frozenset(
    {"model", "models", "engine", "engines", "deployment", "deployments", "llm", "llms"}
)
_OTHER_WORDS = frozenset(
    {
        *("disallowed", "banned", "blocked", "forbidden", "denied", "excluded", "unsupported"),
        *("deprecated", "retired", "encoding", "tokenizer", "tokenizers", "prefix", "prefixes"),
        *("pattern", "regex", "help", "description", "title", "documentation", "docs", "match"),
        *("equals", "starts", "ends", "contains"),
    }
)
"""Names with these are about models and are given none to use."""
_DOUBTFUL_WORDS = frozenset(
    {
        *("price", "prices", "pricing", "cost", "costs", "rate", "rates", "alias", "aliases"),
        *("window", "windows", "limits", "example", "examples"),
    }
)
"""So are names with these, unless a word for a model is there too: ``low_cost_model``."""
_ASKING_WORDS = frozenset(
    {
        *("price", "prices", "priced", "pricing", "cost", "costs", "rates", "tokens", "encoding"),
        *("info", "is", "has", "supports", "supported", "describe", "lookup", "known", "check"),
    }
)
"""Functions with these ask something about a model, as a rule."""
_RAISED = ("Error", "Exception", "Warning")
"""Ends of names of exceptions: their arguments are told."""

_NOT_CALLED = frozenset(
    {
        *("encoding_for_model", "encoding_name_for_model", "token_counter", "count_tokens"),
        *("get_model_info", "model_cost", "cost_per_token", "completion_cost", "get_max_tokens"),
        *("startswith", "endswith", "removeprefix", "removesuffix", "replace", "split", "find"),
        *("index", "count", "join", "strip", "match", "fullmatch", "search", "compile", "sub"),
        *("print", "debug", "info", "warning", "error", "exception", "log", "getLogger", "pop"),
        *("isinstance", "hasattr", "getattr", "setattr", "delattr", "TypeVar", "NewType", "skip"),
        *("xfail", "raises", "import_module", "Literal", "add_argument", "fnmatch", "fnmatchcase"),
    }
)
"""Functions whose arguments are looked at and not called."""
_SECOND_IS_USED = frozenset({"get", "getenv", "setdefault"})
"""The first argument is a key, the second what stands for a missing value."""


@dataclass(frozen=True, slots=True)
class Use:
    """A place whose value may be called as a model."""

    named: bool = False
    """It is called a model."""
    sure: bool = True
    """What is there is called, and not only known."""

    def unsure(self) -> Use:
        """The same for one of several values, or for one among others."""
        return replace(self, sure=False)


USED = Use()
_NO_MODEL = frozenset(
    {"id", "name", "key", "label", "slug", "text", "content", "message", "reason"}
)
"""Arguments that describe; what is to be called has a better name."""
_DEFAULTS = frozenset({"default", "const", "fallback", "value"})


def use_as(name: str) -> Use | None:
    """What is given to ``name``; None: no model that is called."""
    words = words_of(name)
    named = bool(words & _MODEL_WORDS)
    doubtful = bool(words & _DOUBTFUL_WORDS)
    if words & _OTHER_WORDS or (doubtful and not named):
        return None
    return Use(named=named, sure=not doubtful)


def words_of(name: str) -> set[str]:
    """``low_cost_model``, ``lowCostModel`` in words."""
    return {word.lower() for word in _WORDS.findall(name)}


def use_at(path: tuple[str, ...], position: int) -> Use | None:
    """What is given to a function without a name."""
    function = path[-1] if path else ""
    if function in _SECOND_IS_USED:
        return USED if position == 1 else None
    return _given_to(function, USED)


def use_under(path: tuple[str, ...], keyword: str) -> Use | None:
    """What is given to a function by name."""
    function = path[-1] if path else ""
    if keyword in _DEFAULTS:
        return USED
    if keyword.lower() in _NO_MODEL:
        return None
    return _given_to(function, _doubted(use_as(keyword)))


def _given_to(function: str, use: Use | None) -> Use | None:
    """``use`` of an argument of ``function``."""
    if use is None or function in _NOT_CALLED or function.endswith(_RAISED):
        return None
    return use.unsure() if words_of(function) & _ASKING_WORDS else use


def _doubted(use: Use | None) -> Use | None:
    return use if use is None or use.named else use.unsure()


def use_in(mapping: Use | None, key: str | None) -> Use | None:
    """What stands under ``key`` (None: not known) of a mapping that is used as ``mapping``."""
    if mapping is None:
        return None
    if key is None:
        return mapping.unsure()
    return None if key.lower() in _NO_MODEL else _doubted(use_as(key))


def use_of(target: ast.expr) -> Use | None:
    """What is assigned to ``target``."""
    if isinstance(target, ast.Name):
        return use_as(target.id)
    if isinstance(target, ast.Attribute):
        return use_as(target.attr)
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return use_as(str(target.slice.value))
    return USED
