"""Usage of recorded exchanges, compared with what an independent extractor read from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.providers.registry import find
from pytest_crashlens.providers.retries import group
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
    "billed_input_tokens": "billed_input",
    "billed_output_tokens": "billed_output",
}
BESIDE = ("metrics", "(headers)")
"""Places in a row which Bedrock has beside its usage."""
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
    if "cacheDetails" in raw:  # as well
        for lifetime in ("5m", "1h"):
            parts = [part for part in raw["cacheDetails"] if part["ttl"] == lifetime]
            if parts:
                counts[f"cache_write_{lifetime}_tokens"] = sum(
                    part["inputTokens"] for part in parts
                )
    if "tokens" in raw:  # Cohere's: images are beside the input, being more than it
        counts["input_tokens"] += raw["tokens"].get("image_tokens", 0)
        counts["reasoning_tokens"] = raw["tokens"].get("reasoning_tokens")
    silent = truth["endpoint"] == "generateContent" and output is None
    if silent and truth["total"] is not None and truth["total"] == truth["input_total"]:
        counts["output_tokens"] = 0  # the total proves that nothing was generated
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
        assert (found is not None) == row["inference"], row["id"]
        if found is None:
            continue
        _, reading = found
        stated = [
            place["value"]
            for place in row["usage_raw"] or []
            if place["value"] and place["at"] not in BESIDE
        ]
        right = expected(truths[row["id"]], stated[-1] if stated else {})
        read = {name: getattr(reading.usage, name) for name in COUNTS}
        complete = right["input_tokens"] is not None
        compared[complete] += 1
        if read != right or reading.usage_complete != complete:
            wrong.append((row["id"], row["provider"], read, right))
        if row["status"] == 200:
            assert reading.model_returned == row["model_returned"] or not row["model_returned"]
            # a stream of one chunk in an array looks like no stream
            streaming = row["streaming"] or ":streamGenerateContent" in row["path"]
            assert reading.streaming == streaming, row["id"]
    assert wrong == []
    assert compared == {True: 5303, False: 248}


def test_what_is_no_call_is_not_metered():
    negatives = list(rows("traffic-negatives"))
    assert len(negatives) == 382
    metered = {
        (row["host"], row["path"])
        for row in negatives
        if read_calls([exchange(row)], count=WordCounter(), fingerprint_key=b"key")
    }
    assert metered == MISLABELLED


def test_stated_costs_are_exact():
    truths = {truth["id"]: truth["cost_usd"] for truth in rows("traffic-truth")}
    compared: Counter[bool] = Counter()
    for row in rows("traffic"):
        if found := find(exchange(row)):
            stated, right = found[1].stated_cost_usd, truths[row["id"]]
            assert (stated is None) == (right is None), row["id"]
            compared[stated is not None] += 1
            if stated is not None:
                assert Decimal(stated) == Decimal(str(right)), row["id"]
                assert "E" not in stated.upper()
    assert compared[True] == 421


def sequences(taken: list[dict[str, Any]]) -> list[list[str]]:
    """Ids of the attempts of each call, by what the rows say: error, same request, answer."""
    found: list[list[str]] = []
    waiting: dict[tuple[Any, ...], list[str]] = {}
    for row in taken:
        key = (
            *(row[name] for name in ("repo", "file", "commit", "url")),
            json.dumps(row["req_json"]),
        )
        attempts = waiting.pop(key, None)
        if attempts is None:
            attempts = []
            found.append(attempts)
        attempts.append(row["id"])
        if row["status"] in (429, 500, 503, 529):
            waiting[key] = attempts
    return found


def test_recorded_errors_are_attempts_or_refusals():
    taken = list(rows("traffic-errors"))
    seen = [replace(one, lane=one.lane + row["commit"]) for row in taken for one in [exchange(row)]]
    ids = {id(one): row["id"] for one, row in zip(seen, taken, strict=True)}
    grouped = group(seen)
    assert [[ids[id(one)] for one in attempts] for attempts in grouped] == sequences(taken)
    assert Counter(map(len, grouped)) == {1: 139, 2: 18, 3: 1}

    read = read_calls(seen, count=WordCounter(), fingerprint_key=b"key")
    assert [call.attempts for call in read] == [len(attempts) for attempts in grouped]
    by_id = {row["id"]: row for row in taken}
    for call, attempts in zip(read, grouped, strict=True):
        last = by_id[ids[id(attempts[-1])]]
        assert (call.status, call.billed) == (last["status"], last["status"] == 200)
        assert call.model_requested == last["model_requested"]
        assert not call.usage_unknown
        if call.billed:
            usage = last["usage_raw"][-1]["value"]
            stated = usage.get("prompt_tokens", usage.get("input_tokens"))
            assert (call.usage.input_tokens, call.usage_source) == (stated, "provider")
        else:
            assert not call.usage.stated
