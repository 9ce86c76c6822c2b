"""All files of a project: what is wrong in them, what is silenced, what could not be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from pytest_crashlens.policy.config import Config
from pytest_crashlens.scan.facts import Place
from pytest_crashlens.scan.judge import Finding, judge, unclear_caps
from pytest_crashlens.scan.look import look
from pytest_crashlens.scan.source import Unreadable, is_silenced, parse, read

SILENT = "# crashlens: ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something to tell about a line that no policy is about."""

    file: str
    line: int
    text: str

    def render(self) -> str:
        """``file:line:col: warning: text``."""
        return f"{self.file}:{self.line}:1: warning: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What was found in files."""

    files: int = 0
    findings: tuple[Finding, ...] = ()
    silenced: tuple[Finding, ...] = ()
    useless: tuple[Note, ...] = ()
    """Comments that silence nothing."""
    unclear_caps: int = 0
    """Calls whose output cap is limited and not known."""

    @property
    def unreadable(self) -> tuple[Finding, ...]:
        """Those of the findings that are about files of which nothing was scanned."""
        return tuple(finding for finding in self.findings if finding.kind == "unreadable")


def scan(files: Sequence[Path], config: Config, *, root: Path, here: Path) -> Scanned:
    """Look into ``files``; paths in crashlens.yml start at ``root``, those shown at ``here``."""
    every = [_scan_file(file, config, root, here) for file in files]
    return Scanned(
        files=len(files),
        findings=tuple(finding for each in every for finding in each.findings),
        silenced=tuple(finding for each in every for finding in each.silenced),
        useless=tuple(note for each in every for note in each.useless),
        unclear_caps=sum(each.unclear_caps for each in every),
    )


def _scan_file(file: Path, config: Config, root: Path, here: Path) -> Scanned:
    shown = posix(file, here)
    try:
        data = read(file)
    except Unreadable as error:
        return _not_scanned(shown, error, silenced=False)
    return scan_text(data, posix(file, root), config, shown=shown)


def _not_scanned(shown: str, error: Unreadable, *, silenced: bool) -> Scanned:
    finding = Finding(
        file=shown,
        place=Place(line=error.line, column=1, end_line=error.line),
        kind="unreadable",
        text=f"{error}; it was not scanned",
        fix=f"mend it, or pass it over: {SILENT} in its first lines",
        blocks=True,  # it may hold anything
    )
    if silenced:
        return Scanned(files=1, silenced=(finding,))
    return Scanned(files=1, findings=(finding,))


def scan_text(data: bytes, name: str, config: Config, *, shown: str) -> Scanned:
    """What is found in the content of one file, whose path from the root is ``name``."""
    try:
        source = parse(data)
    except Unreadable as error:
        return _not_scanned(shown, error, silenced=is_silenced(data))
    facts = look(source.tree)
    findings = judge(name, facts, config)
    kept: list[Finding] = []
    silenced: list[Finding] = []
    used: set[int] = set()
    for finding in findings:
        lines = {finding.place.line, finding.place.end_line} & source.silences
        used |= lines
        (silenced if lines else kept).append(replace(finding, file=shown))
    useless = (
        Note(file=shown, line=line, text=f"{SILENT} silences nothing here; remove it")
        for line in sorted(source.silences - used)
    )
    return Scanned(
        files=1,
        findings=tuple(kept),
        silenced=tuple(silenced),
        useless=tuple(useless),
        unclear_caps=unclear_caps(name, facts, config),
    )


def posix(path: Path, start: Path) -> str:
    """``path`` from ``start``, where that is above it."""
    absolute = os.path.normpath(path)
    if Path(absolute).is_relative_to(start):
        return Path(absolute).relative_to(start).as_posix()
    return PurePath(absolute).as_posix()
