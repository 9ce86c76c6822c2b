from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.limits import DEFAULT_LIMITS, METRICS, Increase, Limits
from pytest_crashlens.policy.loader import find_config, load_config, parse_config
from pytest_crashlens.pricing.card import Rate

HERE = Path(__file__).parent / "policy_files"


def read(text, filename="crashlens.yml"):
    return parse_config("version: 1\n" + text, filename)


def refused(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def rule(text):
    """The one rule whose lines are ``text``."""
    body = "".join(f"        {line}\n" for line in text.splitlines()).lstrip()
    config = read(f"policies:\n  - enforce: one\n    rules:\n      - {body}")
    return config.policies[0].rules[0]


def rule_refused(text):
    with pytest.raises(ConfigError) as caught:
        rule(text)
    return str(caught.value)


# the reference files


def test_the_first_reference_file_means_what_its_comments_say():
    config = load_config(HERE / "reference-a.yml")
    overkill, retries, output = config.rules
    assert overkill.task_type == "summarization"
    assert overkill.input_tokens_max == 500
    assert overkill.disallowed_models == ("gpt-4", "claude-3-opus", "o1-pro")
    assert overkill.suggest_fallback == "gpt-4o-mini"
    assert overkill.alert_channel == "#finops-llm-alerts"
    assert overkill.blocks
    assert (retries.max_retries, retries.model_scope) == (3, ("all",))
    assert retries.covers_model(["anything"])
    assert (output.max_output_tokens, output.task_type) == (750, "content_generation")
    assert not output.blocks
    assert [r.per_of("max_retries") for r in config.rules] == ["call"] * 3
    assert [r.limits for r in config.rules] == [Limits()] * 3
    assert [p.name for p in config.policies] == [
        "prevent-model-overkill",
        "cap-llm-retries",
        "limit-output-tokens",
    ]
    assert [(r.policy, r.number, r.line) for r in config.rules] == [
        ("prevent-model-overkill", 1, 12),
        ("cap-llm-retries", 1, 21),
        ("limit-output-tokens", 1, 28),
    ]
    assert config.updates[0].interval == "daily"
    assert config.updates[0].directory == HERE / "prompts"


def test_the_second_reference_file():
    config = load_config(HERE / "reference-b.yml")
    first, second, *_ = config.rules
    assert (first.number, second.number, second.task_type) == (1, 2, "basic_q_and_a")
    assert second.actions == ("block_pr",)
    assert len(config.rules) == 4


@pytest.mark.parametrize("name", ["reference-a.yml", "reference-b.yml"])
def test_reference_files_leave_only_warnings(name):
    config = load_config(HERE / name)
    assert [warning.severity for warning in config.warnings] == ["warning", "warning"]
    directory, channel = config.warnings
    assert "no folder" in directory.text
    assert directory.path == "updates[1].directory"
    assert "no webhook" in channel.text
    assert "#finops-llm-alerts" in channel.text
    assert config.limits_for("tests/test_x.py::test_y") == DEFAULT_LIMITS


def test_a_folder_that_is_there_is_no_warning(tmp_path):
    (tmp_path / ".github").mkdir()
    (tmp_path / "prompts").mkdir()
    path = tmp_path / ".github" / "crashlens.yml"
    path.write_text((HERE / "reference-a.yml").read_text(), encoding="utf-8")
    config = load_config(path)
    assert [w.path for w in config.warnings] == ["policies"]
    assert config.updates[0].directory == tmp_path / "prompts"


# limits


def test_limits_in_all_their_forms():
    config = read(
        """
limits:
  max_increase: 12.5%
  min_increase: {tokens: 50, cost: "0.001"}
  max_cost: 0.10000000000000000001
  max_total_tokens: 1_000
  max_input_tokens: 900
  max_output_tokens: 100
  max_calls: 0
  max_retries: 0
"""
    )
    assert config.limits == Limits(
        max_increase=Increase(default=Decimal("12.5")),
        min_increase_tokens=50,
        min_increase_cost=Decimal("0.001"),
        max_cost=Decimal("0.10000000000000000001"),
        max_total_tokens=1000,
        max_input_tokens=900,
        max_output_tokens=100,
        max_calls=0,
        max_retries=0,
    )


@pytest.mark.parametrize("off", ["off", "OFF", "false", '"off"'])
def test_the_relative_gate_is_off_only_in_so_many_words(off):
    config = read(f"limits: {{max_increase: {off}}}")
    increase = config.limits_for("t.py::t").max_increase
    assert increase is not None
    assert increase.off
    assert [increase.limit(metric) for metric in METRICS] == [None] * 4


@pytest.mark.parametrize("cost", ["$0.05", '"$0.05"', '"0.05"', "0.05", "5e-2"])
def test_dollars_by_any_spelling(cost):
    assert read(f"limits: {{max_cost: {cost}}}").limits.max_cost == Decimal("0.05")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("max_increase: 20", 'write "20%"'),
        ("max_increase: no", "expected a percentage"),
        ("max_increase: yes", "expected a percentage"),
        ("max_increase: {cost: off}", "off is for max_increase as a whole"),
        ("max_increase: {costs: 5%}", "did you mean cost?"),
        ("max_increase: [5%]", "found a list"),
        ("max_cost: -1", "expected US dollars"),
        ("max_cost: .nan", "expected US dollars"),
        ("max_cost: .inf", "expected US dollars"),
        ("max_cost: yes", "expected US dollars"),
        ("max_cost: 1:30", "expected US dollars"),
        ("max_calls: on", 'found the true/false value "on"'),
        ("max_calls: 1.5", "expected a whole number"),
        ("max_calls: 0750", "leave out the leading zero"),
        ("max_calls: 0x10", "write digits only"),
        ('max_calls: "3"', "remove quotes"),
        ("max_calls: ~", "is empty"),
        ("max_output_tokens: 0", "at least 1"),
        ("max_tokens: 5", "did you mean max_total_tokens?"),
        ("min_increase: 50", "expected a section"),
        ("min_increase: {tokens: 5%}", "expected a whole number"),
    ],
)
def test_wrong_limits_are_named_with_place_and_fix(limit, said):
    text = refused(f"limits:\n  {limit}\n")
    assert text.startswith("crashlens.yml:3:")
    assert ": error: limits" in text
    assert said in text
    assert "\n" not in text


