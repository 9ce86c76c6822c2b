"""What one request has cost, and what it is going to cost at least."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Protocol

from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.model.usage import EXACT_SOURCES
from pytest_crashlens.pricing.book import Unpriced
from pytest_crashlens.pricing.card import RateCard, cost
from pytest_crashlens.providers import registry
from pytest_crashlens.providers.calls import Counter
from pytest_crashlens.providers.hosts import provider_of
from pytest_crashlens.providers.reading import WireFormat

Read = Callable[[Iterable[Exchange]], Sequence[Call]]

_PROMPT = (
    "system",
    "system_instruction",
    "systemInstruction",
    "instructions",
    "messages",
    "input",
    "inputs",
    "inputText",
    "prompt",
    "contents",
    "content",
    "requests",
    "message",
    "texts",
)
"""Keys of a request below which its prompt stands."""
_INSIDE = ("content", "parts", "text")
"""Keys below those; what else stands there (media, tools) may cost less than its size says."""
_MOST_TEXTS = 100_000
_TIERS = (None, "flex")
"""Service tiers that a request may end up with, for all that is known before its answer."""


@dataclass(slots=True)
class Least:
    """What a request costs at least, computed no more exactly than is needed."""

    most: Decimal
    """USD that its lower bound cannot exceed: a token is a byte or more."""
    unpriced: str | None = None
    """Why nobody can say what it costs; None: it has a price."""
    texts: Sequence[str] = ()
    """What is counted for it."""
    model: str | None = None
    rate: Decimal = Decimal(0)
    """USD of a token."""
    fee: Decimal = Decimal(0)
    """USD of the request."""
    usd: Decimal | None = None
    """The lower bound, once it was asked for."""


class Book(Protocol):
    """Where prices stand."""

    def card(
        self,
        provider: str,
        model: str | None,
        *,
        service_tier: str | None = None,
        batch: bool = False,
    ) -> RateCard | Unpriced:
        """The price of a model."""


class Meter:
    """Prices requests from memory alone; make it outside tests."""

    def __init__(
        self, book: Book, read: Read, counter: Counter, formats: Sequence[WireFormat]
    ) -> None:
        self._book = book
        self._read = read
        self._counter = counter
        self._formats = formats
        self._rates: dict[tuple[str, str | None], tuple[Decimal, Decimal] | str] = {}

    def least(self, exchange: Exchange) -> Least:
        """Of a request that is about to be sent."""
        identified = registry.identify(exchange, formats=self._formats)
        if identified is None:
            if exchange.request_body:
                return Least(Decimal(0))  # no call
            return Least(Decimal(0), unpriced="its body is not at hand, so its model is not known")
        known, request = identified
        if request.free:
            return Least(Decimal(0))
        found = self._rate(provider_of(exchange.host, known.family), request.model)
        if isinstance(found, str):
            return Least(Decimal(0), unpriced=found)
        rate, fee = found
        texts = [
            text for key in _PROMPT if key in request.body for text in _texts(request.body[key])
        ]
        with localcontext(EXACT):
            most = sum(len(text.encode(errors="replace")) for text in texts) * rate + fee
        return Least(most, texts=texts, model=request.model, rate=rate, fee=fee)

    def count(self, least: Least) -> Decimal:
        """The lower bound itself, in USD."""
        if least.usd is None:
            tokens = (
                sum(self._tokens(text, least.model) for text in least.texts) if least.rate else 0
            )
            with localcontext(EXACT):
                least.usd = tokens * least.rate + least.fee
            least.texts = ()
        return least.usd

    def spent(self, exchange: Exchange, least: Least | None) -> Decimal:
        """USD that a request which went out has cost; where that is not known, ``least``."""
        usd = Decimal(0)
        for call in self._read([exchange]):
            known = self.cost(call)
            if known is None and least is not None:
                known = self.count(least)
            with localcontext(EXACT):
                usd += known or 0
        return usd

    def cost(self, call: Call) -> Decimal | None:
        """USD of a call; None: it may have cost something, and nobody knows what."""
        if not call.billed:
            return Decimal(0)
        if call.usage_unknown:
            return None
        for model in (call.model, call.model_requested):
            card = self._book.card(
                call.provider, model, service_tier=call.service_tier, batch=call.batch
            )
            if not isinstance(card, Unpriced):
                return cost(card, call.usage).usd
        return None

    def _tokens(self, text: str, model: str | None) -> int:
        count = self._counter.text(text, model)
        # an estimate may be too high by some percent, and this must not be
        exact = count.source == "tokenizer" or count.source in EXACT_SOURCES
        return count.tokens if exact else count.tokens // 2

    def _rate(self, provider: str, model: str | None) -> tuple[Decimal, Decimal] | str:
        """USD of the cheapest input token and of the request; or why there is no price."""
        key = provider, model
        if key not in self._rates:
            self._rates[key] = self._find(provider, model)
        return self._rates[key]

    def _find(self, provider: str, model: str | None) -> tuple[Decimal, Decimal] | str:
        cards: list[RateCard] = []
        for tier in _TIERS:
            card = self._book.card(provider, model, service_tier=tier)
            if not isinstance(card, Unpriced):
                cards.append(card)
            elif tier is None:
                return card.reason
        with localcontext(EXACT):
            return (
                min(_cheapest(card, ("input", "cache_read")) for card in cards) / 1_000_000,
                min(_cheapest(card, ("requests",)) for card in cards) / 1_000,
            )


def _cheapest(card: RateCard, names: Sequence[str]) -> Decimal:
    """The lowest price among the rates; 0 where the first is none of the card's."""
    if card.free or names[0] not in card.rates:
        return Decimal(0)
    rates = [card.rates[name] for name in names if name in card.rates]
    return min(usd for rate in rates for usd in (rate.base, *(higher for _, higher in rate.above)))


def _texts(value: Any) -> Iterator[str]:
    """The prompt's texts below ``value``; without recursion, bounded."""
    waiting = [value]
    for _ in range(_MOST_TEXTS):
        if not waiting:
            return
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting.extend(item[key] for key in _INSIDE if key in item)
        elif isinstance(item, list | tuple):
            waiting.extend(item)
