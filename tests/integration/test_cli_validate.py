"""``crashlens validate``: what it prints, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_crashlens.cli.main import main

REFERENCES = Path(__file__).parents[1] / "unit" / "policy_files"
RIGHT = "version: 1\nlimits: {max_calls: 1}\n"
ODD = RIGHT + "policies: [{enforce: a, rules: [{disallowed_models: [gpt-4oo]}]}]\n"
WRONG = """version: 1
limits: {max_cost: yes}
policies:
  - enforce: a
    rules:
      - max_retrys: 3
        alert_channel: #finops
      - {max_retries: 3}
      - {max_retries: 4}
      - {disallowed_models: [gpt-4o-mini], suggest_fallback: gpt-4}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def validate(folder, capsys):
    def run(text=None, *arguments):
        if text is not None:
            (folder / "crashlens.yml").write_text(text, encoding="utf-8")
        code = main(["validate", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_right_file(validate):
    assert validate(RIGHT) == (0, "crashlens.yml: valid, 0 rules\n", "")


def test_every_problem_in_one_run_by_place(validate):
    code, out, err = validate(WRONG)
    *problems, summary = out.splitlines()
    assert (code, err) == (1, "")
    assert [line.split(": ")[0] for line in problems] == [
        "crashlens.yml:2:20",
        "crashlens.yml:6:9",
        "crashlens.yml:7:23",
        "crashlens.yml:9:23",
        "crashlens.yml:10:62",
    ]
    assert [line.split(": ")[1] for line in problems] == ["error"] * 3 + ["warning"] * 2
    assert summary == "crashlens.yml: not valid, 3 errors, 2 warnings"


def test_warnings_are_problems_when_strict(validate):
    code, out, _ = validate(ODD)
    assert code == 0
    assert out.endswith("crashlens.yml: valid, 1 rule, 1 warning\n")
    code, out, _ = validate(None, "--strict")
    assert code == 1
    assert out.endswith("crashlens.yml: not valid, 1 rule, 1 warning\n")
    assert validate(RIGHT, "--strict")[0] == 0


def test_json(validate):
    code, out, err = validate(ODD, "--json")
    assert (code, err) == (0, "")
    plain = json.loads(out)
    (problem,) = plain.pop("problems")
    assert plain == {"file": "crashlens.yml", "valid": True}
    assert problem.pop("text").startswith("gpt-4oo is in no price list")
    assert problem == {
        "line": 3,
        "column": 54,
        "severity": "warning",
        "path": "policies[1].rules[1].disallowed_models[1]",
    }
    code, out, _ = validate(None, "--json", "--strict", "--explain")
    assert code == 1
    assert not json.loads(out)["valid"]
    assert len(json.loads(out)["explained"]) == 3


@pytest.mark.parametrize("name", ["reference-a.yml", "reference-b.yml"])
def test_the_reference_files(validate, name):
    code, out, err = validate(None, "--config", str(REFERENCES / name), "--explain")
    assert (code, err) == (0, "")
    assert len(re.findall(r": warning: ", out)) == 2
    assert ": error: " not in out
    assert "Policy cap-llm-retries, rule 1" in out


def test_what_is_wrong_is_not_explained(validate):
    assert "must" not in validate(WRONG, "--explain")[1]


def test_it_is_found_from_a_subfolder(folder, validate, monkeypatch):
    (folder / ".git").mkdir()
    (folder / "tests").mkdir()
    monkeypatch.chdir(folder / "tests")
    code, out, _ = validate(RIGHT)
    assert (code, out) == (0, f"{folder / 'crashlens.yml'}: valid, 0 rules\n")


def test_paths_start_at_the_project(folder, validate):
    """Not at .github, where the file may be."""
    (folder / ".github").mkdir()
    (folder / "tests").mkdir()
    text = RIGHT + "paths: [{match: 'tests/**', limits: {max_calls: 2}}]\n"
    (folder / ".github" / "crashlens.yml").write_text(text)
    assert validate()[:2] == (0, ".github/crashlens.yml: valid, 0 rules\n")


@pytest.mark.parametrize("name", ["gone.yml", "a_folder"])
def test_what_cannot_be_read(folder, validate, name):
    (folder / "a_folder").mkdir()
    code, out, err = validate(None, "--config", name)
    assert (code, out) == (2, "")
    assert name in err


def test_nothing_to_check(validate):
    code, out, err = validate()
    assert (code, out) == (2, "")
    assert "--config" in err


def test_two_files(folder, validate):
    (folder / ".github").mkdir()
    (folder / ".github" / "crashlens.yml").touch()
    code, out, err = validate(RIGHT)
    assert (code, out) == (2, "")
    assert "remove one" in err


def test_bytes_that_are_no_text(folder, validate):
    (folder / "crashlens.yml").write_bytes(b"version: 1\n# caf\xe9\n")
    code, out, err = validate()
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "crashlens.yml:2:6: error: is not UTF-8 text; save the file as UTF-8",
        "crashlens.yml: not valid, 1 error",
    ]


def test_the_schema_is_printed_for_editors(validate):
    code, out, _ = validate(None, "--schema")
    assert code == 0
    assert json.loads(out)["title"] == "crashlens.yml"
