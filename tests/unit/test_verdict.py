from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.entry import entry_of
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.config import Rule
from pytest_crashlens.policy.limits import DEFAULT_LIMITS, Increase, Limits, limits_from_marker
from pytest_crashlens.policy.rule_findings import by_rule
from pytest_crashlens.policy.verdict import (
    Finding,
    Verdict,
    against_baseline,
    within_limits,
)
from pytest_crashlens.pricing.card import Cost
from tests.unit.entries import BY_ID, call, card_of, entry

UNKNOWN = call(usage=Usage(), usage_source="none")


def cost_of(calls: Sequence[Call]) -> Cost:
    found, cards = entry_of(calls, card_of)
    return found.cost(cards)


def gate(
    before: list[Call], now: list[Call], limits: Limits = DEFAULT_LIMITS
) -> list[tuple[str, str | None]]:
    comparison = Comparison(before=entry(*before), now=entry(*now), cards=BY_ID)
    return [(finding.kind, finding.metric) for finding in against_baseline(comparison, limits)]


def marked(**arguments: Any) -> Limits:
    return limits_from_marker(arguments).limits.over(DEFAULT_LIMITS)


class TestReplayed:
    """Facts: everything gates."""

    def test_equal_passes(self) -> None:
        assert gate([call()], [call()]) == []

    def test_twenty_percent_is_allowed_and_more_is_not(self) -> None:
        before = [call(tokens=(1000, 1000))]
        assert gate(before, [call(tokens=(1200, 1200))]) == []
        assert gate(before, [call(tokens=(1201, 1200))]) == [
            ("increase", "cost"),
            ("increase", "input tokens"),
        ]
        assert gate(before, [call(tokens=(1000, 1201))]) == [("increase", "output tokens")]
        assert gate(before, [call(tokens=(1000, 1301))]) == [
            ("increase", "cost"),
            ("increase", "output tokens"),
        ]

    def test_up_to_the_floor_of_fifty_tokens_is_let_pass(self) -> None:
        assert gate([call(tokens=(100, 0))], [call(tokens=(150, 0))]) == []
        assert ("increase", "input tokens") in gate(
            [call(tokens=(100, 0))], [call(tokens=(151, 0))]
        )

    def test_small_money_is_no_excuse(self) -> None:
        """The floor of the cost is fifty tokens at the test's own price, not a sum of money."""
        before = [call(tokens=(300, 0))]  # $0.0003
        assert gate(before, [call("large", tokens=(300, 0))]) == [("increase", "cost")]

    def test_a_floor_in_usd_may_be_set(self) -> None:
        before, now = [call(tokens=(300, 0))], [call("large", tokens=(300, 0))]
        assert gate(before, now, marked(min_increase={"cost": "0.01"})) == []
        assert gate(before, now, marked(min_increase={"cost": "0.002"})) == [("increase", "cost")]

    def test_one_call_more_is_one_too_many(self) -> None:
        before = [call(tokens=(1, 0))] * 20
        assert gate(before, [*before, call(tokens=(1, 0))]) == [("increase", "calls")]
        assert gate(before, before[1:]) == []

    def test_calls_named_in_the_limit_follow_the_limit(self) -> None:
        before = [call(tokens=(1, 0))] * 20
        limits = marked(max_increase={"calls": "10%"})
        assert gate(before, [*before, *before[:2]], limits) == []
        assert gate(before, [*before, *before[:3]], limits) == [("increase", "calls")]

    def test_from_nothing_to_something(self) -> None:
        assert gate([], [call()]) == [
            ("increase", "cost"),
            ("increase", "input tokens"),
            ("increase", "calls"),
        ]

    def test_a_price_list_with_other_prices_is_no_regression(self) -> None:
        """Both sides are priced with the same cards, so there is nothing to see."""
        found = Comparison(before=entry(call()), now=entry(call()), cards=BY_ID)
        assert found.costs()[0] == found.costs()[1]


