"""Under pytest-xdist: workers measure, the controller judges, and nothing else is different."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import LEAN, plan, states, write_client, write_tests

pytest.importorskip("xdist")

NAMES = [f"test_{name}" for name in "abcdef"]
USUAL = dict.fromkeys(NAMES, 1000)


def report(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.path / "out.json").read_text())
    return found


@pytest.fixture
def grouped(project: Project) -> Project:
    """Six tests, three of them in an xdist group, with a baseline made without workers."""
    plan(project, **USUAL, **{"test_param[a@b]": 10})
    tests = "".join(
        f"@pytest.mark.xdist_group('g1')\ndef {name}(spend):\n    spend()\n\n\n"
        if number % 2
        else f"def {name}(spend):\n    spend()\n\n\n"
        for number, name in enumerate(NAMES)
    )
    param = (
        "@pytest.mark.xdist_group('g1')\n@pytest.mark.parametrize('text', ['a@b'])\n"
        "def test_param(spend, text):\n    spend()\n"
    )
    project.write("test_it.py", f"import pytest\n\n\n{tests}{param}")
    project.update()
    return project


@pytest.mark.parametrize("flags", [["-n2"], ["-n2", "--dist=loadgroup"], ["-n0"]])
def test_verdicts_are_those_of_a_single_process(grouped: Project, flags: list[str]) -> None:
    plan(grouped, **USUAL | {"test_b": 3000, "test_e": 2000}, **{"test_param[a@b]": 10})
    result = grouped.run_apart(*LEAN, *flags, "--crashlens-report=json:out.json")
    assert result.ret == 1
    result.assert_outcomes(failed=2, passed=5)
    assert {name.partition("@")[0] for name in states(result)} == {"test_b", "test_e"}
    result.stdout.fnmatch_lines(["  to accept: pytest --crashlens-update-baseline *::test_b"])
    found = report(grouped)
    assert {test["key"].partition("::")[2]: test["state"] for test in found["tests"]} == {
        **dict.fromkeys(NAMES, "same"),
        "test_b": "over",
        "test_e": "over",
        "test_param[a@b]": "same",
    }
    assert found["totals"]["simulated"]["usage"]["input_tokens"] == 9010
    assert found["incomplete"] == []


def test_update_of_groups_writes_the_same_file(grouped: Project) -> None:
    data = grouped.baseline_path.read_bytes()
    grouped.baseline_path.unlink()
    result = grouped.run_apart(*LEAN, "--crashlens-update-baseline", "-n2", "--dist=loadgroup")
    assert result.ret == 0, result.outlines
    assert grouped.baseline_path.read_bytes() == data


def test_crash_of_a_worker_loses_its_test_alone(project: Project) -> None:
    write_tests(project, **USUAL)
    project.update()
    plan(project, **USUAL | {"test_a": 3000, "test_c": 2000})
    text = (project.path / "test_it.py").read_text()
    crash = "def test_c(spend):\n    spend()\n    import os; os._exit(3)\n"
    project.write("test_it.py", text.replace("def test_c(spend):\n    spend()\n", crash))
    result = project.run_apart(*LEAN, "-n2", "--crashlens-report=json:out.json")
    assert result.ret == 1
    assert states(result) == {"test_a", "test_c"}
    result.assert_outcomes(failed=2, passed=4)
    result.stdout.fnmatch_lines(["incomplete: a worker crashed in test_it.py::test_c: *"])
    result.stdout.no_fnmatch_line("*-100 %*")
    found = report(project)
    assert len(found["incomplete"]) == 1
    judged = {test["key"] for test in found["tests"] if test["state"] != "not judged"}
    assert judged == {f"test_it.py::{name}" for name in NAMES if name != "test_c"}

    assert project.run_apart(*LEAN, "-n2", "--crashlens-update-baseline").ret == 1
    inputs = {name: project.usage(f"test_it.py::{name}")[0]["input_tokens"] for name in NAMES}
    assert inputs == {**USUAL, "test_a": 3000}


def test_session_fixture_of_each_worker_is_compared_alone_and_spent_together(
    project: Project,
) -> None:
    plan(project)
    write_client(project)
    project.write(
        "test_it.py",
        """
import llm
import pytest

@pytest.fixture(scope="session")
def corpus():
    llm.call(1000)

@pytest.mark.parametrize("number", range(4))
def test_it(corpus, number):
    pass
""",
    )
    project.update()
    result = project.run_apart(
        *LEAN, "-n2", "--dist=each", "--tx=2*popen", "--crashlens-report=json:o"
    )
    assert result.ret == 0, result.outlines
    found = json.loads((project.path / "o").read_text())
    [fixture] = found["tests"]
    assert (fixture["key"], fixture["state"]) == ("fixture:test_it.py::corpus", "same")
    assert found["totals"]["simulated"]["calls"] == 2


def test_run_that_is_stopped_early_still_judges(project: Project) -> None:
    write_tests(project, **USUAL)
    project.update()
    plan(project, **dict.fromkeys(NAMES, 2000))
    result = project.run_apart(*LEAN, "-n2", "-x")
    assert result.ret in (1, 2)
    assert states(result)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
