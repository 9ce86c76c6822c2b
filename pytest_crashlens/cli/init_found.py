"""What a project has that cost tests rest on: SDKs, recordings, CI, settings. Nothing is run."""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_crashlens.policy.config import Config

SDKS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openai": (("openai",), ("openai",)),
    "anthropic": (("anthropic",), ("anthropic",)),
    "google-genai": (
        ("google-genai", "google-generativeai"),
        ("google.genai", "google.generativeai"),
    ),
    "mistralai": (("mistralai",), ("mistralai",)),
    "cohere": (("cohere",), ("cohere",)),
    "groq": (("groq",), ("groq",)),
    "together": (("together",), ("together",)),
    "ollama": (("ollama",), ("ollama",)),
    "huggingface_hub": (("huggingface-hub",), ("huggingface_hub",)),
    "litellm": (("litellm",), ("litellm",)),
    "LangChain": (
        ("langchain", "langchain-openai", "langchain-anthropic", "langgraph"),
        ("langchain", "langchain_openai", "langchain_anthropic", "langgraph"),
    ),
    "LlamaIndex": (("llama-index", "llama-index-core"), ("llama_index",)),
    "openai-agents": (("openai-agents",), ("agents",)),
    "pydantic-ai": (("pydantic-ai", "pydantic-ai-slim"), ("pydantic_ai",)),
    "instructor": (("instructor",), ("instructor",)),
    "dspy": (("dspy", "dspy-ai"), ("dspy",)),
}
"""By the name we print: distributions and modules. Not boto3: most of its users call no model."""
NO_PROOF = frozenset({"agents"})
"""Modules whose name a project may well use for itself."""
OURS = "pytest-crashlens"
PYTHONS = ("3.13", "3.12", "3.11", "3.14", "3.15")
"""Versions that we run on, best first: the newest that every library has long been built for."""

LARGEST = 1024 * 1024
"""Bytes of a file that is looked into."""
MOST_SOURCES = 5000

