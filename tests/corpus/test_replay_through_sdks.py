"""Recorded exchanges sent again through the real SDKs: the baseline has what ``meter`` reads.

Each recorded request is made by the SDK's own method, in a test of an inner project, and gets the
recorded answer from a mock transport. So capture, attribution, reading and the baseline are held
against another way to the same figures: the recording read by ``crashlens meter``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.cli.main import main
from pytest_crashlens.model.usage import USAGE_FIELDS
from tests.corpus.recorded import NO_CORPUS, SHARED, rows
from tests.corpus.sdk_calls import sdk_of
from tests.corpus.test_conformance import sequences
from tests.integration.conftest import Project

pytestmark = pytest.mark.skipif(not SHARED, reason=NO_CORPUS)

INNER = """
import asyncio
import json
from pathlib import Path

import pytest

from tests.corpus.sdk_replay import Replay

HERE = Path(__file__).parent
PLAN = json.loads((HERE / "plan.json").read_text())
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def send():
    replay = Replay()
    if PLAN["asynchronous"]:
        with asyncio.Runner() as runner:
            yield lambda taken: runner.run(replay.send_async(taken))
    else:
        yield replay.send
    (HERE / "outcomes.json").write_text(json.dumps(replay.outcomes))


@pytest.mark.parametrize("name", PLAN["calls"])
def test_sent_again(send, name):
    send(PLAN["calls"][name])
"""
MODULES = {"openai": "openai", "anthropic": "anthropic", "google": "google.genai"}
SENDABLE = {"openai": 2864, "anthropic": 879, "google": 1114}
"""Recorded requests to paths that the SDK sends to."""
LACKING = {
    "openai": {"sent as recorded": 9, "read": 82, "body as recorded": 94},
    "anthropic": {"sent as recorded": 0, "read": 16, "body as recorded": 47},
    "google": {"sent as recorded": 5, "read": 34, "body as recorded": 410},
}
"""How many are not, at most, with either of the last two major versions of each SDK: the SDK has
another path, refuses the arguments, raises what the answer says, or writes the body its own way."""
GENERIC = {"openai": 0, "anthropic": 5, "google": 16}
"""Of these the SDK has no method for the path, or none that takes the body: sent as plain JSON."""
ERRORS = {"openai": {1: 111, 2: 18, 3: 1}, "anthropic": {1: 13}, "google": {1: 15}}
"""Recorded calls with refused attempts, by the number of their attempts."""
EVERYTHING = bool(os.environ.get("CRASHLENS_REPLAY_EVERYTHING"))
"""Send all recorded requests (minutes) and not only some of each kind."""
EVERY = 20
"""Of each kind the first is sent, and then every so many."""
PRICED_BY_THE_HOUR = {"deepseek"}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("CI", raising=False)
    return Project(pytester)


def metered(folder: Path, taken: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What ``crashlens meter --json`` says of each row, by id."""
    path = folder / "recorded.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in taken))
    lines = io.StringIO()
    with contextlib.redirect_stdout(lines):
        assert main(["meter", "--json", str(path)]) == 0
    return {line["id"]: line for line in map(json.loads, lines.getvalue().splitlines())}


def sent_again(
    project: Project, calls: Mapping[str, list[dict[str, Any]]], *, asynchronous: bool = False
) -> dict[str, dict[str, Any]]:
    """Send each of ``calls`` in a test of its own, and update the baseline; what became of them."""
    plan = {"calls": calls, "asynchronous": asynchronous}
    project.write("plan.json", json.dumps(plan))
    project.write("test_rows.py", INNER)
    result = project.update("-q", "test_rows.py")
    result.assert_outcomes(passed=len(calls))
    outcomes: dict[str, dict[str, Any]] = json.loads((project.path / "outcomes.json").read_text())
    assert outcomes.keys() == calls.keys()
    return outcomes


def blocks_of(project: Project) -> dict[str, list[dict[str, Any]]]:
    """The usage in the baseline, by the name of the call."""
    return {
        key.partition("[")[2].removesuffix("]"): [
            {name: value for name, value in block.items() if name != "input_parts"}
            for block in entry["usage"]
        ]
        for key, entry in project.baseline["tests"].items()
    }


