"""What the whole run used, by test and attempt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_crashlens.model.call import Call
from pytest_crashlens.model.phase_usage import SET_UP, PhaseUsage


@dataclass(eq=False, slots=True)
class TestRecord:
    """One test while its reports come in."""

    nodeid: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    attempts: list[list[Call]] = field(default_factory=list)
    """Calls of setup and test function, an inner list for each time the test was run."""
    runs: list[tuple[Call, ...]] = field(default_factory=list)
    """Calls of each passed run where a test is measured several times, else of the last one."""
    silent_runs: int = 0
    """Runs that made no call although the first one had: they are not among ``runs``."""
    again: bool = False
    """Whether another run is to follow the last one that passed."""
    teardown: list[Call] = field(default_factory=list)
    """Calls of the last attempt's teardown: too late to be judged with the test."""
    earlier_teardowns: list[Call] = field(default_factory=list)
    """Calls of the other attempts' teardowns."""
    uncaptured: dict[str, None] = field(default_factory=dict)
    """Provider hosts that the last attempt, or any of its ``runs``, looked up without any request
    that was seen."""
    refused: list[str] = field(default_factory=list)
    """Live calls of the same attempts that were refused, a sentence each."""
    outcome: str = "not run"
    """``passed``, ``failed``, ``skipped``, ``xfailed``, ``xpassed``, ``rerun`` or ``error`` (in
    setup)."""
    torn_down: bool = False
    """Whether the teardown of the last attempt went well, so that its calls are all there."""
    at: dict[str, list[Call]] = field(default_factory=dict)
    """By worker its attempt: with xdist's ``--dist each`` all of them run the test, at once."""

    __test__ = False

    @property
    def calls(self) -> tuple[Call, ...]:
        """Calls of the last attempt: what is judged; of several runs those of the middle one."""
        if self.outcome == "passed" and (len(self.runs) > 1 or self.silent_runs):
            return sorted(self.runs, key=size)[(len(self.runs) - 1) // 2]
        return tuple(self.attempts[-1]) if self.attempts else ()

    @property
    def all_calls(self) -> Iterator[Call]:
        """Calls of all attempts: what was spent."""
        for attempt in self.attempts:
            yield from attempt
        yield from self.earlier_teardowns
        yield from self.teardown

    def resume(self, worker: str) -> None:
        """Make the attempt of ``worker`` the last one: the next words are about it."""
        mine = self.at.get(worker)
        if mine is not None and mine is not self.attempts[-1]:
            self.attempts = [*(one for one in self.attempts if one is not mine), mine]

    def begin(self, worker: str) -> None:
        """Start another attempt."""
        self.at[worker] = []
        self.attempts.append(self.at[worker])
        self.earlier_teardowns += self.teardown
        self.teardown, self.torn_down = [], False
        self._forget_runs()
        if not self.runs:
            self.uncaptured, self.refused = {}, []

    def end(self, outcome: str, *, again: bool) -> None:
        """Note how the attempt's test function ended, and whether another run follows."""
        self._forget_runs()
        self.outcome = outcome
        if outcome == "passed":
            self.again = again
            if self.runs and self.runs[0] and not self.attempts[-1]:
                self.silent_runs += 1  # its answers are cached: that is not what a run costs
            else:
                self.runs.append(tuple(self.attempts[-1]))

    def _forget_runs(self) -> None:
        if self.outcome == "passed" and not self.again:
            self.runs.clear()  # it is somebody else who runs it again
            self.silent_runs = 0


class Ledger:
    """Collects phases; every call is in exactly one place."""

    def __init__(self) -> None:
        self.tests: dict[str, TestRecord] = {}
        self._fixtures: dict[tuple[str, str], list[Call]] = {}
        """By worker and set-up: each worker, and other tests, set a fixture up anew."""
        self._set_up: dict[tuple[str, str], None] = {}
        """The set-ups that went well."""
        self.late: list[Call] = []
        self.uncaptured: dict[str, None] = {}
        """Provider hosts looked up outside of tests without any request that was seen."""
        self.refused: dict[str, None] = {}
        """Live calls outside of tests that were refused, a sentence each."""
        self.unseen: dict[str, dict[str, None]] = {}
        """Mocked SDK calls that were not measured: by name the tests that made them."""
        self.faults: dict[str, None] = {}
        self.libraries: dict[str, None] = {}
        """HTTP libraries and SDKs that the tests' processes had loaded."""

    def add(self, nodeid: str, when: str, phase: PhaseUsage | None) -> TestRecord:
        """Take in what the report of one phase carries (None: it carried nothing)."""
        record = self.tests.setdefault(nodeid, TestRecord(nodeid))
        worker = phase.worker if phase else ""
        if when == "setup" or not record.attempts:
            record.begin(worker)
        record.resume(worker)
        if phase is not None:
            record.settings = phase.settings or record.settings
            (record.teardown if when == "teardown" else record.attempts[-1]).extend(phase.calls)
            record.uncaptured |= dict.fromkeys(phase.uncaptured)
            record.refused += phase.refused
            for name in phase.unseen:
                self.unseen.setdefault(name, {})[nodeid] = None
            self.add_rest(phase)
        return record

    def add_rest(self, phase: PhaseUsage) -> None:
        """Take in what belongs to no single test."""
        for name, calls in phase.fixtures.items():
            self._fixtures.setdefault((phase.worker, name), []).extend(calls)
        self._set_up |= dict.fromkeys((phase.worker, name) for name in phase.set_up)
        self.late.extend(phase.late)
        self.uncaptured |= dict.fromkeys(phase.uncaptured_elsewhere)
        self.refused |= dict.fromkeys(phase.refused_elsewhere)
        self.faults |= dict.fromkeys(phase.faults)
        self.libraries |= dict.fromkeys(phase.libraries)

    def fixtures(self) -> dict[str, list[Call]]:
        """By fixture key the calls of its dearest set-up among those that went well.

        How often a fixture is set up depends on the order and the distribution of the tests.
        """
        found: dict[str, list[Call]] = {}
        for worker, name in self._set_up:
            key = name.rpartition(SET_UP)[0]
            calls = self._fixtures.get((worker, name), [])
            if key not in found or size(calls) > size(found[key]):
                found[key] = calls
        return found

    def calls(self) -> Iterator[Call]:
        """Everything the run spent or simulated."""
        for record in self.tests.values():
            yield from record.all_calls
        for calls in self._fixtures.values():
            yield from calls
        yield from self.late


def size(calls: Sequence[Call]) -> tuple[int, int]:
    """By which runs are told apart: calls, then tokens."""
    return len(calls), sum(call.usage.total_tokens for call in calls)
