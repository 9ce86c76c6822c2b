"""What a policy says about a call that nobody has made, and what other models would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.baseline.entry import Block, entry_of
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.candidates import Named, rank
from pytest_crashlens.policy.config import Policy, Rule
from pytest_crashlens.policy.limits import Increase, Limits
from pytest_crashlens.policy.repricing import Change, Repricer, mean_usage, summed, with_cap
from pytest_crashlens.policy.rule_findings import by_rule
from pytest_crashlens.policy.simulation import NO_COUNTS, Asked, Simulation, simulate
from pytest_crashlens.policy.verdict import CostOf
from pytest_crashlens.pricing.card import Cost, RateCard
from pytest_crashlens.pricing.model_facts import ModelDirectory, ModelFacts
from tests.unit.entries import BY_ID, CARDS, call, card, entry

FREE = RateCard(provider="openai", model="own", rates={}, source="test", free=True)
MODELS = {**CARDS, "own": FREE}


def rule(number: int = 1, **fields: Any) -> Rule:
    return Rule(policy="a-policy", number=number, line=number, **fields)


def policy(*rules: Rule) -> Policy:
    return Policy(name="a-policy", line=1, rules=rules)


def asked(model: str = "large", **fields: Any) -> Asked:
    return Asked(provider="openai", model=model, name=model, **fields)


def decide(rules: Sequence[Rule], one: Asked) -> Simulation:
    return simulate(policy(*rules), one, MODELS.get)


def said(rules: Sequence[Rule], one: Asked, per_month: int | None = None) -> list[str]:
    return decide(rules, one).sentences(per_month)


BANNED = rule(
    task_type="summarization",
    input_tokens_max=500,
    disallowed_models=("large",),
    suggest_fallback="small",
)
CAPPED = rule(max_retries=3, model_scope=("all",))


class TestSentences:
    def test_a_disallowed_model(self) -> None:
        one = asked(task="summarization", input_tokens=400)
        text = "Policy 'a-policy' violated. Suggested fallback: small. Estimated savings:"
        assert said([BANNED], one) == [
            f"{text} $0.0036",
            "per call, input only: give --output-tokens for the rest",
        ]
        assert said([BANNED], one, 1000) == [
            f"{text} $3.60/month.",
            "1,000 calls a month, input only: give --output-tokens for the rest",
        ]
        both = replace(one, output_tokens=10)
        assert said([BANNED], both, 1) == [f"{text} $0.0038/month.", "1 call a month"]
        assert said([BANNED], replace(one, input_tokens=None)) == [f"{text} unknown ({NO_COUNTS})."]

    def test_without_a_fallback(self) -> None:
        one = asked(task="summarization", input_tokens=1)
        assert said([replace(BANNED, suggest_fallback=None)], one) == [
            "Policy 'a-policy' violated (large is disallowed for summarization)."
        ]

    @pytest.mark.parametrize(
        ("fallback", "words"),
        [
            ("wordy", "none (wordy costs $0.0060 more)."),
            ("small", "none (small costs the same)."),
            ("gpt-9", "unknown (no price for gpt-9: set one under prices: in crashlens.yml)."),
        ],
    )
    def test_a_fallback_that_saves_nothing(self, fallback: str, words: str) -> None:
        banned = rule(disallowed_models=("small",), suggest_fallback=fallback)
        one = asked("small", input_tokens=0, output_tokens=1000)
        assert said([banned], one)[0].endswith(f"Estimated savings: {words}")

    def test_retries(self) -> None:
        one = asked("small", input_tokens=400, output_tokens=100, retries=5)
        text = "Policy 'a-policy' violated (5 retries > max 3). Estimated cost increase:"
        assumed = "each retry beyond the limit billed like the whole call"
        assert said([CAPPED], one) == [f"{text} $0.0012.", f"per call, {assumed}"]
        assert said([CAPPED], one, 10)[0] == f"{text} $0.012/month."
        assert said([CAPPED], asked(retries=5)) == [f"{text} unknown ({NO_COUNTS})."]
        only = said([CAPPED], asked("small", output_tokens=100, retries=5))
        assert only[0] == f"{text} $0.00040."
        assert only[1].endswith(", output only: give --input-tokens for the rest")
        assert said([CAPPED], replace(one, retries=3)) == ["Policy 'a-policy' passed."]
        (first, *_) = said([replace(CAPPED, max_retries=0)], replace(one, retries=1))
        assert "(1 retry > max 0)" in first

    @pytest.mark.parametrize(
        ("limits", "breach", "increase"),
        [
            ({"max_output_tokens": 750}, "751 output tokens > max 750", " $0.0000020."),
            ({"max_input_tokens": 999}, "1,000 input tokens > max 999", " $0.0000010."),
            ({"max_total_tokens": 1750}, "1,751 total tokens > max 1,750", None),
            ({"max_calls": 0}, "1 call > max 0", None),
            ({"max_cost": Decimal("0.0025")}, "cost $0.002502 > max $0.0025", " $0.0000020."),
        ],
    )
    def test_other_limits(self, limits: dict[str, Any], breach: str, increase: str | None) -> None:
        one = asked("small", input_tokens=1000, output_tokens=751)
        output = limits.pop("max_output_tokens", None)
        tight = rule(max_output_tokens=output, limits=Limits(**limits))
        (first, *_) = said([tight], one)
        words = f" Estimated cost increase:{increase}" if increase else ""
        assert first == f"Policy 'a-policy' violated ({breach}).{words}"

    def test_one_line_for_each_breach(self) -> None:
        one = asked(task="summarization", input_tokens=400, output_tokens=0, retries=4)
        lines = said([BANNED, replace(CAPPED, number=2)], one)
        assert lines[0].startswith("Policy 'a-policy' violated. Suggested fallback: small.")
        assert lines[1].startswith("Policy 'a-policy' violated (4 retries > max 3).")
        assert lines[2:] == [
            "per call",
            "per call, each retry beyond the limit billed like the whole call",
        ]

    def test_why_no_rule_is_about_the_call(self) -> None:
        others = [BANNED, rule(2, disallowed_models=("x",), model_scope=("wordy", "tiny"))]
        assert said(others, asked(input_tokens=501)) == [
            "Policy 'a-policy' passed.",
            "rule 1 is not about this call: it is for task summarization (give --task), "
            "at most 500 input tokens",
            "rule 2 is not about this call: it is for models wordy, tiny",
        ]

    def test_what_only_notifies_is_told_and_does_not_block(self) -> None:
        told = replace(CAPPED, actions=("slack_notify",))
        found = decide([told], asked("small", input_tokens=1, output_tokens=1, retries=4))
        assert not found.blocked
        assert "violated" in found.sentences()[0]
        assert found.sentences()[-1] == "told, and fails no test: no block_pr in its actions"


class TestWhatIsNotKnown:
    @pytest.mark.parametrize(
        ("limits", "needed"),
        [
            ({"max_output_tokens": 9}, "give --output-tokens"),
            ({"max_total_tokens": 999}, "give --output-tokens"),
            ({"max_cost": Decimal(1)}, "give --output-tokens"),
            ({"max_input_tokens": 999}, None),
        ],
    )
    def test_an_unsaid_count_that_a_limit_needs(
        self, limits: dict[str, Any], needed: str | None
    ) -> None:
        output = limits.pop("max_output_tokens", None)
        tight = rule(max_output_tokens=output, limits=Limits(**limits))
        found = decide([tight], asked("small", input_tokens=10))
        assert not found.violations
        assert [one.partition(": ")[2] for one in found.undecided] == [needed] * bool(needed)

    def test_what_is_said_may_be_too_much_already(self) -> None:
        tight = rule(limits=Limits(max_total_tokens=9, max_cost=Decimal("0.000001")))
        found = decide([tight], asked("small", input_tokens=10))
        assert [one.finding.metric for one in found.violations] == ["cost", "total tokens"]
        assert found.blocked
        assert not found.undecided

    def test_a_free_model_costs_nothing_whatever_its_tokens(self) -> None:
        found = decide([rule(limits=Limits(max_cost=Decimal(0)))], asked("own"))
        assert not found.violations
        assert not found.undecided

    def test_no_price_where_a_limit_needs_one(self) -> None:
        found = decide([rule(limits=Limits(max_cost=Decimal(9)))], asked("gpt-9"))
        assert found.blocked
        assert "no price for gpt-9" in found.sentences()[0]

    @pytest.mark.parametrize(
        ("more", "name"),
        [
            ({"limits": Limits(max_increase=Increase(default=Decimal(5)))}, "max_increase"),
            ({"disallowed_patterns": ("retry_storm",)}, "disallowed_patterns"),
            ({"fallback_after": 2}, "fallback_after"),
        ],
    )
    def test_what_takes_a_run(self, more: dict[str, Any], name: str) -> None:
        one = asked("small", input_tokens=1, output_tokens=1)
        note = f"not simulated: {name} of rule 1 (run the test)"
        assert decide([rule(**more)], one).undecided == (note,)
        found = decide([rule(max_retries=1, **more)], one)
        assert not found.undecided
        assert found.sentences() == ["Policy 'a-policy' passed.", note]


names = st.sampled_from(["small", "large", "large-2024-08-06", "wordy", "openai/large"])
counts = st.integers(0, 1200)
rules = st.builds(
    rule,
    task_type=st.sampled_from([None, "summarization", "coding"]),
    input_tokens_max=st.none() | st.integers(1, 1200),
    model_scope=st.none() | st.tuples(names) | st.just(("all",)),
    disallowed_models=st.tuples() | st.tuples(names) | st.just(("large*", "gpt-9")),
    suggest_fallback=st.none() | names,
    max_retries=st.none() | st.integers(0, 5),
    max_output_tokens=st.none() | counts,
    per=st.sampled_from([None, "call", "test", "session"]),
    actions=st.sampled_from([("block_pr",), ("slack_notify",), ("block_pr", "slack_notify")]),
    limits=st.builds(
        Limits,
        max_cost=st.none() | st.sampled_from([Decimal(n) for n in ("0", "0.001", "1")]),
        max_total_tokens=st.none() | counts,
        max_input_tokens=st.none() | counts,
        max_calls=st.none() | st.integers(0, 2),
    ),
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(rules, min_size=1, max_size=3),
    st.sampled_from(["small", "large", "large-2024-08-06", "wordy", "gpt-9"]),
    st.sampled_from([None, "summarization", "coding"]),
    counts,
    counts,
    st.integers(0, 6),
)
def test_the_decision_is_that_of_a_run(
    some: list[Rule], model: str, task: str | None, given_in: int, given_out: int, retries: int
) -> None:
    """A run sees a call; the simulation is told of one."""
    seen = call(model, (given_in, given_out), task=task, attempts=retries + 1)
    findings = [
        finding
        for one in some
        for session in (False, True)
        for finding in by_rule(one, [seen], priced(CARDS), session=session)
    ]
    told = asked(model, task=task, input_tokens=given_in, output_tokens=given_out, retries=retries)
    found = decide(some, told)
    assert found.blocked == any(finding.blocks for finding in findings)
    assert [(one.rule.policy, one.finding.metric) for one in found.violations] == [
        (finding.policy, finding.metric) for finding in findings
    ]
    assert (not found.undecided) or task is None
    violated = [line for line in found.sentences() if " violated" in line]
    assert len(violated) == len({one.sentence() for one in found.violations})


def test_a_rule_for_a_task_needs_one_to_be_evaluated() -> None:
    overkill = rule(task_type="summarization", disallowed_models=("large",), max_retries=None)
    found = decide([overkill], asked("large", input_tokens=1, output_tokens=1))
    assert found.undecided == ("rule 1 is about summarization: give --task",)
    assert not decide([overkill], asked("small", task="coding")).undecided


def priced(cards: dict[str, RateCard]) -> CostOf:
    def cost_of(calls: Sequence[Call]) -> Cost:
        found, used = entry_of(calls, lambda one: cards.get(one.model or ""))
        return found.cost(used)

    return cost_of


def card_at(provider: str, model: str, tier: str | None, batch: bool) -> RateCard | None:
    return MODELS.get(model)


REPRICER = Repricer(card_at, BY_ID)


def usd(cost: Cost) -> str:
    return f"{cost.usd} {cost.status}"


class TestRecordedCalls:
    def test_another_model(self) -> None:
        recorded = entry(call("small", (1000, 500)), call("large", (1000, 500)))
        found = REPRICER.entry(recorded, Change(provider="openai", model="large"))
        assert (usd(found.before), usd(found.after)) == ("0.022 priced", "0.04 priced")
        assert not found.at_most

    def test_what_another_model_cannot_answer_stays(self) -> None:
        embedded = call("small", output_tokens=None)
        refused, unknown = call(billed=False), call(usage=Usage(), usage_source="none")
        found = REPRICER.entry(entry(embedded), Change(model="large"))
        assert (found.before, found.kept) == (found.after, 1)
        for one in (refused, unknown):
            found = REPRICER.entry(entry(one), Change(model="large"))
            assert (found.before, found.kept) == (found.after, 0)

    def test_a_cap_on_the_output(self) -> None:
        one = REPRICER.entry(entry(call("small", (0, 900))), Change(max_output_tokens=100))
        assert (usd(one.after), one.at_most) == ("0.0002 priced", False)
        several = entry(call("small", (0, 900)), call("small", (0, 10)))
        found = REPRICER.entry(several, Change(max_output_tokens=100))
        # exactly: 110 tokens; known is only the sum
        assert (usd(found.after), found.at_most) == ("0.0004 priced", True)
        found = REPRICER.entry(several, Change(max_output_tokens=910))
        assert (found.after, found.at_most) == (found.before, False)

    def test_a_cap_holds_for_the_parts_too(self) -> None:
        usage = Usage(output_tokens=900, reasoning_tokens=700, output_audio_tokens=100)
        assert with_cap(usage, 750) == Usage(
            output_tokens=750, reasoning_tokens=700, output_audio_tokens=50
        )
        assert with_cap(usage, 900) is usage

    def test_retries_are_billed_like_the_call_at_most(self) -> None:
        found = REPRICER.entry(entry(call("small", (1000, 0))), Change(retries=2))
        assert (usd(found.before), usd(found.after)) == ("0.001 priced", "0.003 priced")
        assert found.at_most
        none = REPRICER.entry(entry(call("small", (1000, 0))), Change(retries=0))
        assert (none.before, none.at_most) == (none.after, False)

    def test_an_unknown_price_is_named(self) -> None:
        found = REPRICER.entry(entry(call()), Change(provider="azure", model="gpt-9"))
        assert found.after == Cost(None, "unpriced", ("no price for azure/gpt-9",))

    def test_a_price_that_is_gone_is_taken_from_the_baseline(self) -> None:
        gone = Repricer(lambda *_: None, BY_ID)
        assert usd(gone.entry(entry(call("small", (1000, 0))), Change()).before) == "0.001 priced"

    def test_prices_of_long_inputs(self) -> None:
        tiered = Change(model="tiered")

        def after(*inputs: int) -> tuple[str, bool]:
            (block,) = entry(*(call("small", (tokens, 0)) for tokens in inputs)).blocks
            found = REPRICER.block(block, tiered)
            return f"{found.after.usd}", found.estimated

        assert after(1000) == ("0.001", False)
        assert after(1001) == ("0.002002", False)
        assert after(400, 500) == ("0.0009", False)
        assert after(400, 700) == ("0.0011", True)  # one call of 1,100 tokens is possible
        assert after(2000, 2000) == ("0.008", True)
        long, short = entry(call("tiered", (2000, 0)), call("tiered", (10, 0))).blocks[::-1]
        for block in (long, short):
            found = REPRICER.block(block, Change())
            assert (found.before, found.estimated) == (found.after, False)

    def test_the_sum(self) -> None:
        parts = [
            REPRICER.entry(entry(call("small", (1000, 0))), Change(model=model))
            for model in ("large", "gpt-9")
        ]
        found = summed(parts)
        assert (usd(found.before), usd(found.after)) == ("0.002 priced", "0.01 partial")

    def test_the_mean(self) -> None:
        blocks = entry(
            call("small", (100, 1)),
            call("small", (101, 2)),
            call("large", (99, 1)),
            call("small", billed=False),
            call("small", usage=Usage(), usage_source="none"),
            call("wordy", output_tokens=None),
        ).blocks
        assert mean_usage(blocks) == (3, 100, 1)
        assert mean_usage(block for block in blocks if block.kind.model == "small") == (2, 101, 2)
        assert mean_usage([]) == (0, None, None)


class TestCandidates:
    def ranked(self, blocks: Sequence[Block], **facts: ModelFacts) -> list[tuple[str, str | None]]:
        named = [
            Named(name=name, provider="openai", model=name, facts=known)
            for name, known in facts.items()
        ]
        return [(one.name, one.excluded) for one in rank(named, blocks, REPRICER)]

    def test_the_token_mix_decides(self) -> None:
        known = ModelFacts(context_window=9000)
        models = {"large": known, "wordy": known, "small": known}
        reads = entry(call(tokens=(1000, 1))).blocks
        writes = entry(call(tokens=(1, 1000))).blocks
        assert [name for name, _ in self.ranked(reads, **models)] == ["wordy", "small", "large"]
        assert [name for name, _ in self.ranked(writes, **models)] == ["small", "wordy", "large"]

    def test_hard_filters(self) -> None:
        blocks = entry(call(tokens=(1000, 1)), call(tokens=(1001, 1))).blocks
        found = self.ranked(
            blocks,
            small=ModelFacts(context_window=1000),
            large=ModelFacts(context_window=1001),
            wordy=ModelFacts(deprecated=True),
            unheard=ModelFacts(),
        )
        assert found == [
            ("large", None),
            ("small", "context window of 1,000 tokens, the input has 1,001"),
            ("unheard", "no price for openai/unheard"),
            ("wordy", "deprecated by its provider"),
        ]

    def test_a_model_without_a_price_for_a_part_cannot_answer(self) -> None:
        spoken = entry(call(tokens=(1000, 1), input_audio_tokens=900)).blocks
        ((_, reason),) = self.ranked(spoken, large=ModelFacts())
        assert reason is not None
        assert "no rate for input_audio" in reason

    def test_what_is_unknown_is_said(self) -> None:
        named = [
            Named(name="small", provider="openai", model="small", facts=ModelFacts()),
            Named(
                name="large",
                provider="openai",
                model="large",
                facts=ModelFacts(context_window=9000),
            ),
        ]
        small, large = rank(named, entry(call()).blocks, REPRICER, lambda _: None)
        assert (small.unknown, large.unknown) == (("context window unknown",), ())
        (_, large) = rank(
            named, entry(call()).blocks, REPRICER, lambda one: "no" if one.name == "large" else None
        )
        assert large.excluded == "no"


class TestModelDirectory:
    directory = ModelDirectory()

    @pytest.mark.parametrize(
        ("text", "provider", "model"),
        [
            ("gpt-4", "openai", "gpt-4"),
            ("gpt-4o-2024-08-06", "openai", "gpt-4o-2024-08-06"),
            ("claude-3-opus", "anthropic", "claude-3-opus"),
            ("gemini-2.5-flash", "google", "gemini-2.5-flash"),
            ("azure/gpt-4o", "azure", "gpt-4o"),
            ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
            ("ollama/llama3", "ollama", "llama3"),
            ("acme/small", "", "acme/small"),
            ("gpt-4zzz", "", "gpt-4zzz"),
        ],
    )
    def test_names(self, text: str, provider: str, model: str) -> None:
        assert self.directory.named(text) == (provider, model)

    def test_facts(self) -> None:
        assert self.directory.facts("openai", "gpt-4").context_window == 8192
        assert self.directory.facts("cohere", "embed-nothing") == ModelFacts()
        deprecated = [
            self.directory.facts("moonshotai", name).deprecated
            for name in self.directory._catalogue.names("moonshotai")
        ]
        assert any(deprecated)


def test_a_card_without_a_whole_price_is_no_estimate() -> None:
    unknown_tier = replace(card("small"), context_not_priced=True)
    one = asked("small", input_tokens=1, output_tokens=1, retries=4)
    found = simulate(policy(CAPPED), one, lambda _: unknown_tier)
    assert "unknown (no whole price for small: context_not_priced" in found.sentences()[0]
