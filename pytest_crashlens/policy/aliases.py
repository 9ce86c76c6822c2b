"""What models are called for whom crashlens.yml says that they are another: ``same_as``."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_crashlens.model.call import Call
from pytest_crashlens.pricing.book import UserPrice


def aliases_of(prices: Iterable[UserPrice], provider: str, model: str | None) -> tuple[str, ...]:
    """The model that ``model`` is priced as, by which rules must know it too."""
    if model is None:
        return ()
    found = (one for one in prices if not one.only_multiplies and one.matches(provider, model))
    price = next(found, None)
    if price is None or price.same_as is None:
        return ()
    return price.same_as, price.same_as.partition("/")[2]


def aliases(prices: Iterable[UserPrice], call: Call) -> tuple[str, ...]:
    """Those of the requested and of the returned model."""
    prices = tuple(prices)
    names = dict.fromkeys((call.model_requested, call.model_returned))
    found = (alias for name in names for alias in aliases_of(prices, call.provider, name))
    return tuple(dict.fromkeys(found))
