from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_crashlens.baseline.causes import Cause
from pytest_crashlens.baseline.moved import Moved
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.report.markdown import LIMIT, MARKER, markdown
from pytest_crashlens.report.run_result import BaselineStatus, BaseStatus
from pytest_crashlens.report.view import Context, LabelView, RunView
from tests.unit.run_views import figures, over, rose, run, spent, view

EVIL = (
    "](https://evil.example)",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "</details></code><h1>approved",
    "<!-- crashlens:comment:v1 notable=no -->",
    "--> approved",
    "@everyone please merge",
    "mail a@b.example",
    "see #123 or octo/repo#4 or GH-5",
    "fixed in 1f2e3d4c5b6a79881f2e3d4c5b6a79881f2e3d4c",
    "http://evil.example and www.evil.example",
    "a | b | c | d | e",
    "a\\| b",
    "back`tick and ``two`` and ```three",
    "line\n\n# heading\n- [x] done",
    "carriage\r\nreturn",
    "*bold* _it_ ~~gone~~ **b** __b__",
    "::error file=x::y",
    "##[error]y ##[add-mask]z",
    "&lt;b&gt; &#64;admin &commat;admin",
    ":shipit: :+1:",
    "$\\href{https://evil.example}{x}$ $a$",
    "turned \u202e round \u2066x\u2069",
    "hidden\u200b\x00\x1b[31m\x07",
    "\ud800 half",
    "\u2028line\u2029paragraph\x85next",
    "```\nsh\n```",
    "trailing \\",
    "  ",
    "",
    "[ref]: https://evil.example",
    "!1 %2 ~label",
    "a` @all `b",
    "`[x](https://evil.example)`",
    "`<img src=x onerror=alert(1)>`",
    "x | @all | y",
    "x | <img src=y> | [z](https://evil.example) |",
    "x \\| @all \\\\| #1",
)
GITHUB = MarkdownIt("gfm-like", {"html": True, "linkify": True})
GITHUB.linkify.set({"fuzzy_link": True, "fuzzy_email": True, "fuzzy_ip": True})
OURS = {
    "<details>",
    "</details>",
    "<sub>",
    "</sub>",
}


def tokens(text: str) -> Iterator[Token]:
    for token in GITHUB.parse(text):
        yield token
        yield from token.children or ()


def assert_harmless(text: str) -> None:
    """Nothing but our own markup; and no mention or reference outside of code."""
    for token in tokens(text):
        assert token.type not in ("link_open", "image", "s_open", "em_open", "hr"), token
        if token.type == "html_inline":
            assert token.content in OURS, token
        if token.type == "html_block":
            lines = token.content.splitlines()
            rest = [line for line in lines if line not in OURS and line]
            ours = [one for one in rest if re.fullmatch(r"<summary>[\w ,]+</summary>", one)]
            marked = [one for one in rest if re.fullmatch(rf"{MARKER} notable=(yes|no) -->", one)]
            notes = [one for one in rest if re.fullmatch(r"<sub>[\w ,.-]+</sub>", one)]
            assert rest == ours + marked + notes, token
        if token.type == "text":
            plain = token.content
            assert not re.search(r"[@#]\w|GH-\d|\b[0-9a-f]{7,40}\b|://|www\.|:\w+:", plain), plain
            assert not re.search(r"\$[^\d]|[!%~]\w", plain.replace("~$", "")), plain
        if token.type == "heading_open":
            assert token.tag == "h3"
    assert sum(token.type == "heading_open" for token in tokens(text)) == 1
    for line in text.splitlines():
        assert not line.lstrip().startswith("::")
    assert "##[" not in text
    assert text.isascii() or not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x09\x1b\ud800]", text)
    text.encode()


def rows(text: str) -> list[int]:
    """How many cells each row of each table has."""
    found, cells = [], 0
    for token in tokens(text):
        cells += token.type in ("td_open", "th_open")
        if token.type == "tr_close":
            found.append(cells)
            cells = 0
    return found