def test_paths_are_closer_than_limits_and_later_than_earlier_ones():
    config = read(
        """
limits: {max_calls: 9, max_retries: 5}
paths:
  - match: tests/live/**
    limits: {max_calls: 2, max_cost: "1"}
  - match: "**/test_x.py::test_big*"
    limits: {max_cost: "3"}
"""
    )
    assert config.limits_for("tests/unit/test_x.py::test_a").max_calls == 9
    live = config.limits_for("tests/live/test_x.py::test_a")
    assert (live.max_calls, live.max_cost, live.max_retries) == (2, 1, 5)
    assert config.limits_for("tests/live/test_x.py::test_big[1]").max_cost == 3
    marked = config.limits_for("tests/live/test_x.py::test_a", Limits(max_calls=1))
    assert (marked.max_calls, marked.max_cost) == (1, 1)
    assert marked.max_increase == DEFAULT_LIMITS.max_increase


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("match: tests/", 'write "tests/**"'),
        ("match: tests/../x.py", "without .."),
        (r"match: tests\x.py", "write / between"),
        ("matches: x", "did you mean match?"),
    ],
)
def test_wrong_paths(path, said):
    assert said in refused(f"paths:\n  - {path}\n    limits: {{max_calls: 1}}\n")


def test_a_path_given_twice():
    entry = "  - match: a.py\n    limits: {max_calls: 1}\n"
    assert "given twice" in refused("paths:\n" + entry + entry)


