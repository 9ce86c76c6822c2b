"""Every cell of the matrix is recorded as it should be, and by the adapter that it names.

The same inner tests are run once with all adapters and once without each: a cell that is recorded
even so does not prove what it says. ``CRASHLENS_REWRITE_DOCS=1`` writes the table of the docs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.cells import ADAPTERS, FORMS, NOT_IN, ROWS, TOOLS, Cell, Row, tool_is_missing

ROOT = Path(__file__).parents[2]
INNER = Path(__file__).parent / "inner"
DOCS = ROOT / "docs" / "capture.md"
COMPLETE = os.environ.get("CRASHLENS_MATRIX") == "complete"
"""Nothing may be missing here."""
ENVIRONMENT = "older" if int(version("openai").partition(".")[0]) < 3 else "newest"
MINE = [row for row in ROWS if row.environment == ENVIRONMENT]
INI = """
[pytest]
filterwarnings =
    ignore
    error:.*crashlens
"""
"""SDKs warn of much as they are imported and when streams are given up; of us nobody should."""
WITHOUT = (
    "hypothesispytest",
    "recording",
    "anyio",
    "fakefs",
    "langsmith_plugin",
    "xdist",
    "asyncio",
)

Calls = Mapping[str, list[dict[str, Any]]]


@pytest.mark.parametrize("row", MINE, ids=lambda row: row.name)
def test_row_is_here(row: Row) -> None:
    if row.missing and not COMPLETE:
        pytest.skip(row.missing)
    assert not row.missing


@pytest.mark.parametrize("tool", [name for name in TOOLS if name not in NOT_IN[ENVIRONMENT]])
def test_tool_is_here(tool: str) -> None:
    missing = tool_is_missing(tool)
    if missing and not COMPLETE:
        pytest.skip(missing)
    assert not missing


def test_cells_are_recorded_by_the_adapters_they_name(tmp_path: Path) -> None:
    cells = [
        cell
        for row in MINE
        if not row.missing
        for cell in row.cells()
        if not tool_is_missing(cell.tool)
    ]
    runs: list[tuple[tuple[str, ...], list[Cell]]] = [((), cells)]
    adapters = sorted({adapter for cell in cells for adapter in cell.adapters})
    for adapter in adapters:
        concerned = [cell for cell in cells if adapter in cell.adapters or is_plain(cell)]
        runs.append((ADAPTERS[adapter], concerned))
    layered = [cell for cell in cells if len(cell.adapters) > 1]
    runs.append((tuple(module for one in adapters for module in ADAPTERS[one]), layered))
    recorded, *without_one, without_any = run(tmp_path, runs)

    wrong = [line for cell in cells for line in differences(cell, recorded.get(cell.id, []))]
    for adapter, (_, asked), found in zip(adapters, runs[1:], without_one, strict=False):
        for cell in asked:
            calls = found.get(cell.id, [])
            if cell.adapters == (adapter,):
                wrong += [f"{cell.id}: recorded without {adapter}"] * bool(calls)
            else:  # another layer sees it; but the inner one alone knows what went out
                lines = differences(cell, calls, lives=adapter not in cell.adapters)
                wrong += [f"without {adapter}: {line}" for line in lines]
    assert not wrong, "\n".join(wrong)
    assert without_any == {}
    assert layered


def is_plain(cell: Cell) -> bool:
    """Stands for its row where that must not change."""
    return cell.tool == "server" and cell.form in ("sync", "async", "stream", "async stream")


def run(folder: Path, runs: list[tuple[tuple[str, ...], list[Cell]]]) -> list[Calls]:
    """What each inner run recorded, by cell: patches that it lacks, and what it asks."""
    for path in INNER.glob("*.py"):
        shutil.copy(path, folder)
    (folder / "inner_conftest.py").rename(folder / "conftest.py")
    (folder / "asked_cells.py").rename(folder / "test_cells.py")
    (folder / "pytest.ini").write_text(INI)
    tests = [
        (names, [f"test_cells.py::test_cell[{one.id}]" for one in asked]) for names, asked in runs
    ]
    (folder / "runs.json").write_text(json.dumps(tests))
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1", "NO_PROXY": "*"}
    environment = os.environ | quiet | {"MATRIX": ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    # what pytest says of itself and of its workers is not for the one inside
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST", "CI"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "run_all.py", "runs.json", *(f"-pno:{name}" for name in WITHOUT)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    return [read(folder / f"report{number}.json") for number in range(len(runs))]


def read(path: Path) -> Calls:
    report = json.loads(path.read_text())
    assert (report["incomplete"], report["late_calls"]) == ([], []), path.name
    return {
        test["key"].partition("test_cell[")[2].removesuffix("]"): test["calls"]
        for test in report["tests"]
        if test["calls"]
    }


def differences(cell: Cell, calls: list[dict[str, Any]], *, lives: bool = True) -> list[str]:
    """What of ``calls`` is not as the cell says; ``lives``: also whether they went out."""
    expected = cell.calls()
    if len(calls) != len(expected):
        return [f"{cell.id}: {len(calls)} calls, not {len(expected)}"]
    lines = []
    for call, wanted in zip(calls, expected, strict=True):
        found = brief(call, counted=wanted["usage"] is None)
        names = [name for name in wanted if name != "live" or lives]
        lines += [
            f"{cell.id}: {name} {found[name]!r}, not {wanted[name]!r}"
            for name in names
            if found[name] != wanted[name]
        ]
    return lines


def brief(call: Mapping[str, Any], *, counted: bool) -> dict[str, Any]:
    """``call`` in the words of cells; of a stream cut short the usage only has to be known."""
    usage: Any = {name: value for name, value in call["usage"].items() if value}
    if counted:
        known = call["usage_source"] != "none" and usage["input_tokens"] > 0
        usage = None if known else (call["usage_source"], usage)
    elif call["usage_source"] != "provider":
        usage["usage_source"] = call["usage_source"]
    named = {"model": call["model_requested"], "returned": call["model_returned"]}
    return {**call, **named, "usage": usage}


# --- the table of the docs

TITLES = {
    "newest": "The newest versions, most of which send through `httpx2`:",
    "older": "The versions before, which send through `httpx`:",
}


def test_table_of_the_docs() -> None:
    begin, end = "<!-- matrix -->\n", "<!-- end of matrix -->\n"
    text = DOCS.read_text()
    head, _, rest = text.partition(begin)
    expected = head + begin + tables() + end + rest.partition(end)[2]
    if os.environ.get("CRASHLENS_REWRITE_DOCS") == "1":
        DOCS.write_text(expected)
    assert DOCS.read_text() == expected, "write it: CRASHLENS_REWRITE_DOCS=1 pytest tests/matrix"


def tables() -> str:
    return "".join(f"\n{TITLES[name]}\n\n{table(name)}\n" for name in TITLES)


def table(environment: str) -> str:
    rows = [row for row in ROWS if row.environment == environment]
    lines = [["client", "seen in", *FORMS], ["---"] * (len(FORMS) + 2)]
    lines += [[title(row), seen_in(row), *(answered(row, form) for form in FORMS)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def title(row: Row) -> str:
    return f"`{row.package}` {row.major}.x, {row.title}" if row.package else row.title


def seen_in(row: Row) -> str:
    """The libraries whose adapters see it, and in which forms where there are several."""
    found = {" or ".join(f"`{one}`" for one in layers.split()): row.by[layers] for layers in row.by}
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(
        f"{layers} ({'async' if 'async' in forms else 'sync'})" for layers, forms in found.items()
    )


def answered(row: Row, form: str) -> str:
    """The tools that answer it in this form."""
    tools = [TOOLS[cell.tool].title for cell in row.cells() if column(cell) == form]
    return ", ".join(tools) or "-"


def column(cell: Cell) -> str:
    last = cell.form.removeprefix("async ")
    return last if last in ("retried", "abandoned") else cell.form
