"""What the page shows, in plain values that its template only has to place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from pytest_crashlens.model.money import EXACT, format_usd, format_usd_change, plain_usd
from pytest_crashlens.model.usage import total
from pytest_crashlens.report.change import (
    QUIET,
    Change,
    most_money_first,
    plural,
    rise,
    usd_sum,
)
from pytest_crashlens.report.failure import sentence
from pytest_crashlens.report.inert import inert
from pytest_crashlens.report.markdown import rows_that_matter, why_of
from pytest_crashlens.report.markdown_details import change_of_test, cost
from pytest_crashlens.report.percent import percent
from pytest_crashlens.report.view import Figures, RunView, Spending, TestView

SHARES = 12
"""Models or source lines of their own; the rest is one line."""
FINDINGS = 300
_WORDS = {
    "over": "over the limit",
    "missing": "no baseline",
    "vanished": "no calls now",
    "accepted": "accepted",
    "new": "new",
    "cheaper": "cheaper",
    "moved": "changed",
    "same": "unchanged",
    "ok": "not compared",
}
_INPUT = (
    ("cache read", "cache_read_tokens"),
    ("cache write", "cache_write_tokens"),
    ("input audio", "input_audio_tokens"),
    ("input images", "input_image_tokens"),
)
_OUTPUT = (
    ("reasoning", "reasoning_tokens"),
    ("output audio", "output_audio_tokens"),
    ("output images", "output_image_tokens"),
)
_ALWAYS = ("input", "cache read", "cache write", "output", "reasoning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table of tests; what it is sorted by stands beside each text."""

    state: str
    """The word; sorted by the order of the page itself."""
    mark: str
    """``bad``, ``warn``, ``good`` or nothing."""
    changed: bool
    key: str
    before: str
    before_usd: str
    now: str
    now_usd: str
    change: str
    rise_usd: str
    calls: int
    tokens: int
    why: str
    """With names as code spans."""
    site: str


def rows(run: RunView) -> list[Row]:
    """Every test, those that matter first, most money first."""
    first = rows_that_matter(run)
    seen = {id(test) for test in first}
    rest = most_money_first(test for test in run.tests if id(test) not in seen)
    # what has no baseline, then what moved, then what nobody needs to be told of
    rest.sort(key=lambda test: (test.state in QUIET, test.state != "missing"))
    return [_row(test) for test in (*first, *rest)]


def _row(test: TestView) -> Row:
    compared = change_of_test(test) != ""
    return Row(
        state=_WORDS.get(test.state, f"not judged: {inert(test.outcome)}"),
        mark=_mark(test),
        changed=test.failed or bool(test.findings) or test.state not in QUIET,
        key=inert(test.key) or "(no name)",
        before=cost(test.before) if test.before else "-",
        before_usd=_sortable(test.before.usd if test.before else None),
        now=cost(test.now) if test.now.calls else "-",
        now_usd=_sortable(test.now.usd),
        change=_change(test) if compared else "",
        rise_usd=_sortable(rise(test)) if compared else "",
        calls=test.now.calls,
        tokens=test.now.usage.total_tokens,
        why=why_of(test),
        site=inert(test.site) if test.site else "",
    )


def _mark(test: TestView) -> str:
    if test.failed:
        return "bad"
    if test.findings or test.state in ("missing", "vanished"):
        return "warn"
    return "good" if test.state in ("cheaper", "accepted", "new") else ""


def _change(test: TestView) -> str:
    usd = rise(test)
    return f"{format_usd_change(usd)} ({change_of_test(test)})" if usd else "0"