def test_a_path_that_is_a_folder(tmp_path):
    (tmp_path / "tests").mkdir()
    text = "version: 1\npaths:\n  - match: tests\n    limits: {max_calls: 1}\n"
    with pytest.raises(ConfigError, match="is a folder"):
        parse_config(text, str(tmp_path / "crashlens.yml"))


# the whole file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits: {max_calls: 1}", "1:1: error: version is missing"),
        ("version: 1", "1:1: error: nothing is limited"),
        ("version: 1\nprices: {a/b: {free: true}}", "nothing is limited"),
        ('version: "1"\nlimits: {max_calls: 1}', "1:10: error: version: expected a whole number"),
        ("version: 1.0\nlimits: {max_calls: 1}", "expected a whole number"),
        ("version: 0\nlimits: {max_calls: 1}", "at least 1"),
        ("version:\nlimits: {max_calls: 1}", "version: is empty"),
        ("version: 1\npolices: []", 'unknown key "polices"; did you mean policies?'),
        ("version: 1\npolicies:", "policies: is empty"),
        ("version: 1\npolicies: []", "policies: is an empty list"),
        ("version: 1\npolicies: {}", "found a section"),
        ("version: 1\nlimits: {}", "limits: is empty"),
        ("version: 1\nlimits:", "limits: is empty"),
        ("version: 1\nlimits: {max_calls: 1}\nupdates: []", "updates: is an empty list"),
    ],
)
def test_wrong_top_levels(text, said):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "crashlens.yml")
    assert said in str(caught.value)


def test_a_newer_version_is_the_only_complaint():
    with pytest.raises(ConfigError) as caught:
        parse_config("version: 2\nwhatever: 1\n", "crashlens.yml")
    assert str(caught.value).startswith("crashlens.yml:1:10: error: version: version 2 is newer")
    assert "whatever" not in str(caught.value)


def test_all_problems_in_one_error_by_place():
    text = refused(
        """limits:
  max_cost: yes
policies:
  - enforce: Bad Name
    rules:
      - max_retrys: 3
        alert_channel: #finops
baselin: off
"""
    )
    lines = text.splitlines()
    assert [line.split(": error: ")[0] for line in lines] == [
        "crashlens.yml:3:13",
        "crashlens.yml:5:14",
        "crashlens.yml:7:9",
        "crashlens.yml:8:23",
        "crashlens.yml:9:1",
    ]
    assert "did you mean max_retries?" in text
    assert "begins a YAML comment" in text
    assert "did you mean baseline?" in text
    assert all(";" in line for line in lines)


def test_an_unquoted_channel_is_explained():
    text = rule_refused("max_retries: 3\nalert_channel: #finops  # who is told")
    assert "policies[1].rules[1].alert_channel: is empty" in text
    assert "begins a YAML comment" in text
    assert 'put it in quotes: "#finops"' in text


@pytest.mark.parametrize("off", ["off", "OFF", "false", '"off"'])
def test_baseline_off(off):
    config = read(f"baseline: {off}\nlimits: {{max_calls: 1}}")
    assert (config.baseline, config.baseline_off) == (None, True)


def test_baseline_path():
    config = read("baseline: ./costs/base.json\nlimits: {max_calls: 1}")
    assert (config.baseline, config.baseline_off) == ("costs/base.json", False)
    assert not read("limits: {max_calls: 1}").baseline_off


