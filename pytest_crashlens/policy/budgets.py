"""Reads ``budgets:`` and ``session:``, limits for sums; ``tasks:`` and ``volume:``."""

from __future__ import annotations

from pathlib import Path

from pytest_crashlens.policy.config import ACTIONS, BLOCK, Budget, SessionLimits, TaskPath, Volume
from pytest_crashlens.policy.field import Field
from pytest_crashlens.policy.limits import ON_EXCEED, TAG, TASK, read_limits
from pytest_crashlens.policy.notices import check_channel, read_channel
from pytest_crashlens.policy.path_field import read_match

LABELS = ("tag", "path", "owner")
SUMS = ("max_cost", "max_total_tokens", "max_calls")
BUDGET_KEYS = (*LABELS, *SUMS, "actions", "alert_channel")
SESSION_KEYS = (*SUMS, "on_exceed")
TASK_KEYS = ("match", "task")
VOLUME_KEYS = ("calls_per_month", "runs_per_month")

OWNER = r"@[\w.-]{1,80}(/[\w.-]{1,80})?|[^@\s]{1,80}@[^@\s]{1,80}"
"""A user, a team or an address, as CODEOWNERS has them."""


def read_budgets(given: Field, folder: Path) -> tuple[Budget, ...]:
    """The budgets of a list, for the project in ``folder``; what is wrong with them is noted."""
    budgets: list[Budget] = []
    for each in given.each():
        fields = each.fields(BUDGET_KEYS)
        found = [key for key in LABELS if key in fields]
        if fields and len(found) != 1 and len(fields) == len(each.keys):
            said = f"found {' and '.join(found)}" if found else "found none"
            each.error(f"expected one of {', '.join(LABELS)}, {said}; a budget has one label")
        if fields and not any(key in fields for key in SUMS) and len(fields) == len(each.keys):
            each.error(f"the budget limits nothing; add one of {', '.join(SUMS)}")
        known = {getattr(budget, found[0]) for budget in budgets} if found else set()
        label = _read_label(fields[found[0]], found[0], folder, known - {None}) if found else None
        budget = Budget(
            **{found[0]: label} if found else {},
            limits=read_limits({key: fields[key] for key in SUMS if key in fields}),
            actions=fields["actions"].words(ACTIONS) if "actions" in fields else (BLOCK,),
            alert_channel=(
                read_channel(fields["alert_channel"]) if "alert_channel" in fields else None
            ),
            line=each.node.line,
        )
        check_channel(budget.actions, fields, "budget")
        budgets.append(budget)
    return tuple(budgets)


def _read_label(given: Field, kind: str, folder: Path, known: set[str]) -> str | None:
    if kind == "path":
        return read_match(given, folder, known)
    if kind == "tag":
        label = given.text(pattern=TAG, example="checkout")
    else:
        label = given.text(pattern=OWNER, example='"@acme/search"')
    if label in known:
        given.error(f'"{label}" has a budget already; put its limits in one place')
    return label


def read_session(given: Field) -> SessionLimits:
    """The limits of a whole run; what is wrong with them is noted."""
    fields = given.fields(SESSION_KEYS)
    if "on_exceed" in fields and len(fields) == len(given.keys) == 1:
        given.error(f"limits nothing; add one of {', '.join(SUMS)}")
        return SessionLimits()
    limits = read_limits({key: fields[key] for key in SUMS if key in fields})
    on_exceed = fields["on_exceed"].choice(ON_EXCEED) if "on_exceed" in fields else None
    if on_exceed == "stop" and "max_cost" not in fields:
        fields["on_exceed"].error("stop needs a max_cost beside it; add that, or remove this")
    return SessionLimits(limits=limits, on_exceed=on_exceed or "fail")


def read_tasks(given: Field, folder: Path) -> tuple[TaskPath, ...]:
    """The tasks of the tests below ``folder``; what is wrong with them is noted."""
    tasks: list[TaskPath] = []
    for each in given.each():
        fields = each.fields(TASK_KEYS, required=TASK_KEYS)
        match = task = None
        if "match" in fields:
            match = read_match(fields["match"], folder, [one.match for one in tasks])
        if "task" in fields:
            task = fields["task"].text(pattern=TASK, example="summarization")
        if match is not None and task is not None:
            tasks.append(TaskPath(match=match, task=task))
    return tuple(tasks)


def read_volume(given: Field) -> Volume:
    """How often production does it; what is wrong with that is noted."""
    fields = given.fields(VOLUME_KEYS)
    if len(fields) > 1:
        given.error(f"expected one of {', '.join(VOLUME_KEYS)}, found both; remove one")
    return Volume(**{key: field.whole(minimum=1) for key, field in fields.items()})
