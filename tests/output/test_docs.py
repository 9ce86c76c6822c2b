"""The documentation is run: its commands, settings and code; its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from pytest_crashlens.cli.main import main
from pytest_crashlens.policy.loader import parse_config
from tests.integration.conftest import Project, project, server  # noqa: F401 - fixtures
from tests.integration.planned import LEAN
from tests.output.documented import (
    DOCS,
    ELSEWHERE,
    PAGES,
    ROOT,
    Block,
    Command,
    all_blocks,
    blocks,
    commands,
    copied,
    prepare,
)
from tests.output.reference import reference

WITHOUT_PROJECT = "there is no folder|no webhook is configured"
"""What a part of a file, without its project, is warned of."""
LANGUAGES = {"console", "python", "text", "yaml"}
CONSOLES = [block for block in all_blocks("console", "") if commands(block)]
SETTINGS = all_blocks("yaml")
CODE = [block for block in all_blocks("python") if block.page != "README.md"]
"""Those of the README have tests of their own, with a provider that answers."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.setenv("PYTEST_ADDOPTS", "-p no:randomly")
        for name in ("CI", "GITHUB_ACTIONS"):
            patch.delenv(name, raising=False)
        prepare(folder)
    return folder


@pytest.mark.parametrize("block", CONSOLES, ids=str)
def test_commands_do_what_is_written(
    block: Block,
    project: Project,  # noqa: F811
    prepared: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied(prepared / block.state, project.path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    asked = commands(block)
    assert asked, block
    for number, command in enumerate(asked):
        capsys.readouterr()
        code, text = run(command, project, capsys)
        assert code == (block.exit if number == len(asked) - 1 else 0), text
        if command.printed and block.page != "README.md":
            assert re.search(pattern(command.printed), text, re.M), text


def run(command: Command, project: Project, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:  # noqa: F811
    """The exit code, and what was printed."""
    name, *arguments = [
        os.path.expandvars(word) for word in shlex.split(command.line, comments=True)
    ]
    if name == "crashlens":
        try:
            code = main(arguments)
        except SystemExit as ended:  # of argparse
            code = int(ended.code or 0)
        return code, capsys.readouterr().out
    if name == "pytest" and "-n" in arguments:
        pytest.importorskip("xdist")
        result = project.pytester.runpytest_subprocess(*LEAN, *arguments)
    elif name == "pytest":
        result = project.pytester.runpytest_inprocess(*arguments)
    else:
        assert name in ("git", "python"), f"{name}: not known here"
        done = subprocess.run([name, *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout
    return int(result.ret), result.stdout.str()


def pattern(printed: Sequence[str]) -> str:
    """``...`` stands for the rest of a word or line, alone on a line for any number of lines."""
    found = []
    for line in "\n".join(printed).strip("\n").split("\n"):
        inline = re.escape(line).replace(re.escape("..."), ".*")
        found.append(r"(?:.*\n)*?" if line == "..." else f"{inline} *\n")
    return f"^{''.join(found)}"


def test_pattern_of_what_is_printed() -> None:
    assert re.search(pattern(["a ... c", "...", "d"]), "x\na b c\n1\n2\nd\ny\n", re.M)
    assert not re.search(pattern(["a", "d"]), "a\nb\nd\n", re.M)
    assert not re.search(pattern(["a.c"]), "abc\n", re.M)


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_settings_are_valid(block: Block) -> None:
    text = block.text
    given = yaml.safe_load(text)
    if "version" not in given:  # a part of a file
        text = f"version: 1\n{text}"
        if not given.keys() & {"policies", "limits", "paths", "anchor", "budgets", "session"}:
            text += "limits: {max_calls: 10}\n"
    config = parse_config(text, "crashlens.yml")
    assert [one.text for one in config.warnings if not re.match(WITHOUT_PROJECT, one.text)] == []


def test_code_runs(project: Project, prepared: Path) -> None:  # noqa: F811
    assert CODE
    copied(prepared / "new", project.path)
    (project.path / "crashlens.yml").unlink()
    tests = 0
    for number, block in enumerate(CODE):
        compile(block.text, str(block), "exec")
        if "def test_" in block.text:
            project.write(f"test_page_{number}.py", block.text)
            tests += block.text.count("def test_")
    result = project.update("--ignore=tests")
    result.assert_outcomes(passed=tests)


def test_blocks_say_what_they_are() -> None:
    for page in PAGES:
        if page.name in ELSEWHERE:
            continue
        for block in blocks(page):
            # two pages are older than this rule
            known = LANGUAGES | ({""} if page.name in ("README.md", "capture.md") else set())
            assert block.language in known, block
            assert block.language != "text" or page.name == "reference.md", block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.is_relative_to(ROOT), target
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found = re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def test_names_in_the_pages_are_there() -> None:
    known = set(re.findall(r"--[a-z][\w-]+|crashlens_\w+", reference()))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"(?<![\w-])--(?:no-)?crashlens[\w-]*|\bcrashlens_\w+", text))
        gone = {name for name in named if name.rstrip("_") not in known}
        assert not gone, f"{page.name}: {gone}"


def test_every_page_can_be_found() -> None:
    linked = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for page in DOCS.glob("*.md"):
        assert re.search(rf"\]\((docs/)?{re.escape(page.name)}[)#]", linked), page.name


def test_reference_is_what_the_code_says() -> None:
    path = DOCS / "reference.md"
    text = reference()
    if os.environ.get("CRASHLENS_REWRITE_DOCS"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, (
        "docs/reference.md: CRASHLENS_REWRITE_DOCS=1 writes it anew"
    )
