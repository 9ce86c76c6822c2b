"""The rule for noise: what differs from run to run of a live test is judged by that difference.

Output always does; calls and input do once runs of the same code had other numbers of them. The
fixed percentage stays where it is a fact (calls and input that never varied) and where a limit
names the metric. Output that varies fails by the rule alone; calls and input by the percentage,
unless the rule takes it for noise: where it cannot tell, they may be no more than some run had.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.entry import Entry, entry_of
from pytest_crashlens.baseline.noise import (
    METRIC_RULES,
    NoiseRule,
    NoiseVerdict,
    SuiteVerdict,
    judge,
)
from pytest_crashlens.baseline.runs import RUN_METRICS, RunMetric, Runs, RunTotals
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import total
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.verdict import Finding

NO_RUNS = RunTotals()
Noise = Mapping[RunMetric, NoiseVerdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What this session saw of one test's live calls, and what it takes to judge that."""

    runs: RunTotals = NO_RUNS
    """All passed runs of the test; only whole ones count."""
    first: RunTotals = NO_RUNS
    """The first of them, which no suspicion selected."""
    comparisons: int = 1
    """Noisy comparisons of the whole run."""
    planned: int = 0
    """Re-runs of a test that looks too high."""

    @classmethod
    def of(cls, runs: Sequence[Sequence[Call]], *, comparisons: int, planned: int) -> Observed:
        """Of the calls of each run."""
        totals = [run_totals(calls) for calls in runs]
        return cls(
            runs=RunTotals.merged(totals),
            first=totals[0] if totals else NO_RUNS,
            comparisons=comparisons,
            planned=planned,
        )


def run_totals(calls: Iterable[Call]) -> RunTotals:
    """The live part of one run; none where some of it is unknown or got no answer."""
    live = [call for call in calls if call.live]
    if not live or any(call.usage_unknown or not call.billed for call in live):
        return NO_RUNS
    usage = total(call.usage for call in live)
    return RunTotals.one(
        calls=len(live),
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
    )


def comparisons(entries: Mapping[str, Entry], keys: Collection[str] | None = None) -> int:
    """How many metrics of live tests are judged by noise in a run of the tests ``keys``.

    A key that a marker gave is no node id and counts as one of them. None: all tests run.
    """
    return sum(
        sum(not entry.runs.exact(metric) for metric in RUN_METRICS)
        for key, entry in entries.items()
        if entry.runs and (keys is None or key in keys or "::" not in key)
    )


def rules(limits: Limits, runs: RunTotals) -> Iterator[tuple[RunMetric, NoiseRule]]:
    """Which metrics noise is judged in, and from what size on a rise matters there."""
    increase = limits.max_increase
    if increase is None or increase.off:
        return
    for metric in RUN_METRICS:
        percent = increase.limit(metric)
        if percent is None or metric in increase.by_metric or runs.exact(metric):
            continue
        yield (
            metric,
            replace(
                METRIC_RULES[metric],
                min_effect=Fraction(percent) / 100,
                floor=0 if metric == "calls" else limits.min_increase_tokens or 0,
            ),
        )


def suspicious(before: Entry, calls: Sequence[Call], limits: Limits, *, reruns: int) -> bool:
    """Whether one run is so high that it takes re-runs to tell noise from a change."""
    now, _ = entry_of(calls, lambda _: None)
    seen = run_totals(calls)
    if not seen or not _comparable(before, now):
        return False
    return any(
        judge(before.runs.of(metric), seen.of(metric), reruns=reruns, rule=rule).outcome
        == "flagged"
        for metric, rule in rules(limits, before.runs)
    )


def judge_noise(comparison: Comparison, observed: Observed, limits: Limits) -> Noise:
    """What the rule says of each metric of a live test that varies."""
    before = comparison.before
    if comparison.vanished or not _comparable(before, comparison.now):
        return {}
    return {
        metric: judge(
            before.runs.of(metric),
            observed.runs.of(metric),
            comparisons=observed.comparisons,
            planned=observed.planned,
            rule=rule,
        )
        for metric, rule in rules(limits, before.runs)
    }


def with_noise(
    fixed: Iterable[Finding],
    noise: Noise,
    comparison: Comparison,
    observed: Observed,
    limits: Limits,
) -> list[Finding]:
    """What ``fixed`` percentages found and noise cannot explain, and what the rule finds."""
    found = [
        _beyond_runs(one, noise, comparison)
        for one in fixed
        if not _is_noise(one, noise, comparison, limits)
    ]
    output = noise.get("output_tokens")
    if output is not None:
        found += _of_output(output, comparison.before.runs.output_tokens, observed)
    return found


def shrank(smaller: Iterable[Finding], noise: Noise) -> bool:
    """Whether any of the findings, which hold the other way round, is more than noise."""
    for finding in smaller:
        metric = _METRICS.get(finding.metric or "")
        verdict = noise.get(metric) if metric else None
        if verdict is None or not verdict.runs or verdict.outcome == "decreased":
            return True
    return False


