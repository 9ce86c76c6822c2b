"""The task of a call, inferred from what its request says; and how far that can be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_crashlens.tasks.cues import CUES

UNKNOWN = "unknown"

_HEAD, _TAIL = 400, 200
"""Characters of a text that are read: what is in between is mostly pasted."""
_LEAST_SCORE, _LEAST_MARGIN = 3, 2
_SURE_SCORE, _SURE_MARGIN = 5, 4
_PAYLOAD = 0.34
"""What a cue in the user's text weighs where the system prompt gives the task."""

BLOCKING = 0.9
"""An inferred task of at least this confidence may fail a test; any other is advice."""

CONFIDENCE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "summarization": (0.75, 0.937),
        "classification": (0.812, 0.916),
        "extraction": (0.888, 0.928),
        "translation": (0.5, 0.947),
        "code": (0.785, 0.937),
        "reasoning": (0.681, 0.833),
        "content_generation": (0.866, 0.933),
        "basic_q_and_a": (0.89, 0.941),
        "chat": (0.888, 0.75),
        "rewriting": (0.833, 0.928),
    }
)
"""By task: how often such an answer was right, where it is likely and where it is sure.

Measured by ``benchmarks/task_types.py`` on prompts that the rules were not tuned on and on public
ones; one miss and one hit are added to what was counted, and a set of ten or more answers
alone must reach it too. What is only likely stays below ``BLOCKING``.
"""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A task and what speaks for it. No text of the request is in it."""

    task: str
    """``unknown`` where nothing speaks clearly enough."""
    confidence: float = 0.0
    cues: tuple[str, ...] = ()
    """Names of the cues that spoke for it, strongest first."""
    score: float = 0.0
    margin: float = 0.0
    """How far the next task is behind."""
    sure: bool = False
    """Whether score and margin are both large."""

    @property
    def may_block(self) -> bool:
        """Whether a policy may fail a test for it."""
        return self.confidence >= BLOCKING


def infer_task(system: str, user: str) -> Inferred:
    """The task of a request.

    Args:
        system: its system prompt, or "".
        user: the last text of the user.
    """
    scores: dict[str, float] = defaultdict(float)
    seen: dict[str, list[tuple[float, str]]] = defaultdict(list)
    told = _add(_read(system), 1.0, scores, seen)
    _add(_read(user), _PAYLOAD if told >= _LEAST_SCORE else 1.0, scores, seen)
    if not scores:
        return Inferred(UNKNOWN)
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    task, score = ranked[0]
    margin = score - (ranked[1][1] if len(ranked) > 1 else 0.0)
    cues = tuple(name for _, name in sorted(seen[task], key=lambda one: -one[0]))
    if score < _LEAST_SCORE or margin < _LEAST_MARGIN:
        return Inferred(UNKNOWN, cues=cues, score=score, margin=margin)
    sure = score >= _SURE_SCORE and margin >= _SURE_MARGIN
    return Inferred(task, CONFIDENCE[task][sure], cues, score, margin, sure)


def _read(text: str) -> str:
    text = text.strip()
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n\n{text[-_TAIL:]}"
    return text.lower()


def _add(
    text: str,
    weight: float,
    scores: dict[str, float],
    seen: dict[str, list[tuple[float, str]]],
) -> float:
    """Score ``text``; the most that it gives to one task."""
    given: dict[str, float] = defaultdict(float)
    for cue in CUES if text else ():
        if cue.pattern.search(text):
            given[cue.task] += cue.weight
            scores[cue.task] += cue.weight * weight
            seen[cue.task].append((cue.weight * weight, cue.name))
    return max(given.values(), default=0.0)
