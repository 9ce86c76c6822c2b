"""The one place that knows pytest-xdist: what workers hand over when they go down."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_crashlens.judge import Judge
from pytest_crashlens.model.phase_usage import PhaseUsage

NAME = "crashlens-xdist"


class XdistBridge:
    """Passes the last words of workers to the judge."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        rest = getattr(node, "workeroutput", {}).get(PhaseUsage.ATTRIBUTE)
        if rest is not None:
            self._judge.add_rest(rest)
