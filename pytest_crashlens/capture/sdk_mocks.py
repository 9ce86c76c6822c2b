"""Mocks of the SDKs' own classes, which no HTTP adapter can see.

A mock's answer that an SDK could have given is measured (on request) as a simulated call. What is
not measured is named, so that nobody takes its silence for a cost of zero.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from pytest_crashlens.capture import sdk_names
from pytest_crashlens.capture.imports import put, together
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sdk_objects import exchange_of, refusal_of, sdk_of, states_usage
from pytest_crashlens.model.exchange import Exchange

Mark = tuple[Owner, int]
"""How far an owner's attempts had come."""

_COPYABLE: tuple[type, ...] = (type(iter([])), type(iter(())))
"""Iterators whose copies leave them as they are."""

_NEVER_SENT = {"APIConnectionError": "ConnectError"}


class SdkMocks:
    """What tests do with mocked SDKs, in one process."""

    def __init__(self, recorder: Recorder, *, measured: bool) -> None:
        """``measured``: turn readable answers into calls; False: only name them."""
        self.recorder = recorder
        self.measured = measured
        self._named: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._called: dict[str, None] = {}
        self._replaced: dict[str, None] = {}

    def take(self, *, last: bool, measured: bool, recorded: bool) -> tuple[str, ...]:
        """Names of what was called and not measured since the last take.

        With the ``last`` take of a test also what it replaced by something that cannot be watched,
        unless its calls were ``measured``: then that asked the SDK, or was there for another end.
        A test that has ``recorded`` calls itself has told of its mocks.
        """
        names, self._called = self._called, {}
        if recorded:
            names.clear()
        if last:
            if not measured:
                names |= self._replaced
            self._replaced = {}
        return tuple(names)

    def note(self, name: str) -> None:
        """``name`` was called and is not measured."""
        self._called[name] = None

    def mark(self) -> Mark:
        """The place from which :meth:`sent_since` looks."""
        owner = self.recorder.owners.of_request()
        return owner, len(owner.attempts)

    def sent_since(self, mark: Mark) -> bool:
        """Whether a request of this thread and task was captured since ``mark``."""
        owner, start = mark
        new = owner.attempts[start:]
        if not new:
            return False
        here = self.recorder.lanes.here()
        return any(attempt.lane == here for attempt in new)

    def add(self, exchange: Exchange) -> bool:
        """Add a simulated attempt; False: it is no LLM call to the formats that are known."""
        recorder = self.recorder
        begun = recorder.begin(
            exchange.method,
            exchange.url,
            lambda: exchange.request_body,
            exchange.request_headers,
        )
        if begun is None:
            return False
        attempt, token = begun
        recorder.leave(token)
        attempt.live = False
        if exchange.status is not None:
            recorder.answered(attempt, exchange.status, exchange.response_headers)
            attempt.keep(exchange.response_body)
        recorder.end(attempt, exchange.ended)
        attempt.error = exchange.error
        return True

    # what mocks are told and asked

    def patched(self, target: object, attribute: str, original: object, new: object) -> None:
        """``target.attribute`` was ``original`` and is ``new``."""
        name = sdk_names.stands_for(target, attribute, original)
        if name is None:
            return
        watched = [one for one in (new, _mock_within(new)) if _is_mock(one)]
        for mock in watched:
            self._name(mock, name)
        if not watched and not sdk_names.is_of_sdk(new) and sdk_names.may_call(name):
            self._replaced[name] = None

    def _name(self, mock: Any, name: str) -> None:
        key = id(mock)
        self._named[key] = (weakref.ref(mock, lambda _: self._named.pop(key, None)), name)

    def answered(
        self, mock: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any, mark: Mark
    ) -> None:
        """``mock`` was called and gave ``result``."""
        name = self._call_of(mock, args, kwargs)
        kind = type(result)
        typed = sdk_of(kind) is not None
        chunks = None if typed else _chunks(result)
        if (name is None and not typed and chunks is None) or self.sent_since(mark):
            return
        plain = name is not None and type(result) is dict
        answer = result if typed or plain else chunks
        readable = answer is not None and states_usage(answer, plain_too=plain)
        asked = args[-1] if name == sdk_names.API_CALL else kwargs
        if readable and self.measured and self.add(exchange_of(answer, asked=asked)):
            return
        if name is not None or readable:
            first = answer[0] if isinstance(answer, list) else result
            self.note(name or f"{type(first).__module__}.{type(first).__qualname__}")

    def raised(
        self,
        mock: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        error: BaseException,
        mark: Mark,
    ) -> None:
        """``mock`` was called and raised ``error``: an SDK's error is a refused attempt."""
        sdk = sdk_of(type(error))
        if not self.measured or sdk is None:
            return
        path = sdk_names.path_of(self._call_of(mock, args, kwargs) or "")
        if path is None or self.sent_since(mark):
            return
        status = getattr(error, "status_code", None)
        status = status if isinstance(status, int) else None
        name = type(error).__name__
        told = _NEVER_SENT.get(name, name) if status is None else None
        self.add(refusal_of(sdk, path, kwargs, status=status, error=told))

    def _call_of(self, mock: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """The name of the SDK's call that ``mock`` stands for."""
        path = ""
        node = mock
        while True:
            plain = node.__dict__
            named = self._named.get(id(node))
            name = named[1] if named and named[0]() is node else sdk_names.spec_name(plain)
            if name is not None:
                name += path
                return name if sdk_names.is_call(name, args) else None
            parent, last = plain.get("_mock_new_parent"), plain.get("_mock_new_name") or ""
            if parent is None:
                break
            path = f"{last}{path}" if last == "()" else f".{last}{path}"
            node = parent
        return f"mock{path}" if sdk_names.is_shaped_like_a_call(path, kwargs) else None


def patch_mock(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    """Watch the mocks of ``unittest.mock`` (or its backport ``mock.mock``)."""
    return together(
        _watch_calls(module, mocks),
        _watch_awaits(module, mocks),
        _watch_patches(module, mocks),
    )


def _watch_calls(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    original = module.CallableMixin.__dict__["_mock_call"]
    awaited = module.AsyncMockMixin
    guarded = _Guarded(mocks)

    @functools.wraps(original)
    def _mock_call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if isinstance(self, awaited):  # its answer comes when it is awaited
            return original(self, *args, **kwargs)
        mark = guarded.mark()
        try:
            result = original(self, *args, **kwargs)
        except Exception as error:
            guarded.raised(self, args, kwargs, error, mark)
            raise
        guarded.answered(self, args, kwargs, result, mark)
        return result

    return put(module.CallableMixin, "_mock_call", _mock_call)


def _watch_awaits(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    original = module.AsyncMockMixin.__dict__["_execute_mock_call"]
    guarded = _Guarded(mocks)

    @functools.wraps(original)
    async def _execute_mock_call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        mark = guarded.mark()
        try:
            result = await original(self, *args, **kwargs)
        except Exception as error:
            guarded.raised(self, args, kwargs, error, mark)
            raise
        guarded.answered(self, args, kwargs, result, mark)
        return result

    return put(module.AsyncMockMixin, "_execute_mock_call", _execute_mock_call)


def _watch_patches(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    original = module._patch.__dict__["__enter__"]

    @functools.wraps(original)
    def __enter__(self: Any) -> Any:
        __tracebackhide__ = True
        entered = original(self)
        try:
            # vars: what is set may be a descriptor, and a target may compute its attributes
            target, attribute = self.target, self.attribute
            new = inspect.getattr_static(target, attribute, None)
            mocks.patched(target, attribute, self.temp_original, new)
        except Exception as fault:
            mocks.recorder.fault("look at a patch", fault)
        return entered

    return put(module._patch, "__enter__", __enter__)


def patch_monkeypatch(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    """Watch what ``MonkeyPatch.setattr`` of pytest puts in the place of an SDK's parts."""
    original = module.MonkeyPatch.__dict__["setattr"]

    @functools.wraps(original)
    def setattr(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: A001
        __tracebackhide__ = True
        try:
            patched = _patched(*args, **kwargs)
        except Exception:  # wrong arguments: pytest says so
            patched = None
        original(self, *args, **kwargs)
        try:
            if patched is not None:
                mocks.patched(*patched)
        except Exception as fault:
            mocks.recorder.fault("look at a patch", fault)

    return put(module.MonkeyPatch, "setattr", setattr)


_NOTHING: Any = object()


def _patched(
    target: Any, name: Any, value: Any = _NOTHING, raising: bool = True
) -> tuple[Any, str, Any, Any]:
    """Target, attribute, original and replacement of a ``setattr`` that is yet to be done."""
    if value is _NOTHING:
        path, new = str(target), name
        place, _, attribute = path.rpartition(".")
        target = _resolved(place)
    else:
        attribute, new = str(name), value
    return target, attribute, inspect.getattr_static(target, attribute, None), new


def _resolved(path: str) -> Any:
    """What a dotted path names, as far as it is imported."""
    module, rest = path, ""
    while module and module not in sys.modules:
        module, _, last = module.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    found: Any = sys.modules.get(module)
    for name in rest.split(".") if rest else ():
        found = inspect.getattr_static(found, name)
    return found


class _Guarded:
    """The same steps, of which none ever raises."""

    def __init__(self, mocks: SdkMocks) -> None:
        self._mocks = mocks

    def mark(self) -> Mark | None:
        try:
            return self._mocks.mark()
        except Exception as fault:
            self._mocks.recorder.fault("call of a mock", fault)
            return None

    def answered(self, mock: Any, args: Any, kwargs: Any, result: Any, mark: Mark | None) -> None:
        try:
            if mark is not None:
                self._mocks.answered(mock, args, kwargs, result, mark)
        except Exception as fault:
            self._mocks.recorder.fault("reading of a mock's answer", fault)

    def raised(
        self, mock: Any, args: Any, kwargs: Any, error: BaseException, mark: Mark | None
    ) -> None:
        try:
            if mark is not None:
                self._mocks.raised(mock, args, kwargs, error, mark)
        except Exception as fault:
            self._mocks.recorder.fault("reading of a mock's error", fault)


def _is_mock(thing: object) -> bool:
    return any(base.__name__ == "NonCallableMock" for base in type(thing).__mro__)


def _mock_within(function: object) -> object:
    """The mock behind a function that ``autospec`` made."""
    return getattr(function, "__dict__", {}).get("mock") if inspect.isfunction(function) else None


def _chunks(result: object) -> list[Any] | None:
    """The chunks of a stream that a mock gives as a list, or as an iterator over one."""
    kind = type(result)
    if kind in _COPYABLE:
        result = list(copy.copy(result))  # type: ignore[call-overload]
    elif kind is not list and kind is not tuple:
        return None
    found: list[Any] = list(result)  # type: ignore[call-overload]
    return found if found and sdk_of(type(found[0])) is not None else None
