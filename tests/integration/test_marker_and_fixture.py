"""@pytest.mark.crashlens(...) and the ``crashlens`` fixture."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import plan, states, write_client

LIMITS: dict[str, tuple[str, str, str]] = {
    # the argument; what passes; what fails
    "max_cost": ("max_cost='0.001'", "cost_at", "cost_over"),
    "max_cost_number": ("max_cost=0.001", "cost_at", "cost_over"),
    "max_total_tokens": ("max_total_tokens=150", "tokens_at", "tokens_over"),
    "max_input_tokens": ("max_input_tokens=100", "tokens_at", "tokens_over"),
    "max_output_tokens": ("max_output_tokens=50", "tokens_at", "tokens_over"),
    "max_calls": ("max_calls=2", "calls_at", "calls_over"),
    "max_retries": ("max_retries=3", "retries_at", "retries_over"),
}
CALLS: dict[str, Any] = {
    # gpt-4o: $2.50 and $10 per million tokens
    "cost_at": {"model": "gpt-4o", "input_tokens": 200, "output_tokens": 50},
    "cost_over": {"model": "gpt-4o", "input_tokens": 201, "output_tokens": 50},
    "tokens_at": {"input_tokens": 100, "output_tokens": 50},
    "tokens_over": {"input_tokens": 101, "output_tokens": 51},
    "calls_at": [{"input_tokens": 1}] * 2,
    "calls_over": [{"input_tokens": 1}] * 3,
    "retries_at": [{"input_tokens": 1, "attempts": 4}] * 2,
    "retries_over": {"input_tokens": 1, "attempts": 5},
}


def test_every_absolute_limit_holds_to_the_token(project: Project) -> None:
    plan(project, **CALLS)
    tests = "".join(
        f"@pytest.mark.crashlens({argument})\n"
        f"@pytest.mark.parametrize('calls', ['{at}', '{over}'])\n"
        f"def test_{name}(spend, calls):\n    spend(calls)\n\n\n"
        for name, (argument, at, over) in LIMITS.items()
    )
    project.write("test_it.py", f"import pytest\n\n\n{tests}")
    result = project.run()
    assert states(result) == {f"test_{name}[{over}]" for name, (_, _, over) in LIMITS.items()}
    result.assert_outcomes(failed=len(LIMITS), passed=len(LIMITS))


def test_relative_limits_of_a_test_and_their_floor(project: Project) -> None:
    plan(project, small=1000, large=1000)
    project.write(
        "test_it.py",
        """
import pytest
mark = pytest.mark.crashlens

def test_default(spend):
    spend("small")

@mark(max_increase="50%")
def test_wider(spend):
    spend("small")

@mark(max_increase="5%")
def test_closer(spend):
    spend("small")

@mark(max_increase="off")
def test_off(spend):
    spend("large")

@mark(max_increase={"calls": "100%"})
def test_of_calls(spend):
    spend("large")

@mark(max_increase="5%", min_increase={"tokens": 500, "cost": "0.01"})
def test_floor(spend):
    spend("small")
""",
    )
    project.update()
    plan(project, small=1100, large=9000)
    assert states(project.run()) == {"test_closer", "test_of_calls"}
    plan(project, small=1300, large=9000)
    assert states(project.run()) == {"test_default", "test_closer", "test_of_calls"}


def test_closest_marker_wins_key_by_key(project: Project) -> None:
    plan(project, two=[{"input_tokens": 100}] * 2)
    project.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 0}\n")
    project.write(
        "test_it.py",
        """
import pytest
mark = pytest.mark.crashlens
pytestmark = mark(max_calls=1, max_total_tokens=1000)

def test_module(spend):
    spend("two")

@mark(max_calls=2)
def test_function(spend):
    spend("two")

@mark(max_calls=2, max_total_tokens=199)
def test_other_key(spend):
    spend("two")

@mark(max_calls=3)
class TestClass:
    def test_class(self, spend):
        spend("two")

    @mark(max_calls=1)
    def test_method(self, spend):
        spend("two")

    @pytest.mark.parametrize("n", [pytest.param(1, marks=mark(max_calls=1)), 2])
    def test_param(self, spend, n):
        spend("two")
""",
    )
    project.write("test_other.py", "def test_yml(spend):\n    spend('two')\n")
    assert states(project.run()) == {
        "test_module",
        "test_other_key",
        "TestClass::test_method",
        "TestClass::test_param[1]",
        "test_yml",
    }


def test_key_names_the_entry_and_the_path_still_decides_the_limits(project: Project) -> None:
    plan(project, one=1000)
    project.write("crashlens.yml", "version: 1\nlimits: {max_calls: 5}\n")
    text = """
import pytest

@pytest.mark.crashlens(key="checkout-flow")
def {name}(spend):
    spend("one")
