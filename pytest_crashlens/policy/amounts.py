"""Whole numbers, dollars and percentages, read from the text as it was written.

Never through a binary float, and never through YAML's idea of a number (in YAML 1.1 ``0750`` is
488 and ``1:30`` is 90). Every function raises ValueError with what was expected and the fix.
"""

from __future__ import annotations

import re
from decimal import Decimal

LONGEST = 40
"""Characters of a number worth reading; beyond that nobody meant it."""


def parse_whole(text: str, *, minimum: int = 0) -> int:
    """A whole number such as ``750`` or ``1_000``, at least ``minimum``."""
    expected = f"expected a whole number of at least {minimum}"
    if re.fullmatch(r"0[0-9_]+", text):
        raise ValueError(f"{expected}, found {shown(text)}; leave out the leading zero")
    if not re.fullmatch(r"[0-9]{1,18}|[0-9]{1,3}(_[0-9]{3}){1,5}", text):
        raise ValueError(f"{expected}, found {shown(text)}; write digits only, such as 750")
    number = int(text)
    if number < minimum:
        raise ValueError(f"{expected}, found {text}; write {minimum} or more")
    return number


def parse_usd(text: str) -> Decimal:
    """US dollars: ``0.05``, ``$0.05`` or ``5e-4``; not negative, finite."""
    number = text.strip().removeprefix("$").strip()
    pattern = r"([0-9]{1,15}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?"
    if len(number) > LONGEST or not re.fullmatch(pattern, number):
        raise ValueError(
            f'expected US dollars, found {shown(text)}; write an amount such as "0.05" or "$0.05", '
            "not negative, without currency name or thousands separator"
        )
    return Decimal(number)


def parse_percent(text: str) -> Decimal:
    """``20`` for ``20%``; a number without the sign is refused, for it may mean anything."""
    match = re.fullmatch(r"([0-9]{1,9}(\.[0-9]{1,9})?) ?%", text.strip())
    if match:
        return Decimal(match[1])
    expected = f'expected a percentage such as "20%", found {shown(text)}'
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text.strip()):
        raise ValueError(f'{expected}; a bare number may mean anything: write "{text.strip()}%"')
    raise ValueError(f"{expected}; write a number that is not negative, then %")


def parse_factor(text: str) -> Decimal:
    """``0.8``: what a price is multiplied by, above 0 and at most 100."""
    number = text.strip()
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", number) and 0 < Decimal(number) <= 100:
        return Decimal(number)
    expected = f"expected a factor such as 0.8, found {shown(text)}"
    if number.endswith("%"):
        raise ValueError(f'{expected}; 20% off is "0.8"')
    raise ValueError(f"{expected}; write a number above 0, at most 100")


def shown(text: str) -> str:
    """``text`` in quotes for a message: short, and without characters that move a terminal."""
    short = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
    return f'"{safe}"'
