"""One suite of every kind of test, run in every way: one baseline, and the same verdicts."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import LEAN, plan, states, write_client, write_tests

SUITE = '''
import asyncio
import datetime
import os
import unittest

import llm
import pytest

PLANNED = {planned}


def call(name):
    llm.call(PLANNED[name])


@pytest.fixture(scope="module")
def corpus():
    call("corpus")


def test_plain():
    call("test_plain")


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("text", ["a", "b@c"])
def test_param(text):
    call("test_param")


@pytest.mark.xdist_group("one")
def test_of_fixture(corpus):
    call("test_of_fixture")


@pytest.mark.asyncio
async def test_asyncio():
    await asyncio.gather(*[llm.acall(PLANNED["test_asyncio"]) for _ in range(2)])


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_anyio():
    await llm.acall(PLANNED["test_anyio"])


def test_no_real_files(fs):
    assert not os.path.exists("plan.json")
    call("test_no_real_files")


def test_frozen_time():
    import freezegun

    with freezegun.freeze_time("2019-01-01"):
        assert str(datetime.date.today()) == "2019-01-01"
        call("test_frozen_time")


class TestGrouped:
    @pytest.mark.timeout(300)
    def test_method(self):
        call("test_method")


class TestOld(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        call("setUpClass")

    def test_unittest(self):
        call("test_unittest")

    def test_unittest_parts(self):
        for number in range(2):
            with self.subTest(number=number):
                call("test_unittest_parts")


def in_doctest():
    """
    >>> call("in_doctest")
    """


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="older pytest")
def test_subtests(request):
    subtests = request.getfixturevalue("subtests")
    for number in range(2):
        with subtests.test(number=number):
            call("test_subtests")
'''
TOKENS = {
    "corpus": 500,
    "setUpClass": 600,
    "test_plain": 1000,
    "test_param": 1100,
    "test_of_fixture": 1200,
    "test_asyncio": 1300,
    "test_anyio": 1400,
    "test_no_real_files": 1500,
    "test_frozen_time": 1600,
    "test_method": 1700,
    "test_unittest": 1800,
    "test_unittest_parts": 1900,
    "in_doctest": 2000,
    "test_subtests": 2100,
}
FIXTURES = {"fixture:test_it.py::corpus", "fixture:test_it.py::TestOld::setUpClass"}
FLAGS = ("--doctest-modules", "-pno:hypothesispytest", "-pno:recording")
INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings = error
markers =
    timeout: of pytest-timeout
    xdist_group: of pytest-xdist
"""


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the baseline that a plain run writes is kept."""
    return tmp_path_factory.mktemp("plain") / "crashlens-baseline.json"


@pytest.fixture
def suite(project: Project, baseline: Path) -> Project:
    """The project beside the baseline of a plain run."""
    for name in ("pytest_asyncio", "anyio", "pyfakefs", "freezegun"):
        pytest.importorskip(name)
    project.pytester.makeini(INI)
    write_client(project)
    write_suite(project, 1)
    if not baseline.exists():
        project.update(*FLAGS)
        assert "in_doctest" in project.baseline_path.read_text()
        assert len(project.baseline["tests"]) == len(TOKENS) + 1 - (not hasattr(pytest, "Subtests"))
        shutil.copy(project.baseline_path, baseline)
    shutil.copy(baseline, project.baseline_path)
    return project


def write_suite(project: Project, factor: int) -> None:
    planned = {name: factor * tokens for name, tokens in TOKENS.items()}
    project.write("test_it.py", SUITE.replace("{planned}", repr(planned)))


def names(project: Project) -> set[str]:
    return {key.partition("::")[2] for key in set(project.baseline["tests"]) - FIXTURES}


def report(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.path / "out.json").read_text())
    return found


def check_same_in(suite: Project, run: Any, flags: Sequence[str]) -> None:
    """The way writes the plain run's bytes, and fails all tests when each costs more."""
    result = run(*FLAGS, *flags, "--crashlens-update-baseline", "--crashlens-baseline=other.json")
    assert result.ret == 0, result.outlines
    assert (suite.path / "other.json").read_bytes() == suite.baseline_path.read_bytes()
    result.stdout.no_fnmatch_line("*= warnings summary =*")

    write_suite(suite, 3)
    result = run(*FLAGS, *flags, "--crashlens-report=json:out.json")
    assert result.ret == 1
    # older versions of pytest name a test with its group behind: test_param[b@c]@one
    assert {re.sub(r"@[^]]*$", "", name) for name in states(result)} == names(suite)
    result.stdout.no_fnmatch_line("*= warnings summary =*")
    found = report(suite)
    assert found["incomplete"] == []
    assert found["late_calls"] == []
    failed = {test["key"] for test in found["tests"] if test["failed"]}
    assert failed == set(suite.baseline["tests"]), "fixtures are judged with the session"


@pytest.mark.parametrize("dist", ["load", "loadscope", "loadgroup", "worksteal", "each"])
def test_each_way_to_distribute(suite: Project, dist: str) -> None:
    pytest.importorskip("xdist")
    check_same_in(suite, suite.run_apart, ["-n2", f"--dist={dist}"])