class TestLive:
    """Output varies: calls, input, cache and model gate."""

    def live(self, model: str = "small", tokens: tuple[int, int] = (1000, 200), **more: Any) -> Any:
        return call(model, tokens, live=True, **more)

    def test_longer_output_is_not_judged_by_a_percentage(self) -> None:
        assert gate([self.live()], [self.live(tokens=(1000, 5000))]) == []

    def test_unless_the_limit_names_it(self) -> None:
        limits = marked(max_increase={"output_tokens": "50%"})
        assert gate([self.live()], [self.live(tokens=(1000, 301))], limits) == [
            ("increase", "output tokens")
        ]
        limits = marked(max_increase={"cost": "50%"})
        assert gate([self.live()], [self.live(tokens=(1000, 900))], limits) == [
            ("increase", "cost")
        ]

    def test_input_model_cache_and_calls_are(self) -> None:
        longer = self.live(tokens=(1300, 200))
        assert gate([self.live()], [longer]) == [
            ("increase", "input cost"),
            ("increase", "input tokens"),
        ]
        assert gate([self.live()], [self.live("large")]) == [("increase", "input cost")]
        cached = self.live(cache_read_tokens=900)
        assert gate([cached], [self.live(cache_read_tokens=0)]) == [("increase", "input cost")]
        tiny = self.live(tokens=(1, 1))
        assert gate([tiny], [tiny, tiny]) == [("increase", "calls")]
        assert gate([tiny] * 10, [tiny] * 12) == []

    def test_a_model_with_dearer_output_is_judged_by_the_baselines_own_tokens(self) -> None:
        """Its input is cheaper, and how long its answers are varies: neither says enough."""
        before, now = self.live(tokens=(500, 500)), self.live("wordy", tokens=(500, 5000))
        assert gate([before], [now]) == [("increase", "cost of the same tokens")]
        assert gate([now], [before]) == []

    def test_replayed_once_is_held_to_its_facts(self) -> None:
        """Output is compared unless both sides are live."""
        replayed, longer = call(tokens=(1000, 200)), self.live(tokens=(1000, 5000))
        found = [("increase", "cost"), ("increase", "output tokens")]
        assert gate([replayed], [longer]) == found
        assert gate([self.live()], [call(tokens=(1000, 5000))]) == found

    def test_the_replayed_part_of_a_live_test_stays_exact(self) -> None:
        before = [self.live(), call(tokens=(1000, 200))]
        wordier = [self.live(tokens=(1000, 9000)), call(tokens=(1000, 200))]
        assert gate(before, wordier) == []
        dearer = [self.live(), call(tokens=(1000, 5000))]
        assert gate(before, dearer) == [("increase", "input cost"), ("increase", "output tokens")]
        assert gate(before, [*before, call(tokens=(1, 1))]) == [("increase", "calls")]
        went_live = [self.live(), self.live(tokens=(1000, 5000))]
        assert gate(before, went_live) == [("increase", "cost"), ("increase", "output tokens")]


REFUSED = call(usage=Usage(), usage_source="none", billed=False, status=401)


class TestStates:
    def test_refused_calls_are_no_improvement(self) -> None:
        assert gate([call()], [REFUSED]) == [("refused", None)]
        assert gate([call(), REFUSED], [call(), REFUSED]) == []
        assert gate([REFUSED], [call()])[0] == ("increase", "cost")
        assert gate([call()], [REFUSED], marked(max_increase="off")) == [("refused", None)]

    def test_one_more_retry_of_replayed_calls(self) -> None:
        assert gate([call()], [call(attempts=2)]) == [("increase", "retries")]
        assert gate([call(live=True)], [call(live=True, attempts=2)]) == []

    def test_a_changed_model_is_judged_however_small_the_test(self) -> None:
        before = [call(tokens=(10, 5))]
        assert gate(before, [call("wordy", tokens=(10, 5))]) == [
            ("increase", "cost of the same tokens")
        ]

    def test_unknown_usage_of_another_model(self) -> None:
        other = call("large", usage=Usage(), usage_source="none")
        assert gate([UNKNOWN], [other]) == [("unknown_usage", None)]

    def test_vanished_speaks_alone_and_also_without_the_gate(self) -> None:
        assert gate([call()], []) == [("vanished", "calls")]
        assert gate([call()], [], marked(max_increase="off")) == [("vanished", "calls")]

    def test_the_gate_can_be_switched_off(self) -> None:
        assert gate([call()], [call("large")] * 9, marked(max_increase="off")) == []

    def test_an_unknown_model_with_equal_tokens_fails(self) -> None:
        assert gate([call()], [call("unheard-of")]) == [("unpriced", "cost")]

    def test_an_unpriced_model_gates_on_tokens_alone(self) -> None:
        before = [call("unheard-of", (1000, 100))]
        assert gate(before, before) == []
        assert gate(before, [call("unheard-of", (900, 100))]) == []
        assert gate(before, [call("unheard-of", (1300, 100))]) == [
            ("unpriced", "cost"),
            ("increase", "input tokens"),
        ]

    def test_a_changed_basis_is_not_compared_as_if_equal(self) -> None:
        counted = call(usage_source="tokenizer")
        assert gate([call()], [counted]) == [("basis_changed", None)]
        assert gate([counted], [call()]) == [("basis_changed", None)]

    def test_unknown_usage_that_was_known(self) -> None:
        kinds = [kind for kind, _ in gate([call()], [UNKNOWN])]
        assert kinds == ["basis_changed", "unknown_usage"]
        assert gate([UNKNOWN], [UNKNOWN]) == []


