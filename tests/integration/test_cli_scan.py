"""``crashlens scan`` as it is typed: the source of a project, and its prompts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.integration.baselines import Command, Repo, narrow

REFERENCES = Path(__file__).parents[1] / "unit" / "policy_files"
RULES = """
version: 1
updates: [{package-ecosystem: llm-prompts, directory: /prompts}]
policies:
  - enforce: no-dear
    rules: [{disallowed_models: [gpt-4], suggest_fallback: gpt-4o-mini}]
  - enforce: retries
    rules: [{max_retries: 3}]
"""
APP = """
from openai import OpenAI

client = OpenAI(max_retries=5)


def ask(question, model="gpt-4"):
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(model=model, messages=messages)
"""
FOUND = """\
app/chat.py:4:29: error: retries: max_retries=5 allows 5 retries, the limit is 3; lower it
app/chat.py:7:25: error: no-dear: model "gpt-4" is disallowed; use gpt-4o-mini
app/chat.py:9:12: warning: chat.completions.create sets no output cap; set max_completion_tokens
"""


@pytest.fixture
def crashlens(capsys):
    return Command(capsys)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def project(write):
    write("crashlens.yml", RULES)
    write("app/chat.py", APP)
    return write


def test_what_the_source_says(project, crashlens):
    project("prompts/a.md", "word")
    crashlens("scan", "--update-prompts", code=1)
    shown = crashlens("scan", code=1)
    assert shown.startswith(FOUND)
    assert "1 file, 1 prompt: 2 errors, 1 warning\n" in shown
    plain = crashlens.json("scan", code=1)
    assert plain["config"] == "crashlens.yml"
    assert (plain["files"], plain["errors"], plain["warnings"]) == (1, 2, 1)
    first = plain["findings"][0]
    assert first == {
        "file": "app/chat.py",
        "line": 4,
        "column": 29,
        "end_line": 4,
        "kind": "retries",
        "severity": "error",
        "blocks": True,
        "policy": "retries",
        "rule": 1,
        "text": "max_retries=5 allows 5 retries, the limit is 3",
        "fix": "lower it",
    }


def test_paths_are_those_of_the_current_folder(project, crashlens, tmp_path, monkeypatch):
    project("lib/x.py", 'MODEL = "gpt-4"\n')
    Repo(tmp_path)
    monkeypatch.chdir(tmp_path / "lib")
    assert "x.py:1:9: error: no-dear" in crashlens("scan", ".", code=1)
    everything = crashlens("scan", code=1)
    assert "app/chat.py:4:29" in everything
    assert "x.py:1:9" in everything


def test_silenced_and_unreadable(project, crashlens):
    project("app/chat.py", 'MODEL = "gpt-4"  # crashlens: ignore\nx = 1  # crashlens: ignore\n')
    project("app/broken.py", "def (\n")
    project("tests/test_x.py", 'MODEL = "gpt-4"\n')
    shown = crashlens("scan", code=1)
    assert "app/broken.py:1:1: error: is no Python: " in shown
    assert "app/chat.py:2:1: warning: # crashlens: ignore silences nothing here" in shown
    assert "2 files: 1 error, 2 warnings; 1 silenced by # crashlens: ignore; 1 file of tests" in (
        shown
    )
    plain = crashlens.json("scan", code=1)
    assert [each["line"] for each in plain["silenced"]] == [1]
    assert [each["line"] for each in plain["useless_silences"]] == [2]
    (broken,) = plain["findings"]
    assert (broken["file"], broken["kind"]) == ("app/broken.py", "unreadable")
    project("app/broken.py", "# crashlens: ignore: a template\ndef (\n")
    assert "0 errors, 2 warnings; 2 silenced" in crashlens("scan", code=0)
    assert plain["test_files_passed_over"] == 1
    assert "test_x.py:1:9: error" in crashlens("scan", "tests", code=1)


def test_strict(project, crashlens):
    clean = project("app/chat.py", "x = 1\n")
    project("prompts/a.md", "word")
    crashlens("scan", "--update-prompts")
    crashlens("scan", "--strict", code=0)
    project("app/chat.py", APP.replace("=5", "=1").replace("gpt-4", "gpt-4o"))
    assert "0 errors, 1 warning\n" in crashlens("scan", code=0)
    assert "0 errors, 1 warning\n" in crashlens("scan", "--strict", code=1)
    clean.write_text("x = 1  # crashlens: ignore\n")
    crashlens("scan", "--strict", code=1)


def test_caps_that_are_not_known(project, crashlens):
    project(
        "crashlens.yml", "version: 1\npolicies: [{enforce: x, rules: [{max_output_tokens: 9}]}]\n"
    )
    project("app/chat.py", "client.chat.completions.create(model=m, max_tokens=n)\n")
    shown = crashlens("scan", "--strict")
    assert "0 errors, 0 warnings; 1 call with a cap that is not known here\n" in shown
    assert crashlens.json("scan")["calls_with_unknown_cap"] == 1


def test_what_git_ignores_is_passed_over(project, crashlens, tmp_path):
    repo = Repo(tmp_path)
    project(".gitignore", "made/\n")
    project("app/chat.py", "x = 1\n")
    ignored = project("made/x.py", 'MODEL = "gpt-4"\n')
    crashlens("scan", code=0)
    crashlens("scan", str(ignored), code=1)
    crashlens("scan", "made", code=1)
    repo.git("add", "-f", "made/x.py")
    crashlens("scan", code=1)


def test_what_cannot_be_done(write, crashlens):
    assert "no crashlens.yml" in crashlens("scan", code=2)
    write("crashlens.yml", "version: 1\n")
    assert "nothing is limited" in crashlens("scan", code=2)
    write("crashlens.yml", RULES)
    assert "nothing to scan" in crashlens("scan", code=2)
    write("app.py", "x = 1\n")
    assert "there is no such file or folder" in crashlens("scan", "ap.py", code=2)
    assert "no such file" in crashlens("scan", "--config", "x.yml", code=2)
    assert "give it no paths" in crashlens("scan", "--update-prompts", "app.py", code=2)
    write("crashlens-prompts.json", "{")
    assert "restore it from version control" in crashlens("scan", code=2)
    write("crashlens.yml", RULES.replace("updates:", "# updates:"))
    assert "no folder of prompts is configured" in crashlens("scan", "--update-prompts", code=2)


def test_another_config(project, crashlens):
    project("other/crashlens.yml", RULES.replace("[gpt-4]", "[gpt-5]"))
    project("other/x.py", "x = 1\n")
    for paths in ((), ("app",)):
        shown = crashlens("scan", "--config", "other/crashlens.yml", *paths, code=1)
        assert "no-dear" not in shown
        assert "app/chat.py:4:29: error: retries" in shown


@pytest.mark.parametrize("name", ["reference-a.yml", "reference-b.yml"])
def test_the_reference_files(write, crashlens, tmp_path, name):
    (tmp_path / ".github").mkdir()
    shutil.copy(REFERENCES / name, tmp_path / ".github" / "crashlens.yml")
    write("prompts/a.md", "Summarize this.")
    write("app/chat.py", APP)
    shown = crashlens("scan", code=1)
    assert "app/chat.py:4:29: error: cap-llm-retries: " in shown
    assert (
        'app/chat.py:7:25: warning: prevent-model-overkill: model "gpt-4" is disallowed, if the '
        "task is summarization and the input has at most 500 tokens (not known here); "
        "use gpt-4o-mini" in shown
    )
    assert "app/chat.py:9:12: warning: limit-output-tokens: " in shown
    crashlens("scan", "--update-prompts", code=1)
    assert (tmp_path / "crashlens-prompts.json").is_file()


def test_prompts(project, crashlens, tmp_path):
    project("app/chat.py", "x = 1\n")
    project("prompts/a.md", "word " * 200)
    project("prompts/deep/b.j2", "word " * 100)
    project("prompts/.hidden", "word")
    project("prompts/code.py", "x = 1\n")
    project("prompts/pixels.png", "").write_bytes(b"\x89PNG\0")
    shown = crashlens("scan")
    assert "crashlens-prompts.json:1:1: warning: not there, so growth of prompts is not" in shown
    assert "prompts/pixels.png:1:1: warning: is no text" in shown
    assert "2 files, 3 prompts: 0 errors, 2 warnings" in shown
    assert narrow(shown.replace("\n", " ")[-80:])
    (tmp_path / "prompts/pixels.png").rename(tmp_path / "pixels.png")
    assert "0 errors, 1 warning" in crashlens("scan", "--strict", code=1)
    (tmp_path / "pixels.png").rename(tmp_path / "prompts/pixels.png")

    assert "crashlens-prompts.json: written" in crashlens("scan", "--update-prompts")
    path = tmp_path / "crashlens-prompts.json"
    written = path.read_text()
    figures = json.loads(written)["prompts"]
    assert sorted(figures) == ["prompts/a.md", "prompts/deep/b.j2"]
    assert set(figures["prompts/a.md"]) == {"tokens", "encoding"}
    assert "word" not in written
    assert "crashlens-prompts.json: unchanged" in crashlens("scan", "--update-prompts")
    crashlens("scan")

    project("prompts/a.md", "word " * 300)
    project("prompts/new.txt", "word")
    (tmp_path / "prompts/deep/b.j2").unlink()
    shown = crashlens("scan", code=1)
    found = re.findall(r"^(prompts/\S+?):1:1: (\w+): (.*?)[;,]", shown, re.MULTILINE)
    assert [(name, severity) for name, severity, _ in found] == [
        ("prompts/a.md", "error"),
        ("prompts/deep/b.j2", "warning"),
        ("prompts/new.txt", "error"),
        ("prompts/pixels.png", "warning"),
    ]
    assert "prompts/a.md:1:1: error: 201 -> 301 tokens (+49 %), the limit is +20 %" in shown
    assert "prompts/new.txt:1:1: error: 1 token, and no committed figure" in shown
    plain = crashlens.json("scan", code=1)
    assert plain["prompts"]["committed"] is True
    assert [each["kind"] for each in plain["prompts"]["findings"]] == [
        "increase",
        "gone",
        "missing",
        "unreadable",
    ]
    # a part of the project: only its prompts, and none of them is gone
    assert "b.j2" not in crashlens("scan", "prompts/a.md", code=1)
    assert "prompts" not in crashlens("scan", "app")

    assert path.read_text() == written
    crashlens("scan", "--update-prompts")
    assert sorted(json.loads(path.read_text())["prompts"]) == ["prompts/a.md", "prompts/new.txt"]
    crashlens("scan")


def test_an_update_does_not_lift_limits(project, crashlens, tmp_path):
    project(
        "crashlens.yml",
        RULES + "paths: [{match: prompts/**, limits: {max_input_tokens: 100}}]\n",
    )
    project("app/chat.py", "x = 1\n")
    project("prompts/a.md", "word " * 200)
    shown = crashlens("scan", "--update-prompts", code=1)
    assert "prompts/a.md:1:1: error: 201 tokens, the limit is 100 input tokens" in shown
    assert (tmp_path / "crashlens-prompts.json").is_file()


def test_the_whole_project_as_a_folder_of_prompts(project, crashlens, tmp_path):
    project("crashlens.yml", RULES.replace("/prompts", "/"))
    project("app/chat.py", "x = 1\n")
    project("crashlens-baseline.json", "{}")
    project("a.md", "word")
    crashlens("scan", "--update-prompts")
    crashlens("scan")
    assert list(json.loads((tmp_path / "crashlens-prompts.json").read_text())["prompts"]) == [
        "a.md"
    ]


def test_a_missing_folder_of_prompts_is_told(project, crashlens):
    project("app/chat.py", "x = 1\n")
    assert "warning: there is no folder of prompts prompts\n" in crashlens("scan")
    assert "0 errors, 1 warning\n" in crashlens("scan", "--strict", code=1)


def test_a_prompt_that_cannot_be_counted_is_no_prompt_in_order(project, crashlens, tmp_path):
    project("crashlens.yml", RULES + "limits: {max_input_tokens: 1000}\n")
    project("app/chat.py", "x = 1\n")
    project("prompts/big.txt", "word " * 1_200_000)
    (tmp_path / "prompts/latin.txt").write_bytes(b"\xc9cris bien.")
    for arguments in ((), ("--update-prompts",)):
        shown = crashlens("scan", *arguments, code=1)
        assert "prompts/big.txt:1:1: error: is larger than 5 MB; its tokens are not" in shown
        assert "prompts/latin.txt:1:1: error: is no UTF-8 text; its tokens are not" in shown
