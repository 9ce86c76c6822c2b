"""Files and arguments that cannot be used: one message that says what to do, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import LEAN, plan, states, write_tests

USAGE_ERROR = pytest.ExitCode.USAGE_ERROR


def refuse(result: pytest.RunResult, *words: str) -> None:
    """No test ran, nothing but our message was said, on stderr."""
    assert result.ret == USAGE_ERROR, result.outlines
    result.stderr.fnmatch_lines([f"ERROR: {words[0]}", *words[1:]])
    said = "\n".join([*result.outlines, *result.errlines])
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    assert "test_it.py" not in "\n".join(result.outlines)


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], bytes]:
    def edit(text: str) -> bytes:
        plain = json.loads(text)
        change(plain)
        return json.dumps(plain).encode()

    return edit


def entry(plain: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = plain["tests"]["test_it.py::test_a"]
    return found


def rate(plain: dict[str, Any]) -> None:
    for card in plain["cards"].values():
        card["rates"]["input"] = "0.000001"


BASELINES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "merge conflict": (
        lambda text: text.replace('  "tests"', '<<<<<<< HEAD\n  "tests"').encode(),
        "*crashlens-baseline.json:*: unresolved merge conflict; keep either side, then run "
        "pytest --crashlens-update-baseline",
    ),
    "truncated": (
        lambda text: text[: len(text) // 2].rstrip().encode(),
        "*crashlens-baseline.json:*:*; restore it (git checkout -- *) or delete it and run *",
    ),
    "empty file": (lambda text: b"", "*.json:1:1: *; restore it *"),
    "binary": (lambda text: b"\x80\x81\x00", "*.json: cannot be read: 'utf-8' codec *"),
    "newer version": (
        edited(lambda plain: plain.update(version=2)),
        "*has version 2, this pytest-crashlens reads up to 1; upgrade it: pip install -U *",
    ),
    "another file": (
        lambda text: b'{"name": "something", "lockfileVersion": 3}',
        '*not a crashlens baseline (no "version"); name another file with *',
    ),
    "no object": (lambda text: b"[]", "*not a crashlens baseline *"),
    "edited card": (edited(rate), "*: card *: its rates were edited by hand *"),
    "duplicate key": (
        lambda text: text.replace('"version": 1', '"version": 1, "version": 1').encode(),
        "*.json: 'version' is there twice (a merge gone wrong?); restore it *",
    ),
    "not a number": (
        edited(lambda plain: entry(plain)["usage"][0].update(calls=float("nan"))),
        "*.json: NaN is no number of ours; *",
    ),
    "float": (
        edited(lambda plain: entry(plain)["usage"][0].update(input_tokens=1000.0)),
        "*test_it.py::test_a: 'input_tokens' must be an integer of at least 0, not 1000.0; *",
    ),
    "negative": (
        edited(lambda plain: entry(plain)["usage"][0].update(calls=-1)),
        "*test_it.py::test_a: 'calls' must be an integer of at least 0, not -1; *",
    ),
    "truth for a number": (
        edited(lambda plain: entry(plain)["usage"][0].update(calls=True)),
        "*test_it.py::test_a: 'calls' must be an integer *, not True; *",
    ),
    "list for an object": (
        edited(lambda plain: plain.update(tests=[])),
        "*.json: tests: expected an object; *",
    ),
    "no tests": (
        edited(lambda plain: plain.pop("tests")),
        "*.json: tests: expected an object; *",
    ),
    "unknown key": (
        edited(lambda plain: entry(plain).update(useage=[])),
        "*test_it.py::test_a: unknown key 'useage'; *",
    ),
    "nested too deep": (lambda text: b"[" * 100_000, "*.json:*"),
}


@pytest.fixture(scope="module")
def good_baseline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {}


@pytest.mark.parametrize("name", BASELINES)
def test_baseline_that_cannot_be_used(
    project: Project, good_baseline: dict[str, str], name: str
) -> None:
    write_tests(project, test_a=1000)
    if not good_baseline:
        project.update()
        good_baseline["text"] = project.baseline_path.read_text()
    spoil, words = BASELINES[name]
    data = spoil(good_baseline["text"])
    assert data != good_baseline["text"].encode()
    project.baseline_path.write_bytes(data)
    refuse(project.run(), words)
    refuse(project.run("--crashlens-update-baseline"), words)
    assert project.baseline_path.read_bytes() == data


def test_line_of_the_merge_conflict(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.write("crashlens-baseline.json", '{\n  "version": 1,\n<<<<<<< ours\n')
    refuse(project.run(), f"{project.baseline_path}:3: unresolved merge conflict; *")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"crashlens.yml": "version: 1\nlimits: {max_cals: 1}\n"}, "*crashlens.yml:2:10: error: *"),
        ({"crashlens.yml": "version: 1\nlimits: [\n"}, "*crashlens.yml:3:1: error: *"),
        ({"crashlens.yml": ""}, "*crashlens.yml:1:1: error: *"),
        (
            {"crashlens.yml": "version: 1\n", ".github/crashlens.yml": "version: 1\n"},
            "*crashlens.yml: error: */.github/crashlens.yml exists too, and only one can hold; *",
        ),
        ({"crashlens.yaml": "version: 1\n"}, "*crashlens.yaml: error: is not read; rename to *"),
        ({".github/crashlens.yaml": "version: 1\n"}, "*.github/crashlens.yaml: error: is not *"),
    ],
)
def test_crashlens_yml_that_cannot_be_used(
    project: Project, files: dict[str, str], words: str
) -> None:
    write_tests(project, test_a=1000)
    for name, text in files.items():
        project.write(name, text)
    refuse(project.run("--crashlens-update-baseline"), words)
    refuse(project.run("-n2"), words)
    assert not project.baseline_path.exists()


def test_everything_wrong_with_crashlens_yml_is_said_at_once(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.write(
        "crashlens.yml", "version: 1\nlimits:\n  max_cals: 1\n  max_cost: free\npolicys: []\n"
    )
    refuse(
        project.run(),
        '*crashlens.yml:3:3: error: *"max_cals"*max_calls*',
        "*crashlens.yml:4:13: error: limits.max_cost: *",
        '*crashlens.yml:5:1: error: *"policys"*policies*',
    )


MARKED = """
import pytest

