"""Imports of the package point one way along the flow, and load no library that it may not need."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_crashlens"

FLOW = (
    {"errors", "model"},
    {"capture", "pricing", "providers", "recordings", "tasks", "tokens"},
    {"baseline", "detect", "spend"},
    {"children"},
    {"policy"},
    {"report", "scan"},
    {"notify"},
)
"""Rooms without pytest: each may use the lines above its own."""

PYTEST_ROOMS = (
    "hookspecs",
    "fixture",
    "fixture_owners",
    "keys",
    "snapshot",
    "oddities",
    "cost_failure",
    "live_runs",
    "repeats",
    "collection",
    "extent",
    "last_run",
    "marker",
    "measure",
    "spending",
    "results",
    "judge",
    "notifying",
    "xdist",
    "session",
    "plugin",
)
"""Each may use the flow and the rooms before it."""

MAY_IMPORT_PYTEST = set(PYTEST_ROOMS) - {
    "fixture",
    "keys",
    "snapshot",
    "oddities",
    "live_runs",
    "results",
}
AT_START = {"report": {"tabulate"}}
"""Dependencies that a room loads with itself: tables are made while tests run, where none may be
imported for the first time."""

MAX_LINES = 400


def rooms() -> dict[str, set[str]]:
    """Which rooms each room may use besides itself."""
    table: dict[str, set[str]] = {}
    below: set[str] = set()
    for line in FLOW:
        table |= {room: set(below) for room in line}
        below |= line
    table["cli"] = set(below)
    table["__main__"] = {"cli"}
    for room in PYTEST_ROOMS:
        table[room] = set(below)
        below.add(room)
    return table


class Import(NamedTuple):
    name: str
    """The module's full name, or that of what is imported from it."""
    line: int
    at_start: bool
    """Done as soon as the module is loaded, and not only for the type checker."""


def imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[Import]:
    """Every import in ``tree``, wherever it stands."""
    todo: list[tuple[ast.AST, bool]] = [(tree, True)]
    while todo:
        node, at_start = todo.pop()
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_start) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".") if node.level else []
            kept = len(parts) - node.level + is_package
            source = ".".join([*parts[:kept], *([node.module] if node.module else [])])
            yield from (Import(f"{source}.{a.name}", node.lineno, at_start) for a in node.names)
        elif isinstance(node, ast.Call) and _imports_by_name(node.func):
            named = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
            yield from (Import(str(name), node.lineno, at_start) for name in named)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_start = False
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo += [(child, at_start) for child in node.orelse]
            todo += [(child, False) for child in node.body]
            continue
        todo += [(child, at_start) for child in ast.iter_child_nodes(node)]


def _imports_by_name(function: ast.expr) -> bool:
    return ast.unparse(function).rpartition(".")[2] in {"import_module", "__import__"}


def faults(package: Path) -> list[str]:
    """What breaks the rules, as ``file:line: fault``."""
    table = rooms()
    found = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        name = f"{package.name}/{relative.as_posix()}"
        room = relative.parts[0].removesuffix(".py")
        if room == "__init__":
            allowed: set[str] = set()
        elif room in table:
            allowed = table[room] | {room}
        else:
            found.append(f"{name}:1: {room} has no place in the table of rooms")
            continue
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > MAX_LINES:
            found.append(f"{name}:{MAX_LINES + 1}: more than {MAX_LINES} lines")
        module = ".".join([package.name, *relative.with_suffix("").parts])
        for each in imports(
            ast.parse(text), module.removesuffix(".__init__"), is_package=path.stem == "__init__"
        ):
            if fault := _fault(each, package.name, room, allowed):
                found.append(f"{name}:{each.line}: {fault}")
    return found


def _fault(each: Import, package: str, room: str, allowed: set[str]) -> str | None:
    top, *rest = each.name.split(".")
    if top == package:
        inside = bool(rest) and not rest[0].startswith("__")
        return f"{room} may not use {rest[0]}" if inside and rest[0] not in allowed else None
    if top == "_pytest":
        return "_pytest is private"
    if top == "pytest":
        return None if room in MAY_IMPORT_PYTEST else f"{room} may not import pytest"
    known = sys.stdlib_module_names | AT_START.get(room, set())
    if each.at_start and top not in known:
        return f"{top} must be imported where it is used, not at the start"
    return None


def test_imports_point_one_way() -> None:
    assert faults(PACKAGE) == []


def test_every_room_of_the_table_is_there() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(rooms()) <= there


TAMPERED: Mapping[str, tuple[str, str]] = {
    "against the flow": (
        "model/usage.py",
        "from pytest_crashlens.policy import verdict",
    ),
    "between neighbours": ("pricing/book.py", "import pytest_crashlens.tokens.counting"),
    "relative": ("baseline/file.py", "from ..report import terminal"),
    "relative, of the package": ("model/__init__.py", "from .. import judge"),
    "of a name of the package": ("capture/tee.py", "from pytest_crashlens import session"),
    "in a function": ("report/failure.py", "def f():\n    import pytest_crashlens.judge"),
    "for the type checker": (
        "tokens/counting.py",
        "if TYPE_CHECKING:\n    from pytest_crashlens.baseline.file import Baseline",
    ),
    "by name": ("policy/rules.py", "import_module('pytest_crashlens.report.terminal')"),
    "of a later pytest room": ("measure.py", "from pytest_crashlens.judge import Judge"),
    "of a pytest room from the command": ("cli/main.py", "import pytest_crashlens.session"),
    "of anything into the package itself": ("__init__.py", "from pytest_crashlens import model"),
    "of pytest": ("report/terminal.py", "def f():\n    import pytest"),
    "of pytest in the fixture's room": ("fixture.py", "import pytest"),
    "of pytest's private parts": ("judge.py", "from _pytest.terminal import TerminalReporter"),
    "of a dependency at the start": ("policy/document.py", "try:\n    import yaml\nfinally: pass"),
    "of an SDK at the start": ("capture/install.py", "class A:\n    from openai import OpenAI"),
    "from a room nobody knows": ("utils.py", ""),
    "from a long file": ("model/call.py", "\n" * (MAX_LINES + 1)),
}


@pytest.mark.parametrize("tampering", TAMPERED)
def test_tampering_is_found(tmp_path: Path, tampering: str) -> None:
    name, text = TAMPERED[tampering]
    path = tmp_path / "pytest_crashlens" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (found,) = faults(tmp_path / "pytest_crashlens")
    assert found.startswith(f"pytest_crashlens/{name}:")


def test_what_is_allowed_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "pytest_crashlens" / "session.py"
    path.parent.mkdir()
    path.write_text(
        "import os, pytest\n"
        "from pytest_crashlens import __version__, judge\n"
        "from pytest_crashlens.model.usage import Usage\n"
        "if TYPE_CHECKING:\n    import yaml\n"
        "def f():\n    import tiktoken\n"
    )
    assert faults(path.parent) == []
