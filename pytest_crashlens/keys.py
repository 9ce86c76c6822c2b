"""What tests and fixtures are called in the baseline and in crashlens.yml."""

from __future__ import annotations

import ntpath
import posixpath
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath

from pytest_crashlens.model.ledger import TestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Turns node ids, which are relative to ``root``, into names relative to other folders."""

    root: PurePath
    baseline: PurePath
    """The folder of the baseline file."""
    project: PurePath
    """The folder that paths in crashlens.yml start from."""
    started_in: PurePath
    """The folder that pytest was started in."""
    grouped: bool = False
    """Whether ids may end in ``@group`` (older xdist with ``--dist loadgroup``)."""

    def of(self, record: TestRecord) -> str:
        """The test's key in the baseline: its marker's, or its node id."""
        given: str | None = record.settings.get("key")
        return given or self.in_baseline(self.test(record.nodeid))

    def in_baseline(self, nodeid: str) -> str:
        """Relative to the baseline's folder."""
        return relative_key(nodeid, self.root, self.baseline)

    def place(self, nodeid: str) -> str:
        """What the globs of crashlens.yml are matched against."""
        return relative_key(self.test(nodeid), self.root, self.project)

    def to_type(self, nodeid: str) -> str:
        """What selects the test where pytest was started."""
        return relative_key(self.test(nodeid), self.root, self.started_in)

    def test(self, nodeid: str) -> str:
        """``nodeid`` without xdist's group."""
        if not self.grouped:
            return nodeid
        at = nodeid.rfind("@")
        return nodeid[:at] if at > max(nodeid.rfind("]"), nodeid.rfind("::")) else nodeid


def relative_key(nodeid: str, root: PurePath, folder: PurePath) -> str:
    """``nodeid`` (relative to ``root``) relative to ``folder``, with ``/`` on every system."""
    if root == folder:
        return nodeid
    path, separator, name = nodeid.partition("::")
    system = ntpath if isinstance(root, PureWindowsPath) else posixpath
    try:
        place = type(root)(system.relpath(root / path, folder))
    except ValueError:  # on another drive
        place = root / path
    return f"{place.as_posix()}{separator}{name}"
