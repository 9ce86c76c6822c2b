"""What parts of a crashlens.yml say together: what contradicts, hides or switches off another."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Literal

from pytest_crashlens.policy.config import NOTIFY, Config, Rule
from pytest_crashlens.policy.field import Field
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.model_names import ALL, first_match, is_glob, matches_model
from pytest_crashlens.tasks.infer import CONFIDENCE

SUMS = ("max_cost", "max_total_tokens", "max_input_tokens", "max_calls")
NUMBERS = ("max_output_tokens", "max_retries", *SUMS)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to be said about a part of the file."""

    path: str
    """As :class:`pytest_crashlens.policy.document.Problem` has it."""
    text: str
    severity: Literal["error", "warning"] = "warning"


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule, and where it stands."""

    path: str
    rule: Rule

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.path} in line {self.rule.line}"


def remark(root: Field, remarks: Iterator[Remark]) -> None:
    """Note ``remarks`` about the file ``root`` where they belong."""
    fields = {field.path: field for field in root.walk()}
    for one in remarks:
        field = fields.get(one.path, root)
        (field.error if one.severity == "error" else field.warn)(one.text)


def is_sound(path: str, broken: Collection[str]) -> bool:
    """Whether nothing at or in ``path`` is among the ``broken`` paths."""
    return not any(re.match(rf"{re.escape(path)}($|[.\[])", one) for one in broken)


def placed(config: Config, broken: Collection[str]) -> tuple[Placed, ...]:
    """All rules with their places, but those with errors: who knows what they should say."""
    found = (
        Placed(f"policies[{at}].rules[{rule.number}]", rule)
        for at, policy in enumerate(config.policies, 1)
        for rule in policy.rules
    )
    return tuple(one for one in found if is_sound(one.path, broken))


def contradictions(config: Config, broken: Collection[str] = ()) -> Iterator[Remark]:
    """What contradicts, hides or switches off another part.

    Args:
        config: may be in part what was meant.
        broken: the paths of its errors: nothing is said of what they touch.
    """
    rules = placed(config, broken)
    for number, one in enumerate(rules):
        yield from _task(config, one)
        for other in rules:
            if other is not one:
                yield from _fallback(one, other)
        yield from _shadowed(one, rules[:number], rules[number + 1 :])
        yield from _hidden(one.rule.limits, f"{one.path}.", same=one.rule.per in (None, "test"))
        yield from _failover_first(one)
    yield from _hidden(config.limits, "limits.")
    parts = [part for part in ("paths", "tasks", "budgets") if is_sound(part, broken)]
    if "paths" in parts:
        for number, path in enumerate(config.paths, 1):
            yield from _hidden(path.limits, f"paths[{number}].limits.")
        yield from _overruled_limits(config)
    if "tasks" in parts:
        yield from _overruled_tasks(config)
    if "budgets" in parts:
        yield from _beyond_session(config)
    if is_sound("detectors", broken):
        yield from _ignored_patterns(config, rules)
    if is_sound("baseline", broken) and config.baseline_off and "paths" in parts:
        yield from _without_baseline(config, rules)
    if is_sound("unpriced", broken):
        yield from _unpriced_ignored(config, rules)


def _task(config: Config, one: Placed) -> Iterator[Remark]:
    task = one.rule.task_type
    if task is None or task in CONFIDENCE or task in {path.task for path in config.tasks}:
        return
    if near := get_close_matches(task, CONFIDENCE, n=1, cutoff=0.8):
        yield Remark(
            f"{one.path}.task_type",
            f"{task} is inferred of no call; did you mean {near[0]}? Else only calls with that "
            "very label match",
        )


def _fallback(one: Placed, other: Placed) -> Iterator[Remark]:
    fallback, second = one.rule.suggest_fallback, other.rule
    if fallback is None or not second.covers_model([fallback]):
        return
    banned = first_match(second.disallowed_models, [fallback])
    if banned is None or not _same_task_possible(one.rule, second):
        return
    always = second.blocks and _covers_calls(second, one.rule)
    yield Remark(
        f"{one.path}.suggest_fallback",
        f'is disallowed (by "{banned}") for {"the same" if always else "some of these"} calls by '
        f"{other.place}; suggest another model",
        "error" if always else "warning",
    )


def _shadowed(
    one: Placed, before: tuple[Placed, ...], after: tuple[Placed, ...]
) -> Iterator[Remark]:
    """Limits that another rule breaks first, always; of two equal ones the later is named."""
    for key in _limits(one.rule):
        for other in (*before, *after):
            if not (_says_as_much(other.rule, one.rule) and _stricter(other.rule, one.rule, key)):
                continue
            same = _says_as_much(one.rule, other.rule) and _stricter(one.rule, other.rule, key)
            if same and other in after:
                continue
            yield Remark(
                f"{one.path}.{key}",
                f"is shadowed by {other.place}, which holds for the same calls and allows "
                f"{'as much' if same else 'no more'}: it can never be the one to fail; remove it"
                + ("" if same else ", or tighten it"),
            )
            break


def _limits(rule: Rule) -> Mapping[str, object]:
    given = {key: getattr(rule.limits, key) for key in (*SUMS, "max_increase")}
    given |= {
        key: getattr(rule, key)
        for key in (
            "disallowed_models",
            "disallowed_patterns",
            "fallback_after",
            "max_output_tokens",
            "max_retries",
        )
    }
    return {key: value for key, value in given.items() if value}


def _says_as_much(other: Rule, rule: Rule) -> bool:
    """Whether a breach of ``other`` fails what ``rule`` fails and tells whom ``rule`` tells."""
    if not set(rule.actions) <= set(other.actions) or not _covers(other, rule):
        return False
    return NOTIFY not in rule.actions or rule.alert_channel == other.alert_channel


def _stricter(other: Rule, rule: Rule, key: str) -> bool:
    """Whether, of the same calls, ``other`` allows no more of ``key``."""
    mine, its = _limits(rule)[key], _limits(other).get(key)
    if not its or other.per_of(key) != rule.per_of(key):
        return False
    if key == "disallowed_models":
        return all(
            any(_covers_name(i, m) for i in other.disallowed_models) for m in rule.disallowed_models
        )
    if key in NUMBERS:
        return _number(its) <= _number(mine)
    # the rest looks at several calls, or at parts of a test: comparable only for equal parts
    if not _covers(rule, other):
        return False
    if key == "disallowed_patterns":
        return set(rule.disallowed_patterns) <= set(other.disallowed_patterns)
    if key == "fallback_after":
        return _number(its) <= _number(mine)
    floors = (rule.limits.min_increase_tokens, rule.limits.min_increase_cost)
    return its == mine and floors == (
        other.limits.min_increase_tokens,
        other.limits.min_increase_cost,
    )


def _number(value: object) -> Decimal:
    return Decimal(value) if isinstance(value, int | Decimal) else Decimal(0)


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Whether ``wide`` is about every call that ``narrow`` is about."""
    if not _covers_calls(wide, narrow):
        return False
    if wide.model_scope is None or any(_covers_name(w, ALL) for w in wide.model_scope):
        return True
    return narrow.model_scope is not None and all(
        any(_covers_name(w, n) for w in wide.model_scope) for n in narrow.model_scope
    )


