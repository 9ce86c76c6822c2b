"""What the detectors look at: a call, its request's shape, its time and its price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from pytest_crashlens.detect.detection import Detection, DetectionKind, Level, added
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.request_shape import RequestShape, Turn
from pytest_crashlens.pricing.card import RateCard

_RETRIED = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One call and what is known about it."""

    call: Call
    shape: RequestShape = field(default_factory=RequestShape)
    started: float = 0.0
    """Seconds on one clock: when its first attempt began."""
    finished: float | None = None
    """When its last attempt ended; None: not known, and nothing is known to follow it."""
    usd: Decimal | None = None
    """What it cost; None: unpriced."""
    card: RateCard | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended without an answer, or with an error that is tried again."""
        status = self.call.status
        return (
            (status is None and not self.call.usage.stated)  # recorded calls have no status
            or status in _RETRIED
            or (status is not None and status >= 500)
            or self.call.error is not None
            or self.call.ended == "error"
        )

    @property
    def succeeded(self) -> bool:
        """Whether an answer came that was paid for."""
        return not self.failed and self.call.billed

    @property
    def unusable(self) -> bool:
        """Whether its answer is known to be empty or cut off at the cap."""
        output, cap = self.call.usage.output_tokens, self.call.max_output_tokens
        return output is not None and (output == 0 or (cap is not None and output >= cap))

    @property
    def price(self) -> Decimal | None:
        """What it cost: nothing if it was not billed."""
        if not self.call.billed and not self.call.unanswered:
            return Decimal(0)
        return None if self.call.unanswered or self.call.usage_unknown else self.usd


def pause(before: Seen, after: Seen) -> float | None:
    """Seconds between two calls; None where they overlap or that is not known."""
    if before.finished is None or after.started < before.finished:
        return None
    return after.started - before.finished


def follows(before: Seen, after: Seen, within: float) -> bool:
    """Whether ``after`` began when ``before`` had ended, at most so many seconds later."""
    waited = pause(before, after)
    return waited is not None and waited <= within


class Link(NamedTuple):
    """A call that continues the conversation of an earlier one."""

    before: int
    turns: tuple[Turn, ...]
    """What was added."""


def links(calls: Sequence[Seen]) -> dict[int, Link]:
    """By position: which call each continues, the latest where there are several."""
    ends: dict[str, int] = {}
    found: dict[int, Link] = {}
    for position, one in enumerate(calls):
        turns = one.shape.turns
        for at in range(len(turns) - 2, -1, -1):
            before = ends.get(turns[at].through)
            if before is not None and pause(calls[before], one) is not None:
                found[position] = Link(before, turns[at + 1 :])
                break
        if turns:
            ends[one.shape.conversation] = position
    return found


class Found(NamedTuple):
    """A detection before it is known which calls are left to it."""

    kind: DetectionKind
    level: Level
    members: tuple[int, ...]
    """Positions of the calls it explains."""
    wasted: tuple[int, ...]
    """Those of them that were paid for nothing."""
    text: str

    def detection(self, calls: Sequence[Seen]) -> Detection:
        """It in words and money."""
        return Detection(
            kind=self.kind,
            level=self.level,
            text=self.text,
            calls=len(self.members),
            call_sites=sites(calls[member] for member in self.members),
            waste_usd=added(calls[member].price for member in self.wasted),
            waste_tokens=sum(calls[member].call.usage.total_tokens for member in self.wasted),
        )


def sites(calls: Iterable[Seen]) -> tuple[str, ...]:
    """Their call sites, each once."""
    return tuple(dict.fromkeys(one.call.call_site for one in calls if one.call.call_site))


def model_of(one: Seen) -> str:
    """The model asked for, as words."""
    return one.call.model_requested or one.call.model or "an unnamed model"
