"""Finds and reads crashlens.yml: everything wrong with it in one error, with places and fixes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pytest_crashlens.baseline.file import DEFAULT_NAME
from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.anchor import read_anchor
from pytest_crashlens.policy.budgets import (
    read_budgets,
    read_session,
    read_tasks,
    read_volume,
)
from pytest_crashlens.policy.config import (
    DETECTORS,
    STATES,
    Config,
    PathLimits,
    SessionLimits,
    Update,
    Volume,
    project_root,
)
from pytest_crashlens.policy.contradictions import contradictions, remark
from pytest_crashlens.policy.document import MAX_BYTES, START, Problem, Problems, parse_document
from pytest_crashlens.policy.field import Field
from pytest_crashlens.policy.limits import TEST_LIMIT_KEYS, read_limits
from pytest_crashlens.policy.notices import read_variable, read_webhooks, warn_of_channels
from pytest_crashlens.policy.path_field import is_folder, read_inside, read_match
from pytest_crashlens.policy.prices import read_prices
from pytest_crashlens.policy.rules import read_policies
from pytest_crashlens.policy.severities import read_detectors, read_severities

PLACES = ("crashlens.yml", ".github/crashlens.yml")
TOP_KEYS = (
    "version",
    "updates",
    "policies",
    "limits",
    "paths",
    "budgets",
    "session",
    "detectors",
    "tasks",
    "volume",
    "prices",
    "slack",
    "webhook",
    "baseline",
    *STATES,
    "anchor",
    "max_accept_increase",
)
ENOUGH = ("policies", "limits", "paths", "anchor", "budgets", "session", "detectors")
"""A file needs one of these to say anything about costs."""
INTERVALS = ("daily", "weekly", "monthly")


def find_config(rootdir: Path, explicit: Path | None) -> Path | None:
    """The settings file: the ``explicit`` one (relative to ``rootdir``), else the one in place.

    Raises:
        ConfigError: the explicit one is missing, two are in place, or one is misspelt.
    """
    if explicit is not None:
        path = rootdir / explicit
        if not path.exists():
            raise ConfigError(f"{path}: error: no such file; correct the path you gave")
        return path
    found = [rootdir / place for place in PLACES if os.path.lexists(rootdir / place)]
    for place in PLACES:
        misspelt = (rootdir / place).with_suffix(".yaml")
        if os.path.lexists(misspelt):
            raise ConfigError(f"{misspelt}: error: is not read; rename to crashlens.yml")
    if len(found) > 1:
        raise ConfigError(
            f"{found[0]}: error: {found[1]} exists too, and only one can hold; remove one of them"
        )
    return found[0] if found else None


def project_folder(root: Path, start: Path | None = None) -> Path:
    """The nearest folder from ``start`` up to the repository's that holds a file of ours.

    Without an ini file pytest takes the folder it is started for as root: started for a subfolder
    it would otherwise find no baseline, and say that there is none yet. ``start`` may be below
    ``root``, where a repository holds several projects; without any file it is ``root``.
    """
    start = start or root
    folders = [start, *start.parents]
    top = next((at for at, folder in enumerate(folders) if (folder / ".git").exists()), 0)
    if root in folders:
        top = max(top, folders.index(root))
    for folder in folders[: top + 1]:
        if any((folder / name).exists() for name in (*PLACES, DEFAULT_NAME)):
            return folder
    return root


def other_projects(root: Path, files: Iterable[str]) -> tuple[str, ...]:
    """Folders with a file of ours below ``root``, which has none: it cannot judge their tests."""
    folders = {project_folder(root, (root / file).parent) for file in files}
    return tuple(
        f"{folder.relative_to(root).as_posix()}/ has a crashlens.yml or a baseline of its own, so "
        "its tests were not judged: run pytest for that folder alone"
        for folder in sorted(folders - {root, *root.parents})
    )


def load_config(path: Path) -> Config:
    """Read the file at ``path``.

    Raises:
        ConfigError: with all problems, each ``file:line:col: error: path: text; fix``.
    """
    content = read_file(path)
    if isinstance(content, Problem):
        raise ConfigError(content.render(str(path)))
    return parse_config(content, str(path))


def read_file(path: Path) -> str | Problem:
    """The text of the file at ``path``, or why it is none.

    Raises:
        ConfigError: it cannot be read at all.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: error: cannot be read: {error.strerror or error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end == len(content) > MAX_BYTES:  # cut in the middle of a character
            return content[: error.start].decode("utf-8-sig")
        before = content[: error.start]
        line, col = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        return Problem(line, col, "", "is not UTF-8 text; save the file as UTF-8")


def parse_config(text: str, filename: str) -> Config:
    """Read ``text`` as the contents of the file ``filename``.

    Raises:
        ConfigError: as :func:`load_config`.
    """
    examined = examine(text, filename)
    if examined.config is None or examined.problems.errors:
        errors = (problem.render(filename) for problem in examined.problems.errors)
        raise ConfigError("\n".join(errors))
    return examined.config


class Examined(NamedTuple):
    """What became of a text."""

    config: Config | None
    """In part what was meant where ``problems`` has errors; None: the text is no document."""
    problems: Problems
    root: Field | None
    """The document, to note more problems in."""


def examine(text: str, filename: str) -> Examined:
    """Read ``text`` as the contents of the file ``filename``, with all that is wrong with it."""
    problems = Problems()
    document = parse_document(text.removeprefix("\ufeff"), problems)
    if document is None:
        return Examined(None, problems, None)
    root = Field(document, "", problems)
    config = _read(root, Path(filename))
    remark(root, contradictions(config, [problem.path for problem in problems.errors]))
    return Examined(replace(config, warnings=problems.warnings), problems, root)


def _read(root: Field, path: Path) -> Config:
    version = next((field for key, field in root.entries() or () if key.text == "version"), None)
    if version and _is_newer(version):
        return Config(path=path)  # the keys of another version are not ours to judge
    fields = root.fields(TOP_KEYS, required=("version",))
    if not any(key in fields for key in ENOUGH) and len(fields) == len(root.keys):
        root.problems.error(START, "", f"nothing is limited; add one of {', '.join(ENOUGH)}")
    folder = project_root(path)
    baseline_off = "baseline" in fields and fields["baseline"].is_off
    severities = read_severities(fields)
    uncaptured, stale = severities.pop("uncaptured", None), severities.pop("stale", "warn")
    webhooks = read_webhooks(fields["slack"]) if "slack" in fields else {}
    policies = read_policies(fields["policies"]) if "policies" in fields else ()
    budgets = read_budgets(fields["budgets"], folder) if "budgets" in fields else ()
    if policies:
        rules = [rule for policy in policies for rule in policy.rules]
        warn_of_channels(fields["policies"], rules, webhooks)
    if budgets:
        warn_of_channels(fields["budgets"], budgets, webhooks)
    return Config(
        path=path,
        limits=read_limits(fields["limits"].fields(TEST_LIMIT_KEYS) if "limits" in fields else {}),
        paths=_read_paths(fields["paths"], folder) if "paths" in fields else (),
        policies=policies,
        baseline=(
            read_inside(fields["baseline"], "crashlens-baseline.json")
            if "baseline" in fields and not baseline_off
            else None
        ),
        baseline_off=baseline_off,
        uncaptured=uncaptured,
        stale=stale,
        severities=severities,
        budgets=budgets,
        session=read_session(fields["session"]) if "session" in fields else SessionLimits(),
        tasks=read_tasks(fields["tasks"], folder) if "tasks" in fields else (),
        volume=read_volume(fields["volume"]) if "volume" in fields else Volume(),
        slack_webhooks=webhooks,
        webhook=read_variable(fields["webhook"]) if "webhook" in fields else None,
        anchor=read_anchor(fields["anchor"]) if "anchor" in fields else None,
        max_accept_increase=(
            fields["max_accept_increase"].percent() if "max_accept_increase" in fields else None
        ),
        prices=read_prices(fields["prices"]) if "prices" in fields else (),
        updates=_read_updates(fields["updates"], folder) if "updates" in fields else (),
        detectors=read_detectors(fields["detectors"]) if "detectors" in fields else DETECTORS,
    )


def _is_newer(version: Field) -> bool:
    number = version.whole(minimum=1)
    if number is None or number == 1:
        return False
    version.error(f"version {number} is newer than this release knows; upgrade, or write 1")
    return True


def _read_paths(given: Field, folder: Path) -> tuple[PathLimits, ...]:
    paths: list[PathLimits] = []
    for each in given.each():
        fields = each.fields(("match", "limits"), required=("match", "limits"))
        limits = read_limits(fields["limits"].fields(TEST_LIMIT_KEYS) if "limits" in fields else {})
        match = None
        if "match" in fields:
            match = read_match(fields["match"], folder, [path.match for path in paths])
        if match is not None:
            paths.append(PathLimits(match=match, limits=limits))
    return tuple(paths)


def _read_updates(given: Field, folder: Path) -> tuple[Update, ...]:
    updates: list[Update] = []
    for each in given.each():
        names = ("package-ecosystem", "directory")
        fields = each.fields((*names, "schedule"), required=names)
        ecosystem = directory = interval = None
        if "package-ecosystem" in fields:
            ecosystem = fields["package-ecosystem"].choice(("llm-prompts",))
        if "directory" in fields:
            directory = read_inside(fields["directory"], "/prompts")
        if "schedule" in fields:
            schedule = fields["schedule"].fields(("interval",), required=("interval",))
            interval = schedule["interval"].choice(INTERVALS) if schedule else None
        if ecosystem is None or directory is None:
            continue
        update = Update(ecosystem=ecosystem, directory=folder / directory, interval=interval)
        if not is_folder(update.directory):
            fields["directory"].warn(f"there is no folder {update.directory}; no prompts are read")
        updates.append(update)
    return tuple(updates)
