"""Whatever stands in crashlens.yml, the answer is a Config or a ConfigError that says where."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.limits import LIMIT_KEYS, Limits
from pytest_crashlens.policy.loader import TOP_KEYS, load_config, parse_config
from pytest_crashlens.policy.rules import POLICY_KEYS, RULE_KEYS

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
"""How fast a machine is proves nothing here."""

SAMPLE = (
    (Path(__file__).parent / "policy_files" / "reference-b.yml").read_text(encoding="utf-8")
    + """
limits: {max_increase: {cost: 5%, calls: "0%"}, min_increase: {tokens: 5, cost: "0.1"}}
paths:
  - match: tests/**
    limits: {max_cost: $1, max_calls: 3}
prices:
  "acme/*": {input: {base: "1", above: [[200000, "2"]]}, output: 2}
  "ollama/*": {free: true}
baseline: off
"""
)
PIECES = [
    *("\t", "\n", "\0", "\x1b", "\ud800", "\ufeff", "\u2028", "\x85", "\r", "  ", "- ", ": ", "#"),
    *("[", "]", "{", "}", "*", "&a ", "*a", "!", "!!python/object:x ", "<<: ", "|", ">", "%", "@"),
    *("'", '"', "\\", "~", "null", "off", "yes", "1e999", "-1", ".nan", "0x1", "9" * 5000, "---"),
    *("...", "? ", "%YAML 9.9\n---\n", '"\\U99999999"', '"\\ud800"', "=", "2001-01-01", "💥"),
]
SCALARS = st.sampled_from(
    [*PIECES, "1", "5%", '"5%"', "gpt-4", "[gpt-4]", "[]", "{}", "call", "[all]", "true", '"#a"']
)


def check(text):
    try:
        config = parse_config(text, "crashlens.yml")
    except ConfigError as error:
        lines = str(error).splitlines() or [""]
        for line in lines:
            assert re.match(r"crashlens\.yml:[1-9]\d*:[1-9]\d*: error: .", line), line
        str(error).encode()
    else:
        assert isinstance(config, Config)
        assert Limits.from_dict(config.limits.to_dict()) == config.limits
        for warning in config.warnings:
            warning.render("crashlens.yml").encode()


def test_the_sample_is_right():
    assert parse_config(SAMPLE, "crashlens.yml").baseline_off


@relaxed
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(SAMPLE)),
            st.integers(0, 30),
            st.sampled_from(PIECES) | st.text(max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_mangled_file(edits):
    text = SAMPLE
    for at, cut, piece in edits:
        text = text[:at] + piece + text[at + cut :]
    check(text)


@relaxed
@given(st.text(max_size=60))
def test_any_text(text):
    check(text)
    check(f"version: 1\nlimits: {{max_cost: {text}}}")


@relaxed
@given(st.lists(st.tuples(st.sampled_from([*TOP_KEYS, "x"]), SCALARS), max_size=5))
def test_any_value_of_a_top_key(entries):
    check("".join(f"{key}: {value}\n" for key, value in entries))


@relaxed
@given(st.lists(st.tuples(st.sampled_from([*LIMIT_KEYS, "x"]), SCALARS), max_size=5))
def test_any_value_of_a_limit(entries):
    check("version: 1\nlimits:\n" + "".join(f"  {key}: {value}\n" for key, value in entries))


@relaxed
@given(st.lists(st.tuples(st.sampled_from([*RULE_KEYS, *POLICY_KEYS]), SCALARS), max_size=6))
def test_any_value_in_a_rule(entries):
    body = "".join(f"        {key}: {value}\n" for key, value in entries)
    check(f"version: 1\npolicies:\n  - enforce: a\n    rules:\n      -\n{body}")


@relaxed
@given(
    st.lists(st.sampled_from([*TOP_KEYS, *RULE_KEYS, *PIECES, "\n  ", ":\n", ": "]), max_size=20)
)
def test_any_words(words):
    check("version: 1\n" + "".join(words))


@settings(relaxed, suppress_health_check=[*HealthCheck])
@given(content=st.binary(max_size=60))
def test_any_bytes(tmp_path, content):
    path = tmp_path / "crashlens.yml"
    path.write_bytes(content)
    try:
        load_config(path)
    except ConfigError:
        return
