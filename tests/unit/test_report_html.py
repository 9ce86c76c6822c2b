from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.baseline.causes import Cause
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.report import html_charts, html_parts
from pytest_crashlens.report.change import change_of
from pytest_crashlens.report.headline import money_sentence, verdict
from pytest_crashlens.report.html import FOLDER, html
from pytest_crashlens.report.html_parts import Point
from pytest_crashlens.report.inert import inert
from pytest_crashlens.report.run_result import BaselineStatus
from pytest_crashlens.report.view import Context, LabelView, RunView
from pytest_crashlens.report.writers import parse_wanted
from tests.unit.run_views import figures, over, run, spent, view
from tests.unit.test_report_markdown import EVIL, PIECES, everywhere

GOLDEN = Path(__file__).parents[1] / "output/reports/page.html"
SCRIPTS = (
    "</script><script>window.broken=1</script>",
    "</style><style>*{display:none}",
    '"><svg onload=window.broken=1>',
    "' onmouseover='window.broken=1",
    "{{ 7*7 }}{% raw %}",
    "<!--<script>",
    "]]><![CDATA[",
    "javascript:window.broken=1",
    "&lt;script&gt;",
    "<title>x</title><plaintext>",
)


def parsed(text: str) -> Element:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of html5lib, about what it is built on
        found: Element = html5lib.parse(text, namespaceHTMLElements=False)
    return found


def tags(root: Element) -> Iterator[tuple[str, str]]:
    for element in root.iter():
        if isinstance(element.tag, str):
            yield element.tag.rpartition("}")[2], " ".join(sorted(map(str, element.attrib)))


def text_of(element: Element | None) -> str:
    assert element is not None
    return "".join(element.itertext())


def page_of(evil: str) -> Element:
    point = Point("2026-01-01", "1f2e3d4c", 1, Decimal(1), True, evil, evil)
    return parsed(html(everywhere(evil), [point, replace(point, usd=Decimal(2))]))


PLAIN = Counter(tags(page_of("plain")))


def assert_inert(evil: str) -> None:
    """The same elements, attributes, scripts and styles as of a harmless page."""
    root = page_of(evil)
    found = Counter(tags(root))
    # names that are no plain words stand in code spans; what is empty may be left out
    found.pop(("code", ""), None)
    assert set(found) <= set(PLAIN)
    assert all(number <= PLAIN[tag] for tag, number in found.items())
    scripts = [element.text for element in root.iter("script")]
    assert scripts == [(FOLDER / name).read_text() for name in ("first.js", "page.js")]
    assert [element.text for element in root.iter("style")] == [(FOLDER / "page.css").read_text()]
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not str(name).startswith("on")
            if name in ("href", "src"):
                assert value in ("#content", "data:,")
    shown = "".join(root.itertext())
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b\ud800\u200b]", shown)


@pytest.mark.parametrize("evil", [*EVIL, *SCRIPTS])
def test_nothing_of_others_is_markup(evil: str) -> None:
    assert_inert(evil)
    names = page_of(evil).findall(".//tbody/tr/th/code")
    assert text_of(names[0]) == (inert(evil) or "(no name)")


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(
        st.text(), st.lists(st.one_of(PIECES, st.sampled_from(SCRIPTS)), min_size=1).map("".join)
    )
)
def test_nothing_of_others_is_markup_whatever_it_is(evil: str) -> None:
    assert_inert(evil)


def example() -> RunView:
    a = over(
        "tests/test_support.py::test_refund",
        "0.0031",
        "0.0164",
        causes=(
            Cause("model", "model gpt-4o-mini -> gpt-4o", Decimal("0.0142"), 0, "gpt-4o"),
            Cause("cache", "less from the cache", Decimal("-0.0009"), 0, "gpt-4o"),
        ),
        spending=(
            spent("app/agent.py:42 plan", "0.0124", "gpt-4o"),
            spent("app/agent.py:77 answer", "0.0040", "gpt-4o"),
        ),
    )
    usage = Usage(input_tokens=6000, cache_read_tokens=1200, output_tokens=500, reasoning_tokens=80)
    a = replace(a, now=replace(a.now, usage=usage))
    cheaper = view("tests/test_b.py::test_b[long query]", "0.0072", "0.0069", "cheaper")
    return run(
        view("tests/test_c.py::test_c"),
        cheaper,
        view("tests/test_d.py::test_new", None, "0.001", "missing", headline="LLM: no baseline"),
        a,
        context=Context(runs_per_month=30000),
        detections=(
            Detection(
                kind="duplicate",
                level="info",
                text="the same request 3 times",
                calls=3,
                call_sites=("app/agent.py:77 answer",),
                waste_usd=Decimal("0.0021"),
                tests=("a", "b"),
            ),
        ),
        labels=(
            LabelView(label="tag:pay", tests=2, calls=4, usd=Decimal(1), price_status="partial"),
        ),
        incomplete=("a worker crashed",),
        late={"app/bg.py:3 tick": 2},
    )


