"""--crashlens-report: what programs read."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import plan, write_tests


def read(project: Project, name: str = "out.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.path / name).read_text())
    return found


def keys(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in keys(item)}
    if isinstance(node, dict):
        return set(node) | {name for item in node.values() for name in keys(item)}
    return set()


def floats(node: Any) -> list[float]:
    if isinstance(node, list | dict):
        items = node if isinstance(node, list) else node.values()
        return [found for item in items for found in floats(item)]
    return [node] if isinstance(node, float) else []


def test_json_of_a_run_with_a_regression(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=[{"input_tokens": 200}] * 2)
    project.update()
    plan(
        project,
        test_a={"input_tokens": 3000, "output_tokens": 7},
        test_b=[{"input_tokens": 200}] * 2,
    )
    result = project.run("--crashlens-report=json:out.json", "--crashlens-report=json:again.json")
    assert result.ret == 1
    report = read(project)
    assert report == read(project, "again.json")
    assert report["schema_version"] == 1
    assert report["failed"] is True
    assert report["baseline"] == {
        "deleted": [],
        "error": None,
        "file": "crashlens-baseline.json",
        "mode": "compared",
        "stale": [],
        "written": [],
    }
    assert report["totals"]["spent"]["calls"] == 0
    assert report["totals"]["simulated"]["calls"] == 3
    assert report["totals"]["simulated"]["cost_usd"] == "0.0005142"
    assert (report["session"], report["late_calls"], report["incomplete"]) == ([], [], [])
    first, second = report["tests"]
    assert [first[k] for k in ("key", "nodeid", "outcome", "state", "failed")] == [
        "test_it.py::test_a",
        "test_it.py::test_a",
        "passed",
        "over",
        True,
    ]
    assert (second["state"], second["failed"], second["findings"]) == ("same", False, [])
    assert first["now"]["usage"] == {"input_tokens": 3000, "output_tokens": 7}
    assert first["now"]["cost_usd"] == "0.0004542"
    assert first["baseline"]["cost_usd"] == "0.00015"
    found = {finding["metric"]: finding for finding in first["findings"]}
    assert found["cost"]["baseline"] == "0.00015"
    assert found["cost"]["now"] == "0.0004542"
    assert found["input tokens"]["now"] == 3000
    assert sum(Decimal(cause["usd"]) for cause in first["causes"]) == Decimal("0.0003042")
    assert [call["model_returned"] for call in first["calls"]] == ["gpt-4o-mini"]
    assert not floats([test["findings"] for test in report["tests"]] + [report["totals"]])
    assert not keys(report) & {"fingerprint", "prompt", "content", "messages"}


def test_json_of_an_update_and_of_an_unpriced_model(project: Project) -> None:
    write_tests(project, test_a={"model": "gpt-9", "input_tokens": 5}, test_b=10)
    result = project.run("--crashlens-update-baseline", "--crashlens-report=json:out.json")
    assert result.ret == 0
    report = read(project)
    assert report["failed"] is False
    assert report["baseline"]["mode"] == "updated"
    assert report["baseline"]["written"] == ["test_it.py::test_a", "test_it.py::test_b"]
    assert [test["state"] for test in report["tests"]] == ["new", "new"]
    now = report["tests"][0]["now"]
    assert (now["cost_usd"], now["price_status"]) == (None, "unpriced")
    totals = report["totals"]["simulated"]
    assert (totals["cost_usd"], totals["price_status"]) == ("0.0000015", "partial")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("html:out.html", "*expected TYPE:PATH with TYPE json, as in json:crashlens-report.json"),
        ("out.json", "*expected TYPE:PATH with TYPE json*"),
        ("json:", "*expected TYPE:PATH with TYPE json*"),
        ("json:no/such/out.json", "*cannot be written: the folder */no/such does not exist"),
        ("json:.", "*cannot be written: it is a folder"),
    ],
)
def test_report_that_cannot_be_written_stops_before_the_tests(
    project: Project, given: str, words: str
) -> None:
    write_tests(project, test_a=1000)
    result = project.run(f"--crashlens-report={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --crashlens-report={given}: {words}"])
    result.stdout.no_fnmatch_line("*test_it.py*")


def test_report_whose_folder_a_test_removes_is_told(project: Project) -> None:
    write_tests(project, test_a=1000)
    (project.path / "reports").mkdir()
    project.write("test_rm.py", "import os\ndef test_rm():\n    os.rmdir('reports')\n")
    result = project.run("--crashlens-report=json:reports/out.json")
    result.stdout.fnmatch_lines(["incomplete: *out.json: cannot be written: No such file*"])
    assert not os.path.lexists(Path(project.path / "reports"))
