"""The fake models that frameworks bring for tests: of langchain-core, of pydantic-ai, of litellm.

They ask nobody, so their calls are simulated ones. Without ``crashlens_sdk_mocks`` they are named.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from pytest_crashlens.capture.imports import put, together
from pytest_crashlens.capture.sdk_mocks import Mark, SdkMocks
from pytest_crashlens.capture.sdk_objects import exchange_of
from pytest_crashlens.model.exchange import Exchange

_FAKE_WORDS = ("fake", "mock", "stub", "dummy", "parrot")


def fake_exchange(
    provider: str,
    model: str,
    *,
    messages: Sequence[Mapping[str, Any]] = (),
    usage: Mapping[str, Any] | None = None,
    output: str = "",
    streams: bool = False,
) -> Exchange:
    """What stands for a fake's call, in the format of ``providers/framework_fakes.py``."""
    asked = {"model": model, "messages": list(messages), "stream": streams}
    return Exchange(
        method="POST",
        url=f"fake:///crashlens-fakes/{provider}",
        request_headers={"content-type": "application/json"},
        request_body=json.dumps(asked, default=str).encode(),
        status=200,
        response_headers={"content-type": "application/json"},
        response_body=json.dumps({"usage": usage, "output": output}, default=str).encode(),
        live=False,
    )


# --- langchain


