"""Which models have a price today, by the names that users and policies give them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase

from pytest_crashlens.pricing.book import PriceBook, Unpriced, UserPrice
from pytest_crashlens.pricing.card import RateCard
from pytest_crashlens.pricing.catalogue import Catalogue
from pytest_crashlens.pricing.model_facts import ModelDirectory
from pytest_crashlens.pricing.model_ids import PRICE_LISTS


class Listed:
    """The price lists and the prices of crashlens.yml; they load with it."""

    def __init__(self, prices: Sequence[UserPrice] = ()) -> None:
        self._prices = [price for price in prices if not price.only_multiplies]
        self._book = PriceBook(prices, at=datetime.now(UTC))
        self._directory = ModelDirectory()
        catalogue = Catalogue()
        lists = sorted(set(PRICE_LISTS.values()))
        self._names = {name: sorted({n.lower() for n in catalogue.names(name)}) for name in lists}

    def card(self, name: str) -> RateCard | Unpriced:
        """The card of a model, be its provider named or not."""
        return self._book.card(*self._directory.named(name.strip()))

    def deprecated(self, name: str) -> bool:
        """Whether its provider has announced the end of it, as far as the price list knows."""
        return self._directory.facts(*self._directory.named(name.strip())).deprecated is True

    def knows(self, pattern: str) -> bool:
        """Whether a model, or one that a glob means, is in any price list or in crashlens.yml."""
        pattern = pattern.strip().lower()
        if pattern in ("all", "*") or isinstance(self.card(pattern), RateCard):
            return True
        own = [price.pattern.strip().lower() for price in self._prices]
        if any(fnmatchcase(one, pattern) or fnmatchcase(pattern, one) for one in own):
            return True
        return any(
            fnmatchcase(name, pattern) or fnmatchcase(f"{price_list}/{name}", pattern)
            for price_list, names in self._names.items()
            for name in names
        )

    def nearest(self, name: str) -> str | None:
        """A listed model of a similar name."""
        head, slash, rest = name.strip().lower().rpartition("/")
        names = [*self._names["openai"], *self._names["anthropic"], *self._names["google"]]
        names += [one for listed in self._names.values() for one in listed]
        near = get_close_matches(rest, dict.fromkeys(names), n=1, cutoff=0.75)
        return f"{head}{slash}{near[0]}" if near and near[0] != rest else None
