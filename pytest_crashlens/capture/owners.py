"""Who a request belongs to: a test, or a fixture that outlives one test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.model.call import Call

_NOBODY = ("late", "no test")
"""Names of owners that are no test or fixture; the latter is said by processes started there."""


@dataclass(eq=False, slots=True)
class Owner:
    """A test or fixture, with the attempts seen for it that nobody has taken yet."""

    name: str
    task: str | None = None
    """Task label of its requests, unless the context has another."""
    finished: bool = False
    idle: bool = False
    """Set up and waiting to be torn down: what it left running works for whoever runs now."""
    attempts: list[Attempt] = field(default_factory=list)
    coroutine: Any = None
    """Its asynchronous test function or fixture, which waits while frameworks run tasks for it."""
    told: list[Call] = field(default_factory=list)
    """Calls that another process made for it, as that process tells them."""
    others: set[str] = field(default_factory=set)
    """Provider hosts of requests that were seen and are no LLM calls."""
    uncaptured: dict[str, None] = field(default_factory=dict)
    """Provider hosts that were looked up without a request that an adapter saw."""
    refused: list[str] = field(default_factory=list)
    """Live calls that were refused or should have been, a sentence each."""

    @property
    def title(self) -> str:
        """Its name without the number of a fixture's set-up."""
        return self.name.partition(" #")[0]

    @property
    def where(self) -> str:
        """Where its requests are sent, as the end of a sentence."""
        return "outside of tests" if self.name in _NOBODY else f"in {self.title}"

    @property
    def has_news(self) -> bool:
        """Whether there is something that nobody has taken yet."""
        return bool(self.attempts or self.told or self.uncaptured or self.refused)

    def take_told(self) -> list[Call]:
        """What other processes told since the last take."""
        taken, self.told = self.told, []
        return taken

    def take_uncaptured(self) -> tuple[str, ...]:
        """Hosts looked up since the last take."""
        taken, self.uncaptured = tuple(self.uncaptured), {}
        return taken

    def take_refused(self) -> tuple[str, ...]:
        """Refusals since the last take."""
        taken, self.refused = tuple(self.refused), []
        return taken


@dataclass(frozen=True, slots=True)
class Carried:
    """What a piece of work takes along into another thread."""

    owner: Owner | None
    task: str | None
    call_site: str | None = None
    """The line of the project that handed it over."""


class Owners:
    """Finds the owner of a request: the context's, the thread's, else the one that is running.

    Contexts travel with asyncio tasks; threads are empty of them and belong to whoever started
    them. An owner that has finished owns nothing more: its stragglers go to ``late``.
    """

    def __init__(self) -> None:
        self._context: ContextVar[Owner | None] = ContextVar("crashlens_owner", default=None)
        self._task: ContextVar[str | None] = ContextVar("crashlens_task", default=None)
        self._handed_over_at: ContextVar[str | None] = ContextVar("crashlens_site", default=None)
        self._running: list[Owner] = []
        self._threads: WeakKeyDictionary[threading.Thread, Carried] = WeakKeyDictionary()
        self.late = Owner("late")
        self.on_change: Callable[[Owner | None], None] = lambda owner: None
        """Called with the innermost owner at work when that has changed."""

    @property
    def running(self) -> Owner | None:
        """The innermost owner at work in this process."""
        return self._running[-1] if self._running else None

    def of_request(self) -> Owner:
        """The owner of a request that is sent here and now."""
        origin = self.origin()
        return self.late if origin is None or origin.finished else origin

    def origin(self) -> Owner | None:
        """The same, but also when it has finished: who started what goes on here and now."""
        owner = self._context.get() or self._of_thread().owner
        return (self.running or owner) if owner is None or owner.idle else owner

    def carried(self, call_site: str | None) -> Carried:
        """What work that ``call_site`` hands to another thread here and now takes along."""
        thread = self._of_thread()
        return Carried(
            self._context.get() or thread.owner,
            self._task.get() or thread.task,
            call_site or self.handed_over_at(),
        )

    def handed_over_at(self) -> str | None:
        """The line of the project that handed the work here and now to this thread."""
        return self._handed_over_at.get() or self._of_thread().call_site

    def started(self, thread: threading.Thread, call_site: str | None) -> None:
        """``thread`` is about to be started from here."""
        carried = self.carried(call_site)
        if carried.owner is not None or carried.task is not None:
            self._threads[thread] = carried

    @contextmanager
    def continued(self, carried: Carried) -> Iterator[None]:
        """Work that was handed over goes on inside."""
        owner, task = self._context.set(carried.owner), self._task.set(carried.task)
        place = self._handed_over_at.set(carried.call_site)
        try:
            yield
        finally:
            self._handed_over_at.reset(place)
            self._task.reset(task)
            self._context.reset(owner)

    def _of_thread(self) -> Carried:
        return self._threads.get(threading.current_thread(), _NOTHING)

    @contextmanager
    def at_work(self, owner: Owner) -> Iterator[Owner]:
        """``owner`` owns what is sent inside, in this context and in threads."""
        self._running.append(owner)
        self.on_change(owner)
        token = self._context.set(owner)
        try:
            yield owner
        finally:
            if owner in self._running:
                self._running.remove(owner)
            self.on_change(self.running)
            with suppress(ValueError):  # left in another context than entered: it dies with that
                self._context.reset(token)

    def task_of(self, owner: Owner) -> str | None:
        """The task label of what ``owner`` sends here and now."""
        return self._task.get() or self._of_thread().task or owner.task

    @contextmanager
    def labelled(self, task: str) -> Iterator[None]:
        """What this context sends inside has the label ``task``."""
        token = self._task.set(task)
        try:
            yield
        finally:
            self._task.reset(token)

    def enter_context_of(self, owner: Owner) -> None:
        """Say inside a coroutine whose work it is (its runner may keep another test's context)."""
        self._context.set(owner)


_NOTHING = Carried(None, None)
