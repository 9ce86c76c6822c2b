"""Which task a call is, for rules with ``task_type``: its label says, or a sure inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_crashlens.model.call import Call
from pytest_crashlens.policy.config import Config, Rule
from pytest_crashlens.policy.paths import matches_key
from pytest_crashlens.tasks.infer import BLOCKING, UNKNOWN

HOW = "label them (the marker's task=, crashlens.scope(...), or tasks: in crashlens.yml)"
CUES_TOLD = 2
"""Cues that are named beside an inferred task."""


def task_of(call: Call) -> str | None:
    """The task by which rules know the call; None: no label, and nothing sure enough."""
    if call.task is not None:
        return call.task
    return call.task_inferred if call.task_confidence >= BLOCKING else None


def task_words(rule: Rule, calls: Iterable[Call]) -> str:
    """`` for summarization``, and by what that is known where it is no label."""
    if rule.task_type is None:
        return ""
    cues = dict.fromkeys(cue for call in calls if call.task is None for cue in call.task_cues)
    inferred = f" (inferred: {', '.join([*cues][:CUES_TOLD])})" if cues else ""
    return f" for {rule.task_type}{inferred}"


def by_path(config: Config, place: str) -> str | None:
    """The task that ``tasks:`` gives to the calls of the test at ``place``; the last one holds."""
    found = [path.task for path in config.tasks if matches_key(path.match, place)]
    return found[-1] if found else None


def labelled(calls: Iterable[Call], task: str | None) -> tuple[Call, ...]:
    """The calls, those without a label with ``task``."""
    if task is None:
        return tuple(calls)
    return tuple(call if call.task else replace(call, task=task) for call in calls)


def not_enforced(
    rules: Iterable[Rule], calls: Sequence[Call], applies: Callable[[Rule, Call], bool]
) -> Iterator[str]:
    """What rules for tasks were not held against, because nobody knows the calls' task for sure.

    Args:
        rules: of all policies.
        calls: of the whole run.
        applies: whether a rule is about a call whose task is known.
    """
    asked = [rule for rule in rules if rule.task_type is not None]
    unlabelled = [call for call in calls if call.billed and task_of(call) is None]
    if not (asked and unlabelled):
        return
    for rule in asked:
        likely = [call for call in unlabelled if call.task_inferred == rule.task_type]
        number = sum(applies(rule, replace(call, task=rule.task_type)) for call in likely)
        if number:
            are = "1 call would match" if number == 1 else f"{number:,} calls would match"
            yield (
                f"{are} policy '{rule.policy}' (looks like {rule.task_type}), not enforced: {HOW}"
            )
    unknown = sum(call.task_inferred in (None, UNKNOWN) for call in unlabelled)
    if unknown:
        are = "1 call is" if unknown == 1 else f"{unknown:,} calls are"
        names = ", ".join(dict.fromkeys(rule.task_type or "" for rule in asked))
        yield f"{are} of unknown task, not held against the rules for {names}: {HOW}"
