"""Reads ``prices:``, what the user pays where no price list can know it."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase

from pytest_crashlens.errors import PriceError
from pytest_crashlens.policy.document import Section
from pytest_crashlens.policy.field import Field
from pytest_crashlens.policy.model_names import is_glob
from pytest_crashlens.pricing.book import UserPrice
from pytest_crashlens.pricing.card import RATE_NAMES, Rate

PRICE_KEYS = (*RATE_NAMES, "free", "same_as", "multiplier", "source")


def read_prices(given: Field) -> tuple[UserPrice, ...]:
    """The prices in their order (the first match counts); what is wrong with them is noted."""
    prices: list[UserPrice] = []
    for key, field in given.entries() or ():
        pattern = key.text.strip()
        if not pattern or not pattern.isprintable() or " " in pattern:
            field.error('expected a model such as "acme/small" or "acme/*"')
        price = _read_price(field, pattern)
        multiplies = price is not None and price.only_multiplies
        shadow = next(
            # one that only multiplies leaves it to those below what is multiplied
            (p for p in prices if p.only_multiplies <= multiplies and _shadows(p.pattern, pattern)),
            None,
        )
        if shadow is not None:
            above = f'because "{shadow.pattern}" above matches first'
            field.error(f"is never used, {above}; move it up")
        if price is not None:
            prices.append(price)
    return tuple(prices)


def _shadows(earlier: str, later: str) -> bool:
    earlier, later = earlier.lower(), later.lower()
    return not is_glob(later) and fnmatchcase(later, earlier)


def _read_price(given: Field, pattern: str) -> UserPrice | None:
    fields = given.fields(PRICE_KEYS)
    free = fields["free"].flag() if "free" in fields else None
    if free is False:
        fields["free"].error("false says nothing; remove it")
    same_as = (
        fields["same_as"].text(pattern=r"[^/\s]+/\S+", example="azure/gpt-4o")
        if "same_as" in fields
        else None
    )
    if same_as == pattern:
        fields["same_as"].error("names itself; name the model whose price holds")
    multiplier = fields["multiplier"].factor() if "multiplier" in fields else None
    ways: list[str] = [key for key in ("free", "same_as") if key in fields]
    ways += ["rates"] if any(key in fields for key in RATE_NAMES) else []
    if "multiplier" in fields and {"free", "rates"} & set(ways):
        fields["multiplier"].error(
            "is for list prices: alone, or with same_as; write the rates themselves, or remove it"
        )
    elif fields and len(ways) != 1 and not (ways == [] and "multiplier" in fields):
        found = f"found {' and '.join(ways)}" if ways else "found none"
        given.error(
            f"expected one of rates (input: ...), free: true, same_as or multiplier, {found}"
        )
    rates = {key: _read_rate(fields[key], key) for key in RATE_NAMES if key in fields}
    source = fields["source"].text() if "source" in fields else None
    try:
        return UserPrice(
            pattern=pattern,
            rates={key: rate for key, rate in rates.items() if rate is not None},
            free=free is True,
            same_as=same_as,
            multiplier=multiplier,
            source=source,
        )
    except PriceError as error:
        if not given.problems.errors:  # else it is the consequence of what was noted
            given.error(str(error))
        return None


def _read_rate(given: Field, key: str) -> Rate | None:
    if not isinstance(given.node, Section):
        base = given.usd()
        above: tuple[tuple[int, Decimal], ...] = ()
    else:
        fields = given.fields(("base", "above"), required=("base", "above"))
        base = fields["base"].usd() if "base" in fields else None
        above = _read_tiers(fields["above"]) if "above" in fields else ()
    if base is None:
        return None
    if key == "input" and not base:
        given.error("0 would make every call free; if it is, write free: true instead of rates")
    try:
        return Rate(base=base, above=above)
    except PriceError as error:
        given.error(str(error))
        return None


def _read_tiers(given: Field) -> tuple[tuple[int, Decimal], ...]:
    tiers: list[tuple[int, Decimal]] = []
    for tier in given.each():
        pair = tier.each()
        if len(pair) != 2:
            tier.error('expected [tokens, price], such as [200000, "2.50"]')
            continue
        tokens, price = pair[0].whole(minimum=1), pair[1].usd()
        if tokens is None or price is None:
            continue
        if tiers and tokens <= tiers[-1][0]:
            pair[0].error(f"expected more than the {tiers[-1][0]} before it; sort them upwards")
        else:
            tiers.append((tokens, price))
    return tuple(tiers)
