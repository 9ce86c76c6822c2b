"""Which line of the project sent a request."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

_OWN_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_FOREIGN_PARTS = ("site-packages", "dist-packages")


class CallSites:
    """Finds the innermost frame inside ``root`` and outside installed packages."""

    def __init__(self, root: Path) -> None:
        self._root = str(root) + os.sep
        self._prefixes = tuple(
            prefix + os.sep
            for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix}
            # an interpreter at the file system's root says nothing about what is installed
            if len(Path(prefix).parts) > 2 and not self._root.startswith(prefix + os.sep)
        )
        self._names: dict[str, str | None] = {}

    def here(self) -> str | None:
        """``path:line function`` with a posix path relative to the root, or None."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            name = self._name_of(code.co_filename)
            if name is not None:
                return f"{name}:{frame.f_lineno} {code.co_name}"
            frame = frame.f_back
        return None

    def awaited_by(self, coroutine: Any) -> str | None:
        """The innermost project line at which ``coroutine`` waits: where it asked for the work.

        For a task that a framework made there is no frame of the project on the stack.
        """
        found = None
        while coroutine is not None:
            frame = getattr(coroutine, "cr_frame", None)
            if frame is not None and (name := self._name_of(frame.f_code.co_filename)):
                found = f"{name}:{frame.f_lineno} {frame.f_code.co_name}"
            coroutine = getattr(coroutine, "cr_await", None)
        return found

    def _name_of(self, filename: str) -> str | None:
        try:
            return self._names[filename]
        except KeyError:
            name = self._names[filename] = self._project_name(filename)
            return name

    def _project_name(self, filename: str) -> str | None:
        if not filename.startswith(self._root) or filename.startswith(_OWN_PACKAGE):
            return None
        if filename.startswith(self._prefixes):
            return None
        path = Path(filename[len(self._root) :])
        if any(part in _FOREIGN_PARTS for part in path.parts):
            return None
        return path.as_posix()
