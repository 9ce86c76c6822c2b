"""Live suites, whose answers differ in length from run to run: what fails, and what does not."""

from __future__ import annotations

import json
import math
import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import LEAN, states
from tests.llm_server import LLMServer

UPDATE = "--crashlens-update-baseline"
FIVE = (190, 200, 210, 220, 230)
ASKS = """
import pytest
from openai import OpenAI


@pytest.fixture
def ask():
    with OpenAI(max_retries=0) as client:
        def ask(model="gpt-4o-mini"):
            text = "Is it so?"
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": text}]
            )

        yield ask
"""


class Suite:
    """A project whose tests ask the local server, which answers at the lengths it is told."""

    def __init__(self, project: Project, server: LLMServer) -> None:
        self.project = project
        self.server = server
        project.write("conftest.py", ASKS)

    def answers(self, *lengths: int, model: str = "gpt-4o-mini") -> None:
        """From now on, one after the other, and then always the last."""
        rules = self.server._rules
        rules[:] = [rule for rule in rules if rule.for_model != model]
        for length in lengths[:-1]:
            self.server.reply(for_model=model, times=1, output_tokens=length)
        self.server.reply(for_model=model, output_tokens=lengths[-1])

    def tests(self, text: str) -> None:
        self.project.write("test_it.py", text)

    def run(self, *arguments: str) -> tuple[pytest.RunResult, int]:
        """The result, and the requests that it took."""
        before = len(self.server.requests)
        result = self.project.run(*arguments)
        return result, len(self.server.requests) - before

    def outputs(self, name: str) -> list[int]:
        found: list[int] = self.entry(name)["runs"]["output_tokens"]
        return found

    def entry(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.project.baseline["tests"][f"test_it.py::{name}"]
        return found


@pytest.fixture
def suite(project: Project, server: LLMServer) -> Iterator[Suite]:
    yield Suite(project, server)
    server._rules.clear()


@pytest.fixture
def recorded(suite: Suite) -> Suite:
    """One live test with five runs, and one without calls."""
    suite.tests("def test_a(ask):\n    ask()\n\n\ndef test_b():\n    pass\n")
    suite.answers(*FIVE)
    result, requests = suite.run(UPDATE, "--crashlens-repeat=5")
    assert (result.ret, requests) == (0, 5)
    return suite


def test_repeat_stores_the_runs_and_counts_each_test_once(recorded: Suite) -> None:
    assert recorded.outputs("test_a") == list(FIVE)
    (block,) = recorded.entry("test_a")["usage"]
    assert (block["calls"], block["output_tokens"]) == (1, 210), "the middle run"
    recorded.project.baseline_path.unlink()
    recorded.answers(*FIVE)
    result, _ = recorded.run(
        UPDATE, "--crashlens-repeat=5", "-v", "--junitxml=j.xml", "--crashlens-report=json:r.json"
    )
    result.assert_outcomes(passed=2)
    assert [line for line in result.outlines if "::test_a PASSED" in line] != []
    report = json.loads((recorded.project.path / "r.json").read_text())
    assert report["totals"]["spent"]["usage"]["output_tokens"] == sum(FIVE)
    assert report["totals"]["spent"]["calls"] == 5
    assert report["tests"][0]["now"]["runs"]["output_tokens"] == list(FIVE)
    (cases,) = ET.parse(recorded.project.path / "j.xml").getroot()
    assert (cases.get("tests"), len(cases)) == ("6", 6), "a test case for each run"


def test_updates_add_runs_until_there_are_enough_and_then_change_nothing(suite: Suite) -> None:
    suite.tests("def test_a(ask):\n    ask()\n")
    suite.answers(*FIVE, 240)
    for number in range(1, 6):
        suite.run(UPDATE)
        assert suite.outputs("test_a") == list(FIVE[:number])
        assert suite.entry("test_a")["usage"][0]["output_tokens"] == FIVE[0]
    data = suite.project.baseline_path.read_bytes()
    result, _ = suite.run(UPDATE)
    assert suite.project.baseline_path.read_bytes() == data
    result.stdout.fnmatch_lines(["*: nothing to write, 1 entry as before"])
    suite.run(UPDATE, "test_it.py::test_a")
    assert suite.outputs("test_a") == [240], "named, it is written anew"


def test_three_times_as_long_fails_when_all_runs_agree(recorded: Suite) -> None:
    recorded.answers(660, 600, 630, 690, 610)
    result, requests = recorded.run("--crashlens-confirm=4", "--crashlens-report=json:r.json")
    assert (result.ret, requests) == (1, 5)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "E   LLM output tokens +204 %*",
            "  noise: 5 runs in the baseline lie in 190..230, 4 of 4 re-runs agree",
            "  to accept: pytest --crashlens-update-baseline --crashlens-repeat 5 *::test_a",
            "*5 calls, * spent",
        ]
    )
    result.stdout.no_fnmatch_line("record *")
    (test,) = json.loads((recorded.project.path / "r.json").read_text())["tests"]
    verdict = test["noise"]["output_tokens"]
    assert (verdict["outcome"], verdict["runs"], verdict["seen_runs"]) == ("increased", 5, 5)
    assert verdict["p"] < verdict["level"] == 0.02
    assert "4 of 4 re-runs agree" in test["findings"][0]["evidence"]
    assert test["now"]["runs"]["output_tokens"] == [600, 610, 630, 660, 690]

    accepted, _ = recorded.run(UPDATE, "--crashlens-repeat=5", "test_it.py::test_a")
    assert accepted.ret == 0
    assert recorded.outputs("test_a") == [610] * 5
    result, requests = recorded.run("--crashlens-confirm=4")
    assert (result.ret, requests) == (0, 1)