_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([\w.]+)(?:[ \t]+import[ \t]+(\w+))?", re.M)
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_RUNS_TESTS = re.compile(r"\b(?:pytest|tox|nox|make (?:test|check))\b")
_RUNS_US = re.compile(r"(?:--|pytest-)crashlens\b")
_PYTEST_SECTIONS = {"tox.ini": "pytest", "setup.cfg": "tool:pytest"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at the project showed; all paths are relative to ``folder``, as posix."""

    folder: Path
    repository: Path | None
    """The folder with ``.git``, if any."""
    sdks: Mapping[str, str]
    """Where each shows: a file of dependencies, or one that imports it."""
    recordings: Mapping[str, int]
    """How many files of recordings each folder holds."""
    ci: tuple[str, ...]
    """``github``, ``gitlab``."""
    tests_run_by: tuple[str, ...]
    """Files of CI that seem to run tests."""
    crashlens_run_by: Mapping[str, tuple[str, ...]]
    """By kind of CI: its files that name us."""
    pytest_settings: str | None
    install: str
    """What the dependencies are installed with: ``uv``, ``poetry``, ``requirements``, ``project``
    or nothing."""
    requirements: tuple[str, ...]
    extras: tuple[str, ...]
    """Of the project, those that sound like tests."""
    groups: tuple[str, ...]
    """Dependency groups that sound like tests."""
    python: str
    """The best version of Python that the project allows, as CI names it."""
    has_us: bool
    """Whether we are among the dependencies."""
    config: str | None
    """crashlens.yml, where there is one."""
    settings: Config | None
    """What it says; None: there is none, or it is not valid."""
    baseline: str
    """The baseline's path, whether or not it is there; empty: it is turned off."""
    has_baseline: bool
    faults: tuple[str, ...]
    """Files that could not be understood."""


def look(folder: Path) -> Found:
    """Look at the project in ``folder``.

    Raises:
        ConfigError: There are two crashlens.yml, or one under a name that is not read.
    """
    from pytest_crashlens.baseline.file import DEFAULT_NAME
    from pytest_crashlens.policy.loader import find_config

    faults: list[str] = []
    project = _toml(folder / "pyproject.toml", faults)
    named = _dependencies(folder, project, faults)
    path = find_config(folder, None)
    settings = _settings(path, folder, faults) if path else None
    off = settings is not None and settings.baseline_off
    baseline = "" if off else (settings.baseline if settings else None) or DEFAULT_NAME
    repository = next((up for up in (folder, *folder.parents) if (up / ".git").exists()), None)
    files = list(_ci_files(folder))
    requirements = tuple(
        _relative(path, folder)
        for path in _requirements(folder)
        if re.fullmatch(r"[\w.-]+", path.name)  # a word in YAML and shell
    )
    return Found(
        folder=folder,
        repository=repository,
        sdks=_sdks(folder, named),
        recordings=_recordings(folder),
        ci=tuple(dict.fromkeys(kind for kind, _, _ in files)) or _by_remote(repository),
        tests_run_by=tuple(name for _, name, text in files if _RUNS_TESTS.search(text)),
        crashlens_run_by={
            kind: tuple(name for of, name, text in files if of == kind and _RUNS_US.search(text))
            for kind, _, _ in files
        },
        pytest_settings=_pytest_settings(folder, project),
        install=_installer(folder, project, requirements),
        requirements=requirements,
        extras=_for_tests(_table(project, "project", "optional-dependencies")),
        groups=_for_tests(_table(project, "dependency-groups")),
        python=_python(folder, project, faults),
        has_us=OURS in named,
        config=_relative(path, folder) if path else None,
        settings=settings,
        baseline=baseline,
        has_baseline=bool(baseline) and (folder / baseline).exists(),
        faults=tuple(faults),
    )


def _settings(path: Path, folder: Path, faults: list[str]) -> Config | None:
    from pytest_crashlens.errors import ConfigError
    from pytest_crashlens.policy.loader import load_config

    try:
        return load_config(path)
    except ConfigError:
        faults.append(f"{_relative(path, folder)} is not valid: crashlens validate")
        return None


def _dependencies(folder: Path, project: Mapping[str, Any], faults: list[str]) -> dict[str, str]:
    """Distributions that the project asks for, each with the first file that names it."""
    found: dict[str, str] = {}

    def add(names: Iterable[str], where: str) -> None:
        for name in names:
            if match := _NAME.match(name):
                found.setdefault(re.sub(r"[-_.]+", "-", match[1]).lower(), where)

    add(_of_project(project), "pyproject.toml")
    for path in _requirements(folder):
        add(_text(path).splitlines(), _relative(path, folder))
    setup = _ini(folder / "setup.cfg")
    if setup is not None:
        add(setup.get("options", "install_requires", fallback="").splitlines(), "setup.cfg")
        if setup.has_section("options.extras_require"):
            for _, names in setup.items("options.extras_require"):
                add(names.splitlines(), "setup.cfg")
    for lock in ("uv.lock", "poetry.lock"):
        packages = _list(_toml(folder / lock, faults).get("package"))
        locked = [package.get("name") for package in packages if isinstance(package, dict)]
        add((name for name in locked if isinstance(name, str)), lock)
    return found


def _requirements(folder: Path) -> list[Path]:
    patterns = ("*requirements*.txt", "requirements/*.txt")
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path for path in paths if path.is_file()]


def _python(folder: Path, project: Mapping[str, Any], faults: list[str]) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    setup = _ini(folder / "setup.cfg")
    asked = (
        _table(project, "project").get("requires-python")
        or _table(project, "tool", "poetry", "dependencies").get("python")
        or (setup.get("options", "python_requires", fallback="") if setup is not None else "")
    )
    # Poetry's own signs: any later 3.x, and any later patch
    told = re.sub(r"\^\s*(3[\d.]*)", r">=\1,<4", str(asked))
    told = re.sub(r"~\s*(3\.\d+)(\.\d+)?", lambda at: f"~={at[1]}{at[2] or '.0'}", told)
    try:
        allowed = SpecifierSet(told)
    except InvalidSpecifier:
        return PYTHONS[0]
    for version in PYTHONS:
        if f"{version}.99" in allowed:  # whatever patch is the last
            return version
    patches = (f"{version}.{patch}" for version in PYTHONS for patch in range(40, -1, -1))
    exact = next((patch for patch in patches if patch in allowed), None)
    if exact is None:
        faults.append(f"No Python is in {asked} that {OURS} runs on: it needs 3.11 or later")
    return exact or PYTHONS[0]


