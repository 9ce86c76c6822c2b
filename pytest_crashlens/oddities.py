"""What is odd about a whole run: usage that moved, projects it cannot judge, hosts unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.moved import Moved, moved
from pytest_crashlens.model.ledger import Ledger
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.policy.coverage import uncaptured_text
from pytest_crashlens.report.run_result import Result


def moved_usage(
    baseline: Baseline, results: Sequence[Result], stale: Sequence[str]
) -> tuple[Moved, ...]:
    """Calls that another test has in the baseline."""
    entries = baseline.entries
    others = entries.keys() - {result.assessment.key for result in results} - {*stale}
    changes = {
        one.key: (one.comparison.before if one.comparison else Entry(), one.now)
        for one in (result.assessment for result in results if result.judged)
    }
    return tuple(moved(changes, {key: e for key, e in entries.items() if key in others}))


def uncaptured_hosts(ledger: Ledger, assessments: Mapping[str, Assessment]) -> Iterator[str]:
    """Provider hosts whose calls are missing from the figures and fail nothing."""
    for record in ledger.tests.values():
        assessment = assessments.get(record.nodeid)
        if assessment is None or assessment.comparison is None:
            for host in record.uncaptured:
                yield f"{record.nodeid}: {uncaptured_text(host)}"
    for host in ledger.uncaptured:
        yield f"outside of tests: {uncaptured_text(host)}"


def runs_without_calls(ledger: Ledger) -> Iterator[str]:
    """Tests that made calls the first time and none when they were run again."""
    for record in ledger.tests.values():
        if record.silent_runs:
            yield (
                f"note: {record.nodeid} made no call when it was run again: are its answers "
                "cached? Those runs do not count"
            )
