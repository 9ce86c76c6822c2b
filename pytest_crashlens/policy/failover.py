"""``fallback_after``: after so many failures a request must go to a cheaper model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pytest_crashlens.detect.seen import Seen, model_of
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.config import Rule
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.pricing.card import cost

_NOTIONAL = Usage(input_tokens=1_000, output_tokens=1_000)
"""By which prices are compared where nothing was used."""


def failover_findings(
    rule: Rule, calls: Sequence[Seen], applies: Callable[[Call], bool]
) -> Iterator[Finding]:
    """One for each request that did not go to a cheaper model when it was due.

    Args:
        rule: one with ``fallback_after``.
        calls: of a test, in the order in which they began.
        applies: whether the rule is about a call; any other may be where one went on.
    """
    allowed = rule.fallback_after
    if allowed is None:
        return
    failures: dict[tuple[str, str], int] = {}
    for place, one in enumerate(calls):
        if not applies(one.call):
            continue
        request = one.shape.conversation or one.call.fingerprint, model_of(one)
        before = failures.get(request, 0)
        failed = one.call.retries + one.failed
        failures[request] = before + failed
        if before + one.call.retries >= allowed:
            yield _finding(rule, one, f"was asked again after {before + one.call.retries} failures")
            failures[request] = 0
        elif failures[request] >= allowed and (why := _next(calls[place:])):
            yield _finding(rule, one, f"failed {failures[request]} times, and {why}")
            failures[request] = 0


def _next(calls: Sequence[Seen]) -> str | None:
    """What is wrong with how the request of the first of ``calls`` went on."""
    failed, *later = calls
    for one in later:
        same = one.shape.conversation == failed.shape.conversation
        if same and one.shape.conversation:
            if model_of(one) == model_of(failed):
                return None  # asked again: told at that call
            return _dearer(failed, one)
    return "no other model was asked"


def _dearer(failed: Seen, after: Seen) -> str | None:
    name = model_of(after)
    if failed.card is None or after.card is None:
        return f"nobody knows whether {name}, asked next, is cheaper (no price)"
    usage = after.call.usage if after.call.usage.stated else _NOTIONAL
    before, now = (cost(card, usage).usd for card in (failed.card, after.card))
    if before is not None and now is not None and now < before:
        return None
    return f"{name}, asked next, is not cheaper"


def _finding(rule: Rule, one: Seen, what: str) -> Finding:
    advice = f"; use {rule.suggest_fallback}" if rule.suggest_fallback else ""
    times = f"after {rule.fallback_after} failures a cheaper model is due"
    return Finding(
        kind="policy",
        text=f"{model_of(one)} {what}: {times}{advice}",
        call_site=one.call.call_site,
    )
