"""What the tests, fixtures and teardowns of a run came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.keys import Keys
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.ledger import Ledger, TestRecord
from pytest_crashlens.policy.assess import Assessment, Assessor
from pytest_crashlens.policy.labels import Labelled
from pytest_crashlens.report.run_result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that was measured, with what it is judged by."""

    ledger: Ledger
    names: Keys
    assessor: Assessor
    assessments: Mapping[str, Assessment]
    """By node id: the tests that were judged when their report came."""
    entries: Mapping[str, Entry]
    """Of the baseline."""

    def all(self) -> list[Result]:
        """Tests with calls now or in the baseline, then fixtures and teardowns."""
        return [*self._tests(), *self._fixtures_and_teardowns()]

    def of_test(self, record: TestRecord) -> Result:
        """What one test came to after its teardown."""
        key = self.names.of(record)
        assessment = self.assessments.get(record.nodeid)
        judged = record.outcome == "passed" and assessment is not None
        if assessment is None:
            known = self.entries.get(key)
            assessment = self.assessor.describe(key, record.nodeid, record.calls, known)
        outcome = "ignored" if record.settings.get("ignore") else record.outcome
        if judged and not record.torn_down and not assessment.verdict.failed:
            judged, outcome = False, "error"  # its teardown failed
        return Result(assessment=assessment, outcome=outcome, judged=judged)

    def labelled(self) -> Iterator[Labelled]:
        """All calls with what budgets know them by."""
        for record in self.ledger.tests.values():
            yield Labelled(
                place=self.names.place(record.nodeid),
                tags=tuple(record.settings.get("tags", ())),
                calls=tuple(record.all_calls),
            )
        for _, _, place, calls in self._fixtures():
            yield Labelled(place=place, calls=tuple(calls), is_test=False)

    def _tests(self) -> Iterator[Result]:
        for record in self.ledger.tests.values():
            known = self.entries.get(self.names.of(record))
            assessment = self.assessments.get(record.nodeid)
            found = assessment is not None and assessment.verdict.findings
            if not record.calls and known is None and not found:
                continue
            yield self.of_test(record)

    def _fixtures_and_teardowns(self) -> Iterator[Result]:
        """Fixtures that outlive a test, and what tests' teardowns added: judged by the session."""
        for key, nodeid, place, calls in (*self._fixtures(), *self._teardowns()):
            if calls or key in self.entries:
                assessment = self.assessor.assess(key, nodeid, calls, place=place)
                yield Result(assessment=assessment, outcome="passed", fixture=True)

    def _fixtures(self) -> Iterator[tuple[str, str, str, Sequence[Call]]]:
        """Key, node id, place and calls of each fixture that was set up well."""
        for name, calls in self.ledger.fixtures().items():
            prefix, _, nodeid = name.partition(":")
            key = f"{prefix}:{self.names.in_baseline(nodeid)}"
            yield key, "", self.names.place(nodeid), calls  # no test can be named for a fixture

    def _teardowns(self) -> Iterator[tuple[str, str, str, Sequence[Call]]]:
        """The same of each teardown that went well, after a test that did."""
        for record in self.ledger.tests.values():
            judged = record.outcome == "passed" and record.torn_down
            if judged and not record.settings.get("ignore"):
                key = f"teardown:{self.names.of(record)}"
                yield key, record.nodeid, self.names.place(record.nodeid), record.teardown
