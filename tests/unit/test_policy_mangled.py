"""Whatever stands in crashlens.yml, the answer is a Config or a ConfigError that says where."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_crashlens.cli.main import main
from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.budgets import BUDGET_KEYS, SESSION_KEYS, TASK_KEYS, VOLUME_KEYS
from pytest_crashlens.policy.config import DETECTIONS, Config
from pytest_crashlens.policy.explain import explain
from pytest_crashlens.policy.limits import LIMIT_KEYS, Limits
from pytest_crashlens.policy.loader import TOP_KEYS, load_config, parse_config
from pytest_crashlens.policy.notices import SLACK_KEYS
from pytest_crashlens.policy.prices import PRICE_KEYS
from pytest_crashlens.policy.rules import POLICY_KEYS, RULE_KEYS

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
"""How fast a machine is proves nothing here."""

FILES = Path(__file__).parent / "policy_files"
SAMPLES = [(FILES / name).read_text(encoding="utf-8") for name in ("reference-b.yml", "full.yml")]
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
        for sentence in explain(config):
            assert sentence.endswith(".")


EDITS = st.lists(
    st.tuples(
        st.integers(0, max(len(sample) for sample in SAMPLES)),
        st.integers(0, 30),
        st.sampled_from(PIECES) | st.text(max_size=5),
    ),
    min_size=1,
    max_size=4,
)


def mangled(text, edits):
    for at, cut, piece in edits:
        text = text[:at] + piece + text[at + cut :]
    return text


@relaxed
@given(st.sampled_from(SAMPLES), EDITS)
def test_a_mangled_file(sample, edits):
    check(mangled(sample, edits))


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


SECTIONS = {
    "budgets": BUDGET_KEYS,
    "session": SESSION_KEYS,
    "tasks": TASK_KEYS,
    "volume": VOLUME_KEYS,
    "detectors": DETECTIONS,
    "slack": (*SLACK_KEYS, "#a"),
    "prices": PRICE_KEYS,
    "anchor": ("at", "max_increase", "severity"),
    "updates": ("package-ecosystem", "directory", "schedule"),
    "paths": ("match", "limits"),
}


@relaxed
@given(st.data())
def test_any_value_of_any_key(data):
    section = data.draw(st.sampled_from(sorted(SECTIONS)))
    keys = st.sampled_from([*SECTIONS[section], "x"])
    entries = data.draw(st.lists(st.tuples(keys, SCALARS), max_size=5))
    body = "\n".join(f"    {key}: {value}" for key, value in entries)
    before = data.draw(st.sampled_from(["", "  -\n", '  "acme/x":\n', "  webhooks:\n"]))
    check(f"version: 1\n{section}:\n{before}{body}\n")


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


def outcome(path, capsys, *arguments):
    code = main(["validate", "--config", str(path), *arguments])
    return code, capsys.readouterr()


# loading the price list anew for each file is what takes the time here
@settings(relaxed, suppress_health_check=[*HealthCheck], max_examples=60)
@given(sample=st.sampled_from(SAMPLES), edits=EDITS)
def test_validate_answers_whatever_the_file_says(tmp_path, capsys, sample, edits):
    path = tmp_path / "crashlens.yml"
    path.write_bytes(mangled(sample, edits).encode("utf-8", "surrogatepass"))
    (tmp_path / "CODEOWNERS").write_text("* @acme/search\n")  # without it no owner has files
    code, said = outcome(path, capsys, "--json")
    plain = json.loads(said.out)
    assert said.err == ""
    assert (code, plain["valid"]) in [(0, True), (1, False)]
    severities = {problem["severity"] for problem in plain["problems"]}
    assert ("error" in severities) == (code == 1)
    assert all(problem["line"] >= 1 and problem["column"] >= 1 for problem in plain["problems"])
    try:
        load_config(path)
    except ConfigError:
        assert code == 1
    else:
        assert code == 0
    code, said = outcome(path, capsys, "--strict", "--explain")
    assert code == (1 if plain["problems"] else 0)
    lines = said.out.splitlines()
    found = [line for line in lines if re.search(r":\d+:\d+: (error|warning): ", line)]
    assert len(found) == len(plain["problems"])
