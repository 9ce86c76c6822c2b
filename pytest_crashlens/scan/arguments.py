"""What a call is given, also through mappings that are spread into it and through partial."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from pytest_crashlens.scan.names import Names, Scope

MAX_SPREADS = 3
"""Mappings within mappings: beyond that it is not known what they hold."""


def complete(call: ast.Call, names: Names, scope: Scope) -> ast.Call:
    """``call`` with the keywords of what is spread into it; ``**`` stays where that is not known.

    Of a ``functools.partial`` it is the call that it prepares, with ``**`` for what comes later.
    """
    function, args, keywords = call.func, call.args, call.keywords
    if args and names.path(function) == ("functools", "partial"):
        function, *args = args
        keywords = [*keywords, ast.keyword(arg=None, value=call.func)]
    keywords = list(_spread(keywords, names, scope, MAX_SPREADS))
    return ast.copy_location(ast.Call(func=function, args=args, keywords=keywords), call)


def held(
    node: ast.expr, names: Names, scope: Scope, steps: int = MAX_SPREADS
) -> list[ast.keyword] | None:
    """What a mapping or an object of settings is made of; ``**`` for what is not known of it.

    None: it is not known at all.
    """
    value = names.unchanged(node, scope)
    if steps <= 0:
        return None
    if isinstance(value, ast.Call):
        function = names.path(value.func)[-1]
        if function[:1].islower() and function != "dict":  # what it returns is not known
            return None
        every = list(_spread(value.keywords, names, scope, steps))
        if value.args and function == "dict":
            every = [*_of(value.args[0], names, scope, steps), *every]
        return every
    if not isinstance(value, ast.Dict):
        return None
    found: dict[str | None, ast.keyword] = {}
    for key, item in zip(value.keys, value.values, strict=True):
        if key is None:
            more = _of(item, names, scope, steps)
        else:
            more = [ast.keyword(arg=names.text(key, scope), value=item)]
        for each in more:
            if each.arg is None:
                found.clear()  # it may set any of them anew
            found[each.arg] = each
    return list(found.values())


def _spread(
    keywords: Iterable[ast.keyword], names: Names, scope: Scope, steps: int
) -> Iterator[ast.keyword]:
    for keyword in keywords:
        if keyword.arg is not None:
            yield keyword
        else:
            yield from _of(keyword.value, names, scope, steps)


def _of(node: ast.expr, names: Names, scope: Scope, steps: int) -> list[ast.keyword]:
    """The content of a mapping; objects of settings are none."""
    value = names.unchanged(node, scope)
    if not isinstance(value, ast.Call) or names.path(value.func) == ("dict",):
        found = held(node, names, scope, steps - 1)
        if found is not None:
            return found
    return [ast.keyword(arg=None, value=node)]
