"""What runs in a process that a test has started."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - cannot be loaded any more while a process ends
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.install import interposition
from pytest_crashlens.capture.live_calls import LiveCalls
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.children.spool import ENVIRONMENT, OWNER, RUNNING, Orders, SpoolFile
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Ended, Exchange
from pytest_crashlens.providers.calls import Count, Counter, Infer, Inferred, read_calls
from pytest_crashlens.providers.hosts import serves_models
from pytest_crashlens.providers.registry import wanted
from pytest_crashlens.providers.retries import group
from pytest_crashlens.spend import CAPS

if TYPE_CHECKING:
    from pytest_crashlens.spend.handed import ToldCaps

QUIET = 1.0
"""Seconds for which a failed attempt waits for its retry before it is told."""


class TellingRecorder(Recorder):
    """Records for whoever is at work in the parent, and tells the parent."""

    def __init__(self, orders: Orders, started_by: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._folder = Path(orders.folder)
        self._key = bytes.fromhex(orders.fingerprint_key)
        self._infer = _LazyInference() if orders.infers else None
        self._started_by = started_by
        self._spool: SpoolFile | None = None
        self._known: dict[str, Owner] = {}
        self._held: dict[str, list[Exchange]] = {}
        self._telling = threading.RLock()
        self._news = threading.Event()
        self._interposition = interposition(self)
        self._spending: ToldCaps | None = None

    def start(self) -> None:
        """Record from now on."""
        self._at_work_here = self.owners.at_work(self._of_name(self._started_by))
        self._at_work_here.__enter__()
        self._interposition.install()

    def hold_caps(self) -> None:
        """Let nothing out that the caps of the run and its tests forbid, if it has any."""
        if not (self._folder / CAPS).exists():
            return
        from pytest_crashlens.capture.spend_guard import SpendGuard
        from pytest_crashlens.spend.handed import ToldCaps

        counter = _LazyCounter()

        def read(exchanges: Iterable[Exchange]) -> Sequence[Call]:
            return read_calls(list(exchanges), count=counter, fingerprint_key=self._key)

        try:
            self._spending = ToldCaps(self._folder, read, counter, self.fault)
        except Exception as fault:
            self.fault("hearing of the spend cap", fault)
        SpendGuard(self, self._spending or _Unknown()).install()

    def begin(
        self, method: str, url: str, body: Callable[[], bytes], headers: Mapping[str, str]
    ) -> Any:
        """As in a test, and the parent knows that something is to come."""
        if not self._wanted(method, url):
            self._saw_other(url)
            return None
        owner = self._of_name(self._at_work())
        with self.owners.at_work(owner):
            begun = super().begin(method, url, body, headers)
        if begun is not None:
            self._tell(owner.name, begun=1)
            self._news.set()
        return begun

    def end(self, attempt: Attempt, ended: Ended, error: BaseException | None = None) -> None:
        """As in a test, and told at once: a pool may stop this process the next moment."""
        super().end(attempt, ended, error)
        try:
            if self._spending is not None:
                self._spending.settle()
            self.tell()
        except Exception as fault:
            self.fault("telling of a call", fault)

    def _at_work(self) -> str:
        """Whoever started this process; the work of a fixture's server is that of its askers."""
        if not self._started_by.startswith("fixture:"):
            return self._started_by
        try:
            running = (self._folder / RUNNING).read_text(encoding="utf-8")
        except OSError:
            running = ""
        return running or self._started_by

    def _of_name(self, name: str) -> Owner:
        return self._known.setdefault(name, Owner(name))

    def _tell(self, owner: str, **what: Any) -> None:
        try:
            if self._spool is None:
                self._spool = SpoolFile(self._folder)
                threading.Thread(target=self._keep_telling, name="crashlens", daemon=True).start()
            self._spool.tell(owner, **what)
        except (OSError, RuntimeError):
            pass  # the folder is gone, so nobody listens; or no thread can be started any more

    def _keep_telling(self) -> None:
        while self._news.wait():
            self._news.clear()
            while self.tell():
                time.sleep(0.02)

    def tell(self, *, finally_: bool = False) -> bool:
        """Tell the calls that have ended; whether something is still to come.

        A failed attempt waits a while for its retry, and ``finally_`` nothing waits any longer.
        """
        waiting = False
        if finally_ and self._spending is not None:
            self._spending.settle(finally_=True)
        with self._telling:
            for name, owner in list(self._known.items()):
                held = self._held.pop(name, [])
                held += self.take_all(owner) if finally_ else self.take(owner, keep_streams=True)
                over = [call for call in group(held) if finally_ or self._is_over(call)]
                known = [attempt for call in over for attempt in call]
                rest = [one for one in held if all(one is not told for told in known)]
                if rest:
                    self._held[name] = rest
                waiting = waiting or bool(rest or owner.attempts)
                if known or owner.uncaptured or owner.refused or self.faults:
                    self._tell_calls(owner, known)
        return waiting

    def _is_over(self, call: list[Exchange]) -> bool:
        last = call[-1]
        answered = last.status is not None and last.status < 400
        return answered or self._clock() - (last.finished or 0) > QUIET

    def forked(self) -> None:
        """Begin anew in a copy of this process: what the other has seen is told by the other."""
        for owner in self._known.values():
            owner.attempts.clear()
            owner.uncaptured.clear()
            owner.refused.clear()
        if self._spending is not None:
            self._spending.forked()
        self._spool = None
        self._held.clear()
        self._telling = threading.RLock()
        self._news = threading.Event()
        self.faults.clear()
        _tell_at_exit(self)

    def _tell_calls(self, owner: Owner, known: list[Exchange]) -> None:
        calls = read_calls(
            known, count=_LazyCounter(), fingerprint_key=self._key, infer=self._infer
        )
        self._tell(
            owner.name,
            ended=len(known),
            calls=[call.to_dict() for call in calls],
            uncaptured=owner.take_uncaptured(),
            refused=owner.take_refused(),
            faults=tuple(self.faults),
        )
        self.faults.clear()


