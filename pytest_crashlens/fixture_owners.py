"""Whose work fixtures are: the test's, or, where they outlive one test, their own."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

from pytest_crashlens.capture.owners import Owner, Owners
from pytest_crashlens.model.phase_usage import SET_UP

NAME = "crashlens-fixture-owners"

_XUNIT_NAME = re.compile(r"^_(?:xunit|unittest)_(\w+?)_fixture_.*$")
"""pytest's own name for ``setup_module`` and the like, which tells of the class or file too."""


class FixtureOwners:
    """The plugin object that gives long-lived fixtures an owner for each set-up."""

    def __init__(self, owners: Owners, rootpath: Path) -> None:
        self._owners = owners
        self._rootpath = rootpath
        self._by_key: dict[str, Owner] = {}
        self._set_ups = 0
        self._set_up: list[str] = []

    @property
    def all(self) -> list[Owner]:
        """The owners that are alive or have something to tell yet, named ``key #number``."""
        return list(self._by_key.values())

    def forget_finished(self) -> None:
        """Drop the owners that are torn down and have told everything."""
        for key, owner in list(self._by_key.items()):
            if owner.finished and not owner.has_news:
                del self._by_key[key]

    def take_set_up(self) -> tuple[str, ...]:
        """Keys of those set up well since the last take."""
        taken, self._set_up = self._set_up, []
        return tuple(taken)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            with self._fixture_in_context(fixturedef, self._owners.running):
                return (yield)
        # set up anew for other tests it spends anew: each time is judged by itself
        self._set_ups += 1
        key = f"{self._fixture_key(fixturedef, request)}{SET_UP}{self._set_ups}"
        owner = self._by_key[key] = Owner(key)
        owners = self._owners
        teardown = owners.at_work(owner)

        def enter() -> None:
            owner.idle = False
            teardown.__enter__()

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
            owner.idle = True
            fixturedef.addfinalizer(enter)

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
        wrapped = in_context_of(getattr(original, "__func__", original), self._owners, owner)
        bound_to = getattr(original, "__self__", None)
        func = wrapped if bound_to is None else MethodType(wrapped, bound_to)
        fixturedef.func = func  # type: ignore[misc]  # as the plugins that run such fixtures do
        try:
            yield
        finally:
            if fixturedef.func is func:
                fixturedef.func = original  # type: ignore[misc]

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


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def in_context_of(function: Callable[..., Any], owners: Owners, owner: Owner) -> Callable[..., Any]:
    """``function`` (a coroutine function or asynchronous generator) as the work of ``owner``."""
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def steps(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            owners.enter_context_of(owner)
            async with aclosing(function(*args, **kwargs)) as generator:
                async for value in generator:
                    yield value
                    owners.enter_context_of(owner)

        return steps

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        owners.enter_context_of(owner)
        before, owner.coroutine = owner.coroutine, function(*args, **kwargs)
        try:
            return await owner.coroutine
        finally:
            owner.coroutine = before

    return run
