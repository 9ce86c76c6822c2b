"""The text under FAILURES: what moved, by how much, why, where, and the command that accepts it."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from tabulate import tabulate

from pytest_crashlens.baseline.causes import Cause, CauseKind, percent_change
from pytest_crashlens.baseline.noise import RECOMMENDED_RUNS
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import format_usd, format_usd_change
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.policy.verdict import COST_METRICS, SAME_TOKENS, Amount, Finding, FindingKind
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
CAUSES_SHOWN = 5
_NAMES: Mapping[CauseKind, str] = MappingProxyType(
    {
        "model": "the model",
        "calls": "the calls",
        "input": "the input",
        "cache": "the cache",
        "output": "the output",
        "reasoning": "the reasoning",
        "retries": "the retries",
    }
)
"""For causes that the first line has told."""
_PRIORITY: tuple[FindingKind, ...] = (
    "shared_key",
    "live_call",
    "spend_cap",
    "uncaptured",
    "vanished",
    "policy",
    "limit",
    "budget",
    "missing",
    "refused",
    "increase",
    "unpriced",
    "unknown_usage",
    "basis_changed",
    "estimated",
    "pattern",
    "creep",
    "incomplete",
)
_COUNTED = frozenset({"calls", "retries"})
"""Metrics of which a percentage says less than the two numbers."""
_EXPLAINS: Mapping[str, frozenset[CauseKind]] = MappingProxyType(
    {
        "cost": frozenset({"model", "calls", "input", "cache", "output", "reasoning"}),
        "input cost": frozenset({"model", "calls", "input", "cache"}),
        SAME_TOKENS: frozenset({"model"}),
        "input tokens": frozenset({"calls", "input"}),
        "output tokens": frozenset({"calls", "output", "reasoning"}),
    }
)
"""Which causes can move a metric."""
_IN_WORDS = frozenset(
    ACCEPTABLE - {"increase"} | {"shared_key", "uncaptured", "live_call", "noise"}
)
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
    if first.metric in _COUNTED:
        before, now = (amount(first.metric, value) for value in (first.before, first.now))
        return f"LLM {first.metric} {before} -> {now} (limit: {first.limit})"
    change = percent_change(Decimal(first.before), Decimal(first.now))
    top = _top_cause(assessment, first.metric or "")
    return f"LLM {first.metric} {change}{f': {top.text}' if top else ''}"


def _top_cause(assessment: Assessment, metric: str) -> Cause | None:
    """What made ``metric`` rise most: longer answers do not make input dearer."""
    kinds = _EXPLAINS.get(metric, _EXPLAINS["cost"])
    causes = assessment.comparison.causes() if assessment.comparison else ()
    causes = tuple(cause for cause in causes if cause.kind in kinds)
    if metric in COST_METRICS:
        return next((cause for cause in causes if cause.usd is None or cause.usd > 0), None)
    top = max(causes, key=lambda cause: cause.tokens, default=None)
    return top if top and top.tokens > 0 else None


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
        table([finding for finding in findings if not _said(finding, first)]),
        [f"  {line}" for line in (*_evidence(findings), *_said_in_words(findings, first))],
        [*why(assessment, first), *where(assessment.calls)],
        advice(assessment, accept_command),
    ]
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["", *part] if lines else part
    return lines


def _said(finding: Finding, first: str) -> bool:
    """Whether the first line has all figures of ``finding``."""
    if finding.before is None:
        return sentence(finding) in first
    before, now = (amount(finding.metric, value) for value in (finding.before, finding.now))
    if finding.metric in _COUNTED:
        return f" {finding.metric} {before} -> {now} (" in first
    return f"({before} -> {now} tokens)" in first


def _evidence(findings: Sequence[Finding]) -> list[str]:
    """The runs by which the rule for noise decided."""
    return [f"noise: {finding.evidence}" for finding in findings if finding.evidence]


def _said_in_words(findings: Sequence[Finding], first: str) -> list[str]:
    """What the table cannot show and the first line does not say, and where."""
    lines = []
    for finding in findings:
        if sentence(finding) in first:
            continue
        if finding.now is None or finding.kind in _IN_WORDS or finding.policy:
            note = "" if finding.blocks else "note: "
            site = f", at {finding.call_site}()" if finding.call_site else ""
            lines += folded(f"{note}{sentence(finding)}{site}", 78)
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


def why(assessment: Assessment, first: str = "") -> list[str]:
    """The causes with their shares, largest first; briefly where the first line told them."""
    if assessment.comparison is None or assessment.comparison.vanished:
        return []
    causes = [
        cause
        for cause in assessment.comparison.causes()
        if cause.kind != "retries" or not _judged(assessment, "retries")
    ]
    lines: list[str] = []
    if len(causes) > 1:
        shares = [_share(cause) for cause in causes]
        width = max(len(share) for share in shares)
        for share, cause in list(zip(shares, causes, strict=True))[:CAUSES_SHOWN]:
            text = _NAMES[cause.kind] if cause.text in first else cause.text
            lines += _wrapped(f"{share:<{width}}  " if width else "", text)
        if len(causes) > CAUSES_SHOWN:
            lines.append(f"... and {len(causes) - CAUSES_SHOWN} smaller ones")
    elif causes and causes[0].text not in first and not _counted(causes[0], first):
        told = any(finding.metric in COST_METRICS for finding in assessment.verdict.findings)
        lines = _wrapped("", causes[0].text if told else cause_text(causes[0]))
    lines = [f"  {'why:' if i == 0 else '    '} {line}" for i, line in enumerate(lines)]
    varies = any(cause.kind in ("output", "reasoning") for cause in causes)
    if assessment.comparison.live and varies and not _judged(assessment, "output tokens"):
        lines.append("  note: the output of live calls varies and is not judged by a percentage")
    change = assessment.price_list_change
    if change:
        lines.append(
            f"  note: today's price list differs from the baseline's by "
            f"{format_usd_change(change)} here; that is not counted"
        )
    return lines


def folded(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width``, where its words allow."""
    return textwrap.wrap(
        text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _wrapped(share: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        80 - len("  why: "),
        initial_indent=share,
        subsequent_indent=" " * len(share),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _judged(assessment: Assessment, metric: str) -> bool:
    return any(finding.metric == metric for finding in assessment.verdict.findings)


def _counted(cause: Cause, first: str) -> bool:
    """Whether the first line counts the calls, so that more calls are no news."""
    return cause.kind == "calls" and first.startswith("LLM calls ")


def cause_text(cause: Cause) -> str:
    """A cause with what it explains."""
    share = _share(cause)
    return f"{cause.text}: {share}" if share else cause.text


def _share(cause: Cause) -> str:
    """What a cause explains, in money where that has a price and in tokens else."""
    if cause.usd:
        return format_usd_change(cause.usd)
    return f"{cause.tokens:+,} tokens" if cause.tokens else ""


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
        # a single run would say nothing of the noise around the new figures
        again = f" --crashlens-repeat {RECOMMENDED_RUNS}" if _evidence(blocking) else ""
        lines.append(f"  to accept: {accept_command}{again}{target}")
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
