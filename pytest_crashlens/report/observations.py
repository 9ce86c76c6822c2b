"""What detectors saw and what labels cost together: told, and judged elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_crashlens.detect.detection import Detection, DetectionKind, added
from pytest_crashlens.model.money import format_usd
from pytest_crashlens.report.failure import folded
from pytest_crashlens.report.run_result import RunResult

SHOWN = 5
_SAVED: frozenset[DetectionKind] = frozenset({"duplicate", "prompt_cache"})
"""Kinds whose money was well spent, and need not have been."""


def observation_lines(run: RunResult, verbosity: int, width: int) -> Iterator[tuple[str, str]]:
    """Lines of the summary with their roles; ``-v`` shows all of them."""
    worse = [one for one in run.detections if one.level != "info" or verbosity > 0]
    shown = worse if verbosity > 0 else worse[:SHOWN]
    for one in shown:
        role = "" if one.level == "info" else "warn"
        for line in folded(_headline(one), width):
            yield line, role
        yield f"  {_place(one)}", ""
    if len(worse) > len(shown):
        yield f"  ... and {len(worse) - len(shown)} more patterns (-v shows all)", ""
    elif verbosity == 0 and (hint := _savings(run.detections)):
        yield hint, ""
    if verbosity > 0:
        for label in run.labels:
            cost = label.cost
            usd = "unpriced" if cost.usd is None else format_usd(cost.usd)
            least = ">= " if cost.status == "partial" else ""
            calls = "1 call" if len(label.calls) == 1 else f"{len(label.calls):,} calls"
            tests = "1 test" if label.tests == 1 else f"{label.tests:,} tests"
            yield f"{label.label}: {tests}, {calls}, {least}{usd}", ""


def _headline(one: Detection) -> str:
    what = one.kind.replace("_", " ")
    if one.waste_usd is None:
        money = "; not all of it has a price"
    elif not one.waste_usd:
        money = ""
    else:
        verb = "would be saved" if one.kind in _SAVED else "spent for nothing"
        money = f"; {format_usd(one.waste_usd)} {verb}"
    return f"{one.text}{money}" if what in one.text else f"{what}: {one.text}{money}"


def _place(one: Detection) -> str:
    at = ", ".join(f"{site}()" for site in one.call_sites[:3]) or "no line of the project"
    tests = one.tests[0] if len(one.tests) == 1 else f"{len(one.tests):,} tests"
    return f"{at} ({tests})"


def _savings(detections: Sequence[Detection]) -> str:
    """One line for what only ``-v`` lists."""
    quiet = [one for one in detections if one.level == "info" and one.kind in _SAVED]
    saved = added(one.waste_usd for one in quiet)
    if not saved:
        return ""
    return f"{format_usd(saved)} could be saved by caching (-v says where)"
