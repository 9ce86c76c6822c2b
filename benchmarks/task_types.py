"""How often the inferred task of a request is right.

    CRASHLENS_SHARED=DIR python -m benchmarks.task_types

From the repository's root. The prompts are those of tests/unit/task_prompts.json and, where
CRASHLENS_SHARED names the folder with public ones, these too. Prints Markdown tables, and exits
with 1 where an answer that may block was wrong more than once in ten.
"""

from __future__ import annotations

import sys

from pytest_crashlens.tasks.cues import TASKS
from pytest_crashlens.tasks.infer import BLOCKING, CONFIDENCE
from tests.task_prompts import SHARED, Score, confidence, own, public


def line(*cells: str) -> None:
    print("|", " | ".join(cells), "|")


def share(right: int, of: int) -> str:
    return f"{right}/{of}" if of else "-"


def table(name: str, score: Score) -> bool:
    answers, right = sum(score.named.values()), sum(score.right.values())
    total, blocking = score.prompts.total(), score.blocking.total()
    print(
        f"\n{name}: {total} prompts, {answers} answered ({share(right, answers)} right), ", end=""
    )
    print(f"{blocking} may block ({share(score.blocking[True], blocking)} right)\n")
    line("task", "prompts", "likely: right", "sure: right", "precision", "recall")
    line("---", "--:", "--:", "--:", "--:", "--:")
    for task in TASKS:
        counts = [(score.right[task, sure], score.named[task, sure]) for sure in (False, True)]
        hits, named = (sum(column) for column in zip(*counts, strict=True))
        line(
            *(task, str(score.prompts[task])),
            *(share(*count) for count in counts),
            f"{hits / named:.2f}" if named else "-",
            f"{hits / score.prompts[task]:.2f}" if score.prompts[task] else "-",
        )
    return blocking == 0 or score.blocking[True] / blocking >= BLOCKING


def main() -> int:
    sets = {"own, tuned on": Score(own("tuned_on")), "own, held back": Score(own("held_back"))}
    sets["own, written after the rules"] = Score(own("after"))
    if SHARED:
        sets["MT-bench, Vicuna and self-instruct's seeds"] = Score(public())
    kept = [table(name, score) for name, score in sets.items()]

    print()
    line("task", "likely", "sure", "may block")
    line("---", "--:", "--:", "---")
    for task, (likely, sure) in CONFIDENCE.items():
        line(task, f"{likely:.2f}", f"{sure:.2f}", "where sure" if sure >= BLOCKING else "no")
    if SHARED:
        measured = [Score(own("held_back", "after")), Score(public())]
        for task in TASKS:
            now = tuple(confidence(task, sure, measured) for sure in (False, True))
            if now != CONFIDENCE[task]:
                print(f"measured now: {task} {now}")
    return not all(kept)


if __name__ == "__main__":
    sys.exit(main())
