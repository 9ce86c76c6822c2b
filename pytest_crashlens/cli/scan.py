"""``crashlens scan``: what tests do not reach, by the source; and the size of prompts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, plural, printable, say, say_json
from pytest_crashlens.cli.project import shown
from pytest_crashlens.errors import ConfigError, CrashlensError

if TYPE_CHECKING:
    from pytest_crashlens.policy.config import Config
    from pytest_crashlens.scan.files import Chosen
    from pytest_crashlens.scan.judge import Finding
    from pytest_crashlens.scan.prompts import PromptFinding
    from pytest_crashlens.scan.scan import Scanned

DESCRIPTION = """\
Reads the project's Python, without running it, for what the policies in
crashlens.yml forbid: disallowed models, calls without an output cap or with one
over the limit, more retries than allowed. Files of tests, of installed packages
and what git ignores are passed over, unless they are named. Counts the tokens
of the prompt files in the folders under updates:, and compares them with
crashlens-prompts.json beside crashlens.yml.

A comment "# crashlens: ignore" on the first or last line of what is found
silences it; in the first five lines of a file that cannot be read as Python it
silences that."""
EPILOG = """\
exit codes:
  0  nothing breaks a policy that blocks (warnings allowed)
  1  something does, a file cannot be read as Python, a prompt has grown over its
     limit or cannot be counted; or, with --strict, there are warnings
  2  no crashlens.yml, or it has errors; a path is not there; nothing to scan
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "scan",
        lambda given: guarded(lambda: _scan(given)),
        help="what the source and the prompts say, where no test reaches",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files and folders; default: the project, and its prompts",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="the policies; default: crashlens.yml or .github/crashlens.yml of the project",
    )
    parser.add_argument(
        "--update-prompts",
        action="store_true",
        help="write the tokens of all prompt files to crashlens-prompts.json",
    )
    parser.add_argument("--strict", action="store_true", help="warnings are problems too")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prompts:
    paths: frozenset[Path] = frozenset()
    """Of the files that were counted."""
    findings: Sequence[PromptFinding]
    path: Path
    committed: bool
    """Whether there are figures to compare with."""
    updated: bool | None = None
    """Whether the file was changed; None: it was not to be written."""
    missing: Sequence[Path] = ()
    """Folders that are not there."""

    @property
    def files(self) -> int:
        """How many were counted."""
        return len(self.paths)


def _scan(given: argparse.Namespace) -> int:
    from pytest_crashlens.policy.config import project_root
    from pytest_crashlens.policy.loader import load_config, project_folder
    from pytest_crashlens.scan.files import choose
    from pytest_crashlens.scan.scan import scan

    if given.update_prompts and given.paths:
        raise CrashlensError("--update-prompts is for all prompt files; give it no paths")
    here = Path.cwd()
    path = _config_path(given.config)
    config = load_config(path)
    # policies from elsewhere are for this project too
    root = project_folder(here) if given.config else project_root(path)
    named = [Path(os.path.normpath(here / each)) for each in given.paths]
    prompts = _prompts(config, project_root(path), named, update=given.update_prompts)
    programs = [each for each in named if each.resolve() not in prompts.paths]
    folders = programs if named else [root]
    chosen = choose(folders, root)
    if not chosen.files and not prompts.files:
        raise CrashlensError(
            f"{', '.join(shown(each) for each in named or [root])}: nothing to scan: "
            "no Python file of the project, no prompt file"
        )
    scanned = scan(chosen.files, config, root=root, here=here)
    if given.json:
        say_json(_plain(path, chosen, scanned, prompts))
    else:
        _say(chosen, scanned, prompts)
    failed = _errors(scanned, prompts) or (given.strict and _warnings(scanned, prompts))
    return 1 if failed else 0


def _config_path(explicit: Path | None) -> Path:
    from pytest_crashlens.policy.loader import find_config, project_folder

    here = Path.cwd()
    found = find_config(here, explicit) if explicit else find_config(project_folder(here), None)
    if found is None:
        raise ConfigError(
            "no crashlens.yml or .github/crashlens.yml here: name it with --config; without "
            "policies there is nothing to look for"
        )
    return found


