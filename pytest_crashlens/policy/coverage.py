"""What a run could not see, and live calls that it would not let out: findings of their own."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_crashlens.capture.spend_guard import SPEND_CAP
from pytest_crashlens.policy.config import Severity
from pytest_crashlens.policy.verdict import Finding


def uncaptured_findings(
    hosts: Iterable[str], severity: Severity | None, *, expected: bool
) -> list[Finding]:
    """One for each provider host that was looked up though no request to it was seen.

    Args:
        hosts: their names.
        severity: what crashlens.yml says; None: an error where calls are ``expected``. Where they
            are not, the run is called incomplete instead.
        expected: whether the baseline has calls here.
    """
    if severity == "ignore" or (severity is None and not expected):
        return []
    return [
        Finding(
            kind="uncaptured",
            text=f"{uncaptured_text(host)}; add them by crashlens.record(...), or say "
            "'uncaptured: warn' in crashlens.yml",
            blocks=severity != "warn",
        )
        for host in hosts
    ]


def uncaptured_text(host: str) -> str:
    """What is known of a host that was looked up without a request that was seen."""
    return f"{host} was looked up and no request to it was seen: its calls are not measured"


def stale_finding(number: int, *, blocks: bool) -> Finding:
    """Entries whose tests are gone."""
    entries = "1 entry is" if number == 1 else f"{number:,} entries are"
    tests = "its test is" if number == 1 else "their tests are"
    return Finding(kind="stale", text=f"{entries} stale ({tests} gone)", blocks=blocks)


def refused_findings(refusals: Iterable[str]) -> list[Finding]:
    """One for each live call that was refused, also where the test swallowed the refusal."""
    return [
        Finding(kind="spend_cap" if text.startswith(SPEND_CAP) else "live_call", text=text)
        for text in refusals
    ]
