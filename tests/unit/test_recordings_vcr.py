from __future__ import annotations

import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_crashlens.recordings.recording import Recording
from tests.provider_exchanges import CHAT
from tests.recordings import (
    ANSWER,
    ANSWERED,
    ASKED,
    cassette,
    entries,
    interaction,
    problems,
    recordings,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cassette.yaml"


def dumped(*interactions: Any) -> str:
    text: str = yaml.dump(cassette(*interactions))
    return text


def only(path: Path) -> Recording:
    (found,) = recordings(path)
    return found


@pytest.mark.parametrize("dump", [yaml.dump, json.dumps], ids=["yaml", "json"])
def test_both_serializers_of_vcrpy(file, dump):
    file.write_text(dump(cassette(interaction(), interaction("{}", asked=None))))
    first, second = recordings(file)
    assert (first.source, first.index, first.id, first.notes) == (str(file), 0, None, ())
    assert second.index == 1
    seen = first.exchange
    assert (seen.method, seen.url, seen.status) == ("POST", CHAT, 200)
    assert seen.request_body == ASKED.encode()
    assert seen.response_body == ANSWERED.encode()
    assert seen.content_type == "application/json"
    assert seen.live is False
    assert (second.exchange.request_body, second.exchange.response_body) == (b"", b"{}")


def test_credentials_stay_in_the_file(file):
    taken = interaction(set_cookie="secret")
    taken["request"]["headers"] = {
        "Authorization": ["Bearer secret"],
        "X-Stainless-Retry-Count": ["1"],
    }
    file.write_text(dumped(taken))
    assert only(file).exchange.request_headers == {"x-stainless-retry-count": "1"}
    assert "secret" not in repr(only(file))


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(ANSWERED.encode()), "gzip"),
        (gzip.compress(ANSWERED.encode()), ""),
        (zlib.compress(ANSWERED.encode()), "deflate"),
        (zlib.compress(ANSWERED.encode())[2:-4], "deflate"),
        (gzip.compress(gzip.compress(ANSWERED.encode())), "gzip, gzip"),
        (ANSWERED, "gzip"),
        (ANSWERED, "br"),
        (base64.b64encode(gzip.compress(ANSWERED.encode())).decode(), "gzip"),
    ],
    ids=["gzip", "no header", "zlib", "deflate", "twice", "undone", "undone br", "base64"],
)
def test_bodies_are_unpacked(file, packed, encoding):
    file.write_text(dumped(interaction(packed, content_encoding=encoding)))
    assert only(file).exchange.response_body == ANSWERED.encode()
    assert only(file).notes == ()


@pytest.mark.parametrize(
    "body",
    [
        ANSWERED,
        {"string": ANSWERED},
        {"base64_string": base64.b64encode(ANSWERED.encode()).decode(), "encoding": "UTF-8"},
        {"string": base64.b64encode(ANSWERED.encode()).decode(), "encoding": "base64"},
        {"state": [ANSWERED.encode(), 0, None]},
        {"args": [[ANSWERED.encode()[:9], ANSWERED[9:]]]},
    ],
    ids=["text", "string", "betamax", "base64", "BytesIO", "iterator"],
)
def test_bodies_in_other_shapes(file, body):
    taken = interaction()
    taken["response"]["body"] = body
    file.write_text(dumped(taken))
    assert only(file).exchange.response_body == ANSWERED.encode()


def test_bodies_that_the_serializer_parsed(file):
    taken = interaction()
    del taken["response"]["body"], taken["request"]["body"]
    taken["response"]["parsed_body"] = ANSWER | {"day": "2026-03-01", "bytes": b"x"}
    taken["request"]["parsed_body"] = "data: 1"
    file.write_text(dumped(taken).replace("'2026-03-01'", "2026-03-01"))  # a date for YAML
    seen = only(file).exchange
    assert json.loads(seen.response_body) == ANSWER | {"day": "2026-03-01", "bytes": "x"}
    assert seen.request_body == b"data: 1"


def test_objects_of_python_become_plain_data(file):
    file.write_text(
        "interactions:\n"
        "- request:\n"
        "    body: !!python/object/new:_io.BytesIO\n"
        "      state: !!python/tuple\n"
        "      - !!binary |\n"
        "        aGVsbG8=\n"
        "      - 0\n"
        "      - null\n"
        f"    method: !!python/unicode 'post'\n"
        f"    uri: {CHAT}\n"
        "  response: {content: !!python/object/apply:os.system [touch here], status_code: '201'}\n"
    )
    seen = only(file).exchange
    assert (seen.method, seen.request_body, seen.status) == ("POST", b"hello", 201)
    assert seen.response_body == b"touch here"
    assert not (file.parent / "here").exists()


