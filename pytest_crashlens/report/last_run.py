"""What the last run found and did not write, kept in pytest's cache so that it can be accepted.

The contract with who reads it (``crashlens accept``, ``review``, ``prune --stale``):

- The file is ``PLACE`` under pytest's rootdir (elsewhere where the ini sets ``cache_dir``;
  :func:`find_last_run` knows the usual place only). Every run that compared, updated or began a
  baseline replaces it as a whole; a run with ``-p no:cacheprovider`` or ``baseline: off`` leaves
  it as it was. It holds numbers and names only.
- :func:`load_last_run` reads it or raises :class:`LastRunError` in words for the user.
- ``changes`` are the tests and fixtures that passed and whose figures the baseline file does not
  hold: over the baseline, without an entry, or over a limit. Those within tolerance are not there,
  nor is what an update wrote.
- A change may be accepted only if ``acceptable``: an absolute limit, a policy or a shared key is
  no question of the baseline. ``last.now.entries[key]`` is what to write and ``last.now.cards``
  the cards it was priced with::

      stored = load(last.baseline_path) or Baseline()
      write(last.baseline_path, stored.merged({key: last.now.entries[key]}, last.now.cards))

- ``baseline_digest`` is :func:`digest` of the file that the run compared with, or that it left
  behind when it wrote; None: there was none. Another digest now: the figures are of the past.
- ``git_head`` is the commit of that run; None outside of git. Changes of the working tree are not
  in it.
- ``incomplete`` says why figures may lack calls (a crash, a fault, a host nobody saw, Ctrl-C): not
  to be accepted unasked. ``partial`` says why not every test ran (``-k``, a path, ``-x``): no fault
  of the figures that are there, so no obstacle to accepting them.
- ``stale`` are entries whose tests are gone for certain; ``renames`` pairs of a stale key and a
  new one (among the changes) with the same usage: to accept one is to write ``new`` and to drop
  ``old``.
- ``session`` are the sentences of what failed the run though no test did (a budget, creep, a shift
  of the whole suite): only another run can tell that it is mended.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_crashlens.baseline.file import Baseline, parse
from pytest_crashlens.baseline.stale import Rename as Rename  # for readers
from pytest_crashlens.errors import BaselineError, CrashlensError

SCHEMA_VERSION = 1
CACHE_KEY = "crashlens/last-run"
"""Its name in pytest's cache."""
PLACE = f".pytest_cache/v/{CACHE_KEY}"


