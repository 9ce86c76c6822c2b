"""A byte stream that keeps what it passes on.

The classes derive from the byte streams of the library that will read them, because that library
checks for its own types: ``httpx`` and ``httpx2`` are unrelated packages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.recorder import Recorder


def tee_classes(module: Any, recorder: Recorder) -> tuple[type, type]:
    """The synchronous and the asynchronous tee for ``module`` (httpx or httpx2)."""

    def keep(attempt: Attempt, chunk: bytes) -> None:
        try:
            attempt.keep(chunk)
        except Exception as fault:
            recorder.fault("capture of a stream", fault)

    class TeeStream(_Tee, module.SyncByteStream):  # type: ignore[misc]  # base known at run time
        def __iter__(self) -> Iterator[bytes]:
            attempt = self._attempt
            try:
                for chunk in self._stream:
                    keep(attempt, chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                recorder.end(attempt, "error", error)
                raise
            recorder.end(attempt, "complete")

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                recorder.end(self._attempt, "closed_early")

    class AsyncTeeStream(_Tee, module.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            attempt = self._attempt
            inner = self._stream.__aiter__()
            try:
                async for chunk in inner:
                    keep(attempt, chunk)
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

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                recorder.end(self._attempt, "closed_early")

    return TeeStream, AsyncTeeStream


class _Tee:
    def __init__(self, stream: Any, attempt: Attempt) -> None:
        self._stream = stream
        self._attempt = attempt

    def __getattr__(self, name: str) -> Any:
        # httpx2 reads response.stream.elapsed; users may know more of their transport's stream
        if name == "_stream":  # asked for while a copy is being made, which has nothing yet
            raise AttributeError(name)
        return getattr(self._stream, name)
