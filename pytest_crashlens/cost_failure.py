"""How pytest is told that a test failed because of its cost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.report.failure import failure_lines, headline


@dataclass(frozen=True, slots=True)
class _Crash:
    """What pytest reads of a failure besides its text."""

    path: str
    lineno: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class CostFailure:
    """The ``longrepr`` of a test that passed and cost too much."""

    def __init__(self, assessment: Assessment, accept_command: str) -> None:
        path = assessment.nodeid.partition("::")[0]
        self._lines = failure_lines(assessment, accept_command)
        self.reprcrash = _Crash(path, 1, headline(assessment))

    def toterminal(self, tw: pytest.TerminalReporter) -> None:
        """Write the text, the lines that fail in red."""
        for line in self._lines:
            tw.line(line, red=line.startswith("E"), bold=line.startswith("E"))

    def __str__(self) -> str:
        return "\n".join(self._lines)
