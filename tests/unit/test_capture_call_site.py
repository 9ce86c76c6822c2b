"""The line of the project that a request came from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_crashlens import capture
from pytest_crashlens.capture.call_site import CallSites


def called_from(sites: CallSites, *filenames: Path | str) -> str | None:
    """The call site when files call each other in this order, the last one asking."""
    step = sites.here
    for filename in reversed(filenames):
        names = {"step": step}
        exec(compile("\ndef plan():\n    return step()\n", str(filename), "exec"), names)
        step = names["plan"]
    return step()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


def test_innermost_line_of_the_project(root: Path) -> None:
    sites = CallSites(root)
    site = called_from(sites, root / "test_a.py", root / "app" / "agent.py", "/elsewhere/sdk.py")
    assert site == "app/agent.py:3 plan"


@pytest.mark.parametrize(
    "foreign",
    [
        ".venv/lib/python3.11/site-packages/sdk.py",
        "vendor/dist-packages/sdk.py",
    ],
)
def test_installed_packages_inside_the_project_are_not_its_code(root: Path, foreign: str) -> None:
    site = called_from(CallSites(root), root / "test_a.py", root / foreign)
    assert site == "test_a.py:3 plan"


def test_nothing_of_the_project_on_the_stack(root: Path) -> None:
    neighbour = root.with_name("project-two") / "app.py"
    assert called_from(CallSites(root), neighbour, "<string>") is None


def test_project_below_the_interpreters_prefix(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "usr"))
    root = tmp_path / "usr" / "src" / "app"
    assert called_from(CallSites(root), root / "agent.py") == "agent.py:3 plan"


def test_interpreter_inside_the_project(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(root / "env"))
    site = called_from(CallSites(root), root / "test_a.py", root / "env" / "lib" / "sdk.py")
    assert site == "test_a.py:3 plan"


def test_own_package_is_no_call_site() -> None:
    package = Path(capture.__file__).parents[1]
    root = package.parent
    ours = package / "capture" / "adapter.py"
    assert called_from(CallSites(root), root / "test_a.py", ours) == "test_a.py:3 plan"
