"""The rule for live tests: its golden vector, its laws and its edges."""

from __future__ import annotations

import itertools
import json
import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_crashlens.baseline.noise import (
    DEFAULT_RULE,
    KEPT_RUNS,
    RECOMMENDED_RUNS,
    NoiseRule,
    detectable,
    judge,
    judge_suite,
    runs_needed,
    update,
)
from pytest_crashlens.baseline.runs import NO_RUNS, RUN_METRICS, Runs, RunTotals
from pytest_crashlens.baseline.student import quantile, tail

GOLDEN = Runs((210, 198, 240, 225, 205))
LOOSE = NoiseRule(run_level=0.05, proof_runs=1, floor=0, min_effect=Fraction(0))

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
totals = st.integers(0, 10**7)
some_runs = st.lists(totals, max_size=25).map(lambda found: Runs(tuple(found)))
run_totals = st.lists(st.tuples(totals, totals, totals), max_size=8).map(
    lambda found: RunTotals.merged(
        RunTotals.one(calls=calls, input_tokens=given_in, output_tokens=out)
        for calls, given_in, out in found
    )
)


def runs(*found: int) -> Runs:
    return Runs(found)


def live(*output: int, calls: int = 1, input_tokens: int = 100) -> RunTotals:
    return RunTotals.merged(
        RunTotals.one(calls=calls, input_tokens=input_tokens, output_tokens=total)
        for total in output
    )


class TestStudent:
    # critical values as every textbook prints them
    @pytest.mark.parametrize(
        ("probability", "degrees", "t"),
        [
            (0.25, 1, 1.000),
            (0.05, 1, 6.314),
            (0.05, 3, 2.353),
            (0.01, 7, 2.998),
            (0.05, 7, 1.895),
            (0.001, 7, 4.785),
            (0.0005, 10, 4.587),
            (0.025, 30, 2.042),
            (0.05, 120, 1.658),
        ],
    )
    def test_textbook_values(self, probability, degrees, t):
        assert quantile(probability, degrees) == pytest.approx(t, abs=6e-4)
        assert tail(quantile(probability, degrees), degrees) == pytest.approx(
            probability, rel=1e-11
        )

    @relaxed
    @given(st.floats(-1e4, 1e4))
    def test_closed_forms(self, t):
        assert tail(t, 1) == pytest.approx(math.atan2(1, t) / math.pi, rel=1e-11)
        assert tail(t, 2) == pytest.approx(0.5 * (1 - t / math.sqrt(2 + t * t)), abs=1e-13)

    @relaxed
    @given(st.floats(-50, 50), st.floats(0.1, 50), st.floats(0.5, 500))
    def test_falls_from_one_to_nothing(self, t, more, degrees):
        assert 0 <= tail(t + more, degrees) <= tail(t, degrees) <= 1
        assert tail(t, degrees) + tail(-t, degrees) == pytest.approx(1)

    @relaxed
    @given(st.floats(1e-9, 1 - 1e-9), st.floats(1, 400))
    def test_quantile_is_the_inverse(self, probability, degrees):
        assert tail(quantile(probability, degrees), degrees) == pytest.approx(probability, rel=1e-7)


