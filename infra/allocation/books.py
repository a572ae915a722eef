"""What was allocated to whom, in an SQLite file: one active allocation for each buyer and event.

The database holds the rule, as a unique index. Whoever asks for a second allocation gets the
first one; whoever asks again under an idempotency key gets what it led to.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS allocations (
    allocation_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    event_id INTEGER NOT NULL,
    purchase_id TEXT NOT NULL,
    status TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_active ON allocations (user_id, event_id)
    WHERE status IN ('approved', 'active');
CREATE TABLE IF NOT EXISTS requests (
    idempotency_key TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    allocation_id TEXT NOT NULL REFERENCES allocations
);
"""


_TEXT_BYTES_MAX: Final = 255


class Asked(NamedTuple):
    """Who is to get an allocation."""

    user_id: str
    event_id: int
    purchase_id: str

    @classmethod
    def of(cls, body: Any) -> Self:
        """Return what a request's JSON says; raises ValueError for anything else."""
        if not isinstance(body, dict) or set(body) != set(cls._fields):
            raise ValueError(f"an object with {', '.join(cls._fields)}")
        user_id, event_id, purchase_id = (body[name] for name in cls._fields)
        for text in (user_id, purchase_id):
            # Half a character raises here.
            if not isinstance(text, str) or not 1 <= len(text.encode()) <= _TEXT_BYTES_MAX:
                raise ValueError("user_id and purchase_id are texts")
        if type(event_id) is not int or not 0 <= event_id < 1 << 63:
            raise ValueError("event_id is a whole number of 63 bits")
        return cls(user_id, event_id, purchase_id)


class Ended(NamedTuple):
    """Which allocation has ended: by its own id, or by its purchase; the other one is empty."""

    allocation_id: str = ""
    purchase_id: str = ""

    @classmethod
    def of(cls, body: Any) -> Self:
        """Return what a request's JSON says; raises ValueError for anything else."""
        told = tuple(body.items()) if isinstance(body, dict) else ()
        # Half a character raises here.
        if len(told) != 1 or told[0][0] not in cls._fields or not _is_text(told[0][1]):
            raise ValueError(f"an object with one of {', '.join(cls._fields)}")
        return cls(**dict(told))


def _is_text(told: Any) -> bool:
    return isinstance(told, str) and 1 <= len(told.encode())


class KeyReused(Exception):
    """A key came with another request than at first.

    Operator action: none; the client has its answer.
    """


class Books:
    """The allocations of one file; used from one thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def allocate(self, key: str, asked: Asked) -> tuple[dict[str, Any], bool]:
        """Return the allocation of a buyer and event, and whether it was made now.

        Raises KeyReused. It is on the disk before this returns.
        """
        self._file.execute("BEGIN IMMEDIATE")
        try:
            found = self._decided(key, asked)
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")
        return found

    def end(self, ended: Ended) -> bool:
        """End an allocation, so that its buyer may have another; False where there is none."""
        changed = self._file.execute(
            "UPDATE allocations SET status = 'ended' WHERE allocation_id = ? OR purchase_id = ?",
            ended,
        )
        return changed.rowcount > 0

    def all(self) -> list[dict[str, Any]]:
        """Return every allocation, oldest first."""
        rows = self._file.execute(
            "SELECT allocation_id, user_id, event_id, purchase_id, status FROM allocations"
            " ORDER BY rowid"
        )
        names = "allocation_id", "user_id", "event_id", "purchase_id", "status"
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _decided(self, key: str, asked: Asked) -> tuple[dict[str, Any], bool]:
        text = json.dumps(asked)
        known = self._row("SELECT asked, allocation_id FROM requests WHERE idempotency_key=?", key)
        if known is not None:
            if known[0] != text:
                raise KeyReused(key)
            return self._told(known[1]), False
        active = self._row(
            "SELECT allocation_id FROM allocations WHERE user_id=? AND event_id=?"
            " AND status IN ('approved', 'active')",
            *(asked.user_id, asked.event_id),
        )
        allocation_id = uuid4().hex if active is None else active[0]
        if active is None:
            row = allocation_id, *asked, "approved"
            self._file.execute("INSERT INTO allocations VALUES (?, ?, ?, ?, ?)", row)
        self._file.execute("INSERT INTO requests VALUES (?, ?, ?)", (key, text, allocation_id))
        return self._told(allocation_id), active is None

    def _told(self, allocation_id: str) -> dict[str, Any]:
        found = self._row("SELECT status FROM allocations WHERE allocation_id=?", allocation_id)
        assert found is not None, "requests name allocations that are there"
        return {"allocation_id": allocation_id, "status": found[0]}

    def _row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._file.execute(statement, values).fetchone()
        return row
