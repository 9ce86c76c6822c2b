"""What names stand for in a file: imports, and constants that are set once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)

MAX_FOLDS = 8
"""Steps from a name to its value, and operators in a constant: beyond that it is no constant."""
MAX_PARTS = 100
"""Of a path: calls chained by the thousand have no root that matters."""
_CHANGING = frozenset({"update", "setdefault", "pop", "popitem", "clear", "__setitem__"})
"""Methods of mappings that change them."""
_PASSED_THROUGH = frozenset({"with_raw_response", "with_streaming_response", "aio"})
"""Attributes of SDK clients that change the form of the answer and not the call."""


@dataclass(slots=True)
class Scope:
    """Names of a module, class or function."""

    bound: dict[str, ast.expr | None]
    """What each is set to; None: it is set more than once, or not to an expression."""
    outer: Scope | None = None
    of_class: bool = False

    @classmethod
    def of(cls, node: ast.AST, outer: Scope | None) -> Scope:
        """The names that ``node`` binds; those of a class are not seen by its functions."""
        bound: dict[str, ast.expr | None] = {}
        for name, value in _bindings(node):
            bound[name] = None if name in bound else value
        return cls(bound, outer, isinstance(node, ast.ClassDef))

    def value(self, name: str) -> ast.expr | None:
        """What ``name`` is set to, where that is clear."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bound and (scope is self or not scope.of_class):
                return scope.bound[name]
            scope = scope.outer
        return None


@dataclass(slots=True)
class Names:
    """How to read expressions of one file."""

    imports: dict[str, str] = field(default_factory=dict)
    """By local name: the full one."""
    changed: frozenset[str] = frozenset()
    """Names whose value is changed in its place: what it was set to does not tell what it is."""

    @classmethod
    def of(cls, tree: ast.Module) -> Names:
        """The imports and changes in ``tree``, wherever they stand."""
        imports: dict[str, str] = {}
        changed: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    imports[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    imports[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
            elif name := _changed(node):
                changed.add(name)
        return cls(imports, frozenset(changed))

    def path(self, function: ast.expr) -> tuple[str, ...]:
        """``client.chat.completions.create`` in parts, imports resolved; ``()`` for a call."""
        parts: list[str] = []
        node = function
        while len(parts) < MAX_PARTS:
            if isinstance(node, ast.Attribute):
                if node.attr not in _PASSED_THROUGH:
                    parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Call | ast.Subscript):
                parts.append("()")
                node = node.func if isinstance(node, ast.Call) else node.value
            elif isinstance(node, ast.Name):
                full = self.imports.get(node.id, node.id)
                parts.extend(reversed(full.split(".")))
                break
            else:
                parts.append("()")
                break
        return tuple(reversed(parts))

    def unchanged(self, node: ast.expr | None, scope: Scope) -> ast.expr | None:
        """As :func:`resolved`; None also where what a name stands for is changed in its place."""
        for _ in range(MAX_FOLDS):
            if not isinstance(node, ast.Name):
                return node
            node = None if node.id in self.changed else scope.value(node.id)
        return None

    def text(self, node: ast.expr | None, scope: Scope) -> str | None:
        """The string that ``node`` is, where that is clear."""
        value = constant(node, scope)
        return value if isinstance(value, str) else None

    def whole(self, node: ast.expr | None, scope: Scope) -> int | None:
        """The whole number that ``node`` is, where that is clear."""
        value = constant(node, scope)
        return value if type(value) is int else None


def constant(node: ast.expr | None, scope: Scope | None, steps: int = MAX_FOLDS) -> object:
    """The string or number that ``node`` is; None: not clear."""
    if steps <= 0:
        return None
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return constant(scope.value(node.id), scope, steps - 1) if scope else None
    if isinstance(node, ast.BinOp):
        left = constant(node.left, scope, steps - 1)
        right = constant(node.right, scope, steps - 1)
        if isinstance(left, str) and isinstance(right, str) and isinstance(node.op, ast.Add):
            return left + right
        if type(left) is int and type(right) is int:
            return _computed(left, node.op, right)
    return None


def resolved(node: ast.expr | None, scope: Scope) -> ast.expr | None:
    """``node``, or what the name that it is stands for; None: not clear."""
    for _ in range(MAX_FOLDS):
        if not isinstance(node, ast.Name):
            return node
        node = scope.value(node.id)
    return None


def _changed(node: ast.AST) -> str | None:
    """The name whose value ``node`` changes."""
    if not isinstance(node, ast.Subscript | ast.Attribute) or not isinstance(node.value, ast.Name):
        return None
    by_method = isinstance(node, ast.Attribute) and node.attr in _CHANGING
    return node.value.id if by_method or not isinstance(node.ctx, ast.Load) else None


def origin(node: ast.expr, scope: Scope) -> ast.expr:
    """``node``, or what it stands for, as far back as that is clear."""
    for _ in range(MAX_FOLDS):
        value = scope.value(node.id) if isinstance(node, ast.Name) else None
        if value is None:
            break
        node = value
    return node


def _computed(left: int, operator: ast.operator, right: int) -> int | None:
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Sub):
        return left - right
    if isinstance(operator, ast.Mult) and max(abs(left), abs(right)) < 1 << 64:
        return left * right
    return None


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Every name that is bound directly in ``node``, and to what."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        args = node.args
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        yield from ((arg.arg, None) for arg in every if arg is not None)
    body = [node.body] if isinstance(node, ast.Lambda) else getattr(node, "body", [])
    todo: list[ast.AST] = list(body)
    while todo:
        child = todo.pop()
        if isinstance(child, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, child.value
                else:
                    todo.append(target)
            if child.value is not None:
                todo.append(child.value)
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store | ast.Del):
            yield child.id, None
        elif isinstance(child, ast.Global | ast.Nonlocal):
            yield from ((name, None) for name in child.names)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child.name, None
        if not isinstance(child, SCOPES):
            todo.extend(ast.iter_child_nodes(child))
