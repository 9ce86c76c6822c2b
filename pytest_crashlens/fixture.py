"""The ``crashlens`` fixture: a test's view of its own usage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from pytest_crashlens.capture.owners import Owner, Owners
from pytest_crashlens.capture.sdk_objects import NoAnswer, exchange_of
from pytest_crashlens.model.call import TASK_LABEL, Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage, total
from pytest_crashlens.providers.calls import Count, read_calls

_NOT_GIVEN: Any = object()


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
        answer: object = _NOT_GIVEN,
        /,
        *,
        model: str | None = None,
        provider: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        endpoint: str | None = None,
        attempts: int = 1,
        live: bool = False,
    ) -> None:
        """Add a call made by a client that cannot be seen: by its answer, or by its counts.

        Args:
            answer: What the client returned: a typed object of an SDK, a dict in wire shape or of
                boto3's ``converse``, or the list of all chunks of a stream. Its usage is read as
                if it had been seen on the wire. Without it, ``model``, ``provider`` and
                ``input_tokens`` are needed.
            model: The model's id as the provider bills it; with an answer it is needed only
                where that does not name it (boto3).
            provider: ``openai``, ``anthropic`` ...; with ``model`` it decides the price. With an
                answer: where that came from another provider than its type says.
            input_tokens: All input tokens, the cached ones included.
            output_tokens: All output tokens, the reasoning included.
            cache_read_tokens: Part of the input that was read from the provider's cache.
            cache_write_tokens: Part of the input that was written to it.
            reasoning_tokens: Part of the output that was reasoning.
            endpoint: A name for the kind of call.
            attempts: 1 plus the retries.
            live: True when it really was sent and paid.

        Raises:
            TypeError: The answer is of no kind that is known, or something needed is missing.
            ValueError: The answer states no usage, or a count is not an integer of at least 0
                (attempts: at least 1).
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
        if answer is _NOT_GIVEN:
            call = _counted(model, provider, endpoint or "recorded", counts)
        elif any(value is not None for value in counts.values()):
            raise TypeError("crashlens.record: give either an answer or counts, not both")
        else:
            call = self._of_answer(answer, model)
            call = replace(call, provider=provider or call.provider, host="")
            call = replace(call, endpoint=endpoint or call.endpoint)
        self._record(
            replace(
                call,
                attempts=attempts,
                live=live,
                task=self._task(),
                call_site=self._call_site(),
            )
        )

    def _of_answer(self, answer: object, model: str | None) -> Call:
        try:
            exchange = exchange_of(answer, model=model)
        except NoAnswer as error:
            raise TypeError(f"crashlens.record: {error}") from None
        calls = _read_uncounted(exchange)
        if not calls or not calls[0].usage.stated or calls[0].usage_source == "none":
            what = (
                "these chunks state" if isinstance(answer, list | tuple) else "this answer states"
            )
            raise ValueError(
                f"crashlens.record: {what} no usage: "
                "give model=, provider=, input_tokens= and output_tokens= instead"
            )
        call = calls[0]
        return replace(call, model_requested=model, model_returned=model) if model else call

    def scope(self, task: str) -> AbstractContextManager[None]:
        """Label the calls made inside with ``task``, for policies that name a ``task_type``.

        The label goes where contexts go: into coroutines and tasks, not into new threads.

        Raises:
            ValueError: ``task`` is no label such as ``summarization``.
        """
        if not isinstance(task, str) or not re.fullmatch(TASK_LABEL, task):
            raise ValueError(
                f"crashlens.scope: expected a task such as 'summarization' (small letters, digits "
                f"and _), got {task!r}"
            )
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


def _counted(
    model: str | None, provider: str | None, endpoint: str, counts: Mapping[str, int | None]
) -> Call:
    needed = {"model": model, "provider": provider, "input_tokens": counts["input_tokens"]}
    missing = [f"{name}=" for name, value in needed.items() if value is None]
    if missing:
        raise TypeError(
            f"crashlens.record: {' and '.join(missing)} missing. Give an answer "
            "(crashlens.record(response)), or model=, provider= and input_tokens="
        )
    return Call(
        provider=str(provider),
        endpoint=endpoint,
        model_requested=model,
        model_returned=model,
        usage=Usage.from_dict(
            {"output_tokens": 0} | {k: v for k, v in counts.items() if v is not None}
        ),
        usage_source="provider",
    )


class _NoCounter:
    """For answers whose counts must be stated: nothing is guessed for :meth:`record`."""

    def text(self, text: str, model: str | None) -> Count:
        raise NotImplementedError

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str | None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Count:
        raise NotImplementedError


def _read_uncounted(exchange: Exchange) -> Sequence[Call]:
    return read_calls([exchange], count=_NoCounter(), fingerprint_key=b"")
