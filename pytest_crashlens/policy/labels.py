"""Sums over tests that share a label (a tag, a path, an owner), and the budgets they must keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_crashlens.model.call import Call
from pytest_crashlens.policy.config import Budget, Config
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.owners import CodeOwners
from pytest_crashlens.policy.paths import matches_key
from pytest_crashlens.policy.states import by_state
from pytest_crashlens.policy.verdict import CostOf, Finding, within_limits
from pytest_crashlens.pricing.card import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The calls of a test or fixture, and what a budget may know it by."""

    place: str
    """``path::name``, relative to the project."""
    tags: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    is_test: bool = True
    """False: a fixture that outlives tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSum:
    """All that the tests of one label called."""

    label: str
    """``tag checkout``, ``path tests/live/**`` or ``owner @acme/search``."""
    tests: int
    """How many tests have it."""
    calls: tuple[Call, ...]
    cost: Cost
    """USD at today's prices."""
    limits: Limits | None = None
    """Of its budget, where it has one."""
    findings: tuple[Finding, ...] = ()


def label_sums(
    config: Config, tests: Iterable[Labelled], owners: CodeOwners | None, cost_of: CostOf
) -> tuple[LabelSum, ...]:
    """A sum for every budget, then one for every other tag; budgets that are broken say so.

    Args:
        config: has the budgets.
        tests: everything that was measured.
        owners: of the project's files; None: there is no CODEOWNERS.
        cost_of: USD of calls at today's prices.
    """
    tests = tuple(tests)
    budgets = config.budgets
    known = {budget.tag for budget in budgets}
    tags = dict.fromkeys(tag for test in tests for tag in test.tags if tag not in known)
    sums = [_sum(config, budget, tests, owners, cost_of) for budget in budgets]
    free = (Budget(tag=tag, limits=Limits()) for tag in sorted(tags))
    return (*sums, *(replace(_sum(config, one, tests, None, cost_of), limits=None) for one in free))


def unmatched(sums: Iterable[LabelSum]) -> Iterator[str]:
    """Budgets that no test has the label of, after a whole run."""
    for one in sums:
        if one.limits is not None and not one.tests:
            yield f"warning: budget of {one.label}: no test has that label, so it limits nothing"


def _sum(
    config: Config,
    budget: Budget,
    tests: Sequence[Labelled],
    owners: CodeOwners | None,
    cost_of: CostOf,
) -> LabelSum:
    mine = [test for test in tests if _has(budget, test, owners)]
    calls = tuple(call for test in mine for call in test.calls)
    where = f"budget of {budget.label}"
    found = by_state(config, within_limits(calls, budget.limits, cost_of, where=where))
    return LabelSum(
        label=budget.label,
        tests=sum(test.is_test for test in mine),
        calls=calls,
        cost=cost_of(calls),
        limits=budget.limits,
        findings=tuple(
            replace(
                one,
                kind="budget",
                channel=budget.notifies,
                blocks=one.blocks and budget.blocks,
            )
            for one in found
        ),
    )


def _has(budget: Budget, test: Labelled, owners: CodeOwners | None) -> bool:
    if budget.tag is not None:
        return budget.tag in test.tags
    if budget.path is not None:
        return matches_key(budget.path, test.place)
    return owners is not None and budget.owner in owners.of(test.place.partition("::")[0])
