"""docs/reference.md, made from the code: options, marker, crashlens.yml, commands, states."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from pytest_crashlens import plugin
from pytest_crashlens.cli import main as cli
from pytest_crashlens.policy.config import DETECTORS, STATES
from pytest_crashlens.policy.limits import MARKER_KEYS

HEAD = """\
# Reference

This page is made from the code and held against it by a test. The other pages explain:
[policies](policies.md), [accepting](accepting.md), [live suites](live-suites.md),
[xdist](xdist.md), [CI](ci.md), [prices](prices.md), [reports](reports.md),
[notifications](notifications.md), [privacy](privacy.md), [what is captured](capture.md),
[task types](tasks.md), [accuracy](accuracy.md), [comparison](comparison.md).
"""
MARKER_ONLY = {
    "task": "The task of the test's calls, for rules with `task_type`.",
    "tags": "A tag, or a list of them, for `budgets`; tags of all markers add up.",
    "key": "The name of the test's entry in the baseline, where its id is not stable.",
    "ignore": "`True`: the test is not judged and has no entry; its calls are in the totals.",
}
FIXTURE = {
    "crashlens.calls": "the calls of the test so far, oldest first",
    "crashlens.usage": "their tokens: `input_tokens`, `output_tokens` and the parts of these",
    "crashlens.record(answer)": "adds a call that cannot be seen, by the answer of its client",
    "crashlens.record(model=..., provider=..., input_tokens=..., output_tokens=...)": (
        "the same, by its counts"
    ),
    "with crashlens.scope(task):": "the task of the calls inside",
}
PYTEST_CODES = {
    0: "all tests passed and no limit is broken",
    1: "a test failed, by itself or by its cost, or the run as a whole broke a limit",
    2: "interrupted",
    4: "an option, crashlens.yml or the baseline cannot be used",
    5: "no test was found",
}


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *_options(), *_marker(), *_file(), *_commands(), *_states()]
    return "\n".join(parts).rstrip() + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema that is shipped."""
    place = files("pytest_crashlens.policy") / "crashlens.schema.json"
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return found


