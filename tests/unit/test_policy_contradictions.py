"""What parts of a crashlens.yml say together."""

from __future__ import annotations

import pytest

from pytest_crashlens.policy.loader import examine

TWO = """version: 1
policies:
  - enforce: a
    rules:
      - {%s}
  - enforce: b
    rules:
      - {%s}
"""
FIRST, SECOND = "policies[1].rules[1]", "policies[2].rules[1]"


def found(text):
    """``(severity, path, text)`` of everything, by place."""
    problems = examine(text, "crashlens.yml").problems
    everything = (*problems.errors, *problems.warnings)
    return [(problem.severity, problem.path, problem.text) for problem in everything]


def told(text):
    return [(severity, path) for severity, path, _ in found(text)]


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ("max_retries: 3", "max_retries: 4", f"{SECOND}.max_retries"),
        ("max_retries: 4", "max_retries: 3", f"{FIRST}.max_retries"),
        ("max_retries: 3", "max_retries: 3", f"{SECOND}.max_retries"),
        ("max_retries: 3, model_scope: [all]", "max_retries: 3", f"{SECOND}.max_retries"),
        ("max_retries: 3", "max_retries: 3, task_type: chat", f"{SECOND}.max_retries"),
        ("max_retries: 3, task_type: chat", "max_retries: 3", f"{FIRST}.max_retries"),
        (
            "max_output_tokens: 9, input_tokens_max: 500",
            "max_output_tokens: 9, input_tokens_max: 400",
            f"{SECOND}.max_output_tokens",
        ),
        (
            'max_cost: "1", model_scope: ["gpt-4*"]',
            'max_cost: "2", model_scope: [gpt-4o]',
            f"{SECOND}.max_cost",
        ),
        (
            "disallowed_models: [gpt-4, o1]",
            "disallowed_models: [gpt-4-0613]",
            f"{SECOND}.disallowed_models",
        ),
        ("max_increase: 5%", "max_increase: 5%", f"{SECOND}.max_increase"),
        ("fallback_after: 2", "fallback_after: 3", f"{SECOND}.fallback_after"),
        (
            "disallowed_patterns: [duplicate, agent_loop]",
            "disallowed_patterns: [duplicate]",
            f"{SECOND}.disallowed_patterns",
        ),
        (
            "max_calls: 2, per: session",
            "max_calls: 3, per: session",
            f"{SECOND}.max_calls",
        ),
        (
            "max_calls: 2",
            "max_calls: 3, actions: [slack_notify], alert_channel: '#a'",
            None,
        ),
        (
            "max_calls: 2, actions: [block_pr, slack_notify], alert_channel: '#a'",
            "max_calls: 3, actions: [slack_notify], alert_channel: '#a'",
            f"{SECOND}.max_calls",
        ),
        (
            "max_calls: 2, actions: [slack_notify], alert_channel: '#a'",
            "max_calls: 3, actions: [slack_notify], alert_channel: '#b'",
            None,
        ),
        ("max_calls: 2, actions: [slack_notify], alert_channel: '#a'", "max_calls: 3", None),
        ("max_retries: 3, task_type: chat", "max_retries: 4, task_type: code", None),
        ("max_retries: 3, task_type: chat", "max_retries: 4", None),
        ("max_retries: 3, input_tokens_max: 400", "max_retries: 4, input_tokens_max: 500", None),
        ("max_retries: 3, model_scope: [gpt-4]", "max_retries: 4, model_scope: [gpt-4o]", None),
        ('max_retries: 3, model_scope: ["*o"]', "max_retries: 4, model_scope: [gpt-4o]", None),
        ("max_retries: 3, model_scope: [gpt-4]", "max_retries: 4, model_scope: [all]", None),
        ("max_calls: 2", "max_calls: 3, per: session", None),
        ("max_calls: 2", "max_total_tokens: 3", None),
        (
            "disallowed_models: [gpt-4-0613]",
            "disallowed_models: [gpt-4]",
            f"{FIRST}.disallowed_models",
        ),
        ("disallowed_models: [gpt-4-0613, o1]", "disallowed_models: [gpt-4]", None),
        ("max_increase: 5%, task_type: chat", "max_increase: 5%", None),
        ("max_increase: 5%", "max_increase: 5%, min_increase: {tokens: 1}", None),
        ("disallowed_patterns: [duplicate]", "disallowed_patterns: [agent_loop]", None),
    ],
)
def test_a_rule_in_the_shadow_of_another(one, other, path):
    shadows = [(p, t) for _, p, t in found(TWO % (one, other)) if "shadowed" in t]
    assert [p for p, _ in shadows] == ([] if path is None else [path])
    for p, text in shadows:
        assert f"shadowed by {SECOND if p.startswith(FIRST) else FIRST} in line " in text
        assert "remove it" in text


