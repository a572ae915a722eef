"""The gateway's memory on disk: one line for each decision, appended and never changed.

A line is on the disk before anybody is told of it. A process that is killed while it writes leaves
a last line without its end: nobody was told of that decision, so it is cut off, and said. Any
other damage is refused, for a decision may be missing.

    ledger = read_ledger(directory / "ledger")       # for an audit, also while the gateway runs
"""

import asyncio
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.gateway.books import Entry, Operation, Outcome


class CorruptLedger(Exception):
    """A line that is not the last one cannot be read, or is out of its order.

    Operator action: this is a gateway to play with; start it over another directory.
    """


@dataclass(frozen=True, slots=True)
class KeyUse:
    """An idempotency key with what it was used for first."""

    key: str
    operation: Operation
    order_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class LedgerContent:
    """What a ledger says. torn_bytes: of a last line without its end, which counts for nothing."""

    entries: tuple[Entry, ...]
    torn_bytes: int = 0

    @property
    def captures(self) -> tuple[Entry, ...]:
        """Return money that came in; amounts in minor units."""
        return tuple(entry for entry in self.entries if entry.outcome is Outcome.CAPTURED)

    @property
    def refunds(self) -> tuple[Entry, ...]:
        """Return money that went back; amounts in minor units."""
        return tuple(entry for entry in self.entries if entry.outcome is Outcome.REFUNDED)

    @property
    def keys(self) -> tuple[KeyUse, ...]:
        """Return each key once, in the order of their first use."""
        return tuple(
            KeyUse(entry.key, entry.operation, entry.order_id, entry.at_ms)
            for entry in self.entries
            if entry.key
        )


def read_ledger(file: Path) -> LedgerContent:
    """Read a ledger; none yet is an empty one. CorruptLedger for damage before the last line."""
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
    """A ledger that is written; `durable` is awaited before anybody is told."""

    def __init__(self, file: Path) -> None:
        """Read what is there and cut off a torn last line; CorruptLedger for other damage.

        BlockingIOError where another process has it open for writing.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # Two that write would number alike. The lock goes with the process, however it ends.
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
        # The file's name and what was read may not be on the disk yet either.
        os.fsync(self._descriptor)
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def append(self, entry: Entry) -> None:
        """Write a line; OSError where the disk does not take it, and then the ledger is over."""
        rest = memoryview(entry.line())
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._written += 1

    async def durable(self) -> None:
        """Return when all that was appended so far is on the disk; one sync serves who waits."""
        wanted = self._written
        while self._synced < wanted:
            async with self._syncing:
                if self._synced < wanted:
                    covered = self._written
                    await asyncio.to_thread(os.fsync, self._descriptor)
                    self._synced = covered
