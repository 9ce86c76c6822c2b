"""What reports for people show of a run: equal whether it is made from the run or from its JSON.

Markdown, annotations and pages are pure functions of a :class:`RunView`; ``report/saved_run.py``
reads one from the JSON report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pytest_crashlens.baseline.causes import Cause
from pytest_crashlens.baseline.entry import UNNAMED_MODEL, Entry, entry_of
from pytest_crashlens.baseline.moved import Moved
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.policy.labels import LabelSum
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.pricing.card import Cost, RateCard
from pytest_crashlens.report.failure import headline
from pytest_crashlens.report.run_result import (
    BaselineStatus,
    BaseStatus,
    Result,
    RunResult,
    Totals,
)

COMMAND = "pytest --crashlens-update-baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What reports tell beside the run itself."""

    calls_per_month: int | None = None
    """How many calls production makes where the baseline's tests make theirs once."""
    runs_per_month: int | None = None
    """How often production does what the tests do once."""
    folder: str = ""
    """Posix path of pytest's rootdir in its repository; empty: the repository's top."""


def folder_in_repository(folder: Path) -> str:
    """The posix path of ``folder`` from the top of its repository; empty where there is none."""
    for top in (folder, *folder.parents):
        if (top / ".git").exists():
            found = folder.relative_to(top).as_posix()
            return "" if found == "." else found
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums of calls: of a test on one side, or of a run."""

    calls: int
    retries: int
    usage: Usage
    usd: Decimal | None
    price_status: str
    """``priced``, ``partial`` (then ``usd`` is the least it can be) or ``unpriced``."""
    estimated: bool
    live: bool = False

    @property
    def priced(self) -> bool:
        """Whether all of it has a price."""
        return self.usd is not None and self.price_status == "priced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Calls of a test that one source line made of one model, at the prices of ``now``."""

    call_site: str | None
    """``path:line function``; None: no line of the project."""
    provider: str
    model: str
    calls: int
    usage: Usage
    usd: Decimal | None
    price_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestView:
    """One test, long-lived fixture or teardown."""

    key: str
    nodeid: str
    """Empty for a fixture."""
    outcome: str
    state: str
    """As :data:`pytest_crashlens.report.run_result.State`; where a base is known, since that."""
    failed: bool
    fixture: bool
    now: Figures
    before: Figures | None
    """None: there is nothing to compare with."""
    price_list_change: Decimal | None
    headline: str | None
    """One line that says what fails it; None: nothing does."""
    findings: tuple[Finding, ...]
    accepted: tuple[Finding, ...]
    causes: tuple[Cause, ...]
    spending: tuple[Spending, ...]
    """Most money first."""
    reason: str | None = None
    """Why somebody accepted in this change what moved."""

    __test__ = False

    @property
    def judged(self) -> bool:
        """Whether it was held against anything."""
        return self.state != "not judged"

    @property
    def site(self) -> str | None:
        """The source line that spends most."""
        return next((one.call_site for one in self.spending if one.call_site), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelView:
    """What the tests of a tag, path or owner cost together, at today's prices."""

    label: str
    tests: int
    calls: int
    usd: Decimal | None
    price_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run."""

    failed: bool
    """Whether the costs failed the run."""
    may_fail: bool
    """False: the run was told to report only."""
    tests: tuple[TestView, ...]
    session: tuple[Finding, ...]
    spent: Figures
    simulated: Figures
    unanswered: int
    """Attempts that may have been billed, nobody knows how much."""
    baseline: BaselineStatus
    detections: tuple[Detection, ...]
    """Loops, repeats and savings, the worst first."""
    labels: tuple[LabelView, ...]
    late: Mapping[str, int]
    """Calls that belong to no running test, by source line (empty: none of the project)."""
    moved: tuple[Moved, ...]
    incomplete: tuple[str, ...]
    unjudged: bool
    notices: tuple[str, ...]
    libraries: tuple[str, ...]
    unseen: Mapping[str, tuple[str, ...]]
    base: BaseStatus | None = None
    """What ``before``, ``causes`` and ``state`` of the tests refer to; None: to the baseline."""
    ended: bool = True
    """False: it was stopped, or broke."""
    partial: tuple[str, ...] = ()
    """Why it was not the whole suite."""
    accept_command: str = COMMAND
    context: Context = field(default_factory=Context)


def view_of(run: RunResult, context: Context) -> RunView:
    """What reports show of ``run``."""
    return RunView(
        failed=run_failed(run),
        may_fail=run.may_fail,
        tests=tuple(view_of_test(result) for result in run.results),
        session=run.session.findings,
        spent=_of_totals(run.spent),
        simulated=_of_totals(run.simulated),
        unanswered=run.spent.unanswered,
        baseline=run.baseline,
        detections=run.detections,
        labels=tuple(view_of_label(one) for one in run.labels),
        late=late_sites(run.late),
        moved=run.moved,
        incomplete=run.incomplete,
        unjudged=run.unjudged,
        notices=run.notices,
        libraries=run.libraries,
        unseen=dict(sorted(run.unseen.items())),
        base=run.base,
        ended=run.ended,
        partial=run.partial,
        accept_command=run.accept_command,
        context=context,
    )


def view_of_label(one: LabelSum) -> LabelView:
    """What reports show of one label."""
    return LabelView(
        label=one.label,
        tests=one.tests,
        calls=len(one.calls),
        usd=one.cost.usd,
        price_status=one.cost.status,
    )


def run_failed(run: RunResult) -> bool:
    """Whether costs fail the run: by a test, or as a whole."""
    return bool(run.may_fail and (run.failed or run.session_failed))


def view_of_test(result: Result) -> TestView:
    """What reports show of one test."""
    assessment = result.assessment
    since = result.since
    comparison = since.comparison if since else assessment.comparison
    return TestView(
        key=assessment.key,
        nodeid=assessment.nodeid,
        outcome=result.outcome,
        state=result.state_since_base,
        failed=assessment.verdict.failed,
        fixture=result.fixture,
        now=figures(*side_now(result)),
        before=None
        if comparison is None
        else figures(comparison.before, comparison.before.cost(comparison.cards)),
        price_list_change=assessment.price_list_change,
        headline=headline_of(assessment),
        findings=assessment.verdict.findings,
        accepted=assessment.accepted,
        causes=comparison.causes() if comparison and result.judged else (),
        spending=tuple(spending(assessment)),
        reason=since.reason if since else None,
    )


def side_now(result: Result) -> tuple[Entry, Cost]:
    """What the test uses, at the prices of what it is compared with."""
    assessment = result.assessment
    if result.since and result.since.comparison:
        now = result.since.comparison.now
        return now, now.cost(result.since.comparison.cards)
    return assessment.now, assessment.now.cost(assessment.cards)


def figures(entry: Entry, cost: Cost) -> Figures:
    """Of one side of a comparison."""
    return Figures(
        calls=entry.calls,
        retries=entry.retries,
        usage=entry.usage,
        usd=cost.usd,
        price_status=cost.status,
        estimated=entry.estimated,
        live=entry.live,
    )


def _of_totals(totals: Totals) -> Figures:
    return Figures(
        calls=totals.calls,
        retries=totals.retries,
        usage=totals.usage,
        usd=totals.cost.usd,
        price_status=totals.cost.status,
        estimated=totals.estimated,
    )


def headline_of(assessment: Assessment) -> str | None:
    """What fails the test in one line, where anything does."""
    return headline(assessment) if assessment.verdict.failed else None


def late_sites(calls: Sequence[Call]) -> dict[str, int]:
    """How many calls each source line sent late, most first."""
    return dict(Counter(call.call_site or "" for call in calls).most_common())


def spending(assessment: Assessment) -> Iterator[Spending]:
    """The calls by source line and model, most money first; they sum to the test's cost now."""
    cards = _cards(assessment)

    def card_of(call: Call) -> RateCard | None:
        return cards.get(_priced_as(call))

    groups: dict[tuple[str | None, str, str], list[Call]] = {}
    for call in assessment.calls:
        key = call.call_site, call.provider, call.model or UNNAMED_MODEL
        groups.setdefault(key, []).append(call)
    found = []
    for (site, provider, model), calls in groups.items():
        entry, used = entry_of(calls, card_of)
        cost = entry.cost(used)
        found.append(
            Spending(
                call_site=site,
                provider=provider,
                model=model,
                calls=len(calls),
                usage=entry.usage,
                usd=cost.usd,
                price_status=cost.status,
            )
        )
    # never by arithmetic: the decimal context is that of the code under test
    yield from sorted(
        found,
        key=lambda one: ((one.usd or Decimal(0)).copy_negate(), -one.usage.total_tokens),
    )


PricedAs = tuple[str, str, str | None, bool]


def _cards(assessment: Assessment) -> dict[PricedAs, RateCard]:
    """The cards that the test's cost now rests on."""
    found = {}
    for block in assessment.now.blocks:
        kind = block.kind
        if kind.card is not None and kind.card in assessment.cards:
            priced_as = kind.provider, kind.model, kind.service_tier, kind.batch
            found[priced_as] = assessment.cards[kind.card]
    return found


def _priced_as(call: Call) -> PricedAs:
    return call.provider, call.model or UNNAMED_MODEL, call.service_tier, call.batch
