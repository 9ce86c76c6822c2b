"""Measures where tests run: hangs what each phase used on its test report."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.install import interposition
from pytest_crashlens.capture.live_calls import LiveCalls
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sdk_mocks import SdkMocks
from pytest_crashlens.fixture import CrashlensFixture
from pytest_crashlens.fixture_owners import FixtureOwners, in_context_of
from pytest_crashlens.marker import marker_settings
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.phase_usage import PhaseUsage
from pytest_crashlens.policy.config import Config
from pytest_crashlens.providers.calls import Infer, read_calls
from pytest_crashlens.providers.hosts import provider_of, serves_models
from pytest_crashlens.providers.registry import FORMATS, wanted
from pytest_crashlens.providers.retries import failed, group
from pytest_crashlens.repeats import Repeats
from pytest_crashlens.tokens.counting import TokenCounter

if TYPE_CHECKING:
    from pytest_crashlens.children.parent import Children

NAME = "crashlens-measure"
ITEM = pytest.StashKey["ItemMeasure"]()
LIBRARIES = ("httpx", "httpx2", "requests", "aiohttp", "botocore", "openai", "anthropic")
"""What tells a reader of "0 calls" where they may have gone."""


class ItemMeasure:
    """One test while it runs: its owner, what was read of it, and its marker's settings."""

    def __init__(self, item: pytest.Item) -> None:
        self.owner = Owner(item.nodeid)
        self.calls: list[Call] = []
        """All calls of the current attempt, for the fixture."""
        self.unreported: list[Call] = []
        """Of these, the ones no report carries yet."""
        self.held: list[Exchange] = []
        """Failed attempts that may be tried again."""
        self.recorded: set[str] = set()
        """Providers of the calls that the test itself recorded."""
        self.settings: dict[str, Any] = {}
        self.body_is_running = False
        self.subtest_failed = False

    def begin(self) -> None:
        """Start an attempt: a rerun starts anew."""
        self.calls.clear()
        self.recorded.clear()
        self.subtest_failed = False

    def take_uncaptured(self) -> tuple[str, ...]:
        """Hosts that were looked up for calls which nobody saw or recorded."""
        hosts = self.owner.take_uncaptured()
        return tuple(host for host in hosts if provider_of(host, "") not in self.recorded)


