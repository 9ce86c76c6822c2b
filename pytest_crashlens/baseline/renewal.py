"""What an update makes of the entry of a live test, whose figures differ in every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_crashlens.baseline.entry import Entry, Kind
from pytest_crashlens.baseline.noise import METRIC_RULES, RECOMMENDED_RUNS, NoiseRule, update
from pytest_crashlens.baseline.runs import RUN_METRICS, RunMetric, RunTotals


def renewed(
    stored: Entry,
    now: Entry,
    *,
    accepted: bool = False,
    comparisons: int = 1,
    wanted: int = RECOMMENDED_RUNS,
    rules: Mapping[RunMetric, NoiseRule] = METRIC_RULES,
) -> Entry | None:
    """The entry to write; None: ``stored`` stays as it is.

    While the test is within tolerance its figures stay, and runs that chance explains are added
    until there are as many as ``wanted``.

    Args:
        stored: The entry in the file.
        now: The test's middle run of this session, with all its runs.
        accepted: A change that fails is accepted, or the test was asked for by its name.
        comparisons: Noisy comparisons of this run.
        wanted: Runs to gather.
        rules: Levels and floors of each metric.
    """
    same = _shape(stored, now) == _shape(now, stored)
    if not now.runs:  # not known as a whole: nothing is learnt from it
        return now if accepted or not same else None
    if same and not accepted:
        if _other_code(stored.runs, now.runs):
            return None  # its runs say nothing of the spread of those
        if not stored.runs:
            return replace(stored, runs=now.runs)
    action, runs = update(
        stored.runs if same else RunTotals(),
        now.runs,
        accepted=accepted,
        comparisons=comparisons,
        wanted=wanted,
        rules=rules,
    )
    if action == "keep":
        return None
    return replace(stored, runs=runs) if action == "add" else now


def _shape(entry: Entry, other: Entry) -> list[tuple[Kind, int]]:
    """Its kinds of calls, with their number unless that varies from run to run."""
    vary = not (entry.runs.exact("calls") and other.runs.exact("calls"))
    return [(block.kind, 0 if vary else block.calls) for block in entry.blocks]


def _other_code(stored: RunTotals, now: RunTotals) -> bool:
    """Whether a metric differs that neither side's runs differ in: the test itself was changed."""
    return bool(stored) and any(
        stored.exact(metric)
        and now.exact(metric)
        and set(stored.of(metric).totals) != set(now.of(metric).totals)
        for metric in RUN_METRICS
    )
