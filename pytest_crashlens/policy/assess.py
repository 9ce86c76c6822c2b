"""One test against its baseline entry, its limits and the policies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from functools import partial

from pytest_crashlens.baseline.compare import Comparison
from pytest_crashlens.baseline.entry import Entry, Kind, entry_of
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.detect.detectors import detect
from pytest_crashlens.detect.repeats import RETRIES_ALLOWED
from pytest_crashlens.detect.seen import Seen
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.ledger import size
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.policy.aliases import aliases
from pytest_crashlens.policy.config import Config, Rule
from pytest_crashlens.policy.coverage import refused_findings, uncaptured_findings
from pytest_crashlens.policy.labels import Labelled, LabelSum, label_sums
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.noisy import Noise, Observed, judge_noise, shrank, with_noise
from pytest_crashlens.policy.owners import CodeOwners
from pytest_crashlens.policy.rule_findings import applies, by_rule, pattern_finding
from pytest_crashlens.policy.spend_cap import sent, session_findings
from pytest_crashlens.policy.states import by_state, estimated_findings, incomplete_finding
from pytest_crashlens.policy.task_types import by_path, labelled, not_enforced
from pytest_crashlens.policy.verdict import Finding, Verdict, against_baseline, within_limits
from pytest_crashlens.pricing.book import PriceBook, Unpriced
from pytest_crashlens.pricing.card import Cost, RateCard, cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A test (or long-lived fixture) with everything that can be said about its cost."""

    key: str
    nodeid: str
    calls: tuple[Call, ...]
    now: Entry
    today: Cost
    """USD of ``calls`` at today's prices."""
    comparison: Comparison | None = None
    """None: there is nothing to compare with, or nothing was compared."""
    verdict: Verdict = field(default_factory=Verdict)
    accepted: tuple[Finding, ...] = ()
    """What would have failed against the old baseline and is accepted by this update."""
    shrunk: bool = False
    """Whether an update finds it so much cheaper that the reverse would have failed."""
    cards: Mapping[str, RateCard] = field(default_factory=dict)
    """Cards of ``now``'s blocks."""
    observed: Observed | None = None
    """What was seen of a live test, over all its runs; None: no test, or not judged."""
    noise: Noise = field(default_factory=dict)
    """What the rule for noise says, by metric."""
    detections: tuple[Detection, ...] = ()
    """What detectors found in ``calls``, whether it fails anything or not."""

    @property
    def price_list_change(self) -> Decimal | None:
        """USD by which today's prices differ from the baseline's, for this usage: never judged."""
        frozen = self.now.cost(self.cards)
        if self.comparison is None or frozen.usd is None or self.today.usd is None:
            return None
        if frozen.status != "priced" or self.today.status != "priced":
            return None
        with localcontext(EXACT):
            return self.today.usd - frozen.usd


