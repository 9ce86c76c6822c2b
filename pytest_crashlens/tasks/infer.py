"""The task of a call, inferred from what its request says; and how far that can be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

from pytest_crashlens.tasks.cues import CUES, Cue

UNKNOWN = "unknown"

_HEAD, _TAIL = 400, 200
"""Characters of a text that are read: what is in between is mostly pasted."""
_LEAST_SCORE, _LEAST_MARGIN = 3, 2
_SURE_SCORE, _SURE_MARGIN = 5, 4
_MOST_KNOWN = 10_000
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


class TaskInference:
    """Infers tasks, and looks at a text that comes again (most system prompts) only once.

    It keeps hashes and cues, no text.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Cue, ...]] = {}

    def __call__(self, system: str, user: str) -> Inferred:
        """The task of a request.

        Args:
            system: its system prompt, or "".
            user: the last text of the user.
        """
        return _judged(self._cues(system), self._cues(user))

    def _cues(self, text: str) -> tuple[Cue, ...]:
        name = blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        if name not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[name] = _cues_in(text)
        return self._known[name]


def infer_task(system: str, user: str) -> Inferred:
    """As :class:`TaskInference`, of a single request."""
    return _judged(_cues_in(system), _cues_in(user))


def _judged(system: Sequence[Cue], user: Sequence[Cue]) -> Inferred:
    scores: dict[str, float] = defaultdict(float)
    seen: dict[str, list[tuple[float, str]]] = defaultdict(list)
    told = _add(system, 1.0, scores, seen)
    _add(user, _PAYLOAD if told >= _LEAST_SCORE else 1.0, scores, seen)
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


def _cues_in(text: str) -> tuple[Cue, ...]:
    text = _read(text)
    return tuple(cue for cue in CUES if cue.pattern.search(text)) if text else ()


def _add(
    cues: Sequence[Cue],
    weight: float,
    scores: dict[str, float],
    seen: dict[str, list[tuple[float, str]]],
) -> float:
    """Score the cues of a text; the most that they give to one task."""
    given: dict[str, float] = defaultdict(float)
    for cue in cues:
        given[cue.task] += cue.weight
        scores[cue.task] += cue.weight * weight
        seen[cue.task].append((cue.weight * weight, cue.name))
    return max(given.values(), default=0.0)
