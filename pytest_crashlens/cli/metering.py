"""Recordings -> calls, costs and their sums; holds nothing that grows with the traffic."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, localcontext
from hashlib import blake2b
from typing import Self

from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.model.usage import EXACT_SOURCES, Usage
from pytest_crashlens.pricing.book import PriceBook, Unpriced
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.pricing.card import cost as cost_at
from pytest_crashlens.providers.calls import Counter, read_calls
from pytest_crashlens.providers.retries import group
from pytest_crashlens.recordings.recording import Recording, Unreadable

UNNAMED_MODEL = "(no model named)"
_NO_KEY = b""
"""Fingerprints mean nothing here and are not shown."""

_TOLERANCE = Decimal("0.01")
"""A stated cost and ours that are nearer to each other than this do not differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """A recording and what it used; ``call`` and ``cost`` are None where it is no LLM call."""

    recording: Recording
    call: Call | None = None
    cost: Cost | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        found = list(self.recording.notes)
        if self.call is not None:
            if self.call.error:
                found.append(f"error: {self.call.error}")
            if self.call.note:
                found.append(self.call.note)
        if self.cost is not None:
            found += self.cost.reasons
        if self.stated is not None and self.stated.differs:
            found.append(f"stated cost differs: {self.stated.difference}")
        return tuple(dict.fromkeys(found))

    @property
    def stated(self) -> StatedCost | None:
        """The cost that the answer itself states, beside ours.

        0 is no statement: gateways write it for what they do not know or do not charge.
        """
        usd = Decimal(self.call.stated_cost_usd or 0) if self.call is not None else Decimal(0)
        if not usd or self.cost is None:
            return None
        known = self.cost.status == "priced" and self.cost.usd
        return StatedCost(usd, self.cost.usd if known else None)


@dataclass(frozen=True, slots=True)
class StatedCost:
    """What an answer says it costs, in USD, and what it costs by our prices."""

    usd: Decimal
    ours: Decimal | None
    """None: unknown, known only in part, or nothing."""

    @property
    def differs(self) -> bool:
        """Whether ours is further from the stated cost than rounding explains."""
        with localcontext(EXACT):
            return abs(self._ratio - 1) > _TOLERANCE

    @property
    def difference(self) -> str:
        """For people: ``ours is 12.5 % less``."""
        with localcontext(EXACT):
            percent = (self._ratio - 1) * 100
            return f"ours is {abs(percent):,.1f} % {'less' if percent < 0 else 'more'}"

    @property
    def _ratio(self) -> Decimal:
        with localcontext(EXACT):
            return Decimal(1) if self.ours is None else self.ours / self.usd


class Meter:
    """Reads, counts and prices one recording after the other."""

    def __init__(self, counter: Counter, book: PriceBook) -> None:
        self._counter = counter
        self._book = book

    @classmethod
    def load(cls, *, at: datetime) -> Self:
        """With the price lists as they are at the time ``at``."""
        from pytest_crashlens.tokens.counting import TokenCounter

        return cls(TokenCounter.load(), PriceBook(at=at))

    def measure(self, recording: Recording) -> Metered | Unreadable:
        """What ``recording`` used; a fault of ours is named and costs no other recording."""
        try:
            calls = read_calls([recording.exchange], count=self._counter, fingerprint_key=_NO_KEY)
            if not calls:
                return Metered(recording=recording)
            return Metered(recording=recording, call=calls[0], cost=self._cost(calls[0]))
        except Exception as fault:
            return Unreadable(
                recording.source,
                f"exchange {recording.index + 1} could not be measured ({type(fault).__name__})",
            )

    def _cost(self, call: Call) -> Cost:
        if not call.billed:
            return Cost(Decimal(0), "priced", ("not billed",))
        if call.usage_unknown and not call.usage.stated:
            return Cost(None, "unpriced", ("its usage is unknown",))
        card = self._book.card(
            call.provider, call.model, service_tier=call.service_tier, batch=call.batch
        )
        if isinstance(card, Unpriced):
            near = f" (the nearest name is {card.nearest!r})" if card.nearest else ""
            return Cost(None, "unpriced", (f"{card.reason}{near}",))
        return cost_at(card, call.usage)