class _Recorder:
    """Takes what a plugin tells pytest's parser."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.ini: dict[str, str] = {}

    def getgroup(self, *_: str) -> _Recorder:
        return self

    def addoption(self, flag: str, **given: Any) -> None:
        self.options.append((flag, given))

    def addini(self, name: str, told: str, **_: Any) -> None:
        self.ini[name] = told


def _options() -> Iterator[str]:
    recorder = _Recorder()
    plugin.pytest_addoption(recorder)  # type: ignore[arg-type]
    keys = {told.removeprefix("Same as "): name for name, told in recorder.ini.items()}
    yield "## Options of pytest\n"
    rows = []
    for flag, given in recorder.options:
        value = given.get("metavar") or _choices(given.get("choices"))
        name = f"{flag}={value}" if value else flag
        rows.append((code(name), code(keys.pop(flag, "")), plain(given["help"])))
    assert not keys, keys
    yield from table(("option", "ini key", ""), rows)
    yield "\nExit codes are pytest's:\n"
    yield from table(("code", ""), ((str(number), told) for number, told in PYTEST_CODES.items()))
    yield ""


def _choices(choices: Iterable[str] | None) -> str:
    return "|".join(choices or ())


def _marker() -> Iterator[str]:
    limits = schema()["definitions"]["limits"]["properties"]
    yield "## Marker and fixture\n"
    yield "`@pytest.mark.crashlens(...)` takes keyword arguments; of several markers the closest"
    yield "wins, key by key.\n"
    rows = [(code(key), MARKER_ONLY.get(key) or limits[key]["description"]) for key in MARKER_KEYS]
    yield from table(("argument", ""), rows)
    yield "\nThe fixture `crashlens` works with the plugin off too: what is recorded is seen.\n"
    yield from table(("", ""), ((code(name), told) for name, told in FIXTURE.items()))
    yield ""


def _file() -> Iterator[str]:
    """Every key of crashlens.yml; sections that are used in several places stand once."""
    whole = schema()
    yield "## crashlens.yml\n"
    yield "`crashlens validate --schema` prints this as JSON Schema, for editors.\n"
    yield from table(("key", "value", ""), _keys(whole, whole))
    for name, heading in (
        ("limits", "`limits`, `paths[].limits`"),
        ("rule", "`policies[].rules[]`"),
        ("budget", "`budgets[]`"),
        ("price", "`prices.<provider/model>`"),
    ):
        yield f"\n### {heading}\n"
        yield from table(("key", "value", ""), _keys(whole["definitions"][name], whole))
    yield "\nA rate is USD per 1,000,000 tokens, or by size of the input:"
    yield '`{base: "1.25", above: [[200000, "2.50"]]}`.\n'


APART = ("limits", "rule", "budget", "price")


def _keys(given: Mapping[str, Any], whole: Mapping[str, Any], prefix: str = "") -> Iterator[Any]:
    for key, value in given["properties"].items():
        name = f"{prefix}{key}"
        inner, place = _resolved(value, whole), name
        told = value.get("description") or inner.get("description") or ""
        if inner.get("type") == "array":
            inner, place = _resolved(inner["items"], whole), f"{name}[]"
        apart = any(inner is whole["definitions"][one] for one in APART)
        yield code(name), kind(value, whole), plain(told)
        if "properties" in inner and not apart:
            yield from _keys(inner, whole, f"{place}.")


def _resolved(given: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    if "allOf" in given and len(given["allOf"]) == 1 and "properties" not in given:
        return _resolved(given["allOf"][0], whole)
    if "$ref" in given:
        name = given["$ref"].rpartition("/")[2]
        return _resolved(whole["definitions"][name], whole)
    return given


WORDS = {
    "usd": "USD",
    "rate": "rate",
    "percent": '`"20%"`',
    "off": "`off`",
    "severity": "`error`, `warn` or `ignore`",
    "match": "glob",
    "path": "path",
    "task": "word",
    "channel": '`"#channel"`',
    "variable": "name of a variable",
    "factor": "factor",
    "text": "text",
    "increase_by_metric": "one per metric (cost, input_tokens, output_tokens, calls)",
}


def kind(given: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """What may stand there."""
    if "$ref" in given:
        name = given["$ref"].rpartition("/")[2]
        return WORDS.get(name) or kind(whole["definitions"][name], whole)
    for several in ("allOf", "anyOf"):
        if several in given and "properties" not in given:
            return " or ".join(dict.fromkeys(kind(one, whole) for one in given[several]))
    if "enum" in given:
        *first, last = (f"`{one}`" for one in given["enum"])
        return f"{', '.join(first)} or {last}" if first else last
    if "const" in given:
        return f"`{str(given['const']).lower()}`"
    found = given.get("type")
    if found == "array":
        return f"list of {kind(given['items'], whole)}"
    if found == "integer":
        return f"number from {given['minimum']}" if "minimum" in given else "number"
    if isinstance(found, list):
        return "text"
    return {"object": "section", "string": "text"}.get(found or "", found or "")


def _commands() -> Iterator[str]:
    root = argparse.ArgumentParser(prog="crashlens")
    commands = root.add_subparsers()
    modules = [one for one in vars(cli).values() if hasattr(one, "add_to")]
    for module in modules:
        module.add_to(commands)
    yield "## Commands\n"
    yield "`crashlens COMMAND`, or `python -m pytest_crashlens COMMAND`. Most of them take:\n"
    yield from table(("argument", ""), COMMON)
    yield ""
    parsers = dict(commands.choices)
    told = {action.dest: action.help for action in commands._choices_actions}
    yield from table(
        ("command", ""), ((f"[{name}](#crashlens-{name})", plain(told[name])) for name in parsers)
    )
    for name, parser in parsers.items():
        yield f"\n### crashlens {name}\n"
        for line in (parser.description or "").splitlines():
            yield plain(line)
        yield ""
        rows = [_argument(action) for action in parser._actions if action.dest != "help"]
        yield from table(("argument", ""), (row for row in rows if row not in COMMON))
        epilog = parser.epilog or ""
        codes = epilog[epilog.index("exit codes:") :]
        yield f"\n```text\n{codes.strip()}\n```"
    yield ""


COMMON = (
    ("`--json`", "print one JSON document instead"),
    (
        "`--baseline PATH`",
        "the baseline; default: as crashlens.yml says, else crashlens-baseline.json in this folder "
        "or one above, up to the repository's",
    ),
    ("`--config PATH`", "another crashlens.yml than the one found so"),
)
"""Said once."""


def _argument(action: argparse.Action) -> tuple[str, str]:
    value = action.metavar or _choices(action.choices) or (action.dest if action.nargs != 0 else "")
    if isinstance(value, tuple):
        value = " ".join(value)
    if not action.option_strings:
        several = {"*": f"[{value} ...]", "+": f"{value} [{value} ...]", "?": f"[{value}]"}
        return code(several.get(str(action.nargs), value)), plain(action.help or "")
    name = action.option_strings[-1]
    return code(f"{name} {value}".strip()), plain(action.help or "")


def _states() -> Iterator[str]:
    told = schema()["properties"]
    yield "## States\n"
    yield "Keys of crashlens.yml: `error` fails, `warn` is told, `ignore` is nothing.\n"
    yield from table(
        ("state", "default", ""),
        (
            (code(state), severity, plain(re.sub(r" Default: .*", "", told[state]["description"])))
            for state, severity in STATES.items()
        ),
    )
    yield "\nDetections (`detectors:`), defined in [policies](policies.md#detectors):\n"
    yield from table(("detection", "default"), ((code(k), v) for k, v in DETECTORS.items()))


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        assert len(row) == len(heads), row
        yield f"| {' | '.join(row)} |"


def code(name: str) -> str:
    """A code span of a table's cell."""
    return f"`{name}`".replace("|", "\\|") if name else ""


def plain(told: str) -> str:
    """Words of ours in a table's cell: only what Markdown would take for its own is marked."""
    text = " ".join(told.split()).replace("|", "\\|").replace("%%", "%")
    return re.sub(r"(?<![`\w])(<[^>]+>|\*\S*)", r"`\1`", text)
