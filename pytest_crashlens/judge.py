"""Judges where reports arrive: the only process, or the controller of a distributed run."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pytest_crashlens.baseline.base import Base
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.stale import Extent
from pytest_crashlens.cost_failure import CostFailure
from pytest_crashlens.detect.detection import root_causes
from pytest_crashlens.extent import RunExtent, stale_in
from pytest_crashlens.keys import Keys
from pytest_crashlens.last_run import LastRunKeeper
from pytest_crashlens.live_runs import LiveRuns
from pytest_crashlens.measure import REST, measures_mocks
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.ledger import Ledger, TestRecord
from pytest_crashlens.model.phase_usage import PhaseUsage, fixture_node
from pytest_crashlens.oddities import moved_usage, runs_without_calls, uncaptured_hosts
from pytest_crashlens.policy.anchor import Anchored
from pytest_crashlens.policy.assess import Assessment, Assessor
from pytest_crashlens.policy.config import Severity
from pytest_crashlens.policy.coverage import stale_finding
from pytest_crashlens.policy.labels import unmatched
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.loader import other_projects
from pytest_crashlens.policy.owners import CodeOwners
from pytest_crashlens.policy.spend_cap import refused_elsewhere, sent
from pytest_crashlens.policy.verdict import Finding, Verdict
from pytest_crashlens.report.junit import properties
from pytest_crashlens.report.run_result import BaselineStatus, Result, RunResult, Totals
from pytest_crashlens.report.since_base import since_base
from pytest_crashlens.report.spend import SpendKeeper
from pytest_crashlens.report.terminal import summary
from pytest_crashlens.report.writers import Reports
from pytest_crashlens.results import Results
from pytest_crashlens.snapshot import UpdateWay, write_snapshot

NAME = "crashlens-judge"
_SUBTEST_REPORTS = frozenset({"SubtestReport", "SubTestReport"})
_PART = "not all files and folders were asked for"
_ENDED = frozenset({pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED})
_COLOURS: Mapping[str, dict[str, bool]] = {
    "": {},
    "bad": {"red": True},
    "warn": {"yellow": True},
    "good": {"green": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """What the command line and the files say about judging."""

    assessor: Assessor
    baseline: Baseline | None
    baseline_path: Path
    base: Base | None
    """What reports hold the whole change against."""
    names: Keys
    owners: CodeOwners | None
    """Whose files the tests are, where a budget asks for that."""
    live: LiveRuns
    baseline_mode: str
    """``compared``, ``updated``, ``off`` or ``first run``."""
    update: UpdateWay
    stale: Severity
    """What entries mean whose tests are gone."""
    last_run: LastRunKeeper
    anchored: Anchored | None
    spend: SpendKeeper
    may_fail: bool
    header: str
    accept_command: str
    notices: tuple[str, ...]
    reports: Reports


class Judge:
    """The plugin object of the process that decides."""

    def __init__(self, config: pytest.Config, settings: JudgeSettings) -> None:
        self._config = config
        self._settings = settings
        self._ledger = Ledger()
        self._assessments: dict[str, Assessment] = {}
        self._names = settings.names
        self.extent = RunExtent(config)
        self._keys: dict[str, str] = {}
        self._failed_subtests: set[str] = set()
        self._unjudged = False
        self._incomplete: dict[str, None] = {}
        self._uncollected: dict[str, None] = {}
        """What of the suite did not run: what ran is none the less for it."""
        self.run: RunResult | None = None
        """The run, once it is judged."""

    def pytest_report_header(self) -> str:
        return self._settings.header

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        # before the terminal, JUnit, the cache and maxfail see the report
        try:
            self._take(report)
        except Exception as fault:
            self._note_fault(f"judging of {report.nodeid}", fault)
        return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            where = report.nodeid or "what was asked for"
            self._uncollected[f"{where} could not be collected: its tests did not run"] = None

    def _take(self, report: pytest.TestReport) -> None:
        if type(report).__name__ in _SUBTEST_REPORTS:
            if report.failed:
                self._failed_subtests.add(report.nodeid)
            return
        when = str(report.when)
        if when == "???":  # xdist's report of a crash
            self._incomplete[f"a worker crashed in {report.nodeid}: its calls are lost"] = None
            return
        plain = getattr(report, PhaseUsage.ATTRIBUTE, None)
        if plain is None and when == "call":
            self._incomplete["some tests ran without crashlens (is it off in a worker?)"] = None
        phase = None if plain is None else PhaseUsage.from_dict(plain)
        if phase is not None:
            place = self._names.place(report.nodeid)
            phase = self._labelled(phase, place)
        record = self._ledger.add(report.nodeid, when, phase)
        if when == "setup":
            self._failed_subtests.discard(report.nodeid)
            if not report.passed:
                record.outcome = "error" if report.failed else report.outcome
        elif when == "teardown":
            record.torn_down = report.passed
        else:
            again = phase is not None and phase.again
            record.end(self._outcome(report), again=again)
            if record.outcome == "passed" and not (again or record.settings.get("ignore")):
                self._judge(report, record)
        if self._settings.reports.junit and when in ("call", "teardown"):
            # a list of its own: the phases of a test share one
            found = properties(self._results().of_test(record))
            report.user_properties = [*report.user_properties, *found]

    def _outcome(self, report: pytest.TestReport) -> str:
        if hasattr(report, "wasxfail"):
            return "xpassed" if report.passed else "xfailed"
        if report.passed and report.nodeid in self._failed_subtests:
            return "failed"  # pytest says so only when the terminal asks
        return report.outcome

    def _judge(self, report: pytest.TestReport, record: TestRecord) -> None:
        key = self._names.of(record)
        assessment = self._settings.assessor.assess(
            key,
            record.nodeid,
            record.calls,
            place=self._names.place(record.nodeid),
            marker=Limits.from_dict(record.settings.get("limits", {})),
            uncaptured=tuple(record.uncaptured),
            refused=record.refused,
            observed=self._settings.live.observed(record),
            runs=record.runs,
        )
        owner = self._keys.setdefault(key, record.nodeid)
        if owner != record.nodeid:
            shared = Finding(
                kind="shared_key",
                text=f"its key {key!r} is that of {owner} too; give each test a key of its own",
            )
            assessment = replace(
                assessment, verdict=Verdict((shared, *assessment.verdict.findings))
            )
        self._assessments[record.nodeid] = assessment
        if assessment.verdict.failed and self._settings.may_fail:
            shown = self._names.to_type(record.nodeid)
            report.longrepr = CostFailure(  # type: ignore[assignment]  # what pytest asks of one
                replace(assessment, nodeid=shown), self._settings.accept_command
            )
            report.outcome = "failed"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        try:
            rest = session.config.stash.get(REST, None)
            if rest is not None:
                self._ledger.add_rest(self._labelled(rest))
            run = self.run = self._finish(ended=session.exitstatus in _ENDED)
        except Exception as fault:
            self._note_fault("the end of the run", fault)
            run = self.run = self._incomplete_run()
        if run.session_failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def add_rest(self, plain: Mapping[str, object]) -> None:
        """Take in what a worker saw after its last report."""
        self._ledger.add_rest(self._labelled(PhaseUsage.from_dict(plain)))

    def _labelled(self, phase: PhaseUsage, place: str = "") -> PhaseUsage:
        """The phase, with what crashlens.yml says of its calls: tasks by path, names of models."""
        labelled, names = self._settings.assessor.labelled, self._names
        return replace(
            phase,
            calls=labelled(place, phase.calls),
            fixtures={
                key: labelled(names.place(fixture_node(key)), calls)
                for key, calls in phase.fixtures.items()
            },
            late=labelled("", phase.late),
        )

    def _finish(self, *, ended: bool) -> RunResult:
        settings = self._settings
        measured = self._results()
        results = measured.all()
        extent = self.extent.of(
            self._ledger, self._names, ended=ended, incomplete=bool(self._incomplete)
        )
        asked = self._settings.stale != "ignore" or self._settings.update.prune
        stale = (
            stale_in(self._settings.baseline, self._settings.baseline_path, extent) if asked else ()
        )
        calls = list(self._ledger.calls())
        live = [call for call in calls if call.live]
        if self._settings.baseline_mode == "first run":
            files = {record.nodeid.partition("::")[0] for record in self._ledger.tests.values()}
            if others := other_projects(self._config.rootpath, files):
                self._incomplete |= dict.fromkeys(others)
                self._unjudged = True
        known = self._settings.baseline if self._settings.baseline_mode == "compared" else None
        labels = settings.assessor.label_sums(measured.labelled(), settings.owners)
        incomplete = self._why_incomplete()
        entries = settings.baseline.entries if settings.baseline else {}
        base = settings.base if settings.baseline_mode != "off" else None
        shown, base_status = since_base(base, results, entries)
        result = RunResult(
            results=tuple(shown),
            base=base_status,
            ended=ended and not any(why.startswith("it stopped") for why in extent.partial),
            partial=extent.partial or (() if extent.everything else (_PART,)),
            session=settings.assessor.session(
                calls,
                uncaptured=tuple(self._ledger.uncaptured),
                refused=(
                    *self._ledger.refused,
                    *refused_elsewhere(self._ledger, self._assessments),
                ),
                labels=labels,
                incomplete=incomplete,
            ),
            labels=labels,
            detections=root_causes(
                {one.assessment.nodeid: one.assessment.detections for one in results if one.judged}
            ),
            spent=self._totals(live),
            simulated=self._totals([call for call in sent(calls) if not call.live]),
            baseline=self._update(results, extent, stale, ended=ended),
            may_fail=self._settings.may_fail,
            late=tuple(self._ledger.late),
            moved=moved_usage(known, results, stale) if known else (),
            incomplete=incomplete,
            unjudged=self._unjudged,
            notices=(
                *settings.notices,
                *([f"warning: {base.fault}"] if base and base.fault else []),
                *self._hint(results),
                *settings.assessor.not_enforced(calls),
                *(unmatched(labels) if extent.everything else ()),
                *runs_without_calls(self._ledger),
                *self._settings.spend.keep(live, self._settings.assessor.cost_today),
            ),
            libraries=tuple(self._ledger.libraries),
            unseen={name: tuple(tests) for name, tests in self._ledger.unseen.items()},
            measures_mocks=measures_mocks(self._config),
            accept_command=self._settings.accept_command,
        )
        if found_in_all := (*self._creep(results), *self._shift(results)):
            findings = (*result.session.findings, *found_in_all)
            result = replace(result, session=Verdict(findings))
        if result.baseline.stale:
            found = stale_finding(
                len(result.baseline.stale), blocks=self._settings.stale == "error"
            )
            result = replace(result, session=Verdict((*result.session.findings, found)))
        self._settings.last_run.keep(
            result, self._settings.baseline, partial=extent.partial, ended=ended
        )
        faults = tuple(self._settings.reports.write(result))
        return replace(result, incomplete=(*result.incomplete, *faults))

    def _results(self) -> Results:
        baseline = self._settings.baseline
        return Results(
            ledger=self._ledger,
            names=self._names,
            assessor=self._settings.assessor,
            assessments=self._assessments,
            entries=baseline.entries if baseline else {},
        )

    def _why_incomplete(self) -> tuple[str, ...]:
        """Why the figures are not the whole run's."""
        assessor = self._settings.assessor
        if not assessor.tells_incomplete:
            return tuple(self._incomplete) if self._unjudged else ()
        hosts = uncaptured_hosts(self._ledger, self._assessments)
        named = hosts if assessor.names_uncaptured else ()
        return (*self._incomplete, *self._uncollected, *named, *self._ledger.faults)

    def _shift(self, results: Sequence[Result]) -> tuple[Finding, ...]:
        """That the live tests rose together."""
        shift = self._settings.live.shift(results)
        compared = shift is not None and self._settings.baseline_mode == "compared"
        return (shift.finding,) if shift is not None and compared else ()

    def _hint(self, results: Sequence[Result]) -> tuple[str, ...]:
        if self._settings.baseline_mode != "compared":
            return ()
        return self._settings.live.hint(results, self._settings.accept_command)

    def _creep(self, results: Sequence[Result]) -> tuple[Finding, ...]:
        """What of the tests that ran has risen too far since the anchor."""
        if self._settings.anchored is None:
            return ()
        judged = [result.assessment for result in results if result.judged]
        cards = {name: card for one in judged for name, card in one.cards.items()}
        return self._settings.anchored.creep({one.key: one.now for one in judged}, cards)

    def _totals(self, calls: Sequence[Call]) -> Totals:
        return Totals.of(calls, self._settings.assessor.cost_today(calls))

    def _update(
        self, results: Sequence[Result], extent: Extent, stale: tuple[str, ...], *, ended: bool
    ) -> BaselineStatus:
        settings = self._settings
        status = BaselineStatus(
            name=_shown(settings.baseline_path, self._config.invocation_params.dir),
            mode=settings.baseline_mode,  # type: ignore[arg-type]
            entries=len(settings.baseline.entries) if settings.baseline else 0,
            stale=stale,
        )
        if settings.baseline_mode != "updated":
            return status
        stored = settings.baseline or Baseline()
        way = settings.live.way(settings.update, results, self._config.args)
        whole = not (self._incomplete or self._ledger.faults)
        status = write_snapshot(
            settings.baseline_path, stored, results, status, ended=ended, whole=whole, way=way
        )
        generated = self.extent.generated(self._ledger, self._names)
        return replace(
            status,
            stale=tuple(key for key in stale if key not in status.deleted),
            not_pruned=extent.partial if way.prune else (),
            generated=tuple(key for key in status.written if key in generated),
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.run is None:
            return
        width = self._config.get_terminal_writer().fullwidth
        lines = summary(self.run, self._config.get_verbosity(), width)
        if lines and self._config.get_verbosity() >= 0:
            terminalreporter.section("LLM cost")
        for text, role in lines:
            terminalreporter.line(text, **_COLOURS[role])
        for text in self._settings.reports.printed(self.run).splitlines():
            terminalreporter.line(text)

    def _note_fault(self, place: str, fault: Exception) -> None:
        self._unjudged = True
        self._incomplete[f"{place}: {type(fault).__name__}: {fault}"] = None

    def _incomplete_run(self) -> RunResult:
        nothing = self._totals([])
        return RunResult(
            results=(),
            session=Verdict(),
            spent=nothing,
            simulated=nothing,
            baseline=BaselineStatus(name="", mode="off"),
            may_fail=self._settings.may_fail,
            incomplete=tuple(self._incomplete),
            unjudged=True,
        )


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
