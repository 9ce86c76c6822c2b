"""Settings that say how often something is tried again, in retries: attempts after the first."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pytest_crashlens.scan.arguments import complete
from pytest_crashlens.scan.names import Names, Scope, origin, resolved
from pytest_crashlens.scan.shapes import CLIENTS, Shape
from pytest_crashlens.scan.uses import words_of

_SDK_NAMES = ("max_retries", "num_retries")
_OF_MODULES = frozenset({("litellm", "num_retries"), ("openai", "max_retries")})
"""Attributes that hold for all calls."""
_CLIENT_WORDS = frozenset({"client", "llm", "chat", "openai", "anthropic", "groq", "together"})
_RETRYING = frozenset({"Retrying", "AsyncRetrying"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting, before it is known what it repeats."""

    node: ast.expr
    text: str
    retries: int | None
    models: tuple[str | None, ...] | None = (None,)
    """None: the model of the call that it is an argument of."""
    sure: bool = True


def settings(
    node: ast.Call, path: tuple[str, ...], shape: Shape | None, names: Names, scope: Scope
) -> Iterator[Setting]:
    """What a call sets by its arguments."""
    last = path[-1] if path else ""
    root = path[0] if path else ""
    if shape is not None or last in CLIENTS or (root, last) == ("litellm", "Router"):
        yield from _named(node, _SDK_NAMES, 0, names, scope, sure=True, own_model=True)
    elif last == "with_retry":
        yield from _named(node, ("stop_after_attempt",), 1, names, scope, sure=True)
    elif last == "HttpRetryOptions":
        yield from _named(node, ("attempts",), 1, names, scope, sure=True)
    elif last == "stop_after_attempt" and root == "tenacity":
        value = node.args[0] if node.args else _argument(node, "max_attempt_number")
        yield from _one(node, value, f"{last}({{}})", 1, names, scope)
    elif last in _RETRYING and root == "tenacity":
        if not node.args and _is_endless(node, ("stop",), names, scope):
            yield Setting(node=node, text=f"{last} without an end", retries=None, sure=False)
    elif last in ("on_exception", "on_predicate") and root == "backoff":
        yield from _named(node, ("max_tries",), 1, names, scope, sure=False)
    elif last == "Retry" and root in ("urllib3", "requests"):
        value = node.args[0] if node.args else _argument(node, "total")
        yield from _one(node, value, "Retry(total={})", 0, names, scope)
    elif last == "HTTPAdapter":
        yield from _named(node, ("max_retries",), 0, names, scope, sure=False)
    elif last == "Config" and root in ("botocore", "boto3"):
        held = resolved(_argument(node, "retries"), scope)
        if isinstance(held, ast.Dict):
            for key, value in zip(held.keys, held.values, strict=True):
                name = names.text(key, scope) if key else None
                if name in ("max_attempts", "total_max_attempts"):
                    first = int(name == "total_max_attempts")
                    yield from _one(value, value, f"{name}: {{}}", first, names, scope)


def decorated(decorator: ast.expr, names: Names, scope: Scope) -> Iterator[Setting]:
    """A decorator that repeats without end."""
    call = complete(decorator, names, scope) if isinstance(decorator, ast.Call) else None
    path = names.path(call.func if call else decorator)
    if path in (("tenacity", "retry"), ("tenacity", "retry", "retry")):
        stops: tuple[str, ...] = ("stop",)
        if call and call.args:  # ``retry(function)``, or arguments in an order that we do not know
            return
    elif path[:1] == ("backoff",) and path[-1] in ("on_exception", "on_predicate") and call:
        stops = ("max_tries", "max_time", "giveup")
    else:
        return
    if call is None or _is_endless(call, stops, names, scope):
        yield Setting(node=decorator, text=f"{path[-1]} without an end", retries=None, sure=False)


def assigned(
    target: ast.expr, value: ast.expr | None, names: Names, scope: Scope
) -> Iterator[Setting]:
    """``litellm.num_retries = 5``, ``client.max_retries = 5``."""
    if not isinstance(target, ast.Attribute) or target.attr not in _SDK_NAMES:
        return
    retries = names.whole(value, scope)
    path = names.path(target)
    made = resolved(target.value, scope)
    sure = path in _OF_MODULES or (
        isinstance(made, ast.Call) and names.path(made.func)[-1] in CLIENTS
    )
    if retries is None or not (sure or words_of(path[-2]) & _CLIENT_WORDS):
        return
    written = ".".join(part for part in path if part != "()")
    yield Setting(node=target, text=f"{written} = {retries}", retries=retries, sure=sure)


def _is_endless(call: ast.Call, stops: Collection[str], names: Names, scope: Scope) -> bool:
    """Whether none of the arguments ``stops`` ends it."""
    for keyword in call.keywords:
        if keyword.arg is None:
            return False
        if keyword.arg in stops:
            value = origin(keyword.value, scope)
            nothing = isinstance(value, ast.Constant) and value.value is None
            path = names.path(value)
            if not nothing and (path[0], path[-1]) != ("tenacity", "stop_never"):
                return False
    return True


def _named(
    node: ast.Call,
    arguments: tuple[str, ...],
    first: int,
    names: Names,
    scope: Scope,
    *,
    sure: bool,
    own_model: bool = False,
) -> Iterator[Setting]:
    """Settings by keywords; ``first``: attempts that the number counts and that are no retry."""
    for keyword in node.keywords:
        if keyword.arg in arguments:
            number = names.whole(keyword.value, scope)
            if number is not None:
                yield Setting(
                    node=keyword.value,
                    text=f"{keyword.arg}={number}",
                    retries=number - first,
                    models=None if own_model else (None,),
                    sure=sure,
                )


def _one(
    node: ast.expr, value: ast.expr | None, text: str, first: int, names: Names, scope: Scope
) -> Iterator[Setting]:
    number = names.whole(value, scope)
    if number is not None:
        yield Setting(node=node, text=text.format(number), retries=number - first, sure=False)


def _argument(node: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in node.keywords if keyword.arg == name), None)
