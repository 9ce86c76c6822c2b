"""Who a request belongs to: a test, or a fixture that outlives one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

from pytest_crashlens.capture.attempt import Attempt


@dataclass(eq=False, slots=True)
class Owner:
    """A test or fixture, with the attempts seen for it that nobody has taken yet."""

    name: str
    task: str | None = None
    """Task label of its requests, unless the context has another."""
    finished: bool = False
    attempts: list[Attempt] = field(default_factory=list)


class Owners:
    """Finds the owner of a request: the context's, else the one that is running.

    Contexts travel with asyncio tasks and are empty in threads, where the running owner is the
    best answer. An owner that has finished owns nothing more: its stragglers go to ``late``.
    """

    def __init__(self) -> None:
        self._context: ContextVar[Owner | None] = ContextVar("crashlens_owner", default=None)
        self._task: ContextVar[str | None] = ContextVar("crashlens_task", default=None)
        self._running: list[Owner] = []
        self.late = Owner("late")

    @property
    def running(self) -> Owner | None:
        """The innermost owner at work in this process."""
        return self._running[-1] if self._running else None

    def of_request(self) -> Owner:
        """The owner of a request that is sent here and now."""
        owner = self._context.get() or self.running
        return self.late if owner is None or owner.finished else owner

    @contextmanager
    def at_work(self, owner: Owner) -> Iterator[Owner]:
        """``owner`` owns what is sent inside, in this context and in threads."""
        self._running.append(owner)
        token = self._context.set(owner)
        try:
            yield owner
        finally:
            if owner in self._running:
                self._running.remove(owner)
            with suppress(ValueError):  # left in another context than entered: it dies with that
                self._context.reset(token)

    def task_of(self, owner: Owner) -> str | None:
        """The task label of what ``owner`` sends here and now."""
        return self._task.get() or owner.task

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