class Measure:
    """The plugin object of every process that runs tests."""

    def __init__(
        self, config: pytest.Config, policies: Config, repeats: Repeats | None = None
    ) -> None:
        self._repeats = repeats
        workerinput = getattr(config, "workerinput", {})
        run_id: str = workerinput.get("testrunuid") or os.urandom(16).hex()
        self._worker: str = workerinput.get("workerid", "main")
        self._fingerprint_key = run_id.encode()[:64]
        self.counter = TokenCounter.load()  # tests may forbid files and network: read them now
        self._infer = _inference(policies)
        self._reported_faults = 0
        added = config.hook.pytest_crashlens_wire_formats(config=config)
        self.formats = (*(found for several in added for found in several), *FORMATS)
        self._call_sites = CallSites(config.rootpath)
        live_calls = _live_calls(config)
        self.recorder = Recorder(
            wanted=functools.lru_cache(maxsize=1024)(
                functools.partial(wanted, formats=self.formats)
            ),
            call_sites=self._call_sites,
            is_provider=serves_models,
            live_calls=live_calls,
        )
        self.fixture_owners = FixtureOwners(self.recorder.owners, config.rootpath)
        self._mocks = SdkMocks(self.recorder, measured=measures_mocks(config))
        self._interposition = interposition(self.recorder, self._mocks)
        self._children: Children | None = None
        self.told: Callable[[list[Call], Owner], None] = lambda calls, owner: None
        """Called with calls that nobody saw here: another process or the test itself tells them."""
        if config.option.crashlens_subprocesses or config.getini("crashlens_subprocesses"):
            from pytest_crashlens.children.parent import Children

            allowed = live_calls.allowed_hosts if live_calls else None
            if len(self.formats) > len(FORMATS):
                self.recorder.faults.append(
                    "wire formats of a conftest or plugin are not known to other processes"
                )
            self._children = Children(
                config.rootpath, self._fingerprint_key, allowed, infers=self._infer is not None
            )

    def pytest_sessionstart(self) -> None:
        if self._children is not None:
            self._children.start(in_copy=self._stop)
            self.recorder.owners.on_change = self._children.at_work
        self._interposition.install()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._stop()
        if self._children is not None:
            self._children.stop()

    def _stop(self) -> None:
        self._interposition.remove()
        self.recorder.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        measure = item.stash[ITEM] = ItemMeasure(item)
        try:
            with self.recorder.owners.at_work(measure.owner):
                return (yield)
        finally:
            self._finish(measure.owner)

    def _finish(self, owner: Owner) -> None:
        owner.finished = True
        late = self.recorder.owners.late
        for attempt in owner.attempts:
            attempt.origin = owner.name
        late.attempts += owner.attempts
        late.uncaptured |= owner.uncaptured
        late.refused += owner.refused

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # no wrapper: those of others, which it may fail inside of, must have begun
        measure = item.stash[ITEM]
        measure.begin()
        measure.settings = marker_settings(item)
        measure.owner.task = measure.settings.get("task")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        measure = item.stash[ITEM]
        measure.body_is_running = True
        try:
            with self._coroutine_in_context(item, measure.owner):
                return (yield)
        finally:
            measure.body_is_running = False

    @contextmanager
    def _coroutine_in_context(self, item: pytest.Item, owner: Owner) -> Iterator[None]:
        """Say inside an asynchronous test whose work it is.

        A runner that serves several tests keeps the first one's context. This is done before the
        plugins that run such tests make something else of them.
        """
        if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
            yield
            return
        test = item.obj
        item.obj = in_context_of(test, self.recorder.owners, owner)
        try:
            yield
        finally:
            item.obj = test

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        measure = item.stash.get(ITEM, None)
        if measure is None or measure.body_is_running:  # subtests report from inside the body
            if measure is not None and report.failed:
                measure.subtest_failed = True
            return report
        self._hear_of_children(measure)
        phase = PhaseUsage(
            worker=self._worker,
            settings=measure.settings,
            calls=tuple(self.take(measure, call.when)),
            again=self._runs_again(report, measure),
            uncaptured=measure.take_uncaptured(),
            refused=measure.owner.take_refused(),
            set_up=self.fixture_owners.take_set_up(),
            unseen=self._mocks.take(
                last=call.when == "teardown",
                measured=bool(measure.calls),
                recorded=bool(measure.recorded),
            ),
            **self._elsewhere(),
        )
        setattr(report, PhaseUsage.ATTRIBUTE, phase.to_dict())
        return report

    def _runs_again(self, report: pytest.TestReport, measure: ItemMeasure) -> bool:
        if self._repeats is None:
            return False
        passed = report.passed and not (hasattr(report, "wasxfail") or measure.subtest_failed)
        return self._repeats.decide(report, measure.settings, measure.calls, passed=passed)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        self._hear_of_children(None)
        if self._children is not None:
            for name, number in self._children.untold().items():
                what = "1 request" if number == 1 else f"{number} requests"
                fault = f"{what} of a process started by {name}: nothing more was told of it"
                self.recorder.faults.append(fault)
        elsewhere = [self.recorder.owners.late, *self.fixture_owners.all]
        exchanges = [one for owner in elsewhere for one in self.recorder.take_all(owner)]
        told = [call for owner in elsewhere for call in owner.take_told()]
        rest = PhaseUsage(
            worker=self._worker,
            libraries=tuple(name for name in LIBRARIES if name in sys.modules),
            **self._elsewhere() | {"late": (*self.read(exchanges), *told)},
        )
        workeroutput = getattr(session.config, "workeroutput", None)
        if workeroutput is not None:
            workeroutput[PhaseUsage.ATTRIBUTE] = rest.to_dict()
        else:
            session.config.stash[REST] = rest
        return (yield)

    def _hear_of_children(self, measure: ItemMeasure | None) -> None:
        """Give what other processes told to the owners who started them."""
        if self._children is None:
            return
        owners = {owner.name: owner for owner in self.fixture_owners.all}
        late = self.recorder.owners.late
        try:
            found = self._children.take(measure.owner.name if measure else "")
        except (OSError, ValueError) as fault:
            self.recorder.fault("hearing of other processes", fault)
            return
        for name, told in found.items():
            owner = measure.owner if measure and measure.owner.name == name else owners.get(name)
            if owner is None:
                told.calls = [replace(call, origin=name) for call in told.calls]
            (owner or late).told += told.calls
            self.told(told.calls, owner or late)
            (owner or late).uncaptured |= dict.fromkeys(told.uncaptured)
            (owner or late).refused += told.refused
            known = self.recorder.faults
            known += [fault for fault in told.faults if fault not in known]

    def _elsewhere(self) -> dict[str, Any]:
        """What happened outside of tests and no report carries yet."""
        late, fixtures = self.recorder.owners.late, self.fixture_owners.all
        found = {
            "fixtures": {
                owner.name: tuple(calls)
                for owner in fixtures
                if (calls := [*self.read(self.recorder.take(owner)), *owner.take_told()])
            },
            "late": (*self.read(self.recorder.take(late)), *late.take_told()),
            "uncaptured_elsewhere": _joined(one.take_uncaptured() for one in (*fixtures, late)),
            "refused_elsewhere": _joined(one.take_refused() for one in (*fixtures, late)),
            "faults": self._new_faults(),
        }
        self.fixture_owners.forget_finished()
        return found

    def take(self, measure: ItemMeasure, when: str | None) -> list[Call]:
        """Calls of the test that no report carries yet.

        A stream opened in setup is usually read in the test: it waits for that.
        """
        self.look(measure, keep_streams=when == "setup", mid_test=False)
        taken, measure.unreported = measure.unreported, []
        return taken

    def look(
        self, measure: ItemMeasure, *, keep_streams: bool = True, mid_test: bool = True
    ) -> None:
        """Read what was captured for the test so far."""
        exchanges = measure.held + self.recorder.take(measure.owner, keep_streams=keep_streams)
        measure.held = []
        if mid_test:  # what failed last may be tried again: it is one call with what follows
            measure.held = [one for call in group(exchanges) if failed(call[-1]) for one in call]
            exchanges = [one for one in exchanges if all(one is not held for held in measure.held)]
        calls = self.read(exchanges) + measure.owner.take_told()
        measure.calls += calls
        measure.unreported += calls

    def read(self, exchanges: Iterable[Exchange]) -> list[Call]:
        """Calls in ``exchanges``; a fault of ours is noted and loses no test."""
        exchanges = list(exchanges)
        if not exchanges:
            return []
        try:
            return read_calls(
                exchanges,
                count=self.counter,
                fingerprint_key=self._fingerprint_key,
                formats=self.formats,
                infer=self._infer,
            )
        except Exception as fault:
            self.recorder.fault("reading of exchanges", fault)
            return []

    def fixture(self, item: pytest.Item) -> CrashlensFixture:
        """What the test sees of its own measurement."""
        measure = item.stash[ITEM]

        def record(call: Call) -> None:
            measure.recorded.add(call.provider)
            measure.calls.append(call)
            measure.unreported.append(call)
            self.told([call], measure.owner)

        def calls() -> tuple[Call, ...]:
            self.look(measure)
            return tuple(measure.calls)

        owners = self.recorder.owners
        return CrashlensFixture(
            task=lambda: owners.task_of(measure.owner),
            scope=owners.labelled,
            calls=calls,
            record=record,
            call_site=self._call_sites.here,
        )

    def _new_faults(self) -> tuple[str, ...]:
        faults = self.recorder.faults[self._reported_faults :]
        self._reported_faults += len(faults)
        return tuple(faults)


def _joined(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for part in parts for one in part))


def measures_mocks(config: pytest.Config) -> bool:
    """Whether mocked SDKs are measured, and not only named."""
    return bool(config.option.crashlens_sdk_mocks or config.getini("crashlens_sdk_mocks"))


def _inference(policies: Config) -> Infer | None:
    """What infers the tasks of calls, where a rule asks for tasks."""
    if all(rule.task_type is None for rule in policies.rules):
        return None
    from pytest_crashlens.tasks.infer import TaskInference

    return TaskInference()


def _live_calls(config: pytest.Config) -> LiveCalls | None:
    """What may go out; None: everything."""
    option = config.option
    if not (option.crashlens_block_live or config.getini("crashlens_block_live")):
        return None
    return LiveCalls(
        [*config.getini("crashlens_allow_hosts"), *(option.crashlens_allow_host or ())]
    )


REST = pytest.StashKey[PhaseUsage]()
"""What a process saw after its last report."""
