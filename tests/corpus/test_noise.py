"""The rule for live tests on identical requests that were really recorded several times.

Nothing is known to have changed between the recordings (the same model answered), so whatever
fails here is a false alarm.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import pytest

from pytest_crashlens.baseline.noise import DEFAULT_RULE, NoiseRule, judge, judge_suite
from pytest_crashlens.baseline.runs import Runs
from tests.corpus.recorded import NO_CORPUS, SHARED, rows

pytestmark = pytest.mark.skipif(not SHARED, reason=NO_CORPUS)

LARGE_SOURCES = {
    "crmne/ruby_llm": 6516,
    "charmbracelet/fantasy": 748,
    "tmc/langchaingo": 157,
    "pydantic/pydantic-ai": 105,
    "Arize-ai/openinference": 32,
}
"""Those with enough pairs for a rate, and how many have the same model on both sides."""
TESTS = 50
ANY_SIZE = replace(DEFAULT_RULE, floor=0, min_effect=Fraction(0))
AT_FIVE_PERCENT = replace(DEFAULT_RULE, run_level=0.05)


@cache
def pairs() -> tuple[dict[str, Any], ...]:
    return tuple(row for row in rows("rerecorded-pairs") if row["model_a"] == row["model_b"])


def of_source(source: str) -> list[dict[str, Any]]:
    return [row for row in pairs() if source in (row["repo"], "all")]


@cache
def chains() -> tuple[tuple[int, ...], ...]:
    """Output tokens of requests recorded three times or more: pairs that meet in one commit."""
    starts, ends = defaultdict(list), defaultdict(list)
    for index, row in enumerate(pairs()):
        where = row["repo"], row["file"], row["model_a"]
        starts[*where, row["commit_a"], row["input_a"], row["output_a"]].append(index)
        ends[*where, row["commit_b"], row["input_b"], row["output_b"]].append(index)
    following = {
        found[0]: starts[key][0]
        for key, found in ends.items()
        if len(found) == 1 and len(starts.get(key, ())) == 1
    }

    def outputs(index: int | None) -> Iterator[int]:
        while index is not None:
            yield pairs()[index]["output_b"]
            index = following.get(index)

    heads = following.keys() - set(following.values())
    return tuple((pairs()[head]["output_a"], *outputs(head)) for head in sorted(heads))


def runs(totals: Sequence[int]) -> Runs:
    return Runs(tuple(totals))


def share(found: Sequence[Any], wanted: Callable[[Any], bool]) -> float:
    return sum(map(wanted, found)) / len(found)


def by_percent(before: int, now: int) -> bool:
    return now > before * 1.2 and now - before > 50


def test_the_corpus_is_what_it_was():
    assert {source: len(of_source(source)) for source in LARGE_SOURCES} == LARGE_SOURCES
    assert len(of_source("all")) == 7575
    assert len(chains()) == 1508
    assert sum(len(chain) >= 8 for chain in chains()) == 173


@pytest.mark.parametrize("source", ["all", *LARGE_SOURCES])
@pytest.mark.parametrize(("before", "now"), ["ab", "ba"])
def test_output_of_a_second_recording(source, before, now):
    taken = [(row[f"output_{before}"], row[f"output_{now}"]) for row in of_source(source)]
    found = [judge(runs([old]), runs([new]), rule=ANY_SIZE) for old, new in taken]
    for level in (0.05, 0.01, 0.001):
        # a few pairs say nothing about a rate: one more than expected is let pass
        allowed = level * len(found) + 1
        assert sum(verdict.p < level for verdict in found) <= allowed
    assert not any(verdict.failed for verdict in found)
    if len(taken) > 500:
        assert share(taken, lambda pair: by_percent(*pair)) > 0.07


@pytest.mark.parametrize("source", ["all", *LARGE_SOURCES])
def test_input_of_a_second_recording(source):
    """Most are equal to the token; of the others (other counting by the provider) few stand out."""
    taken = [(row["input_a"], row["input_b"]) for row in of_source(source)]
    found = [judge(runs([old]), runs([new]), rule=ANY_SIZE) for old, new in taken]
    assert share(taken, lambda pair: pair[0] == pair[1]) >= 0.75
    assert share(taken, lambda pair: by_percent(*pair)) <= 0.035
    assert share(found, lambda verdict: verdict.p < 0.05) <= 0.002


@pytest.mark.parametrize("stored", [2, 3, 4, 5, 6])
def test_output_with_more_runs(stored):
    draw = random.Random(stored)
    found = []
    for chain in chains():
        if len(chain) > stored:
            for _ in range(4):
                *before, now = draw.sample(chain, stored + 1)
                found.append(judge(runs(before), runs([now]), rule=ANY_SIZE))
    assert share(found, lambda verdict: verdict.p < 0.05) <= 0.05
    assert share(found, lambda verdict: verdict.p < 0.01) <= 0.01


class Suites(NamedTuple):
    """Suites of requests drawn from the chains, each with runs of its own drawn in any order."""

    failed: float
    """Share of suites in which a test fails."""
    shifted: float
    """Share of suites that fail as a whole."""
    found: float
    """Share of tests that fail."""


def suites(factor: float, *, stored: int, reruns: int, rule: NoiseRule = DEFAULT_RULE) -> Suites:
    draw = random.Random(stored)
    long = [chain for chain in chains() if len(chain) >= stored + 1 + reruns]
    failed, shifted, found, count = 0, 0, 0, 60
    for _ in range(count):
        pairs_of_suite, failed_tests = [], 0
        for chain in draw.sample(long, TESTS):
            taken = draw.sample(chain, stored + 1 + reruns)
            before = runs(taken[:stored])
            now = [round(total * factor) for total in taken[stored:]]
            pairs_of_suite.append((before, runs(now[:1])))
            verdict = judge(*pairs_of_suite[-1], comparisons=TESTS, reruns=reruns, rule=rule)
            if verdict.outcome == "flagged":
                verdict = judge(before, runs(now), comparisons=TESTS, rule=rule)
            failed_tests += verdict.failed
        failed += failed_tests > 0
        shifted += judge_suite(pairs_of_suite, rule=rule).increased
        found += failed_tests
    return Suites(failed / count, shifted / count, found / count / TESTS)


@pytest.mark.parametrize(("stored", "reruns"), [(2, 4), (3, 4), (5, 4), (5, 0)])
def test_suites_of_real_noise(stored, reruns):
    """Two in a hundred are meant; few chains are long, and in some of them something did change."""
    clean = suites(1, stored=stored, reruns=reruns)
    assert clean.failed <= 0.05
    assert clean.shifted <= 0.05
    assert suites(1, stored=stored, reruns=reruns, rule=AT_FIVE_PERCENT).failed >= clean.failed


def test_real_increases_are_found():
    increased = [suites(factor, stored=5, reruns=4, rule=ANY_SIZE) for factor in (1.2, 2)]
    assert increased[0].shifted > 0.8
    assert increased[1].found > 0.4
