"""Each report of the same runs, whole, as golden files; and from the saved run the same again.

``CRASHLENS_REWRITE_SCREENS=1`` rewrites them; read the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pytest_crashlens.cli.main import main
from tests.integration.conftest import Project, project, server  # noqa: F401 - fixtures
from tests.integration.planned import write_tests
from tests.output.test_screens import AFTER, BEFORE, CONFIG, MINI

GOLDEN = Path(__file__).parent / "reports"
SUFFIXES = {"markdown": "md", "github": "txt", "json": "json"}
VOLUME = "volume: {runs_per_month: 30000}\n"


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("CRASHLENS_REWRITE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def report(project: Project, name: str, *arguments: str) -> pytest.RunResult:  # noqa: F811
    """Run with every report, check each, and each again from the saved run."""
    wanted = [f"--crashlens-report={kind}:{name}.{kind}" for kind in SUFFIXES]
    result = project.run("--tb=no", *wanted, *arguments)
    for kind, suffix in SUFFIXES.items():
        text = (project.path / f"{name}.{kind}").read_text()
        if kind == "markdown" or name == "red":
            check(f"{name}.{suffix}", text)
        saved, again = project.path / f"{name}.json", project.path / "again"
        assert main(["report", str(saved), "--format", kind, "--output", str(again)]) == 0
        assert again.read_text() == text, kind
    return result


def test_reports_of_the_life_of_a_baseline(
    project: Project,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # what is loaded is the matter of the tests that ran before in this process
    monkeypatch.setattr("pytest_crashlens.measure.LIBRARIES", ("openai",))
    write_tests(project, **BEFORE)
    report(project, "first_run")
    project.write("crashlens.yml", CONFIG + VOLUME)
    report(project, "update", "--crashlens-update-baseline")
    report(project, "green")
    write_tests(project, **AFTER)
    result = report(
        project,
        "red",
        "--crashlens-report=github",
        "--crashlens-report=junit",
        "--junitxml=junit.xml",
    )
    # printed at the start of lines, where the runner looks for them
    found = [line for line in result.outlines if line.startswith("::")]
    assert found == (GOLDEN / "red.txt").read_text().splitlines()
    cases = re.findall(
        r'<testcase [^>]*name="(.*?)".*?<properties>(.*?)</properties>',
        (project.path / "junit.xml").read_text(),
        re.S,
    )
    told = [f"{name}: {key}={value}\n" for name, text in cases for key, value in _properties(text)]
    check("red.junit.txt", "".join(told))
    write_tests(project, **BEFORE | {"test_cheaper": MINI | {"input_tokens": 600}})
    report(project, "cheaper")


def _properties(text: str) -> list[tuple[str, str]]:
    return re.findall(r'<property name="(.*?)" value="(.*?)"', text)
