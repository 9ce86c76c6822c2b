"""Who owns which file, by the repository's CODEOWNERS.

Source: https://docs.github.com/articles/about-code-owners. Patterns are those of .gitignore, but
``docs/*`` has no files of folders within; the last match holds; no ``!`` and no ``[ ]``. GitLab's
``[Section]`` lines are read as headings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pytest_crashlens.errors import ConfigError

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where one may be; the first that is there holds."""


class CodeOwners:
    """The rules of one file."""

    def __init__(
        self, rules: Sequence[tuple[Callable[[str], bool], tuple[str, ...]]], project: str = ""
    ) -> None:
        """``project``: the folder that paths are relative to, as a prefix within the repository."""
        self._rules = rules
        self._project = project
        self.everyone = frozenset(owner for _, owners in rules for owner in owners)
        """All owners that the file names."""

    def of(self, path: str) -> tuple[str, ...]:
        """The owners of ``path``, relative to the project, with ``/``; () where it has none."""
        for matches, owners in reversed(self._rules):
            if matches(self._project + path):
                return owners
        return ()


def read_code_owners(project: Path) -> CodeOwners | None:
    """The owners of the files of the repository that ``project`` lies in; None: it names none.

    Raises:
        ConfigError: the file cannot be read, or the package that knows its patterns is missing.
    """
    folders = (project, *project.parents)
    root = next((folder for folder in folders if (folder / ".git").exists()), project)
    found = next((path for place in PLACES if (path := root / place).is_file()), None)
    if found is None:
        return None
    try:
        from pathspec import GitIgnoreSpec
    except ImportError:
        raise ConfigError(
            f"{found}: error: budgets by owner need its patterns read; install them: "
            "pip install 'pytest-crashlens[owners]'"
        ) from None
    try:
        text = found.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{found}: error: cannot be read: {error}") from None
    rules = [
        (_matcher(GitIgnoreSpec.from_lines([pattern]).match_file, pattern), owners)
        for pattern, owners in _rules(text)
    ]
    return CodeOwners(rules, "" if root == project else f"{project.relative_to(root).as_posix()}/")


def _matcher(matches: Callable[[str], bool], pattern: str) -> Callable[[str], bool]:
    """``docs/*`` names the files in that folder; to git it names the folders in it, too."""
    if not pattern.endswith("/*"):
        return matches

    def itself(path: str) -> bool:
        folders = (parent.as_posix() for parent in PurePosixPath(path).parents)
        return matches(path) and not any(matches(folder) for folder in folders if folder != ".")

    return itself


def _rules(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in text.splitlines():
        words = line.replace("\\ ", "\0").partition(" #")[0].split()
        if not words or words[0].startswith(("#", "!", "[", "^[")):
            continue
        yield words[0].replace("\0", "\\ "), tuple(words[1:])
