"""Several projects in one repository, each with a crashlens.yml and a baseline of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import CONFTEST, states

NAMES = ("shop", "search")
WITHOUT_ASYNCIO = "-pno:asyncio"
"""It warns where no ini file says how it is to be used."""
INI = "[pytest]\nfilterwarnings = error\n"


def plan(project: Project, **tokens: int) -> None:
    """Input tokens of each project's one test."""
    for name in NAMES:
        call = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": tokens[name]}
        project.write(f"{name}/plan.json", json.dumps({f"test_{name}": [call]}))


@pytest.fixture(params=["with an ini file each", "without ini files"])
def repository(project: Project, request: pytest.FixtureRequest) -> Project:
    """Two projects below a folder with ``.git``; the second allows a rise of 500 %."""
    (project.path / "tox.ini").unlink()
    (project.path / ".git").mkdir()
    for name in NAMES:
        project.write(f"{name}/conftest.py", CONFTEST)
        project.write(f"{name}/test_{name}.py", f"def test_{name}(spend):\n    spend()\n")
        if request.param.startswith("with an"):
            project.write(f"{name}/pytest.ini", INI)
    project.write("shop/crashlens.yml", "version: 1\nlimits: {max_calls: 9}\n")
    project.write("search/crashlens.yml", 'version: 1\nlimits: {max_increase: "500%"}\n')
    plan(project, shop=1000, search=1000)
    return project


def run_in(project: Project, folder: str, *arguments: str) -> pytest.RunResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.path / folder)
        return project.run(WITHOUT_ASYNCIO, *arguments)


def baseline(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "crashlens-baseline.json").read_text())
    return found["tests"]


def update_each(project: Project) -> None:
    for name in NAMES:
        result = run_in(project, name, "--crashlens-update-baseline")
        assert result.ret == 0, result.outlines


def test_each_folder_has_its_own_baseline_and_limits(repository: Project) -> None:
    update_each(repository)
    for name in NAMES:
        assert set(baseline(repository.path / name)) == {f"test_{name}.py::test_{name}"}
    assert not repository.baseline_path.exists()
    plan(repository, shop=3000, search=3000)
    assert states(run_in(repository, "shop")) == {"test_shop"}
    assert run_in(repository, "search").ret == 0


def test_started_above_for_one_project_it_is_judged_as_in_its_folder(
    repository: Project,
) -> None:
    update_each(repository)
    data = (repository.path / "shop/crashlens-baseline.json").read_bytes()
    plan(repository, shop=3000, search=3000)
    assert states(run_in(repository, ".", "shop")) == {"test_shop"}
    assert run_in(repository, ".", "search").ret == 0
    plan(repository, shop=1000, search=1000)
    assert run_in(repository, ".", "--crashlens-update-baseline", "shop").ret == 0
    assert (repository.path / "shop/crashlens-baseline.json").read_bytes() == data


def test_started_above_for_both_it_does_not_pass_as_if_there_were_no_baseline(
    repository: Project,
) -> None:
    """One run has one baseline: what this one cannot judge is named, and is no pass."""
    update_each(repository)
    files = {name: repository.path / name / "crashlens-baseline.json" for name in NAMES}
    written = {name: path.read_bytes() for name, path in files.items()}
    plan(repository, shop=3000, search=3000)
    result = run_in(repository, ".")
    assert result.ret == 1
    result.stdout.fnmatch_lines_random([f"incomplete: {name}/ has *" for name in NAMES])
    assert {name: path.read_bytes() for name, path in files.items()} == written