def test_the_older_stubs_for_httpx(file):
    taken = interaction()
    taken["response"] = {
        "status_code": 200,
        "http_version": "HTTP/1.1",
        "headers": {"Content-Type": "application/json"},
        "content": ANSWERED,
    }
    file.write_text(dumped(taken))
    seen = only(file).exchange
    assert (seen.status, seen.response_body, seen.content_type) == (
        200,
        ANSWERED.encode(),
        "application/json",
    )


def test_ruby_and_betamax(file):
    text = f"""---
http_interactions:
- request:
    method: post
    uri: {CHAT}
    body: {{encoding: UTF-8, string: '{ASKED}'}}
    headers: {{Content-Type: [application/json]}}
  response:
    status: {{code: 429, message: Too Many Requests}}
    headers: {{}}
    body:
      encoding: ASCII-8BIT
      string: !binary |-
        e30=
  recorded_at: Sun, 01 Mar 2026 10:00:00 GMT
recorded_with: VCR 6.2.0
"""
    file.write_text(text)
    seen = only(file).exchange
    assert (seen.method, seen.status) == ("POST", 429)
    assert (seen.request_body, seen.response_body) == (ASKED.encode(), b"{}")


def test_the_oldest_cassettes_are_lists(file):
    for dump in (yaml.dump, json.dumps):
        file.write_text(dump([interaction()]))
        assert only(file).exchange.url == CHAT


def test_all_documents_of_a_file(file):
    file.write_text(f"{dumped(interaction())}---\n{dumped(interaction(), interaction())}")
    assert [found.index for found in recordings(file)] == [0, 1, 2]


def test_an_anchor_holds_in_its_document_only(file):
    file.write_text("interactions:\n- &a {request: 1}\n---\ninteractions:\n- *a\n")
    assert problems(file)[-1] == "line 5: an alias of nothing, or of itself"


def test_an_empty_cassette_is_fine(file):
    file.write_text("interactions: []\nversion: 1\n")
    assert entries(file) == []


def test_anchors_are_followed(file):
    file.write_text(
        "common: &sent {method: POST, uri: 'http://localhost/v1/messages'}\n"
        "interactions:\n- request: *sent\n- &again {request: *sent}\n- *again\n"
    )
    assert {found.exchange.path for found in recordings(file)} == {"/v1/messages"}
    assert len(recordings(file)) == 3


def test_what_is_no_interaction_is_named_and_the_others_are_read(file):
    broken: list[Any] = [
        None,
        {"request": None},
        {"request": {"method": "POST"}},
        {"request": {"method": 7, "uri": CHAT}},
        {"request": {"method": "POST", "uri": "http://[x"}},
    ]
    file.write_text(dumped(interaction(), *broken, interaction()))
    assert problems(file) == [
        "interaction 2: no request",
        "interaction 3: no request",
        "interaction 4: no URL",
        "interaction 5: no method",
        "interaction 6: its URL is none",
    ]
    assert [found.index for found in entries(file) if isinstance(found, Recording)] == [0, 6]


def test_what_comes_before_a_mistake_is_read(file):
    text = dumped(interaction(), interaction())
    file.write_text(text[: text.index("version")] + "- [no: end\n")
    first, second, mistake = entries(file)
    assert isinstance(first, Recording)
    assert isinstance(second, Recording)
    assert "line" in str(mistake)
    assert "hello there" not in str(mistake)


def test_an_answer_that_never_came(file):
    file.write_text(
        f"interactions:\n- request: {{method: POST, uri: '{CHAT}'}}\n  response: null\n"
    )
    assert only(file).exchange.status is None


ALIASES = "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]\n"
    for below, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"a: &a [x, x, x]\n{ALIASES}interactions:\n- request: *j\n", "aliases repeat too much"),
        ("interactions:\n- &a {request: *a}\n", "an alias of nothing, or of itself"),
        (f"interactions:\n- request: {'[' * 10_000}\n", "nested too deep"),
        ("interactions:\n- request: \0\n", "control characters"),
    ],
    ids=["bomb", "loop", "depth", "zeros"],
)
def test_hostile_yaml_is_refused(file, text, problem):
    file.write_text(text)
    assert problem in "\n".join(problems(file))


def test_without_the_c_loader(file, monkeypatch):
    monkeypatch.delattr(yaml, "CSafeLoader")
    file.write_text(dumped(interaction(gzip.compress(ANSWERED.encode()))))
    assert only(file).exchange.response_body == ANSWERED.encode()
