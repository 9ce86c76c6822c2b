from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.provider_exchanges import CHAT
from tests.recordings import ANSWERED, ASKED, entries, har, har_entry, problems, recordings

JSON = "application/json; charset=utf-8"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.har"


def test_an_entry(file):
    file.write_text(json.dumps(har(har_entry({"mimeType": JSON, "text": ANSWERED}))))
    (found,) = recordings(file)
    assert (found.index, found.id, found.notes) == (0, None, ())
    seen = found.exchange
    assert (seen.method, seen.url, seen.status) == ("POST", CHAT, 200)
    assert (seen.request_body, seen.response_body) == (ASKED.encode(), ANSWERED.encode())
    assert seen.content_type == "application/json"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_content_in_base64(file, pack):
    text = base64.b64encode(pack(ANSWERED.encode())).decode()
    content = {"mimeType": JSON, "encoding": "base64", "text": text}
    file.write_text(json.dumps(har(har_entry(content))))
    (found,) = recordings(file)
    assert found.exchange.response_body == ANSWERED.encode()


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ({"mimeType": JSON, "size": 412}, "the body of the answer is not in the file"),
        (
            {"mimeType": JSON, "encoding": "base64", "text": "e"},
            "the body of the answer is no base64",
        ),
    ],
)
def test_a_body_that_is_missing_is_noted(file, content, note):
    file.write_text(json.dumps(har(har_entry(content))))
    (found,) = recordings(file)
    assert found.notes == (note,)
    assert found.exchange.response_body == b""


def test_no_answer_is_status_zero(file):
    file.write_text(json.dumps(har(har_entry({"size": 0}, status=0))))
    (found,) = recordings(file)
    assert found.exchange.status is None


def test_broken_entries_are_named(file):
    good = har_entry({"text": "{}"})
    broken: list[Any] = [7, {}, {"request": {"method": "GET"}}]
    file.write_text(json.dumps(har(*broken, good)))
    assert problems(file) == ["entry 1: no method", "entry 2: no method", "entry 3: no URL"]
    assert len(entries(file)) == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"log": {"version": "1.2"}}', "no entries in its log"),
        ('{"log": {"entries": [', "line 1: no JSON (Expecting value)"),
        ('{"log": {"entries": ' + "[" * 100_000, "no JSON that can be read (RecursionError)"),
        ('{"log": {"entries": ' + "1" * 10_000 + "}}", "no JSON that can be read (ValueError)"),
    ],
    ids=["empty", "cut", "deep", "long number"],
)
def test_a_file_that_is_broken_is_named(file, text, problem):
    file.write_text(text)
    assert problems(file) == [problem]