def test_all_workers_at_the_same_test_at_once(project: Project) -> None:
    """Their reports come mixed: each attempt has its own calls, and the entry is that of one."""
    pytest.importorskip("xdist")
    write_tests(project, test_a=1000, test_b=[{"input_tokens": 500}, {"input_tokens": 700}])
    project.update(*LEAN)
    together = """
import os, time
from pathlib import Path
import pytest

def meet(name):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    Path(f"{name}-{worker}.here").touch()
    for _ in range(500):
        if not worker or len(list(Path().glob(f"{name}-*.here"))) == 2:
            return
        time.sleep(0.02)

@pytest.mark.crashlens(max_calls=1)
def test_a(spend):
    meet("a")
    spend()

def test_b(spend):
    meet("b")
    spend()
"""
    project.write("test_it.py", together)
    each = (*LEAN, "-n2", "--dist=each")
    result = project.run_apart(*each, "--crashlens-report=json:out.json")
    assert result.ret == 0, result.outlines
    found = report(project)
    assert found["incomplete"] == []
    assert [test["key"] for test in found["tests"]] == ["test_it.py::test_a", "test_it.py::test_b"]
    assert {test["state"] for test in found["tests"]} == {"same"}
    assert found["totals"]["simulated"]["calls"] + found["totals"]["spent"]["calls"] == 6
    for one in project.path.glob("*.here"):
        one.unlink()
    project.run_apart(*each, "--crashlens-update-baseline", "--crashlens-baseline=other.json")
    assert (project.path / "other.json").read_bytes() == project.baseline_path.read_bytes()


@pytest.mark.parametrize(
    ("plugin", "flags"),
    [
        ("pytest_randomly", ["-p", "randomly", "--randomly-seed=7"]),
        ("pytest_timeout", ["--timeout=300"]),
        ("pytest_timeout", ["--timeout=300", "--timeout-method=thread"]),
        ("pytest_rerunfailures", ["--reruns=2"]),
        ("pytest_repeat", ["--count=1"]),
    ],
    ids=["randomly", "timeout-signal", "timeout-thread", "rerunfailures", "repeat"],
)
def test_beside_a_plugin(suite: Project, plugin: str, flags: list[str]) -> None:
    pytest.importorskip(plugin)
    check_same_in(suite, suite.run, flags)


def test_with_the_cache(suite: Project) -> None:
    check_same_in(suite, suite.pytester.runpytest_inprocess, ["--crashlens"])


def test_annotations_of_github(suite: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cost failure is annotated at its test, as any other failure is."""
    pytest.importorskip("pytest_github_actions_annotate_failures")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    write_suite(suite, 3)
    result = suite.run(*FLAGS)
    annotated = [line for line in result.errlines if line.startswith("::error")]
    assert len(annotated) == len(names(suite))
    assert any("file=test_it.py" in line and line.endswith("::test_plain") for line in annotated)


def test_collecting_only_reads_and_writes_nothing(suite: Project) -> None:
    data = suite.baseline_path.read_bytes()
    write_suite(suite, 3)
    for flags in ([], ["--crashlens-update-baseline"]):
        result = suite.run(*FLAGS, "--collect-only", "-q", *flags)
        assert result.ret == 0, result.outlines
        result.stdout.no_fnmatch_line("*LLM*")
        assert suite.baseline_path.read_bytes() == data
    suite.baseline_path.write_text("no JSON")
    assert suite.run(*FLAGS, "--collect-only").ret == 0
    assert suite.baseline_path.read_text() == "no JSON"


def test_repeated_tests_are_tests_of_their_own(project: Project) -> None:
    """Each repetition has an id of its own, hence an entry: it is compared with itself."""
    pytest.importorskip("pytest_repeat")
    write_tests(project, test_a=1000, test_b=1000)
    project.update("--count=2")
    assert {key.partition("::")[2] for key in project.baseline["tests"]} == {
        "test_a[1-2]",
        "test_a[2-2]",
        "test_b[1-2]",
        "test_b[2-2]",
    }
    assert project.run("--count=2").ret == 0
    plan(project, test_a=1000, test_b=3000)
    result = project.run("--count=2")
    assert result.ret == 1
    assert states(result) == {"test_b[1-2]", "test_b[2-2]"}


def test_test_that_times_out_keeps_its_entry(project: Project) -> None:
    pytest.importorskip("pytest_timeout")
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=3000, test_b=2000)
    text = (project.path / "test_it.py").read_text()
    slow = "def test_a(spend):\n    spend()\n    import time; time.sleep(30)\n"
    project.write("test_it.py", text.replace("def test_a(spend):\n    spend()\n", slow))
    result = project.run("--timeout=1", "--crashlens-update-baseline", "--crashlens-report=json:o")
    assert result.ret == 1
    result.assert_outcomes(failed=1, passed=1)
    keys = {name: f"test_it.py::{name}" for name in ("test_a", "test_b")}
    inputs = {name: project.usage(key)[0]["input_tokens"] for name, key in keys.items()}
    assert inputs == {"test_a": 1000, "test_b": 2000}
    spent = json.loads((project.path / "o").read_text())["totals"]["simulated"]
    assert spent["usage"]["input_tokens"] == 5000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL")
@pytest.mark.parametrize("flags", [["--dist=worksteal"], ["--max-worker-restart=0"]])
def test_killed_worker_takes_no_entry_with_it(project: Project, flags: list[str]) -> None:
    pytest.importorskip("xdist")
    usual = dict.fromkeys([f"test_{name}" for name in "abcdef"], 1000)
    write_tests(project, **usual)
    project.update()
    plan(project, **dict.fromkeys(usual, 2000))
    text = (project.path / "test_it.py").read_text()
    kill = "    import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    project.write("test_it.py", text.replace("test_c(spend):\n", f"test_c(spend):\n{kill}"))
    result = project.run_apart(*LEAN, "-n2", *flags, "--crashlens-update-baseline")
    assert result.ret in (1, 2)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stdout.fnmatch_lines(["incomplete: a worker crashed in test_it.py::test_c: *"])
    inputs = {name: project.usage(f"test_it.py::{name}")[0]["input_tokens"] for name in usual}
    assert inputs["test_c"] == 1000
    ran = {name for name, tokens in inputs.items() if tokens == 2000}
    passed = result.parseoutcomes().get("passed", 0)
    assert len(ran) == passed
