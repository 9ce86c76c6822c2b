"""How much of the suite a run looked at: what must be known before an entry is called stale."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from glob import iglob
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.stale import Extent, stale_keys
from pytest_crashlens.collection import COLLECTED, Collected
from pytest_crashlens.keys import Keys
from pytest_crashlens.model.ledger import Ledger, TestRecord

_SELECTING = {
    "keyword": "-k",
    "markexpr": "-m",
    "lf": "--lf",
    "stepwise": "--sw",
    "deselect": "--deselect",
}
"""Options that leave tests out; ``--lf`` and ``--sw`` in ways that cannot be seen."""
_TO_THE_END = frozenset({"passed", "xfailed", "xpassed"})


class RunExtent:
    """Gathers what the processes of a run collected, and which of it ran."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collected: list[Collected] = []
        self._lost_workers = 0

    def add(self, plain: dict[str, Any] | None) -> None:
        """What a worker collected; None: it went down without a word."""
        if plain is None:
            self._lost_workers += 1
        else:
            self._collected.append(Collected.from_dict(plain))

    def of(self, ledger: Ledger, names: Keys, *, ended: bool, incomplete: bool) -> Extent:
        """The extent of the run with these tests.

        Args:
            ledger: what ran.
            names: makes the baseline's names of node ids.
            ended: whether the run came to its end.
            incomplete: whether something of it was lost.
        """
        collected = self._of_all()
        cut = {file for each in collected for file in each.cut_files}
        whole = {file for each in collected for file in each.whole_files} - cut
        keys = {names.of(record) for record in ledger.tests.values()}
        keys |= {key for each in collected for key in each.keys}
        for name in ledger.fixtures():
            prefix, _, nodeid = name.partition(":")
            keys.add(f"{prefix}:{names.in_baseline(nodeid)}")
        return Extent(
            partial=tuple(self._partial(collected, ledger, ended=ended, incomplete=incomplete)),
            keys=frozenset(keys),
            whole_files=frozenset(names.in_baseline(file) for file in whole if file),
            everything=not cut and self._asks_for_everything(),
            all_passed=all(_got_to_its_end(record) for record in ledger.tests.values()),
        )

    def generated(self, ledger: Ledger, names: Keys) -> dict[str, str]:
        """Keys that rest on a generated id, with an id."""
        nodeids = dict.fromkeys(nodeid for each in self._of_all() for nodeid in each.generated)
        records = (ledger.tests.get(nodeid) for nodeid in nodeids)
        return {
            names.of(record): record.nodeid
            for record in records
            if record is not None and not record.settings.get("key")
        }

    def _of_all(self) -> list[Collected]:
        here = self._config.stash.get(COLLECTED, None)
        return self._collected if here is None else [here]

    def _partial(
        self, collected: list[Collected], ledger: Ledger, *, ended: bool, incomplete: bool
    ) -> Iterator[str]:
        option = self._config.option
        for name, flag in _SELECTING.items():
            if getattr(option, name, None):
                yield flag
        if any("::" in argument for argument in self._config.args):
            yield "single tests were asked for"
        if self._lost_workers:
            yield "a worker was lost"
        if incomplete:
            yield "it is incomplete"
        expected = max((each.tests for each in collected), default=0)
        if not collected or not ended:
            yield "it did not come to its end"
        elif len(ledger.tests) < expected:
            yield f"it stopped after {len(ledger.tests)} of {expected} tests"

    def _asks_for_everything(self) -> bool:
        """Whether the arguments cover ``testpaths``, or rootdir where there are none."""
        config, option = self._config, self._config.option
        if any(getattr(option, name, None) for name in ("ignore", "ignore_glob")):
            return False
        started_in, root = config.invocation_params.dir, config.rootpath
        asked = [_path(started_in, argument) for argument in config.args]
        wanted = _wanted(root, config.getini("testpaths"))
        return all(_is_within(path, asked) for path in wanted)


def stale_in(baseline: Baseline | None, path: Path, extent: Extent) -> tuple[str, ...]:
    """Keys of ``baseline``, the file at ``path``, whose tests are gone."""
    if baseline is None:
        return ()
    return stale_keys(baseline.entries, extent, lambda file: os.path.lexists(path.parent / file))


def _got_to_its_end(record: TestRecord) -> bool:
    return record.outcome in _TO_THE_END


def _wanted(root: Path, testpaths: Iterable[str]) -> list[Path]:
    found = []
    for pattern in testpaths:
        names = iglob(str(root / pattern), recursive=True)  # noqa: PTH207 - a path may be absolute
        found += [_path(root, name) for name in names]
    return found or [_path(root, "")]


def _path(folder: Path, name: str) -> Path:
    return Path(os.path.abspath(folder / name))  # noqa: PTH100 - keeps symlinks


def _is_within(path: Path, folders: Iterable[Path]) -> bool:
    return any(path == folder or folder in path.parents for folder in folders)
