"""Flags and ini keys: what turns the plugin on, off and which files it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import INI, Project
from tests.integration.planned import plan, states, write_tests

BROKEN = "version: 1\nlimits:\n  max_calls: none\n"
"""Whoever reads this crashlens.yml stops: a run that goes on has not been turned on."""


def run_plain(project: Project, *arguments: str) -> pytest.RunResult:
    return project.pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)


def ini(project: Project, *lines: str) -> None:
    project.write("tox.ini", "\n".join([INI, *lines, ""]))


def test_off_without_a_flag(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.write("crashlens.yml", BROKEN)
    result = run_plain(project)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*crashlens:*")
    result.stdout.no_fnmatch_line("*= LLM cost =*")


def test_on_by_ini(project: Project) -> None:
    write_tests(project, test_a=1000)
    ini(project, "crashlens = true")
    result = run_plain(project)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["crashlens: no baseline yet", "*= LLM cost =*"])


@pytest.mark.parametrize("line", ["crashlens = true", "addopts = --crashlens"])
def test_no_crashlens_beats_ini_and_addopts(project: Project, line: str) -> None:
    write_tests(project, test_a=1000)
    project.write("crashlens.yml", BROKEN)
    ini(project, line)
    result = run_plain(project, "--no-crashlens")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*= LLM cost =*")
    assert run_plain(project).ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    "flag",
    [
        "--crashlens-config=x.yml",
        "--crashlens-baseline=x.json",
        "--crashlens-no-fail",
        "--crashlens-report=json:x.json",
    ],
)
def test_flags_that_need_crashlens_say_so(project: Project, flag: str) -> None:
    write_tests(project, test_a=1000)
    result = run_plain(project, flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: {flag.partition('=')[0]} without --crashlens: add --crashlens"]
    )


def test_update_implies_crashlens(project: Project) -> None:
    write_tests(project, test_a=1000)
    result = run_plain(project, "--crashlens-update-baseline")
    assert result.ret == 0
    assert list(project.baseline["tests"]) == ["test_it.py::test_a"]


@pytest.mark.parametrize("only", ["--collect-only", "--help", "--markers", "--fixtures"])
def test_runs_without_tests_read_no_files(project: Project, only: str) -> None:
    """An editor that discovers tests, or a look at the help, does not trip over a broken file."""
    write_tests(project, test_a=1000)
    project.write("crashlens.yml", BROKEN)
    result = project.run(only)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*= LLM cost =*")


def test_help_and_markers_describe_the_plugin(project: Project) -> None:
    result = run_plain(project, "--help")
    result.stdout.fnmatch_lines(
        [
            "LLM cost regression tests:",
            "*--crashlens *",
            "*--no-crashlens *",
            "*--crashlens-config=PATH",
            "*--crashlens-baseline=PATH",
            "*--crashlens-update-baseline",
            "*--crashlens-no-fail *",
            "*--crashlens-report=TYPE[[]:PATH]",
            "*crashlens (bool):*",
            "*crashlens_report (linelist):*",
        ]
    )
    result = run_plain(project, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.crashlens(*max_cost=..., *"])


@pytest.mark.parametrize("how", ["flag", "ini"])
def test_no_fail_tells_and_lets_pass(project: Project, how: str) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=3000, test_b=1000)
    flags = ["--crashlens-no-fail"] if how == "flag" else []
    if how == "ini":
        ini(project, "crashlens_no_fail = true")
    result = project.run(*flags, "--crashlens-report=json:out.json")
    assert result.ret == 0
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "crashlens: *, reporting only",
            "*test_it.py::test_a *+200 %*",
            "*1 over*",
            "not failed, because of *",
        ]
    )
    report = json.loads((project.path / "out.json").read_text())
    assert report["failed"] is False
    assert [test["state"] for test in report["tests"]] == ["over", "same"]


def test_paths_of_flags_start_where_pytest_was_started(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tests(project, test_a=1000)
    project.write("sub/limits.yml", "version: 1\nlimits: {max_calls: 0}\n")
    monkeypatch.chdir(project.path / "sub")
    flags = ("--rootdir=..", "-c", "../tox.ini", "..", "--crashlens-baseline=own.json")
    result = project.run(*flags, "--crashlens-update-baseline")
    assert result.ret == 0, result.outlines
    stored = json.loads((project.path / "sub" / "own.json").read_text())
    assert list(stored["tests"]) == ["../test_it.py::test_a"]
    result = project.run(*flags, "--crashlens-config=limits.yml")
    assert states(result) == {"test_a"}
    result.stdout.fnmatch_lines(["crashlens: baseline own.json (1 entry), limits.yml (0 rules)"])


def test_paths_of_the_ini_start_at_the_ini(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tests(project, test_a=1000)
    project.write("sub/limits.yml", "version: 1\nlimits: {max_calls: 0}\n")
    ini(
        project,
        "crashlens_config = sub/limits.yml",
        "crashlens_baseline = sub/own.json",
        "crashlens_report = json:sub/out.json",
    )
    monkeypatch.chdir(project.path / "sub")
    result = project.run("..", "--crashlens-update-baseline")
    assert states(result) == {"test_a"}
    result.stdout.fnmatch_lines(["own.json: no entries", "*not written*test_a"])
    report = json.loads((project.path / "sub" / "out.json").read_text())
    assert report["failed"] is True


def test_a_named_file_that_is_missing(project: Project) -> None:
    write_tests(project, test_a=1000)
    for flag, words in (
        ("--crashlens-config=no.yml", "*no.yml: error: no such file*"),
        ("--crashlens-baseline=no.json", "*no baseline file at *no.json, and it was named*"),
    ):
        result = project.run(flag)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([words])
        result.stdout.no_fnmatch_line("*passed*")


def test_default_files_are_the_root_s_wherever_pytest_is_started(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(project, test_a=1000)
    project.write("sub/test_it.py", "def test_a(spend):\n    spend()\n")
    project.write(".github/crashlens.yml", "version: 1\nlimits: {max_calls: 5}\n")
    monkeypatch.chdir(project.path / "sub")
    result = project.update()
    result.stdout.fnmatch_lines([f"*{project.baseline_path}: 1 entry written, 1 in all"])
    assert list(project.baseline["tests"]) == ["sub/test_it.py::test_a"]
    assert project.run().ret == 0
    assert Path.cwd() == project.path / "sub"
