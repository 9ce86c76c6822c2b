"""Percentages for people: no ``-0.0 %``, and no seven digits where a factor says it."""

from __future__ import annotations

from decimal import Decimal, localcontext

from pytest_crashlens.baseline.causes import percent_change
from pytest_crashlens.model.money import EXACT

_LEAST = Decimal("0.05")
"""Percent; what is less would be told as 0.0."""
_MOST = 100_000
"""Percent up to which they are told."""


def percent(before: Decimal | int, now: Decimal | int) -> str:
    r"""``+50 %``, ``<0.1 %``, ``\N{MULTIPLICATION SIGN}1,363`` (times); ``new`` from nothing."""
    if not before or before == now:
        return percent_change(before, now)
    with localcontext(EXACT):
        times = Decimal(now) / Decimal(before)
        change = abs(times - 1) * 100
    if change < _LEAST:
        return "<0.1 %"
    return f"\N{MULTIPLICATION SIGN}{times:,.0f}" if change > _MOST else percent_change(before, now)
