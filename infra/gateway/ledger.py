"""The gateway's memory on disk: one line for each decision, appended and never changed.

A line is on the disk before anybody is told of its decision. A process that is killed while it
writes leaves a last line without its end. Nobody was told of that decision, so the next start cuts
the line off, and says so. Any other damage is refused, since a decision may be missing.

    ledger = read_ledger(directory / "ledger")       # for an audit, also while the gateway runs
"""

import asyncio
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from infra.gateway.books import Entry, Operation, Outcome


class CorruptLedger(Exception):
    """A line before the last one cannot be read, or has a wrong number.

    Operator action: this is a gateway to play with; start it with another directory.
    """


@dataclass(frozen=True, slots=True)
class KeyUse:
    """An idempotency key, and the request that used it first."""

    key: str
    operation: Operation
    order_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class LedgerContent:
    """The entries of a ledger.

    torn_bytes: size of a last line without its end, which is no entry.
    """

    entries: tuple[Entry, ...]
    torn_bytes: int = 0

    @property
    def captures(self) -> tuple[Entry, ...]:
        """Return the entries by which money came in; amounts in minor units."""
        return tuple(entry for entry in self.entries if entry.outcome is Outcome.CAPTURED)

    @property
    def refunds(self) -> tuple[Entry, ...]:
        """Return the entries by which money went back; amounts in minor units."""
        return tuple(entry for entry in self.entries if entry.outcome is Outcome.REFUNDED)

    @property
    def keys(self) -> tuple[KeyUse, ...]:
        """Return all keys in the order of their first use, each once."""
        return tuple(
            KeyUse(entry.key, entry.operation, entry.order_id, entry.at_ms)
            for entry in self.entries
            if entry.key
        )


def read_ledger(file: Path) -> LedgerContent:
    """Read a ledger; a missing file is an empty one. CorruptLedger for damage in its lines."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return LedgerContent(())
    whole, newline, torn = content.rpartition(b"\n")
    entries: list[Entry] = []
    for number, line in enumerate(whole.split(b"\n") if newline else (), 1):
        try:
            entry = Entry.of(line)
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptLedger(f"{file}, line {number} cannot be read: {error}") from error
        if entry.number != number:
            raise CorruptLedger(f"{file}, line {number} says that it is {entry.number}")
        entries.append(entry)
    return LedgerContent(tuple(entries), len(torn))


class Ledger:
    """A ledger to write. The caller awaits `durable` before it tells anybody of an entry."""

    def __init__(self, file: Path) -> None:
        """Read the file, and cut off a torn last line; CorruptLedger for other damage.

        BlockingIOError where another process has the file open for writing.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # Two processes would give two entries one number. The system releases the lock when
            # the process ends, however that happens.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.content = read_ledger(file)
            self._mend(file)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._written = self._synced = 0
        self._syncing = asyncio.Lock()

    def _mend(self, file: Path) -> None:
        if self.content.torn_bytes:
            size = os.fstat(self._descriptor).st_size
            os.ftruncate(self._descriptor, size - self.content.torn_bytes)
        # The file's name and the lines that were read may not be on the disk yet.
        os.fsync(self._descriptor)
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def append(self, entry: Entry) -> None:
        """Write a line; after an OSError of the disk the ledger must not be used any more."""
        rest = memoryview(entry.line())
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._written += 1

    async def durable(self) -> None:
        """Wait until all entries so far are on the disk; one sync serves all who wait."""
        wanted = self._written
        while self._synced < wanted:
            async with self._syncing:
                if self._synced < wanted:
                    covered = self._written
                    await asyncio.to_thread(os.fsync, self._descriptor)
                    self._synced = covered
