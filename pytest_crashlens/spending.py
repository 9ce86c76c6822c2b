"""The spend cap in a run: where it comes from, who holds it, and how workers share it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.spend_guard import SpendGuard
from pytest_crashlens.children.spool import ENVIRONMENT, Orders
from pytest_crashlens.measure import ITEM, Measure
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import format_usd
from pytest_crashlens.policy.amounts import parse_usd
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.spend.cap import Cap, SpendCap
from pytest_crashlens.spend.handed import HandedCaps
from pytest_crashlens.spend.meter import Meter
from pytest_crashlens.spend.purse import Purse, SharedPurse

NAME = "crashlens-spending"
SHARED = "crashlens-spent"
FLAG = "--crashlens-max-cost"
_PATH = "crashlens_spent"
"""Where a worker finds the path of the file of all."""


def with_option(config: pytest.Config, policies: Config) -> Config:
    """The policies, with the cap that the command line or the ini file gives to the run.

    Raises:
        pytest.UsageError: It is no amount.
    """
    given = config.option.crashlens_max_cost
    name = FLAG if given is not None else "crashlens_max_cost"
    given = config.getini("crashlens_max_cost") if given is None else given
    if given == "" and name != FLAG:  # nobody says anything; a variable that is not set does
        return policies
    try:
        usd = parse_usd(given)
    except ValueError as error:
        raise pytest.UsageError(f"{name}={given}: {error}") from None
    return replace(policies, session=replace(policies.session, cap=usd))


def share(config: pytest.Config, policies: Config) -> None:
    """Say in the process that judges that there is a cap, and make its workers share it."""
    cap = _cap(config, policies)
    if cap is not None:
        shared = SharedSpend(cap, everywhere=_measures_children(config))
        config.pluginmanager.register(shared, SHARED)


def register(
    config: pytest.Config, policies: Config, measuring: Measure, place: Callable[[str], str]
) -> None:
    """Register what holds the caps, of the run or of tests, where tests run."""
    config.pluginmanager.register(Spending(config, policies, measuring, place), NAME)


class SharedSpend:
    """The plugin object of the process that judges."""

    def __init__(self, cap: Cap, *, everywhere: bool) -> None:
        self._cap = cap
        self._everywhere = everywhere
        self._folder: str | None = None

    def pytest_report_header(self) -> str:
        """Say how much may be spent, and where nobody looks."""
        text = f"crashlens: spend cap {format_usd(self._cap.usd)} ({self._cap.said_by})"
        if self._everywhere:
            return text
        return f"{text}, not in processes that tests start: --crashlens-subprocesses"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where all say what they spend."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="crashlens-")
        node.workerinput[_PATH] = os.path.join(self._folder, "spent")  # noqa: PTH118 - plain text

    def pytest_unconfigure(self) -> None:
        """Forget what was said."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class Spending:
    """The plugin object of every process that runs tests."""

    def __init__(
        self,
        config: pytest.Config,
        policies: Config,
        measuring: Measure,
        place: Callable[[str], str],
    ) -> None:
        self._policies = policies
        self._measuring = measuring
        self._place = place
        self._cap = _cap(config, policies)
        self._path: str | None = getattr(config, "workerinput", {}).get(_PATH)
        self._purse = Purse()
        self._spend_cap: SpendCap | None = None
        self._guard: SpendGuard | None = None
        self._children = _measures_children(config)
        self._handed: HandedCaps | None = None

    @pytest.hookimpl(trylast=True)  # around what measures, which is installed before
    def pytest_sessionstart(self) -> None:
        """Hold the caps that are known before tests are collected."""
        limits = [self._policies.limits, *(path.limits for path in self._policies.paths)]
        if self._cap is not None or any(one.on_exceed == "stop" for one in limits):
            self._hold()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """A marker may be the first to ask for a cap."""
        if self._spend_cap is None and any(map(_asks, session.items)):
            self._hold()

    def _hold(self) -> None:
        """Read the prices, which tests may forbid, and let nothing out unasked from now on."""
        measuring, recorder = self._measuring, self._measuring.recorder
        if self._cap is not None and self._path is not None:
            try:
                self._purse = SharedPurse(self._path, recorder.fault)
            except OSError as error:  # a worker on another machine: the cap holds for each
                recorder.fault("sharing of the spend cap with the other workers", error)
        now = datetime.now(UTC)
        if self._children:
            self._hand(now)
        book = PriceBook(self._policies.prices, at=now)
        meter = Meter(book, measuring.read, measuring.counter, measuring.formats)
        self._spend_cap = SpendCap(meter, self._purse, self._cap)
        measuring.told = self._told
        self._guard = SpendGuard(recorder, self._spend_cap)
        self._guard.install()

    def _hand(self, now: datetime) -> None:
        """Give the caps to the processes that tests start, into the folder they all know."""
        try:
            folder = Orders.from_text(os.environ[ENVIRONMENT]).folder
            handed = HandedCaps(folder, self._measuring.recorder.fault)
            self._purse = handed.hand(self._cap, self._purse, self._policies.prices, now)
        except (OSError, LookupError) as error:
            raise pytest.UsageError(
                f"crashlens: the spend cap cannot be held in processes that tests start: {error!r}"
            ) from None
        self._handed = handed

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around what measures, which ends the owner
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Add up what is left of a test."""
        try:
            return (yield)
        finally:
            if self._spend_cap is not None and (measure := item.stash.get(ITEM, None)) is not None:
                with self._guarded():
                    self._spend_cap.over(measure.owner)
                    if self._handed is not None:
                        self._handed.over(measure.owner.name)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Each run of a test has its cap anew."""
        if self._spend_cap is None:
            return
        with self._guarded():
            measure = item.stash[ITEM]
            marker = Limits.from_dict(measure.settings.get("limits", {}))
            limits = self._policies.limits_for(self._place(item.nodeid), marker)
            if limits.max_cost is not None and limits.on_exceed == "stop":
                cap = Cap(limits.max_cost, "max_cost of the test, on_exceed: stop")
                handed = self._handed
                purse = handed.start(measure.owner.name, cap) if handed is not None else None
                self._spend_cap.start(measure.owner, cap, purse)

    def _told(self, calls: list[Call], owner: Owner) -> None:
        if self._spend_cap is not None:
            with self._guarded():
                # a process that tells its calls has caps of its own, and has said what it spent
                elsewhere = {id(call) for call in owner.told}
                here = [call for call in calls if id(call) not in elsewhere]
                self._spend_cap.paid(here, owner)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as fault:
            self._measuring.recorder.fault("adding up of what was spent", fault)

    def pytest_unconfigure(self) -> None:
        """Let everything out again."""
        if self._guard is not None:
            self._guard.remove()
        self._purse.close()


def _cap(config: pytest.Config, policies: Config) -> Cap | None:
    """The cap of the whole run."""
    session = policies.session
    if not session.caps:
        return None
    usd = min(session.caps)
    if usd != session.cap:
        return Cap(usd, "session: max_cost")
    return Cap(usd, FLAG if config.option.crashlens_max_cost is not None else "crashlens_max_cost")


def _measures_children(config: pytest.Config) -> bool:
    asked = config.option.crashlens_subprocesses or config.getini("crashlens_subprocesses")
    return bool(asked)


def _asks(item: pytest.Item) -> bool:
    markers: Iterable[pytest.Mark] = item.iter_markers("crashlens")
    return any(marker.kwargs.get("on_exceed") == "stop" for marker in markers)