@pytest.mark.parametrize(
    ("one", "other", "severity"),
    [
        ("disallowed_models: [gpt-4], suggest_fallback: o1", "disallowed_models: [o1]", "error"),
        (
            "disallowed_models: [gpt-4], suggest_fallback: o1, task_type: chat",
            'disallowed_models: ["o1*"]',
            "error",
        ),
        (
            "disallowed_models: [gpt-4], suggest_fallback: o1",
            "disallowed_models: [o1], task_type: chat",
            "warning",
        ),
        (
            "disallowed_models: [gpt-4], suggest_fallback: o1",
            "disallowed_models: [o1], input_tokens_max: 500",
            "warning",
        ),
        (
            "disallowed_models: [gpt-4], suggest_fallback: o1",
            "disallowed_models: [o1], actions: [slack_notify], alert_channel: '#a'",
            "warning",
        ),
        (
            "disallowed_models: [gpt-4], suggest_fallback: o1, task_type: chat",
            "disallowed_models: [o1], task_type: code",
            None,
        ),
        (
            "disallowed_models: [gpt-4], suggest_fallback: o1",
            "disallowed_models: [o1], model_scope: [o1-2024-12-17]",
            None,
        ),
        (
            "disallowed_models: [gpt-4], suggest_fallback: o1-mini",
            "disallowed_models: [o1]",
            None,
        ),
        ("fallback_after: 1, suggest_fallback: o1", "disallowed_models: [o1]", "error"),
    ],
)
def test_a_fallback_that_another_rule_forbids(one, other, severity):
    expected = [] if severity is None else [(severity, f"{FIRST}.suggest_fallback")]
    assert [(s, p) for s, p, t in found(TWO % (one, other)) if "is disallowed (by" in t] == expected


def test_the_reference_files_contradict_nothing():
    one = "task_type: summarization, disallowed_models: [gpt-4], suggest_fallback: gpt-4o-mini"
    other = "task_type: basic_q_and_a, disallowed_models: [gpt-4o], suggest_fallback: gpt-3.5-turbo"
    assert found(TWO % (one, other)) == []


