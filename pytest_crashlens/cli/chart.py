"""Bars in one line of text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal, localcontext

from pytest_crashlens.model.money import EXACT

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-~=+*#"
LONGEST = 24


def sparkline(amounts: Sequence[Decimal | None], *, plain: bool | None = None) -> str:
    """A bar for each amount, in proportion to the largest; a space where there is none.

    The last of each stretch stands for it where there are more than fit a line.
    """
    if plain is None:
        plain = not _shows(BARS)
    bars = PLAIN_BARS if plain else BARS
    count = len(amounts)
    if count > LONGEST:
        amounts = [amounts[(at + 1) * count // LONGEST - 1] for at in range(LONGEST)]
    most = max((amount for amount in amounts if amount is not None), default=Decimal(0))
    return "".join(" " if amount is None else bars[_height(amount, most)] for amount in amounts)


def _height(amount: Decimal, most: Decimal) -> int:
    if not most:
        return 0
    with localcontext(EXACT):
        return min(len(BARS) - 1, int(amount / most * len(BARS)))


def _shows(text: str) -> bool:
    """Whether the output can show ``text``."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
