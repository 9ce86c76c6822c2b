"""``crashlens history --spent``: what developing this cost, as far as this machine knows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from pytest_crashlens.cli.output import plural, say_all, say_json
from pytest_crashlens.cli.project import Project, shown
from pytest_crashlens.cli.show import table
from pytest_crashlens.errors import CrashlensError
from pytest_crashlens.model.money import EXACT, format_usd, plain_usd
from pytest_crashlens.report.spend import ModelSpend, Spend, read_spend, spend_path

DAYS_SHOWN = 30


@dataclass(slots=True)
class _Sums:
    runs: int = 0
    calls: int = 0
    tokens: int = 0
    usd: Decimal = Decimal(0)
    whole: bool = True
    """Whether all of it has a price."""

    def add(self, spend: ModelSpend) -> None:
        self.calls += spend.calls
        self.tokens += spend.tokens
        self.whole = self.whole and spend.usd is not None and not spend.partial
        with localcontext(EXACT):
            self.usd += spend.usd or 0

    @property
    def cost(self) -> str:
        return f"{'' if self.whole else '>= '}{format_usd(self.usd)}"

    def plain(self) -> dict[str, Any]:
        return {
            "runs": self.runs,
            "calls": self.calls,
            "tokens": self.tokens,
            "cost_usd": plain_usd(self.usd),
            "price_status": "priced" if self.whole else "partial",
        }


def spent(given: argparse.Namespace, project: Project) -> int:
    """Print the record; returns the exit code."""
    path = spend_path(project.path.parent)
    days: dict[str, _Sums] = {}
    models: dict[str, _Sums] = {}
    all_of_it = _Sums()
    broken = []
    try:
        for one in read_spend(path):
            if isinstance(one, Spend):
                _add(one, days, models, all_of_it)
            else:
                broken.append(f"{shown(path)}: {one}")
    except FileNotFoundError:
        raise CrashlensError(
            f"{shown(path)}: no live call of a test run is recorded on this machine"
        ) from None
    except OSError as error:
        raise CrashlensError(f"{shown(path)}: cannot be read: {error.strerror or error}") from None
    if given.json:
        say_json(
            {
                "schema_version": 1,
                "file": shown(path),
                "total": all_of_it.plain(),
                "days": {day: sums.plain() for day, sums in days.items()},
                "models": {name: sums.plain() for name, sums in models.items()},
                "unreadable": broken,
            }
        )
    else:
        say_all(_lines(days, models, all_of_it, shown(path)))
        say_all(f"not read: {fault}" for fault in broken)
    return 1 if broken else 0


def _add(one: Spend, days: dict[str, _Sums], models: dict[str, _Sums], all_of_it: _Sums) -> None:
    day = days.setdefault(one.at.astimezone().date().isoformat(), _Sums())
    for sums in (day, all_of_it):
        sums.runs += 1
    for name, spend in one.models.items():
        model = models.setdefault(name, _Sums())
        model.runs += 1
        for sums in (day, model, all_of_it):
            sums.add(spend)


def _lines(
    days: dict[str, _Sums], models: dict[str, _Sums], all_of_it: _Sums, name: str
) -> Iterator[str]:
    kept = sorted(days)[-DAYS_SHOWN:]
    yield from table([("day", *_HEADER), *((day, *_row(days[day])) for day in kept)])
    if len(days) > len(kept):
        yield f"  ... and {plural(len(days) - len(kept), 'earlier day')} (--json has them all)"
    dearest = sorted(models, key=lambda model: (-models[model].usd, model))
    yield from table([("model", *_HEADER), *((model, *_row(models[model])) for model in dearest)])
    yield (
        f"{name}: {plural(all_of_it.runs, 'run')} with live calls, "
        f"{plural(all_of_it.calls, 'call')}, {plural(all_of_it.tokens, 'token')}, "
        f"{all_of_it.cost} at the prices of their days"
    )


_HEADER = ("runs", "calls", "tokens", "cost")


def _row(sums: _Sums) -> tuple[str, ...]:
    return f"{sums.runs:,}", f"{sums.calls:,}", f"{sums.tokens:,}", sums.cost
