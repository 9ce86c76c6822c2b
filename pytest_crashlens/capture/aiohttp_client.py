"""Adapter for ``aiohttp``: what ``ClientSession.request``, ``.post`` and their like return.

They return an awaitable around ``ClientSession._request``, which is what mock and replay tools
replace: so the awaitable is taken over, and ``_request`` is left to them. Where httpx sends through
aiohttp, the attempt is already in flight and is not recorded twice.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from typing import Any

from pytest_crashlens.capture.aiohttp_request import Asked
from pytest_crashlens.capture.aiohttp_tee import StreamTees
from pytest_crashlens.capture.bodies import inflate
from pytest_crashlens.capture.imports import put, together
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sending import AttemptReader, Begun, is_recorded

VERBS = ("get", "options", "head", "post", "put", "patch", "delete")
"""Each goes to ``_request`` by itself, not through ``request``."""

OWN_APP = "TestClient._request"
"""Sends to an application served in this process: the user's own server, no provider."""

_FRAMES = 8
"""How far up the stack is looked for it: other libraries may wrap what we wrap."""


def patch(module: Any, recorder: Recorder) -> Callable[[], None]:
    """Record what sessions of ``aiohttp`` send from now on, also those made before."""
    session_class = module.ClientSession
    if is_recorded(session_class.__dict__["request"], recorder):
        return lambda: None
    reader = _Reader(module, recorder)
    undo = [put(session_class, "request", _sends(session_class, "request", None, reader))]
    undo += [put(session_class, verb, _sends(session_class, verb, verb, reader)) for verb in VERBS]
    alone = _sends_alone(module.request, reader)
    undo += [put(module, "request", alone), put(module.client, "request", alone)]
    undo.append(put(module.BaseConnector, "connect", _connect(module.BaseConnector, recorder)))
    return together(*undo)


def _sends(session_class: Any, name: str, verb: str | None, reader: _Reader) -> Any:
    """``ClientSession.request`` (``verb`` is None) or one of the verbs."""
    original = session_class.__dict__[name]

    @functools.wraps(original)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        manager = original(self, *args, **kwargs)
        reader.take_over(manager, self, (args if verb is None else (verb, *args)), kwargs)
        return manager

    request.crashlens_recorder = reader.recorder  # type: ignore[attr-defined]
    return request


def _sends_alone(original: Any, reader: _Reader) -> Any:
    """``aiohttp.request``, which makes a session and calls its ``_request``."""

    @functools.wraps(original)
    def request(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        manager = original(*args, **kwargs)
        reader.take_over(manager, getattr(manager, "_session", None), args, kwargs)
        return manager

    return request


def _connect(connector_class: Any, recorder: Recorder) -> Any:
    """Takes a connection from the pool or makes one: whoever gets here goes to the network."""
    original = connector_class.__dict__["connect"]

    @functools.wraps(original)
    async def connect(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        host = _host(req)
        if host:
            recorder.reaching(host)
        return await original(self, req, *args, **kwargs)

    return connect


def _host(request: Any) -> str | None:
    url = getattr(request, "url", None)
    host = getattr(url, "raw_host", None)
    return host if isinstance(host, str) else None


class _Reader(AttemptReader):
    def __init__(self, module: Any, recorder: Recorder) -> None:
        self.recorder = recorder
        self._response_error = module.ClientResponseError
        self._tees = StreamTees(module, recorder)

    def take_over(
        self, manager: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Put ourselves around the coroutine that ``manager`` is going to await."""
        try:
            coro = getattr(manager, "_coro", None)
            if isinstance(coro, Coroutine):
                manager._coro = _Sending(coro, self._steps(coro, Asked(session, args, kwargs)))
        except Exception as fault:
            self.recorder.fault("capture of a request", fault)

    def _steps(self, coro: Any, asked: Asked) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        sent = self.before(asked, (), {})
        try:
            response = yield from coro.__await__()
        except BaseException as error:
            self.instead(sent, error)
            raise
        self.after(sent, response)
        return response

    def begin(self, client: Asked, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Begun | None:
        """``client`` is what is asked: by now it is too late to look at arguments."""
        if _is_own_app():
            return None
        try:
            method, url, headers = client.method, client.url(), client.headers()
        except (KeyError, TypeError, ValueError):
            return None  # no request can be made of this: aiohttp is going to say so
        if "upgrade" in headers:
            return None  # a web socket: no request that we see the answer of
        begun = self.recorder.begin(method, url, client.body, headers)
        if begun is not None and not client.decompressed:
            begun[0].decode = inflate
        return begun

    def failed(self, sent: Begun, error: BaseException) -> None:
        attempt, _ = sent
        if isinstance(error, self._response_error) and error.status and error.headers:
            # raise_for_status: an answer came, though nobody gets to see it
            self.recorder.answered(attempt, error.status, error.headers)
        super().failed(sent, error)

    def answered(self, sent: Begun, response: Any) -> None:
        attempt, _ = sent
        attempt.live = bool(attempt.live)
        self.recorder.answered(attempt, response.status, response.headers)
        body = getattr(response, "_body", None)
        if body is not None:  # read already, by a replay tool or a middleware
            attempt.keep(bytes(body))
            self.recorder.end(attempt, "complete")
        else:
            self._tees.put_on(response.content, attempt)


class _Sending(Coroutine[Any, Any, Any]):
    """A coroutine with our ``steps`` around it, to be told from it by nobody.

    No coroutine function of ours: if it is never awaited, Python warns of the coroutine inside,
    and would warn of ours as well.
    """

    __slots__ = ("_coro", "_steps")

    def __init__(self, coro: Any, steps: Any) -> None:
        self._coro = coro
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        over = self._steps.gi_frame is None  # then it is the coroutine's to say so
        awaited: Generator[Any, Any, Any] = self._coro.__await__() if over else self._steps
        return awaited

    def send(self, value: Any) -> Any:
        return self._now.send(value)

    def throw(self, *error: Any) -> Any:
        if inspect.getgeneratorstate(self._steps) == inspect.GEN_CREATED:
            self._steps.close()  # cancelled before it began
        return self._now.throw(*error)

    def close(self) -> None:
        self._steps.close()
        self._coro.close()

    @property
    def _now(self) -> Any:
        return self._coro if self._steps.gi_frame is None else self._steps


def _is_own_app() -> bool:
    frame = sys._getframe(3)
    for _ in range(_FRAMES):
        if frame.f_code.co_qualname == OWN_APP:
            return frame.f_globals.get("__name__") == "aiohttp.test_utils"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False
