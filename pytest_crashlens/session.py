"""Puts a run together from the command line, the ini file, crashlens.yml and the baseline."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_crashlens import fixture_owners, judge, measure, xdist
from pytest_crashlens.baseline.file import DEFAULT_NAME, Baseline, load
from pytest_crashlens.errors import CrashlensError
from pytest_crashlens.judge import Judge, JudgeSettings
from pytest_crashlens.measure import Measure
from pytest_crashlens.policy.assess import Assessor
from pytest_crashlens.policy.config import Config, project_root
from pytest_crashlens.policy.limits import DEFAULT_LIMITS
from pytest_crashlens.policy.loader import PLACES, find_config, load_config
from pytest_crashlens.pricing.book import PriceBook


def register(config: pytest.Config) -> None:
    """Register what this process needs: the judge, the measure, or both.

    Raises:
        pytest.UsageError: A flag, crashlens.yml or the baseline cannot be used.
    """
    plugins = config.pluginmanager
    if not hasattr(config, "workerinput"):
        try:
            arbiter = Judge(config, _settings(config))
        except CrashlensError as error:
            raise pytest.UsageError(str(error)) from None
        plugins.register(arbiter, judge.NAME)
        plugins.register(xdist.XdistBridge(arbiter), xdist.NAME)
        if config.getoption("dist", "no") != "no":
            return  # the controller of a distributed run: its workers measure
    measuring = Measure(config)
    plugins.register(measuring.fixture_owners, fixture_owners.NAME)
    plugins.register(measuring, measure.NAME)


def _settings(config: pytest.Config) -> JudgeSettings:
    option = config.option
    updating: bool = option.crashlens_update_baseline
    folder = _project_folder(config.rootpath)
    path = find_config(folder, _path(config, "crashlens_config"))
    policies = load_config(path) if path else Config()
    named = _path(config, "crashlens_baseline")
    baseline_path = named or _default_baseline(folder, policies)
    baseline = None
    if not policies.baseline_off or named is not None:
        baseline = load(baseline_path)
        mode = _mode(config, baseline_path, baseline, policies, named, updating=updating)
        if updating:
            _check_writable(baseline_path)
            baseline = baseline or Baseline()
    elif updating:
        raise pytest.UsageError(
            f"{path}: baseline: off, so there is nothing to update; remove that line first"
        )
    else:
        mode = "off"
    # the real clock: tests may freeze theirs
    book = PriceBook(policies.prices, at=datetime.now(UTC))
    return JudgeSettings(
        assessor=Assessor(policies, baseline, book, updating=updating),
        baseline=baseline,
        baseline_path=baseline_path,
        project=project_root(policies.path) if policies.path else folder,
        baseline_mode=mode,
        may_fail=not (option.crashlens_no_fail or config.getini("crashlens_no_fail")),
        header=_header(config, policies, baseline_path, baseline, mode),
        accept_command=_accept_command(config),
        notices=_notices(policies),
        json_paths=tuple(_report_paths(config)),
    )


def _project_folder(root: Path) -> Path:
    """The nearest folder from ``root`` up to its repository's that holds a file of ours.

    Without an ini file pytest takes the folder it is started for as root: started for a subfolder
    it would otherwise find no baseline, and say that there is none yet.
    """
    folders = [root, *root.parents]
    top = next((at for at, folder in enumerate(folders) if (folder / ".git").exists()), 0)
    for folder in folders[: top + 1]:
        if any((folder / name).exists() for name in (*PLACES, DEFAULT_NAME)):
            return folder
    return root


def _path(config: pytest.Config, name: str) -> Path | None:
    """A path from the flag (relative to where pytest was started) or the ini (to its folder)."""
    flag: str | None = getattr(config.option, name)
    if flag:
        return Path(os.path.abspath(config.invocation_params.dir / flag))  # noqa: PTH100 - keeps symlinks
    ini = config.getini(name)
    if not ini:
        return None
    folder = config.inipath.parent if config.inipath else config.rootpath
    return Path(os.path.abspath(folder / ini))  # noqa: PTH100


def _default_baseline(root: Path, policies: Config) -> Path:
    folder = project_root(policies.path) if policies.path else root
    return folder / (policies.baseline or DEFAULT_NAME)


def _mode(
    config: pytest.Config,
    path: Path,
    baseline: Baseline | None,
    policies: Config,
    named: Path | None,
    *,
    updating: bool,
) -> str:
    if updating:
        return "updated"
    if baseline is not None:
        return "compared"
    if policies.path is None and named is None:
        return "first run"
    why = f"{policies.path.name} is there" if policies.path and named is None else "it was named"
    raise pytest.UsageError(
        f"crashlens: no baseline file at {path}, and {why}, so a missing one is an error. "
        f"Write it: {_accept_command(config)}. Or, for policies without a baseline, put "
        "'baseline: off' into crashlens.yml"
    )


def _check_writable(path: Path) -> None:
    """Say it before the tests have run and been paid, not after."""
    if fault := _write_fault(path):
        raise pytest.UsageError(
            f"crashlens: the baseline {path} cannot be written: {fault}. "
            "Name another file with --crashlens-baseline=PATH"
        )


def _write_fault(path: Path) -> str | None:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    if path.is_dir():
        return "it is a folder"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return "it is not writable"
    return None


def _report_paths(config: pytest.Config) -> list[Path]:
    given = config.option.crashlens_report
    folder = config.invocation_params.dir
    if not given:
        given = config.getini("crashlens_report")
        folder = config.inipath.parent if config.inipath else config.rootpath
    paths = []
    for report in given:
        kind, _, name = report.partition(":")
        if kind != "json" or not name:
            raise pytest.UsageError(
                f"--crashlens-report={report}: expected TYPE:PATH with TYPE json, "
                "as in json:crashlens-report.json"
            )
        path = folder / name
        if fault := _write_fault(path):
            raise pytest.UsageError(
                f"--crashlens-report={report}: the report cannot be written: {fault}"
            )
        paths.append(path)
    return paths


def _header(
    config: pytest.Config, policies: Config, path: Path, baseline: Baseline | None, mode: str
) -> str:
    name = path.name
    entries = len(baseline.entries) if baseline else 0
    parts = [
        {
            "compared": f"baseline {name} ({entries} {'entry' if entries == 1 else 'entries'})",
            "updated": f"updating baseline {name}",
            "off": "baseline off",
            "first run": "no baseline yet",
        }[mode]
    ]
    if policies.path:
        rules = len(policies.rules)
        parts.append(f"{policies.path.name} ({rules} {'rule' if rules == 1 else 'rules'})")
    increase = policies.limits.over(DEFAULT_LIMITS).max_increase
    if increase is None or increase.off:
        parts.append("increase gate OFF")
    if config.option.crashlens_no_fail or config.getini("crashlens_no_fail"):
        parts.append("reporting only")
    return f"crashlens: {', '.join(parts)}"


def _notices(policies: Config) -> tuple[str, ...]:
    if not policies.warnings or policies.path is None:
        return ()
    number = len(policies.warnings)
    words = "1 warning" if number == 1 else f"{number} warnings"
    return (f"{policies.path.name}: {words}, shown by: crashlens validate",)


def _accept_command(config: pytest.Config) -> str:
    """The update command with the flags of this run that choose its files."""
    option = config.option
    words = ["pytest", "--crashlens-update-baseline"]
    for flag, value in (
        ("--crashlens-config", option.crashlens_config),
        ("--crashlens-baseline", option.crashlens_baseline),
    ):
        if value:
            words.append(f"{flag}={shlex.quote(value)}")
    return " ".join(words)