@pytest.mark.parametrize("baseline", ["no", "on", "5", "~", '""', "../x.json", "[x]", r"a\b.json"])
def test_wrong_baselines(baseline):
    assert "error: baseline: " in refused(f"baseline: {baseline}\nlimits: {{max_calls: 1}}")


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ('{package-ecosystem: pip, directory: "/p"}', "unknown value"),
        ("{package-ecosystem: llm-prompts}", "directory is missing"),
        ('{package-ecosystem: llm-prompts, directory: ""}', "empty text"),
        ("{package-ecosystem: llm-prompts, directory: /p, schedule: daily}", "expected a section"),
        (
            "{package-ecosystem: llm-prompts, directory: /p, schedule: {interval: hourly}}",
            "daily, weekly, monthly",
        ),
        ("{package-ecosystem: llm-prompts, directory: /../p}", "without .."),
        ("{package-ecosystem: llm-prompts, directory: /p, reviewers: [x]}", "unknown key"),
    ],
)
def test_wrong_updates(update, said):
    assert said in refused(f"updates:\n  - {update}\nlimits: {{max_calls: 1}}")


# finding and opening


def test_the_file_is_found_in_its_places(tmp_path):
    assert find_config(tmp_path, None) is None
    (tmp_path / ".github").mkdir()
    hidden = tmp_path / ".github" / "crashlens.yml"
    hidden.touch()
    assert find_config(tmp_path, None) == hidden
    plain = tmp_path / "crashlens.yml"
    plain.touch()
    with pytest.raises(ConfigError, match="remove one"):
        find_config(tmp_path, None)
    assert find_config(tmp_path, plain) == plain
    hidden.unlink()
    assert find_config(tmp_path, None) == plain


def test_a_missing_explicit_file(tmp_path):
    (tmp_path / "crashlens.yml").touch()
    with pytest.raises(ConfigError, match="no such file"):
        find_config(tmp_path, Path("other.yml"))
    (tmp_path / "other.yml").touch()
    assert find_config(tmp_path, Path("other.yml")) == tmp_path / "other.yml"


