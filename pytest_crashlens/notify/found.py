"""Which findings of a run are for which channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_crashlens.policy.config import Budget, Config, Rule
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.report.run_result import RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding and where it was made."""

    test: str | None
    """The key of the test or fixture; None: the session."""
    finding: Finding


def all_found(run: RunResult) -> Iterator[Found]:
    """Everything the run found, tests first."""
    for result in run.results:
        for finding in result.assessment.verdict.findings:
            yield Found(test=result.assessment.key, finding=finding)
    for finding in run.session.findings:
        yield Found(test=None, finding=finding)


def notified_channels(config: Config) -> Iterator[str]:
    """The channels that rules and budgets of ``config`` notify."""
    several: tuple[Rule | Budget, ...] = (*config.rules, *config.budgets)
    for one in several:
        if one.notifies is not None:
            yield one.notifies


def by_channel(run: RunResult, config: Config) -> dict[str, list[Found]]:
    """What was found for each channel that rules and budgets notify, which may be nothing."""
    told: dict[str, list[Found]] = {channel: [] for channel in notified_channels(config)}
    for found in all_found(run):
        if found.finding.channel is not None:
            told[found.finding.channel].append(found)
    return told
