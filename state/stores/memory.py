"""A partition's store in memory, for the topology driver and for tests."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from state.stores.envelope import NO_PLACE
from state.stores.partition_state import (
    NO_LIMIT,
    RESERVED_PREFIX,
    Changes,
    DueEntry,
    Names,
    first_due,
    writer_at,
)


class MemoryStore:
    """Implements `Store` on dicts; the same suite of tests runs over it and over RocksDB."""

    def __init__(self, seed: int = NO_PLACE) -> None:
        self.seed = seed
        self.order = 0
        self.writer_at = -1
        self.stored: dict[bytes, bytes] = {}
        self._entries: dict[bytes, DueEntry] = {}
        self._written = 0
        self.changelog_offset = 0

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.stored.get(key) for key in keys]

    def keys(self, prefix: bytes) -> list[bytes]:
        return sorted(key for key in self.stored if key.startswith(prefix))

    def due(
        self, horizon_ms: int, limit: int = NO_LIMIT, skip: Names = (), *, begin_ms: int = 0
    ) -> tuple[list[DueEntry], int]:
        # The sort is stable: entries of one time stay in the order in which they were written.
        index = sorted(self._entries.values(), key=attrgetter("due_ms"))
        left = (one for one in index if one.due_ms >= begin_ms and one.name not in skip)
        return first_due(left, horizon_ms, limit)

    def apply(self, changes: Changes, changelog_offset: int | None) -> None:
        for name in changes.spent:
            self._entries.pop(name, None)
        for key in changes.deletes:
            self.stored.pop(key, None)
        self.stored.update(changes.puts)
        for due_ms, keys in changes.dues.items():
            name = b"%d" % self._written
            self._entries[name] = DueEntry(due_ms, keys, name)
            self._written += 1
        if changelog_offset is not None:
            self.changelog_offset = changelog_offset
        if changes.order:
            self.order = changes.order
            self.writer_at = writer_at(changes, changelog_offset)

    def items(self, begin: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key, stored in sorted(self.stored.items()):
            if key[0] != RESERVED_PREFIX and key >= begin:
                yield key, stored

    def statistics(self) -> dict[str, int]:
        return {"value_bytes": sum(map(len, self.stored.values()))}

    def close(self) -> None:
        """Nothing to release."""
