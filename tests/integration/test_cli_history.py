"""``crashlens history``, its chart, its anchor, and what was spent."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from decimal import Decimal

import pytest

from pytest_crashlens.cli.chart import sparkline
from tests.integration.baselines import Command, Repo, narrow
from tests.integration.planned import write_tests
from tests.unit.entries import call, entry

A, B = "test_a.py::test_one", "test_b.py::test_two"
BEGAN = {A: entry(call(tokens=(1000, 500))), B: entry(call("large", (1000, 500)))}


def with_tokens(tokens, reason=None):
    return BEGAN | {A: replace(entry(call(tokens=(tokens, 500))), reason=reason)}


@pytest.fixture
def repo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Repo(tmp_path)


@pytest.fixture
def crashlens(capsys):
    return Command(capsys)


@pytest.fixture
def grown(repo):
    """Four versions, one of them broken, and a renamed file."""
    repo.commit(BEGAN, "Begin", day="2026-01-01", name="old.json")
    repo.git("tag", "v1")
    repo.commit("{", "Break it", day="2026-01-02", name="old.json")
    repo.commit(with_tokens(2000, "new prompt"), "Ask more", day="2026-01-03", name="old.json")
    repo.git("mv", "old.json", "crashlens-baseline.json")
    repo.commit(None, "Rename", day="2026-01-04")
    repo.commit(with_tokens(3000), "Ask still more", day="2026-01-05", author="Bo Ek")
    repo.commit(None, "Something else", day="2026-01-06")
    return repo


def test_the_table(grown, crashlens):
    shown = crashlens("history", code=1)
    assert narrow(shown)
    lines = shown.splitlines()
    commits = grown.git("log", "--format=%h", "--abbrev=8").split()
    assert lines[0].split() == ["date", "commit", "tests", "cost", "change", "accepted", "by"]
    assert lines[1].split() == ["2026-01-05", commits[1], *["2", "$0.024", "+4.3", "%", "Bo", "Ek"]]
    assert lines[2:5] == [
        "    Ask still more",
        f"    rose: {A} $0.0030 -> $0.0040 (+33 %)",
        lines[4],
    ]
    assert lines[4].split() == ["2026-01-04", commits[2], *["2", "$0.023", "0", "%", "Ann", "Lee"]]
    at = lines.index("    Ask more")
    assert lines[at + 1 : at + 3] == [
        f"    rose: {A} $0.0020 -> $0.0030 (+50 %)",
        "      reason: new prompt",
    ]
    assert lines[-2:] == [
        "crashlens-baseline.json: 4 versions, newest first",
        f"not read: {commits[4]}:old.json:1:2: the file ends in the middle (truncated)",
    ]


def test_json(grown, crashlens):
    found = crashlens.json("history", code=1)
    subjects = [version["subject"] for version in found["versions"]]
    assert subjects == ["Ask still more", "Rename", "Ask more", "Begin"]
    assert [version["cost_usd"] for version in found["versions"]] == [
        "0.024",
        "0.023",
        "0.023",
        "0.022",
    ]
    newest, _, asked, first = found["versions"]
    assert (newest["author"], newest["at"][:10]) == ("Bo Ek", "2026-01-05")
    assert newest["tests"][A]["cost_usd"] == "0.004"
    assert (first["path"], newest["path"]) == ("old.json", "crashlens-baseline.json")
    assert asked["changes"][0]["reason"] == "new prompt"
    assert len(found["unreadable"]) == 1


def test_a_few_versions_of_one_test(grown, crashlens):
    found = crashlens.json("history", "--limit", "2", "--test", "test_a.py")
    assert [version["subject"] for version in found["versions"]] == ["Ask still more", "Rename"]
    assert [change["key"] for change in found["versions"][0]["changes"]] == [A]
    assert set(found["versions"][0]["tests"]) == {A}
    assert "no version has an entry for x.py" in crashlens("history", "--test", "x.py", code=2)
    assert crashlens.json("history", "crashlens-baseline.json", "--limit", "1")["versions"]


def test_commits_of_merged_branches(repo, crashlens):
    repo.commit(BEGAN, "Begin")
    repo.git("checkout", "-q", "-b", "branch")
    repo.commit(with_tokens(2000), "On the branch", day="2026-01-02")
    repo.git("checkout", "-q", "main")
    repo.commit("x", "Elsewhere", name="other.txt", day="2026-01-03")
    repo.git("merge", "-q", "--no-ff", "branch", "-m", "Merge it", day="2026-01-04")

    def subjects(*more):
        return [one["subject"] for one in crashlens.json("history", *more)["versions"]]

    assert subjects() == ["Merge it", "Begin"]
    assert subjects("--every-commit") == ["On the branch", "Begin"]


def test_the_chart(grown, crashlens, monkeypatch):
    shown = crashlens("history", "--chart", code=1)
    assert narrow(shown)
    lines = [line.split() for line in shown.splitlines()]
    assert lines[1] == ["total", "████", "$0.022", "$0.024", "+9.1", "%"]
    assert lines[2][:2] == [B, "████"]
    assert lines[3] == [A, "▅▇▇█", "$0.0020", "$0.0040", "+100", "%"]
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as ascii_only:
        monkeypatch.setattr(sys, "stdout", ascii_only)
        assert sparkline([Decimal(8), None, Decimal(1)]) == "# ."


def test_a_chart_of_many_versions_fits():
    amounts = [Decimal(at) for at in range(1, 1001)]
    bars = sparkline(amounts, plain=False)
    assert len(bars) == 24
    assert bars[-1] == "█"
    assert sparkline([Decimal(0)] * 3, plain=True) == "___"


def test_without_git(tmp_path, monkeypatch, crashlens):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in crashlens("history", code=2)


def test_not_committed(repo, crashlens):
    repo.commit(None, "empty")
    repo.write(BEGAN)
    assert "is in no commit of this branch yet" in crashlens("history", code=2)


# the anchor


def anchor(repo, at="v1", percent="50%", severity="error"):
    given = f'{{at: {at}, max_increase: "{percent}", severity: {severity}}}'
    repo.write(f'version: 1\nlimits: {{max_cost: "9"}}\nanchor: {given}\n', "crashlens.yml")
    for name in ("test_a.py", "test_b.py"):
        repo.write("", name)


@pytest.mark.parametrize("at", ["v1", "2026-01-01"])
def test_creep_since_the_anchor(grown, crashlens, at):
    anchor(grown, at)
    words = f"creep since {at} beyond +50 %: {A} $0.0020 -> $0.0040 (+100 %)\n"
    shown = crashlens("history", "--anchor", code=1)
    assert " ".join(shown.split()) + "\n" == words
    assert words.strip() in " ".join(crashlens("check", code=1).split())
    found = crashlens.json("history", "--anchor", code=1)
    assert [one["blocks"] for one in found["findings"]] == [True]
    anchor(grown, at, severity="warn")
    assert crashlens("history", "--anchor").startswith("warning: creep since")
    assert crashlens("check").startswith("warning: creep since")
    anchor(grown, at, percent="100%")
    assert crashlens("check").endswith(", fine\n")
    assert "within +100 % of" in crashlens("history", "--anchor")
    anchor(grown, at, percent="9%")
    assert "sum of 2 tests $0.022 -> $0.024 (+9.1 %)" in crashlens("check", code=1)


def test_an_anchor_that_cannot_be_looked_up(grown, crashlens):
    assert "has no anchor" in crashlens("history", "--anchor", code=2)
    for at, words in (
        ("nope", "is no commit, tag or branch"),
        ("2020-01-01", "no commit so early"),
        ('"2026-13-99"', "there is no such day"),
    ):
        anchor(grown, at)
        assert words in crashlens("history", "--anchor", code=2)
        assert words in crashlens("check", code=2)


# what a run does with them


def test_creep_in_a_run(project, capsys):
    repo = Repo(project.path)
    write_tests(project, test_it=1000, test_other=1000)
    project.update()
    repo.commit(None, "Begin")
    repo.git("tag", "v1")
    write_tests(project, test_it=1150, test_other=1000)
    project.update()
    repo.commit(None, "A little more")
    write_tests(project, test_it=1300, test_other=1000)
    project.run().assert_outcomes(passed=2)
    config = 'version: 1\nlimits: {max_increase: "20%"}\nanchor: {at: v1, max_increase: "25%"}\n'
    project.write("crashlens.yml", config)
    result = project.run()
    result.assert_outcomes(passed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["session: creep since v1 beyond +25 %: test_it.py::test_it *"])
    assert project.run("test_it.py::test_other").ret == 0
    project.write("crashlens.yml", config.replace("v1", "nope"))
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, "not known is no pass"
    result.stderr.fnmatch_lines(["*creep cannot be judged: anchor nope: *"])
    warning = config.replace("v1", "nope").replace('"25%"}', '"25%", severity: warn}')
    project.write("crashlens.yml", warning)
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warning: creep is not judged: anchor nope: *"])


LIVE = """
import openai

