"""Which tests are judged, and what the rest of pytest makes of a cost failure."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import plan, states, write_client, write_tests


def report(project: Project) -> dict[str, dict[str, Any]]:
    """The JSON report's tests by name."""
    found = json.loads((project.path / "out.json").read_text())
    return {test["key"].partition("::")[2]: test for test in found["tests"]}


KINDS = """
import unittest
import pytest

@pytest.fixture
def broken(spend):
    spend("over")
    raise RuntimeError

@pytest.fixture
def breaks_later():
    yield
    raise RuntimeError

def test_passes(spend):
    spend("over")

def test_fails(spend):
    spend("over")
    assert 0

def test_skips(spend):
    spend("over")
    pytest.skip("here")

@pytest.mark.xfail
def test_xfails(spend):
    spend("over")
    assert 0

@pytest.mark.xfail
def test_xpasses(spend):
    spend("over")

@pytest.mark.xfail(strict=True)
def test_xpasses_strictly(spend):
    spend("over")

def test_setup_error(broken):
    pass

def test_teardown_error(spend, breaks_later):
    spend("over")

@pytest.mark.parametrize("text", ["a::b", "x/y.py", "[", "@g", "\\u00e9 "])
def test_param(spend, text):
    spend("over")

class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _spend(self, spend):
        self.spend = spend

    def test_passes(self):
        self.spend("over")

    def test_fails(self):
        self.spend("over")
        self.fail()

    def test_subtests(self):
        for number in range(2):
            with self.subTest(number=number):
                self.spend("over")

    @unittest.expectedFailure
    def test_xfails(self):
        self.spend("over")
        self.fail()

class TestGrouped:
    def test_method(self, spend):
        spend("over")

def in_doctest():
    '''
    >>> getfixture("spend")("over")
    '''
"""
SUBTESTS = """
def test_subtests_pass(spend, subtests):
    for number in range(3):
        with subtests.test(number=number):
            spend("over")

def test_subtests_fail(spend, subtests):
    with subtests.test("first"):
        spend("over")
    with subtests.test("second"):
        assert 0
"""
JUDGED = {
    "test_passes": 1,
    "test_teardown_error": 1,
    "test_param[a::b]": 1,
    "test_param[x/y.py]": 1,
    "test_param[[]": 1,
    "test_param[@g]": 1,
    "test_param[\\xe9 ]": 1,
    "TestOld::test_passes": 1,
    "TestOld::test_subtests": 2,
    "TestGrouped::test_method": 1,
    "test_it.in_doctest": 1,
}
"""Tests that a limit of 2,000 tokens fails, with their calls of 3,000 tokens."""
OTHERS = {
    "test_fails": "failed",
    "test_skips": "skipped",
    "test_xfails": "xfailed",
    "test_xpasses": "xpassed",
    "test_xpasses_strictly": "failed",
    "test_setup_error": "error",
    "TestOld::test_fails": "failed",
    "TestOld::test_xfails": "xfailed",
}


if hasattr(pytest, "Subtests"):  # as of pytest 9
    KINDS += SUBTESTS
    JUDGED["test_subtests_pass"] = 3
    OTHERS["test_subtests_fail"] = "failed"


@pytest.fixture
def kinds(project: Project) -> Project:
    plan(project, over=3000)
    project.write("test_it.py", KINDS)
    return project


def test_only_tests_that_passed_are_judged(kinds: Project) -> None:
    kinds.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_total_tokens: 2000}\n")
    result = kinds.run("--doctest-modules", "--crashlens-report=json:out.json")
    assert result.ret == 1
    over = {name for name in states(result) if name in JUDGED}
    assert over == set(JUDGED)
    tests = report(kinds)
    for name, calls in JUDGED.items():
        test = tests[name]
        assert (test["state"], test["outcome"], len(test["calls"])) == ("over", "passed", calls)
    assert {name: tests[name]["outcome"] for name in OTHERS} == OTHERS
    assert {tests[name]["state"] for name in OTHERS} == {"not judged"}
    spent = json.loads((kinds.path / "out.json").read_text())["totals"]["simulated"]
    assert spent["calls"] == sum(JUDGED.values()) + len(OTHERS)


def test_only_tests_that_passed_are_in_the_baseline(kinds: Project) -> None:
    result = kinds.run("--crashlens-update-baseline", "--doctest-modules")
    assert result.ret == 1
    found = {key.partition("::")[2]: entry for key, entry in kinds.baseline["tests"].items()}
    calls = {name: sum(block["calls"] for block in e["usage"]) for name, e in found.items()}
    stored = {name: number for name, number in JUDGED.items() if name != "test_teardown_error"}
    assert calls == stored
    again = kinds.run("--doctest-modules", "--crashlens-report=json:out.json")
    assert {test["state"] for test in report(kinds).values()} == {"same", "not judged", "missing"}
    assert not states(again) & set(stored)