def test_what_is_flagged_and_not_confirmed_passes_with_a_note(recorded: Suite) -> None:
    recorded.answers(660, 200, 210, 220, 190)
    result, requests = recorded.run("--crashlens-confirm=4")
    assert (result.ret, requests) == (0, 5)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "note: *::test_a: output 210 -> 660 tokens was noise (mean of all runs: 296)",
            "  5 runs in the baseline lie in 190..230, 0 of 4 re-runs agree",
        ]
    )


def test_without_reruns_one_run_is_told(recorded: Suite) -> None:
    recorded.answers(330)
    result, requests = recorded.run()
    assert (result.ret, requests) == (0, 1)
    result.stdout.fnmatch_lines(["note: *::test_a: output 210 -> 330 tokens may be noise"])


def test_confirm_may_be_set_in_the_ini_file(recorded: Suite) -> None:
    recorded.answers(660)
    ini = recorded.project.path / "tox.ini"
    ini.write_text(ini.read_text() + "\ncrashlens_confirm = 2\n")
    result, requests = recorded.run()
    assert (result.ret, requests) == (1, 3)


def test_few_runs_and_how_to_get_more_are_said_once(suite: Suite) -> None:
    suite.tests("def test_a(ask):\n    ask()\n\n\ndef test_b(ask):\n    ask()\n")
    suite.answers(200)
    suite.run(UPDATE)
    result, _ = suite.run()
    at = result.outlines.index("record 4 runs to be able to detect x2:")
    assert result.outlines.count(result.outlines[at]) == 1
    assert result.outlines[at : at + 3] == [
        "record 4 runs to be able to detect x2:",
        "  pytest --crashlens-update-baseline --crashlens-repeat 4",
        "  and compare with --crashlens-confirm 4",
    ]
    suite.tests("def test_a():\n    pass\n")
    suite.project.baseline_path.unlink()
    suite.run(UPDATE)
    suite.run()[0].stdout.no_fnmatch_line("record *")


def drawn(draw: random.Random, spreads: Sequence[float]) -> list[int]:
    return [round(300 * math.exp(draw.gauss(0, spread))) for spread in spreads]


