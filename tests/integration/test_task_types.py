"""The reference file in real runs: tasks by label, by the request itself, by path, by inference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import states
from tests.integration.test_policies import REFERENCE

REFERENCE_B = REFERENCE.with_name("reference-b.yml")

TESTS = """
import json

import pytest
from openai import OpenAI

SUMMARIZE = "You summarize tickets. Summarize the ticket in two sentences."
WRITE = "You write marketing copy. Write a blog post about the product."
ANSWER = "Answer the question in one word."
PLAIN = "Do as agreed."


def ask(system, model, given, said=20, **more):
    script = json.dumps({"usage": {"input": given, "output": said}})
    messages = [{"role": "system", "content": system}, {"role": "user", "content": script}]
    with OpenAI() as client:
        client.chat.completions.create(model=model, messages=messages, **more)


def test_inferred_at():
    ask(SUMMARIZE, "gpt-4-0613", 500)

def test_inferred_above():
    ask(SUMMARIZE, "gpt-4-0613", 501)

def test_inferred_other_model():
    ask(SUMMARIZE, "gpt-4o-mini", 500)

def test_answer_at():
    ask(ANSWER, "gpt-4o", 200)

def test_answer_above():
    ask(ANSWER, "gpt-4o", 201)

def test_verbose_at():
    ask(WRITE, "gpt-4o-mini", 10, 750)

def test_verbose():
    ask(WRITE, "gpt-4o-mini", 10, 751)

def test_unknown():
    ask(PLAIN, "gpt-4-0613", 100)

def test_header():
    ask(PLAIN, "gpt-4-0613", 100, extra_headers={"x-crashlens-task": "summarization"})

def test_metadata():
    ask(PLAIN, "gpt-4-0613", 100, metadata={"task_type": "summarization"})

@pytest.mark.crashlens(task="translation")
def test_label_beats_words():
    ask(SUMMARIZE, "gpt-4-0613", 100)

def test_no_label():
    ask(PLAIN, "gpt-4-0613", 100, extra_headers={"x-crashlens-task": "Not a Label!"})
"""


@pytest.fixture
def reference(project: Project) -> Project:
    project.write("test_it.py", TESTS)
    project.write(".github/crashlens.yml", REFERENCE_B.read_text())
    (project.path / "prompts").mkdir()
    return project


def findings(project: Project) -> Mapping[str, list[dict[str, Any]]]:
    plain = json.loads((project.path / "out.json").read_text())
    return {test["key"].partition("::")[2]: test["findings"] for test in plain["tests"]}


def test_the_reference_file_means_what_its_comments_say(reference: Project) -> None:
    result = reference.run("--crashlens-update-baseline", "--crashlens-report=json:out.json")
    assert states(result) == {
        *("test_inferred_at", "test_answer_at", "test_header", "test_metadata")
    }
    found = findings(reference)
    [verbose] = found["test_verbose"]
    assert (verbose["policy"], verbose["blocks"]) == ("limit-output-tokens", False)
    assert found["test_verbose_at"] == []
    # what was inferred says by what; a label needs no explanation
    assert "(inferred: order: summarize" in found["test_inferred_at"][0]["text"]
    assert "inferred" not in found["test_header"][0]["text"]
    result.stdout.fnmatch_lines(["2 calls are of unknown task, not held against the rules for *"])
    assert "Not a Label" not in (reference.path / "out.json").read_text()


def test_tasks_by_path_are_labels(reference: Project) -> None:
    (reference.path / ".github" / "crashlens.yml").unlink()
    reference.write(
        "crashlens.yml",
        f"{REFERENCE_B.read_text()}\ntasks:\n  - {{match: test_it.py, task: summarization}}\n",
    )
    result = reference.run("--crashlens-update-baseline")
    # everything small that goes to gpt-4, whatever its words; what a test says of itself stays
    assert states(result) == {
        *("test_inferred_at", "test_unknown", "test_header", "test_metadata", "test_no_label")
    }
    result.stdout.no_fnmatch_line("*of unknown task*")


def test_what_is_only_likely_is_advice(project: Project) -> None:
    project.write(
        "test_it.py",
        TESTS.partition("def test_inferred_at")[0]
        + """
def test_a():
    ask("hello there", "gpt-4-0613", 10)
""",
    )
    rule = "{task_type: chat, disallowed_models: [gpt-4]}"
    project.write(
        "crashlens.yml",
        f"version: 1\nbaseline: off\npolicies:\n  - enforce: no-gpt-4\n    rules: [{rule}]\n",
    )
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["1 call would match policy 'no-gpt-4' (looks like chat), not enforced: label *"]
    )
