from __future__ import annotations

from dataclasses import replace
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.providers.retries import group
from tests.provider_exchanges import CHAT, calls, exchange


def attempts(*statuses, **fields):
    """Attempts one after the other."""
    return [
        exchange(CHAT, {}, status=status, started=n, finished=n + 0.5, **fields)
        for n, status in enumerate(statuses)
    ]


def sizes(exchanges):
    return [len(attempts) for attempts in group(exchanges)]


@pytest.mark.parametrize("status", [None, 408, 409, 425, 429, 500, 503, 529])
def test_failures_are_retried(status):
    assert sizes(attempts(status, status, 200)) == [3]


@pytest.mark.parametrize("status", [200, 400, 401, 404, 422])
def test_other_answers_are_final(status):
    assert sizes(attempts(status, status, status)) == [1, 1, 1]


def test_after_the_success_a_new_call_begins():
    assert sizes(attempts(500, 200, 500, 200)) == [2, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"lane": "other"},
        {"request_body": b"{}"},
        {"url": "https://eu.api.openai.com/v1/chat/completions"},
        {"url": "https://api.openai.com/v1/responses"},
        {"started": 0.25},
    ],
    ids=["lane", "body", "host", "path", "overlap"],
)
def test_what_makes_another_call(change):
    first, second = attempts(500, 200)
    again = replace(second, **change)
    assert sizes([first, again]) == [1, 1]


def test_a_query_makes_none():
    first, _ = attempts(500, 200)
    assert sizes([first, exchange(f"{CHAT}?x=1", {}, started=1.0)]) == [2]


def test_a_failure_not_yet_ended_has_no_retry():
    first = exchange(CHAT, {}, status=500, started=0.0, finished=None)
    assert sizes([first, exchange(CHAT, {}, started=1.0)]) == [1, 1]


def numbered(status, number, at):
    headers = {"x-stainless-retry-count": str(number)}
    return exchange(CHAT, {}, status=status, request_headers=headers, started=at, finished=at + 0.5)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 1, 2), [3]),
        ((0, 0, 0), [3]),  # a user's loop around the SDK
        ((0, 2, 3), [1, 2]),
        ((0, 1, 1), [2, 1]),
        (("x", "1", ""), [3]),
    ],
)
def test_the_sdks_own_numbers(numbers, expected):
    assert sizes([numbered(500, number, at) for at, number in enumerate(numbers)]) == expected


def test_parallel_identical_calls_in_their_lanes():
    lanes = [f"task {n}" for n in range(3)]
    first = [exchange(CHAT, {}, status=429, lane=lane, finished=0.5) for lane in lanes]
    second = [exchange(CHAT, {}, lane=lane, started=1.0, finished=2.0) for lane in lanes]
    mixed = [first[0], first[1], second[0], first[2], second[2], second[1]]
    assert sizes(mixed) == [2, 2, 2]
    assert group(mixed)[1] == [first[1], second[1]]


def test_parallel_identical_calls_in_one_lane():
    first = [exchange(CHAT, {}, status=429, finished=0.5) for _ in range(3)]
    second = [exchange(CHAT, {}, started=1.0, finished=2.0) for _ in range(3)]
    assert sizes([*first, *second]) == [2, 2, 2]


def test_a_call_says_its_attempts_and_its_last_answer():
    answer = {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    failed = attempts(429, None)
    good = exchange(CHAT, answer, started=2.0, finished=3.0, live=True)
    (one,) = calls(*failed, good)
    assert (one.attempts, one.retries, one.status, one.live) == (3, 2, 200, True)
    assert one.usage.total_tokens == 3
    (lost,) = calls(*failed)
    assert (lost.attempts, lost.status, lost.usage_unknown) == (2, None, True)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, 200, 400, 429, 500]),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["", "0", "1", "2"]),
            st.floats(0, 2),
        )
    )
)
def test_every_attempt_is_in_one_call_and_only_failures_are_retried(drawn):
    clock = count()
    exchanges = [
        exchange(
            CHAT,
            {},
            status=status,
            lane=lane,
            request_headers={"x-stainless-retry-count": number},
            started=(at := float(next(clock))),
            finished=at + lasts,
        )
        for status, lane, number, lasts in drawn
    ]
    grouped = group(exchanges)
    assert sorted(id(one) for call in grouped for one in call) == sorted(map(id, exchanges))
    for call in grouped:
        assert all(one.status in (None, 429, 500) for one in call[:-1])
        assert all(a.finished <= b.started for a, b in pairwise(call))
        assert len({one.lane for one in call}) == 1


@pytest.mark.parametrize(
    ("before", "now", "number"),
    [
        ("1/5/6", "1/5/6", 1),
        ("1/5/6", "1/5/7", 2),  # tasks of one loop run side by side
        ("1/5/6", "1/8/9", 1),  # a loop that asks by asyncio.run(...) each time
        ("1//", "1/5/6", 1),
        ("1/5/6", "2/5/6", 2),
    ],
)
def test_one_flow_of_control(before: str, now: str, number: int) -> None:
    failed = exchange(CHAT, {}, status=500, lane=before, started=0, finished=1)
    again = exchange(CHAT, {}, status=200, lane=now, started=2, finished=3)
    assert len(group([failed, again])) == number
