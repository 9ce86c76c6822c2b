"""The JSON for programs: the verdict, the totals and the findings; never a prompt or an answer."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import Any

from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.notify.found import Found, all_found
from pytest_crashlens.notify.origin import Origin
from pytest_crashlens.policy.verdict import COST_METRICS, Amount
from pytest_crashlens.report.run_result import RunResult, Totals
from pytest_crashlens.report.view import run_failed

SCHEMA_VERSION = 1
MOST_FINDINGS = 200


def webhook_message(run: RunResult, origin: Origin) -> dict[str, Any]:
    """The document: USD as exact strings, tokens as integers, null = not known."""
    found = [*all_found(run)]
    judged = [result for result in run.results if result.judged]
    return {
        "schema_version": SCHEMA_VERSION,
        "source": "pytest-crashlens",
        "project": _text(origin.project),
        "branch": _text(origin.branch),
        "link": origin.link,
        "failed": run_failed(run),
        "may_fail": run.may_fail,
        "unjudged": run.unjudged,
        "incomplete": bool(run.incomplete),
        "baseline": run.baseline.mode,
        "tests": {"judged": len(judged), "failed": len(run.failed)},
        "totals": {"spent": _totals(run.spent), "simulated": _totals(run.simulated)},
        "findings": [_finding(one) for one in islice(found, MOST_FINDINGS)],
        "findings_left_out": max(0, len(found) - MOST_FINDINGS),
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "calls": totals.calls,
        "retries": totals.retries,
        "input_tokens": totals.usage.input_tokens,
        "output_tokens": totals.usage.output_tokens,
        "estimated": totals.estimated,
        "cost_usd": None if totals.cost.usd is None else plain_usd(totals.cost.usd),
        "price_status": totals.cost.status,
    }


def _finding(one: Found) -> dict[str, Any]:
    finding = one.finding
    return {
        "test": _text(one.test),
        "kind": finding.kind,
        "text": _text(finding.text),
        "blocks": finding.blocks,
        "metric": finding.metric,
        "baseline": _amount(finding.metric, finding.before),
        "now": _amount(finding.metric, finding.now),
        "limit": _text(finding.limit),
        "policy": _text(finding.policy),
        "call_site": _text(finding.call_site),
    }


def _amount(metric: str | None, value: Amount | None) -> str | int | None:
    if isinstance(value, Decimal) or (value is not None and metric in COST_METRICS):
        return plain_usd(Decimal(value))
    return value


def _text(text: str | None) -> str | None:
    """Half a character of UTF-16, which strict readers refuse, is shown as an escape."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