def test_live(tmp_path):
    with openai.OpenAI() as client:
        client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "{}"}]
        )

def test_none():
    pass
"""


def test_what_runs_spent_is_recorded(project, capsys, monkeypatch):
    repo = Repo(project.path)
    write_tests(project, test_it=1000)
    project.update()
    path = project.path / ".crashlens" / "spend.jsonl"
    assert not path.exists()  # nothing was live
    commit = repo.commit(None, "Begin")
    project.write("test_live.py", LIVE)
    project.update()
    project.run("-k", "test_none")
    project.run("test_live.py")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["calls"] for line in lines] == [1, 1]
    assert [line["commit"] for line in lines] == [commit, commit]
    (model,) = lines[0]["models"].values()
    assert lines[0]["cost_usd"] == model["cost_usd"]
    assert Decimal(model["cost_usd"]) > 0
    assert repo.git("status", "--porcelain", "--", ".crashlens") == ""
    assert "content" not in path.read_text()
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    crashlens = Command(capsys)
    shown = crashlens("history", "--spent")
    assert narrow(shown)
    assert ".crashlens/spend.jsonl: 2 runs with live calls, 2 calls, " in shown
    found = crashlens.json("history", "--spent")
    assert found["total"]["runs"] == 2
    assert Decimal(found["total"]["cost_usd"]) == 2 * Decimal(model["cost_usd"])
    assert list(found["models"]) == list(lines[0]["models"])
    path.write_text(path.read_text() + '{"at": "2026"\n')
    assert "not read: " in crashlens("history", "--spent", code=1)
    path.unlink()
    path.mkdir()
    result = project.run("test_live.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["what this run spent is not recorded: .crashlens/spend.jsonl: *"])
    path.rmdir()
    capsys.readouterr()
    assert "no live call" in crashlens("history", "--spent", code=2)
