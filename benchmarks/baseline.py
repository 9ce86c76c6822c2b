"""What a large baseline costs a run: reading, comparing, reporting and writing it.

    python benchmarks/baseline.py [--sizes 10000,30000,100000] [--changed 10] [--profile STEP]

Each size is a process of its own. Of the tests CHANGED percent use a quarter more input than their
entry says and fail, then they are accepted. The tests ask in turn six models, and every tenth is
live. Prints a Markdown table (CPU seconds, and the most memory held so far) and exits with 1 where
a step takes more than twice as long per test in the largest suite as in the smallest.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, load, write
from pytest_crashlens.baseline.moved import moved
from pytest_crashlens.baseline.stale import Extent, renamed, stale_keys
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.input_parts import InputParts
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.assess import Assessor
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.verdict import Verdict
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.report.failure import failure_lines
from pytest_crashlens.report.json_report import to_json
from pytest_crashlens.report.run_result import BaselineStatus, Result, RunResult, Totals
from pytest_crashlens.report.terminal import summary
from pytest_crashlens.snapshot import UpdateWay, write_snapshot

MODELS = (
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4.1"),
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash"),
    ("mistral", "mistral-large-latest"),
)
PER_FILE = 20
SLACK = 2
"""How much longer a step may take per test in the largest suite than in the smallest."""


def key_of(number: int) -> str:
    return f"tests/area_{number // 400}/test_{number // PER_FILE}.py::test_case[{number}]"


def calls_of(number: int, *, grown: bool) -> list[Call]:
    """One to three calls of a test; a tenth of the tests is live."""
    calls = []
    for turn in range(1 + number % 3):
        provider, model = MODELS[(number + turn) % len(MODELS)]
        tokens = 800 + number * 37 % 6007 + 100 * turn  # hardly two tests use the same
        usage = Usage(
            input_tokens=tokens * 5 // 4 if grown else tokens,
            output_tokens=60 + number % 907,
            cache_read_tokens=tokens // 2 if number % 4 == 0 else None,
        )
        call = Call(
            provider=provider,
            endpoint="chat",
            model_requested=model,
            model_returned=model,
            usage=usage,
            usage_source="provider",
            input_parts=InputParts(system=900, user=1500 + number),
            live=number % 10 == 0,
            call_site=f"app/agent.py:{number % 50} plan",
        )
        calls.append(call)
    return calls


class Steps:
    """Times one step after the other."""

    def __init__(self, profiled: str | None) -> None:
        self._profiled = profiled
        self.seconds: dict[str, float] = {}
        self.megabytes: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        gc.collect()
        profile = cProfile.Profile() if name == self._profiled else None
        began = time.process_time()
        if profile is not None:
            profile.enable()
        yield
        if profile is not None:
            profile.disable()
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
        self.seconds[name] = time.process_time() - began
        self.megabytes[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(size: int, changed: int, profiled: str | None) -> Steps:
    """All steps of a run with ``size`` tests, and of the update that accepts it."""
    steps = Steps(profiled)
    book = PriceBook(at=datetime(2026, 11, 1, 12, tzinfo=UTC))
    now = [calls_of(number, grown=number * changed // 100 != (number + 1) * changed // 100)
           for number in range(size)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "crashlens-baseline.json")
        write(path, stored(size, book))
        with steps.step("load"):
            baseline = load(path)
        assert baseline is not None
        with steps.step("compare"):
            results = compared(baseline, book, now, updating=False)
        failed = [result for result in results if result.assessment.verdict.failed]
        assert len(failed) == size * changed // 100
        run = whole(results, now, book)
        with steps.step("report"):
            to_json(run)
            summary(run, 0)
            for result in failed:
                failure_lines(result.assessment, "pytest")
        with steps.step("moved and stale"):
            moved_and_stale(baseline, results)
        accepted = compared(baseline, book, now, updating=True)
        status = BaselineStatus(name=path.name, mode="updated")
        with steps.step("update"):
            done = write_snapshot(
                path, baseline, accepted, status, ended=True, whole=True, way=UpdateWay()
            )
        assert done.error is None
        assert len(done.written) == len(failed)
        steps.megabytes["the file"] = path.stat().st_size / 2**20
    return steps


def stored(size: int, book: PriceBook) -> Baseline:
    assessor = Assessor(Config(), None, book, updating=True)
    found = (
        assessor.describe(key_of(number), "", calls_of(number, grown=False))
        for number in range(size)
    )
    entries: dict[str, Entry] = {}
    cards = {}
    for assessment in found:
        entries[assessment.key] = assessment.now
        cards |= assessment.cards
    return Baseline().merged(entries, cards)


def compared(
    baseline: Baseline, book: PriceBook, now: Sequence[Sequence[Call]], *, updating: bool
) -> list[Result]:
    assessor = Assessor(Config(), baseline, book, updating=updating)
    results = []
    for number, calls in enumerate(now):
        key = key_of(number)
        assessment = assessor.assess(key, key, calls, place=key)
        results.append(Result(assessment=assessment, outcome="passed"))
    return results


def whole(results: list[Result], now: Sequence[Sequence[Call]], book: PriceBook) -> RunResult:
    calls = [call for found in now for call in found]
    totals = Totals.of(calls, Assessor(Config(), None, book, updating=False).cost_today(calls))
    return RunResult(
        results=tuple(results),
        session=Verdict(),
        spent=totals,
        simulated=totals,
        baseline=BaselineStatus(name="crashlens-baseline.json", mode="compared"),
    )


def moved_and_stale(baseline: Baseline, results: Sequence[Result]) -> None:
    """All tests lost the same call, and all of them came back under another name."""
    keys = [result.assessment.key for result in results]
    one = results[0].assessment.now
    twice = Entry(tuple(replace(block, calls=block.calls + 1) for block in one.blocks))
    moved(dict.fromkeys(keys, (twice, one)), {})
    files = frozenset(key.partition("::")[0] for key in keys)
    gone = stale_keys(baseline.entries, Extent(whole_files=files, everything=True), lambda _: False)
    assert len(gone) == len(keys)
    renamed(
        {key: baseline.entries[key] for key in gone},
        {f"{key}x": baseline.entries[key] for key in gone[::10]},
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="10000,30000,100000")
    parser.add_argument("--changed", type=int, default=10, help="percent of the tests")
    parser.add_argument("--profile", metavar="STEP", help="print where this step's time goes")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        steps = measure(arguments.one, arguments.changed, arguments.profile)
        print(json.dumps([steps.seconds, steps.megabytes]))
        return 0
    more = ["--profile", arguments.profile] if arguments.profile else []
    found = {}
    for size in sorted(int(size) for size in arguments.sizes.split(",")):
        words = [sys.executable, __file__, "--one", str(size), "--changed", str(arguments.changed)]
        done = subprocess.run([*words, *more], stdout=subprocess.PIPE, check=True)
        found[size] = json.loads(done.stdout)
    return table(found)


def table(found: dict[int, tuple[dict[str, float], dict[str, float]]]) -> int:
    smallest, largest = min(found), max(found)
    print(f"| step | {' | '.join(f'{size:,} tests' for size in found)} | per test |")
    print(f"| --- |{' ---: |' * (len(found) + 1)}")
    late = []
    for name in found[smallest][0]:
        cells = [f"{found[size][0][name]:.2f} s, {found[size][1][name]:.0f} MB" for size in found]
        each = [found[size][0][name] / size for size in (smallest, largest)]
        growth = each[1] / each[0] if each[0] else 1
        print(f"| {name} | {' | '.join(cells)} | x {growth:.2f} |")
        if growth > SLACK:
            late.append(name)
    sizes = " | ".join(f"{found[size][1]['the file']:.1f} MB" for size in found)
    print(f"| the file | {sizes} | |")
    for name in late:
        print(f"not linear: {name}")
    return 1 if late else 0


if __name__ == "__main__":
    raise SystemExit(main())