class TestRuns:
    @relaxed
    @given(some_runs, some_runs, some_runs)
    def test_shards_merge_in_any_order(self, one, two, three):
        assert (one + two) + three == one + (two + three)
        for order in itertools.permutations([one, two, three]):
            merged = order[0] + order[1] + order[2]
            assert merged == one + two + three
            assert merged.log_mean == (one + two + three).log_mean
            assert merged.log_squares == (one + two + three).log_squares

    @relaxed
    @given(run_totals, run_totals, run_totals)
    def test_tests_merge_in_any_order_too(self, one, two, three):
        merged = {RunTotals.merged(order) for order in itertools.permutations([one, two, three])}
        assert len(merged) == 1
        assert one + RunTotals() == one
        assert len(one + two) == len(one) + len(two)

    @relaxed
    @given(run_totals)
    def test_json_and_back(self, found):
        assert RunTotals.from_dict(json.loads(json.dumps(found.to_dict()))) == found

    @pytest.mark.parametrize(
        "plain",
        [
            None,
            [],
            {},
            {"calls": [1], "input_tokens": [1]},
            {"calls": [1], "input_tokens": [1], "output_tokens": [1], "cost": [1]},
            {"calls": [1], "input_tokens": [1], "output_tokens": [1, 2]},
            {"calls": [True], "input_tokens": [1], "output_tokens": [1]},
            {"calls": [1.0], "input_tokens": [1], "output_tokens": [1]},
            {"calls": [-1], "input_tokens": [1], "output_tokens": [1]},
            {"calls": 1, "input_tokens": 1, "output_tokens": 1},
        ],
    )
    def test_anything_else_is_refused(self, plain):
        with pytest.raises(ValueError, match="run"):
            RunTotals.from_dict(plain)

    def test_the_spread_is_computed_without_cancellation(self):
        far = runs(*[10**15 + step for step in range(0, 5 * 10**12, 10**12)])
        logs = [math.log(total) for total in far]
        mean = math.fsum(logs) / 5
        assert far.log_squares == pytest.approx(
            math.fsum((log - mean) ** 2 for log in logs), rel=0.01
        )
        assert runs(7, 7, 7).log_squares == 0

    def test_nothing_counts_as_one_token(self):
        assert runs(0, 0).log_mean == runs(1).log_mean == 0
        assert NO_RUNS.mean == NO_RUNS.log_mean == NO_RUNS.log_squares == 0

    def test_output_is_never_exact_and_the_rest_until_it_varies(self):
        found = live(20, 20, 20)
        assert [metric for metric in RUN_METRICS if found.exact(metric)] == [
            "calls",
            "input_tokens",
        ]
        agent = live(20) + live(30, calls=2, input_tokens=180)
        assert not any(agent.exact(metric) for metric in RUN_METRICS)


