"""The one place that knows pytest-xdist: what workers hand over when they go down."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_crashlens.collection import ATTRIBUTE
from pytest_crashlens.judge import Judge
from pytest_crashlens.model.phase_usage import PhaseUsage

NAME = "crashlens-xdist"


class XdistBridge:
    """Passes the last words of workers to the judge."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {})
        rest = told.get(PhaseUsage.ATTRIBUTE)
        if rest is not None:
            self._judge.add_rest(rest)
        self._judge.extent.add(told.get(ATTRIBUTE))
