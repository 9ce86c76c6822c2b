"""--crashlens-report: what programs read."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_crashlens.report.writers import MOST_APPENDED
from tests.integration.conftest import Project
from tests.integration.planned import LEAN, plan, write_tests


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
        "entries": 2,
        "error": None,
        "file": "crashlens-baseline.json",
        "generated": [],
        "kept_back": [],
        "mode": "compared",
        "not_pruned": [],
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
        ("pdf:out.pdf", "*expected TYPE[[]:PATH] with TYPE one of json, markdown, *, junit"),
        ("out.json", "*expected TYPE[[]:PATH] with TYPE one of json, *"),
        ("json:", "*expected a path, as in json:crashlens-report.json"),
        ("json", "*expected a path, as in json:crashlens-report.json"),
        ("github:", "*expected a path, as in github:github.txt"),
        ("markdown-append", "*expected a path, as in markdown-append:$GITHUB_STEP_SUMMARY"),
        ("junit:out.xml", "*expected junit alone: --junitxml=PATH names the file"),
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


def test_summaries_are_appended_and_variables_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tests(project, test_a=1000)
    summary = project.path / "summary.md"
    summary.write_text("# Before")
    monkeypatch.setenv("SUMMARY", "summary.md")
    monkeypatch.delenv("NOT_SET", raising=False)
    result = project.run(
        "--crashlens-report=markdown-append:$SUMMARY",
        "--crashlens-report=markdown-append:${SUMMARY}",
        "--crashlens-report=markdown:$NOT_SET",
        "--crashlens-report=junit",
    )
    result.stdout.fnmatch_lines(
        [
            "--crashlens-report=markdown:$NOT_SET: not written, as that is not set",
            "--crashlens-report=junit: goes into no file without --junitxml=PATH",
        ]
    )
    before, *reports = summary.read_text().split("\n<!-- crashlens:comment:v1 notable=yes -->\n")
    assert before == "# Before"
    assert len(reports) == 2
    assert reports[0].strip() == reports[1].strip()
    assert reports[0].startswith("### ")

    # of a longer one GitHub shows nothing
    summary.write_bytes(b"x" * (MOST_APPENDED - 100))
    result = project.run("--crashlens-report=markdown-append:summary.md")
    result.stdout.fnmatch_lines(["incomplete: *summary.md: not appended, as it would be larger*"])
    assert summary.stat().st_size == MOST_APPENDED - 100


CASES = """
import pytest

@pytest.fixture
def broken():
    yield
    raise ValueError

def test_fine(spend, record_property):
    record_property("mine", "1")
    spend()

def test_failing(spend):
    spend()
    assert False

def test_broken_after(spend, broken):
    spend()

def test_failing_twice(spend, broken):
    spend()
    assert False

def test_without(spend):
    pass
"""


@pytest.mark.parametrize("dist", [(), ("-n1",)], ids=["plain", "xdist"])
def test_properties_in_the_xml_of_pytest(project: Project, dist: tuple[str, ...]) -> None:
    names = ("test_fine", "test_failing", "test_broken_after", "test_failing_twice")
    plan(project, **dict.fromkeys(names, 1000), test_without=[])
    project.write("test_it.py", CASES)
    project.run_apart(
        *LEAN, *dist, "--crashlens-report=junit", "--junitxml=out.xml", "-ojunit_family=xunit1"
    )
    cases = ElementTree.parse(project.path / "out.xml").iter("testcase")
    found = [
        (case.get("name"), [one.get("name") for one in case.iter("property")]) for case in cases
    ]
    ours = [
        f"crashlens.{name}"
        for name in ("cost_usd", "input_tokens", "output_tokens", "calls", "retries", "state")
    ]
    assert sorted(found) == sorted(
        [
            ("test_fine", ["mine", *ours]),
            ("test_failing", ours),
            ("test_broken_after", ours),
            ("test_failing_twice", ours),
            ("test_failing_twice", ours),
            ("test_without", []),
        ]
    )
