"""Whatever stands in a recording: a reading or a named problem, and never an exception."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.cli.meter import as_plain
from pytest_crashlens.cli.metering import Meter, Metered, Totals
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.recordings.bodies import body
from pytest_crashlens.recordings.find import Found, Kind, read
from pytest_crashlens.recordings.recording import Recording, Unreadable
from tests.provider_exchanges import (
    CHAT,
    EMBEDDINGS,
    MESSAGES,
    REQUESTS,
    RESPONSES,
    WordCounter,
    chunk,
    stream,
)
from tests.recordings import ANSWER, ANSWERED, cassette, har, har_entry, interaction, jsonl, row

SEED = 20_260_301
EXCHANGES, FILES, EXAMPLES = 8_000, 1_800, 200
"""10,000 cases in all."""

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-v1:0"
HELLO = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}], "messages": [], "n": 1}
USAGE = {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 2}
COUNTS = {"promptTokenCount": 9, "candidatesTokenCount": 3, "inputTokens": 9, "outputTokens": 3}

STREAMS = {
    CHAT: stream(chunk("Hi"), chunk(usage={"prompt_tokens": 9, "completion_tokens": 3}), "[DONE]"),
    MESSAGES: stream(
        {"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": USAGE}},
        {"type": "content_block_delta", "index": 0, "delta": {"text": "Hi"}},
        {"type": "message_delta", "usage": {"output_tokens": 3}},
        named=True,
    ),
    RESPONSES: stream(
        {"type": "response.completed", "response": {"model": "gpt-4o", "usage": USAGE}},
        named=True,
    ),
    f"{GEMINI}:streamGenerateContent?alt=sse": stream(
        {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}], "usageMetadata": COUNTS}
    ),
    "http://localhost:11434/api/chat": b'{"done": false}\n{"done": true, "eval_count": 3}\n',
    f"{BEDROCK}/converse-stream": b"\0\0\0\x20\0\0\0\0" + b"\0" * 24,
}
BODIES: list[tuple[str, bytes]] = [
    *STREAMS.items(),
    (CHAT, ANSWERED.encode()),
    (MESSAGES, json.dumps({"model": "claude-sonnet-4-5", "content": [], "usage": USAGE}).encode()),
    (RESPONSES, json.dumps({"model": "gpt-4o", "output": [], "usage": USAGE}).encode()),
    (EMBEDDINGS, b'{"model": "text-embedding-3-small", "usage": {"prompt_tokens": 4}}'),
    (f"{GEMINI}:generateContent", json.dumps({"usageMetadata": COUNTS}).encode()),
    (f"{GEMINI}:embedContent", b'{"embedding": {"values": [0.1]}}'),
    (f"{BEDROCK}/converse", json.dumps({"usage": COUNTS}).encode()),
    (f"{BEDROCK}/invoke", json.dumps({"usage": USAGE}).encode()),
    ("https://api.cohere.com/v2/chat", b'{"usage": {"tokens": {"input_tokens": 9.0}}}'),
    ("https://api.openai.com/v1/completions", ANSWERED.encode()),
    ("https://api.openai.com/v1/images/generations", json.dumps({"usage": USAGE}).encode()),
    ("https://api.openai.com/v1/audio/transcriptions", json.dumps({"usage": USAGE}).encode()),
    ("https://api.openai.com/v1/moderations", b'{"results": []}'),
    ("https://api.mistral.ai/v1/ocr", b'{"usage_info": {"pages_processed": 1}}'),
]
ODD_VALUES = [
    b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 5000, b"0.5", b'"9"', b"[]", b"{}", b'""',
    b'[{"usage": 1}]', b'"\\ud800"', b"1" + b"0" * 30, b"[" * 3000, b'{"a":' * 3000,
]  # fmt: skip
TYPES = [
    "application/json", "text/event-stream", "text/html; charset=utf-16", "image/png", "",
    "application/vnd.amazon.eventstream", "application/x-ndjson", "multipart/form-data; boundary=",
]  # fmt: skip
METHODS = ["POST"] * 8 + ["GET", "post", "", "\0"]
STATUSES = [200] * 8 + [201, 301, 404, 429, 500, 999, None]

Mutation = Callable[[random.Random, bytes], bytes]


def _at(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.randint(0, 40))


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randint(0, len(data))]


def remove(chance: random.Random, data: bytes) -> bytes:
    start, end = _at(chance, data)
    return data[:start] + data[end:]


def repeat(chance: random.Random, data: bytes) -> bytes:
    start, end = _at(chance, data)
    return data[:end] + data[start:]


def noise(chance: random.Random, data: bytes) -> bytes:
    start, end = _at(chance, data)
    return data[:start] + chance.randbytes(end - start) + data[end:]


def odd_value(chance: random.Random, data: bytes) -> bytes:
    """Another value for a member."""
    pairs = data.split(b": ")
    place = chance.randrange(len(pairs))
    _, comma, rest = pairs[place].partition(b",")
    pairs[place] = chance.choice(ODD_VALUES) + comma + rest
    return b": ".join(pairs)


def interleave(chance: random.Random, data: bytes) -> bytes:
    """Events of two streams, in turn and in disorder."""
    other = chance.choice(list(STREAMS.values()))
    events = data.split(b"\n\n") + other.split(b"\n\n")
    chance.shuffle(events)
    return chance.choice([b"\n\n", b"\n", b"\r\n\r\n", b"\r"]).join(events)


def recode(chance: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace").replace("Hi", "H\u00ef")
    return text.encode(chance.choice(["utf-16", "utf-32", "utf-8-sig", "cp1252"]), "replace")


def pack(chance: random.Random, data: bytes) -> bytes:
    return chance.choice([gzip.compress, base64.b64encode])(data)


MUTATIONS: list[Mutation] = [
    cut, remove, repeat, noise, odd_value, odd_value, interleave, recode, pack,
]  # fmt: skip


def mutated(chance: random.Random, data: bytes) -> bytes:
    for _ in range(chance.randint(0, 3)):
        data = chance.choice(MUTATIONS)(chance, data)
    return data


@pytest.fixture(scope="module")
def meter() -> Meter:
    return Meter(WordCounter(), PriceBook(at=datetime(2026, 3, 1, tzinfo=UTC)))


def metered(meter: Meter, totals: Totals, exchange: Exchange) -> Metered:
    """What the meter says: a line of JSON and a place in the sums, not a fault of ours."""
    found = meter.measure(Recording(source="here", index=0, exchange=exchange))
    assert isinstance(found, Metered), (found, exchange)
    totals.add(found)
    line = json.loads(json.dumps(as_plain(found)))
    assert line["call"] is (found.call is not None)
    counts = [count for count in line["usage"].values() if count is not None]
    assert all(isinstance(count, int) and count >= 0 for count in counts)
    if found.call and found.call.usage_unknown:
        assert line["notes"], exchange
    return found


def test_mutated_exchanges(meter):
    chance = random.Random(SEED)
    totals = Totals()
    for _ in range(EXCHANGES):
        url, answer = chance.choice(BODIES)
        asked = json.dumps(REQUESTS.get(url, HELLO) | {"stream": chance.random() < 0.5}).encode()
        headers = {"content-type": chance.choice(TYPES)}
        metered(
            meter,
            totals,
            Exchange(
                method=chance.choice(METHODS),
                url=url
                if chance.random() < 0.95
                else mutated(chance, url.encode()).decode("cp437"),
                request_headers={"content-type": chance.choice(TYPES)},
                request_body=asked if chance.random() < 0.8 else mutated(chance, asked),
                status=chance.choice(STATUSES),
                response_headers=headers,
                response_body=mutated(chance, answer),
                live=False,
            ),
        )
    assert totals.exchanges == EXCHANGES
    assert totals.all.attempts > EXCHANGES / 5  # it was not all thrown away at the door


FILES_OF_ALL_KINDS: list[tuple[Kind, str]] = [
    ("yaml", yaml.dump(cassette(interaction(), interaction(gzip.compress(b"{}"))))),
    ("json", json.dumps(cassette(interaction(), interaction()))),
    ("json", json.dumps(har(har_entry({"text": ANSWERED}), har_entry({"size": 1})))),
    ("jsonl", jsonl([row(), row(resp_b64="e30=", resp_json=None), row(resp_text="data: {}")])),
]


def test_mutated_files(meter, tmp_path):
    chance = random.Random(SEED)
    path = tmp_path / "recording"
    read_well = problems = 0
    for _ in range(FILES):
        kind, text = chance.choice(FILES_OF_ALL_KINDS)
        path.write_bytes(mutated(chance, text.encode()))
        found = list(
            read(Found(path, "here", chance.choice([kind, kind, "yaml", "json", "jsonl"])))
        )
        for entry in found:
            if isinstance(entry, Unreadable):
                assert len(str(entry)) < 300
                problems += 1
            else:
                metered(meter, Totals(), entry.exchange)
                read_well += 1
    assert read_well > FILES / 5
    assert problems > FILES / 5


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
USUAL = st.sampled_from(
    ["usage", "model", "choices", "message", "content", "error", "prompt_tokens", "delta", "output"]
)
ANSWERS = st.dictionaries(USUAL, PLAIN | st.dictionaries(USUAL, PLAIN, max_size=4), max_size=6)


def plain_json(value: Any) -> bytes:
    return json.dumps(value, default=str).encode("utf-8", "replace")


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(answer=ANSWERS, url=st.sampled_from([url for url, _ in BODIES]), streamed=st.booleans())
def test_odd_answers(meter, answer, url, streamed):
    told = plain_json(ANSWER | answer)
    exchange = Exchange(
        method="POST",
        url=url,
        request_body=json.dumps(REQUESTS.get(url, HELLO)).encode(),
        status=200,
        response_body=b"data: " + told + b"\n\n" if streamed else told,
        live=False,
    )
    metered(meter, Totals(), exchange)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(parts=st.fixed_dictionaries({}, optional={"request": PLAIN, "response": PLAIN}), raw=PLAIN)
def test_odd_interactions(tmp_path_factory, parts, raw):
    assert isinstance(body(raw).content, bytes)
    sent = {"method": "POST", "uri": CHAT, "headers": raw, "body": raw}
    whole = {"request": sent, "response": {"status": raw, "headers": raw, "body": raw}} | parts
    path: Path = tmp_path_factory.getbasetemp() / "odd.yaml"
    path.write_text(yaml.dump(cassette(whole)), encoding="utf-8", errors="replace")
    found = list(read(Found(path, "here", "yaml")))
    assert len(found) in (0, 1, 2)  # an interaction, or why it is none; a mistake in the YAML


def big(size: int) -> Iterator[bytes]:
    """Bodies of this size that end before they have said what they used."""
    yield b'{"model": "gpt-4o", "choices": [{"message": {"content": "' + b"x" * size
    yield b"data: " + b"x" * size


def test_a_hundred_megabytes(meter):
    for answer in big(100_000_000):
        exchange = Exchange(
            method="POST",
            url=CHAT,
            request_body=json.dumps(REQUESTS[CHAT]).encode(),
            status=200,
            response_body=answer,
            live=False,
        )
        found = metered(meter, Totals(), exchange)
        assert found.call is not None
        assert found.call.usage_unknown
