"""The results of a run held against the baseline where the change starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_crashlens.baseline.base import Base, Used, names_then, since
from pytest_crashlens.baseline.entry import Entry, sum_costs
from pytest_crashlens.report.run_result import BaseStatus, Result


def since_base(
    base: Base | None, results: Sequence[Result], entries: Mapping[str, Entry]
) -> tuple[list[Result], BaseStatus | None]:
    """The results with what they are since ``base``; ``entries``: the baseline of today."""
    if base is None or base.fault is not None:
        return list(results), None
    status = BaseStatus(
        revision=base.revision,
        commit=base.commit,
        there=base.baseline is not None,
        changed=base.changed,
    )
    if base.baseline is None:
        return list(results), status
    used = [
        Used(
            key=result.assessment.key,
            now=result.assessment.now,
            cards=result.assessment.cards,
            stored=entries.get(result.assessment.key),
        )
        for result in results
    ]
    known = {*entries, *names_then(base.baseline, entries).values(), *(one.key for one in used)}
    removed = [key for key in base.baseline.entries if key not in known]
    cost = sum_costs(base.baseline.entries[key].cost(base.baseline.cards) for key in removed)
    found = since(base.baseline, entries, used)
    return (
        [replace(result, since=one) for result, one in zip(results, found, strict=True)],
        replace(
            status,
            removed=tuple(removed),
            removed_usd=cost.usd if cost.status == "priced" else None,
        ),
    )
