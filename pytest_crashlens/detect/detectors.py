"""All detectors over the calls of one test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_crashlens.detect.agents import agent_loops
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.detect.fallbacks import fallbacks
from pytest_crashlens.detect.repeats import (
    RETRIES_ALLOWED,
    feedback_loops,
    reask_loops,
    retry_storms,
)
from pytest_crashlens.detect.savings import duplicates, output_caps, prompt_caches
from pytest_crashlens.detect.seen import Found, Seen, links


def detect(
    calls: Sequence[Seen],
    *,
    retries_allowed: int = RETRIES_ALLOWED,
    allow_polling: frozenset[str] = frozenset(),
) -> tuple[Detection, ...]:
    """What the calls of one test, in the order in which they began, spend for nothing.

    A call counts for one cause only, so that their dollars may be added: the first of retry
    storms, agent loops, corrections, re-asking, fallbacks, duplicates, prompt caches. Output caps
    are mentioned beside them and cost nothing.

    Args:
        calls: of one test.
        retries_allowed: more retries of one request than that are a storm.
        allow_polling: keyed hashes of the names of tools that may be asked again and again.
    """
    claimed: set[int] = set()
    detections: list[Detection] = []
    for found in _loops(calls, retries_allowed, allow_polling):
        if claimed.isdisjoint(found.members):
            claimed.update(found.members)
            detections.append(found.detection(calls))
    for found in duplicates(calls, claimed):
        claimed.update(found.wasted)  # what is left is an ordinary call
        detections.append(found.detection(calls))
    return (*detections, *prompt_caches(calls, claimed), *output_caps(calls))


def _loops(
    calls: Sequence[Seen], retries_allowed: int, allow_polling: frozenset[str]
) -> Iterator[Found]:
    linked = links(calls)
    yield from retry_storms(calls, retries_allowed)
    yield from agent_loops(calls, linked, allow_polling)
    yield from feedback_loops(calls, linked)
    yield from reask_loops(calls)
    yield from fallbacks(calls)
