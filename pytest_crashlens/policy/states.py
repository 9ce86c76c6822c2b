"""What crashlens.yml says of states: they fail, are told, or are nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_crashlens.model.call import Call
from pytest_crashlens.policy.config import Config, State
from pytest_crashlens.policy.verdict import Finding, FindingKind

_STATES: Mapping[FindingKind, State] = {
    "unpriced": "unpriced",
    "missing": "missing",
    "vanished": "vanished",
    "basis_changed": "basis_changed",
}
"""The findings that stand for a state."""


def by_state(config: Config, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings without what is ignored; what is only told blocks nothing."""
    for finding in findings:
        state = _STATES.get(finding.kind)
        severity = "error" if state is None else config.severity(state)
        if severity != "ignore":
            yield replace(finding, blocks=finding.blocks and severity == "error")


def estimated_findings(config: Config, calls: Sequence[Call]) -> list[Finding]:
    """That the figures are estimates, where that fails; else ``~`` before them says it."""
    if config.severity("estimated") != "error":
        return []
    counted = sum(call.billed and call.usage_source in ("tokenizer", "estimated") for call in calls)
    if not counted:
        return []
    text = (
        f"the usage of {counted} of {len(calls)} calls is not the provider's: it was counted here "
        "('estimated: error' in crashlens.yml)"
    )
    return [Finding(kind="estimated", text=text)]


def incomplete_finding(config: Config, reasons: Sequence[str]) -> list[Finding]:
    """That the figures are not the whole run's, where that fails."""
    if not reasons or config.severity("incomplete") != "error":
        return []
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return [Finding(kind="incomplete", text=f"the run is incomplete: {reasons[0]}{more}")]
