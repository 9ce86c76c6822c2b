"""Teams: branches change code, run parts of the tests, accept what they see, and merge.

The file of each branch goes through the writer of a run and through git's three-way merge. A model
beside it knows who accepted what, and is asked after every step.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pytest_crashlens.baseline.entry import Block, Entry, entry_of
from pytest_crashlens.baseline.file import Baseline, load, parse
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.model.call import Call
from pytest_crashlens.policy.assess import Assessment, Assessor
from pytest_crashlens.policy.config import Config
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.report.run_result import BaselineStatus, Result
from pytest_crashlens.snapshot import UpdateWay, write_snapshot
from tests.unit.entries import call, card

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git merges the files")

BOOK = PriceBook(at=datetime(2026, 11, 1, 12, tzinfo=UTC))
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1")
TESTS = tuple(f"tests/test_{file}.py::test_{name}" for file in "abcd" for name in "klmnop")
NAMES = ("first", "second")
WAYS = (UpdateWay(), UpdateWay(), UpdateWay(new_only=True), UpdateWay(prune=True))
LOST_CARD = "is not among the file's cards"

Value = TypeVar("Value")


class Spec(NamedTuple):
    """What the code of a branch makes a test use."""

    model: str
    tokens: int
    calls: int

    def made(self) -> list[Call]:
        return [call(self.model, (self.tokens, self.tokens // 10))] * self.calls


class Work(NamedTuple):
    """A change of the code of some tests, and what is then accepted."""

    tests: frozenset[str]
    spec: Spec | None
    """None: the tests are removed."""
    way: UpdateWay | None
    """None: nothing is accepted."""


specs = st.builds(
    Spec, st.sampled_from(MODELS), st.sampled_from((500, 550, 1000, 2000)), st.integers(1, 2)
)
works = st.lists(
    st.builds(
        Work,
        st.frozensets(st.sampled_from(TESTS), min_size=1, max_size=2),
        st.one_of(specs, specs, specs, st.none()),
        st.sampled_from((*WAYS, None)),
    ),
    min_size=1,
    max_size=2,
)


@dataclass
class State:
    """All that git knows at one commit."""

    code: dict[str, Spec]
    text: str
    entries: dict[str, Entry] = field(default_factory=dict)
    """What the file must hold."""

    def copy(self) -> State:
        return State(dict(self.code), self.text, dict(self.entries))


def run(
    state: State, folder: Path, tests: Collection[str], way: UpdateWay | None = None
) -> tuple[dict[str, Assessment], str]:
    """What a run of ``tests`` says, and the file after it."""
    path = folder / "crashlens-baseline.json"
    path.write_text(state.text)
    stored = load(path)
    assert stored is not None
    new_only = way is not None and way.new_only
    assessor = Assessor(Config(), stored, BOOK, updating=way is not None, new_only=new_only)
    found = {
        test: assessor.assess(test, test, state.code[test].made(), place=test)
        for test in state.code
        if test in tests
    }
    if way is None:
        return found, path.read_text()
    stale = tuple(key for key in stored.entries if key not in state.code)
    status = BaselineStatus(name=path.name, mode="updated", stale=stale)
    results = [Result(assessment=one, outcome="passed") for one in found.values()]
    status = write_snapshot(path, stored, results, status, ended=True, whole=True, way=way)
    assert status.error is None
    return found, path.read_text()


def merged_text(ours: str, before: str, theirs: str) -> str | None:
    """What git makes of the files; None: a conflict."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("ours", "before", "theirs")]
        for path, text in zip(paths, (ours, before, theirs), strict=True):
            path.write_text(text)
        done = subprocess.run(
            ["git", "merge-file", "-p", *map(str, paths)], capture_output=True, text=True
        )
    assert 0 <= done.returncode < 128, done.stderr
    return None if done.returncode else done.stdout


def three_way(
    before: Mapping[str, Value], ours: Mapping[str, Value], theirs: Mapping[str, Value]
) -> tuple[dict[str, Value], set[str]]:
    """The union of both changes, and the keys that both changed differently (ours are taken)."""
    result, both = dict(ours), set()
    for key in {*before, *theirs}:
        if theirs.get(key) == before.get(key) or theirs.get(key) == ours.get(key):
            continue
        if ours.get(key) != before.get(key):
            both.add(key)
        elif key in theirs:
            result[key] = theirs[key]
        else:
            del result[key]
    return result, both


