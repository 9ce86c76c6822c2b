from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.providers.json_stream import dumped, json_objects

OBJECTS = ({"n": 1}, {"n": 2, "done": True}, {"n": 3})
LINES = b"".join(json.dumps(one).encode() + b"\n" for one in OBJECTS)
ARRAY = json.dumps(OBJECTS).encode()


@pytest.mark.parametrize(
    "body",
    [
        LINES,
        LINES.replace(b"\n", b"\r\n"),
        LINES.replace(b"\n", b"\n\n"),
        LINES[:-1],
        ARRAY,
        b"\xef\xbb\xbf\n " + ARRAY,
        json.dumps(OBJECTS, indent=1).encode(),
        ARRAY.replace(b", {", b", 5, null, {"),
    ],
)
def test_lines_and_arrays(body):
    assert json_objects(body) == OBJECTS


def test_one_object():
    assert json_objects(b' {"n":\n 1}') == OBJECTS[:1]
    assert json_objects(b' {"n":\n 1}', (b"x",)) == OBJECTS[:1]


def test_lines_inside_an_object_are_none():
    body = b'{"objects": [\n{"n": 2}\n]}'
    assert json_objects(body, (b'"n"',)) == ({"objects": [{"n": 2}]},)


def test_what_tells_is_the_first_line_and_those_with_a_needle():
    assert json_objects(LINES, (b'"done"',)) == OBJECTS[:2]
    assert json_objects(LINES, (b'"x"',)) == OBJECTS[:1]


@pytest.mark.parametrize("body", [b"", b"null", b"5", b"<html>", b"[1, 2]", b"[", b"]", b"\xff"])
def test_what_is_none(body):
    assert json_objects(body) == json_objects(body, (b"x",)) == ()


def test_nothing_inside_a_cut_object_is_an_object():
    cut = b'[{"n": 1}, {"a":\n{"n": 2}\n'
    assert json_objects(cut) == json_objects(b"\xef\xbb\xbf" + cut) == OBJECTS[:1]


@given(st.integers(0, len(ARRAY)))
def test_cut_anywhere_the_whole_objects_are_read(at):
    assert json_objects(ARRAY[:at]) == OBJECTS[: ARRAY[:at].count(b"}")]
    assert json_objects(LINES[:at]) == OBJECTS[: LINES[:at].count(b"}")]


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_deep_nesting_is_no_object(opening):
    assert json_objects(opening * 100_000) == ()


def test_what_is_too_deep_to_write_is_left_out():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert (dumped(deep), dumped({"a": 1}), dumped({}), dumped(None)) == ("", '{"a": 1}', "", "")
