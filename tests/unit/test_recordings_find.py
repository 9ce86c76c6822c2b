from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
import yaml

from pytest_crashlens.recordings.find import Found, find, kind_of, shown
from pytest_crashlens.recordings.recording import Unreadable
from tests.recordings import cassette, entries, har, har_entry, interaction, jsonl, problems, row

CASSETTE = yaml.dump(cassette(interaction()))
HAR = json.dumps(har(har_entry({"text": "{}"})))
ROWS = jsonl([row(), row()])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (CASSETTE, "yaml"),
        (f"# recorded by hand\n---\n{CASSETTE}", "yaml"),
        (f"version: 1\n{CASSETTE}", "yaml"),
        ("interactions: []\n", "yaml"),
        (yaml.dump([interaction()]), "yaml"),
        (json.dumps(cassette(interaction()), indent=4), "json"),
        ('\ufeff{"version": 1, "interactions": []}', "json"),
        ('{"recorded_with": "betamax/0.8", "http_interactions": [{"request": {', "json"),
        (json.dumps([interaction()]), "json"),
        (HAR, "json"),
        (json.dumps(json.loads(HAR), indent=1), "json"),
        (ROWS, "jsonl"),
        (json.dumps(row()), "jsonl"),
        ("", None),
        ("interactions:\n- drag\n- drop\n", None),
        ("Some text.\n\ninteractions:\n- request:\n", None),
        ("def f():\n    pass\ninteractions:\n- request:\n", None),
        ('{"name": "app", "interactions": 3}', None),
        ('{"interactions": [1, 2]}', None),
        ('{"log": []}', None),
        ('{"method": "GET"}', None),
        ('{"info": {"method": "GET", "url": "/"}}', None),
        ("[1, 2]", None),
        ("{", None),
        ("[" * 70_000, None),
        ("\0\1\2", None),
    ],
)
def test_files_are_known_by_their_content(text, kind):
    assert kind_of(text.encode()) == kind


@pytest.mark.parametrize("head", [ROWS[:60], f"{{broken\n{ROWS}"], ids=["long", "broken"])
def test_lines_that_are_cut_are_known_by_name_and_look(head):
    assert kind_of(head.encode(), "x.JSONL.gz") == "jsonl"
    assert kind_of(head.encode(), "x.json") is None


def test_a_folder_is_searched_in_order(tmp_path):
    for name, text in {
        "b/cassette": CASSETTE,
        "b/.hidden/a.yml": CASSETTE,
        "a.har": HAR,
        "c.jsonl": ROWS,
        "package.json": '{"name": "app"}',
        "docs.md": f"```\n{CASSETTE}```\n",
        "mkdocs.yml": "site_name: x\n",
        ".git/a.yaml": CASSETTE,
        "node_modules/a/b.har": HAR,
        "empty.yaml": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "d.yaml.gz").write_bytes(gzip.compress(CASSETTE.encode()))
    (tmp_path / "again.yaml").symlink_to(tmp_path / "b" / "cassette")
    found = list(find([tmp_path, tmp_path / "a.har"]))
    assert [one.source.removeprefix(f"{tmp_path}/") for one in found] == [
        "a.har",
        "again.yaml",
        "c.jsonl",
        "d.yaml.gz",
        "b/.hidden/a.yml",
    ]
    assert len(entries(tmp_path)) == 6


def test_what_is_named_is_always_looked_at(tmp_path):
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "a.yaml").write_text(CASSETTE)
    assert len(entries(tmp_path / "node_modules")) == 1


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("notes.txt", "hello", "no cassette, HAR file or exchanges as lines of JSON"),
        ("a.yaml", "site_name: x\n", "no interactions in it"),
        ("a.json", '{"name": "app"}', "no interactions and no log of a HAR file in it"),
        ("a.har", "", "line 1: no JSON (Expecting value)"),
        ("a.jsonl", '{"prompt": "x"}\n', "line 1: no method"),
        ("a.yaml.gz", "\x1f\x8b\0", "its compression is broken from here on"),
    ],
)
def test_a_named_file_that_is_no_recording_is_said(tmp_path, name, text, problem):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    assert problems(tmp_path / name) == [problem]


def test_what_cannot_be_opened_is_said(tmp_path):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert problems(pipe) == ["no file"]
    assert problems(tmp_path) == []
    loop = tmp_path / "loop.har"
    loop.symlink_to(loop)
    assert problems(loop) != []


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(CASSETTE)
    (tmp_path / "b.txt").write_text(CASSETTE)

    def refuse(self, *args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert problems(tmp_path) == ["Permission denied"]


def test_paths_are_shown_without_control_characters(tmp_path):
    assert shown(Path("a/b.har")) == "a/b.har"
    assert shown(Path("a\x1b[31m.har")) == "a\\x1b[31m.har"
    assert shown(Path(os.fsdecode(b"a\xff.har"))) == "a\\xff.har"


def test_a_found_file_that_vanishes_is_named(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(CASSETTE)
    (found,) = find([path])
    assert isinstance(found, Found)
    path.unlink()
    from pytest_crashlens.recordings.find import read

    assert list(read(found)) == [Unreadable(str(path), "No such file or directory")]
