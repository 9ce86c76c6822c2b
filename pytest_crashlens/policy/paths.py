"""Which tests a path of crashlens.yml means."""

from __future__ import annotations

from fnmatch import fnmatchcase

FIXTURE = "fixture:"
"""Begins the key of what a session or module fixture spent: ``fixture:path::name``."""


def matches_key(pattern: str, key: str) -> bool:
    """Whether the glob ``pattern`` matches a test key (``tests/live/test_x.py::test_y[param]``).

    It is matched against the key's file, relative to the project root: ``*``, ``?`` and ``[abc]``
    stay within one folder, ``**`` is any number of folders. A pattern with ``::`` is matched
    against the whole key; behind the ``::`` only ``*`` and ``?`` are special (brackets there are
    pytest's). A fixture's key is matched by its file and name.
    """
    path, _, name = key.removeprefix(FIXTURE).partition("::")
    path_glob, has_name, name_glob = pattern.removeprefix(FIXTURE).partition("::")
    if has_name and not fnmatchcase(name, name_glob.replace("[", "[[]")):
        return False
    return _matches_path(path_glob.removeprefix("/").removeprefix("./"), path)


def _matches_path(pattern: str, path: str) -> bool:
    globs = pattern.split("/")
    reached = _with_skipped_folders({0}, globs)
    for name in path.split("/"):
        after = {at for at in reached if at < len(globs) and globs[at] == "**"}
        after |= {
            at + 1
            for at in reached
            if at < len(globs) and globs[at] != "**" and fnmatchcase(name, globs[at])
        }
        reached = _with_skipped_folders(after, globs)
    return len(globs) in reached


def _with_skipped_folders(reached: set[int], globs: list[str]) -> set[int]:
    """``reached``, and what follows a ``**`` that stands for no folder at all."""
    result = set(reached)
    for at in sorted(reached):
        while at < len(globs) and globs[at] == "**":
            at += 1
            result.add(at)
    return result
