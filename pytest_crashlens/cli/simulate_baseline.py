"""``crashlens simulate`` without a single call: recorded calls anew, and models side by side."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from functools import partial
from typing import Any

from pytest_crashlens.baseline.causes import percent_change
from pytest_crashlens.baseline.entry import Block, Kind
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.cli.output import plural, say_all, say_json
from pytest_crashlens.cli.show import table
from pytest_crashlens.cli.simulate import CannotSimulate
from pytest_crashlens.cli.simulate_prices import Prices, blocks_of
from pytest_crashlens.model.money import EXACT, format_usd, plain_usd
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.candidates import Candidate, Named, rank
from pytest_crashlens.policy.config import Config, Policy
from pytest_crashlens.policy.repricing import Change, Repriced, Repricer, mean_usage, summed, usd_of
from pytest_crashlens.policy.simulation import Asked, simulate
from pytest_crashlens.policy.states import by_state
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.report.terminal import ROWS_SHOWN

Recorded = tuple[str, Baseline] | None
"""Name and contents of the baseline."""


def run(
    given: argparse.Namespace, config: Config, policy: Policy | None, recorded: Recorded
) -> int:
    """Compare models, or price the baseline anew; returns the exit code."""
    prices = Prices(config)
    if given.compare is not None:
        return _compare(given, config, policy, recorded, prices)
    changes = (given.model, given.max_output_tokens, given.retries)
    if given.task or given.input_tokens is not None or given.output_tokens is not None:
        raise CannotSimulate(
            "a call is held against a policy, or models: give --policy NAME, or --compare MODELS"
        )
    if all(one is None for one in changes):
        raise CannotSimulate(
            "nothing to simulate: give --policy NAME; or --compare MODELS; or for the baseline's "
            "calls --model, --max-output-tokens or --retries"
        )
    if recorded is None:
        raise CannotSimulate(
            "no baseline to price anew: name it with --baseline PATH, or give --policy NAME"
        )
    return _reprice(given, config, recorded, prices)


def _reprice(
    given: argparse.Namespace, config: Config, recorded: tuple[str, Baseline], prices: Prices
) -> int:
    name, baseline = recorded
    provider, model = prices.named(given.model) if given.model else ("", None)
    if model is not None and prices.card_of(given.model) is None:
        raise CannotSimulate(f"no price for {given.model}: set one under prices: in crashlens.yml")
    change = Change(
        provider=provider,
        model=model,
        max_output_tokens=given.max_output_tokens,
        retries=given.retries,
    )
    repricer = Repricer(prices.card_at, baseline.cards)
    tests = {key: repricer.entry(entry, change) for key, entry in baseline.entries.items()}
    total = summed(tests.values())
    calls = sum(entry.calls for entry in baseline.entries.values())
    month = _month(given, config, total, calls)
    notes = list(_notes(change, given.model, total))
    if given.json:
        plain = {key: _plain(one) for key, one in sorted(tests.items())}
        say_json(
            {
                "schema_version": 1,
                "file": name,
                "change": {
                    "model": given.model,
                    "max_output_tokens": change.max_output_tokens,
                    "retries": change.retries,
                },
                "tests": plain,
                "total": {"tests": len(tests), "calls": calls, **_plain(total)},
                "per_month": month and _plain(month),
                "notes": notes,
            }
        )
        return 0
    say_all(_tests_table(tests, everything=given.all))
    say_all([f"{name}: {plural(len(tests), 'test')}, {plural(calls, 'call')}: {_arrow(total)}"])
    if month is not None:
        say_all([f"a month: {_arrow(month)}"])
    say_all(notes)
    return 0


def _tests_table(tests: dict[str, Repriced], *, everything: bool) -> Iterator[str]:
    def most(key: str) -> tuple[Any, ...]:
        before, after = tests[key].before.usd or Decimal(0), tests[key].after.usd or Decimal(0)
        return -abs(after - before), key

    ordered = sorted(tests, key=most)
    kept = ordered if everything else ordered[:ROWS_SHOWN]
    rows = [("test", "before", "after", "change")]
    rows += [(key, *_cells(tests[key])) for key in kept]
    yield from table(rows)
    if len(ordered) > len(kept):
        yield f"  ... and {len(ordered) - len(kept):,} more (--all shows them)"


def _cells(one: Repriced) -> tuple[str, str, str]:
    return _usd(one.before, one), _after(one), _change(one)


def _arrow(one: Repriced) -> str:
    before, after, change = _cells(one)
    return f"{before} -> {after}" + ("" if change == "-" else f" ({change})")


def _usd(cost: Cost, one: Repriced) -> str:
    if cost.usd is None:
        return "unpriced"
    sign = "~" if one.estimated and cost.usd else ""
    return f"{'>= ' if cost.status == 'partial' else ''}{sign}{format_usd(cost.usd)}"


def _after(one: Repriced) -> str:
    if not one.at_most or one.after.usd is None:
        return _usd(one.after, one)
    if one.after.status == "partial":
        return "unknown"  # at least by its prices, at most by its cap
    return f"<= {_usd(one.after, one)}"


def _change(one: Repriced) -> str:
    before, after = usd_of(one.before), usd_of(one.after)
    if before is None or after is None:
        return "-"
    return percent_change(before, after)


def _month(
    given: argparse.Namespace, config: Config, total: Repriced, calls: int
) -> Repriced | None:
    """The total for a month, where the volume of production is known."""
    times, share = config.volume.runs_per_month or 0, 1
    if per_month := given.calls_per_month or config.volume.calls_per_month:
        times, share = per_month, calls
    if not times or not share:
        return None

    def scaled(cost: Cost) -> Cost:
        with localcontext(EXACT):
            return cost if cost.usd is None else replace(cost, usd=cost.usd * times / share)

    return replace(total, before=scaled(total.before), after=scaled(total.after))


def _notes(change: Change, name: str | None, total: Repriced) -> Iterator[str]:
    """What the figures rest on, and what nobody can know from a baseline."""
    if change.model is not None:
        yield (
            f"the tokens are those of the recorded models: {name} may split the same text "
            "otherwise, and answer at other length"
        )
    if total.cached:
        yield f"{name} is taken to read and write its prompt cache as the recorded models did"
    if total.kept:
        yield f"{plural(total.kept, 'call')} without output (embeddings, say) kept as recorded"
    if change.max_output_tokens is not None:
        yield (
            f"<=: at most; the baseline has sums of calls, and the cap of "
            f"{change.max_output_tokens:,} output tokens cuts each call"
        )
    if change.retries:
        yield (
            f"<=: at most; {plural(change.retries, 'retry', 'retries')} of every call, each billed "
            "like the call (a refused attempt often costs nothing)"
        )
    elif change.retries == 0:
        yield "no retries: what failed attempts cost is in no baseline, so nothing is saved here"
    if total.at_most and total.after.status == "partial":
        yield "unknown: an upper bound, of which a part has no price"
    reasons = dict.fromkeys((*total.before.reasons, *total.after.reasons))
    for reason in reasons:
        yield f"note: {reason}"


def _plain(one: Repriced) -> dict[str, Any]:
    def plain(cost: Cost) -> dict[str, Any]:
        usd = None if cost.usd is None else plain_usd(cost.usd)
        return {"cost_usd": usd, "price_status": cost.status}

    return {
        "before": plain(one.before),
        "after": {**plain(one.after), "at_most": one.at_most},
        "estimated": one.estimated,
    }


def _compare(
    given: argparse.Namespace,
    config: Config,
    policy: Policy | None,
    recorded: Recorded,
    prices: Prices,
) -> int:
    names = [name.strip() for name in given.compare.split(",")]
    if not all(names):
        raise CannotSimulate("--compare: expected models with a comma between them: m1,m2")
    if given.max_output_tokens is not None or given.retries is not None:
        raise CannotSimulate("--compare knows no --max-output-tokens and no --retries: leave out")
    if given.model is not None:
        names.append(given.model)
    blocks, source, left_out = _tokens(given, recorded, prices)
    candidates = []
    for name in dict.fromkeys(names):
        provider, model = prices.named(name)
        facts = prices.facts(provider, model)
        candidates.append(Named(name=name, provider=provider, model=model, facts=facts))

    means = {mean_usage([block])[1:] for block in blocks}

    def forbids(one: Named) -> str | None:
        if policy is None:
            return None
        for tokens in means:
            asked = Asked(
                provider=one.provider,
                model=one.model,
                name=one.name,
                task=given.task,
                input_tokens=tokens[0],
                output_tokens=tokens[1],
            )
            found = simulate(policy, asked, prices.card_of, by_state=partial(by_state, config))
            if found.blocked:
                return f"policy '{policy.name}' forbids it"
        return None

    cards = recorded[1].cards if recorded else {}
    ranked = rank(candidates, blocks, Repricer(prices.card_at, cards), forbids)
    if all(one.excluded for one in ranked):
        told = "; ".join(f"{one.name}: {one.excluded}" for one in ranked)
        raise CannotSimulate(f"none of the models can be compared: {told}")
    calls = sum(block.calls for block in blocks)
    notes = [
        "price only was compared: not quality, not speed, and not how each model counts tokens",
        *_unknown(blocks, given),
    ]
    if left_out:
        notes.append(f"left out: {plural(left_out, 'call')} without known input and output")
    if given.json:
        say_json(
            {
                "schema_version": 1,
                "tokens": source,
                "calls": calls,
                "models": [_candidate_plain(one) for one in ranked],
                "notes": notes,
            }
        )
        return 0
    say_all(_ranking(ranked, given.model, calls))
    say_all(f"excluded: {one.name}: {one.excluded}" for one in ranked if one.excluded)
    say_all([f"tokens: {source}", *notes])
    return 0


def _tokens(
    given: argparse.Namespace, recorded: Recorded, prices: Prices
) -> tuple[list[Block], str, int]:
    """The calls to compare models by, where they come from, and how many cannot be used."""
    counts = given.input_tokens, given.output_tokens
    if counts != (None, None):
        if None in counts:
            raise CannotSimulate("give both --input-tokens and --output-tokens, or neither")
        usage = Usage(input_tokens=counts[0], output_tokens=counts[1])
        kind = Kind(provider="", model=given.model or "")
        text = f"{counts[0]:,} in and {counts[1]:,} out, as given"
        return [Block(kind, 1, 0, usage)], text, 0
    if recorded is None:
        raise CannotSimulate(
            "no token counts: give --input-tokens and --output-tokens, or --baseline"
        )
    name, baseline = recorded
    found = blocks_of(baseline.entries.values(), given.model)
    usable = [
        block
        for block in found
        if not block.kind.refused
        and block.kind.basis != "unknown"
        and None not in (block.usage.input_tokens, block.usage.output_tokens)
    ]
    of = f" to {given.model}" if given.model else ""
    if not usable:
        raise CannotSimulate(
            f"{name} has no calls{of} with known tokens: give --input-tokens and --output-tokens"
        )
    calls = sum(block.calls for block in usable)
    sums = Usage()
    for block in usable:
        sums += block.usage
    text = f"{sums.input_tokens:,} in and {sums.output_tokens:,} out, {plural(calls, 'call')}{of}"
    left_out = sum(block.calls for block in found if not block.kind.refused) - calls
    return usable, f"{text} in {name}", left_out


def _unknown(blocks: Sequence[Block], given: argparse.Namespace) -> Iterator[str]:
    """What the price list does not know, as far as it matters for these calls."""
    unknown = []
    if given.input_tokens is not None or any(block.input_parts.tools for block in blocks):
        unknown.append("calls tools")
    if given.input_tokens is not None or any(block.input_parts.images for block in blocks):
        unknown.append("takes images and files")
    if unknown:
        yield f"unknown, as no price list says it: which model {' or '.join(unknown)}"
    yield "retired are only models that the price list calls deprecated: few rows say it"
    if any(block.calls > 1 for block in blocks):
        yield "context windows were held against mean inputs: the largest call is not recorded"


def _ranking(ranked: Sequence[Candidate], current: str | None, calls: int) -> list[str]:
    fit = [one for one in ranked if not one.excluded]
    now = next((one.usd for one in fit if one.name == current), None)
    against = "vs now" if now is not None else "vs first"
    base = now if now is not None else fit[0].usd
    rows = [("model", "cost", *(["a call"] if calls > 1 else []), against, "")]
    for one in fit:
        usd = one.usd or Decimal(0)
        sign = "~" if one.estimated and usd else ""
        each = [f"{sign}{format_usd(_share(usd, calls))}"] if calls > 1 else []
        change = "-" if usd == base else percent_change(base or 0, usd)
        marks = ", ".join([*(["now"] if one.name == current else []), *one.unknown])
        rows.append((one.name, f"{sign}{format_usd(usd)}", *each, change, marks))
    return table(rows)


def _share(usd: Decimal, calls: int) -> Decimal:
    with localcontext(EXACT):
        return usd / calls


def _candidate_plain(one: Candidate) -> dict[str, Any]:
    return {
        "model": one.name,
        "cost_usd": None if one.usd is None else plain_usd(one.usd),
        "estimated": one.estimated,
        "excluded": one.excluded,
        "unknown": list(one.unknown),
    }