class LastRunError(CrashlensError):
    """There is no last run, or it cannot be read; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One test or fixture whose figures are not in the baseline file."""

    key: str
    """Its key in the baseline."""
    nodeid: str
    """What selects it in pytest's rootdir; empty for a fixture."""
    state: str
    """``over``, ``missing`` (no entry), ``vanished`` or ``ok`` (the first run: no baseline)."""
    kinds: tuple[str, ...] = ()
    """Kinds of the findings that fail it (``increase``, ``limit``, ...), each once."""
    acceptable: bool
    """Whether an update would write it."""
    cost_before: str | None = None
    """USD at the baseline's cards, exact; None: no entry or no price."""
    cost_now: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The last run, as far as the baseline is concerned."""

    mode: str
    """``compared``, ``updated`` or ``first run``."""
    baseline_path: Path
    baseline_digest: str | None
    git_head: str | None
    incomplete: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    now: Baseline = field(default_factory=Baseline)
    """Entries of the changes, and their cards."""
    stale: tuple[str, ...] = ()
    renames: tuple[Rename, ...] = ()
    session: tuple[str, ...] = ()
    """What failed the run as a whole, in words: nothing of it can be accepted."""

    @property
    def complete(self) -> bool:
        """Whether all figures are whole."""
        return not self.incomplete


def digest(data: bytes | None) -> str | None:
    """Names the contents of a baseline file; None of no file."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str | None:
    """:func:`digest` of the file at ``path``; None where there is none that can be read."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def find_last_run(folder: Path) -> Path:
    """The file in the nearest of ``folder`` and those above it, up to the repository's.

    Raises:
        LastRunError: There is none.
    """
    for each in (folder, *folder.parents):
        if (each / PLACE).is_file():
            return each / PLACE
        if (each / ".git").exists():
            break
    raise LastRunError(
        f"no last run is stored at or above {folder}: run pytest --crashlens first "
        "(with pytest's cache, which -p no:cacheprovider turns off)"
    )


def load_last_run(path: Path) -> LastRun:
    """Read what the last run left at ``path``.

    Raises:
        LastRunError: There is no such file, it cannot be read, or another version wrote it.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LastRunError(f"{path}: no such file; run pytest --crashlens first") from None
    except OSError as error:
        raise LastRunError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise _broken(path, "it is no JSON (a run cut off while it wrote?)") from None
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise _broken(path, f"another version wrote it (schema {version!r})")
    try:
        return from_plain(plain, path)
    except BaselineError as error:
        raise _broken(path, str(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, f"{type(error).__name__}: {error}") from None


def _broken(path: Path, fault: str) -> LastRunError:
    return LastRunError(f"{path}: {fault}; run pytest --crashlens again")


def to_plain(run: LastRun, place: Path) -> dict[str, Any]:
    """JSON of ``run``, to be stored at ``place``.

    The baseline's path is kept relative to it, so that a container and its host agree.
    """
    try:
        baseline = Path(os.path.relpath(run.baseline_path, place.parent)).as_posix()
    except ValueError:  # on another drive
        baseline = run.baseline_path.as_posix()
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": run.mode,
        "baseline": {"path": baseline, "digest": run.baseline_digest},
        "git_head": run.git_head,
        "complete": run.complete,
        "incomplete": list(run.incomplete),
        "partial": list(run.partial),
        "changes": [_change_to_plain(change) for change in run.changes],
        "now": json.loads(run.now.render()),
        "stale": list(run.stale),
        "renames": [
            {"old": one.old, "new": one.new, "calls": one.calls, "tokens": one.tokens}
            for one in run.renames
        ],
        "session": list(run.session),
    }


def _change_to_plain(change: Change) -> dict[str, Any]:
    return {
        "key": change.key,
        "nodeid": change.nodeid,
        "state": change.state,
        "kinds": list(change.kinds),
        "acceptable": change.acceptable,
        "cost_before_usd": change.cost_before,
        "cost_now_usd": change.cost_now,
    }


def from_plain(plain: Mapping[str, Any], place: Path) -> LastRun:
    """The inverse of :func:`to_plain`.

    Raises:
        BaselineError: Its entries cannot be read.
        KeyError, TypeError, ValueError: Something else is not as it was written.
    """
    baseline = plain["baseline"]
    now = parse(json.dumps(plain["now"]), "entries")
    changes = tuple(
        Change(
            key=_text(each["key"]),
            nodeid=_text(each["nodeid"]),
            state=_text(each["state"]),
            kinds=_texts(each["kinds"]),
            acceptable=each["acceptable"] is True,
            cost_before=_text_or_none(each["cost_before_usd"]),
            cost_now=_text_or_none(each["cost_now_usd"]),
        )
        for each in plain["changes"]
    )
    if missing := [change.key for change in changes if change.key not in now.entries]:
        raise ValueError(f"no entry for {missing[0]!r}")
    return LastRun(
        mode=_text(plain["mode"]),
        baseline_path=Path(os.path.normpath(place.absolute().parent / _text(baseline["path"]))),
        baseline_digest=_text_or_none(baseline["digest"]),
        git_head=_text_or_none(plain["git_head"]),
        incomplete=_texts(plain["incomplete"]),
        partial=_texts(plain["partial"]),
        changes=changes,
        now=now,
        stale=_texts(plain["stale"]),
        renames=tuple(
            Rename(_text(each["old"]), _text(each["new"]), int(each["calls"]), int(each["tokens"]))
            for each in plain["renames"]
        ),
        session=_texts(plain.get("session", [])),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, not {value!r}")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, not {value!r}")
    return tuple(_text(each) for each in value)
