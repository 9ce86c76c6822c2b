"""What a run knows of the noise in its live tests: from the baseline, and over all its tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.noise import (
    KEPT_RUNS,
    RECOMMENDED_RUNS,
    judge_suite,
    runs_needed,
)
from pytest_crashlens.keys import Keys
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.ledger import TestRecord
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.noisy import Observed, comparisons, suite_finding, suspicious
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.report.run_result import Result
from pytest_crashlens.snapshot import UpdateWay

ADVISED_RERUNS = 4
"""With which the recommended number of runs finds most doublings."""


class Shift(NamedTuple):
    """The live tests moved together."""

    finding: Finding
    keys: frozenset[str]
    """Keys of the tests."""


class Looks:
    """Whether a live test is to be run again after its first run."""

    def __init__(
        self, policies: Config, entries: Mapping[str, Entry], names: Keys, *, reruns: int
    ) -> None:
        """``reruns`` of what looks too high beside ``entries``; 0: of what has no entry."""
        self._policies = policies
        self._entries = entries
        self._names = names
        self._reruns = reruns

    def wants(self, nodeid: str, settings: Mapping[str, Any], calls: Sequence[Call]) -> bool:
        """Of the test's first run, which passed."""
        if not any(call.live for call in calls):
            return False
        before = self._entries.get(self._names.of(TestRecord(nodeid, settings)))
        if not self._reruns:
            return before is None
        marker = Limits.from_dict(settings.get("limits", {}))
        limits = self._policies.limits_for(self._names.place(nodeid), marker)
        return before is not None and suspicious(before, calls, limits, reruns=self._reruns)


class LiveRuns:
    """Judges by noise what no single test can tell."""

    def __init__(
        self, entries: Mapping[str, Entry], names: Keys, *, planned: int, wanted: int
    ) -> None:
        """``planned`` re-runs of what looks too high; ``wanted`` runs of each test to store."""
        self._entries = entries
        self._names = names
        self._planned = planned
        self._wanted = max(wanted, RECOMMENDED_RUNS)
        self.comparisons = comparisons(entries)
        """Noisy comparisons of the run: known before the first of them, when tests are chosen."""

    def select(self, nodeids: Iterable[str]) -> None:
        """The tests that will run."""
        names = self._names
        keys = {names.in_baseline(names.test(nodeid)) for nodeid in nodeids}
        self.comparisons = comparisons(self._entries, keys)

    def observed(self, record: TestRecord) -> Observed:
        """What was seen of a test."""
        return Observed.of(record.runs, comparisons=self.comparisons, planned=self._planned)

    def shift(self, results: Sequence[Result]) -> Shift | None:
        """Whether all of them rose by more than noise."""
        pairs = {
            result.assessment.key: (
                result.assessment.comparison.before.runs.output_tokens,
                result.assessment.observed.first.output_tokens,
            )
            for result in _noisy(results)
            if result.assessment.comparison and result.assessment.observed
        }
        finding = suite_finding(judge_suite(pairs.values()))
        return Shift(finding, frozenset(pairs)) if finding else None

    def way(
        self, given: UpdateWay, results: Sequence[Result], arguments: Sequence[str]
    ) -> UpdateWay:
        """How to update: entries whose change is accepted though no single test shows it."""
        shift = self.shift(results)
        named = {
            result.assessment.key
            for result in results
            if result.assessment.nodeid and self._is_named(result.assessment.nodeid, arguments)
        }
        return replace(
            given,
            anew=frozenset(named) | (shift.keys if shift else frozenset()),
            comparisons=self.comparisons,
            wanted=self._wanted,
        )

    def _is_named(self, nodeid: str, arguments: Sequence[str]) -> bool:
        name = self._names.to_type(nodeid)
        return any(
            name == argument or name.startswith((f"{argument}[", f"{argument}::"))
            for argument in arguments
            if "::" in argument
        )

    def hint(self, results: Sequence[Result], accept_command: str) -> tuple[str, ...]:
        """How to get the runs that are missing to see a doubling; empty where none is."""
        noisy = list(_noisy(results))
        reruns = self._planned or ADVISED_RERUNS
        needed = runs_needed(2, comparisons=max(self.comparisons, len(noisy)), reruns=reruns)
        needed = needed or KEPT_RUNS
        if all(result.assessment.noise["output_tokens"].runs >= needed for result in noisy):
            return ()
        lines = [
            f"record {needed} runs to be able to detect x2:",
            f"  {accept_command} --crashlens-repeat {needed}",
        ]
        if not self._planned:
            lines.append(f"  and compare with --crashlens-confirm {ADVISED_RERUNS}")
        return tuple(lines)


def _noisy(results: Iterable[Result]) -> Iterator[Result]:
    return (one for one in results if one.judged and "output_tokens" in one.assessment.noise)