def suite_finding(suite: SuiteVerdict) -> Finding | None:
    """That all live tests together answer longer, which no single one of them shows."""
    if not suite.increased:
        return None
    low, high = (f"{100 * share:+.0f} %" for share in suite.expected)
    return Finding(
        kind="increase",
        metric="output tokens",
        text=f"the output of {suite.tests} live tests together rose by {100 * suite.shift:.0f} % "
        f"(noise: {low} to {high})",
        evidence="the suite's shift",
    )


def _comparable(before: Entry, now: Entry) -> bool:
    bases = [
        {block.kind.basis for block in entry.blocks if block.kind.live} for entry in (before, now)
    ]
    return before.live and now.live and bases[0] == bases[1]


def _is_noise(finding: Finding, noise: Noise, comparison: Comparison, limits: Limits) -> bool:
    """Whether runs of the same code differ as much as this."""
    if finding.kind != "increase":
        return False
    metric = _METRICS.get(finding.metric or "")
    verdict = noise.get(metric) if metric else None
    if metric is None or verdict is None or verdict.failed or not verdict.runs:
        return False
    if _above_all(verdict, comparison.before.runs.of(metric)):
        return False
    if _replayed(comparison.now, metric) > _replayed(comparison.before, metric):
        return False  # that part is a fact
    return finding.metric != "input cost" or not _dearer_input(comparison, limits)


def _above_all(verdict: NoiseVerdict, stored: Runs) -> bool:
    """Whether it is more than any run had, and chance may explain it or may not."""
    return verdict.outcome == "inconclusive" and verdict.seen > max(stored)


def _beyond_runs(finding: Finding, noise: Noise, comparison: Comparison) -> Finding:
    """The finding, with the runs that all lie below where noise was asked and could not tell."""
    metric = _METRICS.get(finding.metric or "") if finding.kind == "increase" else None
    verdict = noise.get(metric) if metric else None
    if metric is None or verdict is None:
        return finding
    stored = comparison.before.runs.of(metric)
    if not _above_all(verdict, stored):
        return finding
    lie = f"{min(stored):,}..{max(stored):,} {metric.replace('_', ' ')}"
    return replace(
        finding,
        text=f"{finding.text}: the {len(stored)} stored runs lie in {lie}",
        # once is enough where the cost follows from the tokens
        evidence=None
        if finding.metric == "input cost"
        else f"{len(stored)} runs in the baseline lie in {lie}",
    )


_METRICS: Mapping[str, RunMetric] = {
    "calls": "calls",
    "input tokens": "input_tokens",
    "input cost": "input_tokens",
}


def _replayed(entry: Entry, metric: RunMetric) -> int:
    blocks = [block for block in entry.blocks if not block.kind.live]
    if metric == "calls":
        return sum(block.calls for block in blocks)
    return sum(getattr(block.usage, metric) or 0 for block in blocks)


def _dearer_input(comparison: Comparison, limits: Limits) -> bool:
    """Whether a token of input costs more than before: no question of how many there are."""
    percent = limits.max_increase.limit("cost") if limits.max_increase else None
    costs = [cost.usd for cost in comparison.judged_costs()]
    before, now = (entry.usage.input_tokens or 0 for entry in (comparison.before, comparison.now))
    if percent is None or None in costs or not before or not now:
        return True
    old, new = (
        Fraction(usd or 0) / tokens for usd, tokens in zip(costs, (before, now), strict=True)
    )
    return new > old * (1 + Fraction(percent) / 100)


def _of_output(verdict: NoiseVerdict, stored: Runs, observed: Observed) -> list[Finding]:
    before, now = round(verdict.baseline), round(verdict.seen)
    if verdict.outcome == "increased":
        return [
            Finding(
                kind="increase",
                text="output tokens increased",
                metric="output tokens",
                before=before,
                now=now,
                limit=f"{verdict.limit:,.0f}",
                evidence=_evidence(stored, observed),
            )
        ]
    first = next(iter(observed.first.output_tokens), now)
    again = observed.planned and verdict.seen_runs > 1
    if verdict.outcome == "inconclusive":
        what = f"{before:,} -> {now:,} tokens may be noise"
    elif again and verdict.outcome == "within_noise":
        what = f"{before:,} -> {first:,} tokens was noise (mean of all runs: {now:,})"
    else:
        return []
    return [
        Finding(
            kind="noise",
            text=f"output {what}",
            blocks=False,
            metric="output tokens",
            before=before,
            now=now,
            evidence=_evidence(stored, observed),
        )
    ]


def _evidence(stored: Runs, observed: Observed) -> str:
    """The runs on both sides, in words."""
    runs = list(stored)
    if len(runs) == 1:
        text = f"1 run in the baseline, of {runs[0]:,}, proves nothing"
    else:
        text = f"{len(runs)} runs in the baseline lie in {runs[0]:,}..{runs[-1]:,}"
    again = list(observed.runs.output_tokens)
    for first in observed.first.output_tokens:
        again.remove(first)
    if not again:
        return text
    agree = sum(total > runs[-1] for total in again)
    return (
        f"{text}, {agree} of {len(again)} {'re-run agrees' if len(again) == 1 else 're-runs agree'}"
    )
