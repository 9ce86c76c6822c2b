"""The run for somebody who reviews the change: a comment on it, or the summary of its CI job.

Written for who never heard of the tool: the verdict and the money first, then the few tests that
matter. All that others wrote (names, messages) is a code span or harmless words.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from pytest_crashlens.baseline.causes import percent_change
from pytest_crashlens.model.money import format_usd, format_usd_change
from pytest_crashlens.report.change import (
    Change,
    change_of,
    is_notable,
    money_sentence,
    month_sentence,
    most_money_first,
    plural,
    shares_text,
    usd_sum,
    verdict,
)
from pytest_crashlens.report.failure import ACCEPTABLE, sentence
from pytest_crashlens.report.inert import code, is_inert, words
from pytest_crashlens.report.markdown_details import change_of_test, cost, details
from pytest_crashlens.report.view import RunView, TestView

MARKER = "<!-- crashlens:comment:v1"
LIMIT = 65_000
"""Characters; GitHub refuses a comment of more than 65,536."""
ROWS = 20
NEW_SHOWN = 10
REASONS_SHOWN = 5
NAMED_IN_COMMAND = 3
_SIGNS = {"bad": "❌", "warn": "⚠️", "good": "✅"}
_CUTS = ((ROWS, 200), (ROWS, 50), (ROWS, 20), (ROWS, 5), (ROWS, 0), (10, 0), (5, 0), (1, 0))
"""Rows of the table and of each list of details, until the text is short enough."""


def markdown(run: RunView) -> str:
    """The text, the first line a marker by which the comment is found again."""
    change = change_of(run)
    text = ""
    for rows, listed in _CUTS:
        text = "\n".join(_lines(run, change, rows, listed)) + "\n"
        if len(text) <= LIMIT:
            break
    return text


def _lines(run: RunView, change: Change, rows: int, listed: int) -> Iterator[str]:
    mark, found = verdict(run)
    notable = "yes" if is_notable(run) else "no"
    yield f"{MARKER} notable={notable} -->"
    money = money_sentence(run, change)
    month = month_sentence(run, change)
    yield f"### {_SIGNS[mark]} LLM cost: {money}{f', {month}' if month else ''} — {found}"
    yield ""
    yield basis(run, change)
    yield ""
    yield from _sums(run, change)
    yield from _why(change)
    yield from _incomplete(run)
    yield from _whole_run(run)
    yield from _tests(run, change, rows)
    yield from _new(run, change)
    yield from _advice(run)
    yield from details(run, change, listed)


def basis(run: RunView, change: Change) -> str:
    """What was compared with what."""
    name = code(run.baseline.name, 120)
    if run.baseline.mode in ("first run", "off"):
        why = "there is no baseline yet" if run.baseline.mode == "first run" else "it is turned off"
        return f"What the LLM calls of the tests cost. It was compared with nothing: {why}."
    number = plural(len(change.compared), "test", "tests")
    text = f"What the LLM calls of {number} cost now, against the baseline {name}"
    if not change.compared:
        text = f"No test could be compared with the baseline {name}"
    if change.live:
        text += f" ({change.live:,} live: they vary from run to run)"
    left = []
    if change.vanished:
        left.append(f"{len(change.vanished):,} without calls now")
    if change.unpriced:
        left.append(f"{len(change.unpriced):,} without a known price")
    if change.not_judged:
        left.append(f"{len(change.not_judged):,} that failed or were skipped")
    if change.new:
        left.append(f"{len(change.new):,} new")
    apart = f" Not in these sums: {', '.join(left)}." if left else ""
    return f"{text}.{apart}"


def _sums(run: RunView, change: Change) -> Iterator[str]:
    before, now = change.before, change.now
    if not change.compared:
        yield "| per test run | calls | input tokens | output tokens | cost |"
        yield "|---|--:|--:|--:|--:|"
        for name, side in (("spent", run.spent), ("replayed or mocked", run.simulated)):
            if side.calls:
                usage = side.usage
                yield (
                    f"| {name} | {side.calls:,} | {usage.input_tokens or 0:,} "
                    f"| {usage.output_tokens or 0:,} | {cost(side)} |"
                )
        yield ""
        return
    yield "| per test run | baseline | now | change |"
    yield "|---|--:|--:|--:|"
    yield (
        f"| **cost** | {format_usd(before.usd)} | {format_usd(now.usd)} "
        f"| **{_usd_change(change)}** |"
    )
    for name, old, new in (
        ("input tokens", before.input_tokens, now.input_tokens),
        ("output tokens", before.output_tokens, now.output_tokens),
        ("calls", before.calls, now.calls),
    ):
        difference = f"{new - old:+,} ({percent_change(old, new)})" if new != old else "0"
        yield f"| {name} | {old:,} | {new:,} | {difference} |"
    yield ""


def _usd_change(change: Change) -> str:
    if not change.usd:
        return "0"
    return f"{format_usd_change(change.usd)} ({percent_change(change.before.usd, change.now.usd)})"


def _why(change: Change) -> Iterator[str]:
    whole, shares = shares_text(change.causes)
    if shares:
        yield f"**Why** ({whole}): " + " · ".join(f"{word} {usd}" for word, usd in shares)
        yield ""


def _incomplete(run: RunView) -> Iterator[str]:
    reasons = list(run.incomplete)
    if run.baseline.error is not None:
        reasons.insert(0, run.baseline.error)
    for reason in reasons[:REASONS_SHOWN]:
        yield f"- ⚠️ **incomplete**: {words(reason)}"
    if len(reasons) > REASONS_SHOWN:
        yield f"- … and {len(reasons) - REASONS_SHOWN:,} more reasons"
    if reasons:
        yield ""


def _whole_run(run: RunView) -> Iterator[str]:
    """What no single test is to blame for."""
    findings = sorted(run.session, key=lambda finding: not finding.blocks)
    for finding in findings[:REASONS_SHOWN]:
        yield f"- {'❌' if finding.blocks else '⚠️'} whole run: {words(sentence(finding))}"
    if len(findings) > REASONS_SHOWN:
        yield f"- … and {len(findings) - REASONS_SHOWN:,} more of the whole run"
    if findings:
        yield ""


def rows_that_matter(run: RunView) -> list[TestView]:
    """Tests that fail, then those with something to say, then what was accepted."""
    order = {"over": 0, "vanished": 0, "accepted": 2}
    chosen: list[list[TestView]] = [[], [], []]
    for test in run.tests:
        if test.failed and test.state != "missing":
            chosen[0].append(test)
        elif test.judged and any(not finding.blocks for finding in test.findings):
            chosen[1].append(test)
        elif test.state == "accepted":
            chosen[order[test.state]].append(test)
    return [test for group in chosen for test in most_money_first(group)]


def _tests(run: RunView, change: Change, rows: int) -> Iterator[str]:
    tests = rows_that_matter(run)
    if not tests:
        return
    yield "| | test | baseline | now | change | why | most of it spent at |"
    yield "|---|---|--:|--:|--:|---|---|"
    for test in tests[:rows]:
        yield row(test)
    yield ""
    if len(tests) > rows:
        left = tests[rows:]
        failing = sum(test.failed for test in left)
        also = f", {failing:,} of them over the limit" if failing else ""
        yield f"… and {len(left):,} more{also}"
        yield ""


def row(test: TestView) -> str:
    """One test in the table."""
    before = cost(test.before) if test.before else "-"
    now = cost(test.now) if test.now.calls else "-"
    sign = "❌" if test.failed else "⚠️" if test.findings else "👁" if test.accepted else ""
    site = code(test.site, 120) if test.site else ""
    return (
        f"| {sign} | {code(test.key, 160)} | {before} | {now} | {change_of_test(test)} "
        f"| {why_of(test)} | {site} |"
    )


def why_of(test: TestView) -> str:
    """What moved it, in one sentence."""
    if test.headline is not None:
        text = test.headline.removeprefix("LLM cost: ").removeprefix("LLM ")
    else:
        told = [*test.findings, *test.accepted]
        text = sentence(told[0]) if told else ""
        text = f"accepted: {text}" if test.accepted and not test.findings else text
    first = test.causes[0].text if test.causes else ""
    if first and first not in text:
        text = f"{text}; {first}" if text else first
    return words(text, 250) if text else ""


def _new(run: RunView, change: Change) -> Iterator[str]:
    if not change.new:
        return
    failing = any(test.failed for test in change.new)
    total = format_usd(usd_sum(test.now.usd for test in change.new))
    fate = "they fail until they are accepted" if failing else "now in the baseline"
    if not failing and run.baseline.mode != "updated":
        fate = "told only"
    number = plural(len(change.new), "new test", "new tests")
    yield f"**{number} without a baseline**, {total} per test run ({fate}):"
    yield ""
    ordered = most_money_first(change.new)
    for test in ordered[:NEW_SHOWN]:
        at = f", most of it at {code(test.site, 120)}" if test.site else ""
        yield f"- {code(test.key, 160)}: {cost(test.now)}{at}"
    if len(ordered) > NEW_SHOWN:
        yield f"- … and {len(ordered) - NEW_SHOWN:,} more"
    yield ""


def _advice(run: RunView) -> Iterator[str]:
    """What to do now."""
    if run.baseline.mode == "first run":
        yield f"**Next:** run {code(run.accept_command, 300)} and commit {code(run.baseline.name)}."
        yield "From then on a rise fails its test."
        yield ""
        return
    failing = [test for test in run.tests if test.failed]
    kinds = {finding.kind for test in failing for finding in test.findings if finding.blocks}
    if not failing:
        return
    if kinds & ACCEPTABLE:
        yield "**Not intended?** Fix it: the last column names the line that spends."
        yield f"**Intended?** Accept it with a reason, and commit {code(run.baseline.name, 120)}:"
        yield ""
        yield "```sh"
        yield accept_command(run, failing)
        yield "```"
        yield ""
    if kinds & {"limit", "policy"}:
        yield (
            "Limits and policies are not moved by accepting: spend less, or change `crashlens.yml`."
        )
        yield ""


def accept_command(run: RunView, failing: Sequence[TestView]) -> str:
    """What accepts the ``failing`` tests, to be copied into a shell."""
    command = f"{run.accept_command} --crashlens-reason 'why it is worth it'"
    names = [shlex.quote(test.nodeid) for test in failing]
    simple = all(test.nodeid and is_inert(test.nodeid) for test in failing)
    if simple and len(names) <= NAMED_IN_COMMAND and sum(map(len, names)) < 1000:
        return " ".join([command, *names])
    return command
