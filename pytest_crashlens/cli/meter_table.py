"""What ``crashlens meter`` prints for people, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from textwrap import wrap

from pytest_crashlens.cli.metering import StatedSums, Sums, Totals
from pytest_crashlens.model.money import format_usd
from pytest_crashlens.report.failure import as_table
from pytest_crashlens.report.terminal import NARROWEST_NAME, ROWS_SHOWN, cost_text, shortened

WIDTH = 80
REASONS_SHOWN = 5
HEADER = ("model", "calls", "errors", "input", "cached", "output", "cost")


def lines(totals: Totals, day: date, *, everything: bool = False) -> list[str]:
    """The table of models with its total, and what the figures leave out."""
    found: list[str] = []
    if totals.models:
        found += [*_table(totals, everything=everything), ""]
    text = [_headline(totals)]
    if totals.models:
        text += [f"Prices of {day.isoformat()}.", *_stated(totals.stated), *_signs(totals)]
    text += _left_out(totals)
    for one in text:
        found += wrap(
            one, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    return found


def _table(totals: Totals, *, everything: bool) -> Iterator[str]:
    ordered = sorted(
        totals.models.items(), key=lambda item: (-item[1].usd, -item[1].attempts, item[0])
    )
    kept = ordered if everything else ordered[:ROWS_SHOWN]
    longest_name = max(len(name) for name, _ in kept)
    for compact in (False, True):
        rows = [HEADER, *(_row(model, sums, compact) for model, sums in kept)]
        rows.append(_row("total", totals.all, compact))
        names = WIDTH - 2 - _width(rows)
        if names >= longest_name:
            break
    longest = max(names, NARROWEST_NAME)
    table = as_table((shortened(name, longest), *figures) for name, *figures in rows)
    yield from table[:-1]
    if len(ordered) > len(kept):
        yield f"  ... and {_plural(len(ordered) - len(kept), 'more model')} (--all shows them)"
    yield table[-1]


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Columns that the figures take."""
    columns = list(zip(*rows, strict=True))[1:]
    return sum(max(len(cell) for cell in column) + 2 for column in columns)


def _row(name: str, sums: Sums, compact: bool) -> tuple[str, ...]:
    usage = sums.usage
    sign = "~" if sums.estimated else ""
    cached = usage.cache_read_tokens
    return (
        name,
        f"{sums.calls:,}",
        f"{sums.refused:,}" if sums.refused else "-",
        _tokens(usage.input_tokens, sign, compact),
        _tokens(cached, "", compact) if cached else "-",
        _tokens(usage.output_tokens, sign, compact),
        cost_text(sums.cost, estimated=sums.estimated),
    )


def _tokens(count: int | None, sign: str, compact: bool) -> str:
    if count is None:
        return "-"
    if compact:
        for power, letter in ((9, "G"), (6, "M"), (3, "k")):
            size = count / 10**power
            if size >= (10 if letter == "k" else 1):
                decimals = 2 if size < 10 else 1 if size < 100 else 0
                return f"{sign}{size:,.{decimals}f}{letter}"
    return f"{sign}{count:,}"


def _headline(totals: Totals) -> str:
    sums = totals.all
    where = f"{_plural(totals.exchanges, 'exchange')} in {_plural(totals.files, 'file')}"
    parts = [_plural(sums.calls, "LLM call")]
    if sums.retries:
        parts.append(
            f"{_plural(sums.attempts, 'attempt')} ({_plural(sums.retries, 'retry', 'retries')})"
        )
    if totals.no_calls:
        parts.append(f"{totals.no_calls:,} skipped, being no LLM calls")
    return f"{where}: {', '.join(parts)}."


def _stated(stated: StatedSums) -> Iterator[str]:
    if not stated.calls:
        return
    told = f"{_plural(stated.calls, 'answer states its', 'answers state their')} own cost"
    if not stated.compared:
        yield f"{told}, with no price here to compare."
        return
    if stated.compared < stated.calls:
        told += f", {stated.compared:,} of them also priced here"
    differing = _plural(stated.differing, "differs", "differ")
    yield (
        f"{told}: {format_usd(stated.usd)} stated, {format_usd(stated.ours)} by our prices; "
        f"{differing} by more than 1 %."
    )


def _signs(totals: Totals) -> Iterator[str]:
    sums = totals.all
    if sums.estimated:
        yield "~ is before what was counted here because the provider did not state it."
    if sums.cost.status != "priced":
        yield (
            f">= is before sums that leave out what has no price "
            f"({_plural(sums.unpriced + sums.partial, 'call')})."
        )


def _left_out(totals: Totals) -> Iterator[str]:
    if totals.all.unknown:
        yield f"usage unknown: {_plural(totals.all.unknown, 'billed call')}; not in the sums"
    if totals.incomplete:
        yield f"incomplete: a body is missing or broken in {_plural(totals.incomplete, 'call')}"
    reasons = list(totals.why_unpriced.items())
    for model, reason in reasons[:REASONS_SHOWN]:
        yield f"unpriced: {model}: {reason}"
    if len(reasons) > REASONS_SHOWN:
        yield f"... and {len(reasons) - REASONS_SHOWN:,} more models (--json names them all)"
    for one in totals.unreadable:
        yield f"not read: {one}"


def _plural(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
