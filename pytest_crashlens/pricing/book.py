"""The price book: from a provider's and a model's name to a rate card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from difflib import get_close_matches

from pytest_crashlens.errors import PriceError
from pytest_crashlens.model.money import EXACT, plain_usd
from pytest_crashlens.pricing.card import Rate, RateCard, check_rate_names
from pytest_crashlens.pricing.catalogue import Catalogue, Row, row_rates
from pytest_crashlens.pricing.model_ids import (
    LOCAL,
    PRICE_LISTS,
    normalise,
    places,
    without_revision,
)
from pytest_crashlens.pricing.overlay import load_overlay

_STANDARD_TIERS = frozenset({"", "auto", "default", "on_demand", "standard", "standard_only"})
"""What providers call the tier without surcharge or discount."""


@dataclass(frozen=True, slots=True)
class UserPrice:
    """An entry of ``prices:`` in crashlens.yml; it holds for every service tier.

    Raises:
        PriceError: it states no price, more than one kind of price, or an unknown rate.
    """

    pattern: str
    """``<provider>/<model>`` or ``<model>``, ``*`` stands for anything; dated ids match as well."""
    rates: Mapping[str, Rate] = field(default_factory=dict, hash=False)
    free: bool = False
    same_as: str | None = None
    """``<provider>/<model>`` whose price holds."""
    multiplier: Decimal | None = None
    """What the price is multiplied by that would hold otherwise, or that of ``same_as``."""
    source: str | None = None

    def __post_init__(self) -> None:
        check_rate_names(self.rates, f"prices: {self.pattern!r}")
        ways = [bool(self.rates), self.free, self.same_as is not None].count(True)
        if ways != (0 if self.only_multiplies else 1):
            raise PriceError(
                f"prices: {self.pattern!r}: state exactly one of rates, free: true and same_as, "
                "or a multiplier"
            )
        if self.multiplier is not None and (bool(self.rates) or self.free or self.multiplier <= 0):
            raise PriceError(
                f"prices: {self.pattern!r}: a multiplier is above 0 and has no rates beside it"
            )
        if self.same_as is not None and "/" not in self.same_as:
            raise PriceError(
                f"prices: {self.pattern!r}: same_as must be <provider>/<model>, "
                f"not {self.same_as!r}"
            )

    @property
    def only_multiplies(self) -> bool:
        """Whether another entry or a price list says what is multiplied."""
        return self.multiplier is not None and self.same_as is None

    def matches(self, provider: str, model: str) -> bool:
        """Whether the entry is about this model of this provider."""
        provider = provider.strip().lower()
        ref, _ = normalise(model)
        ids = {model.strip().lower(), ref, without_revision(ref)}
        names = {provider, PRICE_LISTS.get(provider, provider)}
        targets = ids | {f"{name}/{id_}" for name in names for id_ in ids}
        glob = ".*".join(re.escape(part) for part in self.pattern.strip().lower().split("*"))
        return any(re.fullmatch(glob, target) for target in targets)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """There is no price, and why: never zero, never a neighbour's price."""

    reason: str
    nearest: str | None = None
    """A known model of a similar name, for the message."""


@dataclass(frozen=True, slots=True)
class _Query:
    provider: str
    ref: str
    tier: str
    context: Mapping[str, str]
    variant: str | None
    places: tuple[tuple[str, str], ...]


