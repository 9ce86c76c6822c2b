"""Whether a live test's change is more than the noise between its runs.

Answer lengths are about log-normal and differ tenfold in spread from test to test, so no percentage
fits all. Each test is compared on the logarithmic scale with the spread of its own runs, which a
prior steadies while they are few. One run can only raise a suspicion: what it flags is run again,
and fails when all runs together are too far off for chance among all tests of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from pytest_crashlens.baseline.runs import NO_RUNS, RUN_METRICS, RunMetric, Runs, RunTotals
from pytest_crashlens.baseline.student import quantile, tail

RECOMMENDED_RUNS = 5
"""Where an update stops adding runs by itself; these find almost half of all doublings."""
KEPT_RUNS = 20
"""More runs than this are not collected: they would hardly narrow the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRule:
    """The levels, floors and prior of the rule; the errors of the defaults were measured."""

    flag_level: float = 0.05
    """A test is flagged when chance alone would put it so high this often."""
    run_level: float = 0.02
    """A test fails at this level divided by the number of noisy comparisons of the run, so that
    about this share of all unchanged runs fails."""
    proof_runs: int = 2
    """With fewer stored runs nothing fails and nothing is run again: a single run may itself have
    been the odd one (an answer cut short), and then every re-run confirms the difference."""
    min_effect: Fraction = Fraction(1, 10)
    """A smaller increase is let pass, however sure."""
    floor: int = 50
    """So is one of no more than this."""
    prior_spread: float = 0.30
    """How much the logarithm of a test's output varies (standard deviation) where nothing is known:
    what identical requests of public suites, recorded twice, show."""
    prior_degrees: int = 3
    """How many further runs that knowledge is worth."""
    suite_z: float = 2.58
    suite_effect: Fraction = Fraction(1, 20)
    """The whole suite fails when it moved by more than this, and by so many standard errors."""
    suite_tests: int = 10
    """With fewer tests the shift of the whole suite is not judged."""
    suite_runs: int = 5
    """Tests with fewer runs do not count in it: the prior's error, common to all of them, would
    look like a shift that is surer than it is."""


DEFAULT_RULE = NoiseRule()
METRIC_RULES: Mapping[RunMetric, NoiseRule] = {
    "output_tokens": DEFAULT_RULE,
    # what goes in mostly differs by little (a date, a retrieved passage); where agents differ by
    # more, their own runs tell
    "input_tokens": replace(DEFAULT_RULE, prior_spread=0.10),
    "calls": replace(DEFAULT_RULE, prior_spread=0.10, floor=0),
}
"""The rule of each metric, where no limit of the test says otherwise."""