HISTORY = [
    Point(f"2026-0{n}-01", "1f2e3d4c", 40 + n, Decimal(n), True, "A. Nonymous", "Prompt")
    for n in range(1, 4)
]


def test_the_whole_page() -> None:
    """Apart from the drawings, which the versions of the library decide."""
    text = html(example(), HISTORY)
    text = re.sub(r"<svg.*?</svg>", "<svg></svg>", text)
    for name in ("page.css", "page.js"):
        text = text.replace((FOLDER / name).read_text(), f"{name}")
    text = re.sub(r"sha256-[\w+/=]+", "sha256-...", text)
    if os.environ.get("CRASHLENS_REWRITE_SCREENS"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_it_says_first_what_the_comment_says() -> None:
    root, example_run = parsed(html(example())), example()
    money = money_sentence(example_run, change_of(example_run))
    (title,) = root.findall(".//h1")
    assert text_of(title).lower().startswith(money.lower())
    assert text_of(title).endswith("+$420.00 per month at 30,000 runs")
    found = root.find(".//p[@class='verdict bad']")
    assert text_of(found).removeprefix("✖ ") == verdict(example_run)[1]


@pytest.mark.parametrize("given", [example(), run(), everywhere("x")], ids=["usual", "none", "all"])
def test_it_is_accessible(given: RunView) -> None:
    root = parsed(html(given, HISTORY))
    assert root.get("lang") == "en"
    levels = [int(tag[1]) for tag, _ in tags(root) if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for table in root.iter("table"):
        assert text_of(table.find("caption"))
        assert all(head.get("scope") in ("row", "col") for head in table.iter("th"))
        widths = {len(row) for row in table.iter("tr")}
        assert len(widths) == 1
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        for name in ("aria-labelledby", "aria-controls", "for"):
            assert element.get(name, ids[0]) in ids
        if element.get("href", "").startswith("#"):
            assert element.get("href", "")[1:] in ids
    for drawing in root.iter("{http://www.w3.org/2000/svg}svg"):
        assert drawing.get("aria-hidden") == "true"


def test_it_loads_nothing() -> None:
    text = html(example(), HISTORY)
    root = parsed(text)
    (policy,) = (
        meta.get("content", "") for meta in root.iter("meta") if meta.get("http-equiv") is not None
    )
    sources = [*root.iter("style"), *root.iter("script")]
    hashes = [
        base64.b64encode(hashlib.sha256(text_of(one).encode()).digest()).decode() for one in sources
    ]
    style, *scripts = (f"'sha256-{one}'" for one in hashes)
    assert policy == (
        f"default-src 'none'; style-src {style}; script-src {' '.join(scripts)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    bare = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(
        r"https?:|url\(|@import|\bsrc=|\bfetch\(|XMLHttp|<iframe|<form|style=", bare
    )


def test_the_same_run_is_the_same_page() -> None:
    assert html(example(), HISTORY) == html(example(), HISTORY)


def test_tests_that_matter_come_first() -> None:
    cheaper = view("d", "2", "1", "cheaper")
    rows = html_parts.rows(run(view("c"), cheaper, view("b", None, "1", "missing"), over("a")))
    assert [row.key for row in rows] == ["a", "b", "d", "c"]
    assert [row.changed for row in rows] == [True, True, True, False]
    first = rows[0]
    assert (first.before_usd, first.now_usd, first.rise_usd) == ("0.01", "0.02", "0.01")
    assert (first.before, first.now, first.change) == ("$0.010", "$0.020", "+$0.010 (+100 %)")
    assert (rows[1].before_usd, rows[1].rise_usd, rows[1].change) == ("", "", "")


def test_shares_sum_to_the_whole() -> None:
    usd = [Decimal(n) / 1000 for n in range(1, 31)]
    tests = [view(f"t{n}", spending=(spent(f"a.py:{n} f", str(usd[n])),)) for n in range(30)]
    found = html_parts.by_site(run(*tests))
    assert len(found) == 13
    assert found[0].name == "a.py:29 f"
    assert found[-1].name == "18 others"
    assert sum(share.usd for share in found) == sum(usd)
    assert sum(share.calls for share in found) == 30
    (model,) = html_parts.by_model(run(*tests))
    assert (model.name, model.usd, model.percent) == ("openai/gpt-4o-mini", sum(usd), "100 %")
    unpriced = replace(spent(None), usd=None, price_status="unpriced")
    (share,) = html_parts.by_site(run(view(spending=(unpriced,))))
    assert (share.name, share.cost) == ("no line of the project", "no price")


def test_each_token_is_counted_once() -> None:
    usage = Usage(
        input_tokens=1000,
        cache_read_tokens=300,
        cache_write_tokens=100,
        output_tokens=200,
        reasoning_tokens=50,
    )
    test = replace(view(), now=figures(usage=usage))
    found = {one.name: (one.before, one.now) for one in html_parts.tokens(run(test), _change(test))}
    assert found == {
        "input": (1000, 600),
        "cache read": (0, 300),
        "cache write": (0, 100),
        "output": (100, 150),
        "reasoning": (0, 50),
    }
    new = view(before=None, state="missing")
    assert html_parts.tokens(run(new), _change(new))[0] == html_parts.Amount("input", 0, 1000)
    first = BaselineStatus(name="b", mode="first run")
    alone = run(new, simulated=figures(usage=usage), baseline=first)
    assert html_parts.tokens(alone, change_of(alone))[0] == html_parts.Amount("input", None, 600)


def _change(test: Any) -> Any:
    return change_of(run(test))


def spans(svg: str) -> list[list[tuple[float, float]]]:
    """Start and width of each series' bars, the first bar first."""
    root = parsed(svg)
    found = []
    for series in root.iter():
        if re.fullmatch(r"series serie-\d color-\d", series.get("class", "")):
            rects = [one for one in series.iter() if str(one.tag).endswith("rect")]
            found.append([(float(r.get("x", 0)), float(r.get("width", 0))) for r in rects][::-1])
    return [bars for bars in found if bars]


def test_waterfall_leads_from_nothing_to_the_whole_change() -> None:
    steps = [("a", Decimal(8)), ("b", Decimal(2)), ("c", Decimal(-15))]
    floor, more, less = spans(html_charts.waterfall(steps))
    unit = more[0][1] / 8
    widths = [
        (round(up[1] / unit, 3), round(down[1] / unit, 3))
        for up, down in zip(more, less, strict=True)
    ]
    assert widths == [(8, 0), (2, 0), (0, 15), (0, 5)]
    zero = floor[0][0] + 5 * unit
    ends = [round((one[0] + one[1] - zero) / unit, 3) for one in floor]
    assert ends == [0, 8, -5, -5]


@pytest.mark.parametrize(
    "steps",
    [
        [("a", Decimal(0))],
        [("a", Decimal("-1E-12"))],
        [("a", Decimal("1E+12")), ("b", Decimal("-1E-12"))],
    ],
)
def test_drawings_of_odd_figures(steps: list[tuple[str, Decimal]]) -> None:
    assert "nan" not in html_charts.waterfall(steps).lower()
    assert "<svg" in html_charts.bars([(name, abs(usd)) for name, usd in steps], "x")


def test_drawings_have_no_script_or_style_of_their_own() -> None:
    for svg in re.findall(r"<svg.*?</svg>", html(example(), HISTORY)):
        found = {tag for tag, _ in tags(parsed(svg))}
        assert not found & {"script", "style", "a", "image", "foreignObject", "title", "desc"}
        assert "<!--" not in svg


def test_it_can_be_drawn_without_tests_calls_or_a_baseline() -> None:
    assert "No test made an LLM call." in html(run())
    first = BaselineStatus(name="crashlens-baseline.json", mode="first run")
    text = html(run(view(before=None, state="ok"), baseline=first))
    assert "<pre>pytest --crashlens-update-baseline</pre>" in text
    point = Point("2026-01-01", "1f2e3d4c", 0, None, False, "a", "b")
    assert "no price" in html(run(), [point])


def test_it_leaves_no_hook_in_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pygal"]:
        monkeypatch.delitem(sys.modules, name)
    before = list(sys.meta_path)
    html(example())
    assert "pygal" in sys.modules
    assert sys.meta_path == before


@pytest.mark.parametrize("name", ["jinja2", "pygal"])
def test_what_is_missing_is_told_with_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"pip install 'pytest-crashlens\[html\]'"):
        parse_wanted("html:page.html", Path())
