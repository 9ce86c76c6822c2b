"""``crashlens show``, ``diff``, ``prune``, ``check`` and ``merge``."""

from __future__ import annotations

import json
from dataclasses import replace
from textwrap import dedent

import pytest

from pytest_crashlens.baseline.runs import RunTotals
from pytest_crashlens.cli.main import main
from tests.integration.baselines import Command, Repo, narrow, render
from tests.unit.entries import call, entry

A, B, C = "tests/test_a.py::test_one", "tests/test_a.py::test_two[x]", "tests/test_b.py::test_three"
OLD = {
    A: entry(call(tokens=(1000, 500))),
    B: entry(call("large", (1000, 500))),
    C: entry(call(tokens=(300, 30)), call(tokens=(300, 30))),
}


@pytest.fixture
def repo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Repo(tmp_path)


@pytest.fixture
def crashlens(capsys):
    return Command(capsys)


def dedented(text: str) -> str:
    return dedent(text).lstrip("\n")


# show


def test_show_all(repo, crashlens):
    repo.write(OLD)
    assert crashlens("show") == dedented(
        """
          test                          calls  tokens      cost   traffic
          tests/test_a.py::test_two[x]      1   1,500    $0.020  replayed
          tests/test_a.py::test_one         1   1,500   $0.0020  replayed
          tests/test_b.py::test_three       2     660  $0.00072  replayed
        crashlens-baseline.json: 3 entries, 4 calls, 3,660 tokens, $0.023
        """
    )
    found = crashlens.json("show")
    assert found["total"]["cost_usd"] == "0.02272"
    assert found["tests"][A]["cost_usd"] == "0.002"
    assert found["tests"][A]["usage"][0]["input_tokens"] == 1000


def test_show_one(repo, crashlens):
    runs = RunTotals.merged(
        RunTotals.one(calls=1, input_tokens=100, output_tokens=tokens) for tokens in (40, 60)
    )
    live = replace(entry(call(live=True, attempts=2)), runs=runs, reason="longer \x1b[31m prompt")
    repo.write(OLD | {A: live})
    assert crashlens("show", A) == dedented(
        """
        tests/test_a.py::test_one
          model         calls  input  cached  output      cost
          openai/small      1    100       -      50  $0.00020
          1 retry
          live, 2 runs
            calls of a run: 1
            input tokens of a run: 100
            output tokens of a run: 40 to 60
          reason: longer \\x1b[31m prompt
        """
    )


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (A, {A}),
        ("tests/test_a.py::test_two", {B}),
        ("tests/test_a.py", {A, B}),
        ("./tests/", {A, B, C}),
        ("*three*", {C}),
    ],
)
def test_keys_are_named_by_their_start_or_a_glob(repo, crashlens, name, keys):
    repo.write(OLD)
    assert set(crashlens.json("show", name)["tests"]) == keys


def test_names_may_be_relative_to_a_subfolder(repo, crashlens, monkeypatch):
    repo.write(OLD)
    (repo.path / "tests").mkdir()
    monkeypatch.chdir(repo.path / "tests")
    assert set(crashlens.json("show", "test_a.py::test_one")["tests"]) == {A}


def test_no_such_key(repo, crashlens):
    repo.write(OLD)
    said = crashlens("show", "tests/test_a.py::test_onne", code=2)
    assert said == f"no entry for tests/test_a.py::test_onne; did you mean {A}\n"


def test_a_long_baseline_is_cut_and_narrow(repo, crashlens):
    repo.write({f"tests/{'deep/' * 20}test_a.py::test_{n}": OLD[A] for n in range(25)})
    shown = crashlens("show")
    assert "... and 5 more (--all shows them)" in shown
    assert narrow(shown)
    assert len(crashlens("show", "--all").splitlines()) == 27


@pytest.mark.parametrize("command", ["show", "check", "prune x", "diff"])
def test_without_a_baseline(repo, crashlens, command):
    repo.commit(None, "empty")
    assert "crashlens-baseline.json" in crashlens(*command.split(), code=2)


@pytest.mark.parametrize("command", ["show", "prune x", "diff", "history", "merge out"])
def test_a_broken_baseline(repo, crashlens, command):
    repo.commit('{"version": 1, "tests": {', "broken")
    code = 1 if command == "history" else 2
    more = ["crashlens-baseline.json"] if command.startswith("merge") else []
    assert "crashlens-baseline.json:1:" in crashlens(*command.split(), *more, code=code)


