"""A byte stream that keeps what it passes on.

The classes derive from the byte streams of the library that will read them, because that library
checks for its own types: ``httpx`` and ``httpx2`` are unrelated packages.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.recorder import Recorder


def tee_classes(module: Any, recorder: Recorder) -> tuple[type, type]:
    """The synchronous and the asynchronous tee for ``module`` (httpx or httpx2)."""

    class TeeStream(_Tee, module.SyncByteStream):  # type: ignore[misc]  # base known at run time
        def __iter__(self) -> Iterator[bytes]:
            return passing(self._stream, self._attempt, recorder)

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                recorder.end(self._attempt, "closed_early")

    class AsyncTeeStream(_Tee, module.AsyncByteStream):  # type: ignore[misc]
        def __aiter__(self) -> AsyncIterator[bytes]:
            return passing_async(self._stream, self._attempt, recorder)

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                recorder.end(self._attempt, "closed_early")

    return TeeStream, AsyncTeeStream


def passing(chunks: Iterable[bytes], attempt: Attempt, recorder: Recorder) -> Iterator[bytes]:
    """Pass on ``chunks`` and keep them in ``attempt``, which is over when they are."""
    try:
        for chunk in chunks:
            try:
                attempt.keep(chunk)
            except Exception as fault:
                recorder.fault("capture of a stream", fault)
            yield chunk
    except GeneratorExit:
        raise
    except BaseException as error:
        recorder.end(attempt, "error", error)
        raise
    recorder.end(attempt, "complete")


async def passing_async(
    chunks: AsyncIterable[bytes], attempt: Attempt, recorder: Recorder
) -> AsyncIterator[bytes]:
    """The same of an asynchronous stream."""
    inner = chunks.__aiter__()
    try:
        async for chunk in inner:
            try:
                attempt.keep(chunk)
            except Exception as fault:
                recorder.fault("capture of a stream", fault)
            yield chunk
    except GeneratorExit:
        raise
    except BaseException as error:
        recorder.end(attempt, "error", error)
        raise
    finally:
        aclose = getattr(inner, "aclose", None)
        if aclose is not None:
            await aclose()
    recorder.end(attempt, "complete")


class _Tee:
    def __init__(self, stream: Any, attempt: Attempt) -> None:
        self._stream = stream
        self._attempt = attempt

    def __getattr__(self, name: str) -> Any:
        # httpx2 reads response.stream.elapsed; users may know more of their transport's stream
        if name == "_stream":  # asked for while a copy is being made, which has nothing yet
            raise AttributeError(name)
        return getattr(self._stream, name)
