"""The caps of a run, handed to the processes that tests start.

Files say them, as such a process may start at any time and outlive the test that started it: what
the run may spend, each test with a cap of its own, and the prices. All of them share one sum.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.pricing.book import PriceBook, Unpriced, UserPrice
from pytest_crashlens.pricing.card import RateCard
from pytest_crashlens.providers.calls import Counter
from pytest_crashlens.providers.registry import FORMATS
from pytest_crashlens.spend import CAPS
from pytest_crashlens.spend.cap import Cap, SpendCap
from pytest_crashlens.spend.meter import Meter, Read
from pytest_crashlens.spend.purse import Purse, SharedPurse

_PRICES = "prices"
_SPENT = "spent"

Fault = Callable[[str, Exception], None]


class HandedCaps:
    """Hands caps to whoever finds ``folder``; to be used outside tests."""

    def __init__(self, folder: str, fault: Fault) -> None:
        self._folder = Path(folder)
        self._fault = fault
        self._handed = 0

    def hand(
        self, cap: Cap | None, purse: Purse, prices: Sequence[UserPrice], at: datetime
    ) -> Purse:
        """Say the ``cap`` of the run; returns the purse that is shared with all."""
        shared = purse
        if cap is not None and not isinstance(purse, SharedPurse):
            shared = SharedPurse(str(self._folder / _SPENT), self._fault)
        path = shared.path if isinstance(shared, SharedPurse) else ""
        (self._folder / _PRICES).write_bytes(pickle.dumps((prices, at)))
        self._say(CAPS, [*_plain(cap), path] if cap is not None else None)
        return shared

    def start(self, name: str, cap: Cap) -> Purse:
        """Say the ``cap`` of a run of the test ``name``; returns its purse."""
        self._handed += 1
        path = str(self._folder / f"{_SPENT}-{self._handed}")
        purse = SharedPurse(path, self._fault)
        self._say(_file(name), [*_plain(cap), path])
        return purse

    def over(self, name: str) -> None:
        """The test is over."""
        with suppress(OSError):
            (self._folder / _file(name)).unlink()

    def _say(self, name: str, what: object) -> None:
        new = self._folder / f"{name}.new"
        new.write_text(json.dumps(what), encoding="utf-8")
        new.replace(self._folder / name)  # at once: a process may be looking


class ToldCaps(SpendCap):
    """The same caps in a process that a test started."""

    def __init__(self, folder: Path, read: Read, counter: Counter, fault: Fault) -> None:
        given = _told(folder / CAPS)
        cap = purse = None
        if given is not None:
            cap, path = given
            purse = SharedPurse(path, fault)
        self._folder = folder
        self._told_fault = fault
        self._purses: dict[str, Purse] = {}
        meter = Meter(_LazyBook(folder / _PRICES), read, counter, FORMATS)
        super().__init__(meter, purse or Purse(), cap)

    def own(self, owner: Owner) -> tuple[Cap, Purse] | None:
        """As the parent says now: what a server does is the work of the test that runs."""
        try:
            given = _told(self._folder / _file(owner.name))
        except FileNotFoundError:
            return None
        if given is None:
            return None
        cap, path = given
        if path not in self._purses:
            self._purses[path] = SharedPurse(path, self._told_fault)
        return cap, self._purses[path]


class _LazyBook:
    """Prices, loaded when they are needed: most processes call no model."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def card(
        self,
        provider: str,
        model: str | None,
        *,
        service_tier: str | None = None,
        batch: bool = False,
    ) -> RateCard | Unpriced:
        """The price of a model."""
        return self._book.card(provider, model, service_tier=service_tier, batch=batch)

    @cached_property
    def _book(self) -> PriceBook:
        prices, at = pickle.loads(self._path.read_bytes())  # noqa: S301 - our own, in our folder
        return PriceBook(prices, at=at)


def _plain(cap: Cap) -> list[str]:
    return [str(cap.usd), cap.said_by]


def _told(path: Path) -> tuple[Cap, str] | None:
    file = os.open(path, os.O_RDONLY)
    try:
        given = json.loads(os.read(file, 65_536))
    finally:
        os.close(file)
    if given is None:
        return None
    usd, said_by, purse = given
    return Cap(Decimal(usd), said_by), purse


def _file(name: str) -> str:
    """A file's name for a test's, which may hold anything."""
    return "cap-" + hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32]
