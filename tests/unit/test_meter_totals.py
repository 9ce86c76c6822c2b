from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from pytest_crashlens.cli.meter_table import lines
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
BOOK_DAY = date(2026, 3, 1)


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


def stating(cost: object, index: int = 0, model: str = "gpt-4o-2024-08-06") -> Recording:
    """Ours costs $0.0000525."""
    usage = {**ANSWER["usage"], "cost": cost}
    answer = {**ANSWER, "model": model, "usage": usage}
    taken = exchange(answer=answer, started=float(index), finished=index + 0.5, lane="a file")
    return Recording(source="a file", index=index, exchange=taken)


@pytest.mark.parametrize(
    ("cost", "notes"),
    [
        (0.0000525, ()),
        (0.00005302, ()),
        (0.00005304, ("stated cost differs: ours is 1.0 % less",)),
        (0.00005196, ("stated cost differs: ours is 1.0 % more",)),
        (0.000105, ("stated cost differs: ours is 50.0 % less",)),
        (0, ()),
        (0.0, ()),
        (None, ()),
    ],
)
def test_a_stated_cost_is_compared(cost, notes):
    metered = Meter(WordCounter(), BOOK).measure(stating(cost))
    assert isinstance(metered, Metered)
    assert metered.notes == notes


@pytest.mark.parametrize(
    ("recordings", "line"),
    [
        (
            [stating(0.0000525), stating(0.000105, 1), stating(0, 2), recorded(3)],
            "2 answers state their own cost: $0.00016 stated, $0.00011 by our prices; "
            "1 differs by more than 1 %.",
        ),
        (
            [stating(0.0000525), stating(0.5, 1, "nobody-knows")],
            "2 answers state their own cost, 1 of them also priced here: $0.000053 stated, "
            "$0.000053 by our prices; 0 differ by more than 1 %.",
        ),
        (
            [stating(0.5, 0, "nobody-knows")],
            "1 answer states its own cost, with no price here to compare.",
        ),
        ([recorded()], None),
        ([stating(0)], None),
    ],
    ids=["compared", "not all priced", "not priced", "nothing stated", "zero stated"],
)
def test_stated_costs_are_a_line(recordings, line):
    text = " ".join(" ".join(lines(totals_of(*recordings), BOOK_DAY)).split())
    if line is None:
        assert "own cost" not in text
    else:
        assert line in text


def test_a_fault_of_ours_is_named_without_its_text(monkeypatch):
    meter = Meter(WordCounter(), BOOK)
    monkeypatch.setattr(meter, "_cost", Broken().text)
    assert meter.measure(recorded(4)) == Unreadable(
        "a file", "exchange 5 could not be measured (RuntimeError)"
    )
