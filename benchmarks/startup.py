"""What the plugin adds to a run: not there, there but off, and on.

    python benchmarks/startup.py [--rounds 21] [--json PATH]

Each round runs every variant once, in turn, so that a busy machine is busy for all of them; what
counts is the difference to the same round's run without the plugin. Install the package and pytest
alone for numbers of the plugin alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGET_MS = 15
"""CPU time that the plugin may add to a run in which it is off."""

PROJECTS = {"empty file": 0, "1,000 tests": 1000}
ACTIONS = {"list": ["--collect-only"], "run": []}
VARIANTS = {"without": ["-p", "no:crashlens"], "off": [], "on": ["--crashlens"]}

OPTIONS = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")

Times = dict[tuple[str, str, str], list[tuple[float, float]]]
"""CPU and wall seconds of each round, by project, action and variant."""


def write_project(folder: Path, tests: int) -> None:
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    text = "".join(f"def test_{number}():\n    pass\n\n\n" for number in range(tests))
    (folder / "test_it.py").write_text(text)


def timed(folder: Path, arguments: list[str]) -> tuple[float, float]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    # without bytecode pytest compiles the modules of every plugin anew in each run
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", *OPTIONS)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 5):  # 5: no tests
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{said.decode()}")
    return used.ru_utime + used.ru_stime, wall


def measure(rounds: int) -> Times:
    cases = [
        (project, action, variant)
        for project in PROJECTS
        for action in ACTIONS
        for variant in VARIANTS
        if (action, variant) != ("list", "on")  # nothing is loaded when no test runs
    ]
    times: Times = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as name:
        for project, tests in PROJECTS.items():
            write_project(Path(name, project), tests)
        for number in range(-1, rounds):  # the first round warms the caches
            for project, action, variant in (
                cases[number % len(cases) :] + cases[: number % len(cases)]
            ):
                arguments = [*ACTIONS[action], *VARIANTS[variant]]
                found = timed(Path(name, project), arguments)
                if number >= 0:
                    times[project, action, variant].append(found)
    return times


def table(times: Times) -> list[dict[str, str | float]]:
    rows: list[dict[str, str | float]] = []
    for (project, action, variant), rounds in times.items():
        row: dict[str, str | float] = {"project": project, "action": action, "variant": variant}
        for index, clock in enumerate(("cpu", "wall")):
            row[clock] = statistics.median(each[index] for each in rounds) * 1000
            if variant != "without":
                base = times[project, action, "without"]
                added = [
                    (one[index] - other[index]) * 1000
                    for one, other in zip(rounds, base, strict=True)
                ]
                low, middle, high = statistics.quantiles(added, n=4)
                row |= {f"{clock}_added": middle, f"{clock}_low": low, f"{clock}_high": high}
        rows.append(row)
    return rows


def show(rows: list[dict[str, str | float]]) -> None:
    print("milliseconds; added = median of paired differences [quartiles]")
    heads = ("project", "action", "plugin", "CPU", "added", "wall", "added")
    print("{:<12} {:<6} {:<8} {:>6} {:>20} {:>6} {:>20}".format(*heads))
    for row in rows:
        cells = []
        for clock in ("cpu", "wall"):
            cells.append(f"{row[clock]:>6.0f}")
            added = (
                f"{row[f'{clock}_added']:+.0f} [{row[f'{clock}_low']:+.0f}, "
                f"{row[f'{clock}_high']:+.0f}]"
                if f"{clock}_added" in row
                else ""
            )
            cells.append(f"{added:>20}")
        print(f"{row['project']:<12} {row['action']:<6} {row['variant']:<8} {' '.join(cells)}")


def verdict(rows: list[dict[str, str | float]]) -> str:
    """What three quarters of the rounds agree on."""
    off = [row for row in rows if row["variant"] == "off"]
    if any(float(row["cpu_low"]) > BUDGET_MS for row in off):
        return "OVER"
    if all(float(row["cpu_high"]) <= BUDGET_MS for row in off):
        return "within"
    return "the machine is too busy to tell"


def main() -> None:
    parser = argparse.ArgumentParser(description="What the plugin adds to a run.")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path, metavar="PATH", help="keep the table there")
    given = parser.parse_args()
    rows = table(measure(given.rounds))
    show(rows)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"off, budget {BUDGET_MS} ms of CPU: {verdict(rows)}")


if __name__ == "__main__":
    main()
