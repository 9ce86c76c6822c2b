"""What the price list knows of a model besides its price, and whose model a bare name is."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_crashlens.pricing.catalogue import Catalogue
from pytest_crashlens.pricing.model_ids import LOCAL, PRICE_LISTS, normalise, places

MAKERS = ("anthropic", "google", "x-ai", "openai")
"""Whose models are known by name alone; one that resells another's comes behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """None everywhere: the price list does not say."""

    context_window: int | None = None
    """The most input tokens of a call."""
    deprecated: bool | None = None
    """Whether its provider has announced the end of it. Few rows say so, and none says no."""


class ModelDirectory:
    """Looks models up in the price list, which loads with it."""

    def __init__(self) -> None:
        self._catalogue = Catalogue()

    def named(self, text: str) -> tuple[str, str]:
        """Provider and model that ``text`` means: ``azure/gpt-4o``, or ``gpt-4o`` of its maker.

        The provider is empty where nobody is known by that name.
        """
        head, slash, rest = text.partition("/")
        if slash and rest and head.lower() in LOCAL | PRICE_LISTS.keys():
            return head.lower(), rest
        ref, _ = normalise(text)
        for maker in MAKERS:
            row = self._catalogue.find(maker, ref)
            if row is not None and row.match != "prefix":
                return maker, text
        return "", text

    def facts(self, provider: str, model: str) -> ModelFacts:
        """What is known of a provider's model."""
        ref, _ = normalise(model)
        for price_list, name in places(provider, ref):
            row = self._catalogue.find(price_list, name)
            if row is not None and row.match != "prefix":
                return ModelFacts(
                    context_window=row.info.context_window, deprecated=row.info.deprecated
                )
        return ModelFacts()
