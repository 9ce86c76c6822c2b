"""Reads the JSON report of a run, which may come from anybody: numbers and texts, never trusted."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

from pytest_crashlens.baseline.causes import Cause
from pytest_crashlens.baseline.moved import Moved
from pytest_crashlens.detect.detection import Detection
from pytest_crashlens.errors import CrashlensError
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.report.inert import is_inert
from pytest_crashlens.report.run_result import BaselineStatus, BaseStatus
from pytest_crashlens.report.schema_check import problems
from pytest_crashlens.report.view import (
    COMMAND,
    Context,
    Figures,
    LabelView,
    RunView,
    Spending,
    TestView,
)

SCHEMA = Path(__file__).with_name("run.schema.json")
MAX_BYTES = 64 * 1024 * 1024
"""Of a report that is read unless somebody allows more: some 20,000 tests."""


LONGEST_COMMAND = 500


class SavedRunError(CrashlensError):
    """The report cannot be read; the text says why."""


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of the report."""
    found: Mapping[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return found


def load_run(path: Path, max_bytes: int = MAX_BYTES) -> tuple[RunView, Mapping[str, Any]]:
    """The run whose report is in the file ``path``, and the report itself.

    Raises:
        SavedRunError: There is none, it is too large, or it is no report.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        fault = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SavedRunError(f"{path}: cannot be read: {fault}") from None
    if len(data) > max_bytes:
        raise SavedRunError(
            f"{path}: more than {max_bytes:,} bytes; allow it with --max-bytes N if you trust it"
        )
    return parse_run(data, str(path))


def saved_text(plain: Mapping[str, Any]) -> str:
    """The report as it was written."""
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def parse_run(data: bytes, name: str) -> tuple[RunView, Mapping[str, Any]]:
    """The run whose report ``data`` is, and the report; ``name`` is for messages.

    Raises:
        SavedRunError: It is no report of a run.
    """
    try:
        plain = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "too deep" if isinstance(error, RecursionError) else str(error)
        raise SavedRunError(f"{name}: is no JSON: {why}") from None
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if isinstance(plain, dict) and type(version) is int and version != 1:
        raise SavedRunError(
            f"{name}: a report of schema_version {version}; this release reads 1: write it again"
        )
    fault = next(problems(plain, schema()), None)
    if fault is not None:
        raise SavedRunError(
            f"{name}: is no report of a run: {fault}; write one: "
            "pytest --crashlens --crashlens-report=json:PATH"
        )
    try:
        return _run(plain), plain
    except ValueError as error:
        raise SavedRunError(f"{name}: {error}") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _run(plain: Mapping[str, Any]) -> RunView:
    baseline, context = plain["baseline"], plain["context"]
    lists = ("written", "kept_back", "stale", "deleted", "not_pruned", "generated")
    return RunView(
        failed=plain["failed"],
        may_fail=plain["may_fail"],
        tests=tuple(_test(test) for test in plain["tests"]),
        session=tuple(_finding(finding) for finding in plain["session"]),
        spent=_figures(plain["totals"]["spent"]),
        simulated=_figures(plain["totals"]["simulated"]),
        unanswered=plain["totals"]["spent"]["unanswered"],
        baseline=BaselineStatus(
            name=baseline["file"],
            mode=baseline["mode"],
            entries=baseline["entries"],
            error=baseline["error"],
            **{name: tuple(baseline[name]) for name in lists},
        ),
        detections=tuple(_detection(one) for one in plain["detections"]),
        labels=tuple(
            LabelView(
                label=one["label"],
                tests=one["tests"],
                calls=one["calls"],
                usd=_usd(one["cost_usd"]),
                price_status=one["price_status"],
            )
            for one in plain["labels"]
        ),
        late=dict(Counter(call["call_site"] or "" for call in plain["late_calls"]).most_common()),
        moved=tuple(
            Moved(one["source"], one["target"], one["calls"], one["tokens"])
            for one in plain["moved"]
        ),
        incomplete=tuple(plain["incomplete"]),
        unjudged=plain["unjudged"],
        notices=tuple(plain["notices"]),
        libraries=tuple(plain["libraries"]),
        unseen={name: tuple(tests) for name, tests in sorted(plain["mocked_sdks"].items())},
        base=_base(plain.get("base")),
        ended=plain.get("ended", True),
        partial=tuple(plain.get("partial", ())),
        accept_command=_command(plain["accept_command"]),
        context=Context(
            calls_per_month=context["calls_per_month"],
            runs_per_month=context["runs_per_month"],
            folder=_folder(context["folder"]),
        ),
    )


def _base(plain: Mapping[str, Any] | None) -> BaseStatus | None:
    if plain is None:
        return None
    return BaseStatus(
        revision=plain["revision"],
        commit=plain["commit"],
        there=plain["there"],
        changed=plain["changed"],
        removed=tuple(plain["removed"]),
        removed_usd=_usd(plain["removed_usd"]),
    )


def _test(plain: Mapping[str, Any]) -> TestView:
    since = plain.get("since_base")
    # where a base is known, all but the verdict is about what happened since
    compared = since or plain
    before = plain.get("base") if since else plain["baseline"]
    return TestView(
        key=plain["key"],
        nodeid=plain["nodeid"],
        outcome=plain["outcome"],
        state=compared["state"],
        failed=plain["failed"],
        fixture=plain["fixture"],
        now=_figures(compared["now"]),
        before=None if before is None else _figures(before),
        price_list_change=_usd(plain["price_list_change_usd"]),
        headline=plain["headline"],
        findings=tuple(_finding(finding) for finding in plain["findings"]),
        accepted=tuple(_finding(finding) for finding in plain["accepted"]),
        causes=tuple(
            Cause(one["kind"], one["text"], _usd(one["usd"]), one["tokens"], one["model"])
            for one in compared["causes"]
        ),
        spending=tuple(
            Spending(
                call_site=one["call_site"],
                provider=one["provider"],
                model=one["model"],
                calls=one["calls"],
                usage=Usage.from_dict(one["usage"]),
                usd=_usd(one["cost_usd"]),
                price_status=one["price_status"],
            )
            for one in plain["spending"]
        ),
        reason=since["reason"] if since else None,
    )


def _figures(plain: Mapping[str, Any]) -> Figures:
    return Figures(
        calls=plain["calls"],
        retries=plain["retries"],
        usage=Usage.from_dict(plain["usage"]),
        usd=_usd(plain["cost_usd"]),
        price_status=plain["price_status"],
        estimated=plain["estimated"],
        live=plain.get("traffic") == "live",
    )


def _finding(plain: Mapping[str, Any]) -> Finding:
    return Finding(
        kind=plain["kind"],
        text=plain["text"],
        blocks=plain["blocks"],
        metric=plain["metric"],
        before=_amount(plain["baseline"]),
        now=_amount(plain["now"]),
        limit=plain["limit"],
        policy=plain["policy"],
        call_site=plain["call_site"],
        evidence=plain["evidence"],
    )


def _detection(plain: Mapping[str, Any]) -> Detection:
    return Detection(
        kind=plain["kind"],
        level=plain["level"],
        text=plain["text"],
        calls=plain["calls"],
        call_sites=tuple(plain["call_sites"]),
        waste_usd=_usd(plain["waste_usd"]),
        waste_tokens=plain["waste_tokens"],
        tests=tuple(plain["tests"]),
    )


def _amount(value: str | int | None) -> Decimal | int | None:
    return Decimal(value) if isinstance(value, str) else value


def _usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _command(text: str) -> str:
    """The command that accepts, which somebody will copy into their shell.

    Raises:
        ValueError: It is none that we write.
    """
    if len(text) > LONGEST_COMMAND:
        raise ValueError(f"accept_command has more than {LONGEST_COMMAND} characters")
    try:
        given = shlex.split(text)
    except ValueError:
        given = []
    start = COMMAND.split()
    words = list(given[: len(start)])
    for word in given[len(start) :]:
        flag, separator, value = word.partition("=")
        if separator and flag in ("--crashlens-config", "--crashlens-baseline"):
            words.append(f"{flag}={shlex.quote(value)}")
    if words[: len(start)] != start or " ".join(words) != text or not is_inert(text):
        raise ValueError("accept_command is no command that crashlens writes")
    if any(_outside(word.partition("=")[2]) for word in given):
        return COMMAND  # whose files these are, nobody knows on another machine
    return text


def _outside(path: str) -> bool:
    """Whether ``path`` leaves the folder that the command is run in."""
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    return bool(posix.is_absolute() or windows.anchor) or ".." in (*posix.parts, *windows.parts)


def _folder(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not is_inert(text) or "\\" in text:
        raise ValueError("context.folder is no folder of a repository")
    return text