@pytest.fixture
def regression(project: Project) -> Project:
    """The first and the third of four tests cost more than their baseline."""
    names = ("test_a", "test_b", "test_c", "test_d")
    write_tests(project, **dict.fromkeys(names, 1000))
    project.update()
    plan(project, test_a=2000, test_b=1000, test_c=3000, test_d=1000)
    return project


def test_letter_word_exit_code_and_xml(regression: Project) -> None:
    result = regression.run("--junitxml=out.xml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "test_it.py F.F.*",
            "*= FAILURES =*",
            "*_ test_a _*",
            "E   LLM *",
            "  to accept: pytest --crashlens-update-baseline test_it.py::test_a",
            "FAILED test_it.py::test_a - LLM *",
            "FAILED test_it.py::test_c - LLM *",
            "*= 2 failed, 2 passed in *",
        ]
    )
    suite = ET.parse(regression.path / "out.xml").getroot().find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "2",
        "errors": "0",
    }
    [failure] = suite.findall("testcase[@name='test_a']/failure")
    message = failure.get("message")
    assert message is not None
    assert message.startswith("LLM ")
    assert failure.text is not None
    assert failure.text.count(message) == 1
    result = regression.run("-v")
    result.stdout.fnmatch_lines(["test_it.py::test_a FAILED *", "test_it.py::test_b PASSED *"])


@pytest.mark.parametrize(("flag", "ran"), [("-x", 1), ("--maxfail=2", 3)])
def test_failures_stop_the_run(regression: Project, flag: str, ran: int) -> None:
    result = regression.run(flag)
    assert result.ret == 1
    failed = (ran + 1) // 2
    result.assert_outcomes(failed=failed, passed=ran - failed)
    result.stdout.fnmatch_lines([f"*! stopping after {failed} failures !*"])


def test_last_failed_runs_it_again(regression: Project) -> None:
    run = regression.pytester.runpytest_inprocess
    assert run("--crashlens").ret == 1
    result = run("--crashlens", "--lf")
    result.assert_outcomes(failed=2)
    plan(regression, **dict.fromkeys(("test_a", "test_b", "test_c", "test_d"), 1000))
    run("--crashlens", "--lf").assert_outcomes(passed=2)
    run("--crashlens", "--lf").assert_outcomes(passed=4)


OUTLIVING = """
import json
from pathlib import Path

import llm
import pytest

PLANNED = json.loads((Path(__file__).parent / "plan.json").read_text())


def call(name):
    for step in PLANNED[name]:
        llm.call(step["input_tokens"])


@pytest.fixture(scope="session")
def database():
    call("session_setup")
    yield
    call("session_teardown")


@pytest.fixture
def judge():
    yield
    call("teardown")


def test_a(database):
    call("test")


def test_b(judge):
    call("test")
"""
USUAL: dict[str, Any] = {
    "session_setup": 1000,
    "session_teardown": 50,
    "teardown": 400,
    "test": 100,
}


