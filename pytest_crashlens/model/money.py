"""Dollars: Decimal inside, rounded only when printed."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

EXACT = Context(prec=50, rounding=ROUND_HALF_UP)
"""Our own decimal context: what the code under test does to the global one must not reach us."""


def format_usd(amount: Decimal) -> str:
    """``amount`` in USD for people: ``$12.30``, ``$0.0041``, ``-$0.000012``.

    At least two decimals, and more until two significant digits show; never ``$0.00`` for a
    non-zero amount.
    """
    with localcontext(EXACT):
        size = abs(amount)
        decimals = 2
        if size and size < 1:
            decimals = max(2, 1 - size.adjusted())
        rounded = size.quantize(Decimal(1).scaleb(-decimals))
        return f"{'-' if amount < 0 and rounded else ''}${rounded:,f}"


def format_usd_change(amount: Decimal) -> str:
    """Like :func:`format_usd`, with a sign also for increases."""
    return f"+{format_usd(amount)}" if amount > 0 else format_usd(amount)


def plain_usd(amount: Decimal) -> str:
    """``amount`` exactly, as stored: no exponent, no trailing zeros (``0.005615``, ``0``)."""
    with localcontext(EXACT):
        text = f"{amount:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
