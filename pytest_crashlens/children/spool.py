"""The files through which processes tell their parent what they used: numbers and names only.

A line for each attempt when it begins, and one for each set of calls when they are known, so that
the parent knows what is still to come.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from pytest_crashlens.model.call import Call

ENVIRONMENT = "CRASHLENS_CHILD"
"""Tells a process that it is to be measured: :class:`Orders` as JSON."""
OWNER = "CRASHLENS_OWNER"
"""The test or fixture that started the process."""
RUNNING = "running"
"""Name of the file with the owner that is at work in the parent."""
SUFFIX = ".calls"


@dataclass(frozen=True, slots=True)
class Orders:
    """What a process must know to measure itself."""

    folder: str
    root: str
    fingerprint_key: str
    allowed_hosts: tuple[str, ...] | None = None
    """The hosts that live calls may go to; None: all."""
    infers: bool = False
    """Whether somebody asks for the tasks of calls."""

    def to_text(self) -> str:
        """For the environment."""
        return json.dumps(astuple(self))

    @classmethod
    def from_text(cls, text: str) -> Orders:
        """The inverse of :meth:`to_text`."""
        return cls(*json.loads(text))


@dataclass(slots=True)
class Told:
    """What processes have told of one owner."""

    begun: int = 0
    """Attempts begun."""
    ended: int = 0
    """Of these, those whose calls are told."""
    calls: list[Call] = field(default_factory=list)
    uncaptured: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, line: Mapping[str, Any]) -> None:
        """Take in a line."""
        self.begun += line.get("begun", 0)
        self.ended += line.get("ended", 0)
        self.calls += [Call.from_dict(call) for call in line.get("calls", ())]
        self.uncaptured += line.get("uncaptured", ())
        self.refused += line.get("refused", ())
        self.faults += line.get("faults", ())


class SpoolFile:
    """The file of one process; each line is written at once and whole."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        self._file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, owner: str, **what: Any) -> None:
        """Append a line about ``owner``."""
        os.write(self._file, (json.dumps({"owner": owner} | what) + "\n").encode())
