"""What the limits of the whole run say, of which one may be a spend cap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import localcontext
from typing import TYPE_CHECKING

from pytest_crashlens.capture.live_calls import LiveCallBlocked
from pytest_crashlens.capture.spend_guard import SPEND_CAP, SpendCapReached
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.ledger import Ledger
from pytest_crashlens.model.money import EXACT, format_usd
from pytest_crashlens.policy.config import SessionLimits
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.verdict import CostOf, Finding, totals, within_limits

if TYPE_CHECKING:
    from pytest_crashlens.policy.assess import Assessment

_WHERE = "this session"
_REFUSED = (LiveCallBlocked.__name__, SpendCapReached.__name__)


def sent(calls: Sequence[Call]) -> list[Call]:
    """Without those that were refused before anything of them was sent."""
    return [call for call in calls if call.live or call.error not in _REFUSED]


def refused_elsewhere(ledger: Ledger, judged: Mapping[str, Assessment]) -> tuple[str, ...]:
    """Refusals that no verdict of a test tells, as it failed, was skipped or is ignored.

    A sentence for all of a kind. ``judged``: the tests that have one.
    """
    kinds: dict[bool, list[tuple[str, str]]] = {}
    for record in ledger.tests.values():
        one = judged.get(record.nodeid)
        known = {finding.text for finding in one.verdict.findings} if one is not None else ()
        for text in record.refused:
            if text not in known:
                kinds.setdefault(text.startswith(SPEND_CAP), []).append((record.nodeid, text))
    return tuple(_together(found, is_cap=is_cap) for is_cap, found in kinds.items())


def _together(found: Sequence[tuple[str, str]], *, is_cap: bool) -> str:
    if len(found) == 1:
        return found[0][1]
    number = len({nodeid for nodeid, _ in found})
    tests = "1 test that is" if number == 1 else f"{number:,} tests that are"
    what = f"{SPEND_CAP}: requests" if is_cap else "live calls"
    return f"{what} of {tests} not judged were refused; the first: {found[0][1]}"


def session_findings(
    session: SessionLimits, calls: Sequence[Call], cost_of: CostOf
) -> list[Finding]:
    """Findings about everything that a run called.

    A spend cap is about money: replayed and mocked calls, which other limits count, are not.
    """
    calls, limits = sent(calls), session.limits
    if session.on_exceed == "stop":
        limits = replace(limits, max_cost=None)
    found = within_limits(calls, limits, cost_of, where=_WHERE)
    if not session.caps:
        return found
    cap = min(session.caps)
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
