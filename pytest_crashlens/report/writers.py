"""The types of reports, and where each may go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_crashlens.report.github import github
from pytest_crashlens.report.html import MissingExtraError, check_extra, html
from pytest_crashlens.report.json_report import to_json
from pytest_crashlens.report.markdown import markdown
from pytest_crashlens.report.run_result import RunResult
from pytest_crashlens.report.view import Context, RunView, view_of

JUNIT = "junit"
"""Asked for like a report, but carried by pytest's own JUnit XML."""
MOST_APPENDED = 1024 * 1024
"""Bytes of a summary of GitHub Actions; of a longer one nothing at all is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """One type of report."""

    render: Callable[[RunResult, Context], str]
    of_view: Callable[[RunView], str] | None = None
    """The same from a saved run; None: the saved run is that text."""
    appends: bool = False
    prints: bool = False
    """Whether it goes to the terminal where no file is named."""


def _from_view(of_view: Callable[[RunView], str]) -> Callable[[RunResult, Context], str]:
    return lambda run, context: of_view(view_of(run, context))


WRITERS: Mapping[str, Writer] = {
    "json": Writer(render=to_json),
    "markdown": Writer(render=_from_view(markdown), of_view=markdown),
    "markdown-append": Writer(render=_from_view(markdown), of_view=markdown, appends=True),
    "github": Writer(render=_from_view(github), of_view=github, prints=True),
    "html": Writer(render=_from_view(html), of_view=html),
}
TYPES = (*WRITERS, JUNIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One ``--crashlens-report``."""

    kind: str
    path: Path | None
    """None: it is printed, or carried by others."""

    def write(self, text: str) -> str | None:
        """Put ``text`` into the file; returns what went wrong."""
        if self.path is None:
            return None
        try:
            if WRITERS[self.kind].appends:
                return _append(self.path, text)
            # line ends as they are: the same bytes on every system
            self.path.write_bytes(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            return f"{self.path}: cannot be written: {error.strerror or error}"
        return None


def _append(path: Path, text: str) -> str | None:
    data = text.encode("utf-8", "backslashreplace")
    with path.open("ab") as file:
        size = file.seek(0, os.SEEK_END)
        if size + len(data) + 1 > MOST_APPENDED:
            return f"{path}: not appended, as it would be larger than 1 MiB and not be shown"
        file.write(b"\n" + data if size else data)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """All reports of a run."""

    wanted: tuple[Wanted, ...] = ()
    context: Context = field(default_factory=Context)

    @property
    def junit(self) -> bool:
        """Whether tests are to carry properties."""
        return any(one.kind == JUNIT for one in self.wanted)

    def write(self, run: RunResult) -> Iterator[str]:
        """Write those that have a file; yields what went wrong."""
        for one in self.wanted:
            if one.path is not None:
                text, fault = self._rendered(one.kind, run)
                fault = fault or one.write(text)
                if fault:
                    yield fault

    def printed(self, run: RunResult) -> str:
        """The text of those that go to the terminal, or what went wrong with it."""
        kinds = dict.fromkeys(one.kind for one in self.wanted if one.path is None)
        found = [self._rendered(kind, run) for kind in kinds if kind != JUNIT]
        return "\n".join(fault or text.rstrip("\n") for text, fault in found)

    def _rendered(self, kind: str, run: RunResult) -> tuple[str, str | None]:
        """The text, or an empty one and why there is none."""
        try:
            return WRITERS[kind].render(run, self.context), None
        except Exception as fault:
            # of ours, and no reason to lose the verdict or the other reports
            return "", f"report {kind}: {type(fault).__name__}: {fault}"


def parse_wanted(given: str, folder: Path) -> Wanted | None:
    """What ``TYPE[:DEST]`` asks for; None: DEST is a variable that is not set.

    Raises:
        ValueError: It is none; the text says what is expected.
    """
    kind, separator, name = given.partition(":")
    if kind not in TYPES:
        raise ValueError(f"expected TYPE[:PATH] with TYPE one of {', '.join(TYPES)}")
    if kind == JUNIT:
        if separator:
            raise ValueError("expected junit alone: --junitxml=PATH names the file")
        return Wanted(kind=kind, path=None)
    if not separator and WRITERS[kind].prints:
        return Wanted(kind=kind, path=None)
    if name.startswith("$"):
        name = os.environ.get(name[1:].removeprefix("{").removesuffix("}"), "")
        if not name:
            return None
    if not name:
        raise ValueError(f"expected a path, as in {kind}:{_example(kind)}")
    if kind == "html":
        try:
            check_extra()
        except MissingExtraError as error:
            raise ValueError(str(error)) from None
    return Wanted(kind=kind, path=folder / name)


def _example(kind: str) -> str:
    if kind == "markdown-append":
        return "$GITHUB_STEP_SUMMARY"
    known = {
        "json": "crashlens-report.json",
        "markdown": "crashlens.md",
        "html": "crashlens.html",
    }
    return known.get(kind, f"{kind}.txt")
