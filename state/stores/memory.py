"""A partition's store in memory, for the topology driver and for tests."""

from __future__ import annotations

from bisect import bisect_left, insort

from state.stores.partition_state import NEVER_MS, Change


class MemoryStore:
    """Implements `Store` on dicts; the same suite of tests runs over it and over RocksDB."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self._due: list[tuple[int, bytes]] = []
        self.changelog_offset = 0

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.stored.get(key) for key in keys]

    def due(self, horizon_ms: int) -> tuple[list[tuple[int, bytes]], int]:
        end = bisect_left(self._due, (horizon_ms + 1, b""))
        following = self._due[end][0] if end < len(self._due) else NEVER_MS
        return self._due[:end], following

    def apply(
        self, changes: list[Change], spent: list[tuple[int, bytes]], changelog_offset: int | None
    ) -> None:
        for entry in spent:
            index = bisect_left(self._due, entry)
            if index < len(self._due) and self._due[index] == entry:
                del self._due[index]
        for key, stored, due_ms in changes:
            if stored is None:
                self.stored.pop(key, None)
                continue
            self.stored[key] = stored
            if due_ms and (due_ms, key) not in self._due:
                insort(self._due, (due_ms, key))
        if changelog_offset is not None:
            self.changelog_offset = changelog_offset

    def close(self) -> None:
        """Nothing to release."""
