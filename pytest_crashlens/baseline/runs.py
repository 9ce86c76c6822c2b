"""What is stored of a live test's runs, so that the spread between them is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, Self, get_args

RunMetric = Literal["calls", "input_tokens", "output_tokens"]
RUN_METRICS: tuple[RunMetric, ...] = get_args(RunMetric)

MICRO = 1_000_000
"""Logarithms are kept as whole millionths: their sums do not depend on order or platform."""


@dataclass(frozen=True, slots=True)
class Runs:
    """One metric's total in each of some runs, in order of size (which run had it is not kept).

    A total is the test's sum over its calls: sums of single calls would not tell how much the test
    varies.
    """

    totals: tuple[int, ...] = ()
    _logs: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.totals))
        logs = tuple(round(MICRO * math.log(max(1, total))) for total in ordered)
        object.__setattr__(self, "totals", ordered)
        object.__setattr__(self, "_logs", logs)

    def __len__(self) -> int:
        return len(self.totals)

    def __iter__(self) -> Iterator[int]:
        return iter(self.totals)

    def __add__(self, other: Runs) -> Runs:
        """Both sides' runs; in whatever order shards are merged, the result is the same."""
        return Runs(self.totals + other.totals)

    @property
    def constant(self) -> bool:
        """Whether all runs had the same total."""
        return len(set(self.totals)) <= 1

    @property
    def mean(self) -> Fraction:
        """The mean total; 0 of no runs."""
        return Fraction(sum(self.totals), max(1, len(self)))

    @property
    def log_mean(self) -> float:
        """The mean of the totals' logarithms (0 tokens count as 1); 0 of no runs."""
        return sum(self._logs) / (MICRO * max(1, len(self)))

    @property
    def log_squares(self) -> float:
        """The sum of the logarithms' squared deviations from their mean."""
        logs = self._logs
        # in whole numbers up to the last step, so that nothing cancels
        whole = len(logs) * sum(log * log for log in logs) - sum(logs) ** 2
        return whole / (MICRO * MICRO * max(1, len(logs)))


NO_RUNS = Runs()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """A test's runs: every run adds one total to each metric."""

    calls: Runs = NO_RUNS
    input_tokens: Runs = NO_RUNS
    output_tokens: Runs = NO_RUNS

    def __len__(self) -> int:
        return len(self.output_tokens)

    def __add__(self, other: RunTotals) -> RunTotals:
        return RunTotals(**{name: self.of(name) + other.of(name) for name in RUN_METRICS})

    def of(self, metric: RunMetric) -> Runs:
        """The runs of one metric."""
        runs: Runs = getattr(self, metric)
        return runs

    def exact(self, metric: RunMetric) -> bool:
        """Whether ``metric`` is compared as a fact although the test is live.

        Output never is: short answers often have the same length a few times in a row. Calls and
        input are until runs of the same code differ in them (as those of agents do).
        """
        return metric != "output_tokens" and self.of(metric).constant

    @classmethod
    def one(cls, *, calls: int, input_tokens: int, output_tokens: int) -> Self:
        """A single run."""
        return cls(
            calls=Runs((calls,)),
            input_tokens=Runs((input_tokens,)),
            output_tokens=Runs((output_tokens,)),
        )

    @classmethod
    def merged(cls, parts: Iterable[RunTotals]) -> RunTotals:
        """The runs of all ``parts``."""
        result = RunTotals()
        for part in parts:
            result += part
        return result

    def to_dict(self) -> dict[str, list[int]]:
        """As it stands in the baseline file."""
        return {name: list(self.of(name)) for name in RUN_METRICS}

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError: It is something else, with the fault in words.
        """
        if not isinstance(plain, dict) or set(plain) != set(RUN_METRICS):
            raise ValueError(f"runs must be an object of {', '.join(RUN_METRICS)}")
        for name, totals in plain.items():
            if not isinstance(totals, list) or any(
                type(total) is not int or total < 0 for total in totals
            ):
                raise ValueError(f"{name!r} of runs must be a list of integers of at least 0")
        if len({len(totals) for totals in plain.values()}) > 1:
            raise ValueError("each run must have one total of every metric")
        return cls(**{name: Runs(tuple(totals)) for name, totals in plain.items()})
