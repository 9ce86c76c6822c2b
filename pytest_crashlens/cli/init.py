"""``crashlens init``: the files that a project needs for cost tests, and what to do next."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, printable, say, say_all, say_json

if TYPE_CHECKING:
    from pytest_crashlens.cli.init_files import Planned
    from pytest_crashlens.cli.init_found import Found

DESCRIPTION = """\
Looks at the project (dependencies and imports, recordings, CI, settings) and
writes what is missing: a commented crashlens.yml, a line for the baseline in
.gitattributes, one for .crashlens/ in .gitignore, and the CI job. Nothing that
is there is overwritten; nothing of the project is run."""
EPILOG = """\
exit codes:
  0  everything is there now (with --dry-run: could be written)
  2  a file cannot be written, or two crashlens.yml are there
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "init",
        lambda given: guarded(lambda: _init(given)),
        help="write crashlens.yml and the CI job, and say what to do next",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be written, and write nothing"
    )
    parser.add_argument(
        "--ci",
        choices=("github", "gitlab", "none"),
        help="the CI to write a job for; default: what the project has, by its files or its remote",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What became of the files."""

    found: Found
    ci: Sequence[str]
    chosen: bool
    """Whether ``ci`` is what the user said."""
    dry_run: bool
    written: Sequence[Planned]
    left: Sequence[Planned]
    faults: Sequence[str]


def _init(given: argparse.Namespace) -> int:
    from pytest_crashlens.cli.init_files import obstacle, plan, write
    from pytest_crashlens.cli.init_found import look
    from pytest_crashlens.policy.loader import project_folder

    found = look(project_folder(Path.cwd()))
    ci = found.ci if given.ci is None else tuple({given.ci} - {"none"})
    planned = plan(found, ci)
    act = obstacle if given.dry_run else write
    tried = [(one, act(found.folder, one)) for one in planned if one.way != "left"]
    done = _Done(
        found=found,
        ci=ci,
        chosen=given.ci is not None,
        dry_run=given.dry_run,
        written=[one for one, fault in tried if not fault],
        left=[one for one in planned if one.way == "left"],
        faults=[fault for _, fault in tried if fault],
    )
    if given.json:
        say_json(_plain(done))
    else:
        _print(done)
    return 2 if done.faults else 0


def _print(done: _Done) -> None:
    from pytest_crashlens.cli.init_files import found_sentences

    found = done.found
    say_all([f"In {found.folder}:", *found_sentences(found), *found.faults])
    if not found.sdks:
        say_all(["No SDK of a provider was found. Calls of any HTTP client are seen all the same."])
    say("")
    for one in done.written:
        if done.dry_run:
            say(printable(f"would {'write' if one.way == 'new' else 'append to'} {one.path}"))
            for line in one.text.splitlines():
                say(f"  | {printable(line)}".rstrip())
        else:
            say(printable(f"{'wrote' if one.way == 'new' else 'appended to'} {one.path}"))
    say_all(f"left {one.path} as it is: {one.why}" for one in done.left)
    say_all(done.faults)
    say("")
    say("Next:")
    for command, why in _next(done):
        say(printable(f"  {command}"))
        say_all([f"      {why}"])


def _next(done: _Done) -> Iterator[tuple[str, str]]:
    """Commands, or what else to write where, and why."""
    from pytest_crashlens.cli.init_files import (
        COMMENT_WORKFLOW,
        GITLAB,
        GITLAB_JOB,
        TESTS_WORKFLOW,
        install_unknown,
        interval,
        key_needed,
    )

    found = done.found
    if found.recordings:
        folders = " ".join(shlex.quote(folder) for folder in list(found.recordings)[:3])
        yield f"crashlens meter {folders}", "what the recordings cost; no test is run"
    if found.has_baseline:
        yield "pytest --crashlens", f"run the tests and compare with {found.baseline}"
    elif found.baseline:
        why = f"run the tests and write {found.baseline}; from then on: pytest --crashlens"
        yield "pytest --crashlens-update-baseline", why
    else:
        yield "pytest --crashlens", "run the tests and hold them against the limits"
    yield "crashlens validate --explain", "what crashlens.yml says, in sentences"
    paths = [one.path for one in done.written]
    for job, place, secret in (
        (TESTS_WORKFLOW, "the step Install", "a secret of the repository"),
        (GITLAB_JOB, "the script", "a masked variable of the project"),
    ):
        if job in paths and install_unknown(found):
            why = "to be completed by hand: nothing was found that installs what your tests need"
            yield f"{place} in {job}", why
        if job in paths and (key := key_needed(found)):
            yield f"{key} as {secret}", f"for live calls, see {job}: no recordings were found"
    if found.repository is not None and paths:
        new = [found.baseline] if found.baseline and not found.has_baseline else []
        names = " ".join(shlex.quote(path) for path in [*paths, *new])
        why = "for the commit"
        if COMMENT_WORKFLOW in paths:
            why += "; comments appear once it is on the default branch"
        yield f"git add {names}", why
    if GITLAB_JOB in paths and any(one.path == GITLAB for one in done.left):
        yield f"include: [{{local: {GITLAB_JOB}}}]", f"to be added to {GITLAB} by hand"
    every = interval(found)
    if "gitlab" in done.ci and every:
        yield f"a pipeline schedule, {every}", "in GitLab's settings, as crashlens.yml asks for it"
    if found.tests_run_by and {TESTS_WORKFLOW, GITLAB_JOB} & {*paths}:
        why = "in place of the new job, if you like: it runs tests already"
        yield f"--crashlens in {found.tests_run_by[0]}", why
    if not done.ci and not done.chosen:
        yield "crashlens init --ci github", "no CI was found; or --ci gitlab"


def _plain(done: _Done) -> dict[str, Any]:
    found = done.found
    return {
        "schema_version": 1,
        "folder": str(found.folder),
        "dry_run": done.dry_run,
        "found": {
            "sdks": dict(found.sdks),
            "recordings": dict(found.recordings),
            "ci": list(found.ci),
            "tests_run_by": list(found.tests_run_by),
            "pytest_settings": found.pytest_settings,
            "config": found.config,
            "baseline": found.baseline if found.has_baseline else None,
            "faults": list(found.faults),
        },
        "files": [
            {"path": one.path, "action": one.way, "text": one.text, "why": one.why}
            for one in (*done.written, *done.left)
        ],
        "faults": list(done.faults),
        "next": [{"command": command, "why": why} for command, why in _next(done)],
    }
