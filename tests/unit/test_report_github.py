from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.report.github import github
from pytest_crashlens.report.run_result import BaselineStatus
from pytest_crashlens.report.view import Context
from tests.unit.run_views import figures, over, rose, run, spent, view
from tests.unit.test_report_markdown import EVIL, PIECES, everywhere

COMMAND = re.compile(r"::(error|warning|notice) (?:([^:]*))::(.*)")


def read(line: str) -> tuple[str, dict[str, str], str]:
    """As the runner reads a line: level, properties and message.

    Source: https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
    """
    found = COMMAND.fullmatch(line)
    assert found is not None, line
    level, given, message = found.groups()
    properties = dict(one.split("=", 1) for one in given.split(","))
    return level, {k: plain(v) for k, v in properties.items()}, plain(message)


def plain(text: str) -> str:
    for sign, escaped in (("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C"), ("%", "%25")):
        text = text.replace(escaped, sign)
    return text


def test_it_stands_on_the_line_that_spends_most_and_names_the_test() -> None:
    test = over(
        spending=(
            spent(None, "0.5"),
            spent("app/agent.py:42 plan", "0.4"),
            spent("app/other.py:7 ask", "0.1"),
        )
    )
    (line,) = github(run(test)).splitlines()
    assert line == (
        "::error file=app/agent.py,line=42,title=LLM cost +$0.010 per test run%3A 1 test::"
        "LLM cost +100 %25: input +100 %25 (1,000 -> 2,000 tokens)%0A"
        "  in tests/test_a.py::test_one"
    )
    level, properties, message = read(line)
    assert (level, properties["file"], properties["line"]) == ("error", "app/agent.py", "42")
    assert properties["title"] == "LLM cost +$0.010 per test run: 1 test"
    assert message.endswith("\n  in tests/test_a.py::test_one")


def test_it_stands_in_the_repository_and_not_in_the_folder_of_pytest() -> None:
    text = github(run(over(), context=Context(folder="services/api")))
    assert text.startswith("::error file=services/api/app/agent.py,line=42,")


@pytest.mark.parametrize(
    "site",
    ["/etc/passwd:1 f", "../x.py:1 f", "a/../../x.py:1 f", "x.py", "x.py:one f", ":3 f", ""],
)
def test_a_line_that_is_none_of_the_repository_is_not_told(site: str) -> None:
    (line,) = github(run(over(spending=(spent(site),)))).splitlines()
    assert read(line)[1]["file"] == "tests/test_a.py"
    assert "line" not in read(line)[1]


def test_a_file_with_the_signs_of_commands_in_its_name() -> None:
    (line,) = github(run(over(spending=(spent("a,title=b%0A:x.py:3 f"),)))).splitlines()
    assert line.startswith("::error file=a%2Ctitle=b%250A%3Ax.py,line=3,title=LLM cost +")
    assert read(line)[1]["file"] == "a,title=b%0A:x.py"


def test_tests_of_one_line_are_one_annotation_with_all_their_money() -> None:
    tests = [over(f"test_{n}.py::test", "0.01", f"0.0{n + 2}") for n in range(7)]
    (line,) = github(run(*tests)).splitlines()
    _, properties, message = read(line)
    assert properties["title"] == "LLM cost +$0.28 per test run: 7 tests"
    assert "in test_6.py::test" in message
    assert "in test_0.py::test" not in message
    assert message.endswith("... and 2 more tests")


def test_no_more_than_is_shown_and_most_money_first() -> None:
    tests = [
        over(f"t{n}", "0.01", str(Decimal("0.02") + n), spending=(spent(f"a.py:{n + 1} f"),))
        for n in range(13)
    ]
    told = [
        view(
            f"w{n}",
            state="moved",
            findings=(replace(rose(), blocks=False),),
            spending=(spent(f"b.py:{n + 1} f"),),
        )
        for n in range(11)
    ]
    lines = [read(line) for line in github(run(*tests, *told)).splitlines()]
    assert [line[0] for line in lines] == ["error"] * 10 + ["warning"] * 10 + ["notice"]
    assert lines[0][1]["line"] == "13"
    assert lines[-1][2] == (
        "3 more errors and 1 more warning about LLM cost: in the log and in the other reports"
    )


def test_what_only_reports_warns() -> None:
    lines = github(run(over(), may_fail=False, failed=False)).splitlines()
    assert [read(line)[0] for line in lines] == ["warning"]


def test_what_is_of_no_line() -> None:
    stale = Finding(kind="stale", text="3 entries are stale", blocks=False)
    lines = github(
        run(view(), session=(rose(), stale), incomplete=("a worker crashed", "b"), failed=True)
    ).splitlines()
    assert [(read(line)[0], read(line)[2]) for line in lines] == [
        ("error", "cost $0.010 -> $0.020 (+100 %, limit +20 %)"),
        ("warning", "3 entries are stale"),
        ("warning", "a worker crashed (and 1 more)"),
    ]
    first = run(view(before=None), baseline=BaselineStatus(name="b", mode="first run"))
    assert [read(line)[2] for line in github(first).splitlines()] == [
        "this test run's LLM calls cost $0.010: nothing to compare with"
    ]
    assert github(run(view())) == ""
    vanished = view("t.py::t", "1", figures("0", 0), "vanished", spending=(), headline="gone")
    assert [read(line)[1]["file"] for line in github(run(vanished)).splitlines()] == ["t.py"]


def assert_only_ours(evil: str) -> None:
    text = github(everywhere(evil))
    lines = text.split("\n")
    assert lines.pop() == ""
    assert text.splitlines() == lines, "other line breaks"
    for line in lines:
        level, properties, _ = read(line)
        assert set(properties) <= {"file", "line", "title"}
        assert level in ("error", "warning", "notice")
    assert "##[" not in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", text)
    text.encode()


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_of_others_is_a_command(evil: str) -> None:
    assert_only_ours(evil)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, min_size=1).map("".join)))
def test_nothing_of_others_is_a_command_whatever_it_is(evil: str) -> None:
    assert_only_ours(evil)
