"""The ``crashlens`` fixture: a test's view of its own usage."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from pytest_crashlens.capture.owners import Owner, Owners
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage, total


class CrashlensFixture:
    """Usage of the running test so far, and ways to add what capture cannot know.

    It works whether or not the plugin is on; when it is off, only recorded calls are seen.
    """

    def __init__(
        self,
        *,
        task: Callable[[], str | None],
        scope: Callable[[str], AbstractContextManager[None]],
        calls: Callable[[], tuple[Call, ...]],
        record: Callable[[Call], None],
        call_site: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._call_site = call_site
        self._task = task
        self._scope = scope
        self._calls = calls
        self._record = record

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of this test so far, oldest first; streams count when they have ended."""
        return self._calls()

    @property
    def usage(self) -> Usage:
        """Tokens of all calls so far (None: no call stated it)."""
        return total(call.usage for call in self.calls)

    def record(
        self,
        *,
        model: str,
        provider: str,
        input_tokens: int,
        output_tokens: int = 0,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        endpoint: str = "recorded",
        attempts: int = 1,
        live: bool = False,
    ) -> None:
        """Add a call made by a client that cannot be seen.

        Args:
            model: The model's id as the provider bills it.
            provider: ``openai``, ``anthropic`` ...; with ``model`` it decides the price.
            input_tokens: All input tokens, the cached ones included.
            output_tokens: All output tokens, the reasoning included.
            cache_read_tokens: Part of the input that was read from the provider's cache.
            cache_write_tokens: Part of the input that was written to it.
            reasoning_tokens: Part of the output that was reasoning.
            endpoint: A name for the kind of call.
            attempts: 1 plus the retries.
            live: True when it really was sent and paid.

        Raises:
            ValueError: A count is not an integer of at least 0 (attempts: at least 1).
        """
        counts = {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cache_read_tokens": cache_read_tokens,
            "cache_write_tokens": cache_write_tokens,
            "reasoning_tokens": reasoning_tokens,
        }
        for name, value in [*counts.items(), ("attempts", attempts - 1)]:
            if value is not None and (type(value) is not int or value < 0):
                raise ValueError(f"crashlens.record: {name} must be a count, got {value!r}")
        self._record(
            Call(
                provider=provider,
                endpoint=endpoint,
                model_requested=model,
                model_returned=model,
                usage=Usage.from_dict(counts),
                usage_source="provider",
                attempts=attempts,
                live=live,
                task=self._task(),
                call_site=self._call_site(),
            )
        )

    def scope(self, task: str) -> AbstractContextManager[None]:
        """Label the calls made inside with ``task``, for policies that name a ``task_type``.

        The label goes where contexts go: into coroutines and tasks, not into new threads.
        """
        return self._scope(task)


def detached() -> CrashlensFixture:
    """A fixture for runs with the plugin off: it keeps what is recorded and measures nothing."""
    calls: list[Call] = []
    owners = Owners()
    nobody = Owner("detached")
    return CrashlensFixture(
        task=lambda: owners.task_of(nobody),
        scope=owners.labelled,
        calls=lambda: tuple(calls),
        record=calls.append,
    )
