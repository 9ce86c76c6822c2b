"""What the limits and policies say about a test: findings, and the one predicate that fails it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Literal

from pytest_crashlens.baseline.compare import Comparison, calls_by_basis
from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import EXACT, format_usd
from pytest_crashlens.policy.limits import METRICS, Limits, Metric
from pytest_crashlens.pricing.card import Cost

FindingKind = Literal[
    "increase",
    "limit",
    "policy",
    "missing",
    "vanished",
    "unpriced",
    "unknown_usage",
    "basis_changed",
    "refused",
    "shared_key",
    "uncaptured",
    "live_call",
    "creep",
    "stale",
    "noise",
    "pattern",
    "estimated",
    "incomplete",
    "budget",
    "spend_cap",
]
Amount = Decimal | int
SAME_TOKENS = "cost of the same tokens"
COST_METRICS = frozenset({"cost", "input cost", SAME_TOKENS})
"""Metrics in USD; all others are counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, with what is needed to say it in a table and in a sentence."""

    kind: FindingKind
    text: str
    """A sentence without the numbers that stand beside it."""
    blocks: bool = True
    """Whether it fails the test; False: it is only told."""
    metric: str | None = None
    before: Amount | None = None
    now: Amount | None = None
    limit: str | None = None
    policy: str | None = None
    channel: str | None = None
    """Who is to be told of it, beside the run's own report."""
    call_site: str | None = None
    evidence: str | None = None
    """The runs by which the rule for noise decided; None: another rule did."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings about one test, or about the session."""

    findings: tuple[Finding, ...] = ()

    @property
    def failed(self) -> bool:
        """The one predicate behind the outcome, the colour, the exit code and the JSON."""
        return any(finding.blocks for finding in self.findings)


CostOf = Callable[[Sequence[Call]], Cost]
"""USD of calls at today's prices."""


def against_baseline(comparison: Comparison, limits: Limits) -> list[Finding]:
    """Findings of the relative gate, and the states in which it cannot speak."""
    before, now = comparison.before, comparison.now
    if comparison.identical:
        return []
    if comparison.vanished:
        return [
            Finding(
                kind="vanished",
                text=f"no call seen, the baseline has {before.calls} (out of sight is not cheaper)",
                metric="calls",
                before=before.calls,
                now=0,
                limit="seen",
            )
        ]
    findings: list[Finding] = []
    if comparison.more_refused:
        findings.append(
            Finding(
                kind="refused",
                text=f"{now.refused_calls} of {now.calls} calls got no answer (an error, or no "
                f"connection), the baseline has {before.refused_calls} such",
            )
        )
    increase = limits.max_increase
    if increase is None or increase.off:
        return findings
    if comparison.basis_changed:
        findings.append(
            Finding(
                kind="basis_changed",
                text=f"token counts cannot be compared: {_words(before, now)} in the baseline, "
                f"{_words(now, before)} now",
            )
        )
    if models := comparison.more_unknown():
        findings.append(
            Finding(
                kind="unknown_usage",
                text=f"the usage of calls to {', '.join(models)} was not stated and cannot be "
                "counted",
            )
        )
    for metric in METRICS:
        percent = increase.limit(metric)
        if percent is not None:
            named = metric in increase.by_metric
            findings += _increase(comparison, metric, percent, limits, named=named)
    if not comparison.live and now.retries > before.retries:
        findings.append(_more("retries", before.retries, now.retries, "no more"))
    return findings


def _increase(
    comparison: Comparison, metric: Metric, percent: Decimal, limits: Limits, *, named: bool
) -> list[Finding]:
    """The gate on one metric.

    Live output varies too much for a fixed percentage, so live calls are gated on their number and
    input, unless their limit names the metric. Replayed calls are facts: one more is one too many.
    """
    before, now = comparison.before, comparison.now
    floor = Decimal(limits.min_increase_tokens or 0)
    if metric == "cost":
        return _cost_increase(comparison, percent, limits, named=named)
    if metric == "calls":
        replayed = [
            sum(block.calls for block in entry.blocks if not block.kind.live)
            for entry in (before, now)
        ]
        exact = not named and (not comparison.live or replayed[1] > replayed[0])
        amounts = (before.calls, now.calls)
        if exact and now.calls > before.calls:
            return [_more("calls", *amounts, "no more")]
        floor = Decimal(0)
    elif metric == "output_tokens" and not named:
        amounts = comparison.judged_output()
    else:
        amounts = (getattr(before.usage, metric) or 0, getattr(now.usage, metric) or 0)
    if not _exceeds(Decimal(amounts[0]), Decimal(amounts[1]), percent, floor):
        return []
    return [_more(metric.replace("_", " "), *amounts, f"+{percent:f} %")]


def _more(metric: str, before: Amount, now: Amount, limit: str) -> Finding:
    return Finding(
        kind="increase",
        text=f"{metric} increased",
        metric=metric,
        before=before,
        now=now,
        limit=limit,
    )


