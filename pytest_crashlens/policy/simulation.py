"""What a policy says about a call that nobody has made, decided as in a run.

The decision is :func:`pytest_crashlens.policy.rule_findings.by_rule`; only the sentences are made
here, and the money that they tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Literal

from pytest_crashlens.baseline.entry import sum_costs
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.money import EXACT, format_usd, plain_usd
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.config import Policy, Rule
from pytest_crashlens.policy.rule_findings import ByState, applies, by_rule
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.pricing.card import Cost, RateCard, cost

CardOf = Callable[[str], RateCard | None]
"""Today's rate card of a model, by the name that the user or the policy gives it."""

NO_COUNTS = "no token counts: give --input-tokens and --output-tokens, or --baseline"
SET_A_PRICE = "set one under prices: in crashlens.yml"
NEEDS: Mapping[str, tuple[str, ...]] = {
    "output tokens": ("--output-tokens",),
    "input tokens": ("--input-tokens",),
    "total tokens": ("--input-tokens", "--output-tokens"),
    "cost": ("--input-tokens", "--output-tokens"),
}
"""What must be known to hold a metric against its limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The call in question; None: not said."""

    provider: str
    model: str
    name: str
    """The model as the user named it."""
    task: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    retries: int = 0
    aliases: tuple[str, ...] = ()
    """What else the model is called."""

    @property
    def call(self) -> Call:
        """The call as a run would see it."""
        return Call(
            provider=self.provider,
            endpoint="chat",
            model_requested=self.model,
            model_returned=self.model,
            aliases=self.aliases,
            usage=Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens),
            usage_source="provider",
            attempts=self.retries + 1,
            task=self.task,
        )

    @property
    def usage(self) -> Usage:
        """The tokens for an estimate: what was not said adds nothing."""
        return Usage(input_tokens=self.input_tokens or 0, output_tokens=self.output_tokens or 0)

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The options that were not given."""
        counts = {"--input-tokens": self.input_tokens, "--output-tokens": self.output_tokens}
        return tuple(option for option, count in counts.items() if count is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Money that a breach costs, or that mending it saves: per call."""

    kind: Literal["savings", "cost increase"]
    usd: Decimal | None = None
    unknown: str | None = None
    """Why it is not known."""
    basis: str = ""
    """What it rests on besides the tokens."""
    whole: bool = False
    """Whether the tokens that were not said make no difference to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that the call breaks."""

    rule: Rule
    finding: Finding
    limit: Decimal | int | None = None
    """None: no number, or it could not be checked."""
    estimate: Estimate | None = None

    @property
    def blocks(self) -> bool:
        """Whether it fails a run."""
        return self.finding.blocks

    def sentence(self, calls_per_month: int | None = None) -> str:
        """What the user reads."""
        fallback = self._fallback
        why = "" if fallback else f" ({self._breach})"
        text = f"Policy '{self.rule.policy}' violated{why}."
        if fallback:
            text += f" Suggested fallback: {fallback}."
        return text + self._money(calls_per_month)

    @property
    def _fallback(self) -> str | None:
        return self.rule.suggest_fallback if self.finding.metric == "model" else None

    @property
    def _breach(self) -> str:
        now, limit, metric = self.finding.now, self.limit, self.finding.metric
        if now is None or limit is None:
            return self.finding.text
        if metric == "cost":
            shown = [format_usd(Decimal(usd)) for usd in (now, limit)]
            if shown[0] == shown[1]:
                shown = [f"${plain_usd(Decimal(usd))}" for usd in (now, limit)]
            return f"cost {shown[0]} > max {shown[1]}"
        if now == 1:
            metric = {"retries": "retry"}.get(str(metric), str(metric).removesuffix("s"))
        return f"{now:,} {metric} > max {limit:,}"

    def _money(self, calls_per_month: int | None) -> str:
        found = self.estimate
        if found is None:
            return ""
        words = f" Estimated {found.kind}:"
        if found.usd is None:
            return f"{words} unknown ({found.unknown})."
        with localcontext(EXACT):
            usd = found.usd * (calls_per_month or 1)
        per = "" if calls_per_month is None else "/month"
        if found.kind == "savings" and usd <= 0:
            more = f"costs {format_usd(-usd)}{per} more" if usd else "costs the same"
            return f"{words} none ({self._fallback} {more})."
        # as documented, to the letter: without a full stop where it is one call's savings
        stop = "" if found.kind == "savings" and calls_per_month is None else "."
        return f"{words} {format_usd(usd)}{per}{stop}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What one policy says."""

    policy: Policy
    asked: Asked
    violations: tuple[Violation, ...] = ()
    undecided: tuple[str, ...] = ()
    """What keeps it from being decided: a sentence each."""
    notes: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether a run would fail."""
        return any(violation.blocks for violation in self.violations)

    def sentences(self, calls_per_month: int | None = None) -> list[str]:
        """One for each breach, or that there is none; then what they rest on."""
        if not self.violations:
            return [f"Policy '{self.policy.name}' passed.", *self.notes]
        lines = [one.sentence(calls_per_month) for one in self.violations]
        found = [one.estimate for one in self.violations if one.estimate]
        based = [self._assumption(one, calls_per_month) for one in found if one.usd is not None]
        left = [f"not evaluated: {one}" for one in self.undecided if one not in self.notes]
        return list(dict.fromkeys([*lines, *based, *left, *self.notes]))

    def _assumption(self, found: Estimate, calls_per_month: int | None) -> str:
        per = "per call"
        if calls_per_month is not None:
            per = f"{calls_per_month:,} {'call' if calls_per_month == 1 else 'calls'} a month"
        only = ""
        if len(self.asked.unsaid) == 1 and not found.whole:
            said = "input" if self.asked.output_tokens is None else "output"
            only = f", {said} only: give {self.asked.unsaid[0]} for the rest"
        return f"{per}{found.basis}{only}"


def simulate(
    policy: Policy, asked: Asked, card_of: CardOf, *, by_state: ByState = iter
) -> Simulation:
    """Hold one call, the only one of its test and session, against every rule of ``policy``.

    ``by_state``: as :func:`by_rule` has it.
    """
    price = _Price(asked, card_of)
    violations: list[Violation] = []
    undecided: list[str] = []
    notes: list[str] = []
    decided = 0
    applying = [rule for rule in policy.rules if applies(rule, asked.call)]
    if asked.task is None:
        undecided += [
            f"rule {rule.number} is about {rule.task_type}: give --task"
            for rule in policy.rules
            if rule.task_type and applies(rule, replace(asked.call, task=rule.task_type))
        ]
    for rule in applying:
        findings = [
            finding
            for session in (False, True)
            for finding in by_rule(
                rule, [asked.call], price.cost_of, by_state=by_state, session=session
            )
        ]
        violations += [_violation(rule, finding, price) for finding in findings]
        broken = {finding.metric for finding in findings}
        limits = [name for name in _limits(rule) if name not in broken]
        for name in limits:
            if needed := [one for one in NEEDS.get(name, ()) if one in asked.unsaid]:
                if name == "cost" and price.free:
                    continue
                undecided.append(
                    f"rule {rule.number} limits the {name}: give {' and '.join(needed)}"
                )
        decided += len(_limits(rule)) + len(findings) + bool(rule.disallowed_models)
        if beyond := _beyond_one_call(rule):
            notes.append(f"not simulated: {', '.join(beyond)} of rule {rule.number} (run the test)")
    if applying and not decided and not violations:
        undecided += notes
    if not applying:
        notes = [_not_about(rule, asked) for rule in policy.rules]
    elif violations and not any(violation.blocks for violation in violations):
        acts = any(violation.rule.blocks for violation in violations)
        why = "crashlens.yml says to warn of it" if acts else "no block_pr in its actions"
        notes.append(f"told, and fails no test: {why}")
    return Simulation(
        policy=policy,
        asked=asked,
        violations=tuple(violations),
        undecided=tuple(undecided),
        notes=tuple(notes),
    )


class _Price:
    """Prices the call, and variants of it."""

    def __init__(self, asked: Asked, card_of: CardOf) -> None:
        self.asked = asked
        self._card_of = card_of

    @property
    def free(self) -> bool:
        card = self._card_of(self.asked.name)
        return card is not None and card.free

    def of(self, usage: Usage, name: str) -> Decimal | str:
        """USD of ``usage`` by the model ``name``, or why nobody knows."""
        card = self._card_of(name)
        if card is None:
            return f"no price for {name}: {SET_A_PRICE}"
        found = cost(card, usage)
        if found.usd is None or found.status != "priced":
            return f"no whole price for {name}: {'; '.join(found.reasons)}"
        return found.usd

    def cost_of(self, calls: Sequence[Call]) -> Cost:
        """For the limits: of tokens that were not said, nothing is counted."""
        card = self._card_of(self.asked.name)
        if card is None:
            return Cost(None, "unpriced", (f"no price for {self.asked.name}: {SET_A_PRICE}",))
        return sum_costs(cost(card, self.asked.usage) for _ in calls)


def _violation(rule: Rule, finding: Finding, price: _Price) -> Violation:
    limit = _limits(rule).get(finding.metric or "")
    found = Violation(rule=rule, finding=finding, limit=limit)
    if finding.metric == "model":
        return replace(found, estimate=_savings(rule, price)) if rule.suggest_fallback else found
    if finding.now is None or limit is None:
        return found
    return replace(found, estimate=_increase(finding, limit, price))


def _savings(rule: Rule, price: _Price) -> Estimate:
    asked = price.asked
    if len(asked.unsaid) == 2:
        return Estimate(kind="savings", unknown=NO_COUNTS)
    now = price.of(asked.usage, asked.name)
    then = price.of(asked.usage, rule.suggest_fallback or "")
    for usd in (now, then):
        if isinstance(usd, str):
            return Estimate(kind="savings", unknown=usd)
    with localcontext(EXACT):
        return Estimate(kind="savings", usd=Decimal(now) - Decimal(then))


def _increase(finding: Finding, limit: Decimal | int, price: _Price) -> Estimate | None:
    """What the breach costs beyond the limit; None: nobody can tell."""
    asked, now = price.asked, finding.now or 0
    if finding.metric == "cost":
        with localcontext(EXACT):
            return Estimate(kind="cost increase", usd=Decimal(now) - limit)
    if finding.metric == "retries":
        if len(asked.unsaid) == 2:
            return Estimate(kind="cost increase", unknown=NO_COUNTS)
        found = _increase_of(price.of(asked.usage, asked.name), 0, int(now - limit))
        return replace(found, basis=", each retry beyond the limit billed like the whole call")
    if finding.metric in ("input tokens", "output tokens"):
        name = finding.metric.replace(" ", "_")
        within = replace(asked.usage, **{name: int(limit)})
        found = _increase_of(price.of(asked.usage, asked.name), price.of(within, asked.name))
        return replace(found, basis=f", the {finding.metric} beyond the limit", whole=True)
    return None


def _increase_of(dear: Decimal | str, cheap: Decimal | str | int, times: int = 1) -> Estimate:
    for usd in (dear, cheap):
        if isinstance(usd, str):
            return Estimate(kind="cost increase", unknown=usd)
    with localcontext(EXACT):
        return Estimate(kind="cost increase", usd=(Decimal(dear) - Decimal(cheap)) * times)


def _limits(rule: Rule) -> dict[str, Decimal | int]:
    """The limits that one call can be held against, by metric."""
    given = {
        "retries": rule.max_retries,
        "output tokens": rule.max_output_tokens,
        "input tokens": rule.limits.max_input_tokens,
        "total tokens": rule.limits.max_total_tokens,
        "calls": rule.limits.max_calls,
        "cost": rule.limits.max_cost,
    }
    return {name: limit for name, limit in given.items() if limit is not None}


def _beyond_one_call(rule: Rule) -> list[str]:
    """Limits that only a run of the test can be held against."""
    given = {
        "max_increase": rule.limits.max_increase is not None,
        "disallowed_patterns": bool(rule.disallowed_patterns),
        "fallback_after": rule.fallback_after is not None,
    }
    return [name for name, there in given.items() if there]


def _not_about(rule: Rule, asked: Asked) -> str:
    about = []
    if rule.task_type is not None and rule.task_type != asked.task:
        about.append(f"task {rule.task_type}" + ("" if asked.task else " (give --task)"))
    if rule.input_tokens_max is not None and (asked.input_tokens or 0) > rule.input_tokens_max:
        about.append(f"at most {rule.input_tokens_max:,} input tokens")
    if not about and rule.model_scope:
        about.append(f"models {', '.join(rule.model_scope)}")
    return f"rule {rule.number} is not about this call: it is for {', '.join(about)}"