Outcome = Literal[
    "no_runs",  # nothing to compare
    "within_noise",
    "flagged",  # run it again to know
    "inconclusive",  # flagged, and not proven
    "increased",
    "decreased",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseVerdict:
    """What the rule says of one metric of one test, with the numbers that show why."""

    outcome: Outcome
    reason: str
    """Which part of the rule spoke."""
    runs: int
    """Runs in the baseline."""
    seen_runs: int
    baseline: float
    """Mean total of the baseline's runs."""
    seen: float
    """Mean total now."""
    expected: tuple[float, float] = (0.0, math.inf)
    """One more run lies in it 9 times of 10 (at the flag level on either side)."""
    limit: float = math.inf
    """What the (geometric) mean now must exceed to fail; infinite where too few runs are stored."""
    p: float = 1.0
    """How often chance alone would put it at least so high."""
    level: float = 0.0
    """The p below which it fails."""
    detectable: float = math.inf
    """The factor of increase that this many runs can prove in one of two cases."""

    @property
    def failed(self) -> bool:
        """Whether it fails the test."""
        return self.outcome == "increased"

    @property
    def ratio(self) -> float:
        """Mean now by mean before; infinite from nothing."""
        if not self.baseline:
            return math.inf if self.seen else 1.0
        return self.seen / self.baseline


@dataclass(frozen=True, slots=True)
class _Spread:
    """How far the means of two sets of runs may be apart by chance."""

    degrees: int
    variance: float
    """Of a single run's logarithm."""
    scale: float
    """Standard error of the difference of the means."""

    @classmethod
    def of(cls, stored: Runs, seen: Runs, rule: NoiseRule) -> _Spread:
        """Of some runs stored and those seen; of the next single run where none is seen yet."""
        now = max(1, len(seen))
        degrees = rule.prior_degrees + (len(stored) - 1) + (now - 1)
        squares = rule.prior_degrees * rule.prior_spread**2
        variance = (squares + stored.log_squares + seen.log_squares) / degrees
        return cls(degrees, variance, math.sqrt(variance * (1 / len(stored) + 1 / now)))

    def reach(self, level: float) -> float:
        """The difference of log means that chance exceeds with probability ``level``."""
        return quantile(level, self.degrees) * self.scale


def judge(
    stored: Runs,
    seen: Runs,
    *,
    comparisons: int = 1,
    reruns: int = 0,
    planned: int = 0,
    rule: NoiseRule = DEFAULT_RULE,
) -> NoiseVerdict:
    """Compare a metric's runs ``seen`` now with those ``stored``.

    Args:
        stored: The baseline's runs.
        seen: One run, or that run and its re-runs.
        comparisons: Noisy comparisons (tests times metrics) of this whole run, all that are judged
            and not only the flagged ones: the more there are, the surer each must be.
        reruns: How many re-runs are still to come if it is flagged; 0: decide now.
        planned: How many re-runs a suspicion gets in such a run, for ``detectable``.
        rule: Levels and floors.
    """
    baseline, now = stored.mean, seen.mean
    if not stored or not seen:
        return NoiseVerdict(
            outcome="no_runs",
            reason="no run to compare with" if seen else "not run",
            runs=len(stored),
            seen_runs=len(seen),
            baseline=_float(baseline),
            seen=_float(now),
        )
    spread = _Spread.of(stored, seen, rule)
    level = rule.run_level / max(1, comparisons)
    provable = len(stored) >= rule.proof_runs
    t = (seen.log_mean - stored.log_mean) / spread.scale
    rarer = tail(abs(t), spread.degrees)
    p, p_less = (rarer, 1 - rarer) if t >= 0 else (1 - rarer, rarer)
    outcome, reason = _decide(
        p,
        p_less,
        notable=now >= baseline * (1 + rule.min_effect) and now - baseline > rule.floor,
        notably_less=baseline >= now * (1 + rule.min_effect) and baseline - now > rule.floor,
        level=level,
        flag_level=rule.flag_level,
        provable=provable,
        first=reruns > 0,
    )
    one = _Spread.of(stored, NO_RUNS, rule).reach(rule.flag_level)
    return NoiseVerdict(
        outcome=outcome,
        reason=reason,
        runs=len(stored),
        seen_runs=len(seen),
        baseline=_float(baseline),
        seen=_float(now),
        expected=(_exp(stored.log_mean - one), _exp(stored.log_mean + one)),
        limit=_exp(stored.log_mean + spread.reach(level)) if provable else math.inf,
        p=p,
        level=level,
        detectable=detectable(
            stored, comparisons=comparisons, reruns=max(planned, reruns), rule=rule
        ),
    )


def _decide(
    p: float,
    p_less: float,
    *,
    notable: bool,
    notably_less: bool,
    level: float,
    flag_level: float,
    provable: bool,
    first: bool,
) -> tuple[Outcome, str]:
    if p_less < level and notably_less:
        return "decreased", "lower than chance explains"
    if p >= max(flag_level, level):
        return "within_noise", "chance explains it"
    if not notable:
        return "within_noise", "too small to matter"
    if not provable:
        return "inconclusive", "too few runs are stored"
    if first:
        return "flagged", "one run is only a suspicion"
    if p < level:
        return "increased", "higher than chance explains in any of the run's tests"
    return "inconclusive", "chance in one of the run's tests explains it"


def detectable(
    stored: Runs,
    *,
    comparisons: int = 1,
    reruns: int = 0,
    rule: NoiseRule = DEFAULT_RULE,
    more_runs: int = 0,
) -> float:
    """The factor of increase that is proven in about one of two cases.

    ``more_runs``: were so many runs recorded in addition, varying as those before.
    """
    runs = len(stored) + more_runs
    if runs < max(1, rule.proof_runs):
        return math.inf
    level = rule.run_level / max(1, comparisons)
    degrees = rule.prior_degrees + max(0, len(stored) - 1)
    squares = rule.prior_degrees * rule.prior_spread**2 + stored.log_squares
    spread = math.sqrt(squares / degrees)
    more = rule.prior_degrees + runs - 1
    reach = 0.0
    if reruns:  # it must be flagged first
        reach = quantile(rule.flag_level, more) * spread * math.sqrt(1 / runs + 1)
    final = quantile(level, more + reruns) * spread * math.sqrt(1 / runs + 1 / (1 + reruns))
    return max(_exp(max(reach, final)), float(1 + rule.min_effect))


def runs_needed(
    factor: float,
    stored: Runs = NO_RUNS,
    *,
    comparisons: int = 1,
    reruns: int = 0,
    rule: NoiseRule = DEFAULT_RULE,
) -> int | None:
    """How many runs the baseline must hold to prove ``factor``; None: more than are kept.

    They are assumed to vary as those of ``stored`` do, or as the prior says where there are none.
    """
    for runs in range(max(1, len(stored)), max(KEPT_RUNS, len(stored)) + 1):
        found = detectable(
            stored,
            comparisons=comparisons,
            reruns=reruns,
            rule=rule,
            more_runs=runs - len(stored),
        )
        if found <= factor:
            return runs
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteVerdict:
    """Whether the tests moved together by more than chance: what no single test can show."""

    increased: bool
    tests: int
    shift: float = 0.0
    """By how much (0.1: +10 %), each test weighted by how well it is known."""
    expected: tuple[float, float] = (0.0, 0.0)
    """The shift lies in it 9 times of 10 when nothing changed."""
    z: float = 0.0


def judge_suite(
    pairs: Iterable[tuple[Runs, Runs]], *, rule: NoiseRule = DEFAULT_RULE
) -> SuiteVerdict:
    """Compare all tests at once: each one's runs stored and its **first** run now, of one metric.

    Re-runs are left out: only what looked too high has them.
    """
    weights, total, tests = 0.0, 0.0, 0
    for stored, seen in pairs:
        if len(stored) >= rule.suite_runs and seen:
            weight = 1 / _Spread.of(stored, seen, rule).scale ** 2
            weights += weight
            total += weight * (seen.log_mean - stored.log_mean)
            tests += 1
    if tests < rule.suite_tests or not weights:
        return SuiteVerdict(increased=False, tests=tests)
    z = total / math.sqrt(weights)
    shift = _exp(total / weights) - 1
    chance = _exp(1.645 / math.sqrt(weights))
    return SuiteVerdict(
        increased=z > rule.suite_z and shift > rule.suite_effect,
        tests=tests,
        shift=shift,
        expected=(1 / chance - 1, chance - 1),
        z=z,
    )


UpdateAction = Literal["keep", "add", "replace"]


def update(
    stored: RunTotals,
    seen: RunTotals,
    *,
    accepted: bool = False,
    comparisons: int = 1,
    wanted: int = RECOMMENDED_RUNS,
    rule: NoiseRule = DEFAULT_RULE,
    rules: Mapping[RunMetric, NoiseRule] | None = None,
) -> tuple[UpdateAction, RunTotals]:
    """What an update of the baseline does with the runs of a live entry.

    The entry is left alone while what was seen is within tolerance (neither proven higher nor
    lower), except that runs are added until there are as many as ``wanted``; none that chance
    hardly explains, which may be those of changed code. Beyond tolerance the stored ones are those
    of another test: they are forgotten.

    Args:
        stored: The entry's runs; of another model, number of blocks or basis: none.
        seen: What this session saw, without re-runs: only what looked too high has those.
        accepted: The user accepts a change that fails, or names the entry.
        comparisons: As in :func:`judge`.
        wanted: Runs to gather; never more than ``KEPT_RUNS``.
        rule: Levels and floors.
        rules: Those of single metrics; ``rule`` holds for the others.
    """
    if not seen:
        return "keep", stored
    if not stored or accepted:
        return "replace", seen
    varying = [metric for metric in RUN_METRICS if not stored.exact(metric)]
    outcomes = {
        judge(
            stored.of(metric),
            seen.of(metric),
            comparisons=comparisons,
            rule=(rules or {}).get(metric, rule),
        ).outcome
        for metric in varying
    }
    if outcomes & {"increased", "decreased"}:
        return "replace", seen
    if outcomes != {"within_noise"} or len(stored) >= min(wanted, KEPT_RUNS):
        return "keep", stored
    return "add", stored + seen


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # beyond it overflows; tokens never come near