def blocks(*entries: Entry | None) -> set[Block]:
    return {block for entry in entries if entry is not None for block in entry.blocks}


def rises(entry: Entry, now: Entry) -> bool:
    """A rise that no rule can let pass: the same models, and twice the tokens."""
    same = {block.kind.model for block in entry.blocks} == {b.kind.model for b in now.blocks}
    return same and now.usage.total_tokens >= 2 * entry.usage.total_tokens


class Teams(RuleBasedStateMachine):
    """The main branch and two that are merged into it, and brought up to date from it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize()
    def first_baseline(self) -> None:
        code = {
            test: Spec(MODELS[number % 3], 1000, 1)
            for number, test in enumerate(TESTS)
            if number % 5
        }
        self.main = State(code, Baseline().render())
        self.main = self.updated(self.main, TESTS, UpdateWay())
        self.branches = {name: self.main.copy() for name in NAMES}
        self.forks = {name: self.main.copy() for name in self.branches}

    def updated(self, state: State, tests: Collection[str], way: UpdateWay) -> State:
        found, text = run(state, self.folder, tests, way)
        entries = dict(state.entries)
        for test, assessment in found.items():
            if not (way.new_only and test in entries):
                entries[test] = assessment.now
        if way.prune:
            entries = {key: entry for key, entry in entries.items() if key in state.code}
        return State(state.code, text, entries)

    @rule(first=works, second=works, delivered=st.permutations(NAMES))
    def sprint(self, first: list[Work], second: list[Work], delivered: list[str]) -> None:
        """Both branches do their work, and are delivered one after the other."""
        for name, works in zip(NAMES, (first, second), strict=True):
            for work in works:
                self.do(name, work)
        self.merge_in_both_orders()
        for name in delivered:
            self.deliver(name)

    @rule(name=st.sampled_from(NAMES), work=works)
    def work(self, name: str, work: list[Work]) -> None:
        for one in work:
            self.do(name, one)

    def do(self, name: str, work: Work) -> None:
        code = self.branches[name].code
        if work.spec is not None:
            code |= dict.fromkeys(work.tests, work.spec)
        else:
            for test in work.tests:
                code.pop(test, None)
        self.compare(name)
        if work.way is not None:
            self.accept(name, TESTS if work.way.prune else work.tests, work.way)
        self.nothing_is_lost_and_nothing_accepted_by_itself()

    def accept(self, name: str, tests: Collection[str], way: UpdateWay) -> None:
        self.branches[name] = self.updated(self.branches[name], tests, way)
        again = self.updated(self.branches[name], tests, way)
        assert again.text == self.branches[name].text

    def compare(self, name: str) -> None:
        state = self.branches[name]
        found, text = run(state, self.folder, TESTS)
        assert text == state.text, "only an update writes"
        for test, assessment in found.items():
            entry = state.entries.get(test)
            if entry is None:
                assert assessment.verdict.failed, "a lost entry is not passed over"
            elif entry == assessment.now:
                assert not assessment.verdict.failed
            elif rises(entry, assessment.now):
                assert assessment.verdict.failed, "nobody accepted it"

    def deliver(self, name: str) -> None:
        """Merge the branch, begin it anew, and bring the other one up to date."""
        merged = self.merged(self.main, self.forks[name], self.branches[name])
        if merged is not None:
            self.main = merged
        # what conflicts is begun anew too
        self.branches[name], self.forks[name] = self.main.copy(), self.main.copy()
        [other] = set(NAMES) - {name}
        current = self.merged(self.branches[other], self.forks[other], self.main)
        self.branches[other] = current or self.main.copy()
        self.forks[other] = self.main.copy()

    def merge_in_both_orders(self) -> None:
        results = []
        for order in (NAMES, NAMES[::-1]):
            text: str | None = self.main.text
            for name in order:
                if text is not None:
                    text = merged_text(text, self.forks[name].text, self.branches[name].text)
            results.append(text)
        if None not in results:
            assert results[0] == results[1]

    def merged(self, ours: State, before: State, theirs: State) -> State | None:
        """Both sides' changes; None where git or the file asks a person."""
        text = merged_text(ours.text, before.text, theirs.text)
        if text is None:
            return None
        code, _ = three_way(before.code, ours.code, theirs.code)
        entries, _ = three_way(before.entries, ours.entries, theirs.entries)
        try:
            found = parse(text, "merged").entries
        except BaselineError as error:
            # named, and for a person to decide; the first is a test below, the second is what git
            # makes of a test that came back at another place
            if LOST_CARD not in str(error) and "is there twice" not in str(error):
                raise
            return None
        for key in {*found, *entries}:
            if found.get(key) == entries.get(key):
                continue
            # both changed it; or git took two changes that look alike for one (a neighbour's and
            # its own), so that a rise must be accepted again: each block is one that somebody had
            sides = [each.entries.get(key) for each in (before, ours, theirs)]
            if key in found:
                assert blocks(found[key]) <= blocks(*sides)
                entries[key] = found[key]
            else:
                assert None in sides
                entries.pop(key, None)
        return State(code, text, entries)

    @invariant()
    def nothing_is_lost_and_nothing_accepted_by_itself(self) -> None:
        for state in (self.main, *self.branches.values()):
            assert parse(state.text, "b.json").entries == state.entries


