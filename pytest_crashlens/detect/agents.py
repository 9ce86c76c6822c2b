"""Agents that call the same tools with the same arguments and learn nothing new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_crashlens.detect.detection import Level
from pytest_crashlens.detect.seen import Found, Link, Seen, model_of, pause

_LONGEST_PERIOD = 3
_REPEATS = 3
_REPEATS_FAIL = 4
_REPEATS_ANY_RESULT = 10
_PAUSE_OF_POLLING = 10.0


class _Step(NamedTuple):
    """The tools that one answer called, and what they returned."""

    position: int
    """Of the call that sent the results back."""
    asked: tuple[str, ...]
    got: tuple[str, ...]
    waits: bool
    polled: bool
    """Whether the agent waited long before, or only allowed tools were called."""


def agent_loops(
    calls: Sequence[Seen], linked: Mapping[int, Link], allow_polling: frozenset[str] = frozenset()
) -> Iterator[Found]:
    """Repeated tool calls with repeated results, also in turns of two or three.

    Args:
        calls: of one test, in order.
        linked: which call continues which.
        allow_polling: keyed hashes of the names of tools that may be asked again and again.
    """
    for steps in _conversations(calls, linked, allow_polling):
        if found := _loop(calls, steps):
            yield found


def _conversations(
    calls: Sequence[Seen], linked: Mapping[int, Link], allow_polling: frozenset[str]
) -> list[list[_Step]]:
    by_end: dict[int, list[_Step]] = {}
    for position in range(len(calls)):
        link = linked.get(position)
        if link is None:
            continue
        asked = [turn for turn in link.turns if turn.kind == "tool_call"]
        got = [turn for turn in link.turns if turn.kind == "tool_result"]
        steps = by_end.pop(link.before, [])
        if asked and got:
            waited = pause(calls[link.before], calls[position]) or 0.0
            step = _Step(
                position,
                tuple(turn.own for turn in asked),
                tuple(turn.own for turn in got),
                any(turn.waits for turn in got),
                waited >= _PAUSE_OF_POLLING or all(turn.tool in allow_polling for turn in asked),
            )
            steps = [*steps, step]
        else:  # somebody said something
            steps = []
        by_end[position] = steps
    return list(by_end.values())


def _loop(calls: Sequence[Seen], steps: Sequence[_Step]) -> Found | None:
    for period in range(1, _LONGEST_PERIOD + 1):
        same = _longest(
            [(*step.asked, "", *step.got) for step in steps],
            [step.waits or step.polled for step in steps],
            period,
        )
        repeats = len(same) // period
        if repeats >= _REPEATS:
            level: Level = "failure" if repeats >= _REPEATS_FAIL else "warning"
            return _found(calls, [steps[at] for at in same], period, repeats, level)
    same = _longest([step.asked for step in steps], [step.polled for step in steps], 1)
    if len(same) >= _REPEATS_ANY_RESULT:
        return _found(calls, [steps[at] for at in same], 1, len(same), "warning")
    return None


def _longest(keys: Sequence[tuple[str, ...]], breaks: Sequence[bool], period: int) -> range:
    """The longest stretch in which each key is that of ``period`` places before."""
    best = range(0)
    start = 0
    for at in range(len(keys)):
        if breaks[at]:
            start = at + 1
        elif at - period >= start and keys[at] != keys[at - period]:
            start = at - period + 1
        if not breaks[at] and at + 1 - start > len(best) and at - period >= start:
            best = range(start, at + 1)
    return best


def _found(
    calls: Sequence[Seen], steps: Sequence[_Step], period: int, repeats: int, level: Level
) -> Found:
    members = tuple(step.position for step in steps)
    tools = "one tool call" if period == 1 else f"a round of {period} tool calls"
    results = "the same results" if len({step.got for step in steps}) <= period else "other results"
    text = f"{model_of(calls[members[0]])} made {tools} {repeats} times over, with {results}"
    return Found("agent_loop", level, members, members[period:], text)
