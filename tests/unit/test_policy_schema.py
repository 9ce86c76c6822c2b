"""The JSON Schema for editors says what the reader says."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy import anchor, budgets, limits, loader, notices, prices, rules
from pytest_crashlens.policy.config import DETECTIONS, SEVERITIES, STATES
from pytest_crashlens.policy.loader import parse_config

HERE = Path(__file__).parent / "policy_files"
SCHEMA = json.loads(
    files("pytest_crashlens.policy").joinpath("crashlens.schema.json").read_text(encoding="utf-8")
)
PARTS = SCHEMA["definitions"]
TOP = SCHEMA["properties"]


def accepts(text):
    """Whether an editor with the schema would have no complaint."""
    return not list(jsonschema.Draft7Validator(SCHEMA).iter_errors(yaml.safe_load(text)))


def reads(text):
    try:
        parse_config(text, "crashlens.yml")
    except ConfigError:
        return False
    return True


def test_it_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        (SCHEMA, loader.TOP_KEYS),
        (PARTS["limits"], limits.TEST_LIMIT_KEYS),
        (PARTS["increase_by_metric"], limits.METRICS),
        (PARTS["rule"], rules.RULE_KEYS),
        (PARTS["policy"], rules.POLICY_KEYS),
        (PARTS["budget"], budgets.BUDGET_KEYS),
        (TOP["session"], budgets.SESSION_KEYS),
        (TOP["tasks"]["items"], budgets.TASK_KEYS),
        (TOP["volume"], budgets.VOLUME_KEYS),
        (TOP["detectors"], DETECTIONS),
        (PARTS["price"], prices.PRICE_KEYS),
        (TOP["slack"], notices.SLACK_KEYS),
        (TOP["anchor"], anchor.KEYS),
    ],
)
def test_every_key_is_in_both(part, keys):
    assert sorted(part["properties"]) == sorted(keys)
    assert part["additionalProperties"] is False


def test_what_is_needed_and_the_words_are_the_same():
    assert [one["required"] for one in SCHEMA["anyOf"]] == [[key] for key in loader.ENOUGH]
    assert [one["required"] for one in PARTS["rule"]["anyOf"]] == [[key] for key in rules.ENOUGH]
    assert set(STATES) <= TOP.keys()
    assert PARTS["severity"]["enum"] == list(SEVERITIES)
    kinds = PARTS["rule"]["properties"]["disallowed_patterns"]["items"]["enum"]
    assert kinds == list(DETECTIONS)


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.yml")))
def test_the_files_are_right_for_both(name):
    text = (HERE / name).read_text(encoding="utf-8")
    assert reads(text)
    jsonschema.validate(yaml.safe_load(text), SCHEMA, cls=jsonschema.Draft7Validator)


def test_the_full_file_has_every_key():
    """Else a key could be in the schema under a wrong type, and nobody would see it."""
    found = keys_of(yaml.safe_load((HERE / "full.yml").read_text(encoding="utf-8")))
    known = {key for part in parts_of(SCHEMA) for key in part.get("properties", {})}
    assert known - found == {"runs_per_month"}  # which only stands alone


def keys_of(value):
    if isinstance(value, dict):
        return set(value).union(*(keys_of(one) for one in value.values()))
    return set().union(*(keys_of(one) for one in value)) if isinstance(value, list) else set()


def parts_of(value):
    if isinstance(value, dict):
        yield value
        for key, one in value.items():
            if key not in ("if", "then"):
                yield from parts_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from parts_of(one)


LIMITED = "version: 1\nlimits: {max_calls: 1}\n"


def in_rule(text):
    return f"version: 1\npolicies: [{{enforce: a, rules: [{{{text}}}]}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        LIMITED,
        "version: 1\nlimits: {max_increase: off}\n",
        'version: 1\nlimits: {max_increase: "off"}\n',
        "version: 1\nlimits: {max_cost: 5e-2}\n",
        "version: 1\nlimits: {max_cost: .5}\n",
        "version: 1\npaths: [{match: '**', limits: {max_calls: 0}}]\n",
        "version: 1\nbudgets: [{owner: a@example.com, max_calls: 0}]\n",
        "version: 1\nsession: {max_calls: 1}\n",
        "version: 1\ndetectors: {retry_storm: error}\n",
        "version: 1\nanchor: {at: 2026-01, max_increase: 5%}\n",
        LIMITED + "baseline: off\n",
        LIMITED + "baseline: ./x/y.json\n",
        LIMITED + "volume: {runs_per_month: 3}\n",
        LIMITED + "prices: {a: {multiplier: 2}}\n",
        in_rule("fallback_after: 1"),
        in_rule("max_calls: 0"),
    ],
)
def test_both_accept(text):
    assert reads(text)
    assert accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "limits: {max_calls: 1}\n",
        "version: 1\n",
        "version: 1\nprices: {a/b: {free: true}}\n",
        'version: "1"\nlimits: {max_calls: 1}\n',
        "version: 2\nlimits: {max_calls: 1}\n",
        LIMITED + "polices: []\n",
        LIMITED + "policies: []\n",
        LIMITED + "budgets: [{max_cost: 1}]\n",
        LIMITED + "budgets: [{tag: a}]\n",
        LIMITED + "budgets: [{tag: a, path: b, max_cost: 1}]\n",
        LIMITED + "budgets: [{tag: a b, max_cost: 1}]\n",
        LIMITED + "budgets: [{owner: acme, max_cost: 1}]\n",
        LIMITED + "budgets: [{tag: a, max_cost: 1, actions: [slack_notify]}]\n",
        LIMITED + "session: {on_exceed: stop, max_calls: 3}\n",
        LIMITED + "session: {on_exceed: fail}\n",
        LIMITED + "session: {max_cost: -1}\n",
        LIMITED + "detectors: {retry_storm: fail}\n",
        LIMITED + "detectors: {retry_storms: warn}\n",
        LIMITED + "tasks: [{match: a}]\n",
        LIMITED + "tasks: [{match: a, task: A B}]\n",
        LIMITED + "tasks: [{match: a/, task: b}]\n",
        LIMITED + "volume: {calls_per_month: 1, runs_per_month: 1}\n",
        LIMITED + "volume: {calls_per_month: 0}\n",
        LIMITED + "volume: {}\n",
        LIMITED + 'slack: {webhooks: {"costs": A}}\n',
        LIMITED + 'slack: {webhooks: {"#costs": "https://example.com/x"}}\n',
        LIMITED + "slack: {}\n",
        LIMITED + "webhook: https://example.com/x\n",
        LIMITED + "unpriced: fail\n",
        LIMITED + "stale: no\n",
        LIMITED + "prices: {a/b: {input: 1, free: true}}\n",
        LIMITED + "prices: {a/b: {multiplier: 0}}\n",
        LIMITED + 'prices: {a/b: {multiplier: "80%"}}\n',
        LIMITED + "prices: {a/b: {multiplier: 2, input: 1}}\n",
        LIMITED + "prices: {a/b: {source: x}}\n",
        LIMITED + "prices: {a/b: {same_as: gpt-4o}}\n",
        LIMITED + "baseline: ../x.json\n",
        LIMITED + "max_accept_increase: 5\n",
        "version: 1\nlimits: {max_increase: 20}\n",
        "version: 1\nlimits: {max_calls: 1.5}\n",
        "version: 1\nlimits: {max_calls: true}\n",
        "version: 1\nlimits: {on_exceed: stop}\n",
        "version: 1\nlimits: {max_cost: 1, on_exceed: halt}\n",
        "version: 1\nlimits: {max_output_tokens: 0}\n",
        in_rule("task_type: a"),
        in_rule("max_increase: off"),
        in_rule("max_calls: 1, min_increase: {tokens: 5}"),
        in_rule("max_retries: -1"),
        in_rule("max_cost: 1, on_exceed: stop"),
        in_rule("fallback_after: 0"),
        in_rule("disallowed_patterns: [storm]"),
        in_rule("disallowed_patterns: []"),
        in_rule("disallowed_models: [gpt-4, gpt-4]"),
        in_rule("max_retries: 1, suggest_fallback: gpt-4o"),
        in_rule("max_retries: 1, actions: [slack_notify]"),
        in_rule("max_retries: 1, per: month"),
    ],
)
def test_both_refuse(text):
    assert not reads(text)
    assert not accepts(text)