def patch_langchain_context(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    """Follow the runs of LangChain's models, with the hook that it has for that.

    Only where fakes are measured: a callback more is something that a test could see.
    """
    base = sys.modules.get("langchain_core.callbacks.base")
    if not mocks.measured or base is None:
        return lambda: None
    handler = _handler_class(base.BaseCallbackHandler)(mocks)
    # the default, because new threads have empty contexts
    variable: ContextVar[Any] = ContextVar("crashlens_langchain", default=handler)
    module.register_configure_hook(variable, inheritable=True)
    hooks = module._configure_hooks

    def undo() -> None:
        hooks[:] = [hook for hook in hooks if hook[0] is not variable]

    return undo


def _handler_class(base: Any) -> Any:
    class FakeModelRuns(base):  # type: ignore[misc]  # known at run time
        """Adds the runs of fakes that sent no request."""

        run_inline = True

        def __init__(self, mocks: SdkMocks) -> None:
            super().__init__()
            self._mocks = mocks
            self._runs: dict[Any, tuple[Mark, str, list[dict[str, Any]]]] = {}

        # what handlers are copied for must stay one: it keeps the runs
        def __copy__(self) -> Any:
            return self

        def __deepcopy__(self, memo: Any) -> Any:
            return self

        def on_chat_model_start(self, serialized: Any, messages: Any, **of_run: Any) -> None:
            self._start(serialized, messages, of_run)

        def on_llm_start(self, serialized: Any, prompts: Any, **of_run: Any) -> None:
            self._start(serialized, prompts, of_run)

        def on_llm_end(self, response: Any, **of_run: Any) -> None:
            try:
                self._end(response, of_run.get("run_id"))
            except Exception as fault:
                self._mocks.recorder.fault("reading of a fake model's run", fault)

        def on_llm_error(self, error: BaseException, **of_run: Any) -> None:
            self._runs.pop(of_run.get("run_id"), None)

        def _start(self, serialized: Any, batches: Any, of_run: Mapping[str, Any]) -> None:
            try:
                place = [str(part) for part in (serialized or {}).get("id") or ()]
                told = ".".join(place[-2:]).lower()
                if not any(word in told for word in _FAKE_WORDS):
                    return
                asked = [_message(one) for batch in batches for one in _listed(batch)]
                self._runs[of_run.get("run_id")] = self._mocks.mark(), place[-1], asked
            except Exception as fault:
                self._mocks.recorder.fault("start of a fake model's run", fault)

        def _end(self, response: Any, run_id: Any) -> None:
            run = self._runs.pop(run_id, None)
            if run is None:
                return
            mark, model, asked = run
            if self._mocks.sent_since(mark):
                return
            said = [one for several in response.generations for one in several[:1]]
            usage = _usage_of(said)
            output = "".join(str(one.text) for one in said)
            self._mocks.add(
                fake_exchange("langchain-fake", model, messages=asked, usage=usage, output=output)
            )

    return FakeModelRuns


def _listed(batch: Any) -> Sequence[Any]:
    return batch if isinstance(batch, list | tuple) else [batch]


def _message(message: Any) -> dict[str, Any]:
    if isinstance(message, str):
        return {"role": "user", "content": message}
    return {"role": message.type, "content": message.content}


def _usage_of(said: Sequence[Any]) -> dict[str, Any] | None:
    """The sum of what the messages state; None where one states nothing."""
    found = [getattr(getattr(one, "message", None), "usage_metadata", None) for one in said]
    if not found or not all(found):
        return None
    keys = ("input_tokens", "output_tokens")
    return {key: sum(usage.get(key) or 0 for usage in found if usage) for key in keys}


def patch_langchain_fakes(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    """Name LangChain's fakes where they are not measured."""
    if mocks.measured:
        return lambda: None
    undo = []
    for kind in list(vars(module).values()):
        own = isinstance(kind, type) and kind.__module__ == module.__name__
        if not own or not hasattr(kind, "_llm_type"):
            continue
        name = f"{kind.__module__}.{kind.__qualname__}"
        for method in ("_call", "_acall", "_generate", "_agenerate", "_stream", "_astream"):
            if method in vars(kind):
                undo.append(put(kind, method, _naming(vars(kind)[method], name, mocks)))
    return together(*undo)


def _naming(original: Any, name: str, mocks: SdkMocks) -> Any:
    """``original``, which notes ``name``; also for coroutines and generators, which it returns."""

    @functools.wraps(original)
    def named(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        mocks.note(name)
        return original(*args, **kwargs)

    return named


# --- pydantic-ai


def patch_pydantic_ai(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    """Watch ``TestModel`` or ``FunctionModel``, whichever ``module`` defines."""
    undo = []
    for kind in (getattr(module, name, None) for name in ("TestModel", "FunctionModel")):
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            undo.append(put(kind, "request", _request(vars(kind)["request"], mocks)))
            stream = vars(kind)["request_stream"]
            undo.append(put(kind, "request_stream", _request_stream(stream, mocks)))
    return together(*undo)


def _request(original: Any, mocks: SdkMocks) -> Any:
    @functools.wraps(original)
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        mark = mocks.mark()
        response = await original(self, *args, **kwargs)
        _asked(mocks, self, response, mark, streams=False)
        return response

    return request


def _request_stream(original: Any, mocks: SdkMocks) -> Any:
    @asynccontextmanager
    @functools.wraps(original)
    async def request_stream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        __tracebackhide__ = True
        mark = mocks.mark()
        async with original(self, *args, **kwargs) as response:
            try:
                yield response
            finally:
                _asked(mocks, self, response, mark, streams=True)

    return request_stream


def _asked(mocks: SdkMocks, model: Any, response: Any, mark: Mark, *, streams: bool) -> None:
    """``model`` answered with ``response`` (a stream: as far as it was read)."""
    try:
        if mocks.sent_since(mark):
            return
        kind = type(model)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if not mocks.measured:
            mocks.note(name)
            return
        stated = response.usage() if callable(response.usage) else response.usage
        keys = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        usage = {key: getattr(stated, key, None) for key in keys}
        exchange = fake_exchange(
            "pydantic-ai-test", str(response.model_name or name), usage=usage, streams=streams
        )
        if not mocks.add(exchange):
            mocks.note(name)
    except Exception as fault:
        mocks.recorder.fault("reading of a fake model's answer", fault)


# --- litellm


def patch_litellm(module: Any, mocks: SdkMocks) -> Callable[[], None]:
    """Read what ``completion(..., mock_response=...)`` answers without asking anybody."""
    original = vars(module)["mock_completion"]

    @functools.wraps(original)
    def mock_completion(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        response = original(*args, **kwargs)
        try:
            asked = dict(zip(("model", "messages"), args, strict=False)) | kwargs
            usage = getattr(response, "usage", None)
            if not (mocks.measured and usage and mocks.add(exchange_of(response, asked=asked))):
                mocks.note("litellm mock_response")
        except Exception as fault:
            mocks.recorder.fault("reading of a fake model's answer", fault)
        return response

    return put(module, "mock_completion", mock_completion)
