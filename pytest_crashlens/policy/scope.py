"""Which part of a test the relative gate of a rule compares."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.entry import UNNAMED_MODEL, Block
from pytest_crashlens.model.call import Call
from pytest_crashlens.policy.config import Rule
from pytest_crashlens.policy.model_names import ALL


def in_scope(
    rule: Rule, matching: Sequence[Call], comparison: Comparison
) -> tuple[Comparison, str]:
    """The part of ``comparison`` that ``rule`` is about, and what to say of it behind a finding.

    Only models can be told apart: no entry knows the tasks or the sizes of its calls. Nor has a
    model anything to be compared with that is new to the test; both ways it is the whole test.

    Args:
        rule: A rule with a relative gate.
        matching: The calls that it is about.
        comparison: The whole test.
    """
    if rule.task_type is not None or rule.input_tokens_max is not None:
        return comparison, " (whole test: its baseline knows no tasks or sizes of calls)"
    if rule.model_scope is None or ALL in rule.model_scope:
        return comparison, ""
    # a name that was only requested does not stand in an entry
    seen = {(call.provider, call.model or UNNAMED_MODEL) for call in matching}

    def covered(block: Block) -> bool:
        provider, model = block.kind.provider, block.kind.model
        return (provider, model) in seen or rule.covers_model((model, f"{provider}/{model}"))

    part = comparison.only(covered)
    if not part.before.blocks:
        return comparison, " (whole test: its baseline has no call in model_scope)"
    return part, f" (calls to {', '.join(rule.model_scope)})"


def call_names(call: Call) -> Sequence[str | None]:
    """Every name of the call's model that a policy may use."""
    models = (call.model_requested, call.model_returned)
    return (*models, *(f"{call.provider}/{model}" for model in models if model), *call.aliases)
