"""crashlens-baseline.json: reading strictly, writing atomically.

Indented JSON with sorted keys, one block of lines per test, and nothing that changes without a
change of the tests (no time, host, version or totals), so that branches merge.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from pytest_crashlens.baseline.entry import Block, Entry, Kind, block_cost
from pytest_crashlens.baseline.runs import RunTotals
from pytest_crashlens.errors import BaselineError, PriceError
from pytest_crashlens.model.input_parts import PARTS, InputParts
from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.model.usage import USAGE_FIELDS, USAGE_SOURCES, Usage
from pytest_crashlens.pricing.card import RateCard

VERSION = 1
DEFAULT_NAME = "crashlens-baseline.json"
REGENERATE = "pytest --crashlens-update-baseline"
LOCK_WAIT = 10.0
"""Seconds to wait for another process that writes."""
LOCK_STALE = 60.0
"""Seconds after which a lock is that of a process which was killed."""
LOCK_STEP = 0.02

_CONFLICT = ("<<<<<<< ", ">>>>>>> ", "||||||| ")
_BETWEEN = "======="
_BLOCK_FIELDS: dict[str, type] = {
    "provider": str,
    "model": str,
    "service_tier": str,
    "batch": bool,
    "card": str,
    "above_input_tokens": int,
    "usage_source": str,
    "live": bool,
    "refused": bool,
    "calls": int,
    "retries": int,
    "cost_usd": str,
    **dict.fromkeys(USAGE_FIELDS, int),
}


@dataclass(frozen=True, slots=True)
class Baseline:
    """All entries, and the rate cards they were priced with."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    cards: Mapping[str, RateCard] = field(default_factory=dict)

    def merged(self, entries: Mapping[str, Entry], cards: Mapping[str, RateCard]) -> Baseline:
        """With ``entries`` put over the present ones; cards nobody uses any more are dropped."""
        merged = {**self.entries, **entries}
        used = {
            block.kind.card
            for entry in merged.values()
            for block in entry.blocks
            if block.kind.card is not None
        }
        known = {**cards, **self.cards}
        return Baseline(merged, {name: card for name, card in known.items() if name in used})

    def without(self, keys: Collection[str]) -> Baseline:
        """Without the entries of ``keys``, and the cards that only they used."""
        gone = frozenset(keys)
        left = {key: entry for key, entry in self.entries.items() if key not in gone}
        return Baseline({}, self.cards).merged(left, {})

    def render(self) -> str:
        """The file's text."""
        plain = {
            "version": VERSION,
            "cards": {name: card.to_dict() for name, card in self.cards.items()},
            "tests": {},
        }
        margin = "\n    "
        tests = ",".join(  # one by one: all of them as plain data take many times the text
            f"{margin}{json.dumps(key)}: "
            + _text(_entry_to_dict(entry, self.cards)).replace("\n", margin)
            for key, entry in sorted(self.entries.items(), key=itemgetter(0))
        )
        # a line break is always one of the layout: in texts it is escaped
        head, found, tail = _text(plain).partition('\n  "tests": {')
        return "".join((head, found, tests, "\n  " if tests else "", tail, "\n"))


def _text(plain: Any) -> str:
    return json.dumps(plain, indent=2, sort_keys=True)


def load(path: Path) -> Baseline | None:
    """The baseline at ``path``, None where there is no file.

    Raises:
        BaselineError: It cannot be read or is not a baseline of a version we know.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def write(path: Path, baseline: Baseline) -> bool:
    """Replace the file in one step; False: its bytes were the same already.

    Raises:
        BaselineError: It cannot be written; the old file is as it was.
    """
    data = baseline.render().encode()
    path = Path(os.path.realpath(path))  # a link stays a link
    temporary = None
    try:
        if path.exists() and path.read_bytes() == data:
            return False
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        os.replace(temporary, path)  # noqa: PTH105 - one atomic step, by its own name
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
        raise BaselineError(
            f"{path}: cannot be written: {error.strerror or error}; nothing was changed. "
            "Name a writable file with --crashlens-baseline=PATH"
        ) from None
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with the file at ``path``, so that what two processes read, change and write adds up.

    Around load, merge and write. Others are waited for, up to a limit; where no lock can be had,
    there is none: a write in one step is still no broken file.
    """
    path = Path(os.path.realpath(path))
    lock = path.with_name(f".{path.name}.lock")
    ours = _lock(lock)
    try:
        yield
    finally:
        with suppress(OSError):
            if ours is not None and lock.stat().st_ino == ours:  # else: another has taken it over
                lock.unlink()