class Assessor:
    """Knows the baseline, the policies and the prices of one run."""

    def __init__(
        self,
        config: Config,
        baseline: Baseline | None,
        book: PriceBook,
        *,
        updating: bool,
        new_only: bool = False,
    ) -> None:
        """Judge against ``baseline``; None: only absolute limits and policies can speak.

        ``new_only``: the update accepts tests without an entry and compares all others.
        """
        self._config = config
        self._baseline = baseline
        self._book = book
        self._updating = updating
        self._new_only = new_only
        self._frozen = _frozen_cards(baseline) if baseline else {}
        self._max_retries = min(
            (
                rule.max_retries
                for rule in config.rules
                if rule.max_retries is not None and rule.is_unconditional
            ),
            default=None,
        )

    def cost_today(self, calls: Sequence[Call]) -> Cost:
        """USD at today's prices."""
        entry, cards = entry_of(calls, self._card_today)
        return entry.cost(cards)

    def assess(
        self,
        key: str,
        nodeid: str,
        calls: Sequence[Call],
        *,
        place: str,
        marker: Limits | None = None,
        uncaptured: Collection[str] = (),
        refused: Collection[str] = (),
        observed: Observed | None = None,
        runs: Sequence[Sequence[Call]] = (),
    ) -> Assessment:
        """Compare and judge the calls of one passed test.

        Args:
            key: names its entry.
            nodeid: names it in reports.
            calls: what it used.
            place: ``path::name``, which decides which path limits hold.
            marker: the limits of its markers.
            uncaptured: provider hosts it looked up without a request that was seen.
            refused: its live calls that were refused, a sentence each.
            observed: its live runs, where noise is to be judged.
            runs: the calls of each of several runs, of which ``calls`` is the middle one: limits
                hold for all of them, and what noise cannot explain is judged by the dearest.
        """
        before = self._baseline.entries.get(key) if self._baseline else None
        limits = self._config.limits_for(place, marker)
        assessment = self.describe(key, nodeid, calls, before, limits)
        if observed is not None:
            now = replace(assessment.now, runs=observed.runs)
            assessment = replace(assessment, now=now, observed=observed)
        comparison = assessment.comparison
        absolute = refused_findings(refused)
        absolute += self._uncaptured(uncaptured, expected=before is not None and before.calls > 0)
        absolute += estimated_findings(self._config, calls)
        every = runs if len(runs) > 1 else [calls]
        absolute += _once(within_limits(sent(run), limits, self.cost_today) for run in every)
        accepting = self._updating and not (self._new_only and before is not None)
        relative: list[Finding] = []
        if comparison is not None:
            worst = comparison
            if len(every) > 1:
                dearest = max(every, key=size)
                worst = self.describe(key, nodeid, dearest, before).comparison or comparison
            relative = against_baseline(worst, limits)
            if observed is not None:
                noise = judge_noise(comparison, observed, limits)
                relative = with_noise(relative, noise, comparison, observed, limits)
                assessment = replace(assessment, noise=noise)
        elif self._baseline is not None and calls:
            relative = [_missing(assessment.now)]
        relative, absolute = [*self._by_state(relative)], [*self._by_state(absolute)]
        absolute += [
            pattern_finding(one)
            for one in assessment.detections
            if self._config.detectors[one.kind] == "error"
        ]
        for rule in self._config.rules:
            found = _once(self._by_rule(rule, run, comparison) for run in every)
            absolute += (finding for finding in found if finding.kind == "policy")
            relative += (finding for finding in found if finding.kind != "policy")
        if accepting:
            shrunk = comparison is not None and shrank(
                against_baseline(comparison.reversed(), limits), assessment.noise
            )
            return replace(
                assessment,
                verdict=Verdict(tuple(absolute)),
                accepted=tuple(finding for finding in relative if finding.blocks),
                shrunk=shrunk,
            )
        return replace(assessment, verdict=Verdict((*relative, *absolute)))

    def describe(
        self,
        key: str,
        nodeid: str,
        calls: Sequence[Call],
        before: Entry | None = None,
        limits: Limits | None = None,
    ) -> Assessment:
        """Price the calls, and compare them with ``before`` where given, judging nothing."""
        now, cards = entry_of(calls, partial(self._card_frozen, before))
        comparison = None
        if before is not None:
            before = self._with_cards_of_today(before, cards)
            known = self._baseline.cards if self._baseline else {}
            if any(known.get(name) is not card for name, card in cards.items()):
                known = {**known, **cards}
            comparison = Comparison(before=before, now=now, cards=known)
        return Assessment(
            key=key,
            nodeid=nodeid,
            calls=tuple(calls),
            now=now,
            today=self.cost_today(calls),
            comparison=comparison,
            cards=cards,
            detections=self._detections(calls, limits.max_retries if limits else None),
        )

    def _by_rule(
        self, rule: Rule, calls: Sequence[Call], comparison: Comparison | None
    ) -> list[Finding]:
        return by_rule(
            rule,
            calls,
            self.cost_today,
            comparison=comparison,
            seen=self._seen,
            by_state=self._by_state,
        )

    def _by_state(self, findings: Iterable[Finding]) -> Iterable[Finding]:
        return by_state(self._config, findings)

    def _detections(self, calls: Sequence[Call], max_retries: int | None) -> tuple[Detection, ...]:
        given = [one for one in (max_retries, self._max_retries) if one is not None]
        found = detect(self._seen(calls), retries_allowed=min(given, default=RETRIES_ALLOWED))
        return tuple(one for one in found if self._config.detectors[one.kind] != "ignore")

    def _seen(self, calls: Sequence[Call]) -> list[Seen]:
        """The calls as the detectors want them, in the order in which they began."""
        seen = []
        for call in sorted(calls, key=lambda call: call.started):
            card = self._card_today(call)
            today = cost(card, call.usage)
            seen.append(
                Seen(
                    call=call,
                    shape=call.shape,
                    started=call.started,
                    finished=call.finished,
                    usd=today.usd if today.status == "priced" else None,
                    card=card,
                )
            )
        return seen

    def session(
        self,
        calls: Sequence[Call],
        *,
        uncaptured: Collection[str] = (),
        refused: Collection[str] = (),
        labels: Iterable[LabelSum] = (),
        incomplete: Sequence[str] = (),
    ) -> Verdict:
        """What the policies say about the whole session, and about what belongs to no test."""
        findings = refused_findings(refused)
        findings += incomplete_finding(self._config, incomplete)
        findings += (finding for label in labels for finding in label.findings)
        findings += self._uncaptured(uncaptured, expected=False)
        findings += session_findings(self._config.session, calls, self.cost_today)
        findings = [*self._by_state(findings)]
        for rule in self._config.rules:
            findings += by_rule(
                rule, sent(calls), self.cost_today, by_state=self._by_state, session=True
            )
        return Verdict(tuple(findings))

    def labelled(self, place: str, calls: Iterable[Call]) -> tuple[Call, ...]:
        """The calls of the test at ``place``, with what crashlens.yml says of them.

        That is the task by its path, and what deployments stand for.
        """
        calls = labelled(calls, by_path(self._config, place))
        prices = [one for one in self._config.prices if one.same_as is not None]
        if not prices:
            return calls
        return tuple(replace(call, aliases=aliases(self._config.prices, call)) for call in calls)

    def label_sums(
        self, tests: Iterable[Labelled], owners: CodeOwners | None
    ) -> tuple[LabelSum, ...]:
        """What the tests of each label called together."""
        return label_sums(self._config, tests, owners, self.cost_today)

    def not_enforced(self, calls: Sequence[Call]) -> tuple[str, ...]:
        """What could not be held against rules for tasks."""
        return tuple(not_enforced(self._config.rules, calls, applies))

    @property
    def tells_incomplete(self) -> bool:
        """Whether it is told why the figures are not the whole run's."""
        return self._config.severity("incomplete") != "ignore"

    @property
    def names_uncaptured(self) -> bool:
        """Whether uncaptured hosts, where they are no finding, are to be told at all."""
        return self._config.uncaptured is None

    def _uncaptured(self, hosts: Collection[str], *, expected: bool) -> list[Finding]:
        return uncaptured_findings(hosts, self._config.uncaptured, expected=expected)

    def _card_today(self, call: Call) -> RateCard | None:
        return self._today(_priced_as_call(call))

    def _today(self, priced_as: PricedAs) -> RateCard | None:
        provider, model, service_tier, batch = priced_as
        found = self._book.card(provider, model, service_tier=service_tier, batch=batch)
        return None if isinstance(found, Unpriced) else found

    def _card_frozen(self, before: Entry | None, call: Call) -> RateCard | None:
        """The card of the test's own entry, else of the baseline, else today's."""
        priced_as = _priced_as_call(call)
        for block in before.blocks if before else ():
            if _priced_as(block.kind) == priced_as and block.kind.card:
                return self._baseline.cards[block.kind.card] if self._baseline else None
        return self._frozen.get(priced_as) or self._today(priced_as)

    def _with_cards_of_today(self, before: Entry, cards: dict[str, RateCard]) -> Entry:
        """Blocks that had no price when they were stored get today's, so that both sides match."""
        blocks = []
        for block in before.blocks:
            if block.kind.card is None and not block.kind.refused:
                priced_as = _priced_as(block.kind)
                card = self._frozen.get(priced_as) or self._today(priced_as)
                if card is not None:
                    cards[card.id] = card
                    block = replace(block, kind=replace(block.kind, card=card.id))
            blocks.append(block)
        return replace(before, blocks=tuple(blocks))


