"""A partition's store in memory, for the topology driver and for tests."""

from __future__ import annotations

from state.stores.partition_state import NEVER_MS, Changes, DueEntry


class MemoryStore:
    """Implements `Store` on dicts; the same suite of tests runs over it and over RocksDB."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self._entries: dict[bytes, DueEntry] = {}
        self._written = 0
        self.changelog_offset = 0

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.stored.get(key) for key in keys]

    def due(self, horizon_ms: int) -> tuple[list[DueEntry], int]:
        entries = sorted(self._entries.values())
        fired = [entry for entry in entries if entry.due_ms <= horizon_ms]
        following = entries[len(fired)].due_ms if len(fired) < len(entries) else NEVER_MS
        return fired, following

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

    def statistics(self) -> dict[str, int]:
        return {"value_bytes": sum(map(len, self.stored.values()))}

    def close(self) -> None:
        """Nothing to release."""
