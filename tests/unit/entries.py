"""Short ways to write calls, cards and entries in tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pytest_crashlens.baseline.entry import Entry, entry_of
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.card import Rate, RateCard


def card(model: str, input_price: str = "1", output_price: str = "2", **more: str) -> RateCard:
    rates = {"input": input_price, "output": output_price, **more}
    return RateCard(
        provider="openai",
        model=model,
        rates={name: Rate(Decimal(price)) for name, price in rates.items()},
        source="test",
    )


CARDS = {
    "small": card("small", "1", "2", cache_read="0.5"),
    "wordy": card("wordy", "0.9", "8"),
    "large": card("large", "10", "20", cache_read="5"),
    "tiered": RateCard(
        provider="openai",
        model="tiered",
        rates={
            "input": Rate(Decimal(1), ((1000, Decimal(2)),)),
            "output": Rate(Decimal(2), ((1000, Decimal(3)),)),
        },
        source="test",
    ),
}
BY_ID = {found.id: found for found in CARDS.values()}


def call(model: str = "small", tokens: tuple[int, int] = (100, 50), **changes: Any) -> Call:
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    usage |= {name: changes.pop(name) for name in list(changes) if name.endswith("_tokens")}
    fields: dict[str, Any] = {
        "provider": "openai",
        "endpoint": "chat",
        "model_requested": model,
        "model_returned": model,
        "usage": Usage(**usage),
        "usage_source": "provider",
    }
    return Call(**(fields | changes))


def card_of(found: Call) -> RateCard | None:
    return CARDS.get(found.model or "")


def entry(*calls: Call) -> Entry:
    return entry_of(calls, card_of)[0]