class _Unknown:
    """Caps that could not be read: nothing may be spent."""

    def watch(self, attempt: Attempt, owner: Owner) -> None:
        pass

    def refusal(self, attempt: Attempt, owner: Owner) -> str | None:
        raise LookupError


class _LazyInference:
    """Infers tasks with rules that are loaded, which takes time, when they are needed."""

    def __call__(self, system: str, user: str) -> Inferred:
        return self._inference(system, user)

    @cached_property
    def _inference(self) -> Infer:
        from pytest_crashlens.tasks.infer import TaskInference

        return TaskInference()


class _LazyCounter:
    """A token counter that is loaded, which takes half a second, when it is needed."""

    def text(self, text: str, model: str | None) -> Count:
        return self._counter.text(text, model)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str | None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Count:
        return self._counter.chat(messages, model, tools)

    @cached_property
    def _counter(self) -> Counter:
        from pytest_crashlens.tokens.counting import TokenCounter

        return TokenCounter.load()


def start() -> None:
    """Measure this process, if the environment says so."""
    text = os.environ.get(ENVIRONMENT)
    if text:
        begin(Orders.from_text(text), os.environ.get(OWNER, "a process of unknown origin"))


def begin(orders: Orders, started_by: str) -> None:
    """Record what this process and its forks send until they end."""
    recorder = TellingRecorder(
        orders,
        started_by,
        wanted=wanted,
        call_sites=CallSites(Path(orders.root)),
        is_provider=serves_models,
        live_calls=None if orders.allowed_hosts is None else LiveCalls(orders.allowed_hosts),
    )
    recorder.start()
    recorder.hold_caps()
    os.register_at_fork(after_in_child=recorder.forked)
    atexit.register(recorder.tell, finally_=True)
    _tell_at_exit(recorder)


def _tell_at_exit(recorder: TellingRecorder) -> None:
    """Forks of ``multiprocessing`` end without :mod:`atexit`, and forget what they inherited."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:

        def finalize(recorder: TellingRecorder) -> None:
            util.Finalize(None, recorder.tell, kwargs={"finally_": True}, exitpriority=100)

        util.register_after_fork(recorder, finalize)
