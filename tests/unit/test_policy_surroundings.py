"""What a crashlens.yml names that is not there; and what it says in plain sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_crashlens.policy.contradictions import is_sound
from pytest_crashlens.policy.explain import explain
from pytest_crashlens.policy.loader import examine, load_config
from pytest_crashlens.policy.surroundings import surroundings

HERE = Path(__file__).parent / "policy_files"
LIMITED = "version: 1\nlimits: {max_calls: 1}\n"


def remarks(text, project, broken=()):
    config, problems, _ = examine(LIMITED + text, str(project / "crashlens.yml"))
    assert config is not None
    errors = [problem.path for problem in problems.errors]
    return [(one.path, one.text) for one in surroundings(config, project, [*errors, *broken])]


def about(rule, project, more=""):
    text = f"policies: [{{enforce: a, rules: [{{{rule}}}]}}]\n{more}"
    return [(p.removeprefix("policies[1].rules[1]."), t) for p, t in remarks(text, project)]


@pytest.mark.parametrize("name", ["reference-a.yml", "reference-b.yml"])
def test_the_reference_files_name_nothing_unknown(name):
    assert list(surroundings(load_config(HERE / name), HERE)) == []


@pytest.mark.parametrize(
    ("rule", "path", "said"),
    [
        ("disallowed_models: [gpt-4oo]", "disallowed_models[1]", "did you mean gpt-4o?"),
        ("disallowed_models: [gpt-4, zork-9]", "disallowed_models[2]", "if it is misspelt"),
        ('disallowed_models: ["gtp-4*"]', "disallowed_models[1]", "matches no model of any"),
        ('max_calls: 1, model_scope: ["claude-9*"]', "model_scope[1]", "matches no model"),
        (
            "disallowed_models: [gpt-4o-mini], suggest_fallback: gpt-4",
            "suggest_fallback",
            "gpt-4 is not cheaper than gpt-4o-mini;",
        ),
        (
            "disallowed_models: [gpt-4], suggest_fallback: zork-9",
            "suggest_fallback",
            "zork-9 has no price",
        ),
        (
            "disallowed_models: [o1], suggest_fallback: gemini-2.0-flash",
            "suggest_fallback",
            "is deprecated",
        ),
        ("fallback_after: 1, suggest_fallback: zork-9", "suggest_fallback", "has no price"),
    ],
)
def test_models_that_need_a_look(tmp_path, rule, path, said):
    ((found, text),) = about(rule, tmp_path)
    assert found == path
    assert said in text


@pytest.mark.parametrize(
    "rule",
    [
        "disallowed_models: [gpt-4, claude-3-opus, o1-pro], suggest_fallback: gpt-4o-mini",
        "disallowed_models: [gpt-4-0613, anthropic.claude-3-opus, openai/gpt-4o]",
        'disallowed_models: ["gpt-4*", "*opus*", "azure/*", all]',
        'max_calls: 1, model_scope: ["*"]',
        'max_calls: 1, model_scope: ["acme/*", acme/small, acme/x]',
        "disallowed_models: [acme/x], suggest_fallback: acme/small",
    ],
)
def test_models_that_are_known(tmp_path, rule):
    prices = 'prices: {"acme/small": {input: 1, output: 2}, "acme/*": {input: 5, output: 9}}\n'
    assert about(rule, tmp_path, prices) == []


def test_a_fallback_that_is_cheaper_in_part(tmp_path):
    prices = "prices: {a/x: {input: 1, output: 9}, a/y: {input: 2, output: 8}}\n"
    rule = "disallowed_models: [a/x], suggest_fallback: a/y"
    assert about(rule, tmp_path, prices) == [
        ("suggest_fallback", "a/y is not cheaper than a/x for input; suggest a cheaper model")
    ]


def test_a_free_fallback_is_cheaper(tmp_path):
    prices = "prices: {ollama/x: {free: true}}\n"
    assert about("disallowed_models: [gpt-4], suggest_fallback: ollama/x", tmp_path, prices) == []


def test_prices_that_lead_nowhere(tmp_path):
    prices = """prices:
  "azure/mine": {same_as: azure/gpt-4oo}
  "azure/other": {same_as: azure/gpt-4o}
  "azur/*": {multiplier: "0.8"}
  "azure/*": {multiplier: "0.8"}
"""
    assert [path for path, _ in remarks(prices, tmp_path)] == [
        'prices["azure/mine"].same_as',
        'prices["azur/*"].multiplier',
    ]


def test_folders_that_are_not_there(tmp_path):
    (tmp_path / "tests" / "live").mkdir(parents=True)
    (tmp_path / "tests" / "test_x.py").touch()
    text = """paths:
  - {match: "tests/live/**", limits: {max_calls: 1}}
  - {match: "tests/life/**", limits: {max_calls: 1}}
  - {match: "**/test_*.py::test_y", limits: {max_calls: 1}}
  - {match: "tests/test_x.py::test_y*", limits: {max_calls: 1}}
