"""What we give people for their CI: linted, and its shell lines run against a local GitHub."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_crashlens.cli.main import main
from pytest_crashlens.report.markdown import MARKER
from tests.github_actions import REPOSITORY, ROOT, Ran, Runner
from tests.integration.conftest import INI, Project, project, server  # noqa: F401 - fixtures
from tests.integration.planned import LEAN, plan, write_tests

CI = ROOT / "docs" / "ci"
TESTS = CI / "crashlens.yml"
COMMENT = CI / "crashlens-comment.yml"
GITLAB = CI / "gitlab-llm-cost.yml"
ACTION = ROOT / "action.yml"

SAVED = (ROOT / "tests" / "output" / "reports" / "red.json").read_bytes()
"""The saved run of a change that costs more."""
BOT = "github-actions[bot]"
YAMLLINT = """
extends: default
rules:
  document-start: disable
  line-length: {max: 100}
  truthy: {check-keys: false}
  comments: {min-spaces-from-content: 1}
"""
ZIZMOR = """
rules:
  unpinned-uses:
    config:
      policies: {"actions/*": ref-pin}
  self-repository:
    disable: true  # its syntax is too new for many runners
"""

EVENT = {
    "workflow_run": {
        "id": 77,
        "event": "pull_request",
        "conclusion": "failure",
        "head_sha": "ab" * 20,
        "head_branch": "better-prompts",
        "head_repository": {"full_name": "mallory/shop", "owner": {"login": "mallory"}},
    }
}


def pull(number: int = 5, **changed: Any) -> dict[str, Any]:
    run = EVENT["workflow_run"]
    return {
        "number": number,
        "state": "open",
        "head": {
            "sha": run["head_sha"],
            "ref": run["head_branch"],
            "user": {"login": "mallory"},
            "repo": {"full_name": "mallory/shop"},
            **changed,
        },
    }


# Linters


def tool(name: str, *arguments: str | Path) -> None:
    """Run a linter of the test group; it has nothing to say of a right file."""
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"{name} is in the group of dependencies for tests"
    done = subprocess.run(
        [path, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def scripts(path: Path) -> list[tuple[str, str]]:
    """The shell and the lines of every step."""
    parsed = yaml.safe_load(path.read_text())
    if "runs" in parsed:
        steps = parsed["runs"]["steps"]
    elif "jobs" in parsed:
        steps = [step for job in parsed["jobs"].values() for step in job["steps"]]
    else:
        job = parsed["llm-cost"]
        steps = [{"run": "\n".join([*job["script"], *job["after_script"]])}]
    return [(step.get("shell", "bash"), step["run"]) for step in steps if "run" in step]


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What ``crashlens init`` writes for projects that are installed in other ways."""
    files = []
    for name, contents in {
        "uv": {"uv.lock": "", "pyproject.toml": "[project]\nname = 'a'\n"},
        "poetry": {"poetry.lock": "", "pyproject.toml": "[tool.poetry]\nname = 'a'\n"},
        "requirements": {"requirements.txt": "openai\n", "requirements dev.txt": "x\n"},
        "groups": {
            "pyproject.toml": "[project]\nname = 'a'\n[project.optional-dependencies]\ntest = []\n"
            "[dependency-groups]\ndev = []\n"
        },
        "schedule": {
            "crashlens.yml": "version: 1\nlimits: {max_calls: 1}\nupdates:\n  - package-ecosystem: "
            "llm-prompts\n    directory: /\n    schedule: {interval: weekly}\n"
        },
    }.items():
        folder = tmp_path_factory.mktemp(name)
        for each, text in contents.items():
            (folder / each).write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for ci in ("github", "gitlab"):
                assert main(["init", "--json", "--ci", ci]) == 0
        files += [
            *folder.glob(".github/workflows/*.yml"),
            folder / ".gitlab/llm-cost.yml",
            folder / ".gitlab-ci.yml",
            folder / "crashlens.yml",
        ]
    return files


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The workflow and the part of a pipeline in docs/ci.md."""
    folder = tmp_path_factory.mktemp("docs")
    text = (ROOT / "docs" / "ci.md").read_text()
    found = []
    for name, block in zip(
        ("workflow.yml", "gitlab.yml"),
        re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S),
        strict=True,
    ):
        found.append(folder / name)
        found[-1].write_text(block)
    return found


def test_yamllint(variants: list[Path], shown: list[Path]) -> None:
    ours = [TESTS, COMMENT, GITLAB, ACTION, *shown]
    tool("yamllint", "--strict", "--config-data", YAMLLINT, *ours, *variants)


def test_schemas(variants: list[Path], shown: list[Path]) -> None:
    workflows = [path for path in variants if path.parent.name == "workflows"]
    gitlab = [path for path in variants if "gitlab" in f"{path.parent.name} {path.name}"]
    assert (len(workflows), len(gitlab)) == (10, 10)
    check = "check-jsonschema"
    tool(check, "--builtin-schema", "vendor.github-workflows", TESTS, COMMENT, shown[0], *workflows)
    tool(check, "--builtin-schema", "vendor.github-actions", ACTION)
    tool(check, "--builtin-schema", "vendor.gitlab-ci", GITLAB, shown[1], *gitlab)


def test_security(tmp_path: Path, variants: list[Path], shown: list[Path]) -> None:
    config = tmp_path / "zizmor.yml"
    config.write_text(ZIZMOR)
    workflows = [path for path in variants if path.parent.name == "workflows"]
    plain = ("--offline", "--no-progress", "--config", config, "--persona", "auditor")
    tool("zizmor", *plain, "--min-severity", "low", TESTS, COMMENT, ACTION, shown[0], *workflows)


def test_shellcheck(tmp_path: Path, variants: list[Path]) -> None:
    files = [TESTS, COMMENT, GITLAB, ACTION]
    files += [path for path in variants if path.parent.name in ("workflows", ".gitlab")]
    found = []
    for number, (shell, text) in enumerate(one for path in files for one in scripts(path)):
        found.append(tmp_path / f"{number}.sh")
        found[-1].write_text(f"#!/usr/bin/env {shell}\n{text}\n")
    assert len(found) >= 4 + 3 * 5
    tool("shellcheck", *found)


def test_what_may_and_may_not_be_in_them() -> None:
    tests, comment = (yaml.safe_load(path.read_text()) for path in (TESTS, COMMENT))
    # "on" is a truth value in YAML 1.1
    assert set(tests[True]) == {"pull_request"}
    assert tests["permissions"] == {"contents": "read"}
    assert comment[True]["workflow_run"]["workflows"] == [tests["name"]]
    assert comment["permissions"] == {}
    (job,) = comment["jobs"].values()
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    for text in (TESTS.read_text(), COMMENT.read_text(), ACTION.read_text()):
        assert not re.search(r"\$\{\{[^}]*secrets", text)
        assert set(re.findall(r"uses: actions/[\w-]+@(v\S+)", text)) == {"v6"}
    assert "checkout@" not in COMMENT.read_text()
    # only the steps that ask GitHub hold the token
    held = [step["name"] for step in job["steps"] if "GH_TOKEN" in step.get("env", {})]
    assert held == ["Find the pull request", "Download the report", "Write the comment"]


def test_the_copies_in_the_docs_are_what_init_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    for ci in ("github", "gitlab"):
        assert main(["init", "--json", "--ci", ci]) == 0
    workflows = tmp_path / ".github" / "workflows"
    assert (workflows / TESTS.name).read_bytes() == TESTS.read_bytes()
    assert (workflows / COMMENT.name).read_bytes() == COMMENT.read_bytes()
    assert (tmp_path / ".gitlab" / "llm-cost.yml").read_bytes() == GITLAB.read_bytes()


# The comment


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "runner")


def comment(runner: Runner, event: Mapping[str, Any] = EVENT) -> Ran:
    folder = runner.files / "work"
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    return runner.job(COMMENT, event, folder)


def ready(runner: Runner, data: bytes = SAVED, *pulls: Mapping[str, Any]) -> None:
    runner.put(runner.state | {"pulls": list(pulls or [pull()])})
    runner.artifact("77", {"crashlens-report.json": data})


def bodies(runner: Runner, number: str = "5") -> list[str]:
    return [each["body"] for each in runner.state["comments"].get(number, [])]


def test_one_comment_that_is_kept_up_to_date(runner: Runner) -> None:
    ready(runner)
    strangers = [
        {"id": number, "user": {"login": "mallory"}, "body": f"{MARKER} notable=yes -->"}
        for number in range(150)
    ]
    runner.put(runner.state | {"comments": {"5": strangers, "6": []}})
    ran = comment(runner)
    assert ran.code == 0, ran.out
    assert ran.steps[-1] == "Write the comment"
    assert runner.pip_log.read_text().split()[-1] == "pytest-crashlens"
    *others, ours = runner.state["comments"]["5"]
    assert others == strangers
    assert ours["user"]["login"] == BOT
    golden = (ROOT / "tests/output/reports/red.md").read_text()
    assert ours["body"] == f"{golden}\n<sub>For commit abababa.</sub>\n"

    plain = json.loads(SAVED)
    plain["incomplete"] = ["a worker crashed"]
    runner.artifact("77", {"crashlens-report.json": json.dumps(plain).encode()})
    assert comment(runner).code == 0
    *others, again = runner.state["comments"]["5"]
    assert others == strangers
    assert again["id"] == ours["id"]
    assert "a worker crashed" in again["body"]
    assert [method for method, *_ in runner.asked if method != "GET"] == ["POST", "PATCH"]


@pytest.mark.parametrize(
    "pulls",
    [
        pytest.param([pull(sha="cd" * 20)], id="it has newer commits"),
        pytest.param([pull(repo={"full_name": "eve/shop"})], id="of another fork"),
        pytest.param([pull(repo=None)], id="its fork is gone"),
        pytest.param([pull() | {"state": "closed"}], id="closed"),
        pytest.param([pull(5), pull(6)], id="two"),
        pytest.param([], id="none"),
    ],
)
def test_no_pull_request_to_comment_on(runner: Runner, pulls: list[Any]) -> None:
    ready(runner)
    runner.put(runner.state | {"pulls": pulls, "ignores_head": True})
    ran = comment(runner)
    assert ran.code == 0, ran.out
    assert ran.steps == ["Find the pull request"]
    assert "no comment" in ran.out
    assert {method for method, *_ in runner.asked} == {"GET"}


@pytest.mark.parametrize(
    "changed",
    [{"event": "schedule"}, {"event": "push"}, {"conclusion": "cancelled"}],
    ids=lambda changed: "-".join(changed.values()),
)
def test_runs_that_are_none_of_a_pull_request(runner: Runner, changed: dict[str, str]) -> None:
    ready(runner)
    assert comment(runner, {"workflow_run": EVENT["workflow_run"] | changed}) == Ran()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"size_in_bytes": 16 * 1024 * 1024 + 1}, id="too large"),
        pytest.param({"expired": True}, id="expired"),
        pytest.param({"name": "another"}, id="another name"),
    ],
)
def test_artifacts_that_are_not_downloaded(runner: Runner, settings: dict[str, Any]) -> None:
    runner.put(runner.state | {"pulls": [pull()]})
    runner.artifact("77", {"crashlens-report.json": SAVED}, **settings)
    ran = comment(runner)
    assert ran.code == 0, ran.out
    assert ran.steps == ["Find the pull request", "Download the report", "Write the comment"]
    assert bodies(runner) == []
    assert not any(path.endswith("/zip") for _, path, _ in runner.asked)


HOSTILE: Mapping[str, Mapping[str, bytes]] = {
    "a bomb": {"crashlens-report.json": b" " * (64 * 1024 * 1024 + 1)},
    "another member": {"../../crashlens-report.json": SAVED},
    "no JSON": {"crashlens-report.json": b"\xff\x00 ::error::hello"},
    "no report": {"crashlens-report.json": b'{"schema_version": 1, "\\n::error::hello": 1}'},
    "a report with a wrong value": {
        "crashlens-report.json": SAVED.replace(b'"failed": true', b'"failed": "\\n::error::hello"')
    },
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_artifacts_that_are_no_report(runner: Runner, members: Mapping[str, bytes]) -> None:
    runner.put(runner.state | {"pulls": [pull()]})
    runner.artifact("77", members)
    ran = comment(runner)
    assert ran.code != 0
    assert ran.steps[-2:] == ["Render the report", "Write the comment"]
    assert "Traceback" not in ran.out
    assert ("larger than 64 MiB" in ran.out) is (members is HOSTILE["a bomb"])
    assert not [line for line in ran.out.splitlines() if re.match(r"::(?!stop-commands::)", line)]
    assert bodies(runner) == []


@pytest.mark.parametrize("left", ["nothing", "no report", "an old command"])
def test_a_commit_without_a_report_leaves_no_old_comment(runner: Runner, left: str) -> None:
    ready(runner)
    assert comment(runner).code == 0
    (red,) = bodies(runner)
    runner.put(runner.state | {"artifacts": {}})
    if left != "nothing":
        data = b"{}" if left == "no report" else SAVED.replace(b"-update-baseline", b"-x; id")
        runner.artifact("77", {"crashlens-report.json": data})
    ran = comment(runner)
    assert ran.code == (0 if left == "nothing" else 2)
    (body,) = bodies(runner)
    assert body != red
    assert body.splitlines()[:2] == [
        f"{MARKER} notable=yes -->",
        "### ⚠️ LLM cost: no report for commit abababa",
    ]
    assert len(body.splitlines()) == 4


def test_members_beside_the_report_are_written_nowhere(runner: Runner) -> None:
    runner.put(runner.state | {"pulls": [pull()]})
    evil = {"../evil": b"x", "/tmp/evil": b"x", "json.py": b"raise SystemExit('hijacked')"}
    runner.artifact("77", {**evil, "crashlens-report.json": SAVED})
    assert comment(runner).code == 0
    there = {path.name for path in (runner.files / "work").iterdir()}
    assert there == {"report.zip", "crashlens-report.json", "comment.md"}
    assert not (runner.files / "evil").exists()


def test_texts_of_others_are_no_program(runner: Runner) -> None:
    branch = "$(touch hacked)`touch hacked`\";touch hacked;'&state=closed#@/etc/passwd"
    run = EVENT["workflow_run"] | {"head_branch": branch}
    ready(runner, SAVED, pull(ref=branch))
    ran = comment(runner, {"workflow_run": run})
    assert ran.code == 0, ran.out
    assert not list(runner.files.rglob("hacked"))
    assert runner.asked[0][2]["head"] == f"mallory:{branch}"
    assert len(bodies(runner)) == 1


def test_what_is_asked_of_github(runner: Runner) -> None:
    ready(runner)
    comment(runner)
    where = [path.removeprefix(f"repos/{REPOSITORY}/") for _, path, _ in runner.asked]
    assert where == [
        "pulls",
        "actions/runs/77/artifacts",
        "actions/artifacts/1/zip",
        "issues/5/comments",
        "issues/5/comments",
    ]


# From the tests to the comment


def test_the_life_of_a_pull_request(project: Project, runner: Runner) -> None:  # noqa: F811
    project.write("tox.ini", f"{INI}addopts = {' '.join(LEAN)} -p no:cacheprovider\n")
    write_tests(project, test_a=1000, test_b=200)
    project.update()
    event = {"github": {"event": {}, "token": ""}, "steps": {}}
    (job,) = yaml.safe_load(TESTS.read_text())["jobs"].values()

    def push(**planned: int) -> Ran:
        plan(project, **planned)
        ran = runner.steps(job["steps"], event, project.path)
        assert ran.steps[-1] == "Keep the report for the comment"
        runner.put(runner.state | {"pulls": [pull()]})
        report = (project.path / "crashlens-report.json").read_bytes()
        runner.artifact("77", {"crashlens-report.json": report})
        assert comment(runner).code == 0
        return ran

    same = push(test_a=1000, test_b=200)
    assert same.code == 0, same.out
    assert bodies(runner) == []  # silent: there is nothing to tell

    worse = push(test_a=1500, test_b=200)
    assert worse.code == 1
    (annotation,) = re.findall(r"^::error file=test_it\.py,.*", worse.out, re.M) or [worse.out]
    assert "test_a" in annotation
    (body,) = bodies(runner)
    assert "❌ LLM cost: this change costs" in body.splitlines()[1]
    summary = Path(runner.environment["GITHUB_STEP_SUMMARY"]).read_text()
    assert body == f"{summary[summary.rindex(MARKER) :]}\n<sub>For commit abababa.</sub>\n"

    assert push(test_a=1000, test_b=200).code == 0
    (body,) = bodies(runner)
    assert body.splitlines()[1].startswith("### ✅ LLM cost: this test run costs the same")


def test_the_action(project: Project, runner: Runner) -> None:  # noqa: F811
    project.write("tox.ini", f"{INI}addopts = {' '.join(LEAN)} -p no:cacheprovider\n")
    write_tests(project, test_a=1000, test_b=200)
    project.update()
    plan(project, test_a=1500, test_b=900)
    action = yaml.safe_load(ACTION.read_text())
    given = {name: each["default"] for name, each in action["inputs"].items()}
    given |= {"arguments": "-k\ntest_a or $(touch hacked)x\n\n"}
    steps = action["runs"]["steps"]
    known = {"inputs": given, "steps": {}}
    ran = runner.steps(steps, known, project.path)
    # no expression of -k; given as it is
    assert ran.code == 4, ran.out
    assert not (project.path / "hacked").exists()

    ran = runner.steps(steps, known | {"inputs": given | {"arguments": "-k\ntest_a"}}, project.path)
    assert ran.code == 1, ran.out
    assert ran.steps == ["Run the tests", "Keep the report"]
    saved = json.loads((project.path / given["report"]).read_text())
    assert [test["nodeid"].partition("::")[2] for test in saved["tests"]] == ["test_a"]
    none = known | {"inputs": given | {"arguments": "", "artifact": ""}}
    assert runner.steps(steps, none, project.path).steps == ["Run the tests"]
