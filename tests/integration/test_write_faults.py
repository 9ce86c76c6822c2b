"""The file is whole, old or new, whatever hits the writing of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from pytest_crashlens.report.last_run import find_last_run, load_last_run
from tests.integration.conftest import Project
from tests.integration.planned import LEAN, plan, write_tests

UPDATE = "--crashlens-update-baseline"

KILLED = """
import os
import signal

import pytest


def killed(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish():
    real = getattr(os, {name!r})

    def after(*args, **kwargs):
        real(*args, **kwargs)
        killed()

    setattr(os, {name!r}, {how})
    return (yield)
"""


def later(project: Project) -> bytes:
    """A baseline of two tests, one of which has risen since."""
    write_tests(project, test_a=1000, test_b=1000)
    project.update()
    plan(project, test_a=3000, test_b=1000)
    return project.baseline_path.read_bytes()


def left_over(project: Project) -> list[str]:
    return [path.name for path in project.path.iterdir() if path.name.startswith(".crashlens-base")]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize(
    ("name", "how", "new"),
    [
        ("fsync", "killed", False),
        ("replace", "killed", False),
        ("replace", "after", True),
    ],
)
def test_killed_while_it_writes(project: Project, name: str, how: str, new: bool) -> None:
    before = later(project)
    conftest = (project.path / "conftest.py").read_text()
    project.write("conftest.py", conftest + KILLED.format(name=name, how=how))
    result = project.run_apart(UPDATE, *LEAN)
    assert result.ret == -signal.SIGKILL
    found = json.loads(project.baseline_path.read_text())
    (block,) = found["tests"]["test_it.py::test_a"]["usage"]
    assert block["input_tokens"] == (3000 if new else 1000)
    assert new or project.baseline_path.read_bytes() == before
    project.write("conftest.py", conftest)
    project.update()
    assert project.usage("test_it.py::test_a")[0]["input_tokens"] == 3000


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("fsync", "ENOSPC", "No space left on device"),
        ("fdopen", "EROFS", "Read-only file system"),
        ("replace", "EACCES", "Permission denied"),
    ],
)
def test_refused_by_the_disk(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, code: str, words: str
) -> None:
    before = later(project)
    project.write(
        "test_it.py",
        f"""
import errno
import os


def test_a(spend):
    spend()

    def refuse(*args, **kwargs):
        raise OSError(errno.{code}, os.strerror(errno.{code}))

    os.{name} = refuse


def test_b(spend):
    spend()
""",
    )
    monkeypatch.setattr(os, name, getattr(os, name))  # put back after this test
    result = project.pytester.runpytest_inprocess(UPDATE)
    monkeypatch.undo()
    assert result.ret == 1
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [f"*crashlens-baseline.json: cannot be written: {words}; nothing was changed. Name *"]
    )
    assert project.baseline_path.read_bytes() == before
    assert left_over(project) == []
    # and what was measured is not lost
    found = load_last_run(find_last_run(project.path))
    assert [(one.key, one.acceptable) for one in found.changes] == [("test_it.py::test_a", True)]


def test_folder_that_goes_away(project: Project) -> None:
    plan(project, test_a=1000)
    project.write("kept/.keep", "")
    project.write(
        "test_it.py",
        "import shutil\n\n\ndef test_a(spend):\n    spend()\n    shutil.rmtree('kept')\n",
    )
    result = project.run(UPDATE, "--crashlens-baseline=kept/b.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*kept/b.json: cannot be written: No such file or directory; *"])
    assert not Path(project.path / "kept").exists()