def _covers_calls(wide: Rule, narrow: Rule) -> bool:
    if wide.task_type not in (None, narrow.task_type):
        return False
    if wide.input_tokens_max is None:
        return True
    return narrow.input_tokens_max is not None and narrow.input_tokens_max <= wide.input_tokens_max


def _covers_name(wide: str, narrow: str) -> bool:
    """Whether every model that ``narrow`` names is also one that ``wide`` names; no in doubt."""
    wide, narrow = wide.strip().lower(), narrow.strip().lower()
    if wide in (ALL, "*", narrow):
        return True
    if narrow == ALL or is_glob(narrow) or (is_glob(wide) and not wide.endswith("*")):
        return False
    return matches_model(wide, narrow)


def _same_task_possible(one: Rule, other: Rule) -> bool:
    return None in (one.task_type, other.task_type) or one.task_type == other.task_type


def _hidden(limits: Limits, path: str, *, same: bool = True) -> Iterator[Remark]:
    """Parts that cannot be larger than the whole."""
    total = limits.max_total_tokens
    for key in ("max_input_tokens", "max_output_tokens") if same and total is not None else ():
        value = getattr(limits, key)
        if value is not None and value >= total:
            yield Remark(
                f"{path}{key}",
                f"can never be the one to fail: max_total_tokens allows {total}; lower it, or "
                "remove it",
            )


