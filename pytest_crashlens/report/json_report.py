"""The run as one JSON document (``schema_version`` 1): USD as exact strings, tokens as integers.

``run.schema.json`` is its JSON Schema; :mod:`pytest_crashlens.report.saved_run` reads it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.noise import NoiseVerdict
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.policy.labels import LabelSum
from pytest_crashlens.policy.verdict import COST_METRICS, Finding
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.report.run_result import BaseStatus, Result, RunResult, Totals
from pytest_crashlens.report.view import (
    Context,
    Spending,
    headline_of,
    run_failed,
    side_now,
    spending,
)

SCHEMA_VERSION = 1


def to_json(run: RunResult, context: Context | None = None) -> str:
    """The document's text, keys sorted.

    Each test is made plain and written on its own: all of them at once take gigabytes.
    """
    plain = {
        "schema_version": SCHEMA_VERSION,
        "failed": run_failed(run),
        "may_fail": run.may_fail,
        "unjudged": run.unjudged,
        "ended": run.ended,
        "partial": list(run.partial),
        "context": asdict(context or Context()),
        "accept_command": run.accept_command,
        "baseline": {
            "file": run.baseline.name,
            "mode": run.baseline.mode,
            "entries": run.baseline.entries,
            "written": list(run.baseline.written),
            "kept_back": list(run.baseline.kept_back),
            "deleted": list(run.baseline.deleted),
            "stale": list(run.baseline.stale),
            "not_pruned": list(run.baseline.not_pruned),
            "generated": list(run.baseline.generated),
            "error": run.baseline.error,
        },
        "base": None if run.base is None else _base(run.base),
        "totals": {"spent": _totals(run.spent), "simulated": _totals(run.simulated)},
        "tests": [],
        "session": [_finding(finding) for finding in run.session.findings],
        "detections": [_detection(one) for one in run.detections],
        "labels": [_label(one) for one in run.labels],
        "late_calls": [_call(call) for call in run.late],
        "mocked_sdks": {name: list(tests) for name, tests in run.unseen.items()},
        "moved": [asdict(one) for one in run.moved],
        "incomplete": list(run.incomplete),
        "notices": list(run.notices),
        "libraries": list(run.libraries),
    }
    margin = "\n    "
    tests = ",".join(margin + _text(_test(result)).replace("\n", margin) for result in run.results)
    # a line break is always one of the layout: in texts it is escaped
    head, found, tail = _text(plain).partition('\n  "tests": [')
    return "".join((head, found, tests, "\n  " if tests else "", tail, "\n"))


def _text(plain: Any) -> str:
    return json.dumps(plain, indent=2, sort_keys=True)


def _test(result: Result) -> dict[str, Any]:
    assessment = result.assessment
    comparison = assessment.comparison
    return {
        "key": assessment.key,
        "nodeid": assessment.nodeid,
        "outcome": result.outcome,
        "state": result.state,
        "failed": assessment.verdict.failed,
        "fixture": result.fixture,
        "headline": headline_of(assessment),
        "now": _entry(assessment.now, assessment.now.cost(assessment.cards)),
        "baseline": None
        if comparison is None
        else _entry(comparison.before, comparison.before.cost(comparison.cards)),
        "cost_today_usd": _usd(assessment.today),
        "price_list_change_usd": _plain_or_none(assessment.price_list_change),
        "findings": [_finding(finding) for finding in assessment.verdict.findings],
        "accepted": [_finding(finding) for finding in assessment.accepted],
        "causes": _causes(comparison if result.judged else None),
        **_since_base(result),
        "spending": [_spending(one) for one in spending(assessment)],
        "noise": {metric: _noise(verdict) for metric, verdict in assessment.noise.items()},
        "calls": [_call(call) for call in assessment.calls],
    }


def _causes(comparison: Comparison | None) -> list[dict[str, Any]]:
    return [
        {
            "kind": cause.kind,
            "text": cause.text,
            "usd": _plain_or_none(cause.usd),
            "tokens": cause.tokens,
            "model": cause.model,
        }
        for cause in (comparison.causes() if comparison else ())
    ]


def _since_base(result: Result) -> dict[str, Any]:
    """The test's entry in the base, and what it has become since."""
    if result.since is None:
        return {"base": None, "since_base": None}
    comparison = result.since.comparison
    return {
        "base": None
        if comparison is None
        else _entry(comparison.before, comparison.before.cost(comparison.cards)),
        "since_base": {
            "state": result.state_since_base,
            "now": _entry(*side_now(result)),
            "causes": _causes(comparison if result.judged else None),
            "accepted": result.since.renewed,
            "reason": result.since.reason,
        },
    }


def _base(base: BaseStatus) -> dict[str, Any]:
    return {
        "revision": base.revision,
        "commit": base.commit,
        "there": base.there,
        "changed": base.changed,
        "removed": list(base.removed),
        "removed_usd": _plain_or_none(base.removed_usd),
    }


def _detection(one: Detection) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "level": one.level,
        "text": one.text,
        "calls": one.calls,
        "call_sites": list(one.call_sites),
        "waste_usd": _plain_or_none(one.waste_usd),
        "waste_tokens": one.waste_tokens,
        "tests": list(one.tests),
    }


def _label(one: LabelSum) -> dict[str, Any]:
    return {
        "label": one.label,
        "tests": one.tests,
        "calls": len(one.calls),
        "cost_usd": _usd(one.cost),
        "price_status": one.cost.status,
    }


def _spending(one: Spending) -> dict[str, Any]:
    return {
        "call_site": one.call_site,
        "provider": one.provider,
        "model": one.model,
        "calls": one.calls,
        "usage": one.usage.to_dict(),
        "cost_usd": _plain_or_none(one.usd),
        "price_status": one.price_status,
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
        "unanswered": totals.unanswered,
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
    for name in ("fingerprint", "shape", "started", "finished"):
        del plain[name]  # keyed and timed anew in every run: they mean nothing outside
    return plain


def _usd(cost: Cost) -> str | None:
    return _plain_or_none(cost.usd)


def _plain_or_none(usd: Decimal | None) -> str | None:
    return None if usd is None else plain_usd(usd)
