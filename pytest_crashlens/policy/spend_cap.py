"""What the limits of the whole run say, of which one may be a spend cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import localcontext

from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import EXACT, format_usd
from pytest_crashlens.policy.config import SessionLimits
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.verdict import CostOf, Finding, totals, within_limits

_WHERE = "this session"


def session_findings(
    session: SessionLimits, calls: Sequence[Call], cost_of: CostOf
) -> list[Finding]:
    """Findings about everything that a run called.

    A spend cap is about money: replayed and mocked calls, which other limits count, are not.
    """
    limits, cap = session.limits, session.limits.max_cost
    if session.on_exceed != "stop" or cap is None:
        return within_limits(calls, limits, cost_of, where=_WHERE)
    found = within_limits(calls, replace(limits, max_cost=None), cost_of, where=_WHERE)
    live = [call for call in calls if call.live]
    for finding in totals(live, Limits(max_cost=cap), cost_of, _WHERE):
        if finding.kind == "limit" and finding.now is not None:
            with localcontext(EXACT):
                beyond = format_usd(finding.now - cap)
            text = (
                f"spend cap exceeded by {beyond}: calls that were under way when it was reached "
                "were not cut off"
            )
            finding = replace(finding, kind="spend_cap", text=text)
        found.append(finding)
    return found
