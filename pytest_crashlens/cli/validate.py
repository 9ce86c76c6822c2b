"""``crashlens validate``: everything that is wrong with crashlens.yml, and what it means."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import (
    add_command,
    guarded,
    plural,
    printable,
    say,
    say_all,
    say_json,
)
from pytest_crashlens.cli.project import shown
from pytest_crashlens.errors import ConfigError

if TYPE_CHECKING:
    from pytest_crashlens.policy.config import Config
    from pytest_crashlens.policy.document import Problem

SCHEMA = "crashlens.schema.json"
DESCRIPTION = """\
Reads crashlens.yml without running anything, and names every problem in one
go, as FILE:LINE:COLUMN: error|warning: PATH: TEXT. Warnings are what loads and
may not mean what it seems: rules that another one hides, models that no price
list knows, fallbacks that are not cheaper, folders that are not there.
"""
EPILOG = """\
exit codes:
  0  valid; there may be warnings
  1  there are errors, or, with --strict, warnings
  2  it could not be checked: there is no such file, or it cannot be read
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "validate",
        lambda given: guarded(lambda: _validate(given)),
        help="check crashlens.yml, and say what it means",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="the file; default: crashlens.yml or .github/crashlens.yml in this folder "
        "or one above, up to the repository's",
    )
    parser.add_argument("--strict", action="store_true", help="warnings are problems too")
    parser.add_argument(
        "--explain", action="store_true", help="say each limit, rule and budget in a sentence"
    )
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of the file, for editors"
    )


def _validate(given: argparse.Namespace) -> int:
    if given.schema:
        say(files("pytest_crashlens.policy").joinpath(SCHEMA).read_text(encoding="utf-8").rstrip())
        return 0
    path = _found(given.config)
    config, problems = _checked(path)
    errors = sum(problem.severity == "error" for problem in problems)
    valid = not (problems if given.strict else errors)
    sentences: list[str] = []
    if given.explain and config is not None and not errors:
        from pytest_crashlens.policy.explain import explain

        sentences = list(explain(config))
    if given.json:
        plain: dict[str, Any] = {
            "file": shown(path),
            "valid": valid,
            "problems": [_plain(problem) for problem in problems],
        }
        say_json(plain | ({"explained": sentences} if given.explain else {}))
        return 0 if valid else 1
    for problem in problems:
        say(printable(problem.render(shown(path))))
    say_all(sentences)
    say(_summary(path, config, errors, len(problems) - errors, valid=valid))
    return 0 if valid else 1


def _found(given: Path | None) -> Path:
    from pytest_crashlens.policy.loader import find_config, project_folder

    here = Path.cwd()
    found = find_config(here if given else project_folder(here), given)
    if found is None:
        raise ConfigError("no crashlens.yml or .github/crashlens.yml here: name it with --config")
    return found


def _checked(path: Path) -> tuple[Config | None, list[Problem]]:
    """The settings as far as they can be read, and all problems by place.

    Raises:
        ConfigError: the file cannot be read.
    """
    from pytest_crashlens.policy.config import project_root
    from pytest_crashlens.policy.contradictions import remark
    from pytest_crashlens.policy.document import Problem
    from pytest_crashlens.policy.loader import examine, read_file
    from pytest_crashlens.policy.surroundings import surroundings

    text = read_file(path)
    if isinstance(text, Problem):
        return None, [text]
    config, problems, root = examine(text, str(path))
    if config is not None and root is not None:
        broken = [problem.path for problem in problems.errors]
        remark(root, surroundings(config, project_root(path.absolute()), broken))
    found = sorted((*problems.errors, *problems.warnings), key=lambda one: (one.line, one.col))
    return config, found


def _plain(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        "column": problem.col,
        "severity": problem.severity,
        "path": problem.path,
        "text": problem.text,
    }


def _summary(path: Path, config: Config | None, errors: int, warnings: int, *, valid: bool) -> str:
    parts = ["valid" if valid else "not valid"]
    if config is not None and not errors:
        parts.append(plural(len(config.rules), "rule"))
    parts += [plural(errors, "error")] if errors else []
    parts += [plural(warnings, "warning")] if warnings else []
    return f"{shown(path)}: {', '.join(parts)}"
