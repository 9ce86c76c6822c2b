"""Keeps in pytest's cache what a run found and did not write."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.baseline.revisions import GitError, Repository
from pytest_crashlens.baseline.stale import renamed
from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.pricing.card import Cost, RateCard
from pytest_crashlens.report.failure import ACCEPTABLE
from pytest_crashlens.report.last_run import (
    CACHE_KEY,
    PLACE,
    Change,
    LastRun,
    digest_of,
    to_plain,
)
from pytest_crashlens.report.run_result import Result, RunResult


class LastRunKeeper:
    """Knows at the start of a run what it is compared with, and stores its end."""

    def __init__(self, config: pytest.Config, baseline_path: Path) -> None:
        self._cache = getattr(config, "cache", None)
        self._path = baseline_path
        self._digest = digest_of(baseline_path)
        self._head = _git_head(config.rootpath) if self._cache else None
        self._place = _place(config) if self._cache else Path()

    def keep(
        self,
        run: RunResult,
        stored: Baseline | None,
        *,
        partial: Sequence[str],
        ended: bool,
    ) -> None:
        """Store ``run``, which was compared with ``stored``."""
        if self._cache is None or run.baseline.mode == "off":
            return
        if run.baseline.mode == "updated":
            self._digest = digest_of(self._path)
        kept = self.last_run(run, stored, partial=partial, ended=ended)
        with warnings.catch_warnings():
            # pytest itself warns where its cache cannot be written: once is enough
            warnings.simplefilter("ignore")
            self._cache.set(CACHE_KEY, to_plain(kept, self._place))

    def last_run(
        self, run: RunResult, stored: Baseline | None, *, partial: Sequence[str], ended: bool
    ) -> LastRun:
        """What is kept of ``run``."""
        entries: dict[str, Entry] = {}
        cards: dict[str, RateCard] = {}
        changes = []
        owners: dict[str, Assessment] = {}
        for result in run.results:
            if result.judged:  # of tests that share a key, the baseline's entry is the first one's
                owners.setdefault(result.assessment.key, result.assessment)
        for result in _unwritten(run):
            owner = owners[result.assessment.key]
            entries[owner.key] = owner.now
            cards |= owner.cards
            changes.append(_change(result))
        known: Mapping[str, Entry] = stored.entries if stored else {}
        stale = run.baseline.stale
        missing = {key: entry for key, entry in entries.items() if key not in known}
        return LastRun(
            mode=run.baseline.mode,
            baseline_path=self._path,
            baseline_digest=self._digest,
            git_head=self._head,
            incomplete=(*run.incomplete, *(() if ended else ("it did not come to its end",))),
            partial=tuple(partial),
            changes=tuple(changes),
            now=Baseline().merged(entries, {**(stored.cards if stored else {}), **cards}),
            stale=stale,
            renames=renamed({key: known[key] for key in stale}, missing),
            # stale entries are listed as such, until they are deleted
            session=tuple(
                finding.text
                for finding in run.session.findings
                if finding.blocks and finding.kind != "stale"
            ),
        )


def _unwritten(run: RunResult) -> Iterator[Result]:
    """Tests whose figures the file does not hold though it should, or may not."""
    written = set(run.baseline.written)
    for result in run.results:
        assessment = result.assessment
        if not result.judged or assessment.key in written:
            continue
        first = run.baseline.mode == "first run" and assessment.calls
        if assessment.verdict.failed or assessment.accepted or first:
            yield result


def _change(result: Result) -> Change:
    assessment = result.assessment
    before, now = _costs(assessment)
    findings = [*assessment.verdict.findings, *assessment.accepted]
    kinds = dict.fromkeys(finding.kind for finding in findings if finding.blocks)
    return Change(
        key=assessment.key,
        nodeid=assessment.nodeid,
        state=result.state,
        kinds=tuple(kinds),
        acceptable=ACCEPTABLE.issuperset(kinds),
        cost_before=before,
        cost_now=now,
    )


def _costs(assessment: Assessment) -> tuple[str | None, str | None]:
    if assessment.comparison is None:
        return None, _usd(assessment.now.cost(assessment.cards))
    before, now = assessment.comparison.costs()
    return _usd(before), _usd(now)


def _usd(cost: Cost) -> str | None:
    return None if cost.usd is None or cost.status != "priced" else plain_usd(cost.usd)


def _git_head(folder: Path) -> str | None:
    """The commit that is checked out; None outside of git, or before the first one."""
    try:
        return Repository(folder).commit("HEAD")
    except GitError:
        return None


def _place(config: pytest.Config) -> Path:
    """Where pytest puts it: the path in the file is relative to that."""
    folder = Path(os.path.expandvars(config.getini("cache_dir"))).expanduser()
    return Path(config.rootpath, folder, *Path(PLACE).parts[1:])