# the same plays each time: what a new one finds is no reason to stop other work
Teams.TestCase.settings = settings(
    max_examples=15, stateful_step_count=8, deadline=None, derandomize=True
)
TestTeams = Teams.TestCase


def test_branches_that_change_neighbours_merge(tmp_path: Path) -> None:
    """The case that one line per test, and totals, make a conflict of every time."""
    main = State(dict.fromkeys(TESTS, Spec("gpt-4o-mini", 1000, 1)), Baseline().render())
    _, main.text = run(main, tmp_path, TESTS, UpdateWay())
    sides = []
    for test in TESTS[1:3]:
        side = replace(main, code=main.code | {test: Spec("gpt-4o-mini", 5000, 1)})
        _, side.text = run(side, tmp_path, TESTS, UpdateWay())
        sides.append(side.text)
    assert sides[0] != sides[1]
    text = merged_text(sides[0], main.text, sides[1])
    assert text is not None
    assert text == merged_text(sides[1], main.text, sides[0])
    tokens = {key: e.usage.input_tokens for key, e in parse(text, "b.json").entries.items()}
    assert tokens == dict.fromkeys(TESTS, 1000) | dict.fromkeys(TESTS[1:3], 5000)


def test_what_git_merges_can_be_read(tmp_path: Path) -> None:
    """One branch moves the last test away from a model, the other adds a test that uses it."""
    code = dict.fromkeys(TESTS[:9], Spec("gpt-4o-mini", 1000, 1))
    main = State(code | {TESTS[12]: Spec("gpt-4o", 1000, 1)}, Baseline().render())
    _, main.text = run(main, tmp_path, TESTS, UpdateWay())
    moved = replace(main, code=main.code | {TESTS[12]: Spec("gpt-4o-mini", 1000, 1)})
    added = replace(main, code=main.code | {TESTS[20]: Spec("gpt-4o", 1000, 1)})
    for branch in (moved, added):
        _, branch.text = run(branch, tmp_path, TESTS, UpdateWay())
    text = merged_text(moved.text, main.text, added.text)
    assert text is not None
    assert set(parse(text, "b.json").entries) == {*TESTS[:9], TESTS[12], TESTS[20]}
    both = State(moved.code | added.code | {TESTS[12]: moved.code[TESTS[12]]}, text)
    found, _ = run(both, tmp_path, TESTS)
    assert not any(assessment.verdict.failed for assessment in found.values())


def test_entry_without_a_price_is_compared_at_one_price() -> None:
    """Another test has the model's card from before its price changed."""
    old = card("gpt-4o-mini", "1000", "1000")
    ask = call("gpt-4o-mini", (1000, 0))
    entries = {
        "unpriced": entry_of([ask], lambda _: None)[0],
        "priced": entry_of([ask], lambda _: old)[0],
    }
    baseline = Baseline().merged(entries, {old.id: old})
    assessor = Assessor(Config(), baseline, BOOK, updating=False)
    found = assessor.assess("unpriced", "unpriced", [ask], place="unpriced")
    assert not found.verdict.failed
