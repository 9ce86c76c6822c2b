"""crashlens.yml as frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from pytest_crashlens.detect.detection import DetectionKind
from pytest_crashlens.policy.document import Problem
from pytest_crashlens.policy.limits import DEFAULT_LIMITS, Limits, OnExceed
from pytest_crashlens.policy.model_names import ALL, first_match
from pytest_crashlens.policy.paths import matches_key
from pytest_crashlens.pricing.book import UserPrice

Per = Literal["call", "test", "session"]
"""What a limit is held against: one call, or the sum of a test's or of the session's calls."""
PER: tuple[Per, ...] = ("call", "test", "session")

Severity = Literal["error", "warn", "ignore"]
"""What a state means: it fails, it is told, or it is nothing."""
SEVERITIES: tuple[Severity, ...] = ("error", "warn", "ignore")

State = Literal[
    "unpriced",
    "missing",
    "vanished",
    "estimated",
    "basis_changed",
    "uncaptured",
    "stale",
    "incomplete",
]
"""What keeps a cost from being known or compared; each is a key of crashlens.yml."""
STATES: Mapping[State, Severity] = MappingProxyType(
    {
        "unpriced": "error",
        "missing": "error",
        "vanished": "error",
        "estimated": "warn",
        "basis_changed": "error",
        "uncaptured": "error",
        "stale": "warn",
        "incomplete": "warn",
    }
)
"""What they mean where crashlens.yml is silent. ``uncaptured`` is more than a word: see
:func:`pytest_crashlens.policy.coverage.uncaptured_findings`."""

DETECTIONS: tuple[DetectionKind, ...] = get_args(DetectionKind)
DETECTORS: Mapping[DetectionKind, Severity] = MappingProxyType(dict.fromkeys(DETECTIONS, "warn"))
"""What detections mean where crashlens.yml is silent: they inform."""

BLOCK = "block_pr"
NOTIFY = "slack_notify"
ACTIONS = (BLOCK, NOTIFY)

PER_CALL = frozenset({"disallowed_models", "max_retries", "max_output_tokens"})
"""The reference limits: per call unless the rule says otherwise; all others are per test."""
PER_TEST = frozenset({"disallowed_patterns", "fallback_after"})
"""What only several calls of one test can show, whatever the rule says."""


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
    disallowed_patterns: tuple[DetectionKind, ...] = ()
    """What a detector must not find in a test's calls."""
    fallback_after: int | None = None
    """Failures of a model after which calls must go to a cheaper one."""
    max_output_tokens: int | None = None
    max_retries: int | None = None
    per: Per | None = None
    """As given; see :meth:`per_of`."""
    limits: Limits = field(default_factory=Limits)
    """All limits but those above."""
    suggest_fallback: str | None = None
    alert_channel: str | None = None
    actions: tuple[str, ...] = (BLOCK,)

    @property
    def blocks(self) -> bool:
        """Whether a breach fails the test or the session."""
        return BLOCK in self.actions

    @property
    def notifies(self) -> str | None:
        """The channel that is told of a breach."""
        return self.alert_channel if NOTIFY in self.actions else None

    @property
    def is_unconditional(self) -> bool:
        """Whether it holds each call of every test against its limits."""
        asked = (self.task_type, self.input_tokens_max)
        everywhere = self.model_scope is None or ALL in self.model_scope
        return everywhere and asked == (None, None) and self.per in (None, "call")

    def per_of(self, limit: str) -> Per:
        """What ``limit`` (its key in crashlens.yml) is held against."""
        if limit == "disallowed_models":
            return "call"  # each call has its own model, whatever is summed
        if limit in PER_TEST:
            return "test"
        return self.per or ("call" if limit in PER_CALL else "test")

    def covers_model(self, models: Iterable[str | None]) -> bool:
        """Whether a call with these model ids (requested, returned) is in ``model_scope``."""
        scope = self.model_scope
        return scope is None or ALL in scope or first_match(scope, models) is not None


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
class Budget:
    """Limits for the sum of the tests that share a label: exactly one of the first three."""

    tag: str | None = None
    """Of a marker: ``tags="checkout"``."""
    path: str | None = None
    """A glob, as ``paths`` have."""
    owner: str | None = None
    """A user or team of CODEOWNERS."""
    limits: Limits
    actions: tuple[str, ...] = (BLOCK,)
    alert_channel: str | None = None
    line: int = 0

    @property
    def label(self) -> str:
        """How reports call it: ``tag checkout``, ``path tests/live/**``, ``owner @acme/search``."""
        kinds = {"tag": self.tag, "path": self.path, "owner": self.owner}
        return next((f"{kind} {name}" for kind, name in kinds.items() if name is not None), "")

    @property
    def blocks(self) -> bool:
        """Whether a breach fails the session."""
        return BLOCK in self.actions

    @property
    def notifies(self) -> str | None:
        """The channel that is told of a breach."""
        return self.alert_channel if NOTIFY in self.actions else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Limits for the sum of everything that a run calls."""

    limits: Limits = field(default_factory=Limits)
    on_exceed: OnExceed = "fail"
    cap: Decimal | None = None
    """The spend cap that the command line or the ini file gives, in USD; None: none."""

    @property
    def caps(self) -> tuple[Decimal, ...]:
        """What may be spent, in USD; the smallest holds."""
        own = self.limits.max_cost if self.on_exceed == "stop" else None
        return tuple(usd for usd in (self.cap, own) if usd is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPath:
    """The task of the calls of tests whose key matches a glob."""

    match: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How often production does what a test does once; at most one is given."""

    calls_per_month: int | None = None
    runs_per_month: int | None = None


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
    severities: Mapping[State, Severity] = field(default_factory=dict)
    """As given, without the two above; see :meth:`severity`."""
    budgets: tuple[Budget, ...] = ()
    session: SessionLimits = field(default_factory=SessionLimits)
    detectors: Mapping[DetectionKind, Severity] = field(default_factory=lambda: DETECTORS)
    """What it means that one found something; every kind is there."""
    tasks: tuple[TaskPath, ...] = ()
    volume: Volume = field(default_factory=Volume)
    slack_webhooks: Mapping[str, str] = field(default_factory=dict)
    """By channel: the environment variable that holds the URL."""
    webhook: str | None = None
    """The environment variable that holds the URL to which JSON is posted."""
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

    def severity(self, state: State) -> Severity:
        """What ``state`` means: as given, else its default."""
        if state == "uncaptured":
            return self.uncaptured or STATES[state]
        return self.stale if state == "stale" else self.severities.get(state, STATES[state])

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
