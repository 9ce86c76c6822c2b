"""How often the detectors are right, on made-up tests whose patterns are known.

    python -m benchmarks.detectors [--tests N] [--seed N]

From the repository's root: the patterns are those of tests/traffic_patterns.py. Prints Markdown
tables and exits with 1 where a rate that the documentation promises is not kept.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter, defaultdict
from typing import NamedTuple

from pytest_crashlens.detect.detectors import detect
from tests.traffic_patterns import KNOWN_FALSE, KNOWN_MISSES, NOT_LOOPS, PATTERNS, made

PRECISION, RECALL = 0.99, 0.99
"""Promised for every kind, over all patterns that are not among the known misses."""


class Measured(NamedTuple):
    found: dict[str, Counter[str]]
    """By pattern: in how many tests each kind was named."""
    tests: int

    def rates(self, *, known: bool) -> dict[str, tuple[float, float]]:
        """Precision and recall by kind; ``known``: with the known misses and mistakes."""
        right: Counter[str] = Counter()
        named: Counter[str] = Counter()
        there: Counter[str] = Counter()
        for name, (_, kinds) in PATTERNS.items():
            if not known and name in KNOWN_MISSES | KNOWN_FALSE:
                continue
            there.update(dict.fromkeys(kinds, self.tests))
            named.update(self.found[name])
            right.update({kind: self.found[name][kind] for kind in kinds})
        return {
            kind: (right[kind] / named[kind] if named[kind] else 1.0, right[kind] / there[kind])
            for kind in sorted(there)
        }


def measure(tests: int, seed: int) -> Measured:
    draw = random.Random(seed)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for name in PATTERNS:
        for _ in range(tests):
            kinds = {one.kind for one in detect(made(name, draw))} - NOT_LOOPS
            found[name].update(kinds)
    return Measured(found, tests)


def line(*cells: str) -> None:
    print("|", " | ".join(cells), "|")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", type=int, default=200, help="made-up tests of each pattern")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    measured = measure(options.tests, options.seed)

    line("pattern", "should be named", "named, share of tests")
    line("---", "---", "---")
    for name, (_, kinds) in PATTERNS.items():
        seen = measured.found[name].most_common()
        shares = ", ".join(f"{kind} {count / options.tests:.2f}" for kind, count in seen)
        line(name.replace("_", " "), ", ".join(kinds) or "-", shares or "-")

    print()
    line("kind", "precision", "recall", "precision, all patterns", "recall, all patterns")
    line("---", "--:", "--:", "--:", "--:")
    usual, everything = measured.rates(known=False), measured.rates(known=True)
    broken = []
    for kind, rates in usual.items():
        line(kind, *(f"{rate:.3f}" for rate in (*rates, *everything[kind])))
        if rates[0] < PRECISION or rates[1] < RECALL:
            broken.append(f"not kept: {kind} {rates}")
    print(*broken, sep="\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