class TestJudge:
    def test_golden_vector(self):
        assert GOLDEN.log_mean == pytest.approx(5.371025, abs=1e-6)
        assert GOLDEN.log_squares == pytest.approx(0.023773, abs=1e-6)
        verdict = judge(GOLDEN, runs(330), rule=LOOSE)
        assert verdict.p == pytest.approx(0.04906, abs=5e-6)
        assert verdict.limit == pytest.approx(329.0, abs=0.05)
        assert verdict.expected[1] == pytest.approx(329.0, abs=0.05)
        strict = judge(GOLDEN, runs(330), rule=replace(LOOSE, run_level=0.01))
        assert strict.limit == pytest.approx(421.5, abs=0.05)
        t = quantile(verdict.p, 7)
        assert t == pytest.approx(1.9075, abs=1e-4)
        variance = ((math.log(330) - GOLDEN.log_mean) / t) ** 2 / (1 / 5 + 1)
        assert variance == pytest.approx(0.041968, abs=1e-6)

    def test_what_the_golden_one_means(self):
        verdict = judge(GOLDEN, runs(330), comparisons=50, reruns=4)
        assert (verdict.outcome, verdict.failed) == ("flagged", False)
        assert (verdict.runs, verdict.seen_runs) == (5, 1)
        assert (verdict.baseline, verdict.seen) == (215.6, 330.0)
        assert verdict.ratio == pytest.approx(1.5306, abs=1e-4)
        assert verdict.expected[0] < 215 < verdict.expected[1] < verdict.seen < verdict.limit
        assert verdict.level == 0.02 / 50

    def test_reruns_decide(self):
        for more, outcome in (
            ((340, 335, 320, 345), "increased"),
            ((260, 250, 335, 310), "inconclusive"),
            ((220, 190, 205, 230), "within_noise"),
        ):
            seen = runs(330, *more)
            assert judge(GOLDEN, seen, comparisons=20).outcome == outcome

    def test_one_run_never_fails_while_reruns_are_to_come(self):
        assert judge(GOLDEN, runs(10**6), comparisons=50, reruns=1).outcome == "flagged"
        assert judge(GOLDEN, runs(10**6), comparisons=50).outcome == "increased"

    def test_the_more_tests_the_surer_each_must_be(self):
        outcomes = [judge(GOLDEN, runs(560), comparisons=tests).outcome for tests in (1, 5, 500)]
        assert outcomes == ["increased", "increased", "inconclusive"]

    @pytest.mark.parametrize("seen", [runs(23), runs(23, 23, 23, 23, 23)])
    def test_a_small_increase_is_let_pass_however_sure(self, seen):
        steady = runs(*[10] * 20)
        verdict = judge(steady, seen)
        assert verdict.p < 0.01
        assert (verdict.outcome, verdict.reason) == ("within_noise", "too small to matter")
        assert judge(steady, seen, rule=replace(DEFAULT_RULE, floor=12)).failed
        slight = judge(runs(*[10_000] * 20), runs(*[10_900] * 200))
        assert slight.p < 0.02
        assert slight.outcome == "within_noise"

    def test_much_less_is_told(self):
        assert judge(GOLDEN, runs(20), comparisons=20).outcome == "decreased"
        assert judge(GOLDEN, runs(20), comparisons=20, reruns=4).outcome == "decreased"
        assert judge(GOLDEN, runs(150), comparisons=20).outcome == "within_noise"

    def test_a_single_stored_run_proves_nothing(self):
        for reruns, seen in ((4, runs(90_000)), (0, runs(90_000)), (0, runs(*[2000] * 5))):
            verdict = judge(runs(100), seen, comparisons=50, reruns=reruns)
            assert verdict.p < 0.001
            assert (verdict.outcome, verdict.reason) == (
                "inconclusive",
                "too few runs are stored",
            )
            assert verdict.detectable == verdict.limit == math.inf
        assert judge(runs(200), runs(300)).outcome == "within_noise"
        assert judge(runs(100, 100), runs(*[2000] * 5), comparisons=50).failed

    def test_equal_runs_still_vary(self):
        verdict = judge(runs(18, 18, 18), runs(25))
        assert verdict.outcome == "within_noise"
        assert verdict.expected[0] < 18 < verdict.expected[1]

    def test_no_runs(self):
        for stored, seen in ((NO_RUNS, runs(5)), (runs(5), NO_RUNS), (NO_RUNS, NO_RUNS)):
            verdict = judge(stored, seen)
            assert (verdict.outcome, verdict.failed) == ("no_runs", False)

    def test_from_nothing(self):
        assert judge(runs(0, 0, 0), runs(5000)).outcome == "increased"
        assert judge(runs(0, 0, 0), runs(5000)).ratio == math.inf
        assert judge(runs(0, 0, 0), runs(0)).ratio == 1
        assert judge(runs(0), runs(40)).outcome == "within_noise"

    @relaxed
    @given(some_runs, some_runs, st.integers(-1, 10**6), st.integers(0, 9))
    def test_never_raises(self, stored, seen, comparisons, reruns):
        verdict = judge(stored, seen, comparisons=comparisons, reruns=reruns)
        if verdict.outcome == "no_runs":
            return
        assert 0 <= verdict.p <= 1
        assert 0 < verdict.expected[0] <= verdict.expected[1] <= math.inf
        assert verdict.detectable >= 1.1
        assert not (reruns and verdict.failed)

    def test_absurd_numbers_do_not_raise(self):
        absurd = 10**400
        assert judge(runs(1), runs(absurd)).outcome in ("increased", "inconclusive")
        assert judge(runs(absurd, 1), runs(absurd)).outcome == "within_noise"

    @relaxed
    @given(some_runs, totals, totals, st.integers(1, 200))
    def test_more_is_never_less_suspicious(self, stored, one, other, comparisons):
        order = ["no_runs", "decreased", "within_noise", "inconclusive", "increased"]
        low, high = (
            judge(stored, runs(total), comparisons=comparisons) for total in sorted((one, other))
        )
        assert high.p <= low.p + 1e-12
        assert order.index(low.outcome) <= order.index(high.outcome)

    @relaxed
    @given(
        st.lists(st.integers(1, 10**6), min_size=1, max_size=20),
        st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
        st.integers(2, 1000),
    )
    def test_the_scale_does_not_matter(self, stored, seen, factor):
        plain = judge(runs(*stored), runs(*seen), rule=LOOSE)
        scaled = judge(
            runs(*[total * factor for total in stored]),
            runs(*[total * factor for total in seen]),
            rule=LOOSE,
        )
        assert scaled.p == pytest.approx(plain.p, rel=1e-4, abs=1e-9)
        assert scaled.ratio == pytest.approx(plain.ratio)
        assert scaled.limit == pytest.approx(factor * plain.limit, rel=1e-4)

    @relaxed
    @given(some_runs.filter(len), st.integers(1, 100), st.integers(0, 6))
    def test_the_limit_is_where_it_begins_to_fail(self, stored, comparisons, count):
        # with equal re-runs, whose own spread is nothing
        found = judge(stored, runs(*[10] * (count + 1)), comparisons=comparisons, rule=LOOSE)
        for factor, failed in ((0.99, False), (1.01, True)):
            total = round(found.limit * factor)
            if 10**4 < total < 10**30:
                seen = runs(*[total] * (count + 1))
                verdict = judge(stored, seen, comparisons=comparisons, rule=LOOSE)
                assert (verdict.p < verdict.level) is failed


