"""Prompts with a known task: our own, and public ones where they are at hand."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_crashlens.tasks.infer import BLOCKING, UNKNOWN, Inferred, infer_task
from tests.corpus.seed_task_types import SEED_TASKS

OWN = Path(__file__).parent / "unit" / "task_prompts.json"
SHARED = os.environ.get("CRASHLENS_SHARED")
_CATEGORIES = {
    "writing": "content_generation",
    "roleplay": "content_generation",
    "reasoning": "reasoning",
    "math": "reasoning",
    "fermi": "reasoning",
    "coding": "code",
    "extraction": "extraction",
}
ENOUGH = 10
"""Answers from which a set speaks for itself."""


class Prompt(NamedTuple):
    task: str
    system: str
    user: str

    def inferred(self) -> Inferred:
        return infer_task(self.system, self.user)


def own(*sets: str) -> list[Prompt]:
    """Our own: ``tuned_on`` and ``held_back``, split before any rule was written; ``after``: made
    to mislead when the rules were there, which have not been changed since."""
    rows = json.loads(OWN.read_text(encoding="utf-8"))
    return [
        Prompt(row["task"], row.get("system", ""), row["user"])
        for row in rows
        if row["set"] in sets
    ]


def public() -> Iterator[Prompt]:
    """MT-bench and Vicuna by their categories, the seed tasks of self-instruct by our reading."""
    assert SHARED
    folder = Path(SHARED) / "data" / "prompts"
    for name in ("mt_bench_question", "vicuna_bench_question"):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            task = _CATEGORIES.get(row["category"], "basic_q_and_a")
            yield Prompt(task, "", row["turns"][0])
    seeds = (folder / "self_instruct_seed_tasks.jsonl").read_text(encoding="utf-8")
    for line in seeds.splitlines():
        row = json.loads(line)
        task = SEED_TASKS.get(int(row["id"].removeprefix("seed_task_")), "basic_q_and_a")
        if row["is_classification"]:
            task = "classification"
        given = row["instances"][0]["input"]
        yield Prompt(task, "", f"{row['instruction']}\n\n{given}" if given else row["instruction"])


class Score:
    """Answers on one set of prompts, by task."""

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self.prompts: Counter[str] = Counter()
        self.named: Counter[tuple[str, bool]] = Counter()
        self.right: Counter[tuple[str, bool]] = Counter()
        self.blocking: Counter[bool] = Counter()
        for prompt in prompts:
            inferred = prompt.inferred()
            self.prompts[prompt.task] += 1
            if inferred.task != UNKNOWN:
                right = inferred.task == prompt.task
                self.named[inferred.task, inferred.sure] += 1
                self.right[inferred.task, inferred.sure] += right
                if inferred.confidence >= BLOCKING:
                    self.blocking[right] += 1


def confidence(task: str, sure: bool, scores: Iterable[Score]) -> float:
    """What may be said of such an answer: see CONFIDENCE."""
    counts = [(score.right[task, sure], score.named[task, sure]) for score in scores]
    counts.append((sum(right for right, _ in counts), sum(named for _, named in counts)))
    enough = [count for count in counts[:-1] if count[1] >= ENOUGH] + counts[-1:]
    least = min((right + 1) / (named + 2) for right, named in enough)
    return int(1000 * (least if sure else min(least, BLOCKING - 0.01))) / 1000
