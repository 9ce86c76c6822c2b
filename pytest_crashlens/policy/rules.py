"""Reads ``policies:``, and refuses rules that can never match or never be broken."""

from __future__ import annotations

from typing import cast

from pytest_crashlens.policy.config import (
    ACTIONS,
    BLOCK,
    DETECTIONS,
    PER,
    PER_TEST,
    Per,
    Policy,
    Rule,
)
from pytest_crashlens.policy.field import Field
from pytest_crashlens.policy.limits import LIMIT_KEYS, TASK, Limits, read_limits
from pytest_crashlens.policy.model_names import first_match, may_overlap
from pytest_crashlens.policy.notices import check_channel, read_channel

POLICY_KEYS = ("enforce", "description", "rules")
CONDITION_KEYS = ("task_type", "input_tokens_max", "model_scope")
RULE_KEYS = (
    *CONDITION_KEYS,
    "disallowed_models",
    "disallowed_patterns",
    "fallback_after",
    *LIMIT_KEYS,
    "per",
    "suggest_fallback",
    "alert_channel",
    "actions",
)
ENOUGH = (
    "disallowed_models",
    "disallowed_patterns",
    "fallback_after",
    *(key for key in LIMIT_KEYS if key != "min_increase"),
)
"""A rule needs one of these to limit anything."""

NAME = r"[a-z0-9]+(-[a-z0-9]+)*"


def read_policies(given: Field) -> tuple[Policy, ...]:
    """The policies of a list; what is wrong with them is noted."""
    policies: list[Policy] = []
    seen: dict[str, int] = {}
    for each in given.each():
        fields = each.fields(POLICY_KEYS, required=("enforce", "rules"))
        name = (
            fields["enforce"].text(pattern=NAME, example="cap-retries")
            if "enforce" in fields
            else None
        )
        if name and name in seen:
            again = f'"{name}" is already the name of the policy in line {seen[name]}'
            fields["enforce"].error(f"{again}; give each its own")
        if name:
            seen.setdefault(name, fields["enforce"].node.line)
        about = fields["description"].text() if "description" in fields else None
        rules = fields["rules"].each() if "rules" in fields else ()
        policies.append(
            Policy(
                name=name or "",
                line=each.node.line,
                description=about,
                rules=tuple(_read_rule(rule, name or "", n) for n, rule in enumerate(rules, 1)),
            )
        )
    return tuple(policies)


def _read_rule(given: Field, policy: str, number: int) -> Rule:
    fields = given.fields(RULE_KEYS)
    texts = {
        "task_type": (TASK, "summarization"),
        "suggest_fallback": (r"\S+", "gpt-4o-mini"),
    }
    read = {
        key: fields[key].text(pattern=pattern, example=example)
        for key, (pattern, example) in texts.items()
        if key in fields
    }
    limits = read_limits(fields)
    rule = Rule(
        policy=policy,
        number=number,
        line=given.node.line,
        task_type=read.get("task_type"),
        input_tokens_max=(
            fields["input_tokens_max"].whole(minimum=1) if "input_tokens_max" in fields else None
        ),
        model_scope=fields["model_scope"].texts() if "model_scope" in fields else None,
        disallowed_models=(
            fields["disallowed_models"].texts() if "disallowed_models" in fields else ()
        ),
        disallowed_patterns=(
            fields["disallowed_patterns"].words(DETECTIONS)
            if "disallowed_patterns" in fields
            else ()
        ),
        fallback_after=(
            fields["fallback_after"].whole(minimum=1) if "fallback_after" in fields else None
        ),
        max_output_tokens=limits.max_output_tokens,
        max_retries=limits.max_retries,
        per=cast(Per | None, fields["per"].choice(PER)) if "per" in fields else None,
        limits=_without_reference(limits),
        suggest_fallback=read.get("suggest_fallback"),
        alert_channel=read_channel(fields["alert_channel"]) if "alert_channel" in fields else None,
        actions=fields["actions"].words(ACTIONS) if "actions" in fields else (BLOCK,),
    )
    if fields:
        _check_limits(rule, given, fields)
        _check_models(rule, given, fields)
        check_channel(rule.actions, fields, "rule")
    return rule


def _without_reference(limits: Limits) -> Limits:
    kept = {name: getattr(limits, name) for name in limits.given()}
    kept.pop("max_output_tokens", None)
    kept.pop("max_retries", None)
    return Limits(**kept)


def _check_limits(rule: Rule, given: Field, fields: dict[str, Field]) -> None:
    if not any(key in fields for key in ENOUGH):
        if len(fields) == len(given.keys):  # else the misspelt key is what was meant
            given.error(f"the rule limits nothing; add one of {', '.join(ENOUGH)}")
    elif "min_increase" in fields and "max_increase" not in fields:
        fields["min_increase"].error("is only the floor of max_increase; add that, or remove this")
    increase = rule.limits.max_increase
    if increase and increase.off:
        fields["max_increase"].error(
            "off limits nothing in a rule; to switch the gate off, write it under limits or paths"
        )
    if rule.per == "call" and "max_calls" in fields:
        fields["max_calls"].error("cannot be held against one call; use per: test or per: session")
    if rule.per in ("call", "session") and "max_increase" in fields:
        what = "one call" if rule.per == "call" else "the session"
        fields["max_increase"].error(
            f"cannot be held against {what}: the baseline is one of tests; use per: test"
        )
    for key in sorted(PER_TEST & fields.keys()):
        if rule.per in ("call", "session"):
            fields[key].error(
                "is looked for in the calls of each test; remove per, or use a rule of its own"
            )
    bound, limit = rule.input_tokens_max, rule.limits.max_input_tokens
    if rule.per_of("max_input_tokens") == "call" and bound and limit and bound <= limit:
        fields["max_input_tokens"].error(
            f"can never be broken: the rule is about calls of at most {bound} input tokens "
            f"(input_tokens_max); lower it below {bound}, or remove one of the two"
        )


def _check_models(rule: Rule, given: Field, fields: dict[str, Field]) -> None:
    scope, disallowed, fallback = rule.model_scope, rule.disallowed_models, rule.suggest_fallback
    if scope and disallowed and not any(may_overlap(s, d) for s in scope for d in disallowed):
        fields["disallowed_models"].error(
            "can never match: none of these models is in model_scope; "
            "remove model_scope, or name models within it"
        )
    if "suggest_fallback" in fields and not fields.keys() & {"disallowed_models", "fallback_after"}:
        fields["suggest_fallback"].error(
            "stands for a disallowed model, or for one that fails; add disallowed_models or "
            "fallback_after, or remove it"
        )
    if fallback and (pattern := first_match(disallowed, [fallback])):
        fields["suggest_fallback"].error(
            f'is itself disallowed (by "{pattern}"); suggest another model'
        )
