"""``crashlens init``: what it writes works, and it breaks nothing that is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

import pytest_crashlens.policy
from pytest_crashlens.cli.main import main
from tests.github_actions import ROOT, Runner
from tests.integration.conftest import INI, Project
from tests.integration.planned import LEAN, plan, write_tests

WRITTEN = [
    "crashlens.yml",
    ".gitattributes",
    ".gitignore",
    ".github/workflows/crashlens.yml",
    ".github/workflows/crashlens-comment.yml",
]
DOCS = (ROOT / "docs" / "ci.md").read_text()
DEPENDENCIES = "[project]\nname = 'shop'\ndependencies = ['openai']\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text('[remote "o"]\n\turl = https://github.com/a/b\n')
    (tmp_path / "pyproject.toml").write_text(DEPENDENCIES)
    cassettes = tmp_path / "tests" / "cassettes"
    cassettes.mkdir(parents=True)
    (cassettes / "a.yaml").write_text("interactions:\n- request: {method: GET, uri: 'http://a'}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def init(capsys):
    def run(*arguments):
        code = main(["init", *arguments])
        said = capsys.readouterr()
        assert said.err == ""
        return code, said.out

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_dry_run_shows_all_and_writes_nothing(folder, init):
    before = contents(folder)
    code, out = init("--dry-run")
    assert code == 0
    assert contents(folder) == before
    assert sorted(folder.iterdir()) == sorted(
        folder / name for name in (".git", "pyproject.toml", "tests")
    )
    shown = re.split(r"^would (?:write|append to) (\S+)\n", out.partition("\nNext:")[0], flags=re.M)
    printed = dict(zip(shown[1::2], shown[2::2], strict=True))
    assert list(printed) == WRITTEN

    assert init()[0] == 0
    for name, text in printed.items():
        lines = [line[4:] for line in text.splitlines() if line.startswith("  |")]
        assert lines == (folder / name).read_text().splitlines(), name


def test_what_it_says(folder, init):
    code, out = init()
    assert code == 0
    assert out == (
        f"In {folder}:\n"
        "SDKs: openai (pyproject.toml).\n"
        "Recordings: 1 file, 1 in tests/cassettes.\n"
        "\n"
        "wrote crashlens.yml\n"
        "wrote .gitattributes\n"
        "wrote .gitignore\n"
        "wrote .github/workflows/crashlens.yml\n"
        "wrote .github/workflows/crashlens-comment.yml\n"
        "\n"
        "Next:\n"
        "  crashlens meter tests/cassettes\n"
        "      what the recordings cost; no test is run\n"
        "  pytest --crashlens-update-baseline\n"
        "      run the tests and write crashlens-baseline.json; from then on: pytest\n"
        "        --crashlens\n"
        "  crashlens validate --explain\n"
        "      what crashlens.yml says, in sentences\n"
        f"  git add {' '.join(WRITTEN)} crashlens-baseline.json\n"
        "      for the commit; comments appear once it is on the default branch\n"
    )


def test_nothing_is_written_twice(folder, init):
    assert init()[0] == 0
    before = contents(folder)
    code, out = init()
    assert code == 0
    assert contents(folder) == before
    left = re.findall(r"^left (\S+) as it is: ", out, re.M)
    assert left == WRITTEN
    assert "wrote" not in out
    assert "git add" not in out


def test_nothing_is_overwritten(folder, init):
    for name in WRITTEN:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "version: 1\nlimits: {max_calls: 3}\n" if name == "crashlens.yml" else "# mine"
        path.write_text(text)
    before = contents(folder)
    code, out = init()
    assert code == 0
    after = contents(folder)
    assert list(after) == list(before)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {".gitattributes", ".gitignore"}
    for name in changed:
        assert after[name].startswith(b"# mine\n")
    assert "appended to .gitattributes\n" in out
    assert "left crashlens.yml as it is: it is there already\n" in out


def test_json(folder, init):
    code, out = init("--json", "--dry-run")
    plain = json.loads(out)
    assert code == 0
    assert plain["dry_run"] is True
    assert plain["found"]["sdks"] == {"openai": "pyproject.toml"}
    assert plain["found"]["recordings"] == {"tests/cassettes": 1}
    assert plain["found"]["ci"] == ["github"]
    assert [one["path"] for one in plain["files"]] == WRITTEN
    assert {one["action"] for one in plain["files"]} == {"new"}
    assert plain["next"][1]["command"] == "pytest --crashlens-update-baseline"
    assert json.loads(init("--json")[1])["files"] == plain["files"]
    assert {one["action"] for one in json.loads(init("--json")[1])["files"]} == {"left"}


@pytest.mark.parametrize(
    ("ci", "paths"),
    [
        ("none", []),
        ("github", WRITTEN[3:]),
        ("gitlab", [".gitlab/llm-cost.yml", ".gitlab-ci.yml"]),
    ],
)
def test_ci_as_told(folder, init, ci, paths):
    _, out = init("--ci", ci, "--json")
    assert [one["path"] for one in json.loads(out)["files"]] == [*WRITTEN[:3], *paths]


def test_no_ci_and_no_sdk(folder, init):
    (folder / ".git" / "config").unlink()
    (folder / "pyproject.toml").unlink()
    code, out = init()
    assert code == 0
    assert "No SDK of a provider was found." in out
    assert out.endswith("  crashlens init --ci github\n      no CI was found; or --ci gitlab\n")


@pytest.mark.parametrize(
    ("ci", "install", "key"),
    [
        (
            "github",
            "the step Install in .github/workflows/crashlens.yml",
            "OPENAI_API_KEY as a secret of the repository",
        ),
        (
            "gitlab",
            "the script in .gitlab/llm-cost.yml",
            "OPENAI_API_KEY as a masked variable of the project",
        ),
    ],
)
def test_what_the_job_lacks_is_said(folder, init, ci, install, key):
    def said() -> list[str]:
        return [one["command"] for one in json.loads(init("--ci", ci, "--json")[1])["next"]]

    (folder / "pyproject.toml").unlink()
    (folder / "tests" / "cassettes" / "a.yaml").unlink()
    (folder / "app.py").write_text("import openai\n")
    assert {install, key} <= set(said())
    # what is left as it is may be complete
    assert not {install, key} & set(said())


def test_ci_that_is_there(folder, init):
    (folder / ".gitlab-ci.yml").write_text("test:\n  script: [pytest]\n")
    (folder / "crashlens.yml").write_text(
        "version: 1\nlimits: {max_calls: 3}\nupdates:\n"
        "  - {package-ecosystem: llm-prompts, directory: /, schedule: {interval: daily}}\n"
    )
    code, out = init()
    assert code == 0
    assert "wrote .gitlab/llm-cost.yml\n" in out
    assert "left .gitlab-ci.yml as it is: it is there already\n" in out
    for told in (
        "  include: [{local: .gitlab/llm-cost.yml}]\n      to be added to .gitlab-ci.yml by hand\n",
        "  a pipeline schedule, daily\n      in GitLab's settings",
        "  --crashlens in .gitlab-ci.yml\n",
    ):
        assert told in out


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_cannot_be_written_is_named(folder, init, dry):
    (folder / ".github").write_text("no folder")
    code, out = init("--ci", "github", *dry)
    assert code == 2
    for name in WRITTEN[3:]:
        assert re.search(rf"^{re.escape(name)}: cannot be written: ", out, re.M), out
    assert (folder / "crashlens.yml").exists() is not bool(dry)
    assert (folder / ".github").read_text() == "no folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_read_only_folder(folder, init, dry):
    folder.chmod(0o555)
    try:
        code, out = init(*dry)
    finally:
        folder.chmod(0o755)
    assert code == 2
    assert "crashlens.yml: cannot be written: Permission denied\n" in out


def test_two_settings_files(folder, capsys):
    (folder / ".github").mkdir()
    for name in ("crashlens.yml", ".github/crashlens.yml"):
        (folder / name).write_text("version: 1\n")
    before = contents(folder)
    assert main(["init"]) == 2
    assert "only one can hold" in capsys.readouterr().err
    assert contents(folder) == before


def test_settings_that_are_not_valid(folder, init):
    (folder / "crashlens.yml").write_text("version: 1\nlimit: {}\n")
    code, out = init()
    assert code == 0
    assert "crashlens.yml is not valid: crashlens validate\n" in out


def test_names_of_others_do_not_command_a_terminal(folder, init):
    evil = folder / "tests" / "c\x1b[2J\nversion: 2"
    evil.mkdir()
    (evil / "a.yaml").write_text("interactions:\n- request: {method: GET, uri: 'http://a'}\n")
    _, out = init()
    assert "\x1b" not in out
    assert main(["validate", "--strict"]) == 0


def test_git_understands_the_lines(folder, init):
    assert init()[0] == 0
    (folder / ".git" / "config").unlink()
    (folder / ".git").rmdir()

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        return done.stdout

    git("init", "--quiet")
    found = git("check-attr", "text", "eol", "linguist-generated", "--", "crashlens-baseline.json")
    assert [line.rpartition(": ")[2] for line in found.splitlines()] == ["set", "lf", "false"]
    (folder / ".crashlens").mkdir()
    assert git("check-ignore", ".crashlens/spend.jsonl", "crashlens.yml") == (
        ".crashlens/spend.jsonl\n"
    )


def test_the_settings_are_valid_and_say_what_they_found(folder, init, capsys):
    assert init()[0] == 0
    text = (folder / "crashlens.yml").read_text()
    assert "# SDKs: openai (pyproject.toml).\n" in text
    assert "# Recordings: 1 file, 1 in tests/cassettes.\n" in text
    assert main(["validate", "--strict"]) == 0
    schema = Path(pytest_crashlens.policy.__file__).with_name("crashlens.schema.json")
    jsonschema.validate(yaml.safe_load(text), json.loads(schema.read_text()))
    # all that is commented out, taken in
    lines = []
    for line in text.partition("version: 1\n")[2].splitlines():
        commented = re.fullmatch(r"(  )?# ((?:  )*(?:- )?\"?[\w/*]+\"?:.*)", line)
        lines.append(f"{commented[1] or ''}{commented[2]}" if commented else line)
    whole = "version: 1\n" + "\n".join(lines)
    assert whole.count("#") < text.count("#")
    (folder / "tests" / "agents").mkdir()
    (folder / "crashlens.yml").write_text(whole)
    capsys.readouterr()
    code = main(["validate", "--strict"])
    assert code == 0, capsys.readouterr().out
    top = set(yaml.safe_load(whole))
    assert top == {"version", "limits", "paths", "session", "policies", "prices", "volume"}


# docs/ci.md


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.M | re.S)


def test_the_commands_of_the_docs(project: Project, tmp_path: Path) -> None:
    runner = Runner(tmp_path / "runner")
    project.write("tox.ini", f"{INI}addopts = {' '.join(LEAN)} -p no:cacheprovider\n")
    write_tests(project, test_a=1000)
    first, *commands = blocks("sh")
    assert len(commands) == 2

    def run(text: str) -> None:
        known = {"steps": {}}
        ran = runner.steps([{"name": "docs", "run": text, "shell": "bash"}], known, project.path)
        assert ran.code == 0, ran.out

    run(first)
    for text in commands:
        run(text)
    plan(project, test_a=1000)
    assert (project.path / "comment.md").read_text() == (project.path / "crashlens.md").read_text()
    for link in re.findall(r"\]\(([\w./-]+)\)", DOCS):
        assert (ROOT / "docs" / link).is_file(), link


def test_the_yaml_of_the_docs() -> None:
    workflow, include = map(yaml.safe_load, blocks("yaml"))
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    used = workflow["jobs"]["tests"]["steps"][-1]
    assert set(used["with"]) <= set(action["inputs"])
    ours = ROOT / "pytest_crashlens" / "starter" / "gitlab-ci.yml"
    assert include == yaml.safe_load(ours.read_text())
