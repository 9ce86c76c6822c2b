"""Regressions put into a replayed suite: the right test fails, for the right reason.

And what is no regression raises no alarm: another order, other workers, other fingerprints.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, parse
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.assess import Assessment, Assessor
from pytest_crashlens.policy.config import Config
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.pricing.card import RateCard
from pytest_crashlens.report.failure import failure_lines, headline

RUNS = 1000
TESTS = 3
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
DEARER = {
    "gpt-4o-mini": ("openai", "gpt-4o"),
    "gpt-4.1-nano": ("openai", "gpt-4.1"),
    "gpt-5-mini": ("openai", "gpt-5"),
    "claude-haiku-4-5": ("anthropic", "claude-opus-4-5"),
}
PROVIDERS = {name: "anthropic" if "claude" in name else "openai" for name in DEARER}
CHARACTERS = 4
"""Of a token."""

Suite = Mapping[str, tuple[Call, ...]]


def a_call(random: Random, model: str, *, cached: bool = False) -> Call:
    system, history, user = (random.randint(*span) for span in ((50, 2000), (0, 3000), (10, 800)))
    tools = random.choice([0, random.randint(50, 1500)])
    output = random.randint(20, 1200)
    if cached:
        system, history, output = 4000 + system, 0, output // 20
    tokens = system + tools + history + user
    return Call(
        provider=PROVIDERS[model],
        endpoint="chat",
        model_requested=model,
        model_returned=model,
        usage=Usage(
            input_tokens=tokens,
            output_tokens=output,
            cache_read_tokens=system + tools if cached else random.choice([0, 0, system + tools]),
            reasoning_tokens=random.choice([0, 0, output // 2]),
        ),
        usage_source="provider",
        input_parts=InputParts(
            system=system * CHARACTERS,
            tools=tools * CHARACTERS,
            history=history * CHARACTERS,
            user=user * CHARACTERS,
        ),
        fingerprint=f"{random.getrandbits(64):016x}",
    )


def a_suite(random: Random) -> Suite:
    return {
        f"test_it.py::test_{number}": tuple(
            a_call(random, random.choice(models), cached=number == 0)
            for models in [random.sample([*DEARER], random.choice([1, 1, 2]))]
            for _ in range(random.randint(1, 5))
        )
        for number in range(TESTS)
    }


def _with(call: Call, parts: InputParts | None = None, **usage: int) -> Call:
    return replace(
        call,
        usage=replace(call.usage, **usage),
        input_parts=call.input_parts + (parts or InputParts()),
    )


def _longer(random: Random, calls: tuple[Call, ...], part: str) -> tuple[Call, ...]:
    """Every prompt longer by so much that it counts, whatever the cache does to its price."""
    tokens = random.randint(1, 4) * max(call.usage.total_tokens for call in calls)
    grown = InputParts(**{part: tokens * CHARACTERS})
    return tuple(
        _with(call, grown, input_tokens=(call.usage.input_tokens or 0) + tokens) for call in calls
    )


def system_grew(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    return _longer(random, calls, "system")


def history_grew(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    return _longer(random, calls, "history")


def extra_calls(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    return (*calls, *(random.choice(calls) for _ in range(random.randint(1, 4))))


def model_swapped(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    old = random.choice(calls).model or ""
    _, new = DEARER[old]
    return tuple(
        replace(call, model_requested=new, model_returned=new) if call.model == old else call
        for call in calls
    )


def cache_lost(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    return tuple(_with(call, cache_read_tokens=0) for call in calls)


def longer_output(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    return tuple(
        _with(
            call,
            output_tokens=(call.usage.output_tokens or 0) * random.randint(2, 5)
            + call.usage.total_tokens,
        )
        for call in calls
    )


def reasoning_on(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    return tuple(
        _with(
            call,
            output_tokens=(call.usage.output_tokens or 0) + more,
            reasoning_tokens=(call.usage.reasoning_tokens or 0) + more,
        )
        for call in calls
        for more in [call.usage.total_tokens * random.randint(1, 3)]
    )


def retried(random: Random, calls: tuple[Call, ...]) -> tuple[Call, ...]:
    unlucky = random.randrange(len(calls))
    attempts = random.randint(2, 4)
    return tuple(
        replace(call, attempts=attempts) if place == unlucky else call
        for place, call in enumerate(calls)
    )


Injection = Callable[[Random, tuple[Call, ...]], tuple[Call, ...]]
INJECTIONS: Mapping[Injection, tuple[str, str]] = {
    system_grew: ("input", ", system +"),
    history_grew: ("input", ", history +"),
    extra_calls: ("calls", "( more calls?\\b|^LLM calls )"),
    model_swapped: ("model", ": model "),
    cache_lost: ("cache", ": cached input "),
    longer_output: ("output", ": (visible )?output "),
    reasoning_on: ("reasoning", ": reasoning "),
    retried: ("retries", "^LLM retries 0 -> "),
}
"""What is injected, with the cause that must be first and the words of the first line.
"""


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(at=AT)


def baseline_of(suite: Suite, book: PriceBook) -> Baseline:
    """As an update of a first run writes it, and another run reads it."""
    writer = Assessor(Config(), Baseline(), book, updating=True)
    entries: dict[str, Entry] = {}
    cards: dict[str, RateCard] = {}
    for key, calls in suite.items():
        found = writer.describe(key, key, calls)
        entries[key] = found.now
        cards |= found.cards
    return parse(Baseline().merged(entries, cards).render(), "baseline")


def run(suite: Suite, baseline: Baseline, book: PriceBook) -> list[Assessment]:
    """The tests that fail."""
    assessor = Assessor(Config(), baseline, book, updating=False)
    assessed = [assessor.assess(key, key, calls, place=key) for key, calls in suite.items()]
    return [assessment for assessment in assessed if assessment.verdict.failed]


def on_the_way(random: Random, suite: Suite) -> Suite:
    """The same work in another order, under another key, and some of it from other processes."""
    keys = random.sample([*suite], len(suite))
    return {
        key: tuple(
            replace(
                Call.from_dict(call.to_dict()) if random.random() < 0.2 else call,
                fingerprint=f"{random.getrandbits(64):016x}",
                task=random.choice([None, "chat"]),
                call_site=random.choice([None, "app.py:1 ask"]),
            )
            for call in random.sample(suite[key], len(suite[key]))
        )
        for key in keys
    }


def test_the_right_test_fails_for_the_right_reason(book: PriceBook) -> None:
    wrong: Counter[str] = Counter()
    examples: list[str] = []
    for seed in range(RUNS):
        random = Random(seed)
        if seed % 10 == 0:
            suite = a_suite(random)
            baseline = baseline_of(suite, book)
        inject = [*INJECTIONS][seed % len(INJECTIONS)]
        key = random.choice([*suite][:1] if inject is cache_lost else [*suite])
        injected = {**suite, key: inject(random, suite[key])}
        kind, words = INJECTIONS[inject]
        failed = run(on_the_way(random, injected), baseline, book)
        assert [one.key for one in failed] == [key], (seed, inject.__name__)
        comparison = failed[0].comparison
        assert comparison is not None
        first = headline(failed[0])
        causes = comparison.causes()
        if causes[0].kind != kind or not re.search(words, first):
            wrong[inject.__name__] += 1
            examples.append(f"{seed} {inject.__name__}: {failure_lines(failed[0], 'accept')}")
    assert sum(wrong.values()) <= RUNS // 100, (wrong, examples[:5])


def test_what_is_no_regression_raises_no_alarm(book: PriceBook) -> None:
    for seed in range(RUNS):
        random = Random(seed)
        if seed % 10 == 0:
            suite = a_suite(random)
            baseline = baseline_of(suite, book)
        assert run(on_the_way(random, suite), baseline, book) == []
