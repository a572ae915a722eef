"""Changelog records in, changes of a store out; records of others are left out, counted, named.

Anybody who may write to the topic can put a record there: a copy from another partition or store,
an older value, a deletion, noise. Our own records tell where they belong and in which order they
were written (`state.stores.envelope`); within a partition their order numbers never fall.

Records of format 1 tell neither. They are believed up to the first record of format 2: a worker
that writes format 1 cannot go on behind a record of format 2, so none of its records can follow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from state.stores.envelope import DELETION_HEADER, CorruptValue, order_of, seed_of, unpack
from state.stores.partition_state import RESERVED_PREFIX, SIGNED_KEYS, WRITER_KEY, Changes, Store
from streams.batch import Record

NAMED_MAX = 5
"""Refused records of one restore that are named; all are counted."""

Cause = Literal["key", "place", "damaged", "order", "deletion"]
"""Why a record was refused.

key:      a key that no store of ours has, or not in this partition.
place:    the value of another partition, or its deletion.
damaged:  cut, altered, of another store, or no value of ours at all.
order:    older than what lies before it.
deletion: a tombstone that does not say that it is ours.
"""

Owns = Callable[[bytes, int, int], bool]
"""`owns(store key, partition, partitions)`: whether that partition's store may have the key."""


class ChangelogReader:
    """Reads one partition's changelog into its store.

    refused: how many records were left out, by cause.
    named:   the first of them, in words.
    """

    def __init__(
        self, topic: str, partition: int, store: Store, partitions: int, owns: Owns | None
    ) -> None:
        self.refused: Counter[Cause] = Counter()
        self.named: list[str] = []
        self._place = f"{topic}-{partition}"
        self._partition = partition
        self._partitions = partitions
        self._store = store
        self._owns = owns
        self._seed = store.seed
        # Whether the changelog is read from its beginning; and whether the store had all values of
        # ours from the start, which it had until a record of ours is read.
        self._is_whole = store.changelog_offset == 0
        self._is_last_word = not self._is_whole
        self._order = store.order
        self._writer_at = store.writer_at
        self._other_seeds = {
            seed_of(topic, other): other for other in range(partitions) if other != partition
        }
        # By key whose last record was refused, why. Compaction may have deleted a value of ours in
        # favour of that record, be it unreadable, or intact but not to be believed.
        self._unreadable: dict[bytes, str] = {}
        self._unbelieved: dict[bytes, str] = {}

    def changes(self, records: Sequence[Record]) -> Changes:
        """Return the last change of each key among the records."""
        last: dict[bytes, bytes | None] = {}
        due_ms_by_key: dict[bytes, int] = {}
        for record in records:
            key, value = record.key, record.value
            if not key or (key[0] == RESERVED_PREFIX and key not in SIGNED_KEYS):
                self._refuse(record, "key", "no store of ours has its key")
                continue
            try:
                if value is None:
                    order = self._order_of_deletion(record)
                else:
                    due_ms_by_key[key] = unpack(value, self._seed)[1]
                    order = order_of(value)
            except CorruptValue as error:
                self._refuse_value(record, key, str(error))
                continue
            if order < self._order:
                # An unreadable record before this one stays in doubt: it may have been newer.
                why = f"its order {order} is below {self._order}: a copy of what was there before"
                self._unbelieved[key] = self._refuse(record, "order", why)
                continue
            if not order and not self._may_be_ours(key):
                # Format 1 has no place: only the key tells whose the record is.
                self._refuse(record, "key", "its key belongs to another partition or store")
                continue
            self._order = order
            self._is_last_word = False
            if key == WRITER_KEY:
                self._writer_at = record.offset
            last[key] = value
            if self._unreadable or self._unbelieved:
                self._unreadable.pop(key, None)
                self._unbelieved.pop(key, None)
        return self._changes_of(last, due_ms_by_key)

    def _changes_of(
        self, last: dict[bytes, bytes | None], due_ms_by_key: dict[bytes, int]
    ) -> Changes:
        puts = []
        deletes = []
        dues: dict[int, list[bytes]] = {}
        for key in sorted(last):
            value = last[key]
            if value is None:
                deletes.append(key)
                continue
            puts.append((key, value))
            due_ms = due_ms_by_key[key]
            if due_ms:
                dues.setdefault(due_ms, []).append(key)
        return Changes(puts, deletes, dues, [], self._order, self._writer_at)

    def in_doubt(self) -> list[str]:
        """Return, once all is read, which refused records may have replaced a value of ours.

        Compaction keeps the last record of a key, whoever wrote it. An unreadable record is in
        doubt unless a value of ours follows it. An intact record is in doubt too, unless the
        changelog was read from its beginning and has a value of ours before it, which compaction
        then did not delete.
        """
        if self._is_last_word:
            return []
        found = [why for key, why in self._unreadable.items() if self._may_be_ours(key)]
        unbelieved = self._unbelieved.keys() - self._unreadable.keys()
        keys = [key for key in sorted(unbelieved) if self._may_be_ours(key)]
        for key, stored in zip(keys, self._store.get_many(keys), strict=True):
            if stored is None or not self._is_whole:
                found.append(self._unbelieved[key])
        return found

    def _order_of_deletion(self, record: Record) -> int:
        """Return the order of a tombstone; raise CorruptValue where it is not ours."""
        sealed = dict(record.headers or ()).get(DELETION_HEADER)
        if sealed:
            if unpack(sealed, self._seed)[0] != record.key:
                raise CorruptValue("a deletion of another key")
            return order_of(sealed)
        if self._order:
            raise CorruptValue("a deletion that does not say whose it is")
        return 0

    def _refuse_value(self, record: Record, key: bytes, why: str) -> None:
        other = self._partition_of(record)
        if other is not None:
            # Its key is the other partition's. Where ours has the same key, like that of the
            # progress, a take-over notices that the value is missing.
            self._refuse(record, "place", f"it belongs to partition {other}")
        elif record.value is None:
            self._unbelieved[key] = self._refuse(record, "deletion", why)
        else:
            self._unreadable[key] = self._refuse(record, "damaged", why)

    def _partition_of(self, record: Record) -> int | None:
        """Return the other partition of this changelog that a value, or deletion, is of."""
        sealed = record.value
        if sealed is None:
            sealed = dict(record.headers or ()).get(DELETION_HEADER) or b""
        for seed, other in self._other_seeds.items():
            try:
                payload = unpack(sealed, seed)[0]
            except CorruptValue:
                continue
            return other if record.value is not None or payload == record.key else None
        return None

    def _may_be_ours(self, key: bytes) -> bool:
        return (
            self._owns is None
            or key in SIGNED_KEYS
            or self._owns(key, self._partition, self._partitions)
        )

    def _refuse(self, record: Record, cause: Cause, why: str) -> str:
        self.refused[cause] += 1
        named = f"{self._place} offset {record.offset}: {why}"
        if len(self.named) < NAMED_MAX:
            self.named.append(named)
        return named


def told(readers: Iterable[ChangelogReader]) -> Iterator[tuple[Mapping[Cause, int], str]]:
    """Give counts by cause, and a line, for each partition in which records were refused."""
    for reader in readers:
        if reader.refused:
            count = sum(reader.refused.values())
            named = "; ".join(reader.named)
            yield (
                reader.refused,
                f"{count} changelog records are not ours and were left out: {named}",
            )
