"""The whole recorded traffic through ``crashlens meter``: each exchange is a line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.cli.main import main
from pytest_crashlens.cli.metering import Meter, Metered, Totals
from pytest_crashlens.model.usage import USAGE_FIELDS
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.recordings.recording import Recording
from tests.corpus.recorded import NO_CORPUS, SHARED, exchange, rows
from tests.corpus.test_conformance import MISLABELLED
from tests.provider_exchanges import WordCounter

pytestmark = pytest.mark.skipif(not SHARED, reason=NO_CORPUS)

NAMES = {
    "call",
    "cost_usd",
    "endpoint",
    "index",
    "model_requested",
    "model_returned",
    "notes",
    "price_status",
    "provider",
    "source",
    "stated_cost_usd",
    "status",
    "streaming",
    "usage",
    "usage_source",
}


def metered(capsys: pytest.CaptureFixture[str], file: str) -> list[dict[str, Any]]:
    path = Path(str(SHARED), "data", f"{file}.jsonl.gz")
    assert main(["meter", "--json", "--at", "2026-03-01", str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))
    for line in lines:
        assert line.keys() - {"id"} == NAMES
        assert tuple(line["usage"]) == USAGE_FIELDS
    return lines


def test_every_exchange_is_a_line(capsys):
    lines = metered(capsys, "traffic")
    expected = list(rows("traffic"))
    assert [line["id"] for line in lines] == [row["id"] for row in expected]
    for line, row in zip(lines, expected, strict=True):
        assert line["status"] == row["status"]
        if not line["call"]:
            assert line["price_status"] is line["usage_source"] is line["provider"] is None
        elif line["price_status"] == "unpriced":
            assert line["cost_usd"] is None
            assert line["notes"]
        else:
            assert line["cost_usd"] is not None
    assert sum(line["call"] for line in lines) >= 3689


def test_what_is_no_call_is_said_to_be_none(capsys):
    lines = metered(capsys, "traffic-negatives")
    expected = list(rows("traffic-negatives"))
    calls = {
        (row["host"], row["path"])
        for line, row in zip(lines, expected, strict=True)
        if line["call"]
    }
    assert calls == MISLABELLED
    assert len(lines) == 382


def test_refused_calls_cost_nothing(capsys):
    lines = metered(capsys, "traffic-errors")
    refused = [line for line in lines if line["call"] and line["status"] >= 400]
    assert refused
    assert {line["cost_usd"] for line in refused} == {"0"}
    assert all("not billed" in line["notes"] for line in refused)


def test_attempts_are_told_from_calls_one_by_one():
    taken = [exchange(row) for row in rows("traffic-errors")]
    totals = Totals()
    meter = Meter(WordCounter(), PriceBook(at=datetime(2026, 3, 1, tzinfo=UTC)))
    for index, one in enumerate(taken):
        found = meter.measure(Recording(source="here", index=index, exchange=one))
        assert isinstance(found, Metered)
        totals.add(found)
    calls = read_calls(taken, count=WordCounter(), fingerprint_key=b"key")
    assert totals.all.calls == len(calls)
    assert totals.all.retries == sum(call.retries for call in calls) > 0


def test_the_table_is_80_columns_wide(capsys):
    folder = Path(str(SHARED), "data")
    assert main(["meter", "--at", "2026-03-01", str(folder)]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "6,289 exchanges in 3 files" in out
