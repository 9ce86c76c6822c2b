"""How often two branches that touch different tests conflict in the baseline file.

    python benchmarks/merge_conflicts.py [--pairs N] [--tests N] [--seed N]

Each pair of branches starts from one baseline; each accepts changes of its own tests through the
writer that pytest uses, and `git merge-file` merges the two files. Beside it the same entries with
one line per test. Prints the share of conflicts as a Markdown table, and how many of the merges
without a conflict could not be read or were not the union of both branches. Exits with 1 where a
merge was silently wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pytest_crashlens.baseline.entry import Entry, entry_of
from pytest_crashlens.baseline.file import Baseline, parse
from pytest_crashlens.baseline.runs import RunTotals
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.card import Rate, RateCard

CARDS = {
    model: RateCard(
        provider="openai",
        model=model,
        rates={"input": Rate(Decimal(price)), "output": Rate(Decimal(4 * price))},
        source="benchmark",
    )
    for price, model in enumerate(["mini", "medium", "large", "reasoner", "fast", "new"], 1)
}
BY_ID = {card.id: card for card in CARDS.values()}
PER_FILE = 5
USUAL_MODELS = ("mini", "medium", "large")

Tests = dict[str, Entry]
Draw = random.Random
Change = Callable[[Draw, Tests, list[str]], None]
"""Changes ``tests`` as one branch does, touching only the keys that are given to it."""


def entry(draw: Draw, *, models: tuple[str, ...] = USUAL_MODELS, live: bool = False) -> Entry:
    calls = [
        Call(
            provider="openai",
            endpoint="chat",
            model_returned=draw.choice(models),
            usage=Usage(
                input_tokens=draw.randrange(100, 5000), output_tokens=draw.randrange(10, 900)
            ),
            usage_source="provider",
            live=live,
        )
        for _ in range(draw.randrange(1, 4))
    ]
    found, _ = entry_of(calls, lambda call: CARDS[call.model or ""])
    if live:
        tokens = found.usage.input_tokens or 0
        runs = [
            RunTotals.one(
                calls=found.calls, input_tokens=tokens, output_tokens=draw.randrange(10, 900)
            )
            for _ in range(draw.randrange(1, 6))
        ]
        return Entry(found.blocks, RunTotals.merged(runs))
    return found


def base(draw: Draw, size: int) -> Tests:
    return {key: entry(draw, live=draw.random() < 0.2) for key in map(name, range(size))}


def name(number: int, more: str = "") -> str:
    return f"tests/test_{number // PER_FILE:03}.py::test_{number:04}{more}"


def edit(draw: Draw, tests: Tests, mine: list[str]) -> None:
    for key in mine[:3]:
        tests[key] = entry(draw)


def switch_model(draw: Draw, tests: Tests, mine: list[str]) -> None:
    model = draw.choice(["reasoner", "fast", "new"])
    for key in mine[:5]:
        tests[key] = entry(draw, models=(model,))


def mixed(draw: Draw, tests: Tests, mine: list[str]) -> None:
    for key in mine[: draw.randrange(1, 6)]:
        what = draw.random()
        if what < 0.7:
            tests[key] = entry(draw)
        elif what < 0.9:
            tests[f"{key}_more"] = entry(draw)
        else:
            del tests[key]


def add_at_end(draw: Draw, tests: Tests, mine: list[str]) -> None:
    file = mine[0].partition("::")[0]
    tests[f"{file}::test_zz_{draw.randrange(10**6)}"] = entry(draw)


def edit_first(draw: Draw, tests: Tests, mine: list[str]) -> None:
    tests[mine[0]] = entry(draw)


def delete_first(draw: Draw, tests: Tests, mine: list[str]) -> None:
    del tests[mine[0]]


def scattered(draw: Draw, keys: list[str]) -> tuple[list[str], list[str]]:
    shuffled = draw.sample(keys, len(keys))
    return shuffled[::2], shuffled[1::2]


def neighbours(draw: Draw, keys: list[str]) -> tuple[list[str], list[str]]:
    at = draw.randrange(len(keys) - 1)
    return keys[at : at + 1], keys[at + 1 : at + 2]


def same_file(draw: Draw, keys: list[str]) -> tuple[list[str], list[str]]:
    at = draw.randrange(len(keys) // PER_FILE) * PER_FILE
    return keys[at : at + 1], keys[at + 1 : at + 2]


SCENES: Mapping[str, tuple[Any, Change, Change]] = {
    "edits, new and deleted tests": (scattered, mixed, mixed),
    "edits only": (scattered, edit, edit),
    "edit beside edit": (neighbours, edit_first, edit_first),
    "deleted beside edit": (neighbours, delete_first, edit_first),
    "deleted beside deleted": (neighbours, delete_first, delete_first),
    "one changes a model, one edits": (scattered, switch_model, edit),
    "both change a model": (scattered, switch_model, switch_model),
    "both add to the end of one file": (same_file, add_at_end, add_at_end),
}


def shipped(tests: Tests) -> str:
    return Baseline().merged(tests, BY_ID).render()


def one_line_each(tests: Tests) -> str:
    plain = json.loads(shipped(tests))
    lines = [
        f"  {json.dumps(key)}: {json.dumps(plain['tests'][key], sort_keys=True)}"
        for key in sorted(plain["tests"])
    ]
    cards = json.dumps(plain["cards"], indent=2, sort_keys=True)
    return '{"version": 1, "cards": ' + cards + ', "tests": {\n' + ",\n".join(lines) + "\n}}\n"


LAYOUTS = {"as shipped": shipped, "one line per test": one_line_each}


def merged_by_git(ours: str, before: str, theirs: str) -> str | None:
    """What git makes of both files; None: a conflict."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, text in enumerate((ours, before, theirs)):
            path = Path(folder, str(index))
            path.write_text(text)
            paths.append(str(path))
        done = subprocess.run(["git", "merge-file", "-p", *paths], capture_output=True, text=True)
    return None if done.returncode else done.stdout


