"""Notes what was collected, so that a test that is gone can be told from one that was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import pytest

NAME = "crashlens-collection"
ATTRIBUTE = "crashlens_collected"
"""In the ``workeroutput`` of a distributed run."""
_ADDRESS = "0x"
_NO_PARAMETERS = "[NOTSET]"
"""pytest's id of a test whose list of parameters is empty now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one process collected, with names relative to rootdir."""

    tests: int = 0
    """How many it was going to run."""
    whole_files: tuple[str, ...] = ()
    """Files of which nothing was left out."""
    cut_files: tuple[str, ...] = ()
    """Files of which something could not be collected or was left out."""
    keys: tuple[str, ...] = ()
    """Keys given by markers, also those of tests that are skipped."""
    generated: tuple[str, ...] = ()
    """Node ids with a parameter that pytest had to number, or that holds an address."""

    def to_dict(self) -> dict[str, Any]:
        """Of exact builtin types: any other would abort a distributed run."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in plain.items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        names = {name: tuple(v) for name, v in plain.items() if isinstance(v, list)}
        return cls(tests=plain["tests"], **names)


COLLECTED = pytest.StashKey[Collected]()


class Collection:
    """The plugin object of every process that collects tests."""

    def __init__(self) -> None:
        self._files: dict[str, None] = {}
        self._cut: dict[str, None] = {}
        self._found: Counter[str] = Counter()
        self._result = Collected()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Hook: a folder, file or class was collected, or was not."""
        file = _file(report.nodeid)
        self._files[file] = None
        if not report.passed:  # a module may skip itself
            self._cut[file] = None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Hook: a test was found; who leaves it out later, in whatever way, takes it from items."""
        self._found[_file(item.nodeid)] += 1

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Hook: ``session.items`` are the tests that will run."""
        kept = Counter(_file(item.nodeid) for item in session.items)
        for file, number in self._found.items():
            if kept[file] != number:
                self._cut[file] = None
        for item in session.items:
            if item.nodeid.endswith(_NO_PARAMETERS):
                self._cut[_file(item.nodeid)] = None
        files = dict.fromkeys([*self._files, *self._found])
        self._result = session.config.stash[COLLECTED] = Collected(
            tests=len({item.nodeid for item in session.items}),
            whole_files=tuple(file for file in files if file not in self._cut),
            cut_files=tuple(self._cut),
            keys=tuple(dict.fromkeys(key for item in session.items for key in _keys(item))),
            generated=tuple(item.nodeid for item in session.items if _is_generated(item)),
        )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hook: a worker hands over what it collected."""
        workeroutput = getattr(session.config, "workeroutput", None)
        if workeroutput is not None:
            workeroutput[ATTRIBUTE] = self._result.to_dict()


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _keys(item: pytest.Item) -> list[str]:
    """Its key, where a marker gives one."""
    for marker in item.iter_markers("crashlens"):
        if isinstance(key := marker.kwargs.get("key"), str):
            return [key]
    return []


def _is_generated(item: pytest.Item) -> bool:
    """Whether its id tells the place of a parameter in a list, or in memory."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return False
    parts = callspec.id.split("-")
    for name, value in callspec.params.items():
        if isinstance(value, str | bytes | int | float | complex | bool | None):
            continue  # pytest writes these out
        if any(_is_numbered(part, name) for part in parts):
            return True
    return any(_ADDRESS in part and " at " in part for part in parts)


def _is_numbered(part: str, name: str) -> bool:
    return part.startswith(name) and part[len(name) :].isdecimal()
