"""Charts of the page: plain SVG, whose colours and fonts are those of the page around it.

pygal draws them. What it would add for a file of its own (its script, its style, its tooltips) is
left out, so that nothing in the page runs or loads but what the page says. Every chart stands
beside a table with the same figures, exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from importlib import import_module
from typing import Any

from pytest_crashlens.model.money import EXACT, format_usd, format_usd_change
from pytest_crashlens.report.inert import inert

WIDTH = 420
_BAR = 30
_AXIS = 60
_FONT = 14
_LABEL = 22
"""Characters of a name beside its bar."""
_DROPPED = {"script", "style", "desc", "title"}
Bars = Sequence[tuple[str, Decimal]]


def waterfall(steps: Bars) -> str:
    """From no change to the whole change, step by step.

    ``steps`` come largest rise first, so the way leads up and then down. Its ends may be on either
    side of zero, which stacked bars cannot: all is drawn from the lowest point.
    """
    with localcontext(EXACT):
        at, spans = Decimal(0), []
        for word, usd in steps:
            spans.append((word, at, at + usd))
            at += usd
        spans.append(("whole change", Decimal(0), at))
        ends = [end for _, *both in spans for end in both]
        low, high = min(ends), max(ends)
        guides = [
            (float(at - low), format_usd_change(at) if at else "0")
            for at in {low, high, Decimal(0)}
        ]
        floor = [float(min(a, b) - low) for _, a, b in spans]
        more, less = ([0.0] * len(spans) for _ in range(2))
        for i, (_, a, b) in enumerate(spans):
            (more if b >= a else less)[i] = float(abs(b - a))
    chart = _bars("HorizontalStackedBar", [word for word, *_ in spans], "waterfall")
    chart.y_labels = [{"value": at, "label": label} for at, label in _apart(guides)]
    for name, values in (("before it", floor), ("more", more), ("less", less)):
        chart.add(name, values[::-1])
    return _svg(chart)


def bars(shares: Bars, name: str) -> str:
    """Parts of a sum in USD."""
    chart = _bars("HorizontalBar", [word for word, _ in shares], name)
    _guide(chart, [usd for _, usd in shares], format_usd)
    chart.add("USD", [float(usd) for _, usd in reversed(shares)])
    return _svg(chart)


def pairs(rows: Sequence[tuple[str, int | None, int]], name: str) -> str:
    """Counts before (where there is a before) and now."""
    alone = all(before is None for _, before, _ in rows)
    kind = f"{name} alone" if alone else name
    chart = _bars("HorizontalBar", [word for word, *_ in rows], kind, thick=1.4)
    counts = [count for _, *both in rows for count in both if count]
    _guide(chart, [Decimal(count) for count in counts], lambda count: f"{count:,.0f}")
    if not alone:
        chart.add("baseline", [before for _, before, _ in reversed(rows)])
    chart.add("now", [now for _, _, now in reversed(rows)])
    return _svg(chart)


def line(points: Sequence[tuple[str, Decimal | None]], name: str) -> str:
    """USD over time, oldest first."""
    chart = _chart("Line", name, height=220)
    chart.x_labels = [label for label, _ in points]
    chart.x_labels_major = [points[0][0], points[-1][0]]
    chart.show_minor_x_labels = False
    chart.dots_size = 3
    _guide(chart, [usd for _, usd in points if usd is not None], format_usd)
    chart.add("USD", [None if usd is None else float(usd) for _, usd in points])
    return _svg(chart)


def _bars(kind: str, labels: Sequence[str], name: str, *, thick: float = 1.0) -> Any:
    chart = _chart(kind, name, height=int(_BAR * thick * len(labels)) + _AXIS)
    # the first one at the top
    chart.x_labels = [_short(label) for label in reversed(labels)]
    return chart


def _chart(kind: str, name: str, height: int) -> Any:
    pygal = _library()
    style = import_module("pygal.style").Style(
        # the page's own style has the colours: these are only there to be parsed
        colors=("#000",) * 4,
        label_font_size=_FONT,
        major_label_font_size=_FONT,
        font_family="sans-serif",
    )
    chart = getattr(pygal, kind)(
        style=style,
        js=[],
        width=WIDTH,
        height=height,
        margin=4,
        margin_right=42,
        show_legend=False,
        explicit_size=False,
        disable_xml_declaration=True,
        pretty_print=False,
        classes=("chart", name),
        truncate_label=-1,
    )
    # else a random one, which would be another page of the same run
    chart.uuid = name.partition(" ")[0]
    chart.add_xml_filter(_plain)
    return chart


def _library() -> Any:
    """Pygal without its hook into imports: by that every later one that fails gives a warning."""
    known = {id(finder) for finder in sys.meta_path}
    pygal = import_module("pygal")
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if id(finder) in known or type(finder).__module__ != "pygal"
    ]
    return pygal


def _guide(chart: Any, amounts: Sequence[Decimal], text: Callable[[Decimal], str]) -> None:
    """A guide at nothing and at the most, which is told as it is."""
    most = max(amounts, default=Decimal(0)) or Decimal(1)
    chart.y_labels = [
        {"value": 0, "label": "0"},
        {"value": float(most), "label": text(most)},
    ]
    chart.range = (0, float(most))


def _apart(guides: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those whose labels do not touch; nothing, the end of all changes, is always told."""
    span = max(at for at, _ in guides) or 1.0
    kept = [guide for guide in guides if guide[1] == "0"]
    for guide in sorted(guides, reverse=True):
        if all(abs(guide[0] - one[0]) > span / 4 for one in kept):
            kept.append(guide)
    return sorted(kept)


def _short(label: str) -> str:
    """The end of names tells most."""
    label = inert(label)
    return label if len(label) <= _LABEL else f"…{label[1 - _LABEL :]}"


def _plain(root: Any) -> Any:
    """Without what is for a file of its own; what is drawn is told by the table beside it."""
    for parent in list(root.iter()):
        for child in list(parent):
            tag = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else None
            if tag is None or tag in _DROPPED or "tooltip-overlay" in child.get("class", ""):
                parent.remove(child)
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    return root


def _svg(chart: Any) -> str:
    found: str = chart.render(is_unicode=True)
    return found
