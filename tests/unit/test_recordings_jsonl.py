from __future__ import annotations

import base64
import gzip
import json
from io import BytesIO
from pathlib import Path

import pytest

from pytest_crashlens.recordings import jsonl as reader
from pytest_crashlens.recordings.recording import Recording
from tests.recordings import ANSWER, ANSWERED, entries, jsonl, problems, recordings, row


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "traffic.jsonl"


def test_a_line(file):
    file.write_text(jsonl([row(), "", row(id=7, repo="a/b", file="c.yaml")]))
    first, second = recordings(file)
    assert (first.index, first.id, second.index, second.id) == (0, "a1", 1, "7")
    seen = first.exchange
    assert (seen.method, seen.status, seen.content_type) == ("POST", 200, "application/json")
    assert json.loads(seen.response_body) == ANSWER
    assert (seen.lane, second.exchange.lane) == (str(file), "a/b/c.yaml")
    assert "secret" not in repr(first)


def test_packed_with_gzip(file):
    file.write_bytes(gzip.compress(jsonl([row()] * 3).encode()))
    assert len(recordings(file)) == 3


def test_numbers_are_as_they_were_written(file):
    text = '{"usage": {"cost": 0.000100000000000000000001, "n": 1e-05}}'
    members = row()
    del members["resp_json"]
    file.write_text(f'{json.dumps(members)[:-1]}, "resp_json" : {text} }}\n')
    (found,) = recordings(file)
    assert found.exchange.response_body == text.encode()


@pytest.mark.parametrize(
    "members",
    [
        {"resp_text": ANSWERED},
        {"resp_excerpt": ANSWERED},
        {"resp_b64": base64.b64encode(ANSWERED.encode()).decode()},
        {"resp_b64": base64.b64encode(gzip.compress(ANSWERED.encode())).decode()},
        {"resp_json": None, "resp_text": ANSWERED},
    ],
    ids=["text", "excerpt", "base64", "gzip", "null"],
)
def test_bodies(file, members):
    taken = row(**members)
    if "resp_json" not in members:
        del taken["resp_json"]
    file.write_text(jsonl([taken]))
    (found,) = recordings(file)
    assert found.exchange.response_body == ANSWERED.encode()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nothing", "no JSON object"),
        ("[]", "no JSON object"),
        ('{"method": "POST"', "no JSON object"),
        ('{"method": "POST",}', "no JSON object"),
        ('{"method": "POST"} {}', "more than a JSON object"),
        ('{1: "POST"}', "no JSON object"),
        ("{}", "no method"),
        ('{"method": "POST", "url": null}', "no URL"),
        ('{"a": ' + "[" * 100_000, "its JSON is nested too deep"),
    ],
)
def test_a_line_that_is_no_exchange_is_named(file, line, problem):
    file.write_text(jsonl([row(), line, row()]))
    first, second, third = entries(file)
    assert isinstance(first, Recording)
    assert str(second) == f"{file}: line 2: {problem}"
    assert isinstance(third, Recording)
    assert third.index == 2


def test_of_many_bad_lines_a_few_are_named(file):
    file.write_text(jsonl([row(), *["{}"] * 9]))
    assert len(problems(file)) == 6
    assert problems(file)[-1] == "... and 4 more lines like that"


def test_a_line_without_end_is_passed_over(monkeypatch):
    monkeypatch.setattr(reader, "LONGEST_LINE", 1000)
    text = jsonl([row(resp_text="x" * 5000), row()])
    assert len(json.dumps(row())) < 1000
    long, short = reader.read(BytesIO(text.encode()), "here")
    assert str(long) == "here: line 1: longer than 1,000 bytes"
    assert isinstance(short, Recording)


def test_wrong_bytes_are_read_as_they_are(file):
    taken = jsonl([row(resp_text="caf\u00e9", resp_json=None)]).replace("\\u00e9", "\u00e9")
    file.write_bytes(taken.encode("latin-1"))
    (found,) = recordings(file)
    assert found.exchange.response_body == "caf\ufffd".encode()


@pytest.mark.parametrize("number", [50, 400])
def test_what_can_be_unpacked_of_a_cut_file_is_read(file, number):
    lines = jsonl(row(id=one, resp_text=str(one) * 50) for one in range(number))
    file.write_bytes(gzip.compress(lines.encode())[:-40])
    found = entries(file)
    assert len(found) > number / 4
    assert str(found[-1]) == f"{file}: its compression is broken from here on"
