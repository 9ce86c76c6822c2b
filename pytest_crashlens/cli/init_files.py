"""What ``crashlens init`` puts where, and how: nothing that is there is ever overwritten."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from textwrap import wrap
from typing import Literal

from pytest_crashlens.cli.init_found import OURS, PYTHONS, Found
from pytest_crashlens.cli.output import plural, printable
from pytest_crashlens.report.spend import FOLDER

CI = ("github", "gitlab", "none")
TESTS_WORKFLOW = ".github/workflows/crashlens.yml"
COMMENT_WORKFLOW = ".github/workflows/crashlens-comment.yml"
GITLAB = ".gitlab-ci.yml"
GITLAB_JOB = ".gitlab/llm-cost.yml"
CRON = {"daily": "23 5 * * *", "weekly": "23 5 * * 1", "monthly": "23 5 1 * *"}
"""Not on the hour, when everybody's jobs start."""
KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google-genai": "GEMINI_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "cohere": "CO_API_KEY",
    "groq": "GROQ_API_KEY",
    "together": "TOGETHER_API_KEY",
    "huggingface_hub": "HF_TOKEN",
}
"""Variables that SDKs take the key from."""
SDKS_NAMED = 8
FOLDERS_NAMED = 3

Way = Literal["new", "append", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One file, and what is to become of it."""

    path: str
    """Relative to the project's folder, as posix."""
    way: Way
    text: str = ""
    """The whole file, or what is to be appended."""
    why: str = ""
    """Why it is left alone."""


def plan(found: Found, ci: Sequence[str]) -> list[Planned]:
    """What is to be written for the project; ``ci``: of which services."""
    planned = [_settings_file(found)]
    if found.baseline:
        planned.append(_line(found, ".gitattributes", attributes(found.baseline), found.baseline))
    planned.append(_line(found, ".gitignore", _IGNORE, FOLDER))
    for kind in ci:
        planned += _of_ci(found, kind)
    return planned


def write(folder: Path, planned: Planned) -> str | None:
    """Do it; returns what went wrong."""
    path = folder / planned.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" fails where anything is by now, a link that leads nowhere included
        with path.open("xb" if planned.way == "new" else "ab") as file:
            file.write(planned.text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        return f"{planned.path}: cannot be written: {error.strerror or error}"
    return None


def obstacle(folder: Path, planned: Planned) -> str | None:
    """What would go wrong, as far as that can be told without trying."""
    path = folder / planned.path
    place = path if planned.way == "append" else path.parent
    while not os.path.lexists(place):
        place = place.parent
    if planned.way == "new" and not place.is_dir():
        name = Path(os.path.relpath(place, folder)).as_posix()
        return f"{planned.path}: cannot be written: {name} is no folder"
    if not os.access(place, os.W_OK):
        return f"{planned.path}: cannot be written: Permission denied"
    return None


def attributes(baseline: str) -> str:
    """What ``.gitattributes`` says of the baseline."""
    pattern = baseline if re.fullmatch(r"[\w./-]+", baseline) else _quoted(baseline)
    return (
        "# LF on every system, as it is written; not folded in reviews: it is what changes cost\n"
        f"{pattern} text eol=lf linguist-generated=false\n"
    )


_IGNORE = f"# what live runs on this machine spent\n{FOLDER}/\n"


def starter(name: str) -> str:
    """A template of ours."""
    return files("pytest_crashlens").joinpath("starter", name).read_text(encoding="utf-8")


def interval(found: Found) -> str | None:
    """The shortest ``updates[].schedule.interval`` of crashlens.yml."""
    given = {update.interval for update in found.settings.updates} if found.settings else set()
    return next((each for each in CRON if each in given), None)


def github_tests(found: Found) -> str:
    """The workflow that runs the tests on GitHub."""
    every = interval(found)
    schedule = f'  schedule:\n    - cron: "{CRON[every]}"  # {every}, UTC\n' if every else ""
    text = starter("github-tests.yml").replace("  # SCHEDULE\n", schedule)
    text = text.replace(f'python-version: "{PYTHONS[0]}"', f'python-version: "{found.python}"')
    key = key_needed(found)
    secret = [
        "# No recordings were found. Live calls need the provider's key; for forks there is none:",
        f"# env: {{{key}: '${{{{ secrets.{key} }}}}'}}",
    ]
    text = _with_lines(text, "SECRET", secret if key else [])
    commands = install(found, 'echo "{}/bin" >> "$GITHUB_PATH"')
    return _with_lines(text, "INSTALL", [*_to_add(found), *commands])


def gitlab_job(found: Found) -> str:
    """The job that runs the tests on GitLab."""
    commands = install(found, 'PATH="{}/bin:$PATH"')
    text = starter("gitlab-job.yml")
    text = text.replace(f"image: python:{PYTHONS[0]}", f"image: python:{found.python}")
    key = key_needed(found)
    secret = [
        "# No recordings were found. Live calls need the provider's key, as a masked variable of",
        f"# the project (Settings, CI/CD, Variables): {key}",
    ]
    text = _with_lines(text, "SECRET", secret if key else [])
    lines = [*_to_add(found), *(f"- {command}" for command in commands)]
    return _with_lines(text, "INSTALL", lines)


def key_needed(found: Found) -> str | None:
    """The variable with a provider's key that live calls need, where no answers are recorded."""
    if found.recordings or not found.sdks:
        return None
    return next((KEYS[sdk] for sdk in found.sdks if sdk in KEYS), KEYS["openai"])


def install_unknown(found: Found) -> bool:
    """Whether SDKs are used, and nothing was found that installs them."""
    return bool(found.sdks) and not found.install


def _to_add(found: Found) -> list[str]:
    told = "# add what your tests need: nothing was found that it could be installed from"
    return [told] if install_unknown(found) else []


def install(found: Found, on_path: str) -> list[str]:
    """Shell commands that install the project with all that its tests need.

    ``on_path``: how a virtual environment's folder comes to be on the path.
    """
    pip = "python -m pip install"
    ours = [] if found.has_us else [OURS]
    if found.install == "uv":
        more = [f"uv pip install {OURS}"] if ours else []
        return [
            f"{pip} uv",
            "uv sync --all-extras --all-groups",
            *more,
            on_path.format("$PWD/.venv"),
        ]
    if found.install == "poetry":
        more = [f"poetry run {pip} {OURS}"] if ours else []
        where = on_path.format("$(poetry env info --path)")
        return [f"{pip} poetry", "poetry install --all-extras --all-groups", *more, where]
    parts = []
    for name in found.requirements:
        parts += ["-r", name]
    if found.install == "project":
        # editable, so that lines of the project are told from those of libraries
        extras = f'".[{",".join(found.extras)}]"' if found.extras else "."
        parts += ["-e", extras]
        for group in found.groups:
            parts += ["--group", group]
    return [" ".join([pip, *parts, OURS])]


def _settings_file(found: Found) -> Planned:
    if found.config is not None:
        return Planned(path=found.config, way="left", why="it is there already")
    text = starter("crashlens.yml").replace("# FOUND\n", "".join(_found_lines(found)))
    return _new(found, "crashlens.yml", text)


def _found_lines(found: Found) -> Iterator[str]:
    """What was found, as comments."""
    told = found_sentences(found)
    for sentence in told:
        for line in wrap(sentence, 96, break_long_words=False, break_on_hyphens=False):
            yield f"# {line}\n"
    yield "\n" if told else ""


def found_sentences(found: Found) -> list[str]:
    """What was found, for people."""
    sdks = [f"{name} ({where})" for name, where in found.sdks.items()]
    folders = [f"{number:,} in {folder}" for folder, number in found.recordings.items()]
    lines = ["SDKs: " + ", ".join(_first(sdks, SDKS_NAMED)) + "."] if sdks else []
    if folders:
        number = plural(sum(found.recordings.values()), "file", "files")
        lines.append(f"Recordings: {number}, " + ", ".join(_first(folders, FOLDERS_NAMED)) + ".")
    return [printable(line) for line in lines]


def _first(names: list[str], most: int) -> list[str]:
    return [*names[:most], *([f"and {len(names) - most:,} more"] if len(names) > most else [])]


def _of_ci(found: Found, kind: str) -> Iterator[Planned]:
    if kind == "github":
        wanted = {
            TESTS_WORKFLOW: github_tests(found),
            COMMENT_WORKFLOW: starter("github-comment.yml"),
        }
    else:
        wanted = {GITLAB_JOB: gitlab_job(found), GITLAB: starter("gitlab-ci.yml")}
    elsewhere = [name for name in found.crashlens_run_by.get(kind, ()) if name not in wanted]
    in_part = found.repository is not None and found.repository != found.folder
    for path, text in wanted.items():
        if in_part:
            why = f"CI is set up in {found.repository}, above this folder"
            yield Planned(path=path, way="left", why=why)
        elif elsewhere and not _is_there(found, path):
            yield Planned(path=path, way="left", why=f"{elsewhere[0]} names crashlens already")
        else:
            yield _new(found, path, text)


def _new(found: Found, path: str, text: str) -> Planned:
    if _is_there(found, path):
        return Planned(path=path, way="left", why="it is there already")
    return Planned(path=path, way="new", text=text)


def _is_there(found: Found, path: str) -> bool:
    return os.path.lexists(found.folder / path)


def _line(found: Found, path: str, text: str, named: str) -> Planned:
    """``text`` for the end of a file of patterns, unless a line is about ``named`` already."""
    try:
        there = (found.folder / path).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return _new(found, path, text)
    except OSError as error:
        return Planned(path=path, way="left", why=f"it cannot be read: {error.strerror or error}")
    for line in there.removeprefix("\ufeff").splitlines():
        pattern = line.strip().removesuffix("/") if path == ".gitignore" else _pattern(line)
        if pattern.removeprefix("!").removeprefix("**/").removeprefix("/") == named:
            return Planned(path=path, way="left", why=f"it has a line for {named} already")
    newline = "\r\n" if "\r\n" in there else "\n"
    apart = newline if there and not there.endswith("\n") else ""
    return Planned(path=path, way="append", text=apart + text.replace("\n", newline))


def _pattern(line: str) -> str:
    """The pattern of a line of ``.gitattributes``."""
    line = line.strip()
    if line.startswith('"'):
        return line[1:].partition('"')[0]
    return next(iter(line.split()), "")


def _quoted(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _with_lines(template: str, name: str, lines: Sequence[str]) -> str:
    """``template`` with ``lines`` in place of its line ``# NAME``, as far to the right."""
    (place,) = re.findall(rf"^ *# {name}\n", template, re.M)
    indent = place.partition("#")[0]
    return template.replace(place, "".join(f"{indent}{line}\n" for line in lines))