tasks: [{match: "test/**", task: chat}]
budgets: [{path: "tests/test_z.py", max_calls: 1}]
"""
    found = remarks(text, tmp_path)
    assert [path for path, _ in found] == ["paths[2].match", "tasks[1].match", "budgets[1].path"]
    assert f"there is no tests/life in {tmp_path}" in found[0][1]
    assert remarks(text, tmp_path, ["paths[1].match", "tasks", "budgets[1]"]) == []


def test_owners_that_nobody_is(tmp_path):
    text = "budgets: [{owner: '@acme/serch', max_calls: 1}, {owner: '@acme/pay', max_calls: 1}]\n"
    assert "no CODEOWNERS file" in remarks(text, tmp_path)[0][1]
    pytest.importorskip("pathspec")
    (tmp_path / "CODEOWNERS").write_text("* @acme/search @acme/pay # all\n")
    ((path, said),) = remarks(text, tmp_path)
    assert path == "budgets[1].owner"
    assert "did you mean @acme/search?" in said


def test_what_is_broken_is_left_alone():
    assert is_sound("policies[1].rules[1]", ["policies[1].rules[10]", "policies[2]", ""])
    assert not is_sound("policies[1].rules[1]", ["policies[1].rules[1].max_calls"])
    assert not is_sound("paths", ["paths[3].match"])
    assert is_sound("paths", ["pathsx", "limits"])


def test_without_models_no_price_list_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("pytest_crashlens.policy.surroundings.Listed", None)
    assert remarks("session: {max_calls: 3}\n", tmp_path) == []


def sentences(text):
    config, problems, _ = examine(text, "crashlens.yml")
    assert not problems.errors
    return list(explain(config))


def test_the_reference_file_in_plain_words():
    assert list(explain(load_config(HERE / "reference-a.yml"))) == [
        "Each test may rise over its baseline by at most 20 % in cost, input tokens, output tokens "
        "and calls (a rise of at most 50 tokens passes).",
        "Policy prevent-model-overkill, rule 1 (line 12): calls for summarization (by label, or "
        "surely inferred) with at most 500 input tokens must not go to gpt-4, claude-3-opus or "
        "o1-pro (instead: gpt-4o-mini); a breach fails the test and is a message for "
        "#finops-llm-alerts.",
        "Policy cap-llm-retries, rule 1 (line 21): all calls must use at most 3 retries each; a "
        "breach fails the test and is a message for #eng-sre-alerts.",
        "Policy limit-output-tokens, rule 1 (line 28): calls for content_generation (by label, or "
        "surely inferred) must use at most 750 output tokens each; a breach is told, fails nothing "
        "and is a message for #content-eng-alerts.",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits: {max_increase: off}", "Each test may rise over its baseline by any amount"),
        (
            "limits: {max_increase: {cost: 5%}}",
            "at most 5 % in cost, 20 % in input tokens, 20 % in output tokens and 20 % in calls (",
        ),
        ('limits: {max_increase: 5%, min_increase: {cost: "0.1"}}', "50 tokens or $0.10 passes"),
        ("baseline: off\nlimits: {max_calls: 1}", "Nothing is compared with a baseline"),
        (
            'limits: {max_cost: "0.05", max_calls: 1, max_retries: 1, on_exceed: stop}',
            "uses at most $0.050, 1 call and 1 retry; no request goes out that would cost more",
        ),
        (
            "paths: [{match: a/**, limits: {max_total_tokens: 5000, max_increase: 5%}}]",
            "Each test of a/** uses at most 5,000 tokens; beyond it the test fails.",
        ),
        ("budgets: [{tag: a, max_cost: 2}]", "Tests tagged a together use at most $2.00; a breach"),
        ("budgets: [{owner: '@a', max_calls: 2}]", "Tests that @a owns together use at most 2 cal"),
        ("session: {max_cost: 2}", "A whole run uses at most $2.00; beyond it the run fails."),
        ("detectors: {retry_storm: error}", "A detected retry storm fails the run."),
        ("limits: {max_calls: 1}\nstale: error", "A baseline entry whose test is gone fails"),
        ("limits: {max_calls: 1}\nuncaptured: error", "without a request that was seen fails"),
        ("anchor: {at: v1, max_increase: 50%}", "risen by more than 50 % since v1 fails the run."),
        (
            "policies: [{enforce: a, rules: [{fallback_after: 2, disallowed_patterns: "
            '[duplicate, agent_loop], max_calls: 3, model_scope: ["gpt-4*"], max_increase: 5%}]}]',
            "calls to gpt-4* must show no duplicate or agent loop, must go to a cheaper model "
            "after 2 failures of a model, must use at most 3 calls together in each test and must "
            "rise over the baseline by at most 5 %",
        ),
        (
            "policies: [{enforce: a, rules: [{max_cost: 2, per: session}]}]",
            "must use at most $2.00 together in the whole run; a breach fails the run.",
        ),
    ],
)
def test_each_part_has_its_sentence(text, said):
    found = sentences(f"version: 1\n{text}\n")
    assert sum(said in one for one in found) == 1, found


def test_what_is_as_ever_is_not_explained():
    assert len(sentences("version: 1\nlimits: {max_calls: 1}\nstale: warn\nunpriced: error\n")) == 2
