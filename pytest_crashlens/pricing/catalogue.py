"""genai-prices behind our own matching: rows by exact or dated name, at an explicit time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pytest_crashlens.pricing.card import RATE_NAMES, Rate
from pytest_crashlens.pricing.model_ids import Match, classify

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

_COMPACT_DATE = re.compile(r"-(20\d{2})(\d{2})(\d{2})$")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the price list that matches an id."""

    model: str
    match: Match
    info: ModelInfo
    own: bool
    """False: another provider's row, used because this one resells it."""


class Catalogue:
    """The bundled tables of genai-prices.

    It reads them itself instead of asking the library's functions: those follow the clock, the
    global decimal context and a process-wide snapshot that the code under test may replace, and
    they take the first row that matches, be it only by prefix.
    """

    def __init__(self) -> None:
        from genai_prices.data import providers

        self._providers: dict[str, Provider] = {provider.id: provider for provider in providers}

    def find(self, price_list: str, ref: str) -> Row | None:
        """The best row for the id ``ref`` (lower case); a ``prefix`` row if there is no better."""
        found: Row | None = None
        for spelling in dict.fromkeys((ref, _COMPACT_DATE.sub(r"-\1-\2-\3", ref))):
            for row in self._matches(price_list, spelling):
                if row.match == "exact":
                    return row
                if found is None or (row.match == "dated" and found.match == "prefix"):
                    found = row
        return found

    def names(self, price_list: str) -> list[str]:
        """The names of all models in a price list, for suggestions."""
        return [info.id for provider in self._lists(price_list) for info in provider.models]

    def _lists(self, price_list: str) -> Iterator[Provider]:
        provider = self._providers.get(price_list)
        if provider is not None:
            yield provider
            for other in provider.fallback_model_providers or ():
                yield self._providers[other]

    def _matches(self, price_list: str, ref: str) -> Iterator[Row]:
        for provider in self._lists(price_list):
            if provider.id == "openai" and ref.startswith("gpt-oss"):
                continue  # open weights: OpenAI sells no calls to them
            for info in provider.models:
                match = classify(info.match, ref, info.id)
                if match:
                    yield Row(info.id, match, info, own=provider.id == price_list)


def row_rates(
    row: Row, at: datetime, context: Mapping[str, str]
) -> tuple[dict[str, Rate], bool, list[str]]:
    """The rates of ``row`` at the time ``at`` in a request context.

    Returns:
        the rates by our names; whether ``context`` made a difference (a context that matches
        nothing is silently the standard price); the list's dimensions that we cannot count.
    """
    standard = row.info.get_prices(at, None)
    prices = row.info.get_prices(at, context) if context and row.own else standard
    rates: dict[str, Rate] = {}
    uncounted: list[str] = []
    for key, price in vars(prices).items():
        name = _rate_name(key)
        if price is not None and name is None:
            uncounted.append(key)
        elif price is not None and name is not None:
            rates[name] = _rate(price)
    if row.info.id.startswith("gemini") and "input" in rates:
        # Google prices "text / image / video" input as one: https://ai.google.dev/gemini-api/docs/pricing
        rates.setdefault("input_image", rates["input"])
    return rates, _charges(prices) != _charges(standard), uncounted


def _charges(prices: ModelPrice) -> dict[str, Any]:
    return {key: price for key, price in vars(prices).items() if price is not None}


def _rate(price: Any) -> Rate:
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return Rate(price)
    return Rate(price.base, tuple((tier.start, tier.price) for tier in tiers))


def _rate_name(key: str) -> str | None:
    """Our name of a price key (``input_mtok``, ``web_searches_kcount``); None: not countable."""
    name = key.removesuffix("_mtok").removesuffix("_kcount")
    return name if name in RATE_NAMES and name != key else None