class PriceBook:
    """Finds rate cards: crashlens.yml, then the shipped overlay, then genai-prices.

    Make it outside tests: it imports the price list and reads a file. Looking up does neither.
    """

    def __init__(self, user_prices: Sequence[UserPrice] = (), *, at: datetime) -> None:
        """Load the price lists as they are at the time ``at``.

        Raises:
            ValueError: ``at`` has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError("the time of a price book needs a time zone")
        self._at = at.astimezone(UTC)
        self._user_prices = tuple(user_prices)
        self._overlay = load_overlay()
        self._catalogue = Catalogue()
        self._found: dict[tuple[str, str | None, str | None, bool], RateCard | Unpriced] = {}

    def card(
        self,
        provider: str,
        model: str | None,
        *,
        service_tier: str | None = None,
        batch: bool = False,
    ) -> RateCard | Unpriced:
        """The rate card of a model, or why there is none.

        Args:
            provider: by host (``azure``), or the vendor whose wire format a gateway speaks.
            model: the id as the API spells it, best from the response (aliases move).
            service_tier: as the response states it.
            batch: whether the call was part of a batch.
        """
        key = (provider, model, service_tier, batch)
        if key not in self._found:
            self._found[key] = self._find(provider, model, service_tier, batch, self._user_prices)
        return self._found[key]

    def _find(
        self,
        provider: str,
        model: str | None,
        service_tier: str | None,
        batch: bool,
        user_prices: tuple[UserPrice, ...],
    ) -> RateCard | Unpriced:
        if not model or not model.strip():
            return Unpriced("the call names no model")
        query = _query(provider, model, service_tier, batch)
        for price in user_prices:
            if price.matches(provider, model):
                if price.same_as is None and price.multiplier is None:
                    return _user_card(price, query)
                # Without this entry, so that entries which name each other come to an end.
                others = tuple(
                    other
                    for other in user_prices
                    if other is not price and not (price.only_multiplies and other.only_multiplies)
                )
                named = (price.same_as or f"{provider}/{model}").partition("/")
                card = self._find(named[0], named[2], service_tier, batch, others)
                return card if isinstance(card, Unpriced) else _adjusted(card, price)
        return self._overlay_card(query) or self._catalogue_card(query)

    def _overlay_card(self, query: _Query) -> RateCard | None:
        for price_list, ref in query.places:
            for row in self._overlay:
                # By the name asked for too: Vertex AI and the Gemini API share a price list.
                if any(row.holds(name, ref, self._at) for name in (query.provider, price_list)):
                    return RateCard(
                        provider=query.provider,
                        model=ref,
                        tier=query.tier,
                        rates=row.rates,
                        source=row.source,
                        free=row.free,
                        context_not_priced=query.tier != "standard" and not row.free,
                    )
        return None

    def _catalogue_card(self, query: _Query) -> RateCard | Unpriced:
        held_back: Row | None = None
        for price_list, ref in query.places:
            row = self._catalogue.find(price_list, ref)
            if row is None or row.match == "prefix":
                held_back = held_back or row
                continue
            rates, known, uncounted = row_rates(row, self._at, query.context)
            if not any(rate.base for rate in rates.values()):
                # Nothing is free because a list says 0: that takes an explicit free: true.
                what = f"only {', '.join(uncounted)}" if uncounted else "no price above 0"
                return Unpriced(f"the price list has {what} for {row.model!r}", row.model)
            return RateCard(
                provider=query.provider,
                model=row.model,
                tier=query.tier,
                rates=rates,
                source="genai-prices",
                context_not_priced=query.variant is not None or bool(query.context and not known),
            )
        return self._unpriced(query, held_back)

    def _unpriced(self, query: _Query, held_back: Row | None) -> Unpriced:
        if held_back is not None:
            return Unpriced(
                f"{query.ref!r} only begins like {held_back.model!r}: its price may be another",
                held_back.model,
            )
        if not query.places and (query.provider in LOCAL or query.ref.partition("/")[0] in LOCAL):
            return Unpriced("a server of one's own has no price list")
        names = [name for place, _ in query.places for name in self._catalogue.names(place)]
        near = get_close_matches(query.ref, dict.fromkeys(names), n=1)
        return Unpriced(f"no price list has {query.ref!r}", near[0] if near else None)


def _query(provider: str, model: str, service_tier: str | None, batch: bool) -> _Query:
    ref, variant = normalise(model)
    tier = (service_tier or "").strip().lower().removeprefix("on_demand_")
    batch = batch or tier == "batch"
    context: dict[str, str] = {}
    if tier not in _STANDARD_TIERS and tier != "batch":
        # Anthropic calls its tiers by speed; each list knows one of the two keys.
        context = {"service_tier": tier, "speed": tier}
    parts = [context.get("service_tier"), "batch" if batch else None, variant]
    if batch:
        context["processing"] = "batch"
    return _Query(
        provider=provider.strip().lower(),
        ref=ref,
        tier="+".join(part for part in parts if part) or "standard",
        context=context,
        variant=variant,
        places=tuple(places(provider, ref)),
    )


def _user_card(price: UserPrice, query: _Query) -> RateCard:
    return RateCard(
        provider=query.provider,
        model=query.ref,
        tier=query.tier,
        rates=price.rates,
        source=_source(price),
        free=price.free,
    )


def _adjusted(card: RateCard, price: UserPrice) -> RateCard | Unpriced:
    """The card that ``price`` refers to, as ``price`` changes it."""
    source, factor = _source(price), price.multiplier
    if price.same_as is not None:
        source += f" same as {price.same_as}"
    if factor is None:
        return replace(card, source=source)
    source += f", x {plain_usd(factor)}" + ("" if price.same_as else f" of {card.source}")
    try:
        rates = {name: _times(rate, factor) for name, rate in card.rates.items()}
    except PriceError as error:
        return Unpriced(f"{source}: {error}")
    return replace(card, rates=rates, source=source)


def _times(rate: Rate, factor: Decimal) -> Rate:
    with localcontext(EXACT):
        return Rate(rate.base * factor, tuple((start, usd * factor) for start, usd in rate.above))


def _source(price: UserPrice) -> str:
    return f"crashlens.yml: {price.source}" if price.source else "crashlens.yml"
