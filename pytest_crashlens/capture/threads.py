"""Work handed to another thread stays with whoever handed it over.

A new thread starts with an empty context (before Python 3.14), and a pool's thread serves many
owners one after the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pytest_crashlens.capture.imports import put
from pytest_crashlens.capture.owners import Carried, Owners
from pytest_crashlens.capture.recorder import Recorder


def patch_threading(module: Any, recorder: Recorder) -> Callable[[], None]:
    """Threads of the ``threading`` module remember from where they were started."""
    thread_class = module.Thread
    original = thread_class.__dict__["start"]
    owners = recorder.owners

    @functools.wraps(original)
    def start(self: Any) -> None:
        try:
            owners.started(self, recorder.call_site())
        except Exception as fault:
            recorder.fault("start of a thread", fault)
        original(self)

    return put(thread_class, "start", start)


def patch_executor(module: Any, recorder: Recorder) -> Callable[[], None]:
    """What is submitted to a ``ThreadPoolExecutor`` belongs to whoever submits it."""
    executor_class = module.ThreadPoolExecutor
    original = executor_class.__dict__["submit"]
    owners = recorder.owners

    @functools.wraps(original)
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            carried = owners.carried(recorder.call_site())
        except Exception as fault:
            recorder.fault("hand-over to a thread", fault)
            carried = Carried(None, None)
        if carried.owner is None:
            return original(self, fn, *args, **kwargs)
        return original(self, _continued, owners, carried, fn, args, kwargs)

    return put(executor_class, "submit", submit)


def _continued(
    owners: Owners,
    carried: Carried,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    __tracebackhide__ = True
    with owners.continued(carried):
        return fn(*args, **kwargs)
