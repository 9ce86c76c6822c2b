"""crashlens.yml as frozen data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pytest_crashlens.policy.document import Problem
from pytest_crashlens.policy.limits import DEFAULT_LIMITS, Limits
from pytest_crashlens.policy.model_names import first_match
from pytest_crashlens.policy.paths import matches_key
from pytest_crashlens.pricing.book import UserPrice

Per = Literal["call", "test", "session"]
"""What a limit is held against: one call, or the sum of a test's or of the session's calls."""
PER: tuple[Per, ...] = ("call", "test", "session")

Severity = Literal["error", "warn", "ignore"]
"""What a state means: it fails, it is told, or it is nothing."""
SEVERITIES: tuple[Severity, ...] = ("error", "warn", "ignore")

BLOCK = "block_pr"
NOTIFY = "slack_notify"
ACTIONS = (BLOCK, NOTIFY)

PER_CALL = frozenset({"disallowed_models", "max_retries", "max_output_tokens"})
"""The reference limits: per call unless the rule says otherwise; all others are per test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Limits for the calls that meet all its conditions."""

    policy: str
    """Name of its policy."""
    number: int
    """1-based place in its policy."""
    line: int
    task_type: str | None = None
    """Condition: the call's task."""
    input_tokens_max: int | None = None
    """Condition: calls of at most this many input tokens."""
    model_scope: tuple[str, ...] | None = None
    """Condition: names or globs of models; None or ``("all",)``: every model."""
    disallowed_models: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    max_retries: int | None = None
    per: Per | None = None
    """As given; see :meth:`per_of`."""
    limits: Limits = field(default_factory=Limits)
    """All limits but the three above."""
    suggest_fallback: str | None = None
    alert_channel: str | None = None
    actions: tuple[str, ...] = (BLOCK,)

    @property
    def blocks(self) -> bool:
        """Whether a breach fails the test or the session."""
        return BLOCK in self.actions

    def per_of(self, limit: str) -> Per:
        """What ``limit`` (its key in crashlens.yml) is held against."""
        if limit == "disallowed_models":
            return "call"  # each call has its own model, whatever is summed
        return self.per or ("call" if limit in PER_CALL else "test")

    def covers_model(self, models: Iterable[str | None]) -> bool:
        """Whether a call with these model ids (requested, returned) is in ``model_scope``."""
        return self.model_scope is None or first_match(self.model_scope, models) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules under one name; each stands for itself."""

    name: str
    line: int
    description: str | None = None
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLimits:
    """Limits for the tests whose key matches a glob."""

    match: str
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A folder of prompts; ``interval`` is for the CI job we write, nothing here runs by it."""

    ecosystem: str
    directory: Path
    interval: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """How far costs may have risen since a point of the repository's history."""

    at: str
    """A commit, tag or day (``YYYY-MM-DD``)."""
    max_increase: Decimal
    """Percent: 50 for ``50%``."""
    blocks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything crashlens.yml says; the defaults are what holds without one."""

    path: Path | None = None
    """Where it was read; None: there is no file."""
    limits: Limits = field(default_factory=Limits)
    """As given; :meth:`limits_for` adds the defaults."""
    paths: tuple[PathLimits, ...] = ()
    policies: tuple[Policy, ...] = ()
    baseline: str | None = None
    """Path of the baseline file relative to the project root, where one is given."""
    baseline_off: bool = False
    uncaptured: Severity | None = None
    """What provider hosts mean whose calls were not seen; None: see ``policy.coverage``."""
    stale: Severity = "warn"
    """What entries mean whose tests are gone."""
    anchor: Anchor | None = None
    """How far tests may have risen since a commit, in however small steps."""
    max_accept_increase: Decimal | None = None
    """Percent of cost by which ``crashlens accept`` lets a test rise without ``--force``."""
    prices: tuple[UserPrice, ...] = ()
    updates: tuple[Update, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all policies, in order."""
        return tuple(rule for policy in self.policies for rule in policy.rules)

    def limits_for(self, key: str, marker: Limits | None = None) -> Limits:
        """The limits of one test, key by key from the closest place that sets it.

        The marker, then ``paths`` (later ones first), then ``limits``, then the defaults.
        """
        limits = self.limits.over(DEFAULT_LIMITS)
        for path in self.paths:
            if matches_key(path.match, key):
                limits = path.limits.over(limits)
        return marker.over(limits) if marker else limits


def project_root(path: Path) -> Path:
    """The folder that paths in the file ``path`` start from: its own, or above ``.github``."""
    folder = path.parent
    return folder.parent if folder.name == ".github" else folder
