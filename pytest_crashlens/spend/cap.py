"""The spend cap: which requests still may go out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.spend_guard import SPEND_CAP
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import EXACT, format_usd
from pytest_crashlens.spend.meter import Least, Meter
from pytest_crashlens.spend.purse import Purse


@dataclass(frozen=True, slots=True)
class Cap:
    """USD that may be spent."""

    usd: Decimal
    said_by: str
    """Who says so: ``--crashlens-max-cost``."""


@dataclass(eq=False, slots=True)
class _Watched:
    """An attempt that has begun and is not paid yet."""

    owner: Owner
    least: Least | None = None
    """None: it did not go out, as far as is known."""


class SpendCap:
    """Adds up what a process spends, and refuses what would exceed a cap.

    What is under way counts with its lower bound. It costs more than that when it ends, so what
    is spent may exceed a cap by the requests that were under way together.
    """

    def __init__(self, meter: Meter, purse: Purse, cap: Cap | None) -> None:
        """``cap`` holds for the whole run, which ``purse`` knows; None: only tests have caps."""
        self._meter = meter
        self._purse = purse
        self._cap = cap
        self._watched: dict[Attempt, _Watched] = {}
        self._tests: dict[Owner, tuple[Cap, Purse]] = {}

    def start(self, owner: Owner, cap: Cap, purse: Purse | None = None) -> None:
        """A run of the test ``owner`` begins, which has a cap of its own."""
        self.settle()  # what the run before has spent
        before = self._tests.get(owner)
        self._tests[owner] = cap, purse or Purse()
        if before is not None:
            before[1].close()

    def over(self, owner: Owner) -> None:
        """The test is over."""
        self.settle()
        own = self._tests.pop(owner, None)
        if own is not None:
            own[1].close()

    def own(self, owner: Owner) -> tuple[Cap, Purse] | None:
        """The cap of the test ``owner``, and what it has spent."""
        return self._tests.get(owner)

    def watch(self, attempt: Attempt, owner: Owner) -> None:
        """``attempt`` has begun: what it costs is spent once it has ended."""
        self._watched[attempt] = _Watched(owner)

    def paid(self, calls: Iterable[Call], owner: Owner) -> None:
        """Calls that no attempt was seen of, as another process or the test itself tells them."""
        for call in calls:
            if call.live:
                self._pay(owner, self._meter.cost(call) or Decimal(0))

    def forked(self) -> None:
        """Begin anew in a copy of this process: what is under way is paid by the other."""
        self._watched.clear()

    def settle(self, *, finally_: bool = False) -> None:
        """Add up what has ended; ``finally_`` also answers that nobody will read on."""
        for attempt, watched in list(self._watched.items()):
            read_on = not (watched.owner.finished or finally_)
            left = attempt.status is not None and not read_on
            if attempt.ended is None and not left:
                continue
            went_out = bool(attempt.live) or watched.least is not None
            usd = Decimal(0)
            if went_out:
                usd = self._meter.spent(attempt.to_exchange(), watched.least)
            # several threads may get here with the same one
            if self._watched.pop(attempt, None) is not None and usd:
                self._pay(watched.owner, usd)

    def refusal(self, attempt: Attempt, owner: Owner) -> str | None:
        """Why ``attempt`` must not go out; None: it may, and is under way from now on."""
        own = self.own(owner)
        caps = [(self._cap, self._purse, "in this run")] if self._cap is not None else []
        caps += [(*own, "in this test")] if own is not None else []
        if not caps:
            return None
        self.settle()
        known = self._watched.setdefault(attempt, _Watched(owner))
        least = known.least or self._meter.least(attempt.to_exchange())
        for cap, purse, where in caps:
            spent = purse.total()
            under_way = [
                one.least
                for other, one in list(self._watched.items())
                if other is not attempt
                and one.least is not None
                and other.ended is None
                and (purse is self._purse or one.owner is owner)
            ]
            why = self._why(cap, spent, where, least, under_way)
            if why is not None:
                return f"{SPEND_CAP} of {format_usd(cap.usd)} ({cap.said_by}) {why}; " + _refused(
                    attempt, owner
                )
        known.least = least
        return None

    def _why(
        self, cap: Cap, spent: Decimal, where: str, least: Least, under_way: Sequence[Least]
    ) -> str | None:
        so_far = f"{format_usd(spent)} spent so far {where}"
        if spent >= cap.usd:
            return f"reached: {so_far}"
        if least.unpriced is not None:
            return (
                f"cannot be held: {least.unpriced} (give it a price, or 'free: true', under "
                f"prices: in crashlens.yml); {so_far}"
            )
        with localcontext(EXACT):
            if spent + least.most + sum(one.most for one in under_way) <= cap.usd:
                return None
            going = sum((self._meter.count(one) for one in under_way), Decimal(0))
            this = self._meter.count(least)
            if spent + going + this <= cap.usd:
                return None
        more = f", at least {format_usd(going)} under way" if going else ""
        return f"would be exceeded: {so_far}{more}, and this costs at least {format_usd(this)}"

    def _pay(self, owner: Owner, usd: Decimal) -> None:
        if self._cap is not None:
            self._purse.add(usd)
        own = self.own(owner)
        if own is not None:
            own[1].add(usd)


def _refused(attempt: Attempt, owner: Owner) -> str:
    site = f" from {attempt.call_site}()" if attempt.call_site else ""
    return f"refused: {attempt.method} {attempt.url.partition('?')[0]}{site}, {owner.where}"
