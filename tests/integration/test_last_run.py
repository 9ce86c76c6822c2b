"""What a run leaves in pytest's cache, so that it can be accepted without running again."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from pytest_crashlens.baseline.file import load, write
from pytest_crashlens.report.last_run import (
    PLACE,
    LastRun,
    LastRunError,
    digest_of,
    find_last_run,
    load_last_run,
)
from tests.integration.conftest import INI, Project
from tests.integration.planned import LEAN, plan, write_tests

UPDATE = "--crashlens-update-baseline"


def run(project: Project, *arguments: str) -> LastRun:
    """What a run with pytest's cache leaves."""
    project.pytester.runpytest_inprocess("--crashlens", *arguments)
    return load_last_run(find_last_run(project.path))


def changes(found: LastRun) -> dict[str, tuple[str, tuple[str, ...], bool]]:
    return {
        one.key.removeprefix("test_it.py::"): (one.state, one.kinds, one.acceptable)
        for one in found.changes
    }


def accept(found: LastRun) -> None:
    """As the contract says it."""
    stored = load(found.baseline_path)
    assert stored is not None
    keys = [one.key for one in found.changes if one.acceptable]
    entries = {key: found.now.entries[key] for key in keys}
    write(found.baseline_path, stored.merged(entries, found.now.cards))


def test_first_run(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=[])
    found = run(project)
    assert (found.mode, found.baseline_digest, found.git_head) == ("first run", None, None)
    assert found.baseline_path == project.baseline_path
    assert changes(found) == {"test_a": ("ok", (), True)}
    (change,) = found.changes
    assert (change.nodeid, change.cost_before, change.cost_now) == (
        "test_it.py::test_a",
        None,
        "0.00015",
    )
    assert found.complete
    assert not found.partial


def test_what_is_accepted_is_what_an_update_would_have_written(project: Project) -> None:
    write_tests(project, test_a=1000, test_same=1000, test_limit=1000, test_gone=700, test_v=10)
    project.update()
    digest = digest_of(project.baseline_path)
    write_tests(
        project, test_a=3000, test_same=1001, test_limit=9000, test_new=5, test_back=700, test_v=[]
    )
    project.write("crashlens.yml", "version: 1\nlimits: {max_total_tokens: 5000}\n")
    found = run(project)
    assert (found.mode, found.baseline_digest) == ("compared", digest)
    assert changes(found) == {
        "test_a": ("over", ("increase",), True),
        "test_limit": ("over", ("increase", "limit"), False),
        "test_new": ("missing", ("missing",), True),
        "test_back": ("missing", ("missing",), True),
        "test_v": ("vanished", ("vanished",), True),
    }
    costs = {one.key[12:]: (one.cost_before, one.cost_now) for one in found.changes}
    assert costs["test_a"] == ("0.00015", "0.00045")
    assert costs["test_v"] == ("0.0000015", "0")
    assert found.stale == ("test_it.py::test_gone",)
    ((old, new, calls, tokens),) = [(o.old, o.new, o.calls, o.tokens) for o in found.renames]
    assert (old, new, calls, tokens) == ("test_it.py::test_gone", "test_it.py::test_back", 1, 700)

    shutil.copy(project.baseline_path, project.path / "updated.json")
    project.run(UPDATE, "--crashlens-baseline=updated.json")
    accept(found)
    expected = json.loads((project.path / "updated.json").read_text())
    # within tolerance: an update rewrites it, and there is nothing to accept in it
    before = json.loads(project.baseline_path.read_text())["tests"]["test_it.py::test_same"]
    expected["tests"]["test_it.py::test_same"] = before
    assert project.baseline == expected

    project.write("crashlens.yml", "version: 1\nlimits: {max_total_tokens: 10000}\n")
    assert changes(run(project)) == {"test_limit": ("over", ("increase",), True)}


def test_update_leaves_what_it_did_not_write(project: Project) -> None:
    write_tests(project, test_a=1000, test_limit=1000)
    project.update()
    project.write("crashlens.yml", "version: 1\nlimits: {max_total_tokens: 5000}\n")
    plan(project, test_a=3000, test_limit=9000)
    found = run(project, UPDATE)
    assert (found.mode, found.baseline_digest) == ("updated", digest_of(project.baseline_path))
    assert {name: (one[0], one[2]) for name, one in changes(found).items()} == {
        "test_limit": ("over", False)
    }
    plan(project, test_a=4500, test_limit=100)
    found = run(project, "--crashlens-update-baseline-new-only")
    assert changes(found) == {"test_a": ("over", ("increase",), True)}


def test_selected_tests_are_whole_and_lost_calls_are_not(project: Project) -> None:
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=3000, test_b=3000)
    found = run(project, "-k", "test_a")
    assert (found.partial, found.incomplete, set(changes(found))) == (("-k",), (), {"test_a"})
    found = run(project, "-x")
    assert found.partial == ("it stopped after 1 of 2 tests",)
    assert found.complete
    text = (project.path / "test_it.py").read_text()
    project.write("test_it.py", f"{text}def test_c():\n    import os\n    os._exit(3)\n")
    found = run(project, "-n1", "--max-worker-restart=0", *LEAN)
    assert set(changes(found)) == {"test_a", "test_b"}
    assert found.incomplete[0].startswith("a worker crashed in test_it.py::test_c")
    assert "it is incomplete" in found.partial
    project.write("test_it.py", f"{text}def test_c():\n    raise KeyboardInterrupt\n")
    project.pytester.runpytest_subprocess("--crashlens", *LEAN)
    found = load_last_run(project.path / PLACE)
    assert "it did not come to its end" in found.incomplete
    assert set(changes(found)) == {"test_a", "test_b"}


def test_no_cache_no_baseline_no_last_run(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.run()
    with pytest.raises(LastRunError):
        find_last_run(project.path)
    project.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 3}\n")
    with pytest.raises(LastRunError):
        run(project)


def test_place_of_the_cache_and_of_the_baseline(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(project, test_a=1000)
    project.write("pkg/tests/test_it.py", "def test_a(spend):\n    spend()\n")
    project.write("tox.ini", f"{INI}cache_dir = $KEPT_IN/cache\n")
    monkeypatch.setenv("KEPT_IN", str(project.path / "kept"))
    project.pytester.runpytest_inprocess("--crashlens", UPDATE, "--crashlens-baseline=pkg/own.json")
    found = load_last_run(project.path / "kept" / "cache" / "v" / "crashlens" / "last-run")
    assert found.baseline_path == project.path / "pkg" / "own.json"
    assert found.changes == ()


def test_cache_that_cannot_be_written_is_no_reason_to_fail(project: Project) -> None:
    write_tests(project, test_a=1000)
    project.update()
    (project.path / PLACE).mkdir(parents=True)
    result = project.pytester.runpytest_inprocess("--crashlens")
    assert result.ret == 0
    result.assert_outcomes(passed=1)


def test_commit_of_the_run(project: Project) -> None:
    write_tests(project, test_a=1000)

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", *arguments]
        done = subprocess.run(command, cwd=project.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    assert run(project).git_head is None  # no commit yet
    git("add", "conftest.py")
    git("commit", "-q", "-m", "first")
    assert run(project).git_head == git("rev-parse", "HEAD")