class TestDetectable:
    def test_the_more_runs_the_smaller(self):
        factors = [
            detectable(NO_RUNS, comparisons=50, reruns=4, more_runs=count)
            for count in range(1, KEPT_RUNS + 1)
        ]
        assert factors == sorted(factors, reverse=True)
        assert factors[0] == math.inf
        assert 3 < factors[1] < 4.5
        assert 2.3 < factors[4] < 2.5
        assert factors[9] < 2

    def test_reruns_and_fewer_tests_help(self):
        assert detectable(GOLDEN, comparisons=50, reruns=4) < detectable(GOLDEN, comparisons=50)
        assert detectable(GOLDEN, comparisons=2) < detectable(GOLDEN, comparisons=50)

    def test_runs_needed(self):
        assert runs_needed(2, runs(200), comparisons=50, reruns=4) == 10
        assert runs_needed(2, comparisons=50, reruns=4) == 10
        assert runs_needed(2, GOLDEN, comparisons=50, reruns=4) == len(GOLDEN)
        assert runs_needed(1.05, GOLDEN) is None
        assert detectable(NO_RUNS) == math.inf

    @pytest.mark.parametrize("count", [2, 5, 10])
    def test_it_is_found_in_about_half_of_the_cases(self, count):
        draw, rule = random.Random(count), LOOSE
        promised = detectable(NO_RUNS, comparisons=50, reruns=4, rule=rule, more_runs=count)
        found = 0
        for _ in range(250):
            # the spread is one that the prior has in mind
            spread = rule.prior_spread * math.sqrt(
                rule.prior_degrees / draw.gammavariate(rule.prior_degrees / 2, 2)
            )
            level = math.log(1000)
            stored = runs(*[round(math.exp(draw.gauss(level, spread))) for _ in range(count)])
            now = [round(promised * math.exp(draw.gauss(level, spread))) for _ in range(5)]
            first = judge(stored, runs(now[0]), comparisons=50, reruns=4, rule=rule)
            if first.outcome == "flagged":
                found += judge(stored, runs(*now), comparisons=50, rule=rule).failed
        assert 0.3 < found / 250 < 0.75


def suite(factor: float, *, tests: int = 50, stored: int = 5) -> list[tuple[Runs, Runs]]:
    draw = random.Random(3)
    return [
        (
            runs(*[round(1000 * math.exp(draw.gauss(0, 0.2))) for _ in range(stored)]),
            runs(round(factor * 1000 * math.exp(draw.gauss(0, 0.2)))),
        )
        for _ in range(tests)
    ]


