"""The prices and models that ``crashlens simulate`` works with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pytest_crashlens.baseline.entry import Block, Entry
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.model_names import matches_model
from pytest_crashlens.pricing.book import PriceBook, Unpriced
from pytest_crashlens.pricing.card import RateCard
from pytest_crashlens.pricing.model_facts import ModelDirectory, ModelFacts


class Prices:
    """Today's, with those of crashlens.yml."""

    def __init__(self, config: Config) -> None:
        self._book = PriceBook(config.prices, at=datetime.now(UTC))
        self._directory = ModelDirectory()

    def named(self, name: str) -> tuple[str, str]:
        """Provider and model of a name as users and policies write it."""
        return self._directory.named(name.strip())

    def card_of(self, name: str) -> RateCard | None:
        """The rate card of such a name."""
        return self.card_at(*self.named(name), None, False)

    def card_at(
        self, provider: str, model: str, service_tier: str | None, batch: bool
    ) -> RateCard | None:
        """The rate card of a provider's model."""
        found = self._book.card(provider, model, service_tier=service_tier, batch=batch)
        return None if isinstance(found, Unpriced) else found

    def facts(self, provider: str, model: str) -> ModelFacts:
        """What else the price list knows of it."""
        return self._directory.facts(provider, model)


def blocks_of(entries: Iterable[Entry], name: str | None) -> list[Block]:
    """The blocks of calls to a model, or of all."""
    return [
        block
        for entry in entries
        for block in entry.blocks
        if name is None
        or matches_model(name, block.kind.model)
        or matches_model(name, f"{block.kind.provider}/{block.kind.model}")
    ]
