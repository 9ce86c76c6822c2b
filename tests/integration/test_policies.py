"""crashlens.yml in a run: every kind of limit, at its border."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import plan, states, write_client, write_tests

REFERENCE = Path(__file__).parents[1] / "unit" / "policy_files" / "reference-a.yml"

TASKS = """
import pytest

task = pytest.mark.crashlens

@task(task="summarization")
def test_at(spend):
    spend("at")

@task(task="summarization")
def test_above(spend):
    spend("above")

@task(task="summarization")
def test_allowed_model(spend):
    spend("allowed")

@task(task="translation")
def test_other_task(spend):
    spend("at")

def test_no_task(spend):
    spend("at")

def test_scope(spend, crashlens):
    spend("at")
    with crashlens.scope("summarization"):
        spend("at")

@task(task="content_generation")
def test_verbose_at(spend):
    spend("verbose_at")

@task(task="content_generation")
def test_verbose(spend):
    spend("verbose")
"""
CALLS: dict[str, Any] = {
    "at": {"model": "gpt-4-0613", "input_tokens": 500},
    "above": {"model": "gpt-4-0613", "input_tokens": 501},
    "allowed": {"model": "gpt-4o", "input_tokens": 500},
    "verbose_at": {"input_tokens": 1, "output_tokens": 750},
    "verbose": {"input_tokens": 1, "output_tokens": 751},
}


@pytest.fixture
def tasks(project: Project) -> Project:
    plan(project, **CALLS)
    project.write("test_it.py", TASKS)
    project.write(".github/crashlens.yml", REFERENCE.read_text())
    (project.path / "prompts").mkdir()
    return project


def test_task_model_and_size_must_all_match(tasks: Project) -> None:
    result = tasks.run("--crashlens-update-baseline", "--crashlens-report=json:out.json")
    assert result.ret == 1
    assert states(result) == {"test_at", "test_scope"}
    result.stdout.fnmatch_lines(
        [
            "*policy 'prevent-model-overkill': gpt-4-0613 is disallowed for summarization; "
            "use gpt-4o-mini*",
        ]
    )
    assert "test_it.py::test_at" not in tasks.baseline["tests"]
    assert "test_it.py::test_above" in tasks.baseline["tests"]


def test_what_is_only_to_be_notified_is_told_and_fails_nothing(tasks: Project) -> None:
    result = tasks.run(
        "--crashlens-update-baseline", "-k", "verbose", "--crashlens-report=json:out.json"
    )
    assert result.ret == 0
    result.assert_outcomes(passed=2, deselected=6)
    result.stdout.fnmatch_lines(
        ["note: test_it.py::test_verbose: policy 'limit-output-tokens'*751 > 750*"]
    )
    found = {
        test["key"].partition("::")[2]: test["findings"]
        for test in json.loads((tasks.path / "out.json").read_text())["tests"]
    }
    assert found["test_verbose_at"] == []
    [finding] = found["test_verbose"]
    assert (finding["policy"], finding["blocks"]) == ("limit-output-tokens", False)
    assert "test_it.py::test_verbose" in tasks.baseline["tests"]


def test_retries_of_the_sdk_at_the_border(project: Project) -> None:
    project.write(".github/crashlens.yml", REFERENCE.read_text())
    (project.path / "prompts").mkdir()
    project.write(
        "test_it.py",
        """
import json
from openai import OpenAI
import pytest

@pytest.mark.parametrize("retries", [3, 4])
def test_a(retries):
    script = json.dumps({"usage": {"input": 10, "output": 2}, "fail": [429] * retries})
    with OpenAI(max_retries=6) as client:
        client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": script}]
        )
""",
    )
    result = project.run("--crashlens-update-baseline")
    assert states(result) == {"test_a[4]"}
    result.stdout.fnmatch_lines(["*policy 'cap-llm-retries': retries of one call to gpt-4o-mini*"])
    [usage] = project.usage("test_it.py::test_a[3]")
    assert (usage["calls"], usage["retries"]) == (1, 3)


def test_limits_of_paths(project: Project) -> None:
    plan(project, one=1000)
    project.write(
        "crashlens.yml",
        """
version: 1
baseline: off
limits: {max_total_tokens: 500}
paths:
  - match: tests/live/**
    limits: {max_total_tokens: 2000}
  - match: tests/live/deep/test_c.py
    limits: {max_total_tokens: 999}
  - match: "**/test_d.py::test_two"
    limits: {max_total_tokens: 1000}
""",
    )
    one = "def test_it(spend):\n    spend('one')\n"
    for place in ("tests/test_a.py", "tests/live/test_b.py", "tests/live/deep/test_c.py"):
        project.write(place, one)
    project.write("tests/test_d.py", f"{one}\n\n{one.replace('test_it', 'test_two')}")
    result = project.run()
    failed = {line.split(" ")[1] for line in result.outlines if line.startswith("FAILED ")}
    assert failed == {
        "tests/test_a.py::test_it",
        "tests/live/deep/test_c.py::test_it",
        "tests/test_d.py::test_it",
    }


def test_increase_gate_stays_on_until_it_is_switched_off_and_then_says_so(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.write("crashlens.yml", "version: 1\nlimits: {max_calls: 5}\n")
    project.update()
    plan(project, test_a=3000)
    result = project.run()
    assert states(result) == {"test_a"}
    result.stdout.no_fnmatch_line("crashlens: *OFF*")
    project.write("crashlens.yml", "version: 1\nlimits: {max_increase: off}\n")
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["crashlens: *, increase gate OFF"])
    plan(project, test_a=[])
    assert states(project.run()) == {"test_a"}, "calls that vanish still fail"


def test_sum_of_the_session(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    rule = "{max_total_tokens: %s, per: session}"
    settings = f"version: 1\nbaseline: off\npolicies:\n  - enforce: budget\n    rules: [{rule}]\n"
    project.write("crashlens.yml", settings % 2000)
    assert project.run().ret == 0
    project.write("crashlens.yml", settings % 1999)
    result = project.run("--crashlens-report=json:out.json")
    assert result.ret == 1
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["session: policy 'budget': *2,000 > 1,999*"])
    report = json.loads((project.path / "out.json").read_text())
    assert report["failed"] is True
    assert [finding["policy"] for finding in report["session"]] == ["budget"]


def test_a_price_that_a_limit_needs_and_nobody_knows_fails(project: Project) -> None:
    unknown = {"model": "gpt-9", "input_tokens": 10}
    write_tests(project, test_a=unknown, test_b=10)
    settings = 'version: 1\nbaseline: off\nlimits: {max_cost: "1"}\n'
    project.write("crashlens.yml", settings)
    assert states(project.run()) == {"test_a"}
    project.write("crashlens.yml", settings + "prices: {openai/gpt-9: {free: true}}\n")
    assert project.run().ret == 0


def test_usage_that_a_limit_needs_and_nobody_states_is_counted(project: Project) -> None:
    plan(project)
    write_client(project)
    project.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_total_tokens: 3}\n")
    project.write("test_it.py", "import llm\n\n\ndef test_a():\n    llm.call(1, usage=False)\n")
    assert states(project.run()) == {"test_a"}
