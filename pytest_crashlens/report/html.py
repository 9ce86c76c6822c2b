"""The run as a page: one file that loads nothing, for a browser or a printer.

Needs the extra ``html``. What others wrote (names, messages) is text and nothing else: the template
escapes it, and the page's own policy lets no script run but the two that are written here.
"""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_crashlens.errors import CrashlensError
from pytest_crashlens.report import html_charts as charts
from pytest_crashlens.report import html_parts as parts
from pytest_crashlens.report.change import (
    Change,
    change_of,
    shares_text,
)
from pytest_crashlens.report.failure import ACCEPTABLE, sentence
from pytest_crashlens.report.headline import sentences, verdict
from pytest_crashlens.report.inert import inert
from pytest_crashlens.report.markdown import accept_command, basis
from pytest_crashlens.report.markdown_details import cost, notes
from pytest_crashlens.report.view import RunView

FOLDER = Path(__file__).with_name("page")
NEEDED = ("jinja2", "pygal")
SHOWN = 100
"""Tests before one asks for more."""
NOTES = 100


class MissingExtraError(CrashlensError):
    """What draws the page is not installed."""


def check_extra() -> None:
    """See that what draws the page is installed; it is loaded when tests are over.

    Raises:
        MissingExtraError: It is not; the text has the command.
    """
    for name in NEEDED:
        try:
            there = find_spec(name) is not None
        except (ImportError, ValueError):
            there = False
        if not there:
            raise MissingExtraError(
                f"the page needs {name}, which is not installed: "
                "pip install 'pytest-crashlens[html]'"
            )


def html(run: RunView, history: Sequence[parts.Point] = ()) -> str:
    """The page; ``history``: the baseline's versions in git, oldest first."""
    check_extra()
    with warnings.catch_warnings():
        # those of libraries, which a run may have made errors
        warnings.simplefilter("ignore")
        return _rendered(_values(run, history))


def _rendered(values: Mapping[str, Any]) -> str:
    jinja = import_module("jinja2")
    environment = jinja.Environment(
        loader=jinja.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["spans"] = partial(_spans, import_module("markupsafe").Markup)
    texts = {name: _source(name) for name in ("page.css", "first.js", "page.js")}
    markup = import_module("markupsafe").Markup
    found: str = environment.get_template("page.html.jinja").render(
        values,
        style=markup(texts["page.css"]),
        first=markup(texts["first.js"]),
        script=markup(texts["page.js"]),
        rules=_rules(**{name.replace(".", "_"): text for name, text in texts.items()}),
        charts={name: markup(svg) for name, svg in values["charts"].items()},
    )
    return found


def _source(name: str) -> str:
    # between the tags as it is, or its hash is another one
    return (FOLDER / name).read_text(encoding="utf-8")


def _rules(page_css: str, first_js: str, page_js: str) -> str:
    """The content security policy: nothing is loaded, and only these texts count."""
    style, first, script = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (page_css, first_js, page_js)
    )
    return (
        f"default-src 'none'; style-src {style}; script-src {first} {script}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _spans(markup: Any, text: str) -> Any:
    """Our words with names in code spans, as the comment has them; names have no backticks."""
    pieces = [
        markup("<code>{}</code>").format(piece) if at % 2 else markup.escape(piece)
        for at, piece in enumerate(text.split("`"))
    ]
    return markup("").join(pieces)


def _values(run: RunView, history: Sequence[parts.Point]) -> dict[str, Any]:
    change = change_of(run)
    mark, found = verdict(run)
    rows = parts.rows(run)
    models, sites = parts.by_model(run), parts.by_site(run)
    tokens = parts.tokens(run, change)
    findings = list(parts.findings(run))
    said = list(notes(run))
    return {
        "money": sentences(run, change, inert),
        "mark": mark,
        "verdict": found,
        "basis": basis(run, change),
        "sums": parts.sums(change) if change.summed else [],
        "sides": [
            (
                name,
                side.calls,
                side.usage.input_tokens or 0,
                side.usage.output_tokens or 0,
                cost(side),
            )
            for name, side in (("spent", run.spent), ("replayed or mocked", run.simulated))
            if side.calls
        ],
        "incomplete": [
            inert(reason)
            for reason in (*([run.baseline.error] if run.baseline.error else []), *run.incomplete)
        ][:NOTES],
        "whole_run": [
            (one.blocks, inert(sentence(one)))
            for one in sorted(run.session, key=lambda one: not one.blocks)
        ][:NOTES],
        "advice": _advice(run),
        "causes": shares_text(change.causes),
        "rows": rows,
        "number_changed": sum(row.changed for row in rows),
        "shown": SHOWN,
        "models": models,
        "sites": sites,
        "tokens": tokens,
        "compared": bool(change.summed),
        "findings": findings[: parts.FINDINGS],
        "findings_left": len(findings) - parts.FINDINGS,
        "seen": parts.seen(run),
        "labels": [
            (inert(one.label), one.tests, one.calls, _label_cost(one.usd, one.price_status))
            for one in run.labels
        ],
        "history": [
            replace(point, author=inert(point.author), subject=inert(point.subject))
            for point in reversed(history)
        ],
        "notes": said[:NOTES],
        "notes_left": len(said) - NOTES,
        "charts": dict(_charts(change, models, sites, tokens, history)),
    }


def _label_cost(usd: Decimal | None, status: str) -> str:
    share = parts.Share(
        name="", calls=0, tokens=0, usd=usd or Decimal(0), whole=status == "priced", percent=""
    )
    return share.cost


def _charts(
    change: Change,
    models: Sequence[parts.Share],
    sites: Sequence[parts.Share],
    tokens: Sequence[parts.Amount],
    history: Sequence[parts.Point],
) -> dict[str, str]:
    found = {}
    if change.causes:
        found["causes"] = charts.waterfall(change.causes)
    if any(one.usd for one in models):
        found["models"] = charts.bars([(one.name, one.usd) for one in models], "models")
    if any(one.usd for one in sites):
        found["sites"] = charts.bars([(one.name, one.usd) for one in sites], "sites")
    if any(one.now or one.before for one in tokens):
        found["tokens"] = charts.pairs(
            [(one.name, one.before, one.now) for one in tokens], "tokens"
        )
    if len([point for point in history if point.usd is not None]) > 1:
        found["history"] = charts.line([(point.day, point.usd) for point in history], "history")
    return found


def _advice(run: RunView) -> dict[str, Any]:
    """What to do now: which of its paragraphs hold."""
    failing = [test for test in run.tests if test.failed]
    kinds = {finding.kind for test in failing for finding in test.findings if finding.blocks}
    return {
        "first": inert(run.accept_command) if run.baseline.mode == "first run" else "",
        "accept": accept_command(run, failing) if kinds & ACCEPTABLE else "",
        "sites": any(test.site for test in failing),
        "limits": bool(kinds & {"limit", "policy"}),
        "baseline": inert(run.baseline.name),
    }