def everywhere(evil: str) -> RunView:
    """A run in which every text of others is ``evil``."""
    finding = Finding(
        kind="policy",
        text=evil,
        metric=evil,
        before=1,
        now=2,
        limit=evil,
        policy=evil,
        call_site=evil,
        evidence=evil,
    )
    told = replace(finding, blocks=False, now=None)
    cause = Cause("input", evil, Decimal("0.01"), 5, evil)
    given: dict[str, Any] = {
        "nodeid": evil,
        "causes": (cause,),
        "spending": (spent(evil, model=evil),),
    }
    tests = [
        over(evil, findings=(finding, told), headline=f"LLM cost: {evil}", **given),
        view(evil, state="moved", findings=(told,), **given),
        view(evil, state="cheaper", **given),
        view(evil, state="accepted", accepted=(finding,), **given),
        view(evil, "1", "2", state="accepted", reason=evil, **given),
        view(evil, None, state="new", reason=evil, **given),
        view(evil, None, state="missing", headline=evil, **given),
        view(evil, state="not judged", outcome=evil, **given),
        view(evil, "1", None, "over", headline=evil, **given),
    ]
    return run(
        *tests,
        session=(finding, told),
        baseline=BaselineStatus(name=evil, mode="compared", stale=(evil,), error=evil),
        detections=(
            Detection(
                kind="agent_loop",
                level="warning",
                text=evil,
                calls=3,
                call_sites=(evil,),
                waste_usd=Decimal(1),
                tests=(evil,),
            ),
        ),
        labels=(LabelView(label=evil, tests=1, calls=2, usd=None, price_status="unpriced"),),
        late={evil: 1},
        moved=(Moved(evil, evil, 1, 2),),
        incomplete=(evil,),
        notices=(evil,),
        libraries=(evil,),
        unseen={evil: (evil,)},
        unanswered=1,
        base=BaseStatus(revision=evil, commit=evil, changed=True, removed=(evil,)),
        partial=(evil,),
    )


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_of_others_is_markup(evil: str) -> None:
    for mode in ("compared", "first run"):
        text = markdown(
            replace(
                everywhere(evil),
                baseline=BaselineStatus(name=evil, mode=mode, stale=(evil,), error=evil),  # type: ignore[arg-type]
            )
        )
        assert_harmless(text)
        assert set(rows(text)) <= {4, 7}


PIECES = st.sampled_from([*EVIL, *"`|\\<>[]()!@#*_~:$&\n\r\t -.x1a"])


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, min_size=1).map("".join)))
def test_nothing_of_others_is_markup_whatever_it_is(evil: str) -> None:
    text = markdown(everywhere(evil))
    assert_harmless(text)
    assert set(rows(text)) <= {4, 7}


@pytest.mark.parametrize("number", [1, 21, 800])
@pytest.mark.parametrize("name", ["t", "|" * 400, "\u202e" * 300, "x" * 5000])
def test_it_fits_into_a_comment(number: int, name: str) -> None:
    many = everywhere(name)
    tests = [replace(test, key=f"{n}{test.key}") for n in range(number) for test in many.tests]
    whole = replace(
        many,
        tests=tuple(tests),
        session=many.session * number,
        incomplete=many.incomplete * number,
        notices=many.notices * number,
    )
    text = markdown(whole)
    assert len(text) <= LIMIT < 65_536
    first, second = text.splitlines()[:2]
    assert first == f"{MARKER} notable=yes -->"
    assert second.startswith("### ❌ LLM cost: this change costs at least $")
    assert f"{2 * number:,} tests over the limit" in second or number == 1
    assert_harmless(text)


def test_what_is_cut_is_told_and_what_fails_stays() -> None:
    failing = [over(f"test_{n:03}", "0.01", str(Decimal("0.02") + n)) for n in range(30)]
    moved = [view(f"moved_{n:03}" * 20, "0.01", "0.011", "moved") for n in range(900)]
    text = markdown(run(*moved, *failing))
    table = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert len(table) == 20
    assert "test_029" in table[0], "most money first"
    assert "… and 10 more, 10 of them over the limit" in text
    assert "of 900 left out" in text
    assert text.count("moved_") < 900 * 20


def test_the_few_that_matter_stand_before_the_rest() -> None:
    warned = view("b", "0.01", "9", "moved", findings=(replace(rose(), blocks=False),))
    accepted = view("c", "0.01", "5", "accepted", accepted=(rose(),))
    text = markdown(run(view("d", "1", "2", "moved"), accepted, warned, over("a")))
    table = [line for line in text.splitlines() if re.match(r"\| \W+ \| `", line)]
    assert [line.split("|")[2].strip() for line in table] == ["`a`", "`b`", "`c`"]
    assert [line.split("|")[1].strip() for line in table] == ["❌", "⚠️", "👁"]
    assert "- `d` $1.00 → $2.00 (+100 %)" in text


