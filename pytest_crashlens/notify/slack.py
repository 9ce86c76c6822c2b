"""A message for a Slack channel: blocks within Slack's limits, and nothing in them is obeyed.

Test ids, model names and messages may be written by anybody who sends a pull request: they are
code spans or harmless words, and ``& < >`` are escaped, so that no mention, link or formatting
comes from them. ``verbatim`` keeps Slack from making links of what looks like one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pytest_crashlens.notify.found import Found
from pytest_crashlens.notify.origin import Origin
from pytest_crashlens.report.failure import sentence
from pytest_crashlens.report.inert import code, words
from pytest_crashlens.report.run_result import RunResult, Totals
from pytest_crashlens.report.terminal import cost_text

MOST_TEXT = 3000
"""Characters of a text, as documented for a section."""
MOST_IN_ALL = 10_000
"""Characters of all texts; Slack refuses somewhat more than 13,000 (``msg_blocks_too_long``)."""
MOST_BLOCKS = 50
SHOWN = 30
"""Findings in a message; the report has them all."""
_NAME, _SENTENCE, _SITE = 150, 280, 130
"""Characters of the parts of a line: escaped, which makes five of one, it is shorter than a text
may be."""

Block = dict[str, Any]


def slack_message(found: Sequence[Found], run: RunResult, origin: Origin) -> dict[str, Any]:
    """The payload for the webhook of a channel that is told of ``found``."""
    number = len(found)
    title = f"LLM cost: {_plural(number, 'finding', 'findings') if number else 'nothing found'}"
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
        _context(_where(origin)),
    ]
    room = MOST_IN_ALL
    left = number
    for heading, group in _grouped(found[:SHOWN]):
        texts, taken = _texts(heading, group, room)
        left -= taken
        room -= sum(len(text) for text in texts)
        blocks += [{"type": "section", "text": _mrkdwn(text)} for text in texts]
    more = f"… and {left:,} more, in the report of the run\n" if left else ""
    blocks.append(_context(f"{more}{_summary(run)}"))
    return {"text": title, "blocks": blocks[:MOST_BLOCKS]}


def _grouped(found: Iterable[Found]) -> Iterator[tuple[str, list[Found]]]:
    groups: dict[str, list[Found]] = {}
    for one in found:
        policy = one.finding.policy
        groups.setdefault("" if policy is None else f"Policy {_code(policy)}", []).append(one)
    for heading, group in groups.items():
        yield heading or "Budgets", group


def _texts(heading: str, group: Iterable[Found], room: int) -> tuple[list[str], int]:
    """The texts of the sections of one policy within ``room`` characters; how many are in them."""
    texts = [heading]
    taken = 0
    used = len(heading)
    for one in group:
        line = _line(one)
        used += len(line) + 1
        if used > room:
            break
        taken += 1
        if len(texts[-1]) + 1 + len(line) > MOST_TEXT:
            texts.append(line)
        else:
            texts[-1] += f"\n{line}"
    return (texts if taken else []), taken


def _line(one: Found) -> str:
    finding = one.finding
    where = "the whole run" if one.test is None else _code(one.test)
    # its policy stands above
    text = words(sentence(replace(finding, policy=None)), _SENTENCE)
    site = f", at {_code(f'{finding.call_site}()', _SITE)}" if finding.call_site else ""
    told = "" if finding.blocks else " (fails nothing)"
    return f"• {where}: {_escaped(text)}{site}{told}"


def _where(origin: Origin) -> str:
    branch = f", branch {_code(origin.branch)}" if origin.branch else ""
    link = f", <{origin.link}|this run>" if origin.link else ""
    return f"in {_code(origin.project)}{branch}{link}"


def _summary(run: RunResult) -> str:
    if run.failed or run.session_failed:
        ends = "it fails the run" if run.may_fail else "it fails nothing: the run only reports"
    else:
        ends = "it fails nothing"
    sums = [
        f"{_totals(totals)} {word}"
        for totals, word in ((run.spent, "spent"), (run.simulated, "replayed or mocked"))
        if totals.calls
    ]
    return f"LLM cost of the run: {', '.join(sums) or 'no calls'}; {ends}"


def _totals(totals: Totals) -> str:
    # its sign for estimates would strike text out
    usd = cost_text(totals.cost, estimated=totals.estimated).replace("~", "about ")
    return f"{_escaped(usd)} in {_plural(totals.calls, 'call', 'calls')}"


def _code(text: str, limit: int = _NAME) -> str:
    return _escaped(code(text, limit))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _context(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _plural(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
