"""The detectors on what other people's tests really sent: nearly all of it is in order."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from pytest_crashlens.detect.detectors import detect
from pytest_crashlens.detect.seen import Seen
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.providers.shape import request_shape
from pytest_crashlens.tokens.counting import TokenCounter
from tests.corpus.recorded import NO_CORPUS, SHARED, exchange, rows
from tests.traffic_patterns import DEAR, NOT_LOOPS, card

pytestmark = pytest.mark.skipif(not SHARED, reason=NO_CORPUS)

KEY = b"recorded"


def seen(one: Exchange, count: TokenCounter) -> list[Seen]:
    """Its call, if it is one; each recorded attempt is a call of its own here."""
    try:
        body = json.loads(one.request_body)
    except ValueError:
        body = {}
    shape = request_shape(body if isinstance(body, Mapping) else {}, KEY)
    return [
        Seen(
            call=call,
            shape=shape,
            started=one.started,
            finished=one.finished,
            card=card(DEAR) if "claude" in (call.model or "") else None,
        )
        for call in read_calls([one], count=count, fingerprint_key=KEY)
    ]


@cache
def recorded_tests() -> Mapping[tuple[str, str, str], list[Seen]]:
    """The calls of each recording, in order."""
    count = TokenCounter.load()
    tests: dict[tuple[str, str, str], list[tuple[Any, Exchange]]] = defaultdict(list)
    for name in ("traffic", "traffic-errors"):
        for row in rows(name):
            order = row.get("history") or 0, row["index"]
            tests[name, row["repo"], row["file"]].append((order, exchange(row)))
    return {
        key: [
            call for _, one in sorted(found, key=lambda pair: pair[0]) for call in seen(one, count)
        ]
        for key, found in tests.items()
    }


def test_recorded_tests() -> None:
    tests = recorded_tests()
    assert len(tests) > 3_400
    assert sum(len(calls) > 1 for calls in tests.values()) > 900
    assert sum(len(calls) > 3 for calls in tests.values()) > 100
    found = {
        key: kinds
        for key, calls in tests.items()
        if (kinds := Counter(one.kind for one in detect(calls) if one.kind not in NOT_LOOPS))
    }
    named = sum(found.values(), Counter[str]())
    # read one by one: identical requests at temperature zero or for the same embedding, and long
    # prompts sent twice without a word about a cache
    assert named == {"duplicate": 11, "prompt_cache": 2}
    assert len(found) == 11


def test_conversations_are_read() -> None:
    shapes = [one.shape for calls in recorded_tests().values() for one in calls]
    chats = [shape for shape in shapes if shape.count]
    assert len(chats) > 0.9 * len(shapes)
    assert sum(turn.kind == "tool_result" for shape in chats for turn in shape.turns) > 1_000