def _once(found: Iterable[Sequence[Finding]]) -> list[Finding]:
    """The findings of several runs, each kind of breach by the run where it is worst."""
    worst: dict[tuple[str, str | None, str | None, str], Finding] = {}
    for findings in found:
        for one in findings:
            key = one.kind, one.metric, one.policy, one.text
            known = worst.get(key)
            if known is None or (one.now or 0) > (known.now or 0):
                worst[key] = one
    return list(worst.values())


PricedAs = tuple[str, str | None, str | None, bool]


def _priced_as(kind: Kind) -> PricedAs:
    return kind.provider, kind.model, kind.service_tier, kind.batch


def _priced_as_call(call: Call) -> PricedAs:
    return call.provider, call.model, call.service_tier, call.batch


def _frozen_cards(baseline: Baseline) -> dict[PricedAs, RateCard]:
    """One card per model as priced; of several (after partial updates) the first by id."""
    found: dict[PricedAs, set[str]] = {}
    for entry in baseline.entries.values():
        for block in entry.blocks:
            if block.kind.card is not None:
                found.setdefault(_priced_as(block.kind), set()).add(block.kind.card)
    return {key: baseline.cards[min(ids)] for key, ids in found.items()}


def _missing(now: Entry) -> Finding:
    return Finding(
        kind="missing",
        text="no baseline entry (a new or renamed test?)",
        metric="calls",
        before=None,
        now=now.calls,
        limit="known",
    )