class TestAbsolute:
    def limits(self, calls: list[Call], **limits: Any) -> list[tuple[str, str | None]]:
        found = within_limits(calls, Limits(**limits), cost_of)
        return [(finding.kind, finding.metric) for finding in found]

    @pytest.mark.parametrize(
        ("limit", "holds", "breaks", "metric"),
        [
            ("max_total_tokens", 300, 299, "total tokens"),
            ("max_input_tokens", 200, 199, "input tokens"),
            ("max_output_tokens", 100, 99, "output tokens"),
            ("max_calls", 2, 1, "calls"),
            ("max_retries", 2, 1, "retries"),
            ("max_cost", Decimal("0.0004"), Decimal("0.0003999"), "cost"),
        ],
    )
    def test_the_limit_itself_is_allowed(
        self, limit: str, holds: Any, breaks: Any, metric: str
    ) -> None:
        calls = [call(), call(attempts=3)]
        assert self.limits(calls, **{limit: holds}) == []
        assert self.limits(calls, **{limit: breaks}) == [("limit", metric)]

    def test_retries_hold_for_each_call(self) -> None:
        assert self.limits([call(attempts=3)] * 5, max_retries=2) == []

    def test_what_is_not_known_is_over(self) -> None:
        assert self.limits([call(), UNKNOWN], max_input_tokens=10**6) == [
            ("unknown_usage", "input tokens")
        ]
        assert self.limits([UNKNOWN], max_cost=Decimal(9)) == [("unpriced", "cost")]
        assert self.limits([call("unheard-of")], max_cost=Decimal(9)) == [("unpriced", "cost")]
        assert self.limits([call("unheard-of")], max_input_tokens=100) == []

    def test_the_known_part_alone_can_be_too_much(self) -> None:
        calls = [call(tokens=(10**6, 0)), call("unheard-of")]
        assert self.limits(calls, max_cost=Decimal("0.5")) == [("limit", "cost")]


def rule(**fields: Any) -> Rule:
    return Rule(policy="a-policy", number=1, line=1, **fields)


def test_counts_that_moved_say_how_many_calls() -> None:
    stated, counted = call(), call(usage_source="tokenizer")
    comparison = Comparison(
        before=entry(stated, stated, counted), now=entry(stated, counted, counted), cards=BY_ID
    )
    (found,) = against_baseline(comparison, DEFAULT_LIMITS)
    assert found.text == (
        "token counts cannot be compared: the provider's of 2 calls + counted by tokenizer of 1 "
        "calls in the baseline, the provider's of 1 calls + counted by tokenizer of 2 calls now"
    )


