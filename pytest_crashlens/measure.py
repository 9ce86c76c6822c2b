"""Measures where tests run: hangs what each phase used on its test report."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.install import interposition
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.errors import ConfigError
from pytest_crashlens.fixture import CrashlensFixture
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.phase_usage import SET_UP, PhaseUsage
from pytest_crashlens.policy.limits import Limits, limits_from_marker
from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.providers.registry import FORMATS, wanted
from pytest_crashlens.tokens.counting import TokenCounter

NAME = "crashlens-measure"
ITEM = pytest.StashKey["ItemMeasure"]()
LIBRARIES = ("httpx", "httpx2", "requests", "aiohttp", "botocore", "openai", "anthropic")
"""What tells a reader of "0 calls" where they may have gone."""


_XUNIT_NAME = re.compile(r"^_(?:xunit|unittest)_(\w+?)_fixture_.*$")
"""pytest's own name for ``setup_module`` and the like, which tells of the class or file too."""


class ItemMeasure:
    """One test while it runs: its owner, what was read of it, and its marker's settings."""

    def __init__(self, item: pytest.Item) -> None:
        self.owner = Owner(item.nodeid)
        self.calls: list[Call] = []
        """All calls of the current attempt, for the fixture."""
        self.unreported: list[Call] = []
        """Of these, the ones no report carries yet."""
        self.settings: dict[str, Any] = {}
        self.body_is_running = False