LIMITED = "version: 1\nlimits: {max_calls: 1}\n"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("limits: {max_total_tokens: 5, max_input_tokens: 5}", "limits.max_input_tokens"),
        ("limits: {max_total_tokens: 5, max_output_tokens: 9}", "limits.max_output_tokens"),
        ("limits: {max_total_tokens: 5, max_output_tokens: 4}", None),
        (
            "paths: [{match: '**', limits: {max_total_tokens: 5, max_input_tokens: 6}}]",
            "paths[1].limits.max_input_tokens",
        ),
        (
            "paths: [{match: a/**, limits: {max_calls: 1}}, {match: '**', limits: {max_calls: 2}}]",
            "paths[1].match",
        ),
        (
            "paths: [{match: a/b/*, limits: {max_calls: 1}},"
            " {match: 'a/**', limits: {max_calls: 2, max_cost: 1}}]",
            "paths[1].match",
        ),
        (
            "paths: [{match: a/**, limits: {max_calls: 1, max_cost: 1}},"
            " {match: '**', limits: {max_calls: 2}}]",
            None,
        ),
        (
            "paths: [{match: '**', limits: {max_calls: 1}}, {match: a/**, limits: {max_calls: 2}}]",
            None,
        ),
        (
            "paths: [{match: a/**, limits: {max_increase: {cost: 5%}}},"
            " {match: '**', limits: {max_increase: {calls: 5%}}}]",
            None,
        ),
        (
            "paths: [{match: a/**, limits: {max_increase: {cost: 5%}}},"
            " {match: '**', limits: {max_increase: off}}]",
            "paths[1].match",
        ),
        (
            "limits: {max_calls: 1}\ntasks: [{match: a/x.py, task: b}, {match: a/**, task: c}]",
            "tasks[1].match",
        ),
        (
            "limits: {max_calls: 1}\ntasks: [{match: a/**, task: b}, {match: a/x.py, task: c}]",
            None,
        ),
        (
            "session: {max_cost: 5}\nbudgets: [{tag: a, max_cost: '5.00', max_calls: 3}]",
            "budgets[1].max_cost",
        ),
        ("session: {max_cost: 5}\nbudgets: [{tag: a, max_cost: 4}]", None),
        ("detectors: {duplicate: ignore}", None),
        ("baseline: off\nlimits: {max_increase: 5%}", "limits.max_increase"),
        ("baseline: off\nlimits: {max_increase: off}", None),
        ("baseline: off\nanchor: {at: v1, max_increase: 5%}", "anchor"),
        ("unpriced: ignore\nlimits: {max_cost: 1}", "unpriced"),
        ("unpriced: ignore\nsession: {max_cost: 1}", "unpriced"),
        ("unpriced: ignore\nlimits: {max_calls: 1}", None),
        ("unpriced: warn\nlimits: {max_cost: 1}", None),
    ],
)
def test_other_parts_that_say_nothing(text, path):
    assert told(f"version: 1\n{text}\n") == ([] if path is None else [("warning", path)])


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("max_calls: 1, task_type: summarisation", "task_type"),
        ("max_calls: 1, task_type: summarization", None),
        ("max_calls: 1, task_type: our_own_kind", None),
        ("disallowed_patterns: [agent_loop, duplicate]", "disallowed_patterns[2]"),
        ("max_total_tokens: 5, max_input_tokens: 6", "max_input_tokens"),
        ("max_total_tokens: 5, max_input_tokens: 6, per: call", None),
        ("fallback_after: 2, max_retries: 1", "max_retries"),
        ("fallback_after: 3, max_retries: 1", None),
    ],
)
def test_a_rule_alone(rule, path):
    text = (
        "version: 1\ndetectors: {duplicate: ignore}\n"
        f"policies: [{{enforce: a, rules: [{{{rule}}}]}}]\n"
    )
    assert told(text) == ([] if path is None else [("warning", f"{FIRST}.{path}")])


def test_a_task_of_a_path_is_known():
    rule = "policies: [{enforce: a, rules: [{max_calls: 1, task_type: summarisation}]}]\n"
    tasks = "tasks: [{match: 'a/**', task: summarisation}]\n"
    assert told("version: 1\n" + rule + tasks) == []


def test_nothing_is_concluded_from_what_is_wrong():
    """The second rule's condition is not readable: it is not "all calls"."""
    one, other = "max_retries: 3, task_type: chat", "max_retries: 2, task_type: No Task"
    assert told(TWO % (one, other)) == [("error", f"{SECOND}.task_type")]
    paths = "paths: [{match: a/, limits: {max_calls: 1}}, {match: '**', limits: {max_calls: 2}}]\n"
    assert told("version: 1\n" + paths) == [("error", "paths[1].match")]


def test_errors_and_contradictions_are_told_together():
    text = TWO % ("max_retries: 3", "max_retries: 4") + "limit: {}\n"
    assert told(text) == [("error", ""), ("warning", f"{SECOND}.max_retries")]


def test_remarks_stand_where_they_belong():
    problems = examine(TWO % ("max_retries: 3", "max_retries: 4"), "crashlens.yml").problems
    (warning,) = problems.warnings
    assert (warning.line, warning.col) == (8, 23)
