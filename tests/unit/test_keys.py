"""Names of tests relative to other folders, the same on every system."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath, PureWindowsPath

import pytest

from pytest_crashlens.keys import Keys, relative_key
from pytest_crashlens.model.ledger import TestRecord

P, W = PurePosixPath, PureWindowsPath


@pytest.mark.parametrize(
    ("nodeid", "root", "folder", "key"),
    [
        ("tests/test_a.py::test_x", P("/p"), P("/p"), "tests/test_a.py::test_x"),
        ("tests/test_a.py::test_x", P("/p"), P("/p/tests"), "test_a.py::test_x"),
        ("test_a.py::test_x", P("/p/sub"), P("/p"), "sub/test_a.py::test_x"),
        ("test_a.py::test_x", P("/p/a"), P("/p/b"), "../a/test_a.py::test_x"),
        ("../b/test_a.py::C::test_x", P("/p/a"), P("/p"), "b/test_a.py::C::test_x"),
        ("t.py::x[a/../b::c]", P("/p/a"), P("/p"), "a/t.py::x[a/../b::c]"),
        ("tests/test_a.py::test_x", W(r"C:\p"), W(r"C:\p"), "tests/test_a.py::test_x"),
        ("tests/test_a.py::test_x", W(r"C:\p"), W(r"c:\P\Tests"), "test_a.py::test_x"),
        ("test_a.py::test_x", W(r"C:\p\sub"), W(r"C:\p"), "sub/test_a.py::test_x"),
        ("test_a.py::test_x", W(r"C:\p\a"), W(r"C:\p\b"), "../a/test_a.py::test_x"),
        ("../b/test_a.py::test_x", W(r"C:\p\a"), W(r"C:\p"), "b/test_a.py::test_x"),
        ("test_a.py::test_x", W(r"D:\p"), W(r"C:\p"), "D:/p/test_a.py::test_x"),
        ("t/test_a.py::test_x", W(r"\\host\s\p"), W(r"\\host\s"), "p/t/test_a.py::test_x"),
        (r"test_a.py::test_x[a\b]", W(r"C:\p\a"), W(r"C:\p"), r"a/test_a.py::test_x[a\b]"),
    ],
)
def test_relative_to_another_folder(
    nodeid: str, root: PurePath, folder: PurePath, key: str
) -> None:
    assert relative_key(nodeid, root, folder) == key


def keys(*, grouped: bool) -> Keys:
    root = W(r"C:\work\repo")
    return Keys(
        root=root,
        baseline=root / "ci",
        project=root / "tests",
        started_in=root / "tests",
        grouped=grouped,
    )


def test_the_same_on_windows() -> None:
    names = keys(grouped=False)
    nodeid = "tests/test_a.py::test_x[at@home]"
    assert names.of(TestRecord(nodeid)) == "../tests/test_a.py::test_x[at@home]"
    assert names.place(nodeid) == names.to_type(nodeid) == "test_a.py::test_x[at@home]"
    assert names.of(TestRecord(nodeid, {"key": "a key"})) == "a key"


@pytest.mark.parametrize(
    ("nodeid", "test"),
    [
        ("test_a.py::test_x@group", "test_a.py::test_x"),
        ("test_a.py::test_x[a@b]@group", "test_a.py::test_x[a@b]"),
        ("test_a.py::test_x[a@b]", "test_a.py::test_x[a@b]"),
        ("at@home/test_a.py::test_x", "at@home/test_a.py::test_x"),
    ],
)
def test_groups_of_a_distributed_run(nodeid: str, test: str) -> None:
    assert keys(grouped=True).test(nodeid) == test
    assert keys(grouped=False).test(nodeid) == nodeid
