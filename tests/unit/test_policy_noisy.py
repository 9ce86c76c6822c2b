"""The rule for noise beside the fixed percentages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.noise import judge
from pytest_crashlens.baseline.renewal import renewed
from pytest_crashlens.baseline.runs import Runs, RunTotals
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.assess import Assessment, Assessor
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.limits import DEFAULT_LIMITS, Limits, limits_from_marker
from pytest_crashlens.policy.noisy import Observed, comparisons, rules, run_totals, suspicious
from pytest_crashlens.pricing.book import PriceBook
from tests.unit.entries import BY_ID, call, entry

BOOK = PriceBook(at=datetime(2026, 11, 1, 12, tzinfo=UTC))
FIVE = (190, 200, 210, 220, 230)


def live(output: int = 210, tokens: int = 1000, **more: Any) -> Call:
    return call("small", (tokens, output), live=True, **more)


def stored(*runs: Sequence[Call]) -> Entry:
    """An entry whose figures are those of the first run."""
    return replace(entry(*runs[0]), runs=RunTotals.merged(run_totals(calls) for calls in runs))


def of_outputs(*outputs: int) -> Entry:
    return stored(*([live(output)] for output in outputs))


def assess(
    before: Entry,
    *runs: Sequence[Call],
    marker: Limits | None = None,
    updating: bool = False,
    many: int = 1,
    planned: int = 4,
) -> Assessment:
    """The middle run is taken to be the last one."""
    assessor = Assessor(Config(), Baseline().merged({"t": before}, BY_ID), BOOK, updating=updating)
    seen = Observed.of(runs, comparisons=many, planned=planned)
    return assessor.assess("t", "t", runs[-1], place="t", marker=marker, observed=seen)


def found(assessment: Assessment) -> list[tuple[str, str | None, bool]]:
    findings = assessment.verdict.findings
    return [(finding.kind, finding.metric, finding.blocks) for finding in findings]


def marked(**arguments: Any) -> Limits:
    return limits_from_marker(arguments).limits


FAILS = [("increase", "output tokens", True)]
TOLD = [("noise", "output tokens", False)]


class TestOutput:
    def test_longer_than_noise_fails_with_the_runs_that_show_it(self) -> None:
        high = assess(of_outputs(*FIVE), *([live(output)] for output in (700, 650, 720, 690, 200)))
        assert found(high) == FAILS
        (finding,) = high.verdict.findings
        assert (finding.before, finding.now) == (210, 592)
        assert finding.evidence == "5 runs in the baseline lie in 190..230, 3 of 4 re-runs agree"

    def test_a_first_run_that_its_reruns_do_not_confirm_is_told(self) -> None:
        cleared = assess(of_outputs(*FIVE), *([live(o)] for o in (700, 210, 200, 190, 230)))
        assert found(cleared) == TOLD
        assert cleared.verdict.findings[0].text.startswith("output 210 -> 700 tokens was noise")

    def test_one_run_alone_may_fail_or_be_told_or_say_nothing(self) -> None:
        before = of_outputs(*FIVE)
        assert [found(assess(before, [live(o)], planned=0)) for o in (900, 350, 230)] == [
            FAILS,
            TOLD,
            [],
        ]

    def test_more_comparisons_need_more(self) -> None:
        before = of_outputs(*FIVE)
        assert found(assess(before, [live(600)], planned=0)) == FAILS
        assert found(assess(before, [live(600)], planned=0, many=1000)) == TOLD

    def test_a_single_stored_run_proves_nothing(self) -> None:
        high = assess(of_outputs(200), *([live(1000)] for _ in range(5)))
        assert found(high) == TOLD
        assert "1 run in the baseline, of 200, proves nothing" in str(
            high.verdict.findings[0].evidence
        )

    @pytest.mark.parametrize(
        "marker", [marked(max_increase="off"), marked(max_increase={"output_tokens": "900%"})]
    )
    def test_a_gate_that_is_off_or_names_output_leaves_the_rule_out(self, marker: Limits) -> None:
        runs = [[live(900)] for _ in range(5)]
        assert found(assess(of_outputs(*FIVE), *runs, marker=marker)) == []

    def test_a_limit_that_names_output_is_a_percentage(self) -> None:
        marker = marked(max_increase={"output_tokens": "20%"})
        assert found(assess(of_outputs(*FIVE), [live(290)], marker=marker)) == FAILS

    def test_the_percentage_and_the_floor_hold_too(self) -> None:
        runs = [[live(420)] for _ in range(5)]
        assert found(assess(of_outputs(*FIVE), *runs)) == FAILS
        wide = marked(max_increase="150%")
        assert found(assess(of_outputs(*FIVE), *runs, marker=wide)) == TOLD
        short = [[live(output)] for output in (5, 6, 5, 6, 5)]
        assert found(assess(stored(*short), *([live(50)] for _ in range(5)))) == TOLD

    def test_other_counting_is_not_compared(self) -> None:
        runs = [[live(900, usage_source="tokenizer")] for _ in range(5)]
        assert [kind for kind, *_ in found(assess(of_outputs(*FIVE), *runs))] == ["basis_changed"]

    def test_a_run_that_is_not_whole_does_not_count(self) -> None:
        unknown = live(usage=Usage(), usage_source="none")
        assert not run_totals([live(), unknown])
        assert not run_totals([live(), live(billed=False)])
        assert not run_totals([call()])
        assert run_totals([live(), call()]).to_dict() == {
            "calls": [1],
            "input_tokens": [1000],
            "output_tokens": [210],
        }

    def test_the_replayed_part_stays_exact(self) -> None:
        before = stored(*([live(o), call(tokens=(10, 200))] for o in FIVE))
        kinds = found(assess(before, [live(), call(tokens=(10, 600))]))
        assert ("increase", "output tokens", True) in kinds

    def test_an_update_accepts_only_what_would_fail(self) -> None:
        before = of_outputs(*FIVE)
        assert not assess(before, [live(340)], updating=True).accepted
        accepted = assess(before, *([live(700)] for _ in range(5)), updating=True, planned=0)
        assert [finding.metric for finding in accepted.accepted] == ["output tokens"]


class TestCallsAndInput:
    def test_they_are_facts_until_runs_differ_in_them(self) -> None:
        constant = stored([live()], [live()], [live()])
        assert ("increase", "calls", True) in found(assess(constant, [live()] * 2))
        assert ("increase", "input tokens", True) in found(assess(constant, [live(tokens=1500)]))

    def test_what_varied_before_must_rise_by_more_than_noise(self) -> None:
        runs = [[live(100, 1000)] * calls for calls in (2, 3, 4, 5, 6)]
        assert found(assess(stored(*runs), [live(100, 1000)] * 5)) == []
        high = assess(stored(*runs), *([live(100, 1000)] * 30 for _ in range(5)))
        assert {"calls", "input tokens", "input cost", "output tokens"} == {
            metric for _, metric, blocks in found(high) if blocks
        }

    def test_the_percentage_alone_holds_where_the_limit_names_the_metric(self) -> None:
        runs = [[live(100, 1000)] * calls for calls in (2, 3, 4, 5, 6)]
        marker = marked(max_increase={"calls": "20%"})
        assert found(assess(stored(*runs), [live(100, 1000)] * 5, marker=marker)) == [
            ("increase", "calls", True)
        ]

    def test_above_every_run_fails_though_chance_may_explain_it(self) -> None:
        runs = [[live(tokens=tokens)] for tokens in (1000, 1001, 1000, 1002, 1001)]
        high = assess(stored(*runs), [live(tokens=1250)], many=20)
        assert high.noise["input_tokens"].outcome == "inconclusive"
        assert found(high) == [
            ("increase", "input cost", True),
            ("increase", "input tokens", True),
        ]
        tokens = high.verdict.findings[1]
        said = "the 5 stored runs lie in 1,000..1,002 input tokens"
        assert tokens.text == f"input tokens increased: {said}"
        assert tokens.evidence == "5 runs in the baseline lie in 1,000..1,002 input tokens"
        assert high.verdict.findings[0].evidence is None

    def test_so_do_calls(self) -> None:
        runs = [[live(10, 100)] * calls for calls in (10, 10, 10, 10, 11)]
        high = assess(stored(*runs), [live(10, 100)] * 13, many=20)
        assert high.noise["calls"].outcome == "inconclusive"
        assert ("increase", "calls", True) in found(high)

    def test_what_one_of_the_runs_had_is_noise_where_the_rule_cannot_tell(self) -> None:
        runs = [[live(tokens=tokens)] for tokens in (*[1000] * 9, 1500)]
        again = assess(stored(*runs), *([live(tokens=1450)] for _ in range(5)), many=10**9)
        assert again.noise["input_tokens"].outcome == "inconclusive"
        assert not again.verdict.failed

    def test_dearer_input_is_no_noise(self) -> None:
        runs = [[live(tokens=tokens, cache_read_tokens=900)] for tokens in (1000, 1001, 1002)]
        lost = assess(stored(*runs), [live(tokens=1001, cache_read_tokens=0)])
        assert found(lost) == [("increase", "input cost", True)]

    def test_replayed_calls_that_came_are_no_noise(self) -> None:
        runs = [[live(100, 1000)] * calls for calls in (2, 3, 4)]
        more = assess(stored(*runs), [*[live(100, 1000)] * 2, call(tokens=(1000, 10))])
        assert ("increase", "calls", True) in found(more)


def test_suspicion_of_one_run() -> None:
    before = of_outputs(*FIVE)

    def is_suspicious(entry: Entry, output: int, limits: Limits = DEFAULT_LIMITS) -> bool:
        return suspicious(entry, [live(output)], limits, reruns=4)

    assert is_suspicious(before, 500)
    assert not is_suspicious(before, 240)
    assert not is_suspicious(of_outputs(200), 5000), "re-runs would prove nothing"
    assert not is_suspicious(entry(live()), 5000)
    off = marked(max_increase="off").over(DEFAULT_LIMITS)
    assert not is_suspicious(before, 500, off)
    counted = [live(500, usage_source="tokenizer")]
    assert not suspicious(before, counted, DEFAULT_LIMITS, reruns=4)


def test_comparisons_of_a_run() -> None:
    noisy = stored([live()], [live()] * 2)
    entries = {
        "a.py::a": of_outputs(1, 2),
        "a.py::b": noisy,
        "c": of_outputs(3),
        "d": entry(live()),
    }
    assert comparisons(entries) == 1 + 3 + 1
    assert comparisons(entries, {"a.py::a", "a.py::new"}) == 1 + 1


class TestRenewal:
    def test_within_tolerance_only_runs_are_added_until_there_are_enough(self) -> None:
        before = replace(of_outputs(200, 210, 220, 230), reason="because")
        now = stored([live(260)])
        added = renewed(before, now)
        assert added is not None
        assert (added.blocks, added.reason) == (before.blocks, "because")
        assert list(added.runs.output_tokens) == [200, 210, 220, 230, 260]
        assert renewed(added, now) is None
        more = renewed(added, now, wanted=10)
        assert more is not None
        assert len(more.runs) == 6

    def test_beyond_tolerance_and_accepted_it_is_written_anew(self) -> None:
        before = of_outputs(*FIVE)
        for now, accepted in ((of_outputs(*[900] * 5), False), (of_outputs(230), True)):
            assert renewed(before, now, accepted=accepted) is now
        assert renewed(before, of_outputs(*[20] * 5)) is not None

    def test_an_entry_without_runs_gets_them_and_keeps_its_figures(self) -> None:
        before = entry(live(210))
        added = renewed(before, of_outputs(250))
        assert added is not None
        assert added.blocks == before.blocks
        assert list(added.runs.output_tokens) == [250]

    def test_another_model_or_number_of_calls_is_another_test(self) -> None:
        before = of_outputs(*FIVE)
        for calls in ([call("large", (1000, 210), live=True)], [live(100, 500)] * 2):
            now = stored(calls)
            assert renewed(before, now) is now

    def test_a_number_of_calls_that_varies_is_not(self) -> None:
        before = stored(*([live(100, 1000)] * calls for calls in (2, 3, 4)))
        added = renewed(before, stored([live(100, 1000)] * 4))
        assert added is not None
        assert list(added.runs.calls) == [2, 3, 4, 4]

    def test_calls_and_input_are_judged_by_their_own_rules(self) -> None:
        before = stored(*([live(10, 100)] * calls for calls in (10, 10, 10, 11)))
        now = stored([live(10, 100)] * 30)
        assert renewed(before, now) is now, "a floor of tokens is none of calls"
        runs = [[live(tokens=tokens)] for tokens in (1000, 1001, 1000, 1002)]
        now = stored([live(tokens=1700)])
        assert renewed(stored(*runs), now) is now, "input varies less than output"

    def test_runs_that_may_be_those_of_changed_code_are_not_added(self) -> None:
        before = stored(*([live(10, 100)] * calls for calls in (10, 10, 10, 11)))
        assert renewed(before, stored([live(10, 100)] * 13), comparisons=20) is None
        assert renewed(of_outputs(200, 210, 220, 230), of_outputs(420), comparisons=20) is None

    def test_a_prompt_that_was_edited_within_tolerance_does_not_become_noise(self) -> None:
        before = stored([live(tokens=1000)], [live(tokens=1000)])
        assert renewed(before, stored([live(tokens=1040)])) is None
        varies = stored([live(tokens=1040)], [live(tokens=1030)])
        assert renewed(before, varies) is not None

    def test_a_run_that_is_not_whole_teaches_nothing(self) -> None:
        before = of_outputs(*FIVE)
        assert renewed(before, entry(live(250))) is None
        assert renewed(before, entry(live(250)), accepted=True) is not None


def test_input_that_hardly_varies_is_gated_nearly_as_a_fact() -> None:
    runs = RunTotals(
        calls=Runs((1,) * 5),
        input_tokens=Runs((1000, 1001, 1000, 1002, 1001)),
        output_tokens=Runs((100,) * 5),
    )
    [(metric, rule)] = [
        found for found in rules(DEFAULT_LIMITS, runs) if found[0] != "output_tokens"
    ]
    assert metric == "input_tokens"
    confirmed = Runs((1400,) * 5)
    assert judge(runs.input_tokens, confirmed, comparisons=20, planned=4, rule=rule).failed
    assert (
        judge(runs.input_tokens, Runs((1400,)), comparisons=20, reruns=4, rule=rule).outcome
        == "flagged"
    )
    assert not judge(runs.input_tokens, Runs((1100,)), comparisons=20, rule=rule).failed
