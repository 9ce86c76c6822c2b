"""``anchor:`` and ``max_accept_increase:`` of crashlens.yml, and what counts as creep."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.anchor import Anchored
from pytest_crashlens.policy.config import Anchor
from pytest_crashlens.policy.loader import parse_config
from tests.unit.entries import BY_ID, CARDS, call, card, entry


def read(text: str) -> object:
    return parse_config(f"version: 1\nlimits: {{max_calls: 9}}\n{text}\n", "crashlens.yml")


@pytest.mark.parametrize("at", ["v1.0", "2026-01-31", "1234567", "1e10", "release/2"])
def test_what_an_anchor_may_be(at):
    config = read(f'anchor: {{at: {at}, max_increase: "50%", severity: warn}}')
    assert config.anchor == Anchor(at=at, max_increase=Decimal(50), blocks=False)
    assert read(f'anchor: {{at: {at}, max_increase: "5%"}}').anchor.blocks


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{at: --all, max_increase: 5%}", "is no commit, tag or day"),
        ("{at: a..b, max_increase: 5%}", "is no commit, tag or day"),
        ('{at: "v1:x", max_increase: 5%}', "is no commit, tag or day"),
        ("{at: v1, max_increase: 5}", "anchor.max_increase: expected a percentage"),
        ("{at: v1}", "max_increase is missing"),
        ("{max_increase: 5%}", "at is missing"),
        ("{at: v1, max_increase: 5%, severity: ignore}", 'unknown value "ignore"'),
        ("v1", "expected a section"),
    ],
)
def test_what_it_may_not(text, words):
    with pytest.raises(ConfigError, match="anchor") as caught:
        read(f"anchor: {text}")
    assert words in str(caught.value)


def test_the_largest_rise_to_be_accepted():
    assert read("max_accept_increase: 50%").max_accept_increase == Decimal(50)
    assert read("").max_accept_increase is None
    with pytest.raises(ConfigError, match="max_accept_increase: expected a percentage"):
        read("max_accept_increase: 50")


THEN = Baseline().merged(
    {"a": entry(call(tokens=(1000, 500))), "b": entry(call(tokens=(1000, 500)))}, BY_ID
)
LIMIT = Anchored(Anchor(at="v1", max_increase=Decimal(20)), THEN)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"a": call(tokens=(1401, 500))}, ["+20 %: a $0.0020 -> $0.0024"]),
        ({"a": call(tokens=(1400, 500))}, []),
        ({"a": call(tokens=(1100, 700)), "b": call(tokens=(1100, 700))}, ["a $", "sum of 2"]),
        ({"new": call("large", (9000, 9000))}, []),
        ({"a": call("large", (1000, 500))}, ["a $0.0020 -> $0.020 (+900 %)"]),
        ({"a": call(tokens=(1000, 5000), live=True)}, ["a $", "sum of 1"]),
        ({"a": call("unpriced", (9000, 9000))}, ["a 1,500 -> 18,000 (+1,100 %)", "no whole price"]),
    ],
)
def test_creep(now, words):
    entries = {key: entry(each) for key, each in now.items()}
    found = LIMIT.creep(entries, BY_ID)
    texts = " | ".join(finding.text for finding in found)
    assert bool(found) == bool(words), texts
    assert all(word in texts for word in words), texts


def test_longer_live_answers_are_no_creep():
    then = Baseline().merged({"a": entry(call(tokens=(1000, 500), live=True))}, BY_ID)
    anchored = Anchored(LIMIT.anchor, then)
    assert not anchored.creep({"a": entry(call(tokens=(1000, 5000), live=True))}, BY_ID)
    assert anchored.creep({"a": entry(call(tokens=(2000, 500), live=True))}, BY_ID)


def test_a_dearer_price_list_is_no_creep(monkeypatch):
    dearer = card("small", "9", "9")
    monkeypatch.setitem(CARDS, "small", dearer)
    now = entry(call(tokens=(1000, 500)))
    assert now.blocks[0].kind.card == dearer.id
    assert not LIMIT.creep({"a": now}, {dearer.id: dearer})


def test_only_the_dearest_are_named():
    then = Baseline().merged({str(n): entry(call(tokens=(1000, 0))) for n in range(9)}, BY_ID)
    now = {str(n): entry(call(tokens=(2000 + n, 0))) for n in range(9)}
    first, total = Anchored(LIMIT.anchor, then).creep(now, BY_ID)
    assert first.text.startswith("creep since v1 beyond +20 %: 8 $")
    assert first.text.endswith(" and 6 more")
    assert "sum of 9 tests" in total.text


def creep(then, now):
    anchored = Anchored(LIMIT.anchor, Baseline().merged({"a": entry(*then)}, BY_ID))
    return [(one.text, one.blocks) for one in anchored.creep({"a": entry(*now)}, BY_ID)]


def test_without_prices_tokens_are_compared():
    unpriced = call("unpriced", (1000, 500))
    # a price that came is no rise
    assert creep([unpriced], [call(tokens=(1000, 500))]) == []
    assert creep([unpriced], [unpriced]) == []
    ((text, blocks),) = creep([unpriced], [call("unpriced", (100_000, 500))])
    assert "tokens (not all is priced) of a 1,500 -> 100,500 (+6,600 %)" in text
    assert blocks
    # longer live answers are none either
    live = call("unpriced", (1000, 500), live=True)
    assert creep([live], [call("unpriced", (1000, 5000), live=True)]) == []


def test_what_lost_its_price_is_named():
    priced, unpriced = call(tokens=(1000, 500)), call("unpriced", (1000, 500))
    said = "creep since v1: 1 test has no whole price now: only their tokens were compared: a"
    assert creep([priced], [unpriced]) == [(said, False)]
    assert creep([priced, priced], [priced, unpriced]) == [(said, False)]
    unknown = call("unpriced", (0, 0), usage_source="unknown")
    said = "creep since v1: 1 test has calls of unknown usage: not compared: a"
    assert creep([priced], [unknown]) == [(said, False)]


def test_a_partial_price_is_not_held_against_a_whole_one():
    large, unpriced = call("large", (1000, 500)), call("unpriced", (1000, 500))
    # what was priced then is a part: the sum of all cannot be held against it
    assert creep([unpriced, call(tokens=(10, 5))], [large, call(tokens=(10, 5))]) == []


def test_an_anchor_alone_is_enough():
    text = 'version: 1\nanchor: {at: v1, max_increase: "50%"}\n'
    assert parse_config(text, "crashlens.yml").anchor is not None
    with pytest.raises(ConfigError, match="nothing is limited"):
        parse_config("version: 1\nstale: error\n", "crashlens.yml")