def _of_project(project: Mapping[str, Any]) -> Iterator[str]:
    """What pyproject.toml asks for, in any of its dialects."""
    lists = [
        _table(project, "project").get("dependencies"),
        *_table(project, "project", "optional-dependencies").values(),
        *_table(project, "dependency-groups").values(),
        _table(project, "tool", "uv").get("dev-dependencies"),
        *_table(project, "tool", "pdm", "dev-dependencies").values(),
    ]
    for names in lists:
        yield from (name for name in _list(names) if isinstance(name, str))
    poetry = _table(project, "tool", "poetry")
    yield from _table(poetry, "dependencies")
    yield from _table(poetry, "dev-dependencies")
    for group in _table(poetry, "group").values():
        if isinstance(group, dict):
            yield from _table(group, "dependencies")


def _sdks(folder: Path, named: Mapping[str, str]) -> dict[str, str]:
    imported = _imports(folder)
    found = {}
    for sdk, (distributions, modules) in SDKS.items():
        proofs = [name for name in modules if name not in NO_PROOF]
        where = [named[name] for name in distributions if name in named]
        where += [f"imported by {imported[name]}" for name in proofs if name in imported]
        if where:
            found[sdk] = where[0]
    return found


def _imports(folder: Path) -> dict[str, str]:
    """Modules that the project's files import, with their first part or two, and a file of each."""
    from pytest_crashlens.scan.files import below

    found: dict[str, str] = {}
    sources = sorted(path for path in below(folder) if path.suffix == ".py")
    for path in sources[:MOST_SOURCES]:
        for match in _IMPORT.finditer(_text(path)):
            parts = match[1].split(".")
            names = {parts[0], ".".join(parts[:2])}
            if match[2] and len(parts) == 1:
                names.add(f"{parts[0]}.{match[2]}")
            for name in names:
                found.setdefault(name, _relative(path, folder))
    return found


def _recordings(folder: Path) -> dict[str, int]:
    """How many files of recordings lie in each folder; lines of JSON may be anything."""
    from pytest_crashlens.recordings.find import Found as Recording
    from pytest_crashlens.recordings.find import find

    counted: Counter[str] = Counter()
    for one in find([folder]):
        if isinstance(one, Recording) and one.by_content and one.kind in ("yaml", "json"):
            counted[_relative(one.path.parent, folder)] += 1
    return dict(counted.most_common())


def _ci_files(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, name and text of each file that sets up CI."""
    workflows = folder / ".github" / "workflows"
    for path in sorted(workflows.glob("*.y*ml")) if workflows.is_dir() else ():
        yield "github", _relative(path, folder), _text(path)
    for path in (folder / ".gitlab-ci.yml", *sorted((folder / ".gitlab").glob("*.yml"))):
        if path.is_file():
            yield "gitlab", _relative(path, folder), _text(path)


def _by_remote(repository: Path | None) -> tuple[str, ...]:
    """Where the repository's remotes are, when no file says."""
    text = _text(repository / ".git" / "config") if repository else ""
    hosts = re.findall(r"^\s*url\s*=\s*(?:\w+://)?(?:[^@\s/]+@)?([\w.-]+)", text, re.M)
    return tuple(kind for kind in ("github", "gitlab") if any(kind in host for host in hosts))


def _pytest_settings(folder: Path, project: Mapping[str, Any]) -> str | None:
    for name in ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"):
        if (folder / name).is_file():
            return name
    if _table(project, "tool", "pytest"):
        return "pyproject.toml"
    for name, section in _PYTEST_SECTIONS.items():
        parsed = _ini(folder / name)
        if parsed is not None and parsed.has_section(section):
            return name
    return None


def _installer(folder: Path, project: Mapping[str, Any], requirements: tuple[str, ...]) -> str:
    for tool in ("uv", "poetry"):
        if (folder / f"{tool}.lock").is_file():
            return tool
    packaged = (folder / "setup.py").is_file() or (folder / "setup.cfg").is_file()
    if packaged or "project" in project or "build-system" in project:
        return "project"
    return "requirements" if requirements else ""


def _for_tests(names: Iterable[str]) -> tuple[str, ...]:
    """Those that sound like what tests need."""
    known = ("dev", "develop", "development", "test", "tests", "testing")
    return tuple(sorted(name for name in names if name in known))


def _toml(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        faults.append(f"{path.name} cannot be read: {error}")
        return {}


def _ini(path: Path) -> configparser.ConfigParser | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(_text(path))
    except configparser.Error:
        return None
    return parser


def _table(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The table of that name, empty where there is none."""
    found: Any = given
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _text(path: Path) -> str:
    """The beginning of a file's text; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
