"""The text under FAILURES: what moved, by how much, why, where, and the command that accepts it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tabulate import tabulate

from pytest_crashlens.baseline.compare import Cause, percent_change
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import format_usd, format_usd_change
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.policy.verdict import COST_METRICS, Amount, Finding, FindingKind
from pytest_crashlens.report.run_result import call_sites

ACCEPTABLE = frozenset(
    {
        "increase",
        "missing",
        "vanished",
        "refused",
        "unpriced",
        "unknown_usage",
        "basis_changed",
    }
)
"""Findings that an update of the baseline accepts; limits and policies stay."""
SITES_SHOWN = 3
_PRIORITY: tuple[FindingKind, ...] = (
    "shared_key",
    "live_call",
    "uncaptured",
    "vanished",
    "missing",
    "refused",
    "policy",
    "limit",
    "increase",
    "unpriced",
    "unknown_usage",
    "basis_changed",
    "creep",
)
_IN_WORDS = frozenset(ACCEPTABLE - {"increase"} | {"shared_key", "uncaptured", "live_call"})
"""Findings whose figures say less than their sentence."""


def headline(assessment: Assessment) -> str:
    """One line for the short summary: what matters most, and the top cause where one is known."""
    findings = sorted(
        (finding for finding in assessment.verdict.findings if finding.blocks),
        key=lambda finding: _PRIORITY.index(finding.kind),
    )
    first = findings[0]
    if first.kind != "increase" or first.before is None or first.now is None:
        return f"LLM cost: {sentence(first)}"
    change = percent_change(Decimal(first.before), Decimal(first.now))
    causes = assessment.comparison.causes() if assessment.comparison else ()
    moved = [cause for cause in causes if _moves(cause, first.metric or "")]
    because = f": {moved[0].text}" if moved else ""
    return f"LLM {first.metric} {change}{because}"


def _moves(cause: Cause, metric: str) -> bool:
    """Whether ``cause`` can be why ``metric`` rose: longer answers do not make input dearer."""
    other = {"input": "output", "output": "input"}.get(metric.partition(" ")[0])
    return cause.kind != other


def sentence(finding: Finding) -> str:
    """The finding in words and numbers."""
    policy = f"policy '{finding.policy}': " if finding.policy else ""
    if finding.now is None or finding.kind in _IN_WORDS:
        return policy + finding.text
    now = amount(finding.metric, finding.now)
    if finding.before is None:
        return f"{policy}{finding.text} ({now} > {finding.limit})"
    change = percent_change(Decimal(finding.before), Decimal(finding.now))
    return (
        f"{policy}{finding.metric} {amount(finding.metric, finding.before)} -> {now} "
        f"({change}, limit {finding.limit})"
    )


def failure_lines(assessment: Assessment, accept_command: str) -> list[str]:
    """The whole text, at most 80 columns where names allow; the first line says it all."""
    findings = assessment.verdict.findings
    first = headline(assessment)
    parts = [
        [f"E   {first}"],
        table(findings),
        [f"  {line}" for line in _said_in_words(findings, first)],
        [*why(assessment), *where(assessment.calls)],
        advice(assessment, accept_command),
    ]
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["", *part] if lines else part
    return lines


def _said_in_words(findings: Sequence[Finding], first: str) -> list[str]:
    """What the table cannot show and the first line does not say, and where."""
    lines = []
    for finding in findings:
        if sentence(finding) in first:
            continue
        if finding.now is None or finding.kind in _IN_WORDS or finding.policy:
            note = "" if finding.blocks else "note: "
            site = f", at {finding.call_site}()" if finding.call_site else ""
            lines.append(f"{note}{sentence(finding)}{site}")
    return lines


def table(findings: Sequence[Finding]) -> list[str]:
    """``metric | baseline | now | change | limit`` of the findings that have numbers."""
    rows = [
        (
            finding.metric or "",
            "-" if finding.before is None else amount(finding.metric, finding.before),
            amount(finding.metric, finding.now),
            "-"
            if finding.before is None
            else percent_change(Decimal(finding.before), Decimal(finding.now)),
            finding.limit or "-",
        )
        for finding in findings
        if finding.now is not None and finding.kind not in _IN_WORDS
    ]
    if not rows:
        return []
    unique = dict.fromkeys([("metric", "baseline", "now", "change", "limit"), *rows])
    return as_table(unique)


def as_table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Plain columns, the first one left, the others right; the first row is the header."""
    # a header handed over as one would widen each column by its padding
    cells = [tuple(row) for row in rows]
    text = tabulate(
        cells,
        tablefmt="plain",
        colalign=("left", *("right" for _ in cells[0][1:])),
        disable_numparse=True,
    )
    return [f"  {line.rstrip()}" for line in text.splitlines()]


def why(assessment: Assessment) -> list[str]:
    """The causes in words, dearest first."""
    if assessment.comparison is None or assessment.comparison.vanished:
        return []
    causes = assessment.comparison.causes()
    lines = [f"  {'why:' if i == 0 else '    '} {cause_text(c)}" for i, c in enumerate(causes)]
    if assessment.comparison.live and any(cause.kind == "output" for cause in causes):
        lines.append("  note: the output of live calls varies and is not judged by a percentage")
    change = assessment.price_list_change
    if change:
        lines.append(
            f"  note: today's price list differs from the baseline's by "
            f"{format_usd_change(change)} here; that is not counted"
        )
    return lines


def cause_text(cause: Cause) -> str:
    """A cause with its share of the money."""
    return cause.text if cause.usd is None else f"{cause.text}: {format_usd_change(cause.usd)}"


def where(calls: Sequence[Call]) -> list[str]:
    """The lines of the project that made the calls."""
    sites = call_sites(calls)
    lines = [f"  {'at: ' if i == 0 else '    '} {site}" for i, site in enumerate(sites)]
    if len(lines) > SITES_SHOWN:
        lines[SITES_SHOWN:] = [f"       ... and {len(lines) - SITES_SHOWN} more"]
    return lines


def advice(assessment: Assessment, accept_command: str) -> list[str]:
    """What to do now."""
    blocking = [finding for finding in assessment.verdict.findings if finding.blocks]
    lines = []
    if any(finding.kind in ACCEPTABLE for finding in blocking):
        target = f" {shlex.quote(assessment.nodeid)}" if assessment.nodeid else ""
        lines.append(f"  to accept: {accept_command}{target}")
    if any(finding.kind in ("limit", "policy") for finding in blocking):
        lines.append("  limits and policies are not moved by an update: spend less or change them")
    return lines


def amount(metric: str | None, value: Amount | None) -> str:
    """A figure of ``metric``: USD or a count."""
    if value is None:
        return "?"
    if metric in COST_METRICS:
        return format_usd(Decimal(value))
    return f"{value:,}"
