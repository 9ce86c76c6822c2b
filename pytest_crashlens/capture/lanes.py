"""Where a request is sent from: what a retry has in common with the attempt before it."""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from threading import get_ident
from typing import Any
from weakref import WeakKeyDictionary


class Lanes:
    """Names the thread, event loop and task of here and now (``thread/loop/task``).

    Loops and tasks are numbered: an address may be that of an earlier one, which is gone.
    """

    def __init__(self) -> None:
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._next = count(1)

    def here(self) -> str:
        """The lane; loop and task are empty where none runs."""
        loop, task = _asyncio() or _trio() or (None, None)
        return f"{get_ident()}/{self._number(loop)}/{self._number(task)}"

    def _number(self, thing: Any) -> str:
        if thing is None:
            return ""
        try:
            number = self._numbers.get(thing)
            if number is None:
                number = self._numbers[thing] = next(self._next)
        except TypeError:  # of a kind that cannot be remembered without keeping it alive
            return f"id{id(thing)}"
        return str(number)


def _asyncio() -> tuple[Any, Any] | None:
    try:
        return asyncio.get_running_loop(), asyncio.current_task()
    except RuntimeError:
        return None


def _trio() -> tuple[Any, Any] | None:
    trio = sys.modules.get("trio")
    try:
        return (trio.lowlevel.current_trio_token(), trio.lowlevel.current_task()) if trio else None
    except RuntimeError:
        return None