@pytest.mark.parametrize("name", ["crashlens.yaml", ".github/crashlens.yaml"])
def test_the_wrong_ending_is_noticed(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(ConfigError, match=r"rename to crashlens\.yml"):
        find_config(tmp_path, None)


def test_a_dangling_link_is_not_overlooked(tmp_path):
    path = tmp_path / "crashlens.yml"
    path.symlink_to(tmp_path / "gone.yml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(find_config(tmp_path, None))


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "crashlens.yml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(find_config(tmp_path, None))


def test_encodings(tmp_path):
    path = tmp_path / "crashlens.yml"
    text = "version: 1\r\nlimits: {max_calls: 1}\r\n"
    path.write_bytes(text.encode("utf-8-sig"))
    assert load_config(path).limits.max_calls == 1
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(ConfigError, match="1:1: error: is not UTF-8"):
        load_config(path)
    path.write_bytes(b"version: 1\n# caf\xe9\n")
    with pytest.raises(ConfigError, match="2:6: error: is not UTF-8"):
        load_config(path)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "crashlens.yml"
    path.write_text("#" * 300_000)
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        load_config(path)


def test_without_a_file_the_defaults_hold():
    assert Config().limits_for("t.py::t") == DEFAULT_LIMITS


# prices


def price(text):
    return read(f"limits: {{max_calls: 1}}\nprices:\n  {text}\n").prices


def test_prices_in_all_their_forms():
    paid, free, same, tiered = price(
        """"acme/*": {input: "0.50", output: 1.50, cache_read: "$0.05", source: "contract 2026-03"}
  "ollama/*": {free: true}
  "azure/my-gpt4o-prod": {same_as: "azure/gpt-4o-2024-08-06"}
  "google/gemini-x": {input: {base: "1.25", above: [[200000, "2.50"]]}, output: "10"}"""
    )
    assert (paid.pattern, paid.source) == ("acme/*", "contract 2026-03")
    assert paid.rates == {
        "input": Rate(Decimal("0.50")),
        "output": Rate(Decimal("1.50")),
        "cache_read": Rate(Decimal("0.05")),
    }
    assert (free.free, dict(free.rates)) == (True, {})
    assert same.same_as == "azure/gpt-4o-2024-08-06"
    assert tiered.rates["input"] == Rate(Decimal("1.25"), ((200000, Decimal("2.50")),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"a/b": {input: "0", output: "0"}', "write free: true"),
        ('"a/b": {input: {base: "0", above: [[5, "1"]]}}', "write free: true"),
        ('"a/b": {free: false}', "remove it"),
        ('"a/b": {free: "true"}', "expected true or false"),
        ('"a/b": {free: true, input: "1"}', "found free and rates"),
        ('"a/b": {free: true, same_as: a/c}', "found free and same_as"),
        ('"a/b": {source: x}', "found none"),
        ('"a/b": {same_as: a/b}', "names itself"),
        ('"a/b": {same_as: b}', "write it like azure/gpt-4o"),
        ('"a/b": {}', "is empty"),
        ('"a/b": 5', "expected a section"),
        ('"a/b": {inputs: "1"}', "did you mean input?"),
        ('"a/b": {input: -1}', "expected US dollars"),
        ('"a/b": {input: 9999999999}', "999999999"),
        ('"a/b": {input: {base: "1"}}', "above is missing"),
        ('"a/b": {input: {base: "1", above: []}}', "empty list"),
        ('"a/b": {input: {base: "1", above: [[5]]}}', "expected [tokens, price]"),
        ('"a/b": {input: {base: "1", above: [5]}}', "expected a list"),
        ('"a/b": {input: {base: "1", above: [[x, "2"]]}}', "expected a whole number"),
        ('"a/b": {input: {base: "1", above: [[5, x]]}}', "expected US dollars"),
        ('"a/b": {input: x, output: "1"}', "expected US dollars"),
        ('"a/b": {input: {base: "1", above: [[9, "2"], [5, "3"]]}}', "sort them upwards"),
        ('"a/*": {free: true}\n  "a/b": {input: "1"}', 'because "a/*" above matches first'),
        ('"": {free: true}', "expected a model"),
        ("*/b: {free: true}", "in quotes"),
    ],
)
def test_wrong_prices(text, said):
    with pytest.raises(ConfigError) as caught:
        price(text)
    assert said in str(caught.value)
    assert "prices: '" not in str(caught.value)


# rules


def test_a_rule_with_our_limits():
    one = rule("max_increase: 10%\nmin_increase: {tokens: 5}\nper: test")
    assert one.limits.max_increase == Increase(default=Decimal(10))
    assert (one.limits.min_increase_tokens, one.per) == (5, "test")
    one = rule('max_cost: "2"\nper: session')
    assert (one.limits.max_cost, one.per) == (2, "session")
    assert one.per_of("max_cost") == "session"
    assert one.per_of("max_retries") == "session"
    assert one.per_of("disallowed_models") == "call"


def test_what_limits_are_held_against_when_per_is_absent():
    one = rule("max_output_tokens: 5\nmax_calls: 2")
    assert (one.per, one.actions, one.blocks) == (None, ("block_pr",), True)
    assert (one.max_output_tokens, one.limits) == (5, Limits(max_calls=2))
    assert [one.per_of(key) for key in ("max_output_tokens", "max_retries", "max_calls")] == [
        "call",
        "call",
        "test",
    ]


def test_scope():
    one = rule('max_retries: 1\nmodel_scope: [gpt-4, "claude*"]')
    assert one.covers_model(["alias", "gpt-4-0613"])
    assert one.covers_model(["claude-3-opus"])
    assert not one.covers_model(["gpt-4o"])
    assert rule("max_retries: 1").covers_model([None])


def test_no_warning_without_notification():
    assert (
        read(
            "policies:\n  - enforce: a\n    rules:\n      - max_retries: 1\n"
            '        alert_channel: "#x"\n'
        ).warnings
        == ()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task_type: summarization", "the rule limits nothing"),
        ("min_increase: {tokens: 5}", "the rule limits nothing"),
        ("max_calls: 3\nmin_increase: {tokens: 5}", "only the floor of max_increase"),
        ("max_increase: off", "off limits nothing in a rule"),
        ("max_retries: -1", "at least 0"),
        ("max_retries: true", "true/false"),
        ('max_retries: "3"', "remove quotes"),
        ("max_output_tokens: 0", "at least 1"),
        ("input_tokens_max: 0\nmax_retries: 1", "at least 1"),
        ("task_type: Summarize it\nmax_retries: 1", "write it like summarization"),
        ("task_type: no\nmax_retries: 1", "put it in quotes"),
        ("max_retries: 1\nper: month", "known: call, test, session"),
        ("max_calls: 1\nper: call", "cannot be held against one call"),
        ("max_increase: 5%\nper: call", "cannot be held against one call: the baseline"),
        ("max_increase: 5%\nper: session", "cannot be held against the session: the baseline"),
        ("max_retries: 1\nactions: []", "is an empty list"),
        ("max_retries: 1\nactions: block_pr", "expected a list"),
        ("max_retries: 1\nactions: [block]", "did you mean block_pr?"),
        ("max_retries: 1\nactions: [block_pr, block_pr]", "given twice"),
        ("max_retries: 1\nactions: [slack_notify]", "needs a channel"),
        ('max_retries: 1\nalert_channel: "finops"', 'write it like "#llm-costs"'),
        ("max_retries: 1\nalert_channel:", "is empty"),
        ("max_retries: 1\nmodel_scope: []", "is an empty list"),
        ("max_retries: 1\nmodel_scope: [gpt-4, gpt-4]", "given twice"),
        ("max_retries: 1\nmodel_scope: [4]", "put it in quotes"),
        ('max_retries: 1\nmodel_scope: [""]', "empty text"),
        ("disallowed_models: []", "is an empty list"),
        ("disallowed_models: [gpt-4]\nmodel_scope: [claude-3-opus]", "can never match"),
        ('disallowed_models: [gpt-4]\nmodel_scope: ["claude*"]', "can never match"),
        ("max_retries: 1\nsuggest_fallback: gpt-4o-mini", "add disallowed_models"),
        ("disallowed_models: [gpt-4]\nsuggest_fallback: gpt-4-0613", 'disallowed (by "gpt-4")'),
        ("input_tokens_max: 500\nmax_input_tokens: 500\nper: call", "can never be broken"),
        ('disallowed_models: ["\\e[31m"]', "control characters"),
        ("disalowed_models: [gpt-4]", "did you mean disallowed_models?"),
        ("{}", "is empty"),
    ],
)
def test_wrong_rules(text, said):
    assert said in rule_refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "disallowed_models: [gpt-4]\nmodel_scope: [all]",
        'disallowed_models: [gpt-4-0613]\nmodel_scope: ["gpt-4*"]',
        "input_tokens_max: 500\nmax_input_tokens: 499\nper: call",
        "input_tokens_max: 500\nmax_input_tokens: 800",
        "disallowed_models: [gpt-4]\nsuggest_fallback: gpt-4o-mini",
    ],
)
def test_rules_that_only_look_impossible(text):
    assert rule(text)


def test_policy_names():
    one = "  - enforce: a\n    rules: [{max_retries: 1}]\n"
    assert "already the name of the policy in line 3" in refused("policies:\n" + one + one)
    assert "enforce is missing" in refused("policies:\n  - rules: [{max_retries: 1}]\n")
    assert "rules is missing" in refused("policies:\n  - enforce: a\n")
    assert "rules: is an empty list" in refused("policies:\n  - enforce: a\n    rules: []\n")
    assert "description: is empty" in refused(
        "policies:\n  - enforce: a\n    description:\n    rules: [{max_retries: 1}]\n"
    )


def test_texts_may_be_in_any_language():
    about = "Pas plus cher\u00a0: 👩\u200d💻 日本\u3000語"
    text = f'policies:\n  - enforce: a\n    description: "{about}"\n    rules: [{{max_calls: 1}}]\n'
    assert read(text).policies[0].description == about
