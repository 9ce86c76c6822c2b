"""The header line and the summary section."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from pytest_crashlens.baseline.causes import percent_change
from pytest_crashlens.model.money import format_usd, format_usd_change
from pytest_crashlens.policy.verdict import COST_METRICS
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.report.failure import as_table, failure_lines, folded, headline, sentence
from pytest_crashlens.report.observations import observation_lines
from pytest_crashlens.report.run_result import Result, RunResult, Totals, call_sites

ROWS_SHOWN = 20
STALE_SHOWN = 3
NARROWEST_NAME = 20
HEADER = ("test", "calls", "tokens", "baseline", "now", "change", "state")
ATTENTION = frozenset({"over", "missing", "vanished", "accepted", "new", "cheaper", "moved"})

Line = tuple[str, str]
"""Text and its role: ``""``, ``bad``, ``warn``, ``good``."""


def summary(run: RunResult, verbosity: int, width: int = 80) -> list[Line]:
    """The section ``LLM cost`` in ``width`` columns; empty when there is nothing to say."""
    if verbosity < 0:
        return _one_line(run, width)
    lines: list[Line] = []
    shown = [r for r in run.results if verbosity > 0 or _needs_attention(r, run)]
    lines += _rows(shown, verbosity, width)
    for result in run.failed:
        if result.fixture:
            lines.append((_fixture_headline(result), "bad"))
            text = failure_lines(result.assessment, run.accept_command)
            lines += [(line, "") for line in text[1:]]
    for finding in run.session.findings:
        if finding.kind == "stale":
            continue  # told with the baseline, with its names
        whole = f"session: {sentence(finding)}"
        lines.append((whole, "bad") if finding.blocks else (f"note: {whole}", "warn"))
    lines += _notes(run)
    lines += observation_lines(run, verbosity, width)
    if run.late:
        sites = ", ".join(call_sites(run.late)[:3]) or "no line of the project"
        number = _plural(len(run.late), "call belongs", "calls belong")
        lines.append((f"{number} to no running test (sent late): {sites}", "warn"))
        if origins := dict.fromkeys(call.origin for call in run.late if call.origin):
            names = ", ".join([*origins][:3])
            lines.append((f"  started by {names}, which had finished", "warn"))
    lines += _mocked_lines(run)
    lines += _baseline_lines(run, verbosity)
    lines += [(f"incomplete: {reason}", "warn") for reason in run.incomplete]
    lines += [(line, "") for notice in run.notices for line in folded(notice, width)]
    nothing = not (lines or run.spent.calls or run.simulated.calls or run.results)
    if nothing and run.baseline.mode == "compared":
        return []  # as in the baseline: nothing to say
    return [*lines, *_total_lines(run, width)]


def _fixture_headline(result: Result) -> str:
    return f"{result.assessment.key} ({headline(result.assessment)})"


def _notes(run: RunResult) -> list[Line]:
    """What fails nothing and should be known all the same."""
    lines: list[Line] = []
    for result in run.results:
        assessment = result.assessment
        for finding in assessment.verdict.findings:
            if not finding.blocks:
                lines.append((f"note: {assessment.key}: {sentence(finding)}", "warn"))
                if finding.evidence:
                    lines.append((f"  {finding.evidence}", ""))
        if result.state in ("cheaper", "moved") and assessment.comparison:
            for cause in assessment.comparison.causes():
                if cause.kind == "model":
                    lines.append((f"note: {assessment.key}: {cause.text}", ""))
    for one in run.moved:
        calls = _plural(one.calls, "call", "calls")
        lines += [
            (f"note: {calls} ({one.tokens:,} tokens) moved from one test to another:", "warn"),
            (f"  {one.source} -> {one.target}", ""),
            ("  Are answers cached between tests? Then who asks first pays: empty the", ""),
            ("  cache before each test, or fill it in a fixture.", ""),
        ]
    if unanswered := run.spent.unanswered:
        number = _plural(unanswered, "attempt", "attempts")
        text = f"note: {number} got no answer and may have been billed: at least the cost shown"
        lines.append((text, "warn"))
    changes = [result.assessment.price_list_change for result in run.results]
    change = sum((change for change in changes if change), Decimal(0))
    if change:
        lines.append(
            (
                f"note: at today's price list this run costs {format_usd_change(change)} against "
                "the baseline's; not counted",
                "",
            )
        )
    return lines


def _needs_attention(result: Result, run: RunResult) -> bool:
    if run.baseline.mode == "first run":
        return True
    if result.state == "not judged":
        return bool(result.assessment.calls) or result.outcome in ("failed", "error")
    return result.state in ATTENTION or result.assessment.today.status != "priced"


def _rows(results: Sequence[Result], verbosity: int, width: int) -> list[Line]:
    if not results:
        return []
    cap = None if verbosity > 0 else ROWS_SHOWN
    ordered = sorted(results, key=lambda result: not result.assessment.verdict.failed)
    rows = [HEADER, *(_row(result) for result in ordered[:cap])]
    figures = sum(
        max(len(cell) for cell in column) + 2 for column in list(zip(*rows, strict=True))[1:]
    )
    names = max(width - figures - 2, NARROWEST_NAME)
    table = as_table((shortened(name, names), *cells) for name, *cells in rows)
    lines: list[Line] = [(table[0], "")]
    for result, text in zip(ordered, table[1:], strict=False):
        lines.append((text, "bad" if result.assessment.verdict.failed else ""))
    if cap is not None and len(ordered) > cap:
        lines.append((f"  ... and {len(ordered) - cap} more (-v shows all)", ""))
    return lines


def _row(result: Result) -> tuple[str, ...]:
    assessment = result.assessment
    comparison = assessment.comparison
    estimated = assessment.now.estimated
    before, change = "-", "-"
    now = cost_text(assessment.now.cost(assessment.cards), estimated=estimated)
    if comparison is not None:
        old, new = comparison.costs()
        before = cost_text(old, estimated=comparison.before.estimated)
        if result.state == "vanished" or not (result.judged or assessment.calls):
            now = "-"
        elif old.usd is not None and new.usd is not None and result.judged:
            change = percent_change(old.usd, new.usd)
    return (
        assessment.key,
        f"{assessment.now.calls:,}",
        f"{'~' if estimated else ''}{assessment.now.usage.total_tokens:,}",
        before,
        now,
        change,
        result.outcome if result.state == "not judged" else result.state,
    )


def _mocked_lines(run: RunResult) -> list[Line]:
    """Tests whose calls went to mocks of the SDK, and were not measured."""
    if not run.unseen:
        return []
    number = len({test for tests in run.unseen.values() for test in tests})
    names = sorted(run.unseen, key=lambda name: -len(run.unseen[name]))
    way = "" if run.measures_mocks else "crashlens_sdk_mocks = true or "
    lines = [f"{_plural(number, 'test', 'tests')} called a mocked SDK: not measured"]
    lines += [f"  {name} ({_plural(len(run.unseen[name]), 'test', 'tests')})" for name in names[:3]]
    lines += [f"  ... and {len(names) - 3} more"] if len(names) > 3 else []
    return [(line, "warn") for line in (*lines, f"  to measure: {way}crashlens.record(...)")]


def _baseline_lines(run: RunResult, verbosity: int) -> list[Line]:
    status = run.baseline
    if status.error:
        return [(status.error, "bad")]
    if status.mode == "first run":
        if not (run.spent.calls or run.simulated.calls):
            return []
        return [
            ("", ""),
            (
                "No baseline yet, so nothing was compared. To keep these figures as the baseline:",
                "",
            ),
            (f"  {run.accept_command}", "good"),
            (f"and commit {status.name}: from then on a rise fails its test.", ""),
        ]
    if status.mode != "updated":
        return _stale_lines(run)
    changed = len(status.written)
    if changed:
        text = f"{_plural(changed, 'entry', 'entries')} written, {status.entries} in all"
    elif status.entries:
        text = f"nothing to write, {_plural(status.entries, 'entry', 'entries')} as before"
    else:
        text = "no entries"
    if status.deleted:
        text += f" after {_plural(len(status.deleted), 'stale one', 'stale ones')} deleted"
    lines: list[Line] = [(f"{status.name}: {text}", "good")]
    written = set(status.written)
    accepted = [
        f"  accepted: {result.assessment.key}: {_accepted_text(result)}"
        for result in run.results
        if result.state == "accepted" and result.assessment.key in written
    ]
    lines += [(text, "") for text in _first(accepted, verbosity)]
    lines += [(f"  not written (over a limit): {key}", "bad") for key in status.kept_back]
    deleted = [f"  deleted: {key}" for key in status.deleted]
    lines += [(text, "") for text in _first(deleted, verbosity)]
    if status.not_pruned:
        why = ", ".join(status.not_pruned)
        lines.append((f"nothing deleted, as not every test ran ({why})", "warn"))
    if status.generated:
        have = "key rests" if len(status.generated) == 1 else "keys rest"
        text = f"note: {len(status.generated):,} {have} on a generated id: {status.generated[0]}"
        lines.append((text, "warn"))
        lines.append(
            ("  it moves when the parameters do: give them ids (pytest.param(..., id=))", "")
        )
    return [*lines, *_stale_lines(run)]


def _accepted_text(result: Result) -> str:
    """What rose, with money where the finding itself names none."""
    assessment = result.assessment
    finding = assessment.accepted[0]
    text = sentence(finding)
    if finding.metric in COST_METRICS or assessment.comparison is None:
        return text
    before, now = (cost_text(cost) for cost in assessment.comparison.costs())
    return f"{text}, {before} -> {now}"


def _stale_lines(run: RunResult) -> list[Line]:
    findings = [finding for finding in run.session.findings if finding.kind == "stale"]
    stale = run.baseline.stale
    lines: list[Line] = []
    for finding in findings:
        role = "bad" if finding.blocks else "warn"
        lines.append((f"{finding.text}: {run.accept_command} --crashlens-prune", role))
        lines += [(f"  {key}", "") for key in stale[:STALE_SHOWN]]
        if len(stale) > STALE_SHOWN:
            lines.append((f"  ... and {len(stale) - STALE_SHOWN:,} more", ""))
    return lines


def _first(texts: list[str], verbosity: int) -> list[str]:
    if verbosity > 0 or len(texts) <= ROWS_SHOWN:
        return texts
    return [*texts[:ROWS_SHOWN], f"  ... and {len(texts) - ROWS_SHOWN:,} more (-v shows all)"]


def _total_lines(run: RunResult, width: int) -> list[Line]:
    if not run.spent.calls and not run.simulated.calls:
        return _nothing_captured(run)
    failed = len(run.failed)
    spending = [result.fixture for result in run.results if result.assessment.calls]
    fixtures = spending.count(True)
    also = f" and {_plural(fixtures, 'fixture', 'fixtures')}" if fixtures else ""
    tests = _plural(len(spending) - fixtures, "test", "tests")
    head = f"{tests}{also} with LLM calls{f', {failed} over' if failed else ''}"
    totals = [
        f"{_totals_text(totals)} {word}"
        for totals, word in ((run.spent, "spent"), (run.simulated, "simulated"))
        if totals.calls
    ]
    role = "bad" if failed and run.may_fail else ""
    whole = f"{head}: {'; '.join(totals)}"
    lines: list[Line] = [(whole, role)]
    if len(whole) > width:
        lines = [(head, role), *((f"  {text}", role) for text in totals)]
    if failed and not run.may_fail:
        lines.append(("not failed, because of --crashlens-no-fail", "warn"))
    return lines


def _nothing_captured(run: RunResult) -> list[Line]:
    if not run.libraries:
        why = "the tests loaded no HTTP client or SDK that is known"
        return [(f"0 LLM calls captured: {why}", "warn")]
    return [
        (f"0 LLM calls captured. Loaded: {', '.join(run.libraries)}.", "warn"),
        ("  Calls through other clients are not seen.", "warn"),
    ]


def _one_line(run: RunResult, width: int) -> list[Line]:
    """What ``-q`` leaves: the totals, and what makes them incomplete."""
    seen = run.results or run.spent.calls or run.simulated.calls
    lines: list[Line] = [(f"incomplete: {reason}", "warn") for reason in run.incomplete]
    lines += _mocked_lines(run)[:1]
    for result in run.failed:
        if result.fixture:
            lines.append((_fixture_headline(result), "bad"))
    for finding in run.session.findings:
        if finding.blocks:
            lines.append((f"session: {sentence(finding)}", "bad"))
    lines += _total_lines(run, width) if seen else []
    if run.baseline.mode == "first run" and seen:
        return [*lines, ("no baseline yet: nothing was compared", "warn")]
    return [*lines, *_baseline_lines(run, 0)[:1]]


def _totals_text(totals: Totals) -> str:
    sign = "~" if totals.estimated else ""
    retries = f" ({_plural(totals.retries, 'retry', 'retries')})" if totals.retries else ""
    return (
        f"{_plural(totals.calls, 'call', 'calls')}{retries}, "
        f"{sign}{totals.usage.input_tokens or 0:,} + {totals.usage.output_tokens or 0:,} tokens, "
        f"{cost_text(totals.cost, estimated=totals.estimated)}"
    )


def cost_text(cost: Cost, *, estimated: bool = False) -> str:
    """USD; ``~`` before estimates, ``>=`` where a part has no price, ``unpriced`` where all."""
    if cost.usd is None:
        return "unpriced"
    least = ">= " if cost.status == "partial" else ""
    return f"{least}{'~' if estimated and cost.usd else ''}{format_usd(cost.usd)}"


def shortened(name: str, width: int) -> str:
    """The end of ``name``, which tells most, where it is longer than ``width``."""
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _plural(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
