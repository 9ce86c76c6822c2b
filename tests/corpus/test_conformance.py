"""Usage of recorded exchanges, compared with what an independent extractor read from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.providers.registry import find, wanted
from tests.corpus.recorded import NO_CORPUS, SHARED, exchange, rows
from tests.provider_exchanges import WordCounter

pytestmark = pytest.mark.skipif(not SHARED, reason=NO_CORPUS)

COUNTS = {
    "input_tokens": "input_total",
    "output_tokens": "output_total",
    "cache_read_tokens": "cached",
    "cache_write_tokens": "cache_write",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "reasoning_tokens": "reasoning",
}
ENDPOINTS = frozenset(
    {"chat_completions", "responses", "responses_compact", "messages", "embeddings"}
)
MISLABELLED = {("localhost:8787", "/openai/responses")}
"""Listed as no LLM call, yet it is one: a gateway in front of OpenAI, answering with usage."""


def expected(truth: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, int | None]:
    """The extractor's counts, corrected where the recording itself shows them to be otherwise."""
    counts = {ours: truth[theirs] for ours, theirs in COUNTS.items()}
    tags = " ".join(truth["notes"])
    if "cache_write_split_mismatch" in tags:  # parts that do not make up their whole
        counts["cache_write_5m_tokens"] = None
        counts["cache_write_1h_tokens"] = counts["cache_write_1h_tokens"] or None
    if "cached_gt_input" in tags:  # no part of the input, being larger
        counts["cache_read_tokens"] = None
    if (
        "cache_creation_input_tokens" in raw
    ):  # stated, in a place where the extractor has not looked
        counts["cache_write_tokens"] = raw["cache_creation_input_tokens"]
    reasoning, output = counts["reasoning_tokens"], counts["output_tokens"]
    if reasoning and output is not None and reasoning > output:
        # no part of the output, being larger; the costs stated beside are for both
        counts["output_tokens"] = output + reasoning
    if "total_mismatch:+" in tags:  # the total proves tokens which neither count contains
        outside = int(tags.partition("total_mismatch:+")[2].split()[0])
        audio = truth["units"].get("input_audio_tokens")
        counts["input_tokens" if audio == outside else "output_tokens"] += outside
    if "iterations_exceed_top_level" in tags:
        iterations = raw["iterations"]
        counts |= {
            "input_tokens": truth["iter_input_total"],
            "output_tokens": truth["iter_output_total"],
            "cache_read_tokens": sum(one["cache_read_input_tokens"] for one in iterations),
            "cache_write_tokens": sum(one["cache_creation_input_tokens"] for one in iterations),
            "cache_write_5m_tokens": sum(
                one["cache_creation"]["ephemeral_5m_input_tokens"] for one in iterations
            ),
        }
    return counts


def test_usage_is_what_was_stated():
    truths = {truth["id"]: truth for truth in rows("traffic-truth")}
    compared: Counter[bool] = Counter()
    wrong = []
    for row in rows("traffic"):
        seen = exchange(row)
        found = find(seen)
        assert (found is not None) == (row["endpoint"] in ENDPOINTS), row["id"]
        if found is None:
            continue
        _, reading = found
        stated = [place["value"] for place in row["usage_raw"] or [] if place["value"]]
        right = expected(truths[row["id"]], stated[-1] if stated else {})
        read = {name: getattr(reading.usage, name) for name in COUNTS}
        complete = right["input_tokens"] is not None
        compared[complete] += 1
        if read != right or reading.usage_complete != complete:
            wrong.append((row["id"], row["provider"], read, right))
        if row["status"] == 200:
            assert reading.model_returned == row["model_returned"] or not row["model_returned"]
            assert reading.streaming == row["streaming"], row["id"]
    assert wrong == []
    assert compared == {True: 3572, False: 117}


def test_what_is_no_call_is_not_metered():
    negatives = list(rows("traffic-negatives"))
    assert len(negatives) == 382
    metered = {
        (row["host"], row["path"])
        for row in negatives
        if read_calls([exchange(row)], count=WordCounter(), fingerprint_key=b"key")
    }
    assert metered == MISLABELLED


def test_recorded_errors_are_attempts_or_refusals():
    taken = [exchange(row) for row in rows("traffic-errors")]
    taken = [one for one in taken if wanted(one.method, one.url)]
    read = read_calls(taken, count=WordCounter(), fingerprint_key=b"key")
    assert sum(call.attempts for call in read) == len(taken)
    assert any(call.retries for call in read)
    for call in read:
        assert call.billed == (call.status == 200)
        assert not call.usage_unknown
