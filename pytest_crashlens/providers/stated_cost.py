"""What an answer itself says that it costs, in USD and exactly as it is written.

JSON numbers become binary floats when they are decoded; :class:`ExactFloat` keeps their text.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal

from pytest_crashlens.model.money import plain_usd

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,2})?")
_DEAREST_USD = Decimal(10**6)
"""More is no cost of one call."""

_TICKS_PER_USD = 10
"""Decimal places: xAI states costs in ticks of 1e-10 USD."""

_SIGN = b"cost"


class ExactFloat(float):
    """A JSON number that remembers how it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """The number written as ``text``."""
        self.text = text


def loads(data: bytes) -> object:
    """The JSON value in ``data``; its numbers are exact where it says something of a cost.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is too deep.
    """
    text = data.decode("utf-8-sig", "replace")
    return json.loads(text, parse_float=ExactFloat if _SIGN in data else None)


def stated_cost(usage: object) -> str | None:
    """The cost in USD that a usage object states, as plain decimal text.

    - ``cost``: OpenRouter (https://openrouter.ai/docs/use-cases/usage-accounting), Vercel's
      gateway, Avian;
    - ``cost.total_cost``: Perplexity (https://docs.perplexity.ai/api-reference);
    - ``cost_in_usd_ticks``: xAI (https://docs.x.ai/developers/cost-tracking).

    What a gateway merely estimates (``cost_estimate``) is no statement.
    """
    if not isinstance(usage, dict):
        return None
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    amount = _decimal(cost)
    if amount is None:
        ticks = _decimal(usage.get("cost_in_usd_ticks"))
        amount = None if ticks is None else ticks.scaleb(-_TICKS_PER_USD)
    return None if amount is None or amount > _DEAREST_USD else plain_usd(amount)


def _decimal(number: object) -> Decimal | None:
    """``number`` exactly, if it is one that can be a cost: finite, not negative, not endless."""
    if isinstance(number, ExactFloat):
        text = number.text
    elif isinstance(number, str):  # as Vercel's gateway writes it in its metadata
        text = number.strip()
    elif isinstance(number, int) and 0 <= number < 10**20:
        text = str(number)
    else:
        return None
    return Decimal(text) if _NUMBER.fullmatch(text) else None
