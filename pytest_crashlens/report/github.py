"""Annotations for GitHub Actions, on the source lines that spend.

Format: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Literal

from pytest_crashlens.model.money import format_usd_change
from pytest_crashlens.report.change import (
    change_of,
    most_money_first,
    plural,
    rise,
    usd_sum,
)
from pytest_crashlens.report.failure import sentence
from pytest_crashlens.report.headline import accepted_sentence, sentences, verdict
from pytest_crashlens.report.inert import inert
from pytest_crashlens.report.view import RunView, TestView

SHOWN = 10
"""Annotations of each kind that GitHub shows of one step."""
TESTS_NAMED = 5
LONGEST = 1000
_SITE = re.compile(r"(?P<path>.+):(?P<line>[0-9]{1,7}) (?P<function>.+)")

Level = Literal["error", "warning", "notice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One note on a line."""

    level: Level
    title: str
    text: str
    path: str = ""
    line: int | None = None
    usd: Decimal = Decimal(0)
    """What orders it."""

    def render(self) -> str:
        """The workflow command, in one line."""
        properties = {
            "file": self.path,
            "line": str(self.line) if self.path and self.line is not None else "",
            "title": self.title,
        }
        given = ",".join(f"{name}={_property(text)}" for name, text in properties.items() if text)
        return f"::{self.level} {given}::{_message(self.text)}"


def github(run: RunView) -> str:
    """All annotations, as lines to be printed at the start of a line each."""
    errors, warnings = _annotations(run)
    shown = [*errors[:SHOWN], *warnings[:SHOWN]]
    left = [
        plural(len(found) - SHOWN, f"more {word}", f"more {word}s")
        for found, word in ((errors, "error"), (warnings, "warning"))
        if len(found) > SHOWN
    ]
    if left:
        text = f"{' and '.join(left)} about LLM cost: in the log and in the other reports"
        shown.append(Annotation(level="notice", title="LLM cost", text=text))
    if not shown and accepted_sentence(run, inert):
        text = sentences(run, change_of(run), inert)
        shown.append(Annotation(level="notice", title="LLM cost", text=text))
    return "".join(f"{annotation.render()}\n" for annotation in shown)


def _annotations(run: RunView) -> tuple[list[Annotation], list[Annotation]]:
    failing = [test for test in run.tests if test.failed]
    told = [
        test
        for test in run.tests
        if not test.failed and test.judged and any(not one.blocks for one in test.findings)
    ]
    level: Level = "error" if run.may_fail else "warning"
    found = [*_of_run(run), *_of_tests(failing, run, level), *_of_tests(told, run, "warning")]
    return (
        [one for one in found if one.level == "error"],
        [one for one in found if one.level == "warning"],
    )


def _of_run(run: RunView) -> Iterable[Annotation]:
    """What belongs to no line."""
    mark, words = verdict(run)
    for finding in run.session:
        blocks = finding.blocks and run.may_fail
        path, line = _place(finding.call_site, run.context.folder)
        yield Annotation(
            level="error" if blocks else "warning",
            title="LLM cost of the whole run",
            text=sentence(finding),
            path=path,
            line=line,
        )
    reasons = [*([run.baseline.error] if run.baseline.error else []), *run.incomplete]
    if reasons:
        more = f" (and {len(reasons) - 1:,} more)" if len(reasons) > 1 else ""
        broken = run.failed and (run.unjudged or run.baseline.error is not None)
        yield Annotation(
            level="error" if broken else "warning",
            title="LLM cost: incomplete",
            text=f"{reasons[0]}{more}",
        )
    if mark != "good" and not any(test.failed for test in run.tests) and not reasons:
        change = change_of(run)
        if not run.session:
            yield Annotation(
                level="warning",
                title="LLM cost",
                text=f"{sentences(run, change, inert)}: {words}",
            )


def _of_tests(tests: Iterable[TestView], run: RunView, level: Level) -> list[Annotation]:
    """One for each line that spends, with all its tests; most money first."""
    places: dict[tuple[str, int | None], list[TestView]] = {}
    for test in most_money_first(tests):
        places.setdefault(_where(test, run.context.folder), []).append(test)
    found = [
        Annotation(
            level=level,
            title=_title(group),
            text=_text(group),
            path=path,
            line=line,
            usd=usd_sum(rise(test) for test in group),
        )
        for (path, line), group in places.items()
    ]
    return sorted(found, key=lambda one: one.usd.copy_negate())


def _where(test: TestView, folder: str) -> tuple[str, int | None]:
    """The line that spends most; else that of what is wrong; else the test's file."""
    sites = [test.site, *(finding.call_site for finding in test.findings)]
    for site in sites:
        place = _place(site, folder)
        if place[0]:
            return place
    return _in_repository(test.nodeid.partition("::")[0], folder), None


def _place(site: str | None, folder: str) -> tuple[str, int | None]:
    """Path and line of a source line; an empty path where there is none in the repository."""
    found = _SITE.fullmatch(site or "")
    path = _in_repository(found["path"], folder) if found else ""
    return path, int(found["line"]) if found and path else None


def _in_repository(path: str, folder: str) -> str:
    """``path`` from the repository's top; empty where it is no path inside."""
    whole = PurePosixPath(folder, path)
    outside = PurePosixPath(path).is_absolute() or ".." in whole.parts
    return "" if outside or not path else whole.as_posix()


def _title(tests: list[TestView]) -> str:
    usd = usd_sum(rise(test) for test in tests)
    money = f" {format_usd_change(usd)} per test run" if usd > 0 else ""
    return f"LLM cost{money}: {plural(len(tests), 'test', 'tests')}"


def _text(tests: list[TestView]) -> str:
    lines = []
    for test in tests[:TESTS_NAMED]:
        told = [sentence(finding) for finding in test.findings[:1]]
        lines.append(f"{test.headline or ''.join(told)}\n  in {test.nodeid or test.key}")
    if len(tests) > TESTS_NAMED:
        lines.append(f"... and {len(tests) - TESTS_NAMED:,} more tests")
    return "\n".join(lines)


def _message(text: str) -> str:
    shown = "\n".join(inert(line) for line in text.split("\n"))
    if len(shown) > LONGEST:
        shown = f"{shown[: LONGEST - 3]}..."
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
