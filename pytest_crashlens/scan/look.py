"""Reads the facts out of a syntax tree, in one pass and without recursion."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_crashlens.scan.arguments import complete, held
from pytest_crashlens.scan.facts import Cap, Facts, ModelCall, ModelText, Place, RetrySetting
from pytest_crashlens.scan.names import Names, Scope, constant, resolved
from pytest_crashlens.scan.retries import Setting, assigned, decorated, settings
from pytest_crashlens.scan.shapes import HOSTS, SDKS, Shape, shape_of
from pytest_crashlens.scan.uses import USED, Use, use_as, use_at, use_in, use_of, use_under

FunctionDef = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _At:
    """Where a node stands."""

    scope: Scope
    use: Use | None = None
    """What its value may be used as; None: not as a model."""
    inside: tuple[ast.AST, ...] = ()
    """The functions around it, the innermost last."""
    repeats: ast.AST | None = None
    """The function that it decorates."""


def look(tree: ast.Module) -> Facts:
    """What the file with this tree says."""
    return _Look(tree).facts


class _Look:
    def __init__(self, tree: ast.Module) -> None:
        self.facts = Facts()
        self._names = Names.of(tree)
        self._packages = {name.partition(".")[0] for name in self._names.imports.values()}
        self._calls: dict[ast.AST, list[ModelCall]] = {}
        self._settings: list[tuple[Setting, ast.AST | None]] = []
        self._hosts = False
        todo: list[tuple[ast.AST, _At]] = [(tree, _At(Scope.of(tree, None)))]
        while todo:
            node, at = todo.pop()
            todo.extend(self._visit(node, at))
        self._settle()

    def _visit(self, node: ast.AST, at: _At) -> Iterator[tuple[ast.AST, _At]]:
        nothing = replace(at, use=None)
        if isinstance(node, ast.Constant):
            self._text(node, node.value, at.use)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from self._function(node, nothing)
        elif isinstance(node, ast.ClassDef):
            inner = replace(nothing, scope=Scope.of(node, at.scope))
            yield from ((child, inner) for child in node.body)
            yield from ((child, nothing) for child in node.decorator_list)
            yield from ((keyword.value, nothing) for keyword in node.keywords)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            yield from self._assignment(node, at)
        elif isinstance(node, ast.Call):
            yield from self._call(node, nothing)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                name = self._names.text(key, at.scope) if key is not None else None
                yield value, replace(at, use=use_in(at.use, name))
                if key is not None:
                    yield key, nothing
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            use = at.use.unsure() if at.use else None
            yield from ((item, replace(at, use=use)) for item in node.elts)
        elif isinstance(node, ast.IfExp):
            yield node.test, nothing
            yield from ((branch, at) for branch in (node.body, node.orelse))
        elif isinstance(node, ast.BoolOp):
            yield from ((value, at) for value in node.values)
        elif isinstance(node, ast.BinOp):
            self._text(node, constant(node, None), at.use)
            yield from ((side, nothing) for side in (node.left, node.right))
        elif isinstance(node, ast.Return | ast.Yield):
            if node.value is not None:
                yield node.value, replace(at, use=USED)
        elif isinstance(node, ast.Await | ast.Starred):
            yield node.value, at
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            children = ast.iter_child_nodes(node)
            yield from (
                (child, replace(at, use=USED if child is node.iter else None)) for child in children
            )
        else:
            yield from ((child, nothing) for child in ast.iter_child_nodes(node))

    def _function(self, node: FunctionDef | ast.Lambda, at: _At) -> Iterator[tuple[ast.AST, _At]]:
        args = node.args
        named = [*args.posonlyargs, *args.args]
        pairs = list(zip(reversed(named), reversed(args.defaults), strict=False))
        pairs += [(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d]
        yield from ((value, replace(at, use=use_as(arg.arg))) for arg, value in pairs)
        outer = at.scope
        inner = replace(at, scope=Scope.of(node, outer), inside=(*at.inside, node), repeats=None)
        if isinstance(node, ast.Lambda):
            yield node.body, replace(inner, use=USED)
            return
        yield from ((child, inner) for child in node.body)
        for decorator in node.decorator_list:
            self._settings += [(found, node) for found in decorated(decorator, self._names, outer)]
            yield decorator, replace(at, repeats=node)

    def _assignment(
        self, node: ast.Assign | ast.AnnAssign | ast.NamedExpr, at: _At
    ) -> Iterator[tuple[ast.AST, _At]]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        uses = [use_of(target) for target in targets]
        use = None if None in uses else next((u for u in uses if u and u.named), USED)
        for target in targets:
            found = assigned(target, node.value, self._names, at.scope)
            self._settings += [(setting, None) for setting in found]
            yield target, replace(at, use=None)
        if node.value is not None:
            yield node.value, replace(at, use=use)

    def _call(self, node: ast.Call, at: _At) -> Iterator[tuple[ast.AST, _At]]:
        made = complete(node, self._names, at.scope)
        path = self._names.path(made.func)
        shape = shape_of(path, made, self._packages)
        model = self._model(made, shape, at.scope)
        if shape is not None:
            call = self._model_call(made, path, shape, model, at.scope)
            self.facts.calls.append(call)
            for function in at.inside:
                self._calls.setdefault(function, []).append(call)
        around = at.repeats or (at.inside[-1] if at.inside else None)
        for setting in settings(made, path, shape, self._names, at.scope):
            models = (model,) if setting.models is None else setting.models
            self._settings.append((replace(setting, models=models), around))
        yield node.func, at
        if made.func is not node.func:
            yield made.func, at
        for position, value in enumerate(made.args):
            yield value, replace(at, use=use_at(path, position))
        for keyword in node.keywords:
            use = use_under(path, keyword.arg) if keyword.arg else USED
            yield keyword.value, replace(at, use=use)

    def _model(self, node: ast.Call, shape: Shape | None, scope: Scope) -> str | None:
        names = shape.models if shape else ("model",)
        for keyword in node.keywords:
            if keyword.arg in names:
                return self._names.text(keyword.value, scope)
        if shape and shape.model_first and node.args:
            return self._names.text(node.args[0], scope)
        return None

    def _model_call(
        self, node: ast.Call, path: tuple[str, ...], shape: Shape, model: str | None, scope: Scope
    ) -> ModelCall:
        cap, tokens = self._cap(node.keywords, shape, scope)
        if cap == "missing" and shape.capped:
            cap = "unknown"
        length = max(len(shape.end), 1) if not shape.begin else 2
        return ModelCall(
            place=place(node),
            name=".".join(part for part in path[-length:] if part != "()"),
            model=model,
            cap_name=shape.caps[0],
            cap=cap,
            cap_tokens=tokens,
        )

    def _cap(
        self, keywords: Sequence[ast.keyword], shape: Shape, scope: Scope
    ) -> tuple[Cap, int | None]:
        """The cap that a call, a mapping or an object of settings states."""
        unclear = False
        for keyword in keywords:
            if keyword.arg is None:
                unclear = True
            elif _is_nothing(keyword.value, scope):
                continue
            elif keyword.arg in shape.caps:
                return "stated", self._names.whole(keyword.value, scope)
            elif keyword.arg in shape.inside:
                inner = held(keyword.value, self._names, scope)
                if inner is None:
                    unclear = True
                    continue
                # the content of settings is named as the call's arguments would be
                cap, tokens = self._cap(inner, replace(shape, inside=()), scope)
                if cap == "stated":
                    return cap, tokens
                unclear = unclear or cap == "unknown"
        return ("unknown" if unclear else "missing"), None

    def _text(self, node: ast.expr, value: object, use: Use | None) -> None:
        if not isinstance(value, str):
            return
        self._hosts = self._hosts or any(host in value for host in HOSTS)
        if use is not None:
            self.facts.models.append(
                ModelText(place=place(node), text=value, named=use.named, sure=use.sure)
            )

    def _settle(self) -> None:
        """Decide what settings for retries are about, when all calls are known."""
        imported = self._names.imports.values()
        about = self._hosts or any(
            name == sdk or name.startswith((f"{sdk}.", f"{sdk}_"))
            for name in imported
            for sdk in SDKS
        )
        for setting, around in self._settings:
            models, sure = setting.models or (None,), setting.sure
            if not sure:
                calls = self._calls.get(around, []) if around is not None else []
                if calls:
                    models, sure = tuple(dict.fromkeys(call.model for call in calls)), True
                elif not about:
                    continue
            self.facts.retries.append(
                RetrySetting(
                    place=place(setting.node),
                    text=setting.text,
                    retries=setting.retries,
                    models=models,
                    sure=sure,
                )
            )
        # settings of one mapping may be spread into several calls
        self.facts.retries = list(dict.fromkeys(self.facts.retries))


def _is_nothing(node: ast.expr, scope: Scope) -> bool:
    """Whether an argument says in so many words that nothing is given."""
    node = resolved(node, scope) or node
    if isinstance(node, ast.Constant):
        return node.value is None
    last = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return last in ("NOT_GIVEN", "omit", "not_given", "Omit")


def place(node: ast.expr) -> Place:
    """Where ``node`` stands."""
    return Place(
        line=node.lineno, column=node.col_offset + 1, end_line=node.end_lineno or node.lineno
    )
