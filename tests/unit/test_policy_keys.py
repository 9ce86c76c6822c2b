"""Severities, budgets, the session, detectors, tasks, volume, webhooks, multipliers, markers."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.config import (
    DETECTIONS,
    DETECTORS,
    STATES,
    Budget,
    Config,
    SessionLimits,
    TaskPath,
    Volume,
)
from pytest_crashlens.policy.limits import Limits, limits_from_marker
from pytest_crashlens.policy.loader import load_config, parse_config

FULL = Path(__file__).parent / "policy_files" / "full.yml"
LIMITED = "version: 1\nlimits: {max_calls: 1}\n"


def read(text):
    return parse_config(LIMITED + text, "crashlens.yml")


def refused(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def rule(text):
    return read(f"policies:\n  - enforce: a\n    rules:\n      - {{{text}}}\n").rules[0]


def rule_refused(text):
    return refused(f"policies:\n  - enforce: a\n    rules:\n      - {{{text}}}\n")


def test_states_are_strict_where_nothing_is_said():
    given = {state: Config().severity(state) for state in STATES}
    assert given == {
        "unpriced": "error",
        "missing": "error",
        "vanished": "error",
        "estimated": "warn",
        "basis_changed": "error",
        "uncaptured": "error",
        "stale": "warn",
        "incomplete": "warn",
    }


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("severity", ["error", "warn", "ignore"])
def test_each_state_takes_each_severity(state, severity):
    config = read(f"{state}: {severity}\n")
    assert config.severity(state) == severity
    assert all(config.severity(other) == STATES[other] for other in STATES if other != state)


def test_the_two_older_states_keep_their_places():
    config = read("uncaptured: ignore\nstale: error\n")
    assert (config.uncaptured, config.stale) == ("ignore", "error")
    assert Config().uncaptured is None


@pytest.mark.parametrize("wrong", ["fail", "off", "true", "[error]", "~", "2"])
def test_a_wrong_severity(wrong):
    assert "error: unpriced: " in refused(f"unpriced: {wrong}\n")


def test_everything_at_once():
    config = load_config(FULL)
    assert config.limits.on_exceed == "stop"
    assert config.paths[0].limits.on_exceed == "fail"
    assert config.budgets == (
        Budget(
            tag="checkout",
            limits=Limits(max_cost=Decimal("1.5"), max_total_tokens=100_000, max_calls=500),
            line=22,
        ),
        Budget(path="tests/agents/**", limits=Limits(max_cost=Decimal(2)), line=23),
        Budget(
            owner="@acme/search",
            limits=Limits(max_calls=50),
            actions=("slack_notify",),
            alert_channel="#search-costs",
            line=24,
        ),
    )
    assert [(budget.label, budget.blocks) for budget in config.budgets] == [
        ("tag checkout", True),
        ("path tests/agents/**", True),
        ("owner @acme/search", False),
    ]
    whole = Limits(max_cost=Decimal(5), max_total_tokens=1_000_000, max_calls=2000)
    assert config.session == SessionLimits(limits=whole, on_exceed="stop")
    assert list(config.detectors) == list(DETECTIONS)
    assert {kind for kind in DETECTIONS if config.detectors[kind] != "warn"} == {
        "retry_storm",
        "agent_loop",
        "duplicate",
        "fallback_down",
    }
    assert config.tasks == (TaskPath(match="tests/summaries/**", task="summarization"),)
    assert config.volume == Volume(calls_per_month=100_000)
    assert config.slack_webhooks == {
        "#search-costs": "SLACK_WEBHOOK_SEARCH",
        "#llm-costs": "SLACK_WEBHOOK_COSTS",
    }
    assert config.webhook == "COST_WEBHOOK"
    assert [price.multiplier for price in config.prices[-3:]] == [
        None,
        Decimal("0.9"),
        Decimal("0.8"),
    ]
    storms, failover = config.policies[1].rules
    assert storms.disallowed_patterns == ("retry_storm", "agent_loop")
    assert (failover.fallback_after, failover.suggest_fallback) == (2, "gpt-4o-mini")
    assert [failover.per_of(key) for key in ("fallback_after", "disallowed_patterns")] == [
        "test",
        "test",
    ]


def test_what_is_not_said():
    config = Config()
    assert (config.budgets, config.session, config.tasks) == ((), SessionLimits(), ())
    assert (config.volume, config.slack_webhooks, config.webhook) == (Volume(), {}, None)
    assert config.detectors == DETECTORS == dict.fromkeys(DETECTIONS, "warn")
    assert config.session.on_exceed == "fail"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{max_cost: 1}", "expected one of tag, path, owner, found none"),
        ("{tag: a, owner: '@b', max_cost: 1}", "found tag and owner"),
        ("{tag: a}", "limits nothing; add one of max_cost, max_total_tokens, max_calls"),
        ("{tag: a, max_calls: 1, actions: [slack_notify]}", "needs a channel"),
        ("{tag: a, max_calls: 1, actions: []}", "empty list"),
        ("{tag: a, max_calls: 1, max_retries: 1}", "did you mean max_cost?"),
        ("{tag: 'a b', max_calls: 1}", "write it like checkout"),
        ("{owner: acme, max_calls: 1}", "write it like"),
        ("{path: tests/, max_calls: 1}", 'write "tests/**"'),
        ("{path: ../x, max_calls: 1}", "without .."),
        ("{tag: a, max_calls: 1}, {tag: a, max_cost: 1}", "has a budget already"),
        ("{path: a.py, max_calls: 1}, {path: a.py, max_cost: 1}", "given twice"),
        ("{tag: a, max_calls: true}", "true/false"),
        ("5", "expected a section"),
    ],
)
def test_wrong_budgets(text, said):
    answer = refused(f"budgets: [{text}]\n")
    assert said in answer
    assert "\n" not in answer
    assert "error: budgets[" in answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("session: {on_exceed: fail}", "session: limits nothing"),
        ("session: {max_calls: 1, on_exceed: stop}", "stop needs a max_cost"),
        ("session: {max_cost: 1, on_exceed: block}", "known: fail, stop"),
        ("session: {max_input_tokens: 1}", "did you mean max_total_tokens?"),
        ("session: {}", "is empty"),
        ("detectors: {retrystorm: warn}", "did you mean retry_storm?"),
        ("detectors: {retry_storm: fail}", "known: error, warn, ignore"),
        ("detectors: [retry_storm]", "expected a section"),
        ("tasks: [{match: a.py, task: No Task}]", "write it like summarization"),
        ("tasks: [{match: a.py, task: a}, {match: a.py, task: b}]", "given twice"),
        ("tasks: [{task: a}]", "match is missing"),
        ("tasks: {}", "expected a list"),
        ("volume: {calls_per_month: 1, runs_per_month: 2}", "found both"),
        ("volume: {calls_per_month: 0}", "at least 1"),
        ("volume: {calls_per_month: '5'}", "remove quotes"),
        ("volume: 5", "expected a section"),
        ("slack: {webhooks: {costs: A}}", 'channel such as "#llm-costs"'),
        ("slack: {webhooks: {}}", "is empty"),
        ("slack: {hooks: {'#a': A}}", "did you mean webhooks?"),
        ("slack: {webhooks: {'#a': 'B C'}}", "no such name"),
        ("webhook: 5", "no such name"),
        ("webhook:", "webhook: is empty"),
    ],
)
def test_wrong_values(text, said):
    assert said in refused(text + "\n")


@pytest.mark.parametrize("text", ["webhook: {}", "slack: {{webhooks: {{'#a': {}}}}}"])
def test_a_secret_is_not_repeated(text):
    answer = refused(text.format("https://hooks.example.com/T0/B0/secret") + "\n")
    assert "a URL, which is a secret" in answer
    assert "hooks.example.com" not in answer
    assert "T0" not in answer


def test_a_channel_with_a_webhook_is_no_warning():
    notified = (
        "policies:\n  - enforce: a\n    rules:\n      - max_retries: 1\n"
        '        alert_channel: "#x"\n        actions: [slack_notify]\n'
        "budgets: [{tag: a, max_calls: 1, alert_channel: '#y', actions: [slack_notify]}]\n"
    )
    assert [warning.path for warning in read(notified).warnings] == ["policies", "budgets"]
    (left,) = read(notified + "slack: {webhooks: {'#x': HOOK}}\n").warnings
    assert "#y" in left.text
    assert "#x" not in left.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on_exceed: stop", "stop needs a max_cost"),
        ("max_calls: 1, on_exceed: stop", "stop needs a max_cost"),
        ("max_cost: 1, on_exceed: true", "put it in quotes"),
    ],
)
def test_stopping_needs_a_cost(text, said):
    with pytest.raises(ConfigError) as caught:
        parse_config(f"version: 1\nlimits: {{{text}}}\n", "crashlens.yml")
    assert said in str(caught.value)


def test_a_rule_cannot_stop():
    assert 'unknown key "on_exceed"' in rule_refused("max_cost: 1, on_exceed: stop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fallback_after: 0", "at least 1"),
        ("fallback_after: 1.5", "whole number"),
        ("fallback_after: 1, per: call", "remove per"),
        ("disallowed_patterns: [retry_storm], per: session", "remove per"),
        ("disallowed_patterns: [storm]", "did you mean retry_storm?"),
        ("disallowed_patterns: [duplicate, duplicate]", "given twice"),
        ("disallowed_patterns: duplicate", "expected a list"),
        ("max_calls: 1, suggest_fallback: gpt-4o", "disallowed_models or fallback_after"),
    ],
)
def test_wrong_rules(text, said):
    assert said in rule_refused(text)


def test_rules_about_several_calls():
    assert rule("disallowed_patterns: [duplicate], per: test").disallowed_patterns == ("duplicate",)
    assert rule("fallback_after: 1").fallback_after == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('multiplier: "80%"', '20% off is "0.8"'),
        ("multiplier: 0", "above 0"),
        ("multiplier: -1", "above 0"),
        ("multiplier: 101", "at most 100"),
        ("multiplier: yes", "expected a factor"),
        ("multiplier: 2, input: 1", "multiplier: is for list prices"),
        ("multiplier: 2, free: true", "multiplier: is for list prices"),
    ],
)
def test_wrong_multipliers(text, said):
    answer = refused(f"prices: {{a/b: {{{text}}}}}\n")
    assert said in answer
    assert "\n" not in answer


def test_a_discount_does_not_hide_what_is_below_it():
    below = "  'azure/x': {same_as: azure/gpt-4o}\n"
    discounted = read(f"prices:\n  'azure/*': {{multiplier: '0.8'}}\n{below}")
    assert [price.pattern for price in discounted.prices] == ["azure/*", "azure/x"]
    second = "  'azure/x': {multiplier: '0.7'}\n"
    assert "above matches first" in refused(f"prices:\n  'azure/*': {{free: true}}\n{second}")
    assert "above matches first" in refused(f"prices:\n  'azure/*': {{multiplier: 2}}\n{second}")


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        ("checkout", ("checkout",)),
        (["checkout", "team/search"], ("checkout", "team/search")),
        (("a",), ("a",)),
    ],
)
def test_tags_of_a_marker(given, tags):
    assert limits_from_marker({"tags": given}).tags == tags


@pytest.mark.parametrize(
    "given", ["", "a b", [], [""], ["a", "a"], [["a"]], [None], 5, {"a": "b"}, True, None]
)
def test_wrong_tags(given):
    with pytest.raises(ConfigError, match="tags"):
        limits_from_marker({"tags": given})


def test_a_marker_that_holds_itself():
    round_and_round = []
    round_and_round.append(round_and_round)
    with pytest.raises(ConfigError, match="tags"):
        limits_from_marker({"tags": round_and_round})


def test_a_marker_that_stops():
    limits = limits_from_marker({"max_cost": "0.05", "on_exceed": "stop"}).limits
    assert (limits.max_cost, limits.on_exceed) == (Decimal("0.05"), "stop")
    assert Limits.from_dict(limits.to_dict()) == limits
    assert Limits(max_calls=1).over(limits).on_exceed == "stop"
    assert Limits(on_exceed="fail").over(limits).on_exceed == "fail"
    with pytest.raises(ConfigError, match="stop needs a max_cost"):
        limits_from_marker({"on_exceed": "stop"})


def test_faults_beside_a_key_given_twice_are_told_too():
    answer = refused("unpriced: warn\nunpriced: error\nmising: warn\n")
    assert "given twice" in answer
    assert "did you mean missing?" in answer
