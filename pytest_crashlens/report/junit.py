"""Properties of a test for pytest's own JUnit XML."""

from __future__ import annotations

from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.report.run_result import Result


def properties(result: Result) -> list[tuple[str, str]]:
    """Names and values; empty for a test without calls now or in the baseline."""
    assessment = result.assessment
    comparison = assessment.comparison
    known = comparison is not None and comparison.before.calls
    if not (assessment.calls or known or assessment.verdict.findings):
        return []
    usage = assessment.now.usage
    found = {
        "cost_usd": _usd(assessment.now.cost(assessment.cards)),
        "input_tokens": str(usage.input_tokens or 0),
        "output_tokens": str(usage.output_tokens or 0),
        "calls": str(assessment.now.calls),
        "retries": str(assessment.now.retries),
        "state": result.state,
    }
    if comparison is not None:
        found["baseline_cost_usd"] = _usd(comparison.costs()[0])
    return [(f"crashlens.{name}", value) for name, value in found.items()]


def _usd(cost: Cost) -> str:
    """Exact USD; ``>=`` where a part has no price."""
    if cost.usd is None:
        return "unpriced"
    return f"{'>=' if cost.status == 'partial' else ''}{plain_usd(cost.usd)}"