def _failover_first(one: Placed) -> Iterator[Remark]:
    retries, due = one.rule.max_retries, one.rule.fallback_after
    if retries is not None and due is not None and due <= retries + 1:
        yield Remark(
            f"{one.path}.max_retries",
            f"can never be the one to fail: fallback_after wants another model after {due}; "
            "lower it, or remove it",
        )


def _overruled_limits(config: Config) -> Iterator[Remark]:
    """Path limits that a later, wider entry replaces: the last match holds."""
    for number, path in enumerate(config.paths, 1):
        for at, later in enumerate(config.paths[number:], number + 1):
            replaced = later.limits.over(path.limits) == later.limits
            if replaced and _covers_glob(later.match, path.match):
                yield Remark(
                    f"paths[{number}].match",
                    f'never counts: "{later.match}" (paths[{at}]) matches too, comes later and '
                    "says as much; move this one behind it",
                )
                break


def _overruled_tasks(config: Config) -> Iterator[Remark]:
    """The same of tasks."""
    for number, task in enumerate(config.tasks, 1):
        for at, wider in enumerate(config.tasks[number:], number + 1):
            if _covers_glob(wider.match, task.match):
                yield Remark(
                    f"tasks[{number}].match",
                    f'never counts: "{wider.match}" (tasks[{at}]) matches too and comes later; '
                    "move this one behind it",
                )
                break


def _covers_glob(wide: str, narrow: str) -> bool:
    return wide == "**" or (wide.endswith("/**") and narrow.startswith(wide[:-2]))


def _beyond_session(config: Config) -> Iterator[Remark]:
    """Budgets that the whole run cannot reach."""
    for number, budget in enumerate(config.budgets, 1):
        for key in ("max_cost", "max_total_tokens", "max_calls"):
            part, whole = getattr(budget.limits, key), getattr(config.session.limits, key)
            if part is not None and whole is not None and part >= whole:
                yield Remark(
                    f"budgets[{number}].{key}",
                    "can never be the first to fail: session: allows no more for everything "
                    "together; lower it, or raise that",
                )


def _ignored_patterns(config: Config, rules: Iterable[Placed]) -> Iterator[Remark]:
    ignored = {kind for kind, severity in config.detectors.items() if severity == "ignore"}
    for one in rules:
        for number, kind in enumerate(one.rule.disallowed_patterns, 1):
            if kind in ignored:
                yield Remark(
                    f"{one.path}.disallowed_patterns[{number}]",
                    f"{kind} fails here though detectors: ignores it; say so in one place only",
                )


def _without_baseline(config: Config, rules: Iterable[Placed]) -> Iterator[Remark]:
    relative = [("limits", config.limits)]
    relative += [(f"paths[{at}].limits", path.limits) for at, path in enumerate(config.paths, 1)]
    relative += [(one.path, one.rule.limits) for one in rules]
    paths = [
        f"{path}.max_increase"
        for path, limits in relative
        if limits.max_increase is not None and not limits.max_increase.off
    ]
    for path in [*paths, *(["anchor"] if config.anchor else [])]:
        yield Remark(path, "compares with nothing, because of baseline: off; remove one of them")


def _unpriced_ignored(config: Config, rules: Iterable[Placed]) -> Iterator[Remark]:
    dollars = [config.session.limits, config.limits, *(path.limits for path in config.paths)]
    dollars += [*(one.rule.limits for one in rules), *(one.limits for one in config.budgets)]
    if config.severity("unpriced") == "ignore" and any(one.max_cost is not None for one in dollars):
        yield Remark("unpriced", "ignore lets calls without a price pass every max_cost; use warn")
