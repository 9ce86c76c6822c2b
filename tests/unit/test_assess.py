from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from pytest_crashlens.baseline.entry import entry_of
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.policy.assess import Assessor
from pytest_crashlens.policy.config import Config
from pytest_crashlens.pricing.book import PriceBook
from tests.unit.entries import call, card

BOOK = PriceBook(at=datetime(2026, 11, 1, 12, tzinfo=UTC))
OLD = card("gpt-4o-mini", "1000", "1000")
ASK = call("gpt-4o-mini", (1000, 0))


def assessor(**entries: object) -> Assessor:
    baseline = Baseline().merged(entries, {OLD.id: OLD})  # type: ignore[arg-type]
    return Assessor(Config(), baseline, BOOK, updating=False)


def test_a_model_known_to_another_test_has_the_baselines_card() -> None:
    priced, _ = entry_of([ASK], lambda _: OLD)
    found = assessor(other=priced).assess("new", "new", [ASK], place="new")
    assert found.now.cost(found.cards).usd == Decimal(1)
    assert found.today.usd == Decimal("0.00015")


def test_a_model_new_to_the_baseline_has_todays_card() -> None:
    found = assessor().assess("new", "new", [ASK], place="new")
    assert found.now.cost(found.cards).usd == Decimal("0.00015")


def test_a_stored_block_without_a_price_gets_todays() -> None:
    unpriced, _ = entry_of([ASK], lambda _: None)
    found = assessor(t=unpriced).assess("t", "t", [ASK], place="t")
    assert not found.verdict.failed
    assert found.comparison is not None
    assert [cost.usd for cost in found.comparison.costs()] == [Decimal("0.00015")] * 2
