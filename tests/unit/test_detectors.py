from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest

from benchmarks.detectors import PRECISION, RECALL, measure
from pytest_crashlens.detect.detection import Detection, root_causes
from pytest_crashlens.detect.detectors import detect
from pytest_crashlens.detect.savings import minimum
from pytest_crashlens.detect.seen import Seen
from tests.traffic_patterns import (
    CHEAP,
    DEAR,
    KEY,
    KNOWN_MISSES,
    NOT_LOOPS,
    PATTERNS,
    Traffic,
    body,
    made,
)


def traffic() -> Traffic:
    return Traffic(random.Random(3))


def found(calls: list[Seen], kind: str, **options: object) -> Detection:
    (one,) = [one for one in detect(calls, **options) if one.kind == kind]  # type: ignore[arg-type]
    return one


def kinds(calls: list[Seen], **options: object) -> set[str]:
    return {one.kind for one in detect(calls, **options)} - NOT_LOOPS  # type: ignore[arg-type]


def usd(calls: list[Seen]) -> Decimal:
    return sum((one.usd or Decimal(0) for one in calls), Decimal(0))


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name: str) -> None:
    draw = random.Random(f"test {name}")
    expected = set() if name in KNOWN_MISSES else PATTERNS[name][1]
    for _ in range(8):
        named = kinds(made(name, draw))
        if name == "polled_fast_without_a_word_of_waiting":
            assert named <= {"agent_loop"}
        else:
            assert named == expected


def test_rates() -> None:
    measured = measure(5, seed=7)
    assert all(
        precision >= PRECISION and recall >= RECALL
        for precision, recall in measured.rates(known=False).values()
    )
    with_misses = measured.rates(known=True)
    assert {kind for kind, (precision, _) in with_misses.items() if precision < 1} == {"agent_loop"}
    assert min(precision for precision, _ in with_misses.values()) > 0.75
    assert min(recall for _, recall in with_misses.values()) > 0.6


def test_refused_retries_cost_nothing_and_lost_ones_nobody_knows_what() -> None:
    t = traffic()
    t.ask(body(CHEAP, [("user", "a")]), attempts=6)
    storm = found(t.calls, "retry_storm")
    assert (storm.waste_usd, storm.level, storm.calls) == (Decimal(0), "failure", 1)
    assert "sent 6 times until it was answered (2 more than the 3 retries allowed)" in storm.text
    assert storm.call_sites == ("app/main.py:10 ask",)
    assert kinds(t.calls, retries_allowed=5) == set()

    t = traffic()
    t.ask(body(CHEAP, [("user", "a")]), attempts=6, unanswered=2)
    assert found(t.calls, "retry_storm").waste_usd is None

    t = traffic()
    t.ask(body(CHEAP, [("user", "a")]), attempts=6, unanswered=2, status=429)
    assert found(t.calls, "retry_storm").waste_usd is None


def test_attempts_at_the_same_time_or_after_a_long_pause_are_no_storm() -> None:
    for more in ({"at": 0.0}, {"pause": 700.0}):
        t = traffic()
        for _ in range(6):
            t.ask(body(CHEAP, [("user", "a")]), status=429, **more)  # type: ignore[arg-type]
        assert kinds(t.calls) == set()


def test_what_was_asked_again_is_wasted_but_for_the_last() -> None:
    t = traffic()
    for _ in range(6):
        t.ask(body("gpt-4o", [("user", "a")], max_tokens=9), output=9)
    loop = found(t.calls, "reask_loop")
    assert loop.waste_usd == usd(t.calls[:-1]) > 0
    assert loop.waste_tokens == sum(one.call.usage.total_tokens for one in t.calls[:-1])
    assert (loop.level, loop.calls) == ("failure", 6)
    t.calls.pop()
    assert found(t.calls, "reask_loop").level == "warning"


def test_corrections() -> None:
    def corrected(times: int) -> list[Seen]:
        t, messages = traffic(), [("user", "a")]
        t.ask(body(DEAR, messages))
        for _ in range(times):
            messages += [("assistant", "b"), ("user", "Your answer was not valid JSON.")]
            t.ask(body(DEAR, messages))
        return t.calls

    calls = corrected(5)
    loop = found(calls, "feedback_loop")
    assert (loop.level, loop.calls, loop.waste_usd) == ("failure", 6, usd(calls[:-1]))
    assert found(corrected(4), "feedback_loop").level == "warning"
    assert kinds(corrected(2)) == set()


def test_an_agents_loop_wastes_all_rounds_but_the_first() -> None:
    def agent(rounds: int) -> list[Seen]:
        t, messages = traffic(), [("user", "a")]
        t.ask(body("gpt-4o", messages))
        for _ in range(rounds):
            for tool in ("look", "read"):
                messages += [("call", tool, "{}"), ("result", f"seen {tool}")]
                t.ask(body("gpt-4o", messages))
        return t.calls

    calls = agent(4)
    loop = found(calls, "agent_loop")
    assert (loop.level, loop.calls) == ("failure", 8)
    assert loop.waste_usd == usd(calls[3:])
    assert "a round of 2 tool calls 4 times over, with the same results" in loop.text
    assert found(agent(3), "agent_loop").level == "warning"
    assert kinds(agent(2)) == set()