class TestRules:
    def found(self, a_rule: Rule, *calls: Call, session: bool = False) -> list[Finding]:
        return by_rule(a_rule, list(calls), cost_of, session=session)

    def test_conditions_must_all_hold(self) -> None:
        overkill = rule(
            task_type="summarization", input_tokens_max=500, disallowed_models=("large",)
        )
        guilty = call("large", (500, 10), task="summarization")
        (finding,) = self.found(overkill, guilty)
        assert (finding.kind, finding.policy, finding.blocks) == ("policy", "a-policy", True)
        assert self.found(overkill, call("large", (501, 10), task="summarization")) == []
        assert self.found(overkill, call("large", (500, 10), task="coding")) == []
        assert self.found(overkill, call("large", (500, 10))) == []
        assert self.found(overkill, call("small", (500, 10), task="summarization")) == []

    def test_an_unknown_input_counts_as_a_match(self) -> None:
        overkill = rule(input_tokens_max=500, disallowed_models=("small",))
        assert len(self.found(overkill, UNKNOWN)) == 1

    def test_requested_and_returned_model_are_both_checked(self) -> None:
        banned = rule(disallowed_models=("gpt-4",))
        assert self.found(banned, call(model_requested="gpt-4", model_returned="x"))
        assert self.found(banned, call(model_requested="x", model_returned="gpt-4-0613"))
        assert not self.found(banned, call(model_requested="gpt-4o", model_returned="gpt-4o-mini"))

    def test_three_retries_are_four_attempts(self) -> None:
        capped = rule(max_retries=3, model_scope=("all",))
        assert self.found(capped, call(attempts=4), call(attempts=4)) == []
        (finding,) = self.found(capped, call(attempts=5, call_site="a.py:1 f"))
        assert (finding.now, finding.limit, finding.call_site) == (4, "3", "a.py:1 f")

    def test_all_models_are_those_without_a_name_too(self) -> None:
        capped = rule(max_retries=3, model_scope=("all",))
        assert self.found(capped, call(model_requested=None, model_returned=None, attempts=5))

    def test_output_is_per_call_and_can_only_notify(self) -> None:
        verbose = rule(max_output_tokens=750, actions=("slack_notify",))
        assert self.found(verbose, call(tokens=(1, 750)), call(tokens=(1, 750))) == []
        (finding,) = self.found(verbose, call(tokens=(1, 751)))
        assert not finding.blocks
        assert not Verdict((finding,)).failed

    def test_per_test_and_per_session_sum(self) -> None:
        per_test = rule(max_output_tokens=750, max_retries=1, per="test")
        calls = [call(tokens=(1, 400), attempts=2)] * 2
        assert [f.metric for f in self.found(per_test, *calls)] == ["output tokens", "retries"]
        per_session = rule(limits=Limits(max_cost=Decimal("0.0001")), per="session")
        assert self.found(per_session, call()) == []
        assert [f.metric for f in self.found(per_session, call(), session=True)] == ["cost"]
        assert self.found(per_test, *calls, session=True) == []

    def test_our_limits_in_a_rule_are_per_test(self) -> None:
        few = rule(limits=Limits(max_calls=1), model_scope=("small",))
        assert self.found(few, call(), call("large")) == []
        assert [f.metric for f in self.found(few, call(), call())] == ["calls"]

    def test_a_tighter_increase_for_tests_with_matching_calls(self) -> None:
        tight = rule(task_type="chat", limits=Limits(max_increase=Increase(default=Decimal(5))))
        before, now = [call(tokens=(1000, 0))], [call(tokens=(1100, 0), task="chat")]
        comparison = Comparison(before=entry(*before), now=entry(*now), cards=BY_ID)
        found = by_rule(tight, now, cost_of, comparison=comparison)
        assert [f.metric for f in found] == ["cost", "input tokens"]
        assert found[0].text.startswith("cost increased (whole test: its baseline knows no tasks")
        assert by_rule(tight, [call()], cost_of, comparison=comparison) == []

    def risen(self, a_rule: Rule, before: list[Call], now: list[Call]) -> list[Finding]:
        comparison = Comparison(before=entry(*before), now=entry(*now), cards=BY_ID)
        return by_rule(a_rule, now, cost_of, comparison=comparison)

    def test_an_increase_is_that_of_the_models_in_scope(self) -> None:
        increase = Limits(max_increase=Increase(default=Decimal(5)))
        tight = rule(model_scope=("small",), limits=increase)
        before = [call(tokens=(1000, 0)), call("large", (1000, 0))]
        larger = [call(tokens=(1000, 0)), call("large", (2000, 0))]
        assert self.risen(tight, before, larger) == []
        small, *_ = self.risen(tight, before, [call(tokens=(1100, 0)), call("large", (1, 0))])
        assert (small.metric, small.text) == ("cost", "cost increased (calls to small)")
        anything = rule(model_scope=("all",), limits=increase)
        assert {f.text for f in self.risen(anything, before, larger)} == {
            "cost increased",
            "input tokens increased",
        }

    def test_the_scope_may_name_what_was_requested(self) -> None:
        increase = Limits(max_increase=Increase(default=Decimal(5)))
        tight = rule(model_scope=("my-deployment",), limits=increase)
        before = [call(tokens=(1000, 0)), call("large", (1000, 0))]
        now = [call(tokens=(1100, 0), model_requested="my-deployment"), before[1]]
        metrics = [f.metric for f in self.risen(tight, before, now)]
        assert metrics == ["cost", "input tokens"]

    def test_a_model_new_to_the_test_is_compared_with_all_of_it(self) -> None:
        increase = Limits(max_increase=Increase(default=Decimal(5)))
        before, now = [call("large", (1000, 0))], [call(tokens=(1000, 0))]
        assert self.risen(rule(model_scope=("small",), limits=increase), before, now) == []
        (dearer,) = self.risen(rule(model_scope=("large",), limits=increase), now, before)
        said = "cost increased (whole test: its baseline has no call in model_scope)"
        assert dearer.text == said