# diff


def test_diff_of_the_working_tree_with_head(repo, crashlens):
    repo.commit(OLD, "first")
    renamed = "tests/test_c.py::test_three"
    new = {
        A: replace(entry(call(tokens=(2000, 500))), reason="new prompt"),
        renamed: OLD[C],
        "tests/test_a.py::test_new": entry(call(tokens=(10, 10))),
    }
    repo.write(new)
    shown = crashlens("diff")
    assert narrow(shown)
    assert shown.splitlines()[0] == (
        "crashlens-baseline.json at HEAD "
        f"({repo.git('rev-parse', 'HEAD')[:8]}) -> crashlens-baseline.json"
    )
    assert shown.splitlines()[1:4] == [
        f"rose: {A}",
        "  $0.0020 -> $0.0030 (+50 %)",
        shown.splitlines()[3],
    ]
    assert "input" in shown.splitlines()[3]
    assert "+$0.0010" in shown.splitlines()[3]
    assert "  reason: new prompt\n" in shown
    assert "new: tests/test_a.py::test_new\n  $0.000030, 1 call, 20 tokens\n" in shown
    assert f"removed: {B}\n  was $0.020, 1 call, 1,500 tokens\n" in shown
    assert f"renamed: {C} -> {renamed} (same usage)\n" in shown
    assert shown.endswith("total: $0.023 -> $0.0038 (-83 %)\n")
    assert crashlens("diff", "--fail", code=1)
    found = crashlens.json("diff")
    assert found["rose"] is True
    assert found["renamed"] == {C: renamed}
    states = {change["key"]: change["state"] for change in found["changes"]}
    assert states == {A: "rose", "tests/test_a.py::test_new": "new", B: "removed"}
    causes = next(change for change in found["changes"] if change["key"] == A)["causes"]
    assert [(cause["kind"], cause["usd"]) for cause in causes] == [("input", "0.001")]


def test_diff_without_differences(repo, crashlens):
    repo.commit(OLD, "first")
    assert crashlens("diff", "--fail").splitlines()[1:] == ["no differences"]


@pytest.mark.parametrize(
    ("now", "state", "code"),
    [
        (call(tokens=(1000, 400)), "fell", 0),
        (call(tokens=(998, 501)), "moved", 0),
        (call("unpriced", (1000, 500)), "rose", 1),
        (call(tokens=(1000, 500), usage_source="estimated"), "basis changed", 1),
        (None, "vanished", 1),
    ],
)
def test_what_fails(repo, crashlens, now, state, code):
    old, new = (
        repo.write(OLD, "old.json"),
        repo.write(OLD | {A: entry(*([now] if now else []))}, "new.json"),
    )
    found = crashlens.json("diff", old.name, new.name, "--fail", code=code)
    assert [(change["key"], change["state"]) for change in found["changes"]] == [(A, state)]


def test_revisions_and_paths(repo, crashlens):
    repo.commit(OLD, "first")
    repo.git("tag", "v1")
    repo.git("mv", "crashlens-baseline.json", "costs.json")
    repo.commit(OLD | {A: OLD[B]}, "second", name="costs.json")
    dearer = ["rose"]
    for sides in (("v1", "costs.json"), ("v1", "HEAD"), ("v1:crashlens-baseline.json", "HEAD")):
        found = crashlens.json("diff", *sides, "--baseline", "costs.json")
        assert [change["state"] for change in found["changes"]] == dearer, sides
    assert "crashlens-baseline.json at v1" in crashlens("diff", "v1", "--baseline", "costs.json")


def test_a_side_that_is_nothing(repo, crashlens):
    repo.commit(OLD, "first")
    said = crashlens("diff", "nope", code=2)
    assert "nope: there is no such file" in said
    assert "no commit, tag or branch" in said
    assert "has no such file" in crashlens("diff", "HEAD:x.json", code=2)
    assert "two sides" in crashlens("diff", "a", "b", "c", code=2)
    (repo.path / "list.json").write_text("[]")
    assert "not a crashlens baseline" in crashlens("diff", "list.json", code=2)
    (repo.path / "report.json").write_text('{"schema_version": 1}')
    assert "is no report of a run" in crashlens("diff", "report.json", code=2)


