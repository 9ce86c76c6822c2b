"""Puts a run together from the command line, the ini file, crashlens.yml and the baseline."""

from __future__ import annotations

import os
import shlex
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_crashlens import (
    collection,
    fixture_owners,
    judge,
    measure,
    notifying,
    repeats,
    spending,
    xdist,
)
from pytest_crashlens.baseline.base import find_base
from pytest_crashlens.baseline.file import DEFAULT_NAME, Baseline, load
from pytest_crashlens.baseline.noise import KEPT_RUNS
from pytest_crashlens.errors import ConfigError, CrashlensError
from pytest_crashlens.judge import Judge, JudgeSettings
from pytest_crashlens.keys import Keys
from pytest_crashlens.last_run import LastRunKeeper
from pytest_crashlens.live_runs import LiveRuns, Looks
from pytest_crashlens.measure import Measure
from pytest_crashlens.policy.anchor import Anchored, find_anchored
from pytest_crashlens.policy.assess import Assessor
from pytest_crashlens.policy.config import Config, project_root
from pytest_crashlens.policy.limits import DEFAULT_LIMITS
from pytest_crashlens.policy.loader import find_config, load_config, project_folder
from pytest_crashlens.policy.owners import PLACES, CodeOwners, read_code_owners
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.repeats import Repeats
from pytest_crashlens.report.spend import SpendKeeper
from pytest_crashlens.report.view import Context, folder_in_repository
from pytest_crashlens.report.writers import JUNIT, Reports, parse_wanted
from pytest_crashlens.snapshot import UpdateWay