def _lock(lock: Path) -> int | None:
    """The number of the lock file that is ours now; None: there is none."""
    end = time.monotonic() + LOCK_WAIT
    while True:
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            with suppress(OSError):
                if time.time() - lock.stat().st_mtime > LOCK_STALE:
                    lock.unlink()  # its process was killed
                    continue
        except OSError:
            return None
        else:
            try:
                return os.fstat(descriptor).st_ino
            finally:
                os.close(descriptor)
        if time.monotonic() > end:
            return None
        time.sleep(LOCK_STEP)


def parse(text: str, name: str) -> Baseline:
    """The baseline in ``text``; ``name`` is for messages.

    Raises:
        BaselineError: Naming line, fault and fix.
    """
    marked = any(mark in text for mark in (*_CONFLICT, _BETWEEN))
    for number, line in enumerate(text.splitlines() if marked else (), 1):
        if line.startswith(_CONFLICT) or line == _BETWEEN:
            raise BaselineError(
                f"{name}:{number}: unresolved merge conflict; keep either side, then run "
                f"{REGENERATE}"
            )
    try:
        plain = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        at_end = not text[error.pos :].strip()
        fault = "the file ends in the middle (truncated)" if at_end else error.msg
        raise BaselineError(
            f"{name}:{error.lineno}:{error.colno}: {fault}; restore it (git checkout -- {name}) "
            f"or delete it and run {REGENERATE}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{name}: {error}; restore it from version control") from None
    return _baseline(plain, name)


def _baseline(plain: Any, name: str) -> Baseline:
    version = plain.get("version") if isinstance(plain, dict) else None
    if type(version) is not int or version < 1:
        raise BaselineError(
            f'{name}: not a crashlens baseline (no "version"); '
            "name another file with --crashlens-baseline=PATH"
        )
    if version > VERSION:
        raise BaselineError(
            f"{name}: has version {version}, this pytest-crashlens reads up to {VERSION}; "
            "upgrade it: pip install -U pytest-crashlens"
        )
    reader = _Reader(name)
    reader.keys(plain, {"version", "cards", "tests"}, "the file")
    cards = {
        card_id: reader.card(card_id, card)
        for card_id, card in reader.mapping(plain.get("cards", {}), "cards").items()
    }
    tests = reader.mapping(plain.get("tests"), "tests")
    return Baseline({key: reader.entry(key, value, cards) for key, value in tests.items()}, cards)


