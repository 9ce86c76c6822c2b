"""The run for somebody who reviews the change: a comment on it, or the summary of its CI job.

Written for who never heard of the tool: the verdict and the money first, then the few tests that
matter. All that others wrote (names, messages) is a code span or harmless words.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import PurePosixPath

from pytest_crashlens.model.money import format_usd, format_usd_change
from pytest_crashlens.report.change import (
    Change,
    change_of,
    most_money_first,
    plural,
    shares_text,
    usd_sum,
)
from pytest_crashlens.report.failure import ACCEPTABLE, sentence
from pytest_crashlens.report.headline import is_notable, sentences, verdict
from pytest_crashlens.report.inert import code, is_inert, words
from pytest_crashlens.report.markdown_details import change_of_test, cost, details
from pytest_crashlens.report.percent import percent
from pytest_crashlens.report.view import RunView, TestView

MARKER = "<!-- crashlens:comment:v1"
LIMIT = 65_000
"""Characters; GitHub refuses a comment of more than 65,536."""
ROWS = 20
NEW_SHOWN = 10
REASONS_SHOWN = 5
REASON = 150
"""Characters of the words with which somebody accepted."""
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
            return text
    # what is left has no bound of its own, as the command that accepts
    first = "\n".join(islice(_lines(run, change, 0, 0), 2))
    return f"{first}\n\nThe rest is too long for a comment.\n"


def _lines(run: RunView, change: Change, rows: int, listed: int) -> Iterator[str]:
    mark, found = verdict(run)
    notable = "yes" if is_notable(run) else "no"
    yield f"{MARKER} notable={notable} -->"
    said = sentences(run, change, partial(words, limit=REASON))
    yield f"### {_SIGNS[mark]} LLM cost: {said} — {found}"
    yield ""
    yield basis(run, change)
    yield ""
    yield from _sums(run, change)
    yield from _why(change)
    yield from _incomplete(run)
    yield from _whole_run(run)
    yield from _tests(run, change, rows)
    yield from _new(run, change)
    yield from _advice(run, rows)
    yield from details(run, change, listed)


def basis(run: RunView, change: Change) -> str:
    """What was compared with what."""
    name = code(run.baseline.name, 120)
    since = run.base is not None and run.base.there
    if run.baseline.mode in ("first run", "off") and not since:
        why = "there is no baseline yet" if run.baseline.mode == "first run" else "it is turned off"
        return f"What the LLM calls of the tests cost. It was compared with nothing: {why}."
    number = plural(len(change.summed), "test", "tests")
    if change.new and not change.first:
        number += f" ({len(change.new):,} new)"
    name += _of_base(run)
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
        left.append(f"{len(change.not_judged):,} that failed or were skipped{_spend(change)}")
    if change.new and change.first:
        left.append(f"{len(change.new):,} new")
    apart = f" Not in these sums: {', '.join(left)}." if left else ""
    part = ""
    if run.partial:
        reasons = ", ".join(words(reason, 120) for reason in run.partial[:REASONS_SHOWN])
        part = f" Only part of the tests ran: {reasons}."
    return f"{text}.{apart}{part}"


def _of_base(run: RunView) -> str:
    """Of which commit the baseline is."""
    if run.base is None:
        return ""
    revision = code(run.base.revision, 80)
    if not run.base.there:
        return f", which is new since {revision}"
    return f" of {revision} ({code(run.base.commit[:10], 20)}), where this change starts from"


def _spend(change: Change) -> str:
    """What the tests that were not judged cost, as far as that is known."""
    sides = [(test.before, test.now) for test in change.not_judged]
    before = usd_sum(side.usd for side, _ in sides if side is not None)
    now = usd_sum(side.usd for _, side in sides)
    if not (before or now):
        return ""
    return f" ({format_usd(before)} in the baseline, {format_usd(now)} as far as they ran)"


def _sums(run: RunView, change: Change) -> Iterator[str]:
    before, now = change.before, change.now
    if not change.summed:
        if not (run.spent.calls or run.simulated.calls):
            return
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
        difference = f"{new - old:+,} ({percent(old, new)})" if new != old else "0"
        yield f"| {name} | {old:,} | {new:,} | {difference} |"
    yield ""


def _usd_change(change: Change) -> str:
    if not change.usd:
        return "0"
    return f"{format_usd_change(change.usd)} ({percent(change.before.usd, change.now.usd)})"


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
        if test.failed and (test.state != "missing" or test.before is not None):
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
    accepted = test.accepted or test.state == "accepted"
    sign = "❌" if test.failed else "⚠️" if test.findings else "👁" if accepted else ""
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
        if test.state == "accepted" and not told:
            text = f"accepted in this change{f': {test.reason}' if test.reason else ''}"
    first = test.causes[0].text if test.causes else ""
    if first and first not in text:
        text = f"{text}; {first}" if text else first
    return words(text, 250) if text else ""


def _new(run: RunView, change: Change) -> Iterator[str]:
    if not change.new:
        return
    failing = any(test.failed for test in change.new)
    total = format_usd(usd_sum(test.now.usd for test in change.new))
    in_it = run.baseline.mode == "updated" or all(test.state == "new" for test in change.new)
    fate = "now in the baseline" if in_it else "told only"
    number = plural(len(change.new), "new test", "new tests")
    if failing:
        fate = "they fail until they are accepted"
    if not in_it or run.base is None:
        number += " without a baseline"
    yield f"**{number}**, {total} per test run ({fate}):"
    yield ""
    ordered = most_money_first(change.new)
    for test in ordered[:NEW_SHOWN]:
        at = f", most of it at {code(test.site, 120)}" if test.site else ""
        why = f": {words(test.reason, REASON)}" if test.reason else ""
        yield f"- {code(test.key, 160)}: {cost(test.now)}{at}{why}"
    if len(ordered) > NEW_SHOWN:
        yield f"- … and {len(ordered) - NEW_SHOWN:,} more"
    yield ""


def _advice(run: RunView, rows: int) -> Iterator[str]:
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
        named = any(test.site for test in rows_that_matter(run)[:rows])
        where = ": the last column names the line that spends" if named else ""
        yield f"**Not intended?** Fix it{where}."
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
    simple = all(_is_name(test.nodeid) for test in failing)
    if simple and len(names) <= NAMED_IN_COMMAND and sum(map(len, names)) < 1000:
        return " ".join([command, *names])
    return command


def _is_name(nodeid: str) -> bool:
    """Whether it names a test of this project and nothing else: no option, no file of arguments."""
    path, separator, _ = nodeid.partition("::")
    inside = not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
    return bool(path and separator and inside and path[0] not in "-@" and is_inert(nodeid))
