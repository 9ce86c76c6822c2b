from __future__ import annotations

import pytest

from pytest_crashlens.policy.document import (
    MAX_BYTES,
    Items,
    Problem,
    Problems,
    Scalar,
    Section,
    parse_document,
)


def parse(text):
    problems = Problems()
    root = parse_document(text, problems)
    assert root is not None or problems.errors
    return root, problems.errors


def test_nodes_know_their_place_and_raw_text():
    root, _ = parse('a: off\nb:\n  - 0.10\n  - "x"\n  -\nc: {d: 0750}\n')
    assert root == Section(
        1,
        1,
        (
            (Scalar(1, 1, "a", "text"), Scalar(1, 4, "off", "bool")),
            (
                Scalar(2, 1, "b", "text"),
                Items(
                    3,
                    3,
                    (
                        Scalar(3, 5, "0.10", "number"),
                        Scalar(4, 5, "x", "text", quoted=True),
                        Scalar(5, 4, "", "null"),
                    ),
                ),
            ),
            (
                Scalar(6, 1, "c", "text"),
                Section(6, 4, ((Scalar(6, 5, "d", "text"), Scalar(6, 8, "0750", "number")),)),
            ),
        ),
    )


def test_a_comment_in_place_of_a_value_is_kept():
    root, _ = parse("a: #finops\nb: ~ # nothing\n")
    assert [value.comment for _, value in root.entries] == ["#finops", ""]


@pytest.mark.parametrize(
    ("text", "line", "col", "said"),
    [
        ("", 1, 1, "empty"),
        ("# only a comment\n", 1, 1, "empty"),
        ("---\n", 2, 1, "empty"),
        ("null\n", 1, 1, "empty"),
        ("- a\n", 1, 1, "expected keys"),
        ("version 1\n", 1, 1, "expected keys"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, '"a" is given twice (first in line 1)'),
        ('a: 1\n"a": 3\n', 2, 1, "given twice"),
        ("a:\n  b: 1\n  b: 2\n", 3, 3, "given twice"),
        ("a: &x 1\n", 1, 4, "&x is a YAML anchor"),
        ("a: *x\n", 1, 4, "*x is a YAML alias"),
        ("a: !!python/object:os.system x\n", 1, 4, "tags"),
        ("a: !!str 5\n", 1, 4, "tags"),
        ("? [a]\n: 1\n", 1, 3, "single word"),
        ("a:\n\t- b\n", 2, 1, "not tabs"),
        ("a: 'b\n", 2, 1, "not valid YAML"),
        ("a: **/x.py\n", 1, 5, "in quotes"),
        ("a: @x\n", 1, 4, "in quotes"),
        ("a: b: c\n", 1, 5, "not valid YAML"),
        ("a: [1, 2\n", 2, 1, "not valid YAML"),
        ("a:\n  b: 1\n c: 2\n", 3, 2, "not valid YAML"),
        ("a: b\0c\n", 1, 5, r"\x00"),
        ("a: 1\n\0", 2, 1, r"\x00"),
        ("x: 1\na: \ud800\n", 2, 4, r"\ud800"),
        ('a: "\\U99999999"\n', 1, 1, "out of range"),
        ("[" * 5000, 1, 25, "nested"),
        ("- " * 5000, 1, 49, "nested"),
        ("a: " + "x" * MAX_BYTES, 1, 1, "larger than"),
    ],
)
def test_what_is_refused_with_its_place(text, line, col, said):
    root, errors = parse(text)
    # the rest of what is only written in a forbidden way can be read, and its faults be told too
    readable = ("given twice", "anchor", "tags", "second document")
    assert (root is not None) == any(word in said for word in readable)
    assert (errors[0].line, errors[0].col) == (line, col)
    assert said in errors[0].text


def test_an_alias_bomb_is_refused_before_it_is_built():
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    assert parse(bomb)[0] is None
    assert parse("a: &a [*a]\n")[0] is None


def test_faults_of_form_are_all_reported():
    _, errors = parse("a: &x 1\nb: *x\nb: !y 2\n<<: *x\n")
    assert [error.line for error in errors] == [1, 2, 3, 3, 4]


def test_a_problem_in_one_line():
    problem = Problem(3, 5, "limits.max_cost", "is wrong; mend it")
    assert problem.render("c.yml") == "c.yml:3:5: error: limits.max_cost: is wrong; mend it"
    assert Problem(1, 1, "", "x", "warning").render("c.yml") == "c.yml:1:1: warning: x"