_NOT_IN_A_LINE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what controls a terminal, turns the text round or breaks the line."""


def register(config: pytest.Config) -> None:
    """Register what this process needs: the judge, the measure, or both.

    Raises:
        pytest.UsageError: A flag, crashlens.yml or the baseline cannot be used.
    """
    plugins = config.pluginmanager
    judges = not hasattr(config, "workerinput")
    files, fault = None, None
    try:
        files = _files(config)
    except CrashlensError as error:
        if judges:
            raise pytest.UsageError(str(error)) from None
        fault = str(error)  # its controller could read them
    if judges and files is not None:
        try:
            settings = _settings(config, files)
            arbiter = Judge(config, settings)
        except CrashlensError as error:
            raise pytest.UsageError(str(error)) from None
        plugins.register(arbiter, judge.NAME)
        notifying.register(config, arbiter, files.policies)
        spending.share(config, files.policies)
        plugins.register(xdist.XdistBridge(arbiter), xdist.NAME)
        plugins.register(repeats.RepeatedReports(settings.live.select), repeats.REPORTS)
        if config.getoption("dist", "no") != "no":
            return  # the controller of a distributed run: its workers measure
    plugins.register(collection.Collection(), collection.NAME)
    again, fault = _repeats(config, files) if files else (None, fault)
    if again is not None:
        plugins.register(again, repeats.NAME)
    policies = files.policies if files else spending.with_option(config, Config())
    measuring = Measure(config, policies, again)
    if fault is not None:
        measuring.recorder.faults.append(fault)
    plugins.register(measuring.fixture_owners, fixture_owners.NAME)
    plugins.register(measuring, measure.NAME)
    place = _names(config, policies, files.folder, files.baseline).place if files else str
    spending.register(config, policies, measuring, place)


def _settings(config: pytest.Config, files: _Files) -> JudgeSettings:
    option = config.option
    new_only: bool = option.crashlens_update_baseline_new_only
    updating: bool = option.crashlens_update_baseline or new_only
    confirm = _confirm(config)
    folder, policies, named, baseline_path = files
    path = policies.path
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
    now = datetime.now(UTC)
    book = PriceBook(policies.prices, at=now)
    anchored, fault = _anchored(policies, baseline_path)
    names = _names(config, policies, folder, baseline_path)
    reports, untold = _reports(config, policies)
    return JudgeSettings(
        assessor=Assessor(policies, baseline, book, updating=updating, new_only=new_only),
        baseline=baseline,
        baseline_path=baseline_path,
        base=find_base(option.crashlens_base or config.getini("crashlens_base"), baseline_path),
        names=names,
        owners=_owners(policies, names),
        live=LiveRuns(
            baseline.entries if baseline else {},
            names,
            planned=0 if updating else confirm,
            wanted=option.crashlens_repeat or 1,
        ),
        baseline_mode=mode,
        may_fail=not (option.crashlens_no_fail or config.getini("crashlens_no_fail")),
        update=UpdateWay(
            new_only=new_only, prune=option.crashlens_prune, reason=_reason(option.crashlens_reason)
        ),
        stale=policies.stale,
        last_run=LastRunKeeper(config, baseline_path),
        header=_header(config, policies, baseline_path, baseline, mode),
        accept_command=_accept_command(config),
        anchored=anchored,
        spend=SpendKeeper(baseline_path.parent, at=now),
        notices=(*_notices(policies), *fault, *untold),
        reports=reports,
    )


class _Files(NamedTuple):
    """What a run reads."""

    folder: Path
    policies: Config
    named: Path | None
    """The baseline, where the command line or the ini file names it."""
    baseline: Path


def _files(config: pytest.Config) -> _Files:
    folder = project_folder(config.rootpath, _started_for(config))
    path = find_config(folder, _path(config, "crashlens_config"))
    policies = spending.with_option(config, load_config(path) if path else Config())
    named = _path(config, "crashlens_baseline")
    return _Files(folder, policies, named, named or _default_baseline(folder, policies))


def _started_for(config: pytest.Config) -> Path:
    """The folder that holds all the files and folders that pytest is started for."""
    base = config.invocation_params.dir
    given = [os.path.abspath(base / arg.partition("::")[0]) for arg in config.args]  # noqa: PTH100
    try:
        common = Path(os.path.commonpath(given))
    except ValueError:  # none, or on several drives
        return config.rootpath
    folder = common if common.is_dir() else common.parent
    return folder if folder.is_relative_to(config.rootpath) else config.rootpath


def _names(config: pytest.Config, policies: Config, folder: Path, baseline: Path) -> Keys:
    return Keys(
        root=config.rootpath,
        baseline=baseline.parent,
        project=project_root(policies.path) if policies.path else folder,
        started_in=config.invocation_params.dir,
        # a worker knows of groups, and of no distribution
        grouped=config.getoption("dist", "no") == "loadgroup"
        or getattr(config.option, "loadgroup", False),
    )


def _repeats(config: pytest.Config, files: _Files) -> tuple[Repeats | None, str | None]:
    """Who runs tests again, where that is wanted; or why nobody can."""
    option = config.option
    new_only = option.crashlens_update_baseline_new_only
    updating = option.crashlens_update_baseline or new_only
    more = (option.crashlens_repeat or 1) - 1 if updating else _confirm(config)
    if not more:
        return None, None
    try:
        baseline = load(files.baseline) if new_only or not updating else None
    except CrashlensError as error:  # in a worker: its controller could read them
        return None, f"no test is run again: {error}"
    entries = baseline.entries if baseline else {}
    names = _names(config, files.policies, files.folder, files.baseline)
    looks = Looks(files.policies, entries, names, reruns=0 if updating else more)
    return Repeats(more, looks.wants), None


def _confirm(config: pytest.Config) -> int:
    """How often what looks too high is run again; also a look at ``--crashlens-repeat``."""
    for flag, least in (("repeat", 1), ("confirm", 0)):
        given = getattr(config.option, f"crashlens_{flag}")
        if given is not None and not least <= given <= KEPT_RUNS:
            raise pytest.UsageError(
                f"--crashlens-{flag}={given}: expected a number from {least} to {KEPT_RUNS}"
            )
    option = config.option
    if option.crashlens_confirm is not None:
        return int(option.crashlens_confirm)
    ini = config.getini("crashlens_confirm") or "0"
    if not ini.isdecimal() or int(ini) > KEPT_RUNS:
        raise pytest.UsageError(
            f"crashlens_confirm = {ini}: expected a number from 0 to {KEPT_RUNS}"
        )
    return int(ini)


def _reason(given: str | None) -> str | None:
    """The words for the entries, which end up in terminals and web pages."""
    if given is None:
        return None
    if not given.strip() or any(unicodedata.category(one) in _NOT_IN_A_LINE for one in given):
        raise pytest.UsageError(
            "--crashlens-reason: expected one line of text without control characters, got "
            f"{given!a}"
        )
    return given.strip()


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


def _reports(config: pytest.Config, policies: Config) -> tuple[Reports, tuple[str, ...]]:
    """What is to be written at the end; also notices about what cannot be."""
    given = config.option.crashlens_report
    folder = config.invocation_params.dir
    if not given:
        given = config.getini("crashlens_report")
        folder = config.inipath.parent if config.inipath else config.rootpath
    wanted, notices = [], []
    for report in given:
        try:
            one = parse_wanted(report, folder)
        except ValueError as error:
            raise pytest.UsageError(f"--crashlens-report={report}: {error}") from None
        if one is None:
            notices.append(f"--crashlens-report={report}: not written, as that is not set")
            continue
        if one.path is not None and (fault := _write_fault(one.path)):
            raise pytest.UsageError(
                f"--crashlens-report={report}: the report cannot be written: {fault}"
            )
        if one.kind == JUNIT and not getattr(config.option, "xmlpath", None):
            notices.append("--crashlens-report=junit: goes into no file without --junitxml=PATH")
        wanted.append(one)
    context = Context(
        calls_per_month=policies.volume.calls_per_month,
        runs_per_month=policies.volume.runs_per_month,
        folder=folder_in_repository(config.rootpath),
    )
    return Reports(wanted=tuple(wanted), context=context), tuple(notices)


def _header(
    config: pytest.Config, policies: Config, path: Path, baseline: Baseline | None, mode: str
) -> str:
    name = path.name
    entries = len(baseline.entries) if baseline else 0
    parts = [
        {
            "compared": f"baseline {name} ({entries} {'entry' if entries == 1 else 'entries'})",
            "updated": f"updating baseline {name}"
            + (" (new only)" if config.option.crashlens_update_baseline_new_only else ""),
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


def _owners(policies: Config, names: Keys) -> CodeOwners | None:
    """Who owns the tests, where a budget asks for that."""
    asked = [budget for budget in policies.budgets if budget.owner is not None]
    if not asked:
        return None
    owners = read_code_owners(Path(names.project))
    if owners is None:
        raise ConfigError(
            f"{policies.path}:{asked[0].line}: error: budgets: owner {asked[0].owner} has no "
            f"files, as the repository has no CODEOWNERS; add one of {', '.join(PLACES)}"
        )
    return owners


def _anchored(policies: Config, baseline: Path) -> tuple[Anchored | None, tuple[str, ...]]:
    """What costs were at the anchor; or why nobody can tell, where that is only to be told."""
    if policies.anchor is None:
        return None, ()
    try:
        return find_anchored(policies.anchor, baseline), ()
    except CrashlensError as error:
        if not policies.anchor.blocks:
            return None, (f"warning: creep is not judged: {error}",)
        raise pytest.UsageError(
            f"crashlens: creep cannot be judged: {error}. Fetch the whole history and its tags, or "
            "say 'severity: warn' under anchor: in crashlens.yml"
        ) from None


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
