"""What a detector found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Literal

from pytest_crashlens.model.money import EXACT

DetectionKind = Literal[
    "retry_storm",
    "agent_loop",
    "feedback_loop",
    "reask_loop",
    "fallback_storm",
    "fallback_up",
    "fallback_down",
    "duplicate",
    "prompt_cache",
    "no_output_cap",
    "large_output_cap",
]
Level = Literal["info", "warning", "failure"]
LEVELS: tuple[Level, ...] = ("info", "warning", "failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One root cause: what happened, where, how often, and what it cost."""

    kind: DetectionKind
    level: Level
    """How bad it is by its own measure; whether it fails anything is a policy's matter."""
    text: str
    calls: int
    call_sites: tuple[str, ...]
    waste_usd: Decimal | None
    """Dollars spent for nothing, or that would be saved; None: not all of it has a price."""
    waste_tokens: int = 0
    tests: tuple[str, ...] = ()


def root_causes(by_test: Mapping[str, Iterable[Detection]]) -> tuple[Detection, ...]:
    """The detections of several tests, those of one kind and place as one; dearest first."""
    merged: dict[tuple[str, tuple[str, ...]], list[Detection]] = {}
    for test, detections in by_test.items():
        for one in detections:
            # without a call site nothing says that two tests share a cause
            place = one.call_sites or (f"\0{test}",)
            merged.setdefault((one.kind, place), []).append(replace(one, tests=(test,)))
    found = [_merge(group) for group in merged.values()]
    return tuple(sorted(found, key=_first))


def _merge(group: Sequence[Detection]) -> Detection:
    worst = max(group, key=lambda one: (LEVELS.index(one.level), one.waste_usd or 0, one.calls))
    return replace(
        worst,
        calls=sum(one.calls for one in group),
        waste_usd=added(one.waste_usd for one in group),
        waste_tokens=sum(one.waste_tokens for one in group),
        tests=tuple(dict.fromkeys(test for one in group for test in one.tests)),
    )


def _first(one: Detection) -> tuple[int, Decimal, str]:
    return -LEVELS.index(one.level), -(one.waste_usd or Decimal(0)), one.text


def added(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Their sum; None where one is not known."""
    total = Decimal(0)
    with localcontext(EXACT):
        for amount in amounts:
            if amount is None:
                return None
            total += amount
    return total