def as_block(line: Mapping[str, Any]) -> dict[str, Any]:
    """The baseline's block for the one call in a line of ``meter --json``."""
    block = {
        "provider": line["provider"],
        "model": line["model_returned"] or line["model_requested"] or "unknown",
        "calls": 1,
        **{name: line["usage"][name] for name in USAGE_FIELDS if line["usage"][name] is not None},
    }
    if line["price_status"] == "priced" and "not billed" in line["notes"]:
        return block | {"refused": True}
    return block | {"usage_source": line["usage_source"], "cost_usd": line["cost_usd"]}


def comparable(block: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a line of ``meter --json`` does not have, or has for another hour of the day."""
    beside = {"card", "service_tier", "batch", "above_input_tokens"}
    if block["provider"] in PRICED_BY_THE_HOUR:
        beside |= {"cost_usd"}
    return {name: value for name, value in block.items() if name not in beside}


def every_few(taken: Mapping[str, dict[str, Any]], step: int) -> dict[str, dict[str, Any]]:
    """Of each kind of exchange (host, endpoint, outcome, oddities) the first and every ``step``."""
    odd = {truth["id"]: tuple(truth["notes"]) for truth in rows("traffic-truth")}
    kinds: Counter[tuple[Any, ...]] = Counter()
    chosen = {}
    for name, row in taken.items():
        labels = (row[label] for label in ("host", "endpoint", "status", "streaming"))
        kind = (*labels, odd.get(name, ()))
        if kinds[kind] % step == 0:
            chosen[name] = row
        kinds[kind] += 1
    return chosen


def why_not(outcomes: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """What became of the calls that were not read to their end as they were recorded."""
    results = [
        one["result"] if one["as_recorded"] or not one["sent"] else "sent to another path"
        for one in outcomes
    ]
    return Counter(result[:100] for result in results if result != "read")


@pytest.mark.parametrize("sdk", MODULES)
def test_the_baseline_has_what_meter_reads(sdk: str, project: Project) -> None:
    pytest.importorskip(MODULES[sdk])
    taken = {row["id"]: row for row in rows("traffic") if sdk_of(row) == sdk}
    assert len(taken) == SENDABLE[sdk]
    if not EVERYTHING:
        taken = every_few(taken, EVERY)
    lines = metered(project.path, taken.values())

    outcomes = sent_again(project, {name: [row] for name, row in taken.items()})
    found = blocks_of(project)
    compared = {name for name, outcome in outcomes.items() if outcome["as_recorded"]}
    wrong = {}
    for name in compared:
        blocks = [comparable(block) for block in found.get(name, [])]
        right = [comparable(as_block(lines[name]))] if lines[name]["call"] else []
        if blocks != right:
            wrong[name] = (taken[name]["url"], blocks, right)
    assert wrong == {}
    assert not found.keys() - {name for name, outcome in outcomes.items() if outcome["sent"]}

    lacking = {
        "sent as recorded": len(taken) - len(compared),
        "read": sum(outcome["result"] != "read" for outcome in outcomes.values()),
        "body as recorded": sum(not outcome["same_body"] for outcome in outcomes.values()),
    }
    more = {name: count for name, count in lacking.items() if count > LACKING[sdk][name]}
    assert not more, why_not(outcomes.values())
    assert sum(outcome["generic"] for outcome in outcomes.values()) <= GENERIC[sdk]

    before = project.baseline_path.read_bytes()
    again = every_few(taken, EVERY if EVERYTHING else 2)
    sent_again(project, {name: [row] for name, row in again.items()}, asynchronous=True)
    assert project.baseline_path.read_bytes() == before


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("sdk", MODULES)
def test_attempts_are_those_the_sdk_makes(sdk: str, asynchronous: bool, project: Project) -> None:
    pytest.importorskip(MODULES[sdk])
    taken = {row["id"]: row for row in rows("traffic-errors") if sdk_of(row) == sdk}
    calls = {ids[0]: [taken[one] for one in ids] for ids in sequences(list(taken.values()))}
    assert Counter(map(len, calls.values())) == ERRORS[sdk]
    lines = metered(project.path, taken.values())

    outcomes = sent_again(project, calls, asynchronous=asynchronous)
    found = blocks_of(project)
    for name, attempts in calls.items():
        assert outcomes[name]["sent"] == len(attempts), outcomes[name]
        right = as_block(lines[attempts[-1]["id"]])
        if len(attempts) > 1:
            right["retries"] = len(attempts) - 1
        assert [comparable(block) for block in found[name]] == [comparable(right)]