def test_noise_alone_does_not_fail(suite: Suite) -> None:
    """Thirty runs of five tests that differ in how much they vary; a percentage fails in most."""
    spreads = (0.05, 0.1, 0.2, 0.3, 0.5)
    suite.tests(
        "import pytest\n\n\n"
        "@pytest.mark.parametrize('model', ['m0', 'm1', 'm2', 'm3', 'm4'])\n"
        "def test_a(crashlens, model, request):\n"
        "    import json, pathlib\n"
        "    runs = request.config.stash.setdefault(__name__, {})\n"
        "    runs[model] = runs.get(model, -1) + 1\n"
        "    lengths = json.loads(pathlib.Path('lengths.json').read_text())\n"
        "    tokens = lengths[runs[model]][int(model[1:])]\n"
        "    used = {'input_tokens': 100, 'output_tokens': tokens}\n"
        "    crashlens.record(model='gpt-4o', provider='openai', live=True, **used)\n"
    )
    draw = random.Random(7)

    def write() -> list[int]:
        """What the tests use in their first run, and draws for four re-runs."""
        lengths = [drawn(draw, spreads) for _ in range(5)]
        suite.project.write("lengths.json", json.dumps(lengths))
        return lengths[0]

    for _ in range(5):
        write()
        suite.run(UPDATE)
    before = [suite.entry(f"test_a[m{at}]")["usage"][0]["output_tokens"] for at in range(5)]
    assert len(suite.outputs("test_a[m4]")) >= 4
    by_percent = 0
    for _ in range(30):
        lengths = write()
        result, _ = suite.run("-q", "--crashlens-confirm=4")
        assert result.ret == 0, result.outlines
        by_percent += any(
            now > 1.2 * old and now - old > 50 for now, old in zip(lengths, before, strict=True)
        )
    assert by_percent > 15


def test_all_tests_together_may_rise_by_more_than_noise(suite: Suite) -> None:
    suite.tests(
        "import pytest\n\n\n@pytest.mark.parametrize('number', range(12))\n"
        "def test_a(ask, number):\n    ask()\n"
    )
    suite.answers(*(270, 285, 300, 315, 330) * 12)
    suite.run(UPDATE, "--crashlens-repeat=5")
    suite.answers(375)
    result, _ = suite.run("--crashlens-report=json:r.json")
    assert result.ret == 1
    result.assert_outcomes(passed=12)
    words = "the output of 12 live tests together rose by 2? % (noise: -* % to +* %)"
    result.stdout.fnmatch_lines([f"session: {words}"])
    assert suite.run("-k", "1")[0].ret == 0, "too few tests"
    suite.run(UPDATE)
    assert suite.outputs("test_a[0]") == [375], "an update accepts what the suite shows"
    assert suite.run()[0].ret == 0


MANY = """
import os
import pytest


@pytest.fixture(scope="session")
def lasting():
    with open("log", "a") as log:
        log.write("up ")
    yield
    with open("log", "a") as log:
        log.write("down ")


@pytest.fixture
def fresh():
    return []


class TestClass:
    def test_own_instance(self, ask, lasting, fresh, record_property):
        assert not hasattr(self, "seen") and not fresh
        self.seen = fresh.append(1)
        record_property("kind", "x")
        ask("m0")


@pytest.mark.xfail(strict=False)
def test_xfail(ask):
    ask("m1")
    assert False


def test_fails(ask):
    ask("m2")
    assert False


@pytest.mark.flaky(reruns=1)
def test_rerun(ask, request):
    ask("m3")
    count = getattr(request.config, "_count", 0)
    request.config._count = count + 1
    assert count % 2


@pytest.mark.crashlens(ignore=True)
def test_ignored(ask):
    ask("m4")


def test_replayed(crashlens):
    crashlens.record(model="m5", provider="openai", input_tokens=1)


def test_subtests(ask, subtests):
    ask("m6")
    with subtests.test("x"):
        assert False


@pytest.fixture
def bad_teardown():
    yield
    assert False, "torn down badly"


class TestEndOfClass:  # which is torn down with it, though another run was expected
    def test_bad_teardown(self, ask, bad_teardown):
        ask("m7")


def test_last(ask, lasting):
    ask("m8")
"""


