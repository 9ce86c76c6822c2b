"""What the process that runs tests does to hear of the processes they start."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.children import child
from pytest_crashlens.children.spool import ENVIRONMENT, OWNER, RUNNING, SUFFIX, Orders, Told

PATIENCE = 2.0
"""Seconds to wait for calls that were begun for a test and are not told when it ends."""
_ON_PATH = str(Path(__file__).parent / "on_path")


class Children:
    """The environment that processes inherit, and the folder they tell their calls through."""

    def __init__(
        self,
        root: Path,
        fingerprint_key: bytes,
        allowed_hosts: tuple[str, ...] | None,
        *,
        infers: bool = False,
    ) -> None:
        self._orders = Orders("", str(root), fingerprint_key.hex(), allowed_hosts, infers)
        self._before: dict[str, str | None] = {}
        self._read: dict[str, int] = {}
        self._outstanding: dict[str, int] = {}
        self._running = ""
        self._in_copy: Callable[[], None] | None = None
        # kept here: a test may put a fake file system or clock in the place of the real one
        self._open = io.open
        self._listdir = os.listdir
        self._clock = time.monotonic
        self._sleep = time.sleep

    def start(self, in_copy: Callable[[], None]) -> None:
        """Tell processes from now on; ``in_copy`` stops the parent's recorder in a forked copy."""
        self._orders = replace(self._orders, folder=tempfile.mkdtemp(prefix="crashlens-"))
        path = os.environ.get("PYTHONPATH")
        self._set(ENVIRONMENT, self._orders.to_text())
        self._set("PYTHONPATH", _ON_PATH + (os.pathsep + path if path else ""))
        self._in_copy = in_copy
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def stop(self) -> None:
        """Undo it."""
        self._in_copy = None
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(self._orders.folder, ignore_errors=True)

    def at_work(self, owner: Owner | None) -> None:
        """``owner`` starts the processes from now on."""
        self._running = owner.name if owner else ""
        self._set(OWNER, self._running or "no test")
        path = os.path.join(self._orders.folder, RUNNING)  # noqa: PTH118 - Path opens by itself
        with suppress(OSError), self._open(path, "w", encoding="utf-8") as file:
            file.write(self._running)  # no matter if a test has deleted the temporary files

    def take(self, waiting_for: str) -> dict[str, Told]:
        """What was told since the last time, by owner; waits a while for one of them."""
        found: dict[str, Told] = {}
        until = self._clock() + PATIENCE
        while True:
            self._look(found)
            if not self._outstanding.get(waiting_for) or self._clock() > until:
                return found
            self._sleep(0.01)

    def untold(self) -> dict[str, int]:
        """Attempts that were begun and of which nothing more was told, by owner."""
        return {owner: number for owner, number in self._outstanding.items() if number}

    def _look(self, found: dict[str, Told]) -> None:
        for name in self._listdir(self._orders.folder):
            if not name.endswith(SUFFIX):
                continue
            with self._open(os.path.join(self._orders.folder, name), "rb") as file:  # noqa: PTH118
                file.seek(self._read.get(name, 0))
                lines = file.read()
            whole = lines[: lines.rfind(b"\n") + 1]
            self._read[name] = self._read.get(name, 0) + len(whole)
            for line in whole.splitlines():
                told = json.loads(line)
                owner = told["owner"]
                found.setdefault(owner, Told()).add(told)
                still = told.get("begun", 0) - told.get("ended", 0)
                self._outstanding[owner] = self._outstanding.get(owner, 0) + still

    def _set(self, name: str, value: str) -> None:
        self._before.setdefault(name, os.environ.get(name))
        os.environ[name] = value

    def _forked(self) -> None:
        if self._in_copy is None:
            return
        stop, self._in_copy = self._in_copy, None
        stop()
        child.begin(self._orders, self._running or "no test")
