"""Patching libraries when (and only if) the code under test imports them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Patch = Callable[[ModuleType], Callable[[], None]]
"""Changes a module and returns what undoes the change."""


class Interposition:
    """Applies ``patches`` (by module name) to what is imported and to what will be."""

    def __init__(
        self, patches: Mapping[str, Patch], fault: Callable[[str, Exception], None]
    ) -> None:
        self._patches = patches
        self._fault = fault
        self._undo: list[Callable[[], None]] = []
        self._finder = _PostImportFinder(frozenset(patches), self._apply)

    def install(self) -> None:
        """Patch the libraries that are loaded and watch for the others."""
        for name in self._patches:
            module = sys.modules.get(name)
            if module is not None:
                self._apply(name, module)
        sys.meta_path.insert(0, self._finder)

    def remove(self) -> None:
        """Put everything back that is still ours."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as fault:  # the others must be put back all the same
                self._fault("removal of a patch", fault)

    def _apply(self, name: str, module: ModuleType) -> None:
        try:
            self._undo.append(self._patches[name](module))
        except Exception as fault:  # an unknown version must not break the import
            self._fault(f"capture of {name}", fault)


def put(target: Any, name: str, ours: Any) -> Callable[[], None]:
    """Set ``target.name`` (of a class or module); returns what undoes it if it is still ours."""
    mine = vars(target).get(name, _INHERITED)
    setattr(target, name, ours)

    def undo() -> None:
        if vars(target).get(name) is not ours:
            return
        if mine is _INHERITED:
            delattr(target, name)
        else:
            setattr(target, name, mine)

    return undo


_INHERITED = object()


def together(*undo: Callable[[], None]) -> Callable[[], None]:
    """One step that does all of ``undo``."""

    def undo_all() -> None:
        for step in undo:
            step()

    return undo_all


class _PostImportFinder(MetaPathFinder):
    def __init__(self, names: frozenset[str], imported: Callable[[str, ModuleType], None]) -> None:
        self._names = names
        self._imported = imported

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        finders = list(sys.meta_path)
        # those before have been asked; another of this kind would ask this one, without end
        for finder in finders[finders.index(self) + 1 if self in finders else 0 :]:
            if not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _NotifyingLoader(spec.loader, self._imported)
                return spec
        return None


class _NotifyingLoader(Loader):
    """Runs the real loader, hides itself again, then says that the module is there."""

    def __init__(self, loader: Any, imported: Callable[[str, ModuleType], None]) -> None:
        self._loader = loader
        self._imported = imported

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._imported(module.__name__, module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