"""
    (project.path / "test_it.py").write_text(text.format(name="test_before"))
    project.update()
    assert list(project.baseline["tests"]) == ["checkout-flow"]
    (project.path / "test_it.py").unlink()
    project.write("test_moved.py", text.format(name="test_after"))
    assert project.run().ret == 0
    plan(project, one=3000)
    result = project.run()
    assert states(result) == {"test_after"}
    result.stdout.fnmatch_lines(
        ["  to accept: pytest --crashlens-update-baseline test_moved.py::test_after"]
    )
    plan(project, one=1000)
    paths = "paths: [{match: test_moved.py, limits: {max_calls: 0}}]\n"
    project.write("crashlens.yml", f"version: 1\n{paths}")
    assert states(project.run()) == {"test_after"}


def test_ignored_tests_are_neither_judged_nor_written(project: Project) -> None:
    plan(project, one=1000)
    project.write("crashlens.yml", "version: 1\nlimits: {max_calls: 0}\n")
    project.write(
        "test_it.py",
        "import pytest\n\n\n@pytest.mark.crashlens(ignore=True)\ndef test_a(spend):\n"
        "    spend('one')\n",
    )
    project.update()
    assert project.baseline["tests"] == {}
    result = project.run("--crashlens-report=json:out.json")
    assert result.ret == 0
    report = json.loads((project.path / "out.json").read_text())
    assert [test["outcome"] for test in report["tests"]] == ["ignored"]
    assert report["totals"]["simulated"]["calls"] == 1


FIXTURE = """
import llm
import pytest

def test_sees_what_was_used_so_far(crashlens):
    assert crashlens.calls == ()
    assert crashlens.usage.input_tokens is None
    crashlens.record(
        model="gpt-4o", provider="openai", input_tokens=10, output_tokens=4, cache_read_tokens=2,
        reasoning_tokens=1, attempts=3,
    )
    assert crashlens.usage.input_tokens == 10
    assert crashlens.usage.total_tokens == 14
    [call] = crashlens.calls
    assert (call.model, call.provider, call.retries, call.live) == ("gpt-4o", "openai", 2, False)
    llm.call(100)
    if crashlens_is_on(crashlens):
        assert crashlens.usage.input_tokens == 110
        assert [call.endpoint for call in crashlens.calls] == ["recorded", "chat"]

def crashlens_is_on(crashlens):
    return len(crashlens.calls) == 2

def test_starts_anew(crashlens):
    assert crashlens.calls == ()

@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 1.0}, "input_tokens"),
        ({"output_tokens": True}, "output_tokens"),
        ({"cache_read_tokens": "3"}, "cache_read_tokens"),
        ({"attempts": 0}, "attempts"),
    ],
)
def test_refuses_what_is_no_count(crashlens, changes, word):
    with pytest.raises(ValueError, match=word):
        crashlens.record(**{"model": "m", "provider": "p", "input_tokens": 1} | changes)
    assert crashlens.calls == ()

def test_takes_keywords_only(crashlens):
    with pytest.raises(TypeError):
        crashlens.record("gpt-4o", "openai", 10)

def test_scope_ends_with_an_error(crashlens):
    def record():
        crashlens.record(model="m", provider="p", input_tokens=1)
    record()
    with pytest.raises(RuntimeError), crashlens.scope("summarization"):
        record()
        with crashlens.scope("planning"):
            record()
        record()
        raise RuntimeError
    record()
    assert [call.task for call in crashlens.calls] == [
        None, "summarization", "planning", "summarization", None
    ]
"""


@pytest.mark.parametrize("on", [True, False])
def test_fixture_works_with_the_plugin_on_and_off(project: Project, on: bool) -> None:
    plan(project)
    write_client(project)
    project.write("test_it.py", FIXTURE)
    result = project.run() if on else project.run("--no-crashlens")
    result.assert_outcomes(passed=9)
    assert result.ret == 0


def test_fixture_counts_captured_calls_while_the_test_runs(project: Project) -> None:
    plan(project)
    write_client(project)
    project.write(
        "test_it.py",
        "import llm\n\n\ndef test_a(crashlens):\n    llm.call(100)\n"
        "    assert crashlens.usage.input_tokens == 100\n    llm.call(50)\n"
        "    assert crashlens.usage.input_tokens == 150\n    assert len(crashlens.calls) == 2\n",
    )
    project.update()
    [usage] = project.usage("test_it.py::test_a")
    assert (usage["calls"], usage["input_tokens"]) == (2, 150)


def test_two_tests_with_one_key_do_not_share_an_entry(project: Project) -> None:
    plan(project, test_a=100, test_b=900)
    project.write(
        "test_it.py",
        "import pytest\n\npytestmark = pytest.mark.crashlens(key='k')\n\n"
        "def test_a(spend):\n    spend()\n\ndef test_b(spend):\n    spend()\n",
    )
    result = project.run("--crashlens-update-baseline")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E   LLM cost: its key 'k' is that of test_it.py::test_a too; give each test*"]
    )
    assert project.usage("k")[0]["input_tokens"] == 100


def test_scopes_of_concurrent_coroutines_are_their_own(project: Project) -> None:
    write_client(project)
    project.write(
        "test_it.py",
        "import asyncio\nimport llm\n\n"
        "def test_a(crashlens):\n"
        "    async def ask(task, wait):\n"
        "        with crashlens.scope(task):\n"
        "            await asyncio.sleep(wait)\n"
        "            await llm.acall(10)\n"
        "    async def both():\n"
        "        await asyncio.gather(ask('one', 0.02), ask('two', 0.01))\n"
        "        await llm.acall(10)\n"
        "    asyncio.run(both())\n"
        "    assert [call.task for call in crashlens.calls] == ['two', 'one', None]\n",
    )
    project.run().assert_outcomes(passed=1)