def test_diff_outside_of_a_repository(tmp_path, monkeypatch, crashlens):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "crashlens-baseline.json").write_text(render(OLD))
    assert "not a git repository" in crashlens("diff", code=2)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in crashlens("diff", code=2)


def test_another_price_list_is_no_change(repo, crashlens):
    old = repo.write(OLD, "old.json")
    text = old.read_text()
    small = entry(call()).blocks[0].kind.card
    from pytest_crashlens.baseline.file import Baseline
    from tests.unit.entries import CARDS, card

    dearer = card("small", "2", "4")
    blocks = tuple(
        replace(block, kind=replace(block.kind, card=dearer.id)) for block in OLD[A].blocks
    )
    cards = {CARDS["large"].id: CARDS["large"], small: CARDS["small"], dearer.id: dearer}
    new = Baseline(OLD | {A: replace(OLD[A], blocks=blocks)}, cards)
    (repo.path / "new.json").write_text(new.render())
    assert text != new.render()
    shown = crashlens("diff", "old.json", "new.json", "--fail")
    assert "no differences" in shown
    assert "+$0.0020 in all; not counted" in " ".join(shown.split())


# prune


def test_prune_named_entries(repo, crashlens):
    path = repo.write(OLD)
    assert f"would delete: {A}" in crashlens("prune", "tests/test_a.py", "--dry-run", code=1)
    assert path.read_text() == render(OLD)
    shown = crashlens("prune", "tests/test_a.py")
    assert shown == f"deleted: {A}\ndeleted: {B}\ncrashlens-baseline.json: 2 entries deleted\n"
    assert path.read_text() == render({C: OLD[C]})  # with the cards that are still used
    assert crashlens.json("prune", C)["deleted"] == [C]
    assert "not both" in crashlens("prune", code=2)
    assert "not both" in crashlens("prune", "x", "--stale", code=2)
    assert "no last run" in crashlens("prune", "--stale", code=2)


# check


def with_tests(repo):
    for name in ("test_a.py", "test_b.py"):
        (repo.path / "tests").mkdir(exist_ok=True)
        (repo.path / "tests" / name).write_text("")


def test_a_whole_baseline_is_fine(repo, crashlens):
    with_tests(repo)
    repo.write(OLD | {"any key at all": OLD[A], "checkout::happy path": OLD[A]})
    assert crashlens("check") == "crashlens-baseline.json: 5 entries, fine\n"


def tampered(change):
    plain = json.loads(render(OLD))
    change(plain)
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def set_cost(plain):
    plain["tests"][A]["usage"][0]["cost_usd"] = "0.5"


def add_card(plain):
    from tests.unit.entries import CARDS

    plain["cards"][CARDS["wordy"].id] = CARDS["wordy"].to_dict()


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (tampered(set_cost), "cost", f"{A}: cost_usd is 0.5, its tokens and card make 0.002;"),
        (tampered(add_card), "unused card", "(openai/wordy) is used by no test;"),
        (render(OLD).replace("  ", "\t"), "form", "is not as we write it"),
        (render(OLD).replace("\n", "\r\n"), "form", "is not as we write it"),
    ],
    ids=["cost", "card", "tabs", "line ends"],
)
def test_what_check_finds_and_fixes(repo, crashlens, text, kind, words):
    with_tests(repo)
    path = repo.path / "crashlens-baseline.json"
    path.write_bytes(text.encode())
    found = crashlens.json("check", code=1)["problems"]
    assert kind in [one["kind"] for one in found]
    assert any(words in one["text"] for one in found), found
    assert narrow(crashlens("check", code=1))
    assert crashlens.json("check", "--fix")["fixed"] is True
    assert path.read_bytes() == render(OLD).encode()


