"""Two processes that change the baseline at once: none of it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_crashlens.baseline import file as baseline_file
from pytest_crashlens.baseline.file import load, locked

WRITER = """
import sys
from pathlib import Path
from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, load, locked, write

path, name = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for number in range(40):
    with locked(path):
        current = load(path) or Baseline()
        write(path, current.merged({f"{name}.py::test_{number}": Entry()}, {}))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crashlens-baseline.json"


@pytest.fixture
def lock(path: Path) -> Path:
    return path.with_name(".crashlens-baseline.json.lock")


def test_two_writers_lose_nothing(path: Path, lock: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, text=True) for name in "ab"
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    found = load(path)
    assert found is not None
    assert len(found.entries) == 80
    assert not lock.exists()


def test_a_lock_is_there_within_and_gone_after(path: Path, lock: Path) -> None:
    def fail() -> None:
        with locked(path):
            assert lock.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not lock.exists()


def test_a_lock_of_a_process_that_was_killed(path: Path, lock: Path) -> None:
    lock.touch()
    os.utime(lock, (1, 1))
    with locked(path):
        assert lock.stat().st_mtime > 1
    assert not lock.exists()


def test_no_lock_is_no_reason_to_fail(
    path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline_file, "LOCK_WAIT", 0.0)
    lock.touch()
    with locked(path):
        pass
    assert lock.exists()  # it is another's
    with locked(path.parent / "no folder" / path.name):
        pass


def test_the_lock_of_a_link_is_that_of_its_file(path: Path, lock: Path) -> None:
    path.touch()
    link = path.parent / "link.json"
    link.symlink_to(path)
    with locked(link):
        assert lock.exists()