def _sortable(usd: Decimal | None) -> str:
    return "" if usd is None else plain_usd(usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one model or source line costs."""

    name: str
    calls: int
    tokens: int
    usd: Decimal
    whole: bool
    """False: a part of it has no price, and it costs more."""
    percent: str

    @property
    def cost(self) -> str:
        """In words."""
        if not self.whole:
            return f"≥ {format_usd(self.usd)}" if self.usd else "no price"
        return format_usd(self.usd)


def by_model(run: RunView) -> list[Share]:
    """What each model costs now, most first."""
    return _shares(run, lambda one: f"{one.provider}/{one.model}")


def by_site(run: RunView) -> list[Share]:
    """What each source line costs now, most first."""
    return _shares(run, lambda one: one.call_site or "no line of the project")


def _shares(run: RunView, name_of: Callable[[Spending], str]) -> list[Share]:
    groups: dict[str, list[Spending]] = {}
    for test in run.tests:
        for one in test.spending:
            groups.setdefault(name_of(one), []).append(one)
    everything = usd_sum(one.usd for group in groups.values() for one in group)
    found = [_share(inert(name), group, everything) for name, group in groups.items()]
    found.sort(key=lambda share: (share.usd.copy_negate(), -share.tokens, share.name))
    if len(found) > SHARES + 1:
        left = {share.name for share in found[SHARES:]}
        rest = [one for name, group in groups.items() if inert(name) in left for one in group]
        found[SHARES:] = [_share(f"{len(left):,} others", rest, everything)]
    return found


def _share(name: str, group: Sequence[Spending], everything: Decimal) -> Share:
    usd = usd_sum(one.usd for one in group)
    percent = ""
    with localcontext(EXACT):
        if everything and any(one.usd is not None for one in group):
            part = usd / everything * 100
            percent = "< 1 %" if 0 < part < 1 else f"{part:.0f} %"
    return Share(
        name=name or "(no name)",
        calls=sum(one.calls for one in group),
        tokens=total(one.usage for one in group).total_tokens,
        usd=usd,
        whole=all(one.usd is not None and one.price_status == "priced" for one in group),
        percent=percent,
    )


@dataclass(frozen=True, slots=True)
class Amount:
    """A line that compares a count of the baseline with that of now."""

    name: str
    before: int | None
    """None: nothing was compared."""
    now: int

    @property
    def change(self) -> str:
        """In pieces and percent."""
        if self.before is None or self.before == self.now:
            return "" if self.before is None else "0"
        return f"{self.now - self.before:+,} ({percent(self.before, self.now)})"


def tokens(run: RunView, change: Change) -> list[Amount]:
    """By kind; those that nobody used are left out, but for the usual ones."""
    if change.summed:
        now = _dimensions([test.now for test in change.summed])
        then = _dimensions([test.before for test in change.compared if test.before])
        found = [Amount(name, then[name], count) for name, count in now.items()]
    else:
        sums = _dimensions([run.spent, run.simulated])
        found = [Amount(name, None, count) for name, count in sums.items()]
    return [one for one in found if one.before or one.now or one.name in _ALWAYS]


def _dimensions(sides: Iterable[Figures]) -> dict[str, int]:
    """Tokens by kind; they sum to all tokens unless a provider counts a part twice."""
    usage = total(side.usage for side in sides)
    inputs = {name: getattr(usage, field) or 0 for name, field in _INPUT}
    outputs = {name: getattr(usage, field) or 0 for name, field in _OUTPUT}
    return {
        "input": _rest(usage.input_tokens, inputs),
        **inputs,
        "output": _rest(usage.output_tokens, outputs),
        **outputs,
    }


def _rest(whole: int | None, parts: dict[str, int]) -> int:
    return max((whole or 0) - sum(parts.values()), 0)


@dataclass(frozen=True, slots=True)
class Told:
    """One finding."""

    key: str
    fails: bool
    text: str
    site: str
    evidence: str


def findings(run: RunView) -> Iterator[Told]:
    """All of them, those that fail first."""
    tests = [test for test in run.tests if test.findings]
    for test in sorted(most_money_first(tests), key=lambda test: not test.failed):
        for one in sorted(test.findings, key=lambda finding: not finding.blocks):
            yield Told(
                inert(test.key) or "(no name)",
                one.blocks,
                inert(sentence(one)),
                inert(one.call_site or ""),
                inert(one.evidence or ""),
            )


@dataclass(frozen=True, slots=True)
class Seen:
    """Waste or a saving."""

    kind: str
    bad: bool
    text: str
    money: str
    site: str
    tests: str


def seen(run: RunView) -> list[Seen]:
    """What detectors saw, the worst first."""
    return [
        Seen(
            one.kind.replace("_", " "),
            one.level != "info",
            inert(one.text),
            "no price" if one.waste_usd is None else format_usd(one.waste_usd),
            inert(one.call_sites[0]) if one.call_sites else "",
            plural(len(one.tests), "test", "tests"),
        )
        for one in run.detections
    ]


@dataclass(frozen=True, slots=True)
class Point:
    """The baseline in one commit."""

    day: str
    commit: str
    tests: int
    usd: Decimal | None
    whole: bool
    author: str
    subject: str

    @property
    def cost(self) -> str:
        """In words."""
        if self.usd is None:
            return "no price"
        return format_usd(self.usd) if self.whole else f"≥ {format_usd(self.usd)}"


def sums(change: Change) -> list[tuple[str, str, str, str]]:
    """The table of totals: name, baseline, now, change."""
    before, now = change.before, change.now
    usd = change.usd
    told = percent(before.usd, now.usd)
    found = [
        (
            "cost",
            format_usd(before.usd),
            format_usd(now.usd),
            f"{format_usd_change(usd)} ({told})" if usd else "0",
        )
    ]
    for name, old, new in (
        ("input tokens", before.input_tokens, now.input_tokens),
        ("output tokens", before.output_tokens, now.output_tokens),
        ("calls", before.calls, now.calls),
    ):
        found.append((name, f"{old:,}", f"{new:,}", Amount(name, old, new).change))
    return found
