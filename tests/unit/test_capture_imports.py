"""Libraries are patched when they are imported, and given back."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pytest_crashlens.capture.imports import Interposition


class Patches:
    """Patches that set ``module.patched`` and take it away again."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, Exception]] = []
        self.interposition = Interposition(
            {"lens_one": self.patch, "lens_two": self.patch, "lens_odd": self.break_},
            lambda place, fault: self.faults.append((place, fault)),
        )

    def patch(self, module: ModuleType) -> Callable[[], None]:
        module.patched = True
        return lambda: module.__dict__.pop("patched")

    def break_(self, module: ModuleType) -> Callable[[], None]:
        raise AttributeError("an unknown version")


@pytest.fixture
def patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Patches]:
    for name in ("lens_one", "lens_two", "lens_odd", "lens_other"):
        (tmp_path / f"{name}.py").write_text("value = 1\n")
    (tmp_path / "lens_broken.py").write_text("raise RuntimeError('at import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    patches = Patches()
    yield patches
    patches.interposition.remove()
    for name in [name for name in sys.modules if name.startswith("lens_")]:
        del sys.modules[name]
    assert sys.meta_path == before


def test_loaded_ones_at_once_and_others_when_imported(patches: Patches) -> None:
    one = importlib.import_module("lens_one")
    patches.interposition.install()
    assert one.patched
    assert "lens_two" not in sys.modules
    two = importlib.import_module("lens_two")
    assert two.patched
    assert not hasattr(importlib.import_module("lens_other"), "patched")
    patches.interposition.remove()
    assert not hasattr(one, "patched")
    assert not hasattr(two, "patched")


def test_module_keeps_its_real_loader(patches: Patches) -> None:
    patches.interposition.install()
    module = importlib.import_module("lens_one")
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert importlib.util.find_spec("lens_one") is module.__spec__


def test_spec_asked_for_before_the_import_answers_like_the_real_one(patches: Patches) -> None:
    patches.interposition.install()
    spec = importlib.util.find_spec("lens_one")
    assert spec is not None
    assert spec.origin
    assert spec.loader.get_source("lens_one") == "value = 1\n"  # type: ignore[union-attr]
    assert importlib.util.find_spec("lens_absent") is None


def test_reloaded_module_is_patched_anew(patches: Patches) -> None:
    patches.interposition.install()
    module = importlib.import_module("lens_one")
    module.patched = False
    assert importlib.reload(module).patched


def test_lazily_loaded_module_is_patched_when_it_loads(patches: Patches) -> None:
    patches.interposition.install()
    spec = importlib.util.find_spec("lens_one")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lens_one"] = module
    spec.loader.exec_module(module)
    assert module.value == 1
    assert module.patched


def test_library_that_cannot_be_patched_is_imported_all_the_same(patches: Patches) -> None:
    patches.interposition.install()
    assert importlib.import_module("lens_odd").value == 1
    [(place, fault)] = patches.faults
    assert place == "capture of lens_odd"
    assert isinstance(fault, AttributeError)


def test_patch_that_cannot_be_taken_back_keeps_no_other(patches: Patches) -> None:
    patches.interposition.install()
    one, two = (importlib.import_module(name) for name in ("lens_one", "lens_two"))
    two.__dict__.pop("patched")
    patches.interposition.remove()
    assert not hasattr(one, "patched")
    assert [place for place, _ in patches.faults] == ["removal of a patch"]


def test_errors_of_an_import_are_its_own(patches: Patches) -> None:
    interposition = Interposition({"lens_broken": patches.patch}, lambda place, fault: None)
    interposition.install()
    try:
        with pytest.raises(RuntimeError, match="at import"):
            importlib.import_module("lens_broken")
        assert "lens_broken" not in sys.modules
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("lens_absent")
    finally:
        interposition.remove()
