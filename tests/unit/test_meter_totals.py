from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pytest_crashlens.cli.metering import Meter, Metered, Totals
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.recordings.recording import Recording, Unreadable
from tests.provider_exchanges import EMBEDDINGS, WordCounter, exchange
from tests.recordings import ANSWER


class Broken(WordCounter):
    def text(self, *args: Any) -> Any:
        raise RuntimeError("the text: hello there")

    chat = text


BOOK = PriceBook(at=datetime(2026, 3, 1, tzinfo=UTC))


def recorded(index: int = 0, status: int = 200, **fields: Any) -> Recording:
    place = {"started": float(index), "finished": index + 0.5, "lane": "a file"}
    taken = exchange(answer=ANSWER, status=status, **{**place, **fields})
    return Recording(source="a file", index=index, exchange=taken)


def totals_of(*recordings: Recording) -> Totals:
    meter, totals = Meter(WordCounter(), BOOK), Totals()
    for recording in recordings:
        found = meter.measure(recording)
        assert isinstance(found, Metered)
        totals.add(found)
    return totals


@pytest.mark.parametrize(
    ("statuses", "calls", "refused"),
    [
        ((200, 200, 200), 3, 0),
        ((429, 200, 200), 2, 1),
        ((429, 503, 200), 1, 2),
        ((400, 200), 2, 1),
        ((400, 400), 2, 2),
        ((500, 200, 500, 200), 2, 2),
    ],
)
def test_attempts_of_a_call(statuses, calls, refused):
    totals = totals_of(*(recorded(place, status) for place, status in enumerate(statuses)))
    sums = totals.all
    assert (sums.calls, sums.attempts, sums.refused) == (calls, len(statuses), refused)


@pytest.mark.parametrize(
    "other",
    [
        {"lane": "another file"},
        {"request": {"model": "gpt-4o", "messages": []}},
        {"url": "https://api.openai.com/v2/chat/completions"},
        {"started": 0.2},
        {"request_headers": {"x-stainless-retry-count": "2"}},
    ],
    ids=["lane", "body", "address", "overlapping", "numbered"],
)
def test_other_calls_are_no_attempts(other: Mapping[str, Any]):
    assert totals_of(recorded(0, 429), recorded(1, **other)).all.calls == 2


def test_sums_are_by_provider_and_model():
    totals = totals_of(
        recorded(),
        recorded(1, url="https://api.groq.com/openai/v1/chat/completions"),
        recorded(2, url=EMBEDDINGS),
        recorded(3, url="https://example.com/"),
    )
    assert set(totals.models) == {
        "groq/gpt-4o-2024-08-06",
        "openai/gpt-4o-2024-08-06",
    }
    first = totals.models["openai/gpt-4o-2024-08-06"]
    assert first.usage.input_tokens == 18
    assert first.cost.usd is not None
    assert first.cost.usd > Decimal("0.0000525")
    assert totals.models["groq/gpt-4o-2024-08-06"].cost.status == "unpriced"
    assert totals.all.cost.status == "partial"
    assert totals.no_calls == 1
    assert list(totals.why_unpriced) == ["groq/gpt-4o-2024-08-06"]


def test_refused_calls_leave_the_sum_priced():
    sums = totals_of(recorded(0, 401)).all
    assert (sums.cost.usd, sums.cost.status) == (0, "priced")


def test_a_fault_of_ours_is_named_without_its_text(monkeypatch):
    meter = Meter(WordCounter(), BOOK)
    monkeypatch.setattr(meter, "_cost", Broken().text)
    assert meter.measure(recorded(4)) == Unreadable(
        "a file", "exchange 5 could not be measured (RuntimeError)"
    )