class _Reader:
    """Checks types and names on the way from JSON to entries."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._kinds: dict[Kind, Kind] = {}
        """Each kind of call once: most tests share a few."""

    def fail(self, place: str, fault: str) -> BaselineError:
        return BaselineError(
            f"{self._name}: {place}: {fault}; restore it from version control, or delete the "
            f"entry and run {REGENERATE}"
        )

    def mapping(self, value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(place, "expected an object")
        return value

    def keys(self, value: dict[str, Any], known: set[str], place: str) -> None:
        unknown = sorted(set(value) - known)
        if unknown:
            raise self.fail(place, f"unknown key {unknown[0]!r}")

    def card(self, card_id: str, value: Any) -> RateCard:
        place = f"card {card_id}"
        try:
            card = RateCard.from_dict(self.mapping(value, place))
        except PriceError as error:
            raise self.fail(place, str(error)) from None
        if card.id != card_id:
            raise self.fail(place, f"its rates were edited by hand (they make card {card.id})")
        return card

    def entry(self, key: str, value: Any, cards: Mapping[str, RateCard]) -> Entry:
        value = self.mapping(value, key)
        self.keys(value, {"usage", "runs", "reason"}, key)
        usage = value.get("usage")
        if not isinstance(usage, list):
            raise self.fail(key, '"usage" must be a list')
        reason = value.get("reason")
        if reason is not None and not isinstance(reason, str):
            raise self.fail(key, "'reason' must be a string")
        try:
            runs = RunTotals.from_dict(value["runs"]) if "runs" in value else RunTotals()
        except ValueError as error:
            raise self.fail(key, str(error)) from None
        blocks = tuple(self.block(key, block, cards) for block in usage)
        return Entry(blocks, runs, reason)

    def block(self, key: str, value: Any, cards: Mapping[str, RateCard]) -> Block:
        value = self.mapping(value, key)
        if not all(_fits(name, item) for name, item in value.items()):
            raise self.misfit(key, value)
        for name in ("provider", "model", "calls"):
            if name not in value:
                raise self.fail(key, f"{name!r} is missing")
        # two branches that merge well may leave a card to each other: then there is no price
        card = value.get("card") if value.get("card") in cards else None
        if value.get("usage_source", "provider") not in USAGE_SOURCES:
            raise self.fail(key, f"'usage_source' must be one of {', '.join(USAGE_SOURCES)}")
        kind = Kind(
            provider=value["provider"],
            model=value["model"],
            service_tier=value.get("service_tier"),
            batch=value.get("batch", False),
            card=card,
            band=value.get("above_input_tokens", 0) if card else 0,
            usage_source=value.get("usage_source", "provider"),
            live=value.get("live", False),
            refused=value.get("refused", False),
        )
        kind = self._kinds.setdefault(kind, kind)
        parts = self.parts(key, value["input_parts"]) if "input_parts" in value else InputParts()
        return Block(kind, value["calls"], value.get("retries", 0), Usage.from_dict(value), parts)

    def misfit(self, key: str, value: dict[str, Any]) -> BaselineError:
        """The first fault of a block that has one."""
        self.keys(value, {*_BLOCK_FIELDS, "input_parts"}, key)
        name = next(
            name for name in _BLOCK_FIELDS if name in value and not _fits(name, value[name])
        )
        return self.fail(
            key, f"{name!r} must be {_WORDS[_BLOCK_FIELDS[name]]}, not {value[name]!r}"
        )

    def parts(self, key: str, value: Any) -> InputParts:
        sizes = self.mapping(value, key)
        self.keys(sizes, set(PARTS), f"{key}: input_parts")
        for name, size in sizes.items():
            if type(size) is not int or size < 0:
                raise self.fail(key, f"{name!r} of input_parts must be {_WORDS[int]}, not {size!r}")
        return InputParts.from_dict(sizes)


def _fits(name: str, item: Any) -> bool:
    """Whether ``item`` is what a block may have under ``name``."""
    expected = _BLOCK_FIELDS.get(name)
    if type(item) is expected:
        return not (isinstance(item, int) and item < 0)
    return name == "input_parts" or (item is None and name in ("card", "cost_usd"))


_WORDS = {str: "a string", bool: "true or false", int: "an integer of at least 0"}


def _entry_to_dict(entry: Entry, cards: Mapping[str, RateCard]) -> dict[str, Any]:
    plain: dict[str, Any] = {"usage": [_block_to_dict(block, cards) for block in entry.blocks]}
    if entry.runs:
        plain["runs"] = entry.runs.to_dict()
    if entry.reason is not None:
        plain["reason"] = entry.reason
    return plain


def _block_to_dict(block: Block, cards: Mapping[str, RateCard]) -> dict[str, Any]:
    kind = block.kind
    plain: dict[str, Any] = {
        "provider": kind.provider,
        "model": kind.model,
        "calls": block.calls,
        **block.usage.to_dict(),
    }
    optional = {
        "service_tier": kind.service_tier,
        "batch": kind.batch,
        "above_input_tokens": kind.band,
        "live": kind.live,
        "refused": kind.refused,
        "retries": block.retries,
    }
    plain |= {name: value for name, value in optional.items() if value}
    if parts := block.input_parts.to_dict():
        plain["input_parts"] = parts
    if not kind.refused:
        usd = block_cost(block, cards).usd
        plain["usage_source"] = kind.usage_source
        plain["card"] = kind.card
        plain["cost_usd"] = None if usd is None else plain_usd(usd)
    return plain


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice (a merge gone wrong?)")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of ours")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