class TestSuite:
    def test_what_no_single_test_shows(self):
        pairs = suite(1.2)
        assert not any(judge(*pair, comparisons=50).failed for pair in pairs)
        verdict = judge_suite(pairs)
        assert verdict.increased
        assert verdict.tests == 50
        assert verdict.shift == pytest.approx(0.2, abs=0.08)
        assert verdict.expected[0] < 0 < verdict.expected[1] < verdict.shift

    def test_nothing_changed(self):
        verdict = judge_suite(suite(1))
        assert not verdict.increased
        assert verdict.expected[0] < verdict.shift < verdict.expected[1]

    def test_a_small_shift_is_let_pass_however_sure(self):
        verdict = judge_suite([(runs(*[1000] * 20), runs(1045))] * 200)
        assert verdict.z > DEFAULT_RULE.suite_z
        assert not verdict.increased

    def test_too_few_tests_or_runs_are_not_judged(self):
        assert not judge_suite(suite(3, tests=9)).increased
        assert judge_suite(suite(3, tests=10)).increased
        assert not judge_suite(suite(3, stored=4)).increased
        assert judge_suite([]).tests == 0

    @relaxed
    @given(st.lists(st.tuples(some_runs, some_runs), max_size=15))
    def test_never_raises(self, pairs):
        verdict = judge_suite(pairs)
        assert judge_suite(pairs[::-1]).z == pytest.approx(verdict.z, abs=1e-9)


class TestUpdate:
    def test_runs_are_gathered_and_then_left_alone(self):
        stored = RunTotals()
        actions = []
        for output in (210, 198, 240, 225, 205, 215, 231):
            action, stored = update(stored, live(output))
            actions.append(action)
        assert actions == ["replace", "add", "add", "add", "add", "keep", "keep"]
        assert stored.output_tokens == GOLDEN
        assert len(stored) == RECOMMENDED_RUNS

    def test_more_runs_on_request_but_not_without_end(self):
        stored = live(200)
        for _ in range(30):
            _, stored = update(stored, live(200), wanted=100)
        assert len(stored) == KEPT_RUNS

    @pytest.mark.parametrize("output", [5000, 3])
    def test_out_of_tolerance_on_either_side_starts_anew(self, output):
        stored = live(*GOLDEN)
        assert update(stored, live(output), comparisons=5) == ("replace", live(output))

    def test_what_is_not_proven_keeps_its_numbers(self):
        stored = live(*GOLDEN)
        assert judge(GOLDEN, runs(330), comparisons=50).outcome == "inconclusive"
        assert update(stored, live(330), comparisons=50) == ("keep", stored)

    def test_an_accepted_change_starts_anew(self):
        assert update(live(*GOLDEN), live(230), accepted=True) == ("replace", live(230))

    def test_nothing_seen_changes_nothing(self):
        stored = live(*GOLDEN)
        assert update(stored, RunTotals(), accepted=True) == ("keep", stored)

    def test_varying_input_has_a_tolerance_too(self):
        agent = RunTotals.merged(
            RunTotals.one(calls=3, input_tokens=total, output_tokens=200)
            for total in (900, 1000, 1100, 950, 1050)
        )
        for total, action in ((1150, "keep"), (9000, "replace")):
            seen = RunTotals.one(calls=3, input_tokens=total, output_tokens=200)
            assert update(agent, seen)[0] == action

    @relaxed
    @given(run_totals, run_totals, st.booleans(), st.integers(0, 40))
    def test_only_what_is_written_changes(self, stored, seen, accepted, wanted):
        action, result = update(stored, seen, accepted=accepted, wanted=wanted)
        assert result == {"keep": stored, "add": stored + seen, "replace": seen}[action]
        if action == "add":
            assert len(stored) < KEPT_RUNS
