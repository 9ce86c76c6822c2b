"""Writes what passed to the baseline: the only place where a run changes the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_crashlens.baseline.entry import Entry, Kind
from pytest_crashlens.baseline.file import Baseline, load, write
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.pricing.card import RateCard
from pytest_crashlens.report.run_result import BaselineStatus, Result


def write_snapshot(
    path: Path,
    stored: Baseline,
    results: Sequence[Result],
    status: BaselineStatus,
    *,
    ended: bool,
) -> BaselineStatus:
    """Merge the news among ``results`` into the file.

    Args:
        path: the file; it is read again, as another process may have written meanwhile.
        stored: what it held when the run began.
        results: what ran.
        status: what is known of the file so far.
        ended: whether the run came to its end; only then an empty file is begun.

    Returns:
        ``status`` with what was written, or why it could not be.
    """
    entries: dict[str, Entry] = {}
    cards: dict[str, RateCard] = {}
    kept_back = []
    for result in results:
        assessment = result.assessment
        if not result.judged or not _is_news(assessment, stored.entries.get(assessment.key)):
            continue
        if assessment.verdict.failed:
            kept_back.append(assessment.key)
            continue
        entries[assessment.key] = assessment.now
        cards |= assessment.cards
    try:
        current = load(path) or Baseline()
        merged = current.merged(entries, cards)
        # tests without calls have a baseline too: an empty one
        if entries or (ended and not path.exists()):
            write(path, merged)
    except BaselineError as error:
        return replace(status, error=str(error))
    return replace(
        status,
        entries=len(merged.entries),
        written=tuple(entries),
        kept_back=tuple(kept_back),
    )


def _is_news(assessment: Assessment, stored: Entry | None) -> bool:
    """Whether an update rewrites the entry.

    Replayed ones whenever they differ; live ones only when they are out of tolerance or of another
    shape, else every update would touch them all.
    """
    now = assessment.now
    if stored is None:
        return bool(assessment.calls)
    if not (stored.live and now.live) or assessment.accepted or assessment.shrunk:
        return stored != now
    return _shape(stored) != _shape(now)


def _shape(entry: Entry) -> list[tuple[Kind, int]]:
    return [(block.kind, block.calls) for block in entry.blocks]
