"""Before there is a baseline, and runs in which nothing is seen."""

from __future__ import annotations

import shlex

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import LEAN, plan, write_client, write_tests


def run_pasted(project: Project, command: str) -> pytest.RunResult:
    program, *arguments = shlex.split(command)
    assert program == "pytest"
    return project.pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)


def test_first_run_passes_and_its_command_works_when_pasted(project: Project) -> None:
    write_tests(project, test_a=1000)
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "crashlens: no baseline yet",
            "*test_it.py::test_a *",
            "No baseline yet, so nothing was compared.*",
            "  pytest --crashlens-update-baseline",
            "and commit crashlens-baseline.json*",
            "1 test with LLM calls: 1 call, 1,000 + 0 tokens, $0.00015 simulated",
        ]
    )
    assert not project.baseline_path.exists()
    command = next(line for line in result.outlines if "--crashlens-update-baseline" in line)
    assert run_pasted(project, command).ret == 0
    assert list(project.baseline["tests"]) == ["test_it.py::test_a"]
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["crashlens: baseline crashlens-baseline.json (1 entry)"])


def test_with_a_crashlens_yml_a_missing_baseline_is_an_error(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.write("conf dir/own.yml", "version: 1\nlimits: {max_calls: 5}\n")
    result = project.run("--crashlens-config=conf dir/own.yml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: crashlens: no baseline file at *crashlens-baseline.json, and own.yml is there*"]
    )
    result.stdout.no_fnmatch_line("*test_it*")
    told = "\n".join(result.errlines)
    command = told.partition("Write it: ")[2].partition(". Or")[0]
    assert run_pasted(project, command).ret == 0
    assert project.run("--crashlens-config=conf dir/own.yml").ret == 0


def test_command_from_a_subfolder_works_when_pasted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(project, test_a=1000)
    project.write("sub/test_it.py", "def test_a():\n    pass\n")
    project.update()
    project.write("sub/test_it.py", "def test_a(spend):\n    spend()\n")
    monkeypatch.chdir(project.path / "sub")
    result = project.run()
    assert result.ret == 1
    command = next(line for line in result.outlines if "to accept:" in line)
    pasted = run_pasted(project, command.partition("to accept: ")[2])
    assert pasted.ret == 0, pasted.outlines
    assert list(project.baseline["tests"]) == ["sub/test_it.py::test_a"]


def test_baseline_off_checks_policies_alone(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=10)
    project.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_total_tokens: 500}\n")
    result = project.run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "crashlens: baseline off, crashlens.yml (0 rules)",
            "FAILED test_it.py::test_a - LLM cost: total tokens of this test over the li*",
        ]
    )
    result.stdout.no_fnmatch_line("*--crashlens-update-baseline*")
    result = project.run("--crashlens-update-baseline")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*baseline: off, so there is nothing to update*"])
    assert not project.baseline_path.exists()


def test_no_calls_says_why(project: Project) -> None:
    project.write("test_it.py", "def test_a():\n    pass\n")
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["0 LLM calls captured*"])


def test_calls_out_of_sight_name_the_loaded_libraries(project: Project) -> None:
    write_client(project)
    project.write(
        "test_it.py", "import llm\ndef test_a(monkeypatch):\n    llm.httpx.get = lambda url: url\n"
    )
    result = project.run_apart(*LEAN)
    result.stdout.fnmatch_lines(["0 LLM calls captured*oaded: httpx*"])


def test_update_without_any_call_leaves_a_project_that_runs(project: Project) -> None:
    project.write("crashlens.yml", "version: 1\nlimits: {max_calls: 5}\n")
    test = project.write("test_it.py", "def test_a():\n    assert 0\n")
    assert project.run().ret == pytest.ExitCode.USAGE_ERROR
    result = project.run("--crashlens-update-baseline")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["crashlens-baseline.json: no entries"])
    assert project.baseline == {"cards": {}, "tests": {}, "version": 1}
    assert project.run().ret == 1, "its own failure, no usage error"
    test.write_text("def test_a():\n    pass\n")
    assert project.run().ret == 0


def test_started_in_a_subfolder_without_an_ini_it_finds_the_baseline(project: Project) -> None:
    (project.path / "tox.ini").unlink()
    (project.path / ".git").mkdir()
    write_tests(project, test_a=100)
    folder = project.path / "t"
    folder.mkdir()
    for name in ("conftest.py", "plan.json", "test_it.py"):
        (project.path / name).rename(folder / name)
    project.update("t")
    (folder / "plan.json").write_text((folder / "plan.json").read_text().replace("100", "900"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   LLM cost +800 %: input*"])
    assert list(project.baseline["tests"]) == ["t/test_it.py::test_a"]
