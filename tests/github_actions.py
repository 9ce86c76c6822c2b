"""Runs the shell lines of a workflow or composite action as the runner of GitHub would."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import yaml

FAKE_GH = Path(__file__).with_name("fake_gh.py")
ROOT = Path(__file__).parents[1]
REPOSITORY = "acme/shop"
SHELLS = {
    None: ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"],
}
_EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


@dataclass
class Ran:
    """What became of a job."""

    code: int = 0
    """Of the step that failed."""
    steps: list[str] = field(default_factory=list)
    """Names of those that were run; of actions without a name ``uses``."""
    out: str = ""


class Runner:
    """A runner with ``python``, ``crashlens``, a ``pip`` that installs nothing, a local ``gh``."""

    def __init__(self, folder: Path) -> None:
        self.github = folder / "github"
        self.bin = folder / "bin"
        self.files = folder / "files"
        for each in (self.github, self.bin, self.files):
            each.mkdir(parents=True)
        self.put({"repository": REPOSITORY, "pulls": [], "artifacts": {}, "comments": {}})
        python = shlex.quote(sys.executable)
        self.pip_log = folder / "pip.log"
        self.base_ref = ""
        """The branch that a pull request goes to; empty: the event is another one."""
        self._tool(
            "python",
            f'if [ "$1 $2" = "-m pip" ]; then echo "$*" >> {shlex.quote(str(self.pip_log))}; '
            f'else exec {python} "$@"; fi',
        )
        self._tool("crashlens", f'exec {python} -m pytest_crashlens "$@"')
        self._tool("pytest", f'exec {python} -m pytest "$@"')
        self._tool("gh", f'exec {python} {shlex.quote(str(FAKE_GH))} "$@"')

    def _tool(self, name: str, line: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.github / "state.json").read_text())
        return found

    def put(self, state: Mapping[str, Any]) -> None:
        (self.github / "state.json").write_text(json.dumps(state))

    def artifact(self, run: str, members: Mapping[str, bytes], **settings: Any) -> None:
        """Leave an artifact of the run ``run``."""
        state = self.state
        listed = state["artifacts"].setdefault(run, [])
        number = 1 + sum(map(len, state["artifacts"].values()))
        path = self.github / f"{number}.zip"
        with ZipFile(path, "w", ZIP_DEFLATED) as packed:
            for name, data in members.items():
                packed.writestr(name, data)
        about = {"name": "crashlens-report", "expired": False, "size_in_bytes": path.stat().st_size}
        listed.append({"id": number, **about, **settings})
        self.put(state)

    @property
    def asked(self) -> list[Any]:
        log = self.github / "requests.json"
        return json.loads(log.read_text()) if log.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        kept = ("HOME", "LANG", "COLUMNS", "OPENAI_", "ANTHROPIC_", "PYTHONPATH", "PYTEST_ADDOPTS")
        return {
            **{name: value for name, value in os.environ.items() if name.startswith(kept)},
            "PATH": f"{self.bin}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin",
            "FAKE_GH": str(self.github),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_BASE_REF": self.base_ref,
            "GITHUB_STEP_SUMMARY": str(self.files / "summary.md"),
            "GITHUB_ACTIONS": "true",
        }

    def job(self, workflow: Path, event: Mapping[str, Any], cwd: Path) -> Ran:
        """Run the only job of ``workflow`` for ``event`` in the folder ``cwd``."""
        parsed = yaml.safe_load(workflow.read_text())
        ((_, job),) = parsed["jobs"].items()
        known = {"github": {"event": event, "token": "the token of the job"}, "steps": {}}
        if "if" in job and not condition(job["if"], known):
            return Ran()
        shell = parsed.get("defaults", {}).get("run", {}).get("shell")
        return self.steps(job["steps"], known, cwd, shell=shell, env=parsed.get("env", {}))

    def steps(
        self,
        steps: list[dict[str, Any]],
        known: dict[str, Any],
        cwd: Path,
        *,
        shell: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Ran:
        ran = Ran()
        for number, step in enumerate(steps):
            asked = str(step.get("if", "true"))
            if (ran.code and "cancelled()" not in asked) or not condition(asked, known):
                continue
            ran.steps.append(step.get("name") or step["uses"])
            if "run" not in step:
                continue
            assert "${{" not in step["run"], "texts of others would be part of the program"
            output = self.files / f"output-{number}"
            output.write_text("")
            given = {name: filled(text, known) for name, text in step.get("env", {}).items()}
            script = self.files / f"step-{number}.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                [*SHELLS[step.get("shell", shell)], script],
                cwd=cwd,
                env={
                    **self.environment,
                    **(env or {}),
                    **given,
                    "GITHUB_OUTPUT": str(output),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )
            ran.out += done.stdout
            ran.code = ran.code or done.returncode
            lines = [line.partition("=") for line in output.read_text().splitlines()]
            if "id" in step:
                outputs = {name: value for name, _, value in lines}
                known["steps"][step["id"]] = {"outputs": outputs}
        return ran


def filled(text: Any, known: Mapping[str, Any]) -> str:
    """``text`` with its expressions replaced; each must be a name that is known."""
    return _EXPRESSION.sub(lambda match: str(value(match[1], known)), str(text))


def value(name: str, known: Mapping[str, Any]) -> Any:
    """What ``a.b.c`` is; an output or step that is not there is empty."""
    found: Any = known
    for part in name.split("."):
        if part not in found and name.startswith("steps."):
            return ""
        found = found[part]
    return found


def condition(text: str, known: Mapping[str, Any]) -> bool:
    """Whether an ``if`` holds: names, texts, ``==``, ``!=``, ``&&``, ``||`` and brackets."""
    text = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", text.strip()).replace("!cancelled()", "true")
    tokens = re.findall(r"'[^']*'|&&|\|\||==|!=|[()]|[\w.]+", text)
    words = {"&&": "and", "||": "or", "true": "True"}
    python = [
        words.get(token) or (token if token[0] in "'()=!" else repr(value(token, known)))
        for token in tokens
    ]
    return bool(eval(" ".join(python), {}))
