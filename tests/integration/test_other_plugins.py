"""Beside the plugins that suites run with: neither side breaks the other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import LEAN, plan, states, write_client, write_tests


def by_name(project: Project) -> dict[str, dict[str, Any]]:
    found = json.loads((project.path / "out.json").read_text())
    return {test["key"].partition("::")[2]: test for test in found["tests"]}


def total_calls(project: Project) -> int:
    found = json.loads((project.path / "out.json").read_text())
    assert found["incomplete"] == []
    assert found["late_calls"] == []
    calls: int = found["totals"]["simulated"]["calls"]
    return calls


REPORT = "--crashlens-report=json:out.json"


def test_reruns_judge_the_last_attempt_and_count_all(project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    plan(project, test_flaky=1000, setup=10, teardown=100)
    project.write(
        "test_it.py",
        """
import pytest

runs = []

@pytest.fixture
def around(spend):
    spend("setup")
    yield
    spend("teardown")

def test_flaky(spend, around, crashlens):
    assert crashlens.usage.input_tokens == 10
    spend()
    runs.append(1)
    assert len(runs) % 3 == 0
""",
    )
    result = project.run("--reruns=2", "--crashlens-update-baseline", REPORT)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert project.usage("test_it.py::test_flaky")[0]["input_tokens"] == 1010
    assert project.usage("teardown:test_it.py::test_flaky")[0]["calls"] == 1
    assert total_calls(project) == 9
    assert project.run("--reruns=2").ret == 0


def test_cost_failure_is_not_run_again(project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=3000, test_b=1000)
    result = project.run("--reruns=2", REPORT)
    assert states(result) == {"test_a"}
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.no_re_match_line(r".*\brerun\b")
    assert total_calls(project) == 2


ASYNC = """
import asyncio
import llm
import pytest


@pytest.mark.asyncio(loop_scope="module")
async def test_a():
    await llm.acall(100)


@pytest.mark.asyncio(loop_scope="module")
async def test_b():
    await asyncio.gather(llm.acall(200), llm.acall(200))


@pytest.mark.asyncio
async def test_c():
    task = asyncio.create_task(llm.acall(300))
    await task


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def shared_runner(anyio_backend):
    yield


@pytest.mark.anyio
async def test_d(shared_runner):
    await llm.acall(400)


@pytest.mark.anyio
async def test_e(shared_runner):
    await llm.acall(500)
"""


def test_async_calls_belong_to_their_tests(project: Project) -> None:
    for name in ("pytest_asyncio", "anyio"):
        pytest.importorskip(name)
    plan(project)
    write_client(project)
    project.write("test_it.py", ASYNC)
    result = project.run(REPORT)
    result.assert_outcomes(passed=5)
    assert {
        name: test["now"]["usage"]["input_tokens"] for name, test in by_name(project).items()
    } == {
        "test_a": 100,
        "test_b": 400,
        "test_c": 300,
        "test_d": 400,
        "test_e": 500,
    }
    assert total_calls(project) == 6


def test_fake_file_system_is_none_of_ours(project: Project) -> None:
    """Counting, judging and the words of the failure work while no real file can be read."""
    pytest.importorskip("pyfakefs")
    plan(project)
    client = project.path / "llm.py"
    write_client(project)
    text = client.read_text()
    project.write(
        "test_it.py",
        """
import os
import llm

def test_stated(fs):
    assert not os.path.exists("llm.py")
    llm.call(100)

def test_counted(fs):
    llm.call(100, usage=False)

def test_recorded(fs, crashlens):
    crashlens.record(model="gpt-4.1", provider="openai", input_tokens=100)
""",
    )
    without_fakefs = [flag for flag in LEAN if "fakefs" not in flag]
    assert project.run_apart(*without_fakefs, "--crashlens-update-baseline").ret == 0
    assert project.usage("test_it.py::test_counted")[0]["usage_source"] == "tokenizer"
    text = text.replace('"prompt_tokens": tokens,', '"prompt_tokens": 9 * tokens,')
    client.write_text(text.replace("It is.", "It is, and it is so " * 99))
    result = project.run_apart(*without_fakefs, REPORT)
    assert states(result) == {"test_stated", "test_counted"}
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["E   LLM *", "  metric *", "  cost *"])
    assert total_calls(project) == 3


def test_frozen_time_changes_no_price(project: Project) -> None:
    pytest.importorskip("freezegun")
    plan(project, test_a={"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 10})
    write_client(project)
    project.write(
        "test_it.py",
        """
import datetime
import freezegun
import pytest
import llm

@pytest.fixture(params=["real", "2019-01-01", "2099-12-31"])
def time(request):
    if request.param == "real":
        yield
        return
    with freezegun.freeze_time(request.param):
        assert str(datetime.date.today()) == request.param
        yield

def test_a(time, spend):
    spend()
    llm.call(500)
""",
    )
    result = project.run_apart(*LEAN, "--crashlens-update-baseline", REPORT)
    assert result.ret == 0, result.outlines
    tests = list(by_name(project).values())
    assert len(tests) == 3
    assert len({test["cost_today_usd"] for test in tests}) == 1
    assert len({json.dumps(test["now"]) for test in tests}) == 1
    assert len(project.baseline["cards"]) == 2


def test_blocked_network_is_none_of_ours(project: Project) -> None:
    pytest.importorskip("pytest_recording")
    plan(project)
    write_client(project)
    project.write(
        "test_it.py",
        "import llm\n\n\ndef test_a():\n    llm.call(100)\n\n\n"
        "def test_counted():\n    llm.call(100, usage=False)\n",
    )
    assert project.run("--block-network", "--crashlens-update-baseline", REPORT).ret == 0
    assert len(project.baseline["tests"]) == 2
    assert total_calls(project) == 2


def test_without_terminal_and_cache(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update("-p", "no:terminal")
    plan(project, test_a=3000, test_b=1000)
    result = project.run("-p", "no:terminal", REPORT)
    assert result.ret == 1
    assert {name: test["failed"] for name, test in by_name(project).items()} == {
        "test_a": True,
        "test_b": False,
    }
    project.write("crashlens.yml", "version: 2\n")
    assert project.run("-p", "no:terminal").ret == pytest.ExitCode.USAGE_ERROR


def test_quiet_and_verbose(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=3000, test_b=1000)
    result = project.run("-q")
    result.stdout.no_fnmatch_line("*= LLM cost =*")
    result.stdout.fnmatch_lines(["2 tests with LLM calls, 1 over: *"])
    result = project.run("-v")
    result.stdout.fnmatch_lines(["*= LLM cost =*", "*::test_a *over", "*::test_b *same"])


def test_calls_of_all_examples_are_the_test_s(project: Project) -> None:
    pytest.importorskip("hypothesis")
    plan(project)
    write_client(project)
    project.write(
        "test_it.py",
        """
import llm
from hypothesis import given, settings
from hypothesis import strategies as st

@settings(max_examples=4, database=None, deadline=None, derandomize=True)
@given(number=st.integers(0, 1000))
def test_a(number):
    llm.call(100)
""",
    )
    project.update()
    [usage] = project.usage("test_it.py::test_a")
    assert (usage["calls"], usage["input_tokens"]) == (4, 400)
    assert project.run().ret == 0


def test_other_ways_to_capture_and_warn(project: Project) -> None:
    write_tests(project, test_a=1000)
    for flags in (["-s", "-p", "no:logging"], ["--capture=sys", "-p", "no:warnings"]):
        assert project.run(*flags).ret == 0