@pytest.mark.crashlens(max_cals=1)
def test_misspelt(spend):
    spend("test_a")

@pytest.mark.crashlens(0.5)
def test_positional(spend):
    spend("test_a")

@pytest.mark.crashlens(max_cost="a lot", max_calls=-1)
def test_values(spend):
    spend("test_a")

@pytest.mark.crashlens(max_calls=1)
def test_a(spend):
    spend("test_a")
"""


@pytest.mark.parametrize("workers", ["none", "two"])
def test_wrong_marker_arguments_stop_their_test_alone(project: Project, workers: str) -> None:
    plan(project, test_a=1000)
    project.write("test_it.py", MARKED)
    result = project.run_apart(*LEAN, "-n2") if workers == "two" else project.run()
    result.assert_outcomes(passed=1, errors=3)
    assert result.ret == 1
    assert states(result, "ERROR") == {"test_misspelt", "test_positional", "test_values"}
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*another exception*")
    said = "\n".join(result.outlines)
    for words in (
        "test_it.py::test_misspelt: @pytest.mark.crashlens(...): unknown key",
        "max_calls",
        "test_it.py::test_positional: @pytest.mark.crashlens takes keyword arguments only, got 0.5",
        "test_it.py::test_values: @pytest.mark.crashlens(...): ",
        "max_calls: expected a whole number",
        "; max_cost: expected US dollars",
    ):
        assert words in said, words


def test_marker_is_known_to_strict_markers(project: Project) -> None:
    plan(project, test_a=1000)
    project.write("test_it.py", MARKED.partition("@pytest.mark.crashlens(0.5)")[0])
    result = project.pytester.runpytest_inprocess("-p", "no:cacheprovider", "--strict-markers")
    result.assert_outcomes(passed=1)
