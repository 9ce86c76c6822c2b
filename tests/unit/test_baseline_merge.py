"""Shards merge in whatever order and grouping; facts that contradict each other are named."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, parse
from pytest_crashlens.baseline.merge import MergeConflict, merge, undecided
from pytest_crashlens.baseline.runs import RunTotals
from pytest_crashlens.model.input_parts import InputParts
from tests.unit.entries import BY_ID, CARDS, call, entry

KEYS = ("test_a.py::test_1", "test_a.py::test_2", "test_b.py::test_3")


def live(tokens: int, *, reason: str | None = None, runs: int = 1) -> Entry:
    made = entry(call(tokens=(100, tokens), live=True), call("large"))
    totals = RunTotals.one(calls=2, input_tokens=200, output_tokens=tokens + 50)
    return replace(made, runs=RunTotals.merged([totals] * runs), reason=reason)


def replayed(tokens: int) -> Entry:
    return entry(call(tokens=(tokens, 5)))


def shard(entries: dict[str, Entry]) -> Baseline:
    return Baseline().merged(entries, BY_ID)


def text(merged: Baseline) -> str:
    """What the file would hold, so that parts outside of equality count too."""
    rendered = merged.render()
    assert parse(rendered, "x").render() == rendered
    return rendered


def outcome(*parts: Baseline) -> str | None:
    try:
        return text(merge(parts))
    except MergeConflict:
        return None


def folded(parts: list[Baseline]) -> str | None:
    try:
        return text(reduce(lambda one, other: merge([one, other]), parts))
    except MergeConflict:
        return None


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    if draw(st.booleans()):
        found = replayed(draw(st.sampled_from([10, 10, 10, 20])))
    else:
        found = live(draw(st.integers(0, 5)), runs=draw(st.integers(0, 3)))
    parts = InputParts(system=draw(st.integers(0, 3)))
    blocks = tuple(replace(block, input_parts=parts) for block in found.blocks)
    return replace(found, blocks=blocks, reason=draw(st.sampled_from([None, "b", "a", "a / b"])))


shards = st.dictionaries(st.sampled_from(KEYS), entries()).map(shard)


@given(shards, shards)
def test_commutative(one, other):
    assert outcome(one, other) == outcome(other, one)


@given(st.lists(shards, min_size=1, max_size=4), st.integers(0, 3), st.randoms())
def test_associative(parts, at, random):
    at %= len(parts)
    left, right = parts[: at + 1], parts[at + 1 :]
    grouped = None
    if outcome(*left) is not None and (not right or outcome(*right) is not None):
        halves = [merge(half) for half in (left, right) if half]
        grouped = outcome(*halves)
    shuffled = random.sample(parts, len(parts))
    assert outcome(*parts) == folded(parts) == grouped == outcome(*shuffled)


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from([10, 20]).map(replayed)).map(shard))
def test_idempotent_on_replayed(one):
    assert outcome(one, one) == text(one)


def test_disjoint_shards_are_joined_with_their_cards():
    one = shard({KEYS[0]: entry(call("small"))})
    other = shard({KEYS[2]: entry(call("large"))})
    merged = merge([one, other])
    assert merged.entries == {**one.entries, **other.entries}
    assert set(merged.cards) == {CARDS["small"].id, CARDS["large"].id}


def test_runs_are_added_and_no_figure_rises():
    merged = merge([shard({KEYS[0]: live(90, runs=2)}), shard({KEYS[0]: live(70, runs=3)})])
    found = merged.entries[KEYS[0]]
    assert list(found.runs.output_tokens) == [120, 120, 120, 140, 140]
    assert found.usage.output_tokens == 120


def test_all_reasons_are_kept_once():
    parts = [shard({KEYS[0]: live(1, reason=each)}) for each in ("new prompt", "agreed", None)]
    assert merge([*parts, parts[0]]).entries[KEYS[0]].reason == "agreed / new prompt"


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (replayed(10), replayed(20), "1 call, 15 tokens in one part and 1 call, 25 tokens"),
        (replayed(10), live(10), "is live in one part and replayed in another"),
        (entry(call("small")), entry(call("large")), "1 of small in one part and 1 of large"),
        (
            live(1),
            entry(call(live=True), call("large", (7, 7))),
            "1 call, 150 tokens in one part and 1 call, 14 tokens",
        ),
        (live(1), entry(call(live=True)), "its live calls differ"),
    ],
    ids=["figures", "traffic", "models", "replayed part", "live calls"],
)
def test_conflicts_are_named(one, other, words):
    parts = [shard({KEYS[0]: one, KEYS[1]: one}), shard({KEYS[0]: other, KEYS[1]: other})]
    with pytest.raises(MergeConflict) as caught:
        merge(parts)
    assert set(caught.value.faults) == {KEYS[0], KEYS[1]}
    assert all(words in fault for fault in caught.value.faults.values()), caught.value


def test_another_price_list_is_told_as_such():
    dearer = replace(CARDS["small"], rates={**CARDS["small"].rates, **CARDS["large"].rates})
    found = replayed(10)
    other = Entry(tuple(replace(b, kind=replace(b.kind, card=dearer.id)) for b in found.blocks))
    parts = [shard({KEYS[0]: found}), Baseline({KEYS[0]: other}, {dearer.id: dearer})]
    with pytest.raises(MergeConflict, match="different rate cards"):
        merge(parts)


def test_the_source_of_a_card_does_not_depend_on_the_order():
    small = CARDS["small"]
    parts = [
        Baseline({key: replayed(10)}, {small.id: replace(small, source=source)})
        for key, source in zip(KEYS, ("list b", "list a", "list c"), strict=True)
    ]
    assert len({text(merge(order)) for order in (parts, parts[::-1], parts[1:] + parts[:1])}) == 1


def of_one(found: Entry) -> Baseline:
    return shard({KEYS[0]: found})


def more(found: Entry, *outputs: int) -> Entry:
    """``found`` with further runs."""
    one = (RunTotals.one(calls=2, input_tokens=200, output_tokens=each) for each in outputs)
    return replace(found, runs=RunTotals.merged([found.runs, *one]))


@given(shards, shards, shards)
def test_with_a_base_the_order_does_not_matter_either(base, one, other):
    def result(*parts: Baseline) -> str | None:
        try:
            return text(merge(parts, base))
        except MergeConflict:
            return None

    assert result(one, other) == result(other, one)
    assert result(base, base) == text(base)
    assert result(one, base) == result(base, one)
    assert undecided([one, other], base) == undecided([other, one], base)


def test_what_one_shard_changed_is_taken():
    base = of_one(replayed(10))
    for parts in ([base, of_one(replayed(20))], [of_one(replayed(20)), base, base]):
        assert text(merge(parts, base)) == text(of_one(replayed(20)))
    both = [of_one(replayed(20)), of_one(replayed(30))]
    with pytest.raises(MergeConflict, match="25 tokens in one part and 1 call, 35 tokens"):
        merge(both, base)
    # also where it is another kind of test now
    assert merge([base, of_one(live(5))], base).entries[KEYS[0]].live


def test_a_rise_that_one_shard_accepted_is_kept():
    base = of_one(live(10, runs=3))
    risen = of_one(live(90, reason="new prompt"))
    merged = merge([of_one(more(live(10, runs=3), 61)), risen, base], base)
    assert text(merged) == text(risen)
    assert undecided([base, risen], base) == {}


def test_runs_of_the_base_count_once():
    begun = live(10, runs=3)
    parts = [of_one(more(begun, 61)), of_one(more(begun, 62, 63)), of_one(begun)]
    found = merge(parts, of_one(begun)).entries[KEYS[0]]
    assert list(found.runs.output_tokens) == [60, 60, 60, 61, 62, 63]
    assert list(found.runs.calls) == [2] * 6
    # a shard that measured anew: what the base had is of the past
    anew = of_one(replace(begun, runs=live(20).runs))
    found = merge([anew, parts[0]], of_one(begun)).entries[KEYS[0]]
    assert list(found.runs.output_tokens) == [61, 70]


def test_a_choice_between_live_answers_is_named():
    parts = [of_one(live(90)), of_one(live(70))]
    assert undecided(parts) == {
        KEYS[0]: "its live answers differ: 320 to 340 tokens; the smallest are kept"
    }
    assert undecided(parts[:1] * 2) == {}