def test_tools_that_may_be_polled() -> None:
    t, messages = traffic(), [("user", "a")]
    for _ in range(12):
        t.ask(body("gpt-4o", messages))
        messages += [("call", "inbox", "{}"), ("result", "nothing")]
    tool = t.calls[-1].shape.turns[-2].tool
    assert kinds(t.calls) == {"agent_loop"}
    assert kinds(t.calls, allow_polling=frozenset({tool})) == set()


def test_a_cheaper_model_afterwards_is_no_escalation() -> None:
    t = traffic()
    for text in ("a", "b"):
        t.ask(body(DEAR, [("user", text)]), output=100)
    t.ask(body(CHEAP, [("user", "b")]), output=100, site="app/check.py:2 check")
    assert kinds(t.calls) == set()


def test_one_call_counts_for_one_cause() -> None:
    t = traffic()
    request = body(CHEAP, [("user", "a")], temperature=0, max_tokens=7)
    for _ in range(5):
        t.ask(request, output=7)
    t.ask(body(DEAR, [("user", "a")], max_tokens=99))
    assert kinds(t.calls) == {"reask_loop"}  # no duplicates and no fallback beside it


def test_duplicates() -> None:
    t = traffic()
    for _ in range(3):
        t.ask(body(CHEAP, [("user", "a")], temperature=0))
    same = found(t.calls, "duplicate")
    assert (same.waste_usd, same.level, same.calls) == (usd(t.calls[1:]), "info", 3)
    unpriced = [replace(one, usd=None) for one in t.calls]
    assert found(unpriced, "duplicate").waste_usd is None


def test_a_prompt_cache_saves_reads_and_pays_for_writes() -> None:
    """4,096 tokens of each prompt are shared: twice at 3 USD, or once at 3.75 and once at 0.3."""
    t = traffic()
    system = "x" * (16 * 1024 - len("system\n\n"))
    for question in ("a" * 60, "b" * 60):
        t.ask(body(DEAR, [("user", question)], system=system))
    cache = found(t.calls, "prompt_cache")
    shared = t.calls[0].call.usage.input_tokens * 16 * 1024 // t.calls[0].shape.characters  # type: ignore[operator]
    assert cache.waste_usd == shared * (Decimal(6) - Decimal("4.05")) / 1_000_000
    assert cache.calls == 2
    late = [t.calls[0], replace(t.calls[1], started=1e9, finished=1e9 + 1)]
    assert kinds(late) == set()


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-3-5-sonnet-20241022", 1024),
        ("claude-3-opus-20240229", 1024),
        ("claude-sonnet-4-20250514", 1024),
        ("claude-sonnet-4-5-20250929", 1024),
        ("claude-opus-4-1", 1024),
        ("anthropic.claude-sonnet-4-20250514-v1:0", 1024),
        ("claude-opus-4", 1024),
        ("claude-sonnet-4-6", 2048),
        ("claude-3-5-haiku-latest", 2048),
        ("claude-haiku-4-5", 4096),
        ("claude-opus-4-5-20251101", 4096),
        ("claude-opus-4-7", 4096),
        ("claude-opus-5", 4096),
        ("gpt-4o", None),
        (None, None),
    ],
)
def test_the_shortest_beginning_that_is_kept(model: str | None, tokens: int | None) -> None:
    assert minimum(model) == tokens


def test_output_caps() -> None:
    t = traffic()
    t.ask(body(CHEAP, [("user", "a")]), output=50)
    missing = found(t.calls, "no_output_cap")
    assert (missing.level, missing.waste_usd) == ("info", 0)
    assert "the longest answer had 50 tokens" in missing.text

    t = traffic()
    for number in range(5):
        t.ask(body(CHEAP, [("user", str(number))], max_tokens=16_000), output=100 + number)
    large = found(t.calls, "large_output_cap")
    assert "16,000 tokens for gpt-4o-mini is 153 times the longest of 5 answers" in large.text
    assert detect(t.calls[:4]) == ()
    near = [replace(one, call=replace(one.call, max_output_tokens=1_000)) for one in t.calls]
    assert detect(near) == ()


def test_one_cause_in_several_tests() -> None:
    t = traffic()
    for _ in range(2):
        t.ask(body(CHEAP, [("user", "a")], temperature=0))
    same = found(t.calls, "duplicate")
    elsewhere = replace(same, call_sites=("app/other.py:1 f",), waste_usd=Decimal(1))
    nowhere = replace(same, call_sites=())
    causes = root_causes({"one": [same, nowhere], "two": [same, elsewhere, nowhere]})
    assert [(one.tests, one.calls) for one in causes] == [
        (("two",), 2),  # the dearest first
        (("one", "two"), 4),
        (("one",), 2),
        (("two",), 2),
    ]
    assert causes[1].waste_usd == 2 * (same.waste_usd or 0)
    mixed = root_causes({"one": [same], "two": [replace(same, level="failure", waste_usd=None)]})
    assert (mixed[0].level, mixed[0].waste_usd) == ("failure", None)


def test_calls_of_which_nothing_is_known() -> None:
    t = traffic()
    for _ in range(8):
        t.ask(body(CHEAP, [("user", "a")]))
    blank = [Seen(call=replace(one.call, fingerprint="", call_site=None)) for one in t.calls]
    assert {one.kind for one in detect(blank)} <= {"no_output_cap"}
    assert len(KEY) < 64
