"""Each rule, limit and budget of a crashlens.yml in one plain sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from pytest_crashlens.model.money import format_usd, plain_usd
from pytest_crashlens.policy.config import (
    BLOCK,
    DETECTORS,
    NOTIFY,
    PER_TEST,
    STATES,
    Budget,
    Config,
    Per,
    Rule,
    Severity,
    State,
)
from pytest_crashlens.policy.limits import DEFAULT_LIMITS, METRICS, Increase, Limits, OnExceed
from pytest_crashlens.policy.model_names import ALL

EACH: dict[Per, str] = {
    "call": "each",
    "test": "together in each test",
    "session": "together in the whole run",
}
MEANS: dict[Severity, str] = {
    "error": "fails the run",
    "warn": "is told and fails nothing",
    "ignore": "is not mentioned",
}
TOLD: dict[State, str] = {
    "unpriced": "A cost that no price is known for",
    "missing": "A test without a baseline entry",
    "vanished": "A test whose calls are gone",
    "estimated": "A token count that is not the provider's",
    "basis_changed": "A change of how tokens are counted",
    "uncaptured": "A provider's host that was looked up without a request that was seen",
    "stale": "A baseline entry whose test is gone",
    "incomplete": "A run that may lack calls",
}


def explain(config: Config) -> Iterator[str]:
    """The sentences, in the order of what they are about."""
    yield from _of_tests(config)
    for rule in config.rules:
        yield f"Policy {rule.policy}, rule {rule.number} (line {rule.line}): {rule_text(rule)}"
    for budget in config.budgets:
        limits = _amounts(budget.limits)
        yield f"{_labelled(budget)} together use {limits}; {_breach(budget, 'run')}"
    if whole := _amounts(config.session.limits):
        what = _beyond(config.session.on_exceed, "run")
        yield f"A whole run uses {whole}; {what}"
    if config.anchor:
        fails = "fails the run" if config.anchor.blocks else "is told"
        yield (
            f"A cost that has risen by more than {_percent(config.anchor.max_increase)} since "
            f"{config.anchor.at} {fails}."
        )
    for kind, severity in config.detectors.items():
        if severity != DETECTORS[kind]:
            yield f"A detected {kind.replace('_', ' ')} {MEANS[severity]}."
    for state, text in TOLD.items():
        severity = config.severity(state)
        said = config.uncaptured is not None if state == "uncaptured" else False
        if said or severity != STATES[state]:
            yield f"{text} {MEANS[severity]}."


def rule_text(rule: Rule) -> str:
    """What a rule demands, of which calls, and what a breach does."""
    demands = [text for per in EACH for text in _demands(rule, per)]
    increase = rule.limits.max_increase
    if increase is not None:
        floor = _floor(rule.limits.over(DEFAULT_LIMITS))
        demands.append(f"rise over the baseline by {_increase(increase)}{floor}")
    musts = _and([f"must {demand}" for demand in demands])
    return f"{_which(rule)} {musts}; {_breach(rule, 'test')}"


def _which(rule: Rule) -> str:
    words = ["calls" if _conditions(rule) else "all calls"]
    if rule.task_type is not None:
        words.append(f"for {rule.task_type} (by label, or surely inferred)")
    if rule.input_tokens_max is not None:
        words.append(f"with at most {rule.input_tokens_max:,} input tokens")
    if rule.model_scope is not None and ALL not in rule.model_scope:
        words.append(f"to {_or(rule.model_scope)}")
    return " ".join(words)


def _conditions(rule: Rule) -> bool:
    scoped = rule.model_scope is not None and ALL not in rule.model_scope
    return scoped or rule.task_type is not None or rule.input_tokens_max is not None


def _demands(rule: Rule, per: Per) -> Iterator[str]:
    if per == "call" and rule.disallowed_models:
        instead = f" (instead: {rule.suggest_fallback})" if rule.suggest_fallback else ""
        yield f"not go to {_or(rule.disallowed_models)}{instead}"
    if per == "test" and rule.disallowed_patterns:
        patterns = _or([kind.replace("_", " ") for kind in rule.disallowed_patterns])
        yield f"show no {patterns}"
    if per == "test" and rule.fallback_after is not None:
        times = "1 failure" if rule.fallback_after == 1 else f"{rule.fallback_after} failures"
        instead = rule.suggest_fallback or "a cheaper model"
        yield f"go to {instead} after {times} of a model"
    given = {name: getattr(rule.limits, name) for name in rule.limits.given()}
    given |= {"max_output_tokens": rule.max_output_tokens, "max_retries": rule.max_retries}
    here = {key: v for key, v in given.items() if key not in PER_TEST and rule.per_of(key) == per}
    if amounts := _amounts(Limits(**{key: v for key, v in here.items() if "increase" not in key})):
        yield f"use {amounts} {EACH[per]}"


def _of_tests(config: Config) -> Iterator[str]:
    limits = config.limits.over(DEFAULT_LIMITS)
    if config.baseline_off:
        yield "Nothing is compared with a baseline (baseline: off)."
    elif limits.max_increase is not None:
        yield f"Each test may rise over its baseline by {_increase(limits.max_increase)}" + (
            "." if limits.max_increase.off else f"{_floor(limits)}."
        )
    if absolute := _amounts(config.limits):
        yield f"Each test uses {absolute}; {_beyond(config.limits.on_exceed, 'test')}"
    for path in config.paths:
        if path.limits.max_increase is not None:
            increase = _increase(path.limits.max_increase)
            yield f"Each test of {path.match} may rise over its baseline by {increase}."
        if absolute := _amounts(path.limits):
            what = _beyond(path.limits.on_exceed, "test")
            yield f"Each test of {path.match} uses {absolute}; {what}"


def _beyond(on_exceed: OnExceed | None, what: str) -> str:
    if on_exceed == "stop":
        return f"no request goes out that would cost more, and the {what} fails."
    return f"beyond it the {what} fails."


def _labelled(budget: Budget) -> str:
    if budget.tag is not None:
        return f"Tests tagged {budget.tag}"
    if budget.path is not None:
        return f"Tests of {budget.path}"
    return f"Tests that {budget.owner} owns"


def _amounts(limits: Limits) -> str:
    """``at most $0.05, 10 calls and 2 retries of a call``; empty where nothing is limited."""
    parts = [] if limits.max_cost is None else [format_usd(limits.max_cost)]
    for key, unit in (
        ("max_total_tokens", "token"),
        ("max_input_tokens", "input token"),
        ("max_output_tokens", "output token"),
        ("max_calls", "call"),
        ("max_retries", "retry"),
    ):
        number = getattr(limits, key)
        if number is not None:
            many = "retries" if unit == "retry" else f"{unit}s"
            parts.append(f"{number:,} {unit if number == 1 else many}")
    return f"at most {_and(parts)}" if parts else ""


def _increase(increase: Increase) -> str:
    if increase.off:
        return "any amount (max_increase: off)"
    parts = [
        f"{_percent(value)} in {metric.replace('_', ' ')}"
        for metric in METRICS
        if (value := increase.limit(metric)) is not None
    ]
    same = {increase.limit(metric) for metric in METRICS}
    if len(same) == 1 and increase.default is not None:
        return f"at most {_percent(increase.default)} in {_and(_spoken(METRICS))}"
    return f"at most {_and(parts)}"


def _floor(limits: Limits) -> str:
    least = []
    if limits.min_increase_tokens is not None:
        least.append(f"{limits.min_increase_tokens:,} tokens")
    if limits.min_increase_cost is not None:
        least.append(format_usd(limits.min_increase_cost))
    return f" (a rise of at most {_or(least)} passes)" if least else ""


def _breach(one: Rule | Budget, what: str) -> str:
    parts = [f"fails the {what}"] if BLOCK in one.actions else ["is told", "fails nothing"]
    if isinstance(one, Rule) and one.per == "session" and BLOCK in one.actions:
        parts = ["fails the run"]
    if NOTIFY in one.actions:
        parts.append(f"is a message for {one.alert_channel}")
    return f"a breach {_and(parts)}."


def _percent(value: Decimal) -> str:
    return f"{plain_usd(value)} %"


def _spoken(names: Iterable[str]) -> list[str]:
    return [name.replace("_", " ") for name in names]


def _and(parts: Sequence[str]) -> str:
    return _joined(parts, "and")


def _or(parts: Sequence[str]) -> str:
    return _joined(parts, "or")


def _joined(parts: Sequence[str], word: str) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"