def test_how_to_accept() -> None:
    text = markdown(run(over("tests/test_a.py::test_b[x y]")))
    assert (
        "\npytest --crashlens-update-baseline --crashlens-reason 'why it is worth it' "
        "'tests/test_a.py::test_b[x y]'\n" in text
    )
    assert "Limits and policies" not in text
    # not for what nobody can accept, nor with names that are not what they seem
    limit = Finding(kind="limit", text="cost over", metric="cost", now=Decimal(1), limit="$0.50")
    only_limit = markdown(run(over(findings=(limit,))))
    assert "--crashlens-reason" not in only_limit
    assert "Limits and policies are not moved" in only_limit
    turned = markdown(run(over("test\u202e")))
    assert "'why it is worth it'\n" in turned
    assert "'why it is worth it'\n" in markdown(run(*(over(f"test_{n}") for n in range(4))))


def test_a_month_only_where_the_volume_is_known() -> None:
    assert "month" not in markdown(run(over()))
    text = markdown(run(over(), context=Context(runs_per_month=1000)))
    assert "+$10.00 per month at 1,000 runs" in text.splitlines()[1]


@pytest.mark.parametrize(
    "nodeid",
    [
        "--basetemp=/home/me",
        "--basetemp=/home/me::x",
        "@evil.txt::x",
        "-p evil::x",
        "test_a.py",
        "/tmp/test_a.py::x",
        "../evil/test_a.py::x",
        "::x",
    ],
)
def test_a_command_has_no_names_that_are_none(nodeid: str) -> None:
    text = markdown(run(over(), over("b", nodeid=nodeid)))
    assert "'why it is worth it'\n" in text
    assert "'why it is worth it' tests/test_a.py::test_one t.py::b\n" in markdown(
        run(over(), over("b", nodeid="t.py::b"))
    )


def test_what_has_no_bound_of_its_own_is_left_out() -> None:
    command = f"pytest --crashlens-update-baseline --crashlens-baseline={'a' * 70_000}"
    text = markdown(run(over(), accept_command=command))
    assert text.splitlines()[1].startswith("### ❌ LLM cost: this change costs $0.010 more")
    assert text.endswith("\n\nThe rest is too long for a comment.\n")
    assert len(text) < 1000


def test_what_this_change_accepted() -> None:
    base = BaseStatus(revision="HEAD^1", commit="ab" * 20, changed=True, removed=("x", "y"))
    old = view("a.py::t", "0.01", "0.03", "accepted", reason="better answers", causes=over().causes)
    new = view("b.py::t", None, "0.5", "new", reason="asked @all for it")
    text = markdown(run(old, new, base=base))
    first, second = text.splitlines()[:2]
    assert first == f"{MARKER} notable=yes -->"
    assert second == (
        "### ✅ LLM cost: this change costs $0.52 more per test run (+5,200 %, with $0.50 for 1 "
        "new test), accepted in this change: better answers (and 1 more reason) — all tests within "
        "their limits"
    )
    assert "of `HEAD^1` (`ababababab`), where this change starts from." in text
    assert "| 👁 | `a.py::t` | $0.010 | $0.030 | +200 % | accepted in this change: better" in text
    assert "**1 new test**, $0.50 per test run (now in the baseline):" in text
    assert "- `b.py::t`: $0.50, most of it at `app/agent.py:42 plan`: `asked @all for it`" in text
    assert "2 entries of the baseline removed in this change" in text
    assert "**Why** (+$0.520): new tests +$0.500" in text
    none = replace(base, there=False)
    text = markdown(run(view(), base=none))
    assert "against the baseline `crashlens-baseline.json`, which is new since `HEAD^1`." in text
    assert f"{MARKER} notable=yes -->" in text


def test_what_was_not_compared_is_told_with_its_money() -> None:
    failed = view("b", "1.31", "1.50", "not judged", outcome="failed")
    text = markdown(run(view(), failed, partial=("-k",)))
    assert "(they failed" not in text
    assert text.splitlines()[1].endswith(
        "1 of 2 tests could not be compared — 1 test could not be compared (it failed), "
        "only part of the tests ran"
    )
    assert "1 that failed or were skipped ($1.31 in the baseline, $1.50 as far as" in text
    assert "- `b`: failed ($1.31 in the baseline, $1.50 now)" in text
    assert "Only part of the tests ran: `-k`." in text or "Only part of the tests ran: -k." in text


def test_no_empty_table_and_no_column_that_is_not_there() -> None:
    nothing = run(spent=figures("0", 0), simulated=figures("0", 0))
    assert "| per test run" not in markdown(nothing)
    assert "the last column names the line" in markdown(run(over()))
    assert "the last column" not in markdown(run(over(spending=())))
    assert "**Not intended?** Fix it.\n" in markdown(run(over(spending=())))