def _prompts(config: Config, root: Path, named: Sequence[Path], *, update: bool) -> _Prompts:
    from pytest_crashlens.scan.figures import NAME, load, write
    from pytest_crashlens.scan.prompts import count, judge_prompts, prompt_files

    path = root / NAME
    if not config.updates:
        if update:
            raise CrashlensError(
                "no folder of prompts is configured; name it under updates: in crashlens.yml"
            )
        return _Prompts(findings=(), path=path, committed=False)
    files = prompt_files(config, root)
    committed = load(path)
    if named:
        files = {name: file for name, file in files.items() if _is_below(file, named)}
        if committed is not None:
            committed = {n: f for n, f in committed.items() if _is_below(root / n, named)}
    counted = count(files)
    findings = judge_prompts(counted, committed, config, updating=update)
    return _Prompts(
        paths=frozenset(file.resolve() for file in files.values()),
        findings=findings,
        path=path,
        committed=committed is not None,
        updated=write(path, counted.figures) if update else None,
        missing=[u.directory for u in config.updates if not u.directory.is_dir()],
    )


def _is_below(file: Path, named: Sequence[Path]) -> bool:
    real = file.resolve()
    return any(real.is_relative_to(each.resolve()) for each in named)


def _errors(scanned: Scanned, prompts: _Prompts) -> int:
    return sum(each.blocks for each in scanned.findings) + sum(
        each.blocks for each in prompts.findings
    )


def _warnings(scanned: Scanned, prompts: _Prompts) -> int:
    findings = len(scanned.findings) + len(prompts.findings) - _errors(scanned, prompts)
    return findings + len(scanned.useless) + len(prompts.missing)


def _say(chosen: Chosen, scanned: Scanned, prompts: _Prompts) -> None:
    lines = [
        *((finding.file, finding.place.line, finding.render()) for finding in scanned.findings),
        *((note.file, note.line, note.render()) for note in scanned.useless),
    ]
    for _, _, line in sorted(lines, key=lambda each: each[:2]):
        say(printable(line))
    for finding in prompts.findings:
        say(printable(finding.render()))
    for line in _summary(chosen, scanned, prompts):
        say(line)


def _summary(chosen: Chosen, scanned: Scanned, prompts: _Prompts) -> list[str]:
    errors = _errors(scanned, prompts)
    warnings = _warnings(scanned, prompts)
    parts = [f"{plural(errors, 'error')}, {plural(warnings, 'warning')}"]
    if scanned.silenced:
        parts.append(f"{len(scanned.silenced):,} silenced by # crashlens: ignore")
    if scanned.unclear_caps:
        parts.append(f"{plural(scanned.unclear_caps, 'call')} with a cap that is not known here")
    if chosen.tests:
        parts.append(f"{plural(chosen.tests, 'file')} of tests passed over")
    files = plural(scanned.files, "file")
    if prompts.files:
        files += f", {plural(prompts.files, 'prompt')}"
    lines = [
        f"warning: there is no folder of prompts {shown(folder)}" for folder in prompts.missing
    ]
    lines.append(f"{files}: {'; '.join(parts)}")
    if prompts.updated is not None:
        lines.append(f"{shown(prompts.path)}: {'written' if prompts.updated else 'unchanged'}")
    return lines


def _plain(path: Path, chosen: Chosen, scanned: Scanned, prompts: _Prompts) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "config": shown(path),
        "files": scanned.files,
        "test_files_passed_over": chosen.tests,
        "errors": _errors(scanned, prompts),
        "warnings": _warnings(scanned, prompts),
        "calls_with_unknown_cap": scanned.unclear_caps,
        "findings": [_finding(finding) for finding in scanned.findings],
        "silenced": [_finding(finding) for finding in scanned.silenced],
        "useless_silences": [asdict(note) for note in scanned.useless],
        "prompts": {
            "file": prompts.path.name,
            "committed": prompts.committed,
            "updated": prompts.updated,
            "files": prompts.files,
            "missing_folders": [shown(folder) for folder in prompts.missing],
            "findings": [
                {**asdict(finding), "severity": finding.severity} for finding in prompts.findings
            ],
        },
    }


def _finding(finding: Finding) -> dict[str, Any]:
    plain = asdict(finding)
    place = plain.pop("place")
    return {**plain, **place, "severity": finding.severity}
