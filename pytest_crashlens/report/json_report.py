"""The run as one JSON document (``schema_version`` 1): USD as exact strings, tokens as integers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.noise import NoiseVerdict
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.policy.verdict import COST_METRICS, Finding
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.report.run_result import Result, RunResult, Totals

SCHEMA_VERSION = 1


def to_json(run: RunResult) -> str:
    """The document's text, keys sorted."""
    plain = {
        "schema_version": SCHEMA_VERSION,
        "failed": bool(run.may_fail and (run.failed or run.session_failed)),
        "baseline": {
            "file": run.baseline.name,
            "mode": run.baseline.mode,
            "written": list(run.baseline.written),
            "deleted": list(run.baseline.deleted),
            "stale": list(run.baseline.stale),
            "error": run.baseline.error,
        },
        "totals": {"spent": _totals(run.spent), "simulated": _totals(run.simulated)},
        "tests": [_test(result) for result in run.results],
        "session": [_finding(finding) for finding in run.session.findings],
        "late_calls": [_call(call) for call in run.late],
        "mocked_sdks": {name: list(tests) for name, tests in run.unseen.items()},
        "incomplete": list(run.incomplete),
    }
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def _test(result: Result) -> dict[str, Any]:
    assessment = result.assessment
    comparison = assessment.comparison
    return {
        "key": assessment.key,
        "nodeid": assessment.nodeid,
        "outcome": result.outcome,
        "state": result.state,
        "failed": assessment.verdict.failed,
        "now": _entry(assessment.now, assessment.now.cost(assessment.cards)),
        "baseline": None
        if comparison is None
        else _entry(comparison.before, comparison.before.cost(comparison.cards)),
        "cost_today_usd": _usd(assessment.today),
        "findings": [_finding(finding) for finding in assessment.verdict.findings],
        "accepted": [_finding(finding) for finding in assessment.accepted],
        "causes": [
            {
                "kind": cause.kind,
                "text": cause.text,
                "usd": None if cause.usd is None else plain_usd(cause.usd),
                "tokens": cause.tokens,
            }
            for cause in (comparison.causes() if comparison and result.judged else ())
        ],
        "noise": {metric: _noise(verdict) for metric, verdict in assessment.noise.items()},
        "calls": [_call(call) for call in assessment.calls],
    }


def _entry(entry: Entry, cost: Cost) -> dict[str, Any]:
    return {
        "traffic": "live" if entry.live else "replayed",
        "calls": entry.calls,
        "retries": entry.retries,
        "usage": entry.usage.to_dict(),
        "estimated": entry.estimated,
        "unknown_usage_calls": entry.unknown_calls,
        "cost_usd": _usd(cost),
        "price_status": cost.status,
        "runs": entry.runs.to_dict() if entry.runs else None,
    }


def _noise(verdict: NoiseVerdict) -> dict[str, Any]:
    """JSON has no infinity: null is there what nothing bounds."""
    plain = asdict(verdict) | {"ratio": verdict.ratio, "expected": list(verdict.expected)}
    return {name: _bounded(value) for name, value in plain.items()}


def _bounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_bounded(each) for each in value]
    return None if value == math.inf else value


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "calls": totals.calls,
        "retries": totals.retries,
        "usage": totals.usage.to_dict(),
        "estimated": totals.estimated,
        "cost_usd": _usd(totals.cost),
        "price_status": totals.cost.status,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "text": finding.text,
        "blocks": finding.blocks,
        "metric": finding.metric,
        "baseline": _amount(finding.metric, finding.before),
        "now": _amount(finding.metric, finding.now),
        "limit": finding.limit,
        "policy": finding.policy,
        "call_site": finding.call_site,
        "evidence": finding.evidence,
    }


def _amount(metric: str | None, value: Decimal | int | None) -> str | int | None:
    if isinstance(value, Decimal) or (value is not None and metric in COST_METRICS):
        return plain_usd(Decimal(value))
    return value


def _call(call: Call) -> dict[str, Any]:
    plain = call.to_dict()
    del plain["fingerprint"]  # keyed anew in every run: it means nothing outside
    return plain


def _usd(cost: Cost) -> str | None:
    return None if cost.usd is None else plain_usd(cost.usd)
