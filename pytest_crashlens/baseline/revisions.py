"""Files as they were in a git repository's history, through the git command."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pytest_crashlens.errors import CrashlensError

TIMEOUT = 20.0
"""Seconds for one command of git."""

_OF_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RECORD, _FIELD, _END = "\x1e", "\x1f", "\x1d"
_FORMAT = f"{_RECORD}%H{_FIELD}%aI{_FIELD}%an{_FIELD}%s{_END}"


class GitError(CrashlensError):
    """There is no git, no repository, or no such revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A commit that changed the file."""

    commit: str
    at: str
    """When it was written, as ISO 8601 with the author's offset."""
    author: str
    subject: str
    path: str
    """The file's name in it, relative to the top folder."""
    earlier_path: str
    """Its name before that commit."""

    @property
    def day(self) -> str:
        """The date alone."""
        return self.at[:10]


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository that holds a folder."""

    top: Path

    @classmethod
    def of(cls, folder: Path) -> Repository:
        """The one that ``folder`` is in.

        Raises:
            GitError: There is none, or git cannot be run.
        """
        found = _git(["rev-parse", "--show-toplevel"], folder)
        return cls(Path(os.fsdecode(found.removesuffix(b"\n"))))

    def name(self, path: Path) -> str:
        """What git calls the file at ``path``.

        Raises:
            GitError: It is outside.
        """
        real = path.parent.resolve() / path.name
        try:
            return real.relative_to(self.top.resolve()).as_posix()
        except ValueError:
            raise GitError(f"{path}: is outside of the repository {self.top}") from None

    def commit(self, revision: str) -> str:
        """The full id of what ``revision`` names: a branch, tag, id or day (``YYYY-MM-DD``).

        A day is its end (UTC) on the first line of HEAD's history.

        Raises:
            GitError: It names none.
        """
        if _DAY.fullmatch(revision):
            before = f"--before={revision}T23:59:59Z"
            try:
                date.fromisoformat(revision)
            except ValueError:
                raise GitError(f"{revision}: there is no such day") from None
            day = _text(self._run("rev-list", "-1", "--first-parent", before, "HEAD")).strip()
            if not day:
                raise GitError(f"{revision}: there is no commit so early{self._shallow_hint()}")
            return day
        try:
            name = f"{revision}^{{commit}}"
            found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        except GitError:
            raise GitError(
                f"{revision!r} is no commit, tag or branch of this repository{self._shallow_hint()}"
            ) from None
        return _text(found).strip().splitlines()[-1]

    def read(self, commit: str, name: str) -> str | None:
        """The text of file ``name`` in ``commit``; None: it has no such file.

        Raises:
            GitError: git cannot read it, or it is no text.
        """
        try:
            data = self._run("cat-file", "blob", f"{commit}:{name}")
        except GitError:
            if self._run("ls-tree", "-z", "--full-tree", commit, "--", name):
                raise
            return None
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise GitError(f"{commit[:10]}:{name}: is not UTF-8 text") from None

    def read_followed(self, commit: str, name: str) -> tuple[str, str] | None:
        """Name and text in ``commit`` of what is called ``name`` now, also if it was renamed."""
        text = self.read(commit, name)
        if text is not None:
            return name, text
        for version in self.versions(name, since=commit):
            earlier = self.read(commit, version.earlier_path)
            if earlier is not None:
                return version.earlier_path, earlier
        return None

    def versions(
        self, name: str, *, limit: int | None = None, since: str = "", every: bool = False
    ) -> list[Version]:
        """The commits that changed the file, newest first, its renames followed.

        Args:
            name: What it is called in HEAD.
            limit: At most so many.
            since: Only those after this commit.
            every: Those of merged branches too, not only the line of HEAD's first parents.
        """
        options = ["--follow", "-M", "-z", "--name-status", f"--format={_FORMAT}"]
        options += [] if every else ["--first-parent", "-m"]
        options += [] if limit is None else [f"--max-count={limit}"]
        span = [f"{since}..HEAD"] if since else ["HEAD"]
        return list(_versions(_text(self._run("log", *options, *span, "--", name)), name))

    def head(self) -> str | None:
        """The commit that is checked out; None: there is none yet."""
        try:
            return _text(self._run("rev-parse", "--verify", "--quiet", "HEAD")).strip()
        except GitError:
            return None

    def _shallow_hint(self) -> str:
        shallow = _text(self._run("rev-parse", "--is-shallow-repository")).strip()
        if shallow != "true":
            return ""
        return "; it is a shallow clone, which lacks most of them: git fetch --unshallow --tags"

    def _run(self, *arguments: str) -> bytes:
        return _git(arguments, self.top)


def _git(arguments: Sequence[str], folder: Path) -> bytes:
    # a hook of git names its own repository, which need not be this one
    kept = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    environment = kept | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - no shell; what users name stands behind its option
            ["git", "-c", "core.quotepath=off", "-c", "log.showSignature=false", *arguments],  # noqa: S607
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        if not folder.is_dir():
            raise GitError(f"{folder}: there is no such folder") from None
        raise GitError("git is not installed, or not on PATH") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {arguments[0]} gave no answer in {TIMEOUT:.0f} seconds") from None
    except (OSError, ValueError) as error:
        raise GitError(f"git cannot be run: {error}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        fault = lines[-1].removeprefix("fatal: ") if lines else f"it ended with {done.returncode}"
        raise GitError(f"git {arguments[0]}: {fault}")
    return done.stdout


def _versions(text: str, name: str) -> Iterator[Version]:
    for record in text.split(_RECORD)[1:]:
        head, _, rest = record.partition(_END)
        commit, at, author, subject = head.split(_FIELD, 3)
        status = [part for part in rest.strip("\0\n").split("\0") if part]
        path, earlier = _paths(status, name)
        if status[:1] != ["D"]:
            yield Version(
                commit=commit,
                at=at,
                author=author,
                subject=subject,
                path=path,
                earlier_path=earlier,
            )
        name = earlier


def _paths(status: Iterable[str], name: str) -> tuple[str, str]:
    """What the file is called in the commit, and before it."""
    words = [word.removeprefix("\n") for word in status]
    if len(words) >= 3 and words[0][:1] in ("R", "C"):
        return words[2], words[1]
    if len(words) >= 2:
        return words[1], words[1]
    return name, name


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
