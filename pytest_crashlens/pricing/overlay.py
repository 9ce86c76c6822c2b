"""The shipped corrections: rows which the price list has wrong, each with source and dates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from pytest_crashlens.errors import PriceError
from pytest_crashlens.pricing.card import Rate, rates_from_plain

_KEYS = frozenset(
    {"providers", "models", "from", "until", "rates", "free", "source", "as_of", "note"}
)


@dataclass(frozen=True, slots=True)
class OverlayRow:
    """Prices of some models for some time (``starts`` inclusive, ``ends`` exclusive)."""

    providers: frozenset[str]
    models: frozenset[str]
    rates: Mapping[str, Rate]
    free: bool
    source: str
    starts: datetime | None = None
    ends: datetime | None = None

    def holds(self, provider: str, model: str, at: datetime) -> bool:
        """Whether the row is about this model of this provider at this time."""
        if provider not in self.providers or model not in self.models:
            return False
        return (self.starts is None or self.starts <= at) and (self.ends is None or at < self.ends)


def load_overlay() -> tuple[OverlayRow, ...]:
    """The rows of ``overlay.json`` in this package.

    Raises:
        PriceError: the file says something we cannot read.
    """
    text = files("pytest_crashlens.pricing").joinpath("overlay.json").read_text(encoding="utf-8")
    return overlay_from_plain(json.loads(text))


def overlay_from_plain(plain: Any) -> tuple[OverlayRow, ...]:
    """Overlay rows from their JSON form.

    Raises:
        PriceError: naming the row and the field.
    """
    try:
        rows = enumerate(plain["rows"])
        return tuple(_row(row, f"overlay row {number}") for number, row in rows)
    except (KeyError, TypeError, ValueError) as error:
        raise PriceError(f"overlay: {error!r}") from error


def _row(plain: Mapping[str, Any], where: str) -> OverlayRow:
    if unknown := plain.keys() - _KEYS:
        raise PriceError(f"{where}: unknown keys {sorted(unknown)}")
    free = plain.get("free") is True
    rates = rates_from_plain(plain.get("rates", {}), f"{where}.rates")
    if free == bool(rates):
        raise PriceError(f"{where}: exactly one of rates and free is needed")
    return OverlayRow(
        providers=frozenset(plain["providers"]),
        models=frozenset(plain["models"]),
        rates=rates,
        free=free,
        source=f"overlay: {plain['source']} ({plain['as_of']})",
        starts=_time(plain.get("from")),
        ends=_time(plain.get("until")),
    )


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