def union(before: Tests, ours: Tests, theirs: Tests) -> Tests:
    result = dict(ours)
    for key in before.keys() | theirs.keys():
        if theirs.get(key) != before.get(key):
            if key in theirs:
                result[key] = theirs[key]
            else:
                result.pop(key, None)
    return result


def outcome(before: Tests, ours: Tests, theirs: Tests, layout: Callable[[Tests], str]) -> str:
    text = merged_by_git(layout(ours), layout(before), layout(theirs))
    if text is None:
        return "conflict"
    try:
        found = parse(text, "merged")
    except BaselineError:
        return "unreadable"
    # a card that each branch left to the other to use stays until the next update
    needed = Baseline().merged(found.entries, found.cards)
    return "clean" if needed.render() == shipped(union(before, ours, theirs)) else "silently wrong"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--tests", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(f"| branches that touch different tests of {arguments.tests} | {' | '.join(LAYOUTS)} |")
    print(f"| --- |{' ---: |' * len(LAYOUTS)}")
    bad = 0
    for scene, (split, ours_do, theirs_do) in SCENES.items():
        counts: dict[str, Counter[str]] = {layout: Counter() for layout in LAYOUTS}
        draw = random.Random(f"{arguments.seed} {scene}")
        for _ in range(arguments.pairs):
            before = base(draw, arguments.tests)
            ours, theirs = dict(before), dict(before)
            mine, yours = split(draw, sorted(before))
            ours_do(draw, ours, mine)
            theirs_do(draw, theirs, yours)
            for layout, render in LAYOUTS.items():
                counts[layout][outcome(before, ours, theirs, render)] += 1
        cells = []
        for counted in counts.values():
            share = 100 * counted["conflict"] / arguments.pairs
            faults = [f"{counted[word]} {word}" for word in ("unreadable", "silently wrong")
                      if counted[word]]  # fmt: skip
            bad += counted["silently wrong"]
            cells.append(", ".join([f"{share:.1f} %", *faults]))
        print(f"| {scene} | {' | '.join(cells)} |", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
