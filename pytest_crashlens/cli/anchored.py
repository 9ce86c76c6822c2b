"""The anchor of crashlens.yml, looked up for a command."""

from __future__ import annotations

from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.cli.project import Project
from pytest_crashlens.policy.anchor import find_anchored
from pytest_crashlens.policy.verdict import Finding


def creep(project: Project, baseline: Baseline) -> tuple[Finding, ...]:
    """What rose too far since the anchor; nothing where crashlens.yml has none.

    Raises:
        CrashlensError: It cannot be looked up.
    """
    anchor = project.config.anchor
    if anchor is None:
        return ()
    return find_anchored(anchor, project.path).creep(baseline.entries, baseline.cards)