def outliving(project: Project) -> None:
    plan(project, **USUAL)
    write_client(project)
    project.write("test_it.py", OUTLIVING)
    project.update()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("session_setup", "fixture:test_it.py::database"),
        ("session_teardown", "fixture:test_it.py::database"),
        ("teardown", "teardown:test_it.py::test_b"),
    ],
)
def test_what_outlives_a_test_is_judged_with_the_session(
    project: Project, name: str, key: str
) -> None:
    outliving(project)
    assert set(project.baseline["tests"]) == {
        "fixture:test_it.py::database",
        "teardown:test_it.py::test_b",
        "test_it.py::test_a",
        "test_it.py::test_b",
    }
    assert project.run().ret == 0
    plan(project, **USUAL | {name: 5000})
    result = project.run("--crashlens-report=json:out.json")
    result.assert_outcomes(passed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{key}*LLM * +*%*"])
    found = json.loads((project.path / "out.json").read_text())
    assert found["failed"] is True
    assert [test["key"] for test in found["tests"] if test["failed"]] == [key]


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (("session_setup", "session_teardown"), "fixture:test_it.py::database"),
        (("teardown",), "teardown:test_it.py::test_b"),
    ],
)
def test_what_outlives_a_test_and_is_no_longer_seen_is_no_improvement(
    project: Project, names: tuple[str, ...], key: str
) -> None:
    outliving(project)
    plan(project, **USUAL | {name: [] for name in names})
    result = project.run()
    result.assert_outcomes(passed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{key}*no call*"])
    unused = "test_b" if key.startswith("fixture") else "test_a"
    assert project.run("-k", unused).ret == 0, "what did not run cannot be missed"
    project.update()
    assert project.usage(key) == []


@pytest.mark.parametrize("place", ["setup", "teardown"])
def test_broken_fixture_is_not_written(project: Project, place: str) -> None:
    outliving(project)
    before = project.baseline
    spot = 'call("session_setup")' if place == "setup" else 'call("teardown")'
    project.write("test_it.py", OUTLIVING.replace(spot, 'call("test"); assert 0'))
    assert project.run("--crashlens-update-baseline").ret == 1
    assert project.baseline == before


def test_ignored_tests_are_not_judged_by_their_teardown_either(project: Project) -> None:
    plan(project, **USUAL)
    write_client(project)
    project.write("test_it.py", OUTLIVING + "\n\npytestmark = pytest.mark.crashlens(ignore=True)\n")
    project.update("-k", "test_b")
    assert project.baseline["tests"] == {}
    assert project.run("-k", "test_b").ret == 0


SCOPES = """
import unittest
import llm
import pytest

def setup_module(module):
    llm.call(1)

@pytest.fixture(scope="class")
def of_class():
    llm.call(10)

class TestA:
    @classmethod
    def setup_class(cls):
        llm.call(1000)

    def test_it(self, of_class, of_module):
        pass

class TestB:
    def test_it(self, of_class):
        pass

class TestC(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        llm.call(2000)

    def test_it(self):
        pass
"""
OF_FILE = {
    "setup_module": 1,
    "TestA::of_class": 10,
    "TestB::of_class": 10,
    "TestA::setup_class": 1000,
    "TestC::setUpClass": 2000,
    "of_module": 5,
}


def test_fixtures_are_kept_apart_by_what_they_are_set_up_for(project: Project) -> None:
    """No key holds a path of this machine, and a part of the tests uses what all of them use."""
    plan(project)
    write_client(project)
    project.write(
        "plugged/site-packages/plugged.py",
        "import llm, pytest\n\n\n@pytest.fixture(scope='session', autouse=True)\n"
        "def of_plugin():\n    llm.call(7)\n",
    )
    project.write(
        "conftest.py",
        "import sys, pytest\nsys.path.append('plugged/site-packages')\n"
        "from plugged import of_plugin\nimport llm\n\n\n"
        "@pytest.fixture(scope='module')\ndef of_module():\n    llm.call(5)\n",
    )
    for name in ("test_it.py", "test_too.py"):
        project.write(name, SCOPES)
    project.write(
        "test_param.py",
        "import llm, pytest\n\n\n@pytest.fixture(scope='session', params=[100, 200])\n"
        "def of_session(request):\n    llm.call(request.param)\n\n\n"
        "def test_a(of_session):\n    pass\n",
    )
    project.update()
    inputs = {
        key: entry["usage"][0]["input_tokens"] for key, entry in project.baseline["tests"].items()
    }
    assert inputs == {
        "fixture:plugged::of_plugin": 7,
        "fixture:test_param.py::of_session[0]": 100,
        "fixture:test_param.py::of_session[1]": 200,
        **{
            f"fixture:{file}::{key}": tokens
            for file in ("test_it.py", "test_too.py")
            for key, tokens in OF_FILE.items()
        },
    }
    data = project.baseline_path.read_bytes()
    for part in ("test_it.py::TestA", "test_param.py::test_a[200]", "test_it.py::TestC"):
        project.update(part)
        assert project.baseline_path.read_bytes() == data, part
    assert project.run().ret == 0


def test_a_fixture_costs_what_one_setup_costs(project: Project) -> None:
    """However often it is set up: that depends on the order of the tests."""
    write_client(project)
    for name in ("one", "two"):
        project.write(
            f"test_{name}.py",
            "import llm\nimport pytest\n\n"
            "@pytest.fixture(scope='module')\ndef res(request):\n"
            "    return llm.call(1000 * request.param)\n\n"
            "@pytest.mark.parametrize('res', [1, 2], indirect=True)\n"
            "def test_a(res): pass\n\n"
            "@pytest.mark.parametrize('res', [1, 2], indirect=True)\n"
            "def test_b(res): pass\n",
        )
    project.update()
    keys = set(project.baseline["tests"])
    assert keys == {f"fixture:test_{n}.py::res[{i}]" for n in ("one", "two") for i in (0, 1)}
    mixed = [f"test_one.py::test_{t}[{i}]" for t in "ab" for i in (2, 1)]
    result = project.run(*mixed, "test_two.py::test_a")
    assert result.ret == 0, result.outlines


def test_short_tracebacks_and_quiet_runs_say_what_failed(regression: Project) -> None:
    result = regression.run("--tb=line")
    result.stdout.fnmatch_lines(["test_it.py: LLM cost +1?? %: input +100 %*"])
    result.stdout.no_fnmatch_line("*_Crash*")