class Measure:
    """The plugin object of every process that runs tests."""

    def __init__(self, config: pytest.Config) -> None:
        workerinput = getattr(config, "workerinput", {})
        run_id: str = workerinput.get("testrunuid") or os.urandom(16).hex()
        self._worker: str = workerinput.get("workerid", "main")
        self._rootpath = config.rootpath
        self._fingerprint_key = run_id.encode()[:64]
        self._counter = TokenCounter.load()  # tests may forbid files and network: read them now
        self._fixture_owners: dict[str, Owner] = {}
        self._set_ups = 0
        self._set_up: list[str] = []
        self._reported_faults = 0
        added = config.hook.pytest_crashlens_wire_formats(config=config)
        self._formats = (*(found for several in added for found in several), *FORMATS)
        self._call_sites = CallSites(config.rootpath)
        self.recorder = Recorder(
            wanted=functools.lru_cache(maxsize=1024)(
                functools.partial(wanted, formats=self._formats)
            ),
            call_sites=self._call_sites,
        )
        self._interposition = interposition(self.recorder)

    def pytest_sessionstart(self) -> None:
        self._interposition.install()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._interposition.remove()
        self.recorder.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        measure = item.stash[ITEM] = ItemMeasure(item)
        try:
            with self.recorder.owners.at_work(measure.owner):
                return (yield)
        finally:
            measure.owner.finished = True
            self.recorder.owners.late.attempts += measure.owner.attempts

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # no wrapper: those of others, which it may fail inside of, must have begun
        measure = item.stash[ITEM]
        measure.calls.clear()  # a rerun starts anew
        measure.settings = _marker_settings(item)
        measure.owner.task = measure.settings.get("task")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        measure = item.stash[ITEM]
        measure.body_is_running = True
        try:
            return (yield)
        finally:
            measure.body_is_running = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        # a runner that serves several tests keeps the first one's context: say it inside
        test = pyfuncitem.obj
        if not inspect.iscoroutinefunction(test):
            return (yield)
        owners, owner = self.recorder.owners, pyfuncitem.stash[ITEM].owner
        pyfuncitem.obj = _in_context_of(test, lambda: owners.enter_context_of(owner))
        try:
            return (yield)
        finally:
            pyfuncitem.obj = test

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            with self._fixture_in_context(fixturedef, self.recorder.owners.running):
                return (yield)
        # set up anew for other tests it spends anew: each time is judged by itself
        self._set_ups += 1
        key = f"{self._fixture_key(fixturedef, request)}{SET_UP}{self._set_ups}"
        owner = self._fixture_owners[key] = Owner(key)
        owners = self.recorder.owners
        teardown = owners.at_work(owner)

        def leave() -> None:
            teardown.__exit__(None, None, None)
            owner.finished = True

        # finalizers run last in, first out: these two enclose the fixture's own
        fixturedef.addfinalizer(leave)
        try:
            with owners.at_work(owner), self._fixture_in_context(fixturedef, owner):
                result = yield
            self._set_up.append(key)
            return result
        finally:
            fixturedef.addfinalizer(lambda: teardown.__enter__() and None)

    @contextmanager
    def _fixture_in_context(
        self, fixturedef: pytest.FixtureDef[Any], owner: Owner | None
    ) -> Iterator[None]:
        """Say inside an asynchronous fixture, while it is set up and torn down, whose work it is.

        A runner that serves several tests keeps the context in which it was started.
        """
        original = fixturedef.func
        if owner is None or not _is_async(original):
            yield
            return
        owners = self.recorder.owners
        wrapped = _in_context_of(
            getattr(original, "__func__", original), lambda: owners.enter_context_of(owner)
        )
        bound_to = getattr(original, "__self__", None)
        func = wrapped if bound_to is None else MethodType(wrapped, bound_to)
        fixturedef.func = func  # type: ignore[misc]  # as the plugins that run such fixtures do
        try:
            yield
        finally:
            if fixturedef.func is func:
                fixturedef.func = original  # type: ignore[misc]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        measure = item.stash.get(ITEM, None)
        if measure is None or measure.body_is_running:  # subtests report from inside the body
            return report
        phase = PhaseUsage(
            worker=self._worker,
            settings=measure.settings,
            calls=tuple(self.take(measure, call.when)),
            fixtures=self._fixture_calls(),
            set_up=tuple(self._set_up),
            late=tuple(self.read(self.recorder.take(self.recorder.owners.late))),
            faults=self._new_faults(),
        )
        self._set_up.clear()
        setattr(report, PhaseUsage.ATTRIBUTE, phase.to_dict())
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        left = [self.recorder.owners.late, *self._fixture_owners.values()]
        calls = self.read(exchange for owner in left for exchange in self.recorder.take_all(owner))
        rest = PhaseUsage(
            worker=self._worker,
            late=tuple(calls),
            faults=self._new_faults(),
            libraries=tuple(name for name in LIBRARIES if name in sys.modules),
        )
        workeroutput = getattr(session.config, "workeroutput", None)
        if workeroutput is not None:
            workeroutput[PhaseUsage.ATTRIBUTE] = rest.to_dict()
        else:
            session.config.stash[REST] = rest
        return (yield)

    def _fixture_calls(self) -> dict[str, tuple[Call, ...]]:
        """Calls of fixtures that no report carries yet; what is torn down is forgotten."""
        found = {}
        for name, owner in list(self._fixture_owners.items()):
            if calls := tuple(self.read(self.recorder.take(owner))):
                found[name] = calls
            if owner.finished and not owner.attempts:
                del self._fixture_owners[name]
        return found

    def take(self, measure: ItemMeasure, when: str | None) -> list[Call]:
        """Calls of the test that no report carries yet.

        A stream opened in setup is usually read in the test: it waits for that.
        """
        self.look(measure, keep_streams=when == "setup")
        taken, measure.unreported = measure.unreported, []
        return taken

    def look(self, measure: ItemMeasure, *, keep_streams: bool = True) -> None:
        """Read what was captured for the test so far."""
        calls = self.read(self.recorder.take(measure.owner, keep_streams=keep_streams))
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
                count=self._counter,
                fingerprint_key=self._fingerprint_key,
                formats=self._formats,
            )
        except Exception as fault:
            self.recorder.fault("reading of exchanges", fault)
            return []

    def fixture(self, item: pytest.Item) -> CrashlensFixture:
        """What the test sees of its own measurement."""
        measure = item.stash[ITEM]

        def record(call: Call) -> None:
            measure.calls.append(call)
            measure.unreported.append(call)

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

    def _fixture_key(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> str:
        """``fixture:path::name``: one key for each place and parameter it is set up for.

        So a run of some of the tests uses as much under each key as a run of all.
        """
        place = request.node.nodeid
        if fixturedef.scope == "session":
            place = self._place_of(inspect.unwrap(fixturedef.func))
        name = _XUNIT_NAME.sub(r"\1", fixturedef.argname)
        indexed = fixturedef.params is not None or hasattr(request, "param")
        parameter = f"[{getattr(request, 'param_index', 0)}]" if indexed else ""
        return f"fixture:{place}::{name}{parameter}"

    def _place_of(self, function: Callable[..., Any]) -> str:
        """The project's file that defines ``function``; its module where that is installed."""
        code = getattr(function, "__code__", None)
        path = Path(code.co_filename) if code else Path()
        if path.is_relative_to(self._rootpath) and "site-packages" not in path.parts:
            return path.relative_to(self._rootpath).as_posix()
        return getattr(function, "__module__", "")

    def _new_faults(self) -> tuple[str, ...]:
        faults = self.recorder.faults[self._reported_faults :]
        self._reported_faults += len(faults)
        return tuple(faults)


REST = pytest.StashKey[PhaseUsage]()
"""What a process saw after its last report."""


def _marker_settings(item: pytest.Item) -> dict[str, Any]:
    """Settings of the test's crashlens markers, the closest one winning key by key."""
    limits = Limits()
    settings: dict[str, Any] = {}
    fault = ""
    for marker in item.iter_markers("crashlens"):
        try:
            if marker.args:
                given = ", ".join(repr(value) for value in marker.args)
                raise ConfigError(
                    f"@pytest.mark.crashlens takes keyword arguments only, got {given}"
                )
            closer = limits_from_marker(marker.kwargs)
        except ConfigError as error:
            fault = f"{item.nodeid}: {error}"
        if fault:  # here, as in the except clause both errors would be shown
            pytest.fail(fault, pytrace=False)
        limits = limits.over(closer.limits)
        for name in ("task", "key", "ignore"):
            if name in marker.kwargs:
                settings.setdefault(name, getattr(closer, name))
    return settings | {"limits": limits.to_dict()}


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _in_context_of(function: Callable[..., Any], enter: Callable[[], None]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def steps(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            enter()
            async with aclosing(function(*args, **kwargs)) as generator:
                async for value in generator:
                    yield value
                    enter()

        return steps

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        enter()
        return await function(*args, **kwargs)

    return run
