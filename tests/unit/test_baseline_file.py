from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.baseline.entry import Entry
from pytest_crashlens.baseline.file import Baseline, load, parse, write
from pytest_crashlens.errors import BaselineError
from pytest_crashlens.model.call import Call
from tests.unit.entries import BY_ID, call, entry

BASELINE = Baseline(
    {"tests/test_a.py::test_a": entry(call()), "tests/test_a.py::test_b": entry(call("large"))},
    BY_ID,
).merged({}, {})

some_calls = st.lists(
    st.builds(
        call,
        model=st.sampled_from(["small", "tiered", "unheard-of"]),
        tokens=st.tuples(st.integers(0, 10**12), st.integers(0, 5000)),
        cache_read_tokens=st.none() | st.integers(0, 100),
        attempts=st.integers(1, 3),
        live=st.booleans(),
        billed=st.booleans(),
        service_tier=st.none() | st.just("flex"),
        usage_source=st.sampled_from(["provider", "tokenizer", "estimated", "none"]),
    ),
    max_size=4,
)


@given(st.dictionaries(st.text(max_size=20), some_calls, max_size=4))
def test_what_is_rendered_is_read_back(tests: dict[str, list[Call]]) -> None:
    baseline = Baseline().merged({key: entry(*calls) for key, calls in tests.items()}, BY_ID)
    text = baseline.render()
    again = parse(text, "b.json")
    assert again == baseline
    assert again.render() == text
    assert text.endswith("}\n")
    assert text.isascii()


def test_merging_keeps_what_is_not_named_and_drops_unused_cards() -> None:
    merged = BASELINE.merged({"tests/test_a.py::test_b": entry(call())}, BY_ID)
    assert set(merged.entries) == set(BASELINE.entries)
    assert {card.model for card in BASELINE.cards.values()} == {"small", "large"}
    assert {card.model for card in merged.cards.values()} == {"small"}


def test_writing_replaces_the_file_and_says_when_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    assert load(path) is None
    assert write(path, BASELINE)
    stamp = path.stat()
    assert not write(path, BASELINE)
    assert path.stat().st_ino == stamp.st_ino
    assert load(path) == BASELINE
    assert write(path, Baseline())
    assert [found.name for found in tmp_path.iterdir()] == ["b.json"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.json"
    write(path, BASELINE)
    old = path.read_bytes()

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(BaselineError, match=r"No space left on device; nothing was changed"):
        write(path, Baseline())
    assert path.read_bytes() == old
    assert [found.name for found in tmp_path.iterdir()] == ["b.json"]


def test_a_written_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    write(path, BASELINE)
    path.chmod(0o640)
    write(path, Baseline())
    assert path.stat().st_mode & 0o777 == 0o640


def broken(**changes: object) -> str:
    plain = json.loads(BASELINE.render())
    block = plain["tests"]["tests/test_a.py::test_a"]["usage"][0]
    for name, value in changes.items():
        if value is ...:
            del block[name]
        else:
            block[name] = value
    return json.dumps(plain)


CONFLICT = "{\n<<<<<<< HEAD\n}\n=======\n}\n>>>>>>> branch\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONFLICT, r"b.json:2: unresolved merge conflict; keep either side, then run pytest --c"),
        (BASELINE.render()[:-40], r"b.json:\d+:\d+: the file ends in the middle \(truncated\)"),
        ("", r"b.json:1:1: the file ends in the middle"),
        ("{,}", r"b.json:1:2: "),
        ("[]", r"b.json: not a crashlens baseline"),
        ("{}", r"b.json: not a crashlens baseline"),
        ('{"version": true}', r"not a crashlens baseline"),
        ('{"version": 2, "new": []}', r"has version 2, this .* reads up to 1; upgrade it: pip"),
        ('{"version": 1}', r"tests: expected an object"),
        ('{"version": 1, "tests": {}, "extra": 1}', r"the file: unknown key 'extra'"),
        ('{"version": 1, "tests": {"a": 1, "a": 2}}', r"'a' is there twice"),
        ('{"version": 1, "tests": {"a": NaN}}', r"NaN is no number"),
        ("[" * 200_000, r"b.json"),
        ('{"version": 1, "tests": {"t": []}}', r"b.json: t: expected an object"),
        ('{"version": 1, "tests": {"t": {"traffic": "?"}}}', r"t: unknown key 'traffic'"),
        ('{"version": 1, "tests": {"t": {}}}', r"t: \"usage\" must be a list"),
        (broken(calls=-1), r"test_a: 'calls' must be an integer of at least 0, not -1"),
        (broken(calls=True), r"'calls' must be an integer"),
        (broken(input_tokens=1.5), r"'input_tokens' must be an integer"),
        (broken(calls=...), r"'calls' is missing"),
        (broken(usage_source="oracle"), r"'usage_source' must be one of provider, "),
        (broken(tokens=1), r"unknown key 'tokens'"),
        (BASELINE.render().replace('"input": "1"', '"input": "3"'), r"edited by hand"),
        (BASELINE.render().replace('"input": "1"', '"input": 1'), r"card .*expected a price"),
        (BASELINE.render().replace('"input": "1"', '"input above x": "1"'), r"no threshold"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_fix(text: str, message: str) -> None:
    with pytest.raises(BaselineError, match=message):
        parse(text, "b.json")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BaselineError, match="cannot be read"):
        load(path)
    with pytest.raises(BaselineError, match="cannot be read"):
        load(tmp_path)


@given(st.text(max_size=200))
def test_no_text_gives_anything_but_a_named_error(text: str) -> None:
    with pytest.raises(BaselineError, match=r"b\.json"):
        parse(text, "b.json")


@given(st.integers(0, 3000), st.integers(0, 3000), st.text(max_size=5))
def test_a_mangled_baseline_is_read_or_refused(start: int, length: int, put: str) -> None:
    text = BASELINE.render()
    mangled = text[:start] + put + text[start + length :]
    try:
        found: object = parse(mangled, "b.json")
    except BaselineError as error:
        found = error
    assert isinstance(found, Baseline) or str(found).startswith("b.json")


def test_an_entry_without_calls_is_kept() -> None:
    baseline = Baseline({"t": Entry()}, {})
    assert parse(baseline.render(), "b").entries == {"t": Entry()}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "shared.json"
    link = tmp_path / "crashlens-baseline.json"
    link.symlink_to(real)
    write(link, Baseline())
    assert link.is_symlink()
    assert load(real) == Baseline()


def test_a_card_that_a_merge_lost_is_no_price() -> None:
    entries = parse(broken(card="abc"), "b.json").entries.values()
    assert any(block.kind.card is None for entry in entries for block in entry.blocks)