def test_what_nobody_can_fix(repo, crashlens):
    with_tests(repo)
    path = repo.write("<<<<<<< HEAD\n" + render(OLD))
    assert "unresolved merge conflict" in crashlens("check", "--fix", code=1)
    assert path.read_text().startswith("<<<<<<<")
    repo.write(OLD | {"teardown:gone/test_x.py::test_y": OLD[A], "gone/test_x.py::a": OLD[A]})
    for name in (
        "crashlens-baseline.json.orig",
        "crashlens-baseline_LOCAL_123.json",
        ".crashlens-baseline.json.a1b2",
    ):
        (repo.path / name).write_text("")
    found = crashlens.json("check", code=1)["problems"]
    assert [one["kind"] for one in found] == ["no test file", *["leftover"] * 3]
    assert "gone/test_x.py: there is no such file, and 2 entries of it" in found[0]["text"]
    assert crashlens("prune", "gone/test_x.py")
    assert crashlens("check", code=1).count("is left of a merge") == 3


# merge


def test_merge(repo, crashlens):
    one = repo.write({A: OLD[A], B: OLD[B]}, "1.json")
    repo.write({B: OLD[B], C: OLD[C]}, "2.json")
    shown = crashlens("merge", "out.json", "1.json", "2.json")
    assert shown == "out.json: 3 entries of 2 parts\n"
    assert (repo.path / "out.json").read_text() == render(OLD)
    assert crashlens.json("merge", "out.json", "2.json", "1.json")["written"] is False
    crashlens("merge", "1.json", "1.json", "2.json")
    assert one.read_text() == render(OLD)
    repo.write({A: OLD[B]}, "3.json")
    assert f"conflict: {A}: " in crashlens("merge", "1.json", "1.json", "3.json", code=1)
    assert one.read_text() == render(OLD)
    assert "no such file" in crashlens("merge", "1.json", "4.json", code=2)


@pytest.mark.parametrize(
    "command", ["show", "diff", "accept", "review", "prune", "check", "merge", "history"]
)
def test_help_names_the_exit_codes(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert ("exit codes:\n  0  " in shown and "\n  1  " in shown) or command == "show"
    assert "--json" in shown
    assert narrow(shown)


def test_merge_takes_what_a_shard_changed(repo, crashlens):
    name = "crashlens-baseline.json"
    repo.commit({A: OLD[A], B: OLD[B]}, "Begin")
    repo.write({A: OLD[A], B: OLD[C]}, "1.json")
    repo.write({A: OLD[C], B: OLD[B]}, "2.json")
    crashlens("merge", name, "1.json", "2.json")
    assert (repo.path / name).read_text() == render({A: OLD[C], B: OLD[C]})
    # elsewhere the base is not known, unless it is named
    assert "conflict" in crashlens("merge", "out.json", "1.json", "2.json", code=1)
    repo.write({A: OLD[A], B: OLD[B]}, "base.json")
    crashlens("merge", "--base", "base.json", "out.json", "1.json", "2.json")
    assert (repo.path / "out.json").read_text() == render({A: OLD[C], B: OLD[C]})
    assert "no such file" in crashlens("merge", "--base", "no.json", "o.json", "1.json", code=2)


def test_merge_says_what_it_chose(repo, crashlens):
    for name, tokens in (("1.json", 70), ("2.json", 90)):
        repo.write({A: entry(call(tokens=(100, tokens), live=True))}, name)
    shown = " ".join(crashlens("merge", "out.json", "1.json", "2.json").split())
    assert f"note: {A}: its live answers differ: 170 to 190 tokens; the smallest are kept" in shown
    assert list(crashlens.json("merge", "out.json", "1.json", "2.json")["notes"]) == [A]


def test_check_names_a_card_that_is_lost(repo, crashlens):
    with_tests(repo)
    plain = json.loads(render(OLD))
    lost = plain["tests"][B]["usage"][0]["card"]
    del plain["cards"][lost]
    path = repo.write(json.dumps(plain, indent=2, sort_keys=True) + "\n")
    before = path.read_text()
    (found,) = crashlens.json("check", "--fix", code=1)["problems"]
    assert found["kind"] == "lost card"
    assert f"card {lost} is not in the file, so {B} cannot be priced" in found["text"]
    assert path.read_text() == before  # which still says what was lost


@pytest.mark.parametrize("name", ["", " ", "::", "::test_x"])
def test_an_empty_name_is_that_of_no_entry(repo, crashlens, name):
    path = repo.write(OLD)
    assert "entry" in crashlens("prune", name, code=2)
    assert path.read_text() == render(OLD)