def test_what_is_run_again_and_with_what(suite: Suite) -> None:
    suite.tests(MANY)
    before = len(suite.server.requests)
    result, _ = suite.run(UPDATE, "--crashlens-repeat=3", "-o", "junit_family=xunit1")
    asked = [attempt.body["model"] for attempt in suite.server.requests[before:]]
    runs = {name: asked.count(name) for name in dict.fromkeys(asked) if name.startswith("m")}
    log = (suite.project.path / "log").read_text()
    assert log == "up down ", "what outlives a test is set up once"
    assert {name: runs[name] for name in ("m0", "m1", "m2", "m3", "m4", "m6", "m7", "m8")} == {
        "m0": 3,
        "m1": 1,
        "m2": 1,
        "m3": 6,  # each of the runs fails first
        "m4": 1,
        "m6": 1,
        "m7": 1,
        "m8": 3,
    }
    result.stdout.fnmatch_lines(["ERROR *::test_bad_teardown - AssertionError: torn do*"])
    assert {name for name in states(result) if "subtests" not in name} == {"test_fails"}
    stored = suite.project.baseline["tests"]
    assert {
        key.rpartition("::")[2]: len(e.get("runs", {}).get("calls", []))
        for key, e in stored.items()
    } == {
        "test_own_instance": 3,
        "test_rerun": 3,
        "test_replayed": 0,
        "test_last": 3,
    }


def test_a_test_that_fails_when_run_again_fails(recorded: Suite) -> None:
    recorded.tests(
        "import os\n\n\ndef test_a(ask, request):\n    ask()\n"
        "    request.config._count = getattr(request.config, '_count', 0) + 1\n"
        "    assert request.config._count < 3\n"
    )
    recorded.answers(660)
    result, requests = recorded.run("--crashlens-confirm=4")
    assert (result.ret, requests) == (1, 3)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E       assert 3 < 3*"])


def test_under_xdist(recorded: Suite) -> None:
    pytest.importorskip("xdist")
    stored = recorded.project.baseline["tests"]
    recorded.project.baseline_path.unlink()
    recorded.answers(*FIVE)
    result = recorded.project.run_apart(*LEAN, "-n2", UPDATE, "--crashlens-repeat=5")
    assert result.ret == 0
    result.assert_outcomes(passed=2)
    assert recorded.project.baseline["tests"] == stored
    recorded.answers(660)
    before = len(recorded.server.requests)
    result = recorded.project.run_apart(*LEAN, "-n2", "--crashlens-confirm=4")
    assert len(recorded.server.requests) == before + 5
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["  noise: 5 runs in the baseline lie in 190..230, 4 of 4 re-runs agree"]
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--crashlens-repeat=3"], "--crashlens-repeat without --crashlens-update-baseline*"),
        ([UPDATE, "--crashlens-repeat=0"], "--crashlens-repeat=0: expected * from 1 to 20"),
        (["--crashlens-confirm=21"], "--crashlens-confirm=21: expected * from 0 to 20"),
        (["-o", "crashlens_confirm=x"], "crashlens_confirm = x: expected * from 0 to 20"),
    ],
)
def test_wrong_numbers(project: Project, flags: list[str], words: str) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    result = project.run(*flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {words}"])


RUNS = """
import pytest

RUN = []


@pytest.mark.crashlens(max_calls=2)
def test_dear_at_first(crashlens):
    RUN.append(1)
    for _ in range(3 if len(RUN) == 1 else 1):
        crashlens.record(
            provider="openai", model="gpt-4o-mini", input_tokens=9, output_tokens=9, live=True
        )
"""

CACHED = """
import functools


@functools.cache
def answer(record):
    record(provider="openai", model="gpt-4o-mini", input_tokens=9, output_tokens=9, live=True)


def test_cached(crashlens, monkeypatch):
    answer(ALWAYS.setdefault("record", crashlens.record))


ALWAYS = {}
"""


def test_limits_hold_for_every_run(project: Project) -> None:
    project.write("test_it.py", RUNS)
    result = project.run(UPDATE, "--crashlens-repeat", "3")
    assert states(result) == {"test_dear_at_first"}
    result.stdout.fnmatch_lines(["*calls of this test over the limit (3 > 2)*"])
    assert project.baseline["tests"] == {}


def test_runs_of_cached_answers_do_not_count(project: Project) -> None:
    project.write("test_it.py", CACHED)
    result = project.run(UPDATE, "--crashlens-repeat", "3")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["note: test_it.py::test_cached made no call when it was run*"])
    assert [block["calls"] for block in project.usage("test_it.py::test_cached")] == [1]
