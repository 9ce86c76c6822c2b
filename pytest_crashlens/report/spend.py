"""A local record of what test runs really spent: one line of JSON for each run with live calls."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pytest_crashlens.baseline.revisions import Repository
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.model.usage import total
from pytest_crashlens.pricing.card import Cost

FOLDER = ".crashlens"
NAME = "spend.jsonl"
_PRIVATE = "*\n"
"""Its .gitignore: what somebody spent on their machine is nobody's to merge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpend:
    """What one run spent on one model."""

    calls: int
    tokens: int
    usd: Decimal | None
    """None: no price."""
    partial: bool = False
    """Whether a part has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """One run."""

    at: datetime
    commit: str | None
    models: dict[str, ModelSpend] = field(default_factory=dict)
    """By ``provider/model``."""


def spend_path(folder: Path) -> Path:
    """The record of the project whose baseline is in ``folder``."""
    return folder / FOLDER / NAME


def record_spend(
    path: Path,
    calls: Sequence[Call],
    cost_of: Callable[[Sequence[Call]], Cost],
    *,
    at: datetime,
    commit: str | None,
) -> None:
    """Append a line about the live ``calls`` of a run.

    Raises:
        OSError: It cannot be written.
    """
    line = json.dumps(_plain(calls, cost_of, at=at, commit=commit), sort_keys=True) + "\n"
    path.parent.mkdir(exist_ok=True)
    ignored = path.parent / ".gitignore"
    if not ignored.exists():
        ignored.write_text(_PRIVATE, encoding="utf-8")
    # one write in append mode: runs that end at once do not mix their lines
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _plain(
    calls: Sequence[Call],
    cost_of: Callable[[Sequence[Call]], Cost],
    *,
    at: datetime,
    commit: str | None,
) -> dict[str, Any]:
    by_model: dict[str, list[Call]] = {}
    for call in calls:
        by_model.setdefault(f"{call.provider}/{call.model or 'unknown'}", []).append(call)
    models = {}
    for name, group in by_model.items():
        models[name] = {
            "calls": len(group),
            **total(call.usage for call in group).to_dict(),
            **_cost(cost_of(group)),
        }
    return {
        "at": at.isoformat(timespec="seconds"),
        "commit": commit,
        "calls": len(calls),
        "models": models,
        **_cost(cost_of(calls)),
    }


def _cost(cost: Cost) -> dict[str, Any]:
    usd = None if cost.usd is None else plain_usd(cost.usd)
    return {"cost_usd": usd, "price_status": cost.status}


def read_spend(path: Path) -> Iterator[Spend | str]:
    """The runs in the order they ended; what is wrong with a line instead, where it is broken.

    Raises:
        OSError: It cannot be read.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield _spend(json.loads(line))
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    yield f"line {number} is no record of a run"


def _spend(plain: dict[str, Any]) -> Spend:
    at = datetime.fromisoformat(plain["at"])
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    commit = plain["commit"]
    return Spend(
        at=at,
        commit=None if commit is None else str(commit),
        models={name: _model(each) for name, each in plain["models"].items()},
    )


def _model(plain: dict[str, Any]) -> ModelSpend:
    try:
        usd = None if plain["cost_usd"] is None else Decimal(plain["cost_usd"])
    except InvalidOperation:
        raise ValueError("no amount") from None
    if usd is not None and not usd.is_finite():
        raise ValueError("no amount")
    return ModelSpend(
        calls=int(plain["calls"]),
        tokens=int(plain.get("input_tokens", 0)) + int(plain.get("output_tokens", 0)),
        usd=usd,
        partial=plain["price_status"] == "partial",
    )


class SpendKeeper:
    """Records a run's live calls at its end, or says why it could not."""

    def __init__(self, folder: Path, *, at: datetime) -> None:
        """Keep what is spent in the project whose baseline is in ``folder``; ``at``: now."""
        self._path = spend_path(folder)
        self._at = at

    def keep(
        self, calls: Sequence[Call], cost_of: Callable[[Sequence[Call]], Cost]
    ) -> tuple[str, ...]:
        """Append a line where any call was live; returns notices."""
        if not calls:
            return ()
        try:
            commit = Repository(self._path.parents[1]).head()
            record_spend(self._path, calls, cost_of, at=self._at, commit=commit)
        except OSError as error:
            fault = error.strerror or error
            return (f"what this run spent is not recorded: {FOLDER}/{NAME}: {fault}",)
        return ()
