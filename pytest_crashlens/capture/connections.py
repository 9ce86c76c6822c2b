"""Who is about to connect where: the one place that all clients of a host name pass.

``socket.getaddrinfo`` is looked up for every new connection by the standard library's clients,
asyncio, httpcore, urllib3, aiohttp and websockets. Clients in C with a resolver of their own
(gRPC, uvloop, pycurl) do not pass here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pytest_crashlens.capture.imports import put, together
from pytest_crashlens.capture.recorder import Recorder


def patch(module: Any, recorder: Recorder) -> Callable[[], None]:
    """Tell ``recorder`` of every host that the ``socket`` module is asked for.

    Where live calls are refused also of every address: asyncio looks no address up.
    """
    original = module.getaddrinfo

    @functools.wraps(original)
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if host:
            recorder.reaching(_text(host))
        return original(host, *args, **kwargs)

    undo = [put(module, "getaddrinfo", getaddrinfo)]
    if recorder.live_calls is not None:
        undo += [put(module.socket, name, _connect(module, name, recorder)) for name in CONNECTS]
    return together(*undo)


CONNECTS = ("connect", "connect_ex")


def _connect(module: Any, name: str, recorder: Recorder) -> Any:
    original = getattr(module.socket, name)

    @functools.wraps(original)
    def connect(self: Any, address: Any, /) -> Any:
        __tracebackhide__ = True
        if isinstance(address, tuple) and address:
            recorder.reaching(_text(address[0]))
        return original(self, address)

    return connect


def _text(host: Any) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
