"""Everything a report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from pytest_crashlens.baseline.base import Since
from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.moved import Moved
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage, total
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.policy.labels import LabelSum
from pytest_crashlens.policy.verdict import Verdict
from pytest_crashlens.pricing.card import Cost

State = Literal[
    "over", "missing", "vanished", "accepted", "new", "cheaper", "moved", "same", "ok", "not judged"
]
"""``over`` fails, ``missing`` and ``vanished`` do unless crashlens.yml says otherwise; ``accepted``
and ``new`` are written by this update; ``moved`` is within its limits; ``ok`` had nothing to be
compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One test (or long-lived fixture) in the report."""

    assessment: Assessment
    outcome: str
    """pytest's word for how the test itself ended (``failed`` when not because of its cost)."""
    judged: bool = True
    fixture: bool = False
    since: Since | None = None
    """Held against the baseline where the change starts from; None: that is not known."""

    @property
    def state(self) -> State:
        """In one word."""
        if not self.judged:
            return "not judged"
        kinds = {finding.kind for finding in self.assessment.verdict.findings if finding.blocks}
        if kinds:
            return (
                "vanished" if "vanished" in kinds else "missing" if kinds == {"missing"} else "over"
            )
        if self.assessment.accepted:
            return "new" if self.assessment.comparison is None else "accepted"
        comparison = self.assessment.comparison
        if comparison is None:
            told = {finding.kind for finding in self.assessment.verdict.findings}
            return "missing" if "missing" in told else "ok"
        if comparison.vanished:
            return "vanished"  # also where that fails nothing: out of sight is not cheaper
        if comparison.identical:
            return "same"
        return "cheaper" if _cheaper(comparison) else "moved"

    @property
    def state_since_base(self) -> State:
        """The same since the base: what fails stays, the rest may have been accepted."""
        if self.since is None or self.state in ("not judged", "over", "missing"):
            return self.state
        renewed = self.since.renewed or self.state in ("accepted", "new")
        comparison = self.since.comparison
        if comparison is None:
            return "new" if renewed and self.assessment.now.calls else self.state
        if self.assessment.verdict.failed or (comparison.vanished and not renewed):
            return self.state
        if comparison.identical:
            return "same"
        if _cheaper(comparison) and not comparison.vanished:
            return "cheaper"
        return "accepted" if renewed else "moved"


def _cheaper(comparison: Comparison) -> bool:
    before, now = comparison.costs()
    return before.usd is not None and now.usd is not None and now.usd < before.usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Calls, tokens and USD at today's prices of a set of calls."""

    calls: int
    retries: int
    unanswered: int
    """Attempts that may have been billed, nobody knows how much."""
    usage: Usage
    cost: Cost
    estimated: bool

    @classmethod
    def of(cls, calls: Sequence[Call], cost: Cost) -> Totals:
        """The totals of ``calls``, which cost ``cost``."""
        return cls(
            calls=len(calls),
            retries=sum(call.retries for call in calls),
            unanswered=sum(call.unanswered for call in calls),
            usage=total(call.usage for call in calls),
            cost=cost,
            estimated=any(
                call.billed and call.usage_source in ("tokenizer", "estimated") for call in calls
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineStatus:
    """What was done with the baseline file."""

    name: str
    mode: Literal["compared", "updated", "off", "first run"]
    entries: int = 0
    written: tuple[str, ...] = ()
    """Keys whose entries are new or changed in the file."""
    kept_back: tuple[str, ...] = ()
    """Keys that were not written because their test breaks a limit."""
    stale: tuple[str, ...] = ()
    """Keys in the file whose tests are gone."""
    deleted: tuple[str, ...] = ()
    """Of these, the ones that this update deleted."""
    not_pruned: tuple[str, ...] = ()
    """Why an update that should delete stale entries could not look for them."""
    generated: tuple[str, ...] = ()
    """Written keys that rest on a generated id: they change with the order of the parameters."""
    error: str | None = None
    """Why it could not be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseStatus:
    """The commit that the whole change is held against."""

    revision: str
    """What the user calls it."""
    commit: str
    there: bool = True
    """Whether it has a baseline."""
    changed: bool = False
    """Whether the baseline's file is another one now."""
    removed: tuple[str, ...] = ()
    """Keys that were in its baseline, and are neither in that of today nor in this run."""
    removed_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One run, judged."""

    results: tuple[Result, ...]
    """Tests with calls now or in the baseline, and fixtures, in the order of the run."""
    session: Verdict
    spent: Totals
    simulated: Totals
    baseline: BaselineStatus
    may_fail: bool = True
    """False: the run was told to report only."""
    labels: tuple[LabelSum, ...] = ()
    """What tags, paths and owners cost together."""
    detections: tuple[Detection, ...] = ()
    """Loops, repeats and savings, each cause once, the worst first."""
    late: tuple[Call, ...] = ()
    moved: tuple[Moved, ...] = ()
    """Calls that another test has in the baseline."""
    incomplete: tuple[str, ...] = ()
    """Why the figures are not the whole run's."""
    unjudged: bool = False
    """A fault of ours kept something from being judged: that is no pass."""
    notices: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    unseen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Mocked SDK calls that were not measured: by name the node ids of the tests."""
    measures_mocks: bool = False
    base: BaseStatus | None = None
    """None: nobody named a commit."""
    ended: bool = True
    """False: it was stopped, or broke."""
    partial: tuple[str, ...] = ()
    """Why it was not the whole suite."""
    accept_command: str = "pytest --crashlens-update-baseline"

    @property
    def failed(self) -> tuple[Result, ...]:
        """Tests and fixtures over a limit."""
        return tuple(result for result in self.results if result.assessment.verdict.failed)

    @property
    def session_failed(self) -> bool:
        """Whether the run fails though no single test does (fixtures, sums, the file)."""
        return self.may_fail and (
            self.session.failed
            or self.unjudged
            or self.baseline.error is not None
            or any(result.fixture for result in self.failed)
        )


def call_sites(calls: Sequence[Call]) -> tuple[str, ...]:
    """Where calls come from, most calls first: ``app/agent.py:42 plan() (3 calls)``."""
    counted = Counter(call.call_site for call in calls if call.call_site)
    return tuple(
        f"{site}()" + (f" ({number} calls)" if number > 1 else "")
        for site, number in counted.most_common()
    )
