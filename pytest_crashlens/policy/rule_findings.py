"""What a rule of crashlens.yml says about the calls of a test, or of the session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.detect.detectors import detect
from pytest_crashlens.detect.repeats import RETRIES_ALLOWED
from pytest_crashlens.detect.seen import Seen
from pytest_crashlens.model.call import Call
from pytest_crashlens.policy.config import Per, Rule
from pytest_crashlens.policy.failover import failover_findings
from pytest_crashlens.policy.limits import DEFAULT_LIMITS, Limits
from pytest_crashlens.policy.model_names import first_match
from pytest_crashlens.policy.scope import call_names, in_scope
from pytest_crashlens.policy.task_types import task_of, task_words
from pytest_crashlens.policy.verdict import (
    CostOf,
    Finding,
    against_baseline,
    over,
    totals,
    within_limits,
)

SeenOf = Callable[[Sequence[Call]], Sequence[Seen]]
"""Calls with their prices, as the detectors want them."""
ByState = Callable[[Iterable[Finding]], Iterable[Finding]]


def by_rule(
    rule: Rule,
    calls: Sequence[Call],
    cost_of: CostOf,
    *,
    comparison: Comparison | None = None,
    seen: SeenOf | None = None,
    by_state: ByState = iter,
    session: bool = False,
) -> list[Finding]:
    """Findings of one rule over the calls of one test, or over those of the whole session.

    Those against the baseline keep their kind, as an update may accept them; all others are of
    kind ``policy``.

    Args:
        rule: the rule.
        calls: of the test or the session; the rule is held against those it is about.
        cost_of: prices them.
        comparison: the test against its baseline; None: there is nothing to compare with.
        seen: what detectors look at; None: patterns and failovers are not judged.
        by_state: leaves out, or lets pass, what crashlens.yml says of states.
        session: only what the rule limits per session; without it all the rest.
    """
    matching = [call for call in calls if applies(rule, call)]
    if not matching:
        return []
    findings: list[Finding] = []
    relative: list[Finding] = []
    task = task_words(rule, matching)
    if session:
        findings += _sums(matching, _limits_per(rule, "session"), cost_of, f"this session{task}")
    else:
        findings += [_disallowed(rule, call, banned) for call, banned in _banned(rule, matching)]
        if seen is not None and (rule.disallowed_patterns or rule.fallback_after is not None):
            findings += _patterns(rule, seen(matching))
            findings += failover_findings(rule, seen(calls), lambda call: applies(rule, call))
        for call in matching:
            where = f"one call to {call.model or 'an unnamed model'}{task_words(rule, [call])}"
            findings += within_limits([call], _limits_per(rule, "call"), cost_of, where=where)
        findings += _sums(matching, _limits_per(rule, "test"), cost_of, f"this test{task}")
        if comparison is not None and rule.limits.max_increase is not None:
            own = replace(rule.limits.over(DEFAULT_LIMITS), max_increase=rule.limits.max_increase)
            compared, of = in_scope(rule, matching, comparison)
            relative = [replace(f, text=f.text + of) for f in against_baseline(compared, own)]
    absolute = [replace(f, kind="policy") for f in by_state(findings)]
    return [
        replace(f, policy=rule.policy, channel=rule.notifies, blocks=f.blocks and rule.blocks)
        for f in (*by_state(relative), *absolute)
    ]


def _limits_per(rule: Rule, per: Per) -> Limits:
    """The rule's absolute limits that are held against ``per``."""
    given = rule.limits.over(
        Limits(max_retries=rule.max_retries, max_output_tokens=rule.max_output_tokens)
    )
    absolute = [
        name for name in given.given() if name.startswith("max_") and "increase" not in name
    ]
    return Limits(**{n: getattr(given, n) for n in absolute if rule.per_of(n) == per})


def _sums(calls: Sequence[Call], limits: Limits, cost_of: CostOf, where: str) -> list[Finding]:
    """Like :func:`within_limits`, with the retries of all calls together."""
    findings = totals(calls, limits, cost_of, where)
    retries = sum(call.retries for call in calls)
    if limits.max_retries is not None and retries > limits.max_retries:
        findings.append(over("retries", retries, limits.max_retries, where))
    return findings


def _banned(rule: Rule, calls: Iterable[Call]) -> Iterable[tuple[Call, str]]:
    for call in calls:
        pattern = first_match(rule.disallowed_models, call_names(call))
        if pattern is not None:
            yield call, pattern


def _patterns(rule: Rule, calls: Sequence[Seen]) -> Iterable[Finding]:
    allowed = RETRIES_ALLOWED if rule.max_retries is None else rule.max_retries
    for one in detect(calls, retries_allowed=allowed):
        if one.kind in rule.disallowed_patterns:
            yield pattern_finding(one)


def pattern_finding(one: Detection) -> Finding:
    """A detection that breaks a rule, or that fails a test by itself."""
    return Finding(
        kind="pattern",
        text=f"{one.text} ({one.kind})",
        call_site=one.call_sites[0] if one.call_sites else None,
    )


def _disallowed(rule: Rule, call: Call, pattern: str) -> Finding:
    task = task_words(rule, [call])
    advice = f"; use {rule.suggest_fallback}" if rule.suggest_fallback else ""
    return Finding(
        kind="policy",
        text=f"{call.model} is disallowed{task}{advice}",
        metric="model",
        limit=f"not {pattern}",
        call_site=call.call_site,
    )


def applies(rule: Rule, call: Call) -> bool:
    """All match keys hold; what a key needs and nobody knows counts as a match (fail closed).

    A task that nobody knows is none: the run says that it was not held against the rule.
    """
    if rule.task_type is not None and task_of(call) != rule.task_type:
        return False
    if rule.input_tokens_max is not None:
        tokens = call.usage.input_tokens
        if tokens is not None and tokens > rule.input_tokens_max:
            return False
    return rule.covers_model(call_names(call))
