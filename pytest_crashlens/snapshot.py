"""Writes what passed to the baseline: the only place where a run changes the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, load, locked, write
from pytest_crashlens.baseline.noise import RECOMMENDED_RUNS
from pytest_crashlens.baseline.renewal import renewed
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.pricing.card import RateCard
from pytest_crashlens.report.run_result import BaselineStatus, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateWay:
    """What the command line says about an update."""

    new_only: bool = False
    """Write tests without an entry only."""
    prune: bool = False
    """Delete stale entries."""
    reason: str | None = None
    """Why what rose or is new is accepted."""
    anew: frozenset[str] = frozenset()
    """Keys of live tests that are written though they are within tolerance."""
    comparisons: int = 1
    """Noisy comparisons of the run."""
    wanted: int = RECOMMENDED_RUNS
    """Runs of a live test to store."""


def write_snapshot(
    path: Path,
    stored: Baseline,
    results: Sequence[Result],
    status: BaselineStatus,
    *,
    ended: bool,
    whole: bool,
    way: UpdateWay,
) -> BaselineStatus:
    """Merge the news among ``results`` into the file.

    Args:
        path: the file; it is read again, as another process may have written meanwhile.
        stored: what it held when the run began.
        results: what ran.
        status: what is known of the file so far, with the keys that are stale.
        ended: whether the run came to its end; only then an empty file is begun.
        whole: whether all of its calls are known; an entry is not lowered by calls that were lost.
        way: what the command line says.

    Returns:
        ``status`` with what was written, or why it could not be.
    """
    entries: dict[str, Entry] = {}
    cards: dict[str, RateCard] = {}
    kept_back, lowered = [], []
    for result in results:
        assessment = result.assessment
        if way.new_only and assessment.key in stored.entries:
            continue
        before = stored.entries.get(assessment.key)
        entry = _renewed(assessment, before, way) if result.judged else None
        if entry is None:
            continue
        if assessment.verdict.failed:
            kept_back.append(assessment.key)
            continue
        if not whole and before is not None and entry.calls < before.calls:
            lowered.append(assessment.key)
            continue
        if before is None or entry.blocks is not before.blocks:
            accepted = assessment.accepted or assessment.key in way.anew
            entry = replace(entry, reason=way.reason if accepted else None)
        entries[assessment.key] = entry
        cards |= assessment.cards
    try:
        with locked(path):
            current = load(path) or Baseline()
            if way.new_only:
                entries = {key: e for key, e in entries.items() if key not in current.entries}
            # what another process wrote anew meanwhile is not the stale entry
            deleted = tuple(
                key
                for key in (status.stale if way.prune else ())
                if key in current.entries and current.entries[key] == stored.entries[key]
            )
            merged = current.without(deleted).merged(entries, cards)
            # tests without calls have a baseline too: an empty one
            if entries or deleted or (ended and not path.exists()):
                write(path, merged)
    except BaselineError as error:
        return replace(status, error=str(error))
    return replace(
        status,
        entries=len(merged.entries),
        written=tuple(entries),
        kept_back=tuple(kept_back),
        deleted=deleted,
        error=_not_lowered(status.name, lowered) if lowered else None,
    )


def _not_lowered(name: str, keys: Sequence[str]) -> str:
    number = "1 entry" if len(keys) == 1 else f"{len(keys)} entries"
    return (
        f"{name}: {number} not lowered, as calls of this run may be lost (see incomplete): "
        f"{', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''}"
    )


def _renewed(assessment: Assessment, stored: Entry | None, way: UpdateWay) -> Entry | None:
    """The entry to write; None: the stored one stays.

    Replayed ones are written whenever they differ; live ones only when they are out of tolerance
    or of another shape, else every update would touch them all.
    """
    now = assessment.now
    if stored is None:
        return now if assessment.calls else None
    if not (stored.live and now.live):
        return now if stored != now else None
    accepted = bool(assessment.accepted) or assessment.shrunk or assessment.key in way.anew
    return renewed(stored, now, accepted=accepted, comparisons=way.comparisons, wanted=way.wanted)
