"""The sum of what was spent, by this process alone or by all workers of a run.

No locks: several threads may look and add at once. What is kept is only ever replaced as a whole,
so that each of them sees a sum that was true a moment ago.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal, localcontext

from pytest_crashlens.model.money import EXACT, plain_usd

_AT_ONCE = 65_536
"""Bytes read at a time."""
_BINARY = getattr(os, "O_BINARY", 0)  # Windows turns line ends into two bytes without it


class Purse:
    """What this process has spent."""

    def __init__(self) -> None:
        self._amounts: list[Decimal] = []
        self._summed: tuple[int, Decimal] = (0, Decimal(0))
        """How many amounts are summed, and their sum."""

    def add(self, usd: Decimal) -> None:
        """``usd`` was spent."""
        self._amounts.append(usd)

    def close(self) -> None:
        """Nothing more is added."""

    def total(self) -> Decimal:
        """All that is known to be spent, in USD."""
        number, usd = self._summed
        new = self._amounts[number:]
        if new:
            with localcontext(EXACT):
                usd = sum(new, usd)
            self._summed = (number + len(new), usd)
        return usd


class SharedPurse(Purse):
    """The same of all processes that have the file ``path``: each appends what it spends.

    Make it outside tests, which may put a fake file system in the place of the real one.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str, fault: Callable[[str, Exception], None]) -> None:
        super().__init__()
        self.path = path
        self._fault = fault
        self._read: tuple[int, Decimal] = (0, Decimal(0))
        """How many bytes are read, and the sum of their amounts."""
        # kept here: tests may replace those of the module
        self._os = os.open, os.lseek, os.read, os.write, os.close
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)

    def add(self, usd: Decimal) -> None:
        """``usd`` was spent, which all are told."""
        write = self._os[3]
        try:
            write(self._file, f"{plain_usd(usd)}\n".encode())
        except OSError as error:
            self._fault("telling the other workers what was spent", error)
            super().add(usd)

    def total(self) -> Decimal:
        """What all have spent, as far as they have said so."""
        own = super().total()
        try:
            shared = self._look()
        except (OSError, ArithmeticError) as error:
            self._fault("hearing from the other workers what was spent", error)
            shared = self._read[1]
        with localcontext(EXACT):
            return own + shared

    def close(self) -> None:
        """Nothing more is added."""
        self._os[4](self._file)

    def _look(self) -> Decimal:
        open_file, seek, read, _, close = self._os
        start, usd = self._read
        file = open_file(self.path, os.O_RDONLY | _BINARY)  # its place in it is no other thread's
        try:
            seek(file, start, os.SEEK_SET)
            data = b""
            while more := read(file, _AT_ONCE):
                data += more
        finally:
            close(file)
        whole = data[: data.rfind(b"\n") + 1]
        with localcontext(EXACT):
            usd = sum((Decimal(line.decode("ascii")) for line in whole.splitlines()), usd)
        self._read = (start + len(whole), usd)
        return usd