@dataclass(slots=True)
class Sums:
    """What the calls to one model used, or all calls."""

    attempts: int = 0
    retries: int = 0
    refused: int = 0
    """Attempts which were not billed: errors, and what never arrived."""
    usage: Usage = field(default_factory=Usage)
    estimated: bool = False
    """Some tokens were counted here and not stated by the provider."""
    unknown: int = 0
    """Billed calls whose tokens nobody knows, at least in part."""
    usd: Decimal = Decimal(0)
    unpriced: int = 0
    """Calls that have no price."""
    partial: int = 0
    """Calls of which only a part has a price."""

    @property
    def calls(self) -> int:
        """Calls, however many attempts each took."""
        return self.attempts - self.retries

    @property
    def cost(self) -> Cost:
        """What is known of the cost."""
        if self.unpriced and self.unpriced == self.attempts - self.refused:
            return Cost(None, "unpriced")
        return Cost(self.usd, "partial" if self.unpriced or self.partial else "priced")

    def add(self, call: Call, cost: Cost, *, retry: bool) -> None:
        """Count in one attempt."""
        self.attempts += 1
        self.retries += retry
        self.refused += not call.billed
        self.usage += call.usage
        self.unknown += call.usage_unknown
        self.estimated |= call.usage_source not in EXACT_SOURCES and call.usage_source != "none"
        self.unpriced += cost.status == "unpriced"
        self.partial += cost.status == "partial"
        if cost.usd is not None:
            with localcontext(EXACT):
                self.usd += cost.usd


@dataclass(slots=True)
class StatedSums:
    """The calls whose answers state what they cost."""

    calls: int = 0
    compared: int = 0
    """Those of them that have a price here."""
    usd: Decimal = Decimal(0)
    """What the compared state."""
    ours: Decimal = Decimal(0)
    """What the compared cost by our prices."""
    differing: int = 0
    """Compared calls of which the two differ."""

    def add(self, cost: StatedCost) -> None:
        """Count in one call."""
        self.calls += 1
        if cost.ours is not None:
            self.compared += 1
            self.differing += cost.differs
            with localcontext(EXACT):
                self.usd += cost.usd
                self.ours += cost.ours


class Totals:
    """The sums of a whole run."""

    def __init__(self) -> None:
        self.files = 0
        self.exchanges = 0
        self.all = Sums()
        self.models: dict[str, Sums] = {}
        """By ``provider/model``."""
        self.stated = StatedSums()
        self.why_unpriced: dict[str, str] = {}
        """One reason for each model with calls that have no price, or only in part."""
        self.incomplete = 0
        """Calls of whose recording a part is missing."""
        self.unreadable: list[Unreadable] = []
        self._retries = _Retries()

    def add(self, metered: Metered) -> None:
        """Count in one exchange."""
        self.exchanges += 1
        call, cost = metered.call, metered.cost
        if call is None or cost is None:
            return
        retry = self._retries.is_one(metered.recording.exchange)
        model = f"{call.provider}/{call.model or UNNAMED_MODEL}"
        for sums in (self.all, self.models.setdefault(model, Sums())):
            sums.add(call, cost, retry=retry)
        if (stated := metered.stated) is not None:
            self.stated.add(stated)
        self.incomplete += bool(metered.recording.notes)
        if cost.status != "priced" and cost.reasons and not call.usage_unknown:
            part = "in part: " if cost.status == "partial" else ""
            self.why_unpriced.setdefault(model, f"{part}{cost.reasons[0]}")

    @property
    def no_calls(self) -> int:
        """Exchanges that are no LLM calls."""
        return self.exchanges - self.all.attempts


class _Retries:
    """Tells attempts of earlier calls from new calls; keeps only attempts that failed."""

    def __init__(self) -> None:
        self._failed: dict[bytes, list[Exchange]] = {}

    def is_one(self, exchange: Exchange) -> bool:
        """Whether ``exchange`` is a further attempt of a call that failed before."""
        digest = blake2b(exchange.request_body, digest_size=16).digest()
        key = blake2b(
            repr((exchange.lane, exchange.url, digest)).encode("utf-8", "replace"), digest_size=16
        ).digest()
        # bodies are long and only compared: their digest is as good
        bare = replace(exchange, request_body=digest, response_body=b"", response_headers={})
        waiting = self._failed.get(key, [])
        before = next((one for one in waiting if _follows(one, bare)), None)
        if before is not None:
            waiting.remove(before)
        if _follows(bare, replace(bare, started=bare.started + 1, request_headers={})):
            self._failed.setdefault(key, waiting).append(bare)
        elif not waiting:
            self._failed.pop(key, None)
        return before is not None


def _follows(before: Exchange, exchange: Exchange) -> bool:
    """Whether ``exchange`` is a further attempt of the call that ``before`` is one of."""
    return len(group([before, exchange])) == 1