def _cost_increase(
    comparison: Comparison, percent: Decimal, limits: Limits, *, named: bool
) -> list[Finding]:
    if unpriced := comparison.unpriced_growth():
        return [
            Finding(
                kind="unpriced",
                text=f"no price for {', '.join(unpriced)} (set one under prices: in crashlens.yml)",
                metric="cost",
                before=comparison.before.cost(comparison.cards).usd,
                now=None,
                limit=f"+{percent:f} %",
            )
        ]
    before, now = comparison.costs() if named else comparison.judged_costs()
    if before.usd is None or now.usd is None:
        return []  # nothing unpriced has grown
    if _exceeds(before.usd, now.usd, percent, _cost_floor(comparison, limits, before.usd)):
        name = "cost" if named or not comparison.output_varies else "input cost"
        return [_more(name, before.usd, now.usd, f"+{percent:f} %")]
    # a changed model is judged by what the baseline's own tokens cost: no floor, no noise
    models = comparison.models_cost()
    floor = limits.min_increase_cost or Decimal(0)
    if models is not None and _exceeds(*models, percent, floor):
        return [_more(SAME_TOKENS, *models, f"+{percent:f} %")]
    return []


def _cost_floor(comparison: Comparison, limits: Limits, usd: Decimal) -> Decimal:
    """The floor in USD: as given, else the floor in tokens at the test's own mean price."""
    if limits.min_increase_cost is not None:
        return limits.min_increase_cost
    usage = comparison.before.usage
    tokens = (usage.input_tokens or 0) if comparison.output_varies else usage.total_tokens
    with localcontext(EXACT):
        return usd / tokens * (limits.min_increase_tokens or 0) if tokens else Decimal(0)


def _exceeds(before: Decimal, now: Decimal, percent: Decimal, floor: Decimal) -> bool:
    with localcontext(EXACT):
        return now > before * (1 + percent / 100) and now - before > floor


def within_limits(
    calls: Sequence[Call], limits: Limits, cost_of: CostOf, *, where: str = "this test"
) -> list[Finding]:
    """Findings of absolute limits on ``calls``; unknown is over, where a limit needs it.

    ``max_retries`` holds for each call, all others for the sum.
    """
    findings = totals(calls, limits, cost_of, where)
    for call in calls:
        if limits.max_retries is not None and call.retries > limits.max_retries:
            findings.append(_retries(call, limits.max_retries))
    return findings


def totals(calls: Sequence[Call], limits: Limits, cost_of: CostOf, where: str) -> list[Finding]:
    """Findings of the limits that hold for the sum of ``calls``, which ``where`` names."""
    findings = []
    if limits.max_cost is not None:
        findings += _max_cost(calls, limits.max_cost, cost_of, where)
    if limits.max_calls is not None and len(calls) > limits.max_calls:
        findings.append(over("calls", len(calls), limits.max_calls, where))
    for name, value in (
        ("total tokens", limits.max_total_tokens),
        ("input tokens", limits.max_input_tokens),
        ("output tokens", limits.max_output_tokens),
    ):
        if value is None:
            continue
        counted = sum(_tokens(call, name) for call in calls)
        unknown = sum(call.usage_unknown for call in calls)
        if counted > value:
            findings.append(over(name, counted, value, where))
        elif unknown:
            findings.append(
                Finding(
                    kind="unknown_usage",
                    text=f"max {name} of {where} cannot be checked: the usage of {unknown} of "
                    f"{len(calls)} calls is unknown",
                    metric=name,
                    now=None,
                    limit=f"{value:,}",
                )
            )
    return findings


def _max_cost(calls: Sequence[Call], limit: Decimal, cost_of: CostOf, where: str) -> list[Finding]:
    today = cost_of(calls)
    if today.usd is not None and today.usd > limit:
        return [over("cost", today.usd, limit, where)]
    if today.status == "priced":
        return []
    return [
        Finding(
            kind="unpriced",
            text=f"max cost of {where} cannot be checked: {'; '.join(today.reasons)}",
            metric="cost",
            now=today.usd,
            limit=format_usd(limit),
        )
    ]


def over(name: str, now: Amount, limit: Amount, where: str) -> Finding:
    """A limit that is broken, with both amounts."""
    shown = format_usd(limit) if isinstance(limit, Decimal) else f"{limit:,}"
    return Finding(
        kind="limit", text=f"{name} of {where} over the limit", metric=name, now=now, limit=shown
    )


def _retries(call: Call, limit: int) -> Finding:
    return Finding(
        kind="limit",
        text=f"retries of one call to {call.model or 'an unnamed model'} over the limit",
        metric="retries",
        now=call.retries,
        limit=f"{limit:,}",
        call_site=call.call_site,
    )


def _tokens(call: Call, name: str) -> int:
    if name == "total tokens":
        return call.usage.total_tokens
    return (call.usage.input_tokens if name == "input tokens" else call.usage.output_tokens) or 0


def _words(entry: Entry, other: Entry) -> str:
    """What the counts rest on, with the calls where both sides rest on the same."""
    names = {
        "exact": "the provider's",
        "counted": "counted by tokenizer",
        "estimated": "estimated",
        "unknown": "unknown",
    }
    calls = calls_by_basis(entry) if entry.bases == other.bases else {}
    return " + ".join(
        f"{name} of {calls[basis]} calls" if basis in calls else name
        for basis, name in names.items()
        if basis in entry.bases
    )
