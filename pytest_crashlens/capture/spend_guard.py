"""Where requests leave for the network, one by one, also over connections that are open already.

Below the mock and replay tools and above the sockets: what passes here is live. A spend cap asks
here before anything of a request is written. Installed only where there is a cap.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.imports import Interposition, put, together
from pytest_crashlens.capture.live_calls import in_a_pool
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder

SPEND_CAP = "spend cap"
"""How each refusal begins."""


class SpendCapReached(BaseException):
    """A request was refused before it was sent, as it would cost more than may be spent.

    No ``Exception``, for the reasons of ``LiveCallBlocked``.
    """


class _SpendCapReachedInPool(SpendCapReached, Exception):
    """The same where workers of a ``multiprocessing`` pool die of anything but an Exception."""


_SpendCapReachedInPool.__name__ = SpendCapReached.__name__


class Spending(Protocol):
    """Decides which requests may go out."""

    def watch(self, attempt: Attempt, owner: Owner) -> None:
        """``attempt`` has begun: what it costs is spent once it has ended."""

    def refusal(self, attempt: Attempt, owner: Owner) -> str | None:
        """Why ``attempt`` must not go out; None: it may, and is under way from now on."""


class SpendGuard:
    """Asks ``spending`` about every attempt of ``recorder`` that is about to go out."""

    def __init__(self, recorder: Recorder, spending: Spending) -> None:
        self._recorder = recorder
        self._spending = spending
        patches: dict[str, Callable[..., Callable[[], None]]] = {
            "httpcore": _patch_httpcore,
            "httpcore2": _patch_httpcore,
            "http.client": _patch_http_client,
            "aiohttp": _patch_aiohttp,
        }
        self._interposition = Interposition(
            {name: partial(patch, guard=self) for name, patch in patches.items()}, recorder.fault
        )

    def install(self) -> None:
        """Ask from now on; after the recorder's own interposition."""
        self._recorder.on_begin = self._spending.watch
        self._recorder.before_sending = self.going_out
        self._interposition.install()

    def remove(self) -> None:
        """Undo it; before the recorder's own interposition."""
        self._interposition.remove()

    def going_out(self) -> None:
        """What is in flight here and now is about to be written to a network.

        Raises:
            SpendCapReached: it must not.
        """
        __tracebackhide__ = True
        refusal = None
        try:
            attempt, owner = self._recorder.in_flight()
            if attempt is not None and owner is not None:
                refusal = self._refusal(attempt, owner)
                if refusal is not None:
                    attempt.error = SpendCapReached.__name__  # whatever it is wrapped in further up
                    told = (self._recorder.owners.late if owner.finished else owner).refused
                    if refusal not in told:  # a loop may ask without end
                        told.append(refusal)
        except Exception as fault:  # of what to ask about: nothing is known to go out
            self._recorder.fault("look at the spend cap", fault)
        if refusal is not None:
            raise (_SpendCapReachedInPool if in_a_pool() else SpendCapReached)(refusal)

    def _refusal(self, attempt: Attempt, owner: Owner) -> str | None:
        """Money is not spent because of a fault of ours."""
        try:
            return self._spending.refusal(attempt, owner)
        except Exception as fault:
            self._recorder.fault("look at the spend cap", fault)
            return (
                f"{SPEND_CAP} cannot be held: {type(fault).__name__} in crashlens itself; refused: "
                f"{attempt.method} {attempt.url.partition('?')[0]}, {owner.where}"
            )


def _patch_httpcore(module: Any, guard: SpendGuard) -> Callable[[], None]:
    """Before a connection is taken from the pool: one taken and not used would be lost to it."""
    pool, async_pool = module.ConnectionPool, module.AsyncConnectionPool
    handle, async_handle = pool.handle_request, async_pool.handle_async_request

    @functools.wraps(handle)
    def handle_request(self: Any, request: Any) -> Any:  # respx looks at the names of arguments
        __tracebackhide__ = True
        guard.going_out()
        return handle(self, request)

    @functools.wraps(async_handle)
    async def handle_async_request(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        guard.going_out()
        return await async_handle(self, request)

    return together(
        put(pool, "handle_request", handle_request),
        put(async_pool, "handle_async_request", handle_async_request),
    )


def _patch_http_client(module: Any, guard: SpendGuard) -> Callable[[], None]:
    """urllib, urllib3 (so requests) and botocore send over its connections."""
    connection = module.HTTPConnection
    original = connection.__dict__["putrequest"]

    @functools.wraps(original)
    def putrequest(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        guard.going_out()
        return original(self, *args, **kwargs)

    return put(connection, "putrequest", putrequest)


def _patch_aiohttp(module: Any, guard: SpendGuard) -> Callable[[], None]:
    """Every request asks the connector for a connection, which may be open already."""
    connector = module.BaseConnector
    original = connector.__dict__["connect"]

    @functools.wraps(original)
    async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        guard.going_out()
        return await original(self, *args, **kwargs)

    return put(connector, "connect", connect)
