"""Runs a test several times in one session, where one run tells too little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from pytest_crashlens.model.call import Call
from pytest_crashlens.model.phase_usage import PhaseUsage

NAME = "crashlens-repeats"
REPORTS = "crashlens-repeated-reports"

Wanted = Callable[[str, Mapping[str, Any], Sequence[Call]], bool]
"""Whether a test (node id, settings, calls) is to be run again after its first run."""


class _Runs:
    """One test, for as long as it is run again."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.left: int | None = None
        """Runs to come; None: the first one has not told yet."""
        self.again = False
        """Whether another run follows the present one."""
        self.torn_down = True
        self.properties = list(item.user_properties)

    def begin(self) -> None:
        """Start a run."""
        self.again, self.torn_down = False, True
        if self.left is None:
            return
        # what the last one left on the item, as for pytest it is the same one
        self.item.user_properties[:] = self.properties
        if vars(self.item).get("_instance") is not None and isinstance(self.item, pytest.Function):
            del self.item._instance
            self.item.obj = None


class _Following:
    """The test that comes next, as pytest is told.

    While a test is run again that is its own class or module, so that what outlives a test is not
    torn down. Whether it is run again shows only after pytest was told.
    """

    def __init__(self, runs: _Runs, following: pytest.Item | None) -> None:
        self._runs = runs
        self._following = following

    def _node(self) -> Any:
        return self._runs.item.parent if self._runs.again else self._following

    def __bool__(self) -> bool:
        return self._node() is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node(), name)


class Repeats:
    """The plugin object of every process that runs tests, where some may be run again."""

    def __init__(self, more: int, wanted: Wanted) -> None:
        """``more`` runs of each test that is ``wanted``."""
        self._more = more
        self._wanted = wanted
        self._runs: _Runs | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> object | None:
        """Hook: run the test, by those who would have run it, as often as it takes."""
        if self._runs is not None:
            return None  # that is one of the runs
        runs = self._runs = _Runs(item)
        following: Any = nextitem
        if nextitem is None or nextitem.parent is not item.parent:
            following = _Following(runs, nextitem)
        session = item.session
        try:
            while True:
                runs.begin()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if not runs.again or session.shouldstop or session.shouldfail:
                    return True
                if not runs.torn_down:
                    runs.again = False
                    self._tear_down_the_rest(item, nextitem)
                    return True
        finally:
            self._runs = None

    def decide(
        self,
        report: pytest.TestReport,
        settings: Mapping[str, Any],
        calls: Sequence[Call],
        *,
        passed: bool,
    ) -> bool:
        """Whether another run follows the one whose test function has just ended so.

        Args:
            report: of that phase, or of another.
            settings: of the test's marker.
            calls: all of this run.
            passed: whether the test function did, with all its subtests.
        """
        runs = self._runs
        if runs is None or report.when == "setup":
            return False
        if report.when == "teardown":
            runs.torn_down = runs.torn_down and report.passed
            return False
        runs.again = False
        if passed:
            if runs.left is None:
                wanted = not settings.get("ignore")
                wanted = wanted and self._wanted(report.nodeid, settings, calls)
                runs.left = self._more if wanted else 0
            runs.again = runs.left > 0
            runs.left -= runs.again
        return runs.again

    def _tear_down_the_rest(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """After a teardown that failed, which kept what outlives the test for another run."""
        plugins = item.config.pluginmanager
        runner = plugins.get_plugin("runner")
        # the others have done their part, and some cannot do it twice
        others = [plugin for plugin in plugins.get_plugins() if plugin is not runner]
        tear_down = plugins.subset_hook_caller("pytest_runtest_teardown", others)
        call = pytest.CallInfo.from_call(
            lambda: tear_down(item=item, nextitem=nextitem),
            when="teardown",
            reraise=(pytest.exit.Exception, KeyboardInterrupt),
        )
        if call.excinfo is not None:
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            item.ihook.pytest_runtest_logreport(report=report)


class RepeatedReports:
    """The plugin object that counts a test once, however often it passed."""

    def __init__(self, select: Callable[[Iterable[str]], None]) -> None:
        """``select`` is told the node ids of the tests that will run."""
        self._select = select

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Hook: this process chose the tests."""
        self._select(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Hook: a worker did; they all choose the same ones."""
        self._select(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Hook: the letter and the word of a report; its last run speaks for the test."""
        plain = getattr(report, PhaseUsage.ATTRIBUTE, None)
        again = isinstance(plain, dict) and report.passed and plain.get("again")
        return ("", "", "") if again else None
