"""Rate cards (what one model costs, as plain data) and the cost of usage at a card."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Literal, Self

from pytest_crashlens.errors import PriceError
from pytest_crashlens.model.money import EXACT, plain_usd
from pytest_crashlens.model.usage import Usage

RATE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "input": "input tokens that none of the rates below covers",
        "cache_read": "input tokens read from the prompt cache",
        "cache_write": "input tokens written to the prompt cache (5 minutes, or the only lifetime)",
        "cache_write_1h": "input tokens written to the prompt cache for an hour",
        "input_audio": "audio tokens of the input",
        "cache_audio_read": "audio tokens read from the prompt cache (no count of usage yet)",
        "input_image": "image tokens of the input",
        "cache_image_read": "image tokens read from the prompt cache (no count of usage yet)",
        "output": "output tokens that none of the rates below covers",
        "output_reasoning": "reasoning tokens, for the few models which bill them apart",
        "output_audio": "audio tokens of the output",
        "output_image": "image tokens of the output",
        "web_searches": "searches, USD per 1,000",
        "requests": "calls, USD per 1,000",
    }
)
"""Every rate a card may have; USD per 1,000,000 tokens where nothing else is said."""

_PIECES = frozenset({"web_searches", "requests"})
_PLAIN_NUMBER = re.compile(r"\d{1,9}(\.\d{1,20})?")
_CARD_KEYS = frozenset(
    {"provider", "model", "tier", "rates", "source", "free", "context_not_priced"}
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A price in USD: per 1,000,000 tokens, or per 1,000 searches or requests.

    Raises:
        PriceError: a price is no Decimal in range, or the thresholds do not ascend.
    """

    base: Decimal
    above: tuple[tuple[int, Decimal], ...] = ()
    """(threshold, price): the price of all tokens of a call whose input exceeds the threshold."""

    def __post_init__(self) -> None:
        for price in (self.base, *(price for _, price in self.above)):
            if not _is_price(price):
                raise PriceError(f"a price must be a Decimal from 0 to 999999999, not {price!r}")
        starts = [start for start, _ in self.above]
        if any(type(start) is not int or start <= 0 for start in starts):
            raise PriceError(f"thresholds must be positive whole numbers, not {starts!r}")
        if starts != sorted(set(starts)):
            raise PriceError(f"thresholds must ascend, not {starts!r}")

    def at(self, band: int) -> Decimal:
        """The price in ``band``: the largest threshold the call's input exceeded, 0 if none."""
        price = self.base
        for start, higher in self.above:
            if band >= start:
                price = higher
        return price

    def to_plain(self) -> Any:
        """The price as a string, or a mapping with ``base`` and ``above``."""
        if not self.above:
            return plain_usd(self.base)
        above = [[start, plain_usd(price)] for start, price in self.above]
        return {"base": plain_usd(self.base), "above": above}

    @classmethod
    def from_plain(cls, plain: Any, where: str = "rate") -> Self:
        """The inverse of :meth:`to_plain`.

        Raises:
            PriceError: naming ``where`` and what is wrong there.
        """
        if not isinstance(plain, Mapping):
            return cls(_price(plain, where))
        _refuse_unknown(plain, {"base", "above"}, where)
        base = _price(plain.get("base"), f"{where}.base")
        steps = plain.get("above", [])
        if not isinstance(steps, list) or not all(_is_pair(step) for step in steps):
            raise PriceError(f"{where}.above: expected a list of [threshold, price] pairs")
        above = tuple((start, _price(price, f"{where}.above")) for start, price in steps)
        try:
            return cls(base, above)
        except PriceError as error:
            raise PriceError(f"{where}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """All rates of one model at one provider and service tier."""

    provider: str
    model: str
    """The price list's own name of the model: dated ids of one price share a card."""
    tier: str = "standard"
    """The service tier or processing the card is for: ``batch``, ``flex``, ``priority`` ..."""
    rates: Mapping[str, Rate] = field(hash=False)
    """By the names of ``RATE_NAMES``."""
    source: str
    free: bool = False
    context_not_priced: bool = False
    """The price list does not know ``tier``: these are the standard rates, the cost is partial."""
    id: str = field(init=False, repr=False, compare=False)
    """Twelve hex digits of what is charged; not of where that was read."""

    def __post_init__(self) -> None:
        check_rate_names(self.rates, f"{self.provider}/{self.model}")
        object.__setattr__(self, "id", self._id())  # once: every call asks for it

    def _id(self) -> str:
        content = {
            "provider": self.provider,
            "model": self.model,
            "tier": self.tier,
            "rates": {name: rate.to_plain() for name, rate in self.rates.items()},
            "free": self.free,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def band(self, input_tokens: int | None) -> int:
        """The largest threshold of any rate that ``input_tokens`` exceeds; 0 if none."""
        starts = (start for rate in self.rates.values() for start, _ in rate.above)
        return max((start for start in starts if (input_tokens or 0) > start), default=0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, prices as plain strings; what has its default value is left out.

        A price is one line of the file: ``"input": "3"``, ``"input above 200000": "6"``.
        """
        plain: dict[str, Any] = {
            "provider": self.provider,
            "model": self.model,
            "rates": _one_line_each(self.rates),
            "source": self.source,
        }
        if self.tier != "standard":
            plain["tier"] = self.tier
        if self.free:
            plain["free"] = True
        if self.context_not_priced:
            plain["context_not_priced"] = True
        return plain

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """The inverse of :meth:`to_dict`.

        Raises:
            PriceError: saying which field is wrong.
        """
        if not isinstance(plain, Mapping):
            raise PriceError(f"rate card: expected a mapping, not {type(plain).__name__}")
        _refuse_unknown(plain, _CARD_KEYS, "rate card")
        texts = {"tier": "standard", **plain}
        for key in ("provider", "model", "tier", "source"):
            if not isinstance(texts.get(key), str):
                raise PriceError(f"rate card.{key}: expected a string, not {texts.get(key)!r}")
        for key in ("free", "context_not_priced"):
            if not isinstance(plain.get(key, False), bool):
                raise PriceError(f"rate card.{key}: expected true or false, not {plain[key]!r}")
        rates = _nested(plain.get("rates"), "rate card.rates")
        return cls(**{**plain, "rates": rates_from_plain(rates, "rate card.rates")})


@dataclass(frozen=True, slots=True)
class Cost:
    """What usage costs, and how sure that is."""

    usd: Decimal | None
    """None: not known. A lower bound where the status is ``partial``."""
    status: Literal["priced", "partial", "unpriced"]
    reasons: tuple[str, ...] = ()
    """Why it is not simply priced, naming the dimension; also substitutions that were allowed."""


def cost(card: RateCard | None, usage: Usage, *, band: int | None = None, calls: int = 1) -> Cost:
    """The cost of ``usage`` at ``card``.

    Args:
        card: None where there is no price.
        usage: of one call, or the sum of several calls of one band.
        band: the price band (:meth:`RateCard.band`); by default that of ``usage.input_tokens``.
        calls: how many calls ``usage`` sums, for cards with a fee per request.
    """
    if card is None:
        return Cost(None, "unpriced", ("no price is known for the model",))
    if card.free:
        return Cost(Decimal(0), "priced")
    if not usage.stated:
        return Cost(None, "unpriced", ("no usage is stated",))
    with localcontext(EXACT):
        bill = _Bill(card, card.band(usage.input_tokens) if band is None else band)
        bill.add_input(usage)
        bill.add_output(usage)
        bill.add("web_searches", usage.web_searches or 0)
        if "requests" in card.rates:
            bill.add("requests", calls)
        return bill.result(usage)


class _Bill:
    """The lines of one cost as they are added up."""

    def __init__(self, card: RateCard, band: int) -> None:
        self.card = card
        self.band = band
        self.usd = Decimal(0)
        self.lines = 0
        self.gaps: list[str] = []
        self.substitutions: list[str] = []

    def add(self, dimension: str, count: int, substitute: str | None = None) -> None:
        """Charge ``count`` at the rate of ``dimension``, or at its substitute's where allowed.

        A count of 0 or less (of contradictory usage) charges nothing.
        """
        if count <= 0:
            return
        rate = self.card.rates.get(dimension)
        if rate is None and substitute is not None and substitute in self.card.rates:
            rate = self.card.rates[substitute]
            self.substitutions.append(f"{dimension} has no rate: priced as {substitute}")
        if rate is None:
            self.gaps.append(f"no rate for {dimension}")
            return
        self.usd += rate.at(self.band) * count / (1_000 if dimension in _PIECES else 1_000_000)
        self.lines += 1

    def add_input(self, usage: Usage) -> None:
        """Charge the input, each token once: partitions are taken out of the total.

        Billed units, where they are stated, are the whole bill.
        """
        if usage.billed_input_tokens is not None:
            self.add("input", usage.billed_input_tokens)
            return
        reads = usage.cache_read_tokens or 0
        hour = usage.cache_write_1h_tokens or 0
        # A stated split may contradict the stated total: the larger one holds.
        writes = max(usage.cache_write_tokens or 0, (usage.cache_write_5m_tokens or 0) + hour)
        audio = usage.input_audio_tokens or 0
        images = usage.input_image_tokens or 0
        parts = reads + writes + audio + images
        self.add("input", self._rest("input", usage.input_tokens, parts))
        # Where the price list has no cache rate the full input price is an upper bound.
        self.add("cache_read", reads, "input")
        self.add("cache_write", writes - hour, "input")
        self.add("cache_write_1h", hour)
        self.add("input_audio", audio)
        self.add("input_image", images)

    def add_output(self, usage: Usage) -> None:
        """Charge the output; reasoning is inside it and is billed as output."""
        if usage.billed_output_tokens is not None:
            self.add("output", usage.billed_output_tokens)
            return
        audio = usage.output_audio_tokens or 0
        images = usage.output_image_tokens or 0
        reasoning = usage.reasoning_tokens or 0
        total = usage.output_tokens
        thinking = reasoning if "output_reasoning" in self.card.rates else 0
        if total is not None and reasoning > total:
            self.gaps.append("reasoning_tokens exceed output_tokens")
        self.add("output", self._rest("output", total, audio + images + thinking))
        self.add("output_audio", audio)
        self.add("output_image", images)
        self.add("output_reasoning", thinking)

    def _rest(self, side: str, total: int | None, partitions: int) -> int:
        """Tokens of ``side`` outside its partitions; what contradicts itself is a gap."""
        if total is None:
            if side in self.card.rates:
                self.gaps.append(f"{side}_tokens not stated")
            return 0
        if partitions > total:
            self.gaps.append(f"the parts of {side}_tokens exceed {side}_tokens")
        return total - partitions

    def result(self, usage: Usage) -> Cost:
        """The cost, with everything that keeps it from being simply priced."""
        if any(count < 0 for count in usage.to_dict().values()):
            self.gaps.append("a stated count is negative")
        if self.gaps and not self.lines:
            return Cost(None, "unpriced", tuple(self.gaps))
        if self.card.context_not_priced:
            self.gaps.append(
                f"context_not_priced: no rates are known for {self.card.tier!r}, "
                "the standard ones were used"
            )
        reasons = (*self.gaps, *self.substitutions)
        return Cost(self.usd, "partial" if self.gaps else "priced", reasons)


def _one_line_each(rates: Mapping[str, Rate]) -> dict[str, str]:
    lines = {}
    for name in sorted(rates):
        lines[name] = plain_usd(rates[name].base)
        for start, price in rates[name].above:
            lines[f"{name} above {start}"] = plain_usd(price)
    return lines


def _nested(lines: Any, where: str) -> dict[str, Any]:
    """The inverse of :func:`_one_line_each`, up to the form of :meth:`Rate.to_plain`."""
    if not isinstance(lines, Mapping):
        raise PriceError(f"{where}: expected a mapping of rates, not {lines!r}")
    above: dict[str, list[Any]] = {}
    for line, price in lines.items():
        name, found, start = line.partition(" above ")
        if found:
            if not start.isdecimal() or name not in lines:
                raise PriceError(f"{where}: {line!r} is no threshold of a rate")
            above.setdefault(name, []).append([int(start), price])
    return {
        name: (
            {"base": price, "above": sorted(above[name], key=itemgetter(0))}
            if name in above
            else price
        )
        for name, price in lines.items()
        if " above " not in name
    }


def rates_from_plain(plain: Any, where: str) -> dict[str, Rate]:
    """Rates by name from their JSON form (see :meth:`Rate.to_plain`).

    Raises:
        PriceError: naming the field below ``where`` that is wrong.
    """
    if not isinstance(plain, Mapping):
        raise PriceError(f"{where}: expected a mapping of rates, not {plain!r}")
    check_rate_names(plain, where)
    return {name: Rate.from_plain(value, f"{where}.{name}") for name, value in plain.items()}


def check_rate_names(rates: Mapping[str, Any], where: str) -> None:
    """Raise PriceError unless every key is one of ``RATE_NAMES``."""
    _refuse_unknown(rates, set(RATE_NAMES), where)


def _refuse_unknown(plain: Mapping[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    unknown = [key for key in plain if key not in known]
    if unknown:
        expected = ", ".join(sorted(known))
        raise PriceError(f"{where}: unknown key {unknown[0]!r}; expected one of: {expected}")


def _price(value: Any, where: str) -> Decimal:
    if not isinstance(value, str) or not _PLAIN_NUMBER.fullmatch(value):
        raise PriceError(
            f'{where}: expected a price in USD as a plain string such as "2.50", not {value!r}'
        )
    return Decimal(value)


def _is_price(value: Any) -> bool:
    """A Decimal from 0 to 999999999 with at most 20 decimals: exact in all arithmetic here."""
    if not isinstance(value, Decimal) or not value.is_finite() or value.is_signed():
        return False
    exponent = value.as_tuple().exponent
    return value.adjusted() <= 8 and isinstance(exponent, int) and exponent >= -20


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2
