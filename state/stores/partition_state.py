"""The state of one partition as its handler sees it: changes in flight over a durable store.

The next batch sees a batch's changes at once, while their transaction is still on its way to the
broker; the changes are written to the store only when the transaction is committed. Any failure in
between ends the process, so no change is ever undone here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from state.stores import envelope

NEVER_MS = 1 << 62
NO_LIMIT = 1 << 62
RESERVED_PREFIX = 0xFF

WRITER_KEY = b"\xffwriter"
"""The owner's signature: as the last of all keys, it is also each transaction's last record."""

TAKEOVERS_KEY = b"\xfftakeovers"
"""The recent owners and when each took over; written with the first transaction of each owner."""

SKIPPED_KEY = b"\xffskipped"
"""The ranges of input offsets that an operator has given up."""

SIGNED_KEYS = frozenset((WRITER_KEY, TAKEOVERS_KEY, SKIPPED_KEY))
"""Reserved keys that are in the changelog too; all other reserved keys are only in the store."""


class Changes(NamedTuple):
    """What one transaction changes in a partition's store.

    puts:    (key, stored form), by ascending key.
    deletes: keys.
    dues:    keys by due time (Unix ms), for the index.
    spent:   index entries to delete, by the name that `Store.due` gave them.
    order:   number of the transaction in its partition; 0 where it is no transaction's.
    writer_at: offset of the signature, its record under `WRITER_KEY`; None where it is the last
             record of the transaction.
    """

    puts: list[tuple[bytes, bytes]]
    deletes: list[bytes]
    dues: dict[int, list[bytes]]
    spent: list[bytes]
    order: int = 0
    writer_at: int | None = None


def writer_at(changes: Changes, changelog_offset: int | None) -> int:
    """Return the offset of a transaction's signature; -1 where it wrote no changelog record."""
    if changes.writer_at is not None:
        return changes.writer_at
    return -1 if changelog_offset is None else changelog_offset - 1


def last_of(changes: Changes, tag: bytes, seed: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Give each changed key that begins with a tag, with its payload, or None if it was deleted.

    tag: one byte, above the first byte of all other keys but the reserved ones: the search begins
         at the last key, and costs nothing where no key has the tag.
    """
    for key, stored in reversed(changes.puts):
        if key[0] == RESERVED_PREFIX:
            continue
        if key[0] != tag[0]:
            break
        yield key, envelope.unpack(stored, seed)[0]
    for key in reversed(changes.deletes):
        if key[0] != tag[0]:
            break
        yield key, None


Names = Container[bytes]
"""Entries of an index, by the names that a store gave them."""


class DueEntry(NamedTuple):
    """An entry of the index: keys that were due at one time when it was written."""

    due_ms: int
    keys: list[bytes]
    name: bytes


def first_due(
    index: Iterable[DueEntry], horizon_ms: int, limit: int
) -> tuple[list[DueEntry], int]:
    """Return as `Store.due`, from the entries of an index in the order of their times."""
    found: list[DueEntry] = []
    keys = 0
    for entry in index:
        is_next_time = keys >= limit and (not found or entry.due_ms > found[-1].due_ms)
        if entry.due_ms > horizon_ms or is_next_time:
            return found, entry.due_ms
        found.append(entry)
        keys += len(entry.keys)
    return found, NEVER_MS


class Store(Protocol):
    """Durable keyed values of one partition with an index by due time.

    Keys that begin with the byte 0xFF belong to the store itself.

    seed: of the store's changelog and partition, see `envelope.seed_of`.
    """

    seed: int

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Return the stored form of each key, in the order of `keys`; None where it is absent."""

    def keys(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with a prefix of bytes below 0xFF, in order."""

    def due(
        self, horizon_ms: int, limit: int = NO_LIMIT, skip: Names = (), *, begin_ms: int = 0
    ) -> tuple[list[DueEntry], int]:
        """Return index entries from `begin_ms` to the horizon, oldest first, and the next time.

        Times are Unix ms. A key may have been put again since with another due time: an entry is
        no proof that its key is due.

        limit: once so many keys are found, no entries of a further due time are returned.
        skip:  names of entries to leave out.
        """

    def apply(self, changes: Changes, changelog_offset: int | None) -> None:
        """Write changes and offset, all of them or nothing."""

    @property
    def changelog_offset(self) -> int:
        """Offset of the first changelog record that is not in the store yet."""

    @property
    def order(self) -> int:
        """Number of the last transaction in the store; 0 before the first."""

    @property
    def writer_at(self) -> int:
        """Offset of the signature of that transaction; -1 before the first."""

    def items(self, begin: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give (key, stored form) from key `begin` on, ascending, without the reserved keys.

        Gives the store's content at the moment of the call, whatever is written meanwhile.
        """

    def statistics(self) -> dict[str, int]:
        """Return sizes in bytes by kind."""

    def close(self) -> None: ...


class Layer:
    """The changes of one batch: key -> (value, due time)."""

    __slots__ = ("min_due_ms", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, tuple[bytes | None, int]] = {}
        self.min_due_ms = NEVER_MS


class PartitionState:
    """What a handler reads and writes; implements `streams.batch.State`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cache: dict[Any, Any] = {}
        self.seed = store.seed
        self._order = store.order
        # Values that every batch carries, and values that only the next batch carries.
        self._signature: Mapping[bytes, bytes] = {}
        self._signed_once: Mapping[bytes, bytes] = {}
        self._fresh = Layer()
        # Newest first: the transactions on their way to the broker.
        self._sealed: deque[Layer] = deque()
        self._spent: list[bytes] = []
        self._fired: list[tuple[DueEntry, list[bytes]]] = []
        # Names of the index entries that this batch has dealt with.
        self._done: set[bytes] = set()
        self._fired_in_flight: list[tuple[int, bytes]] = []
        self._swept_ms = 0
        _, self.next_due_ms = store.due(-1)
        # All index entries before this time are dealt with. A store is slow to go past deleted
        # entries, so `due` must not begin at its first one each time.
        self._index_from_ms = self.next_due_ms

    def get(self, key: bytes) -> bytes | None:
        return self.get_many([key])[0]

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        found: dict[bytes, bytes | None] = {}
        for layer in (*reversed(self._sealed), self._fresh):
            values = layer.values
            for key in values.keys() & keys:
                found[key] = values[key][0]
        missing = [key for key in keys if key not in found] if found else keys
        for key, stored in zip(missing, self.store.get_many(missing), strict=True):
            if stored is not None:
                found[key] = envelope.unpack(stored, self.seed)[0]
        if not found:
            return [None] * len(keys)
        look_up = found.get
        return [look_up(key) for key in keys]

    def keys(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, in order; changes in flight count."""
        found = set(self.store.keys(prefix))
        for layer in (*reversed(self._sealed), self._fresh):
            for key, (value, _) in layer.values.items():
                if key.startswith(prefix):
                    (found.discard if value is None else found.add)(key)
        return sorted(found)

    def put(self, key: bytes, value: bytes, due_ms: int = 0) -> None:
        fresh = self._fresh
        fresh.values[key] = (value, due_ms)
        if due_ms:
            # Written out: `min` is a call, and this is the path of every hold.
            if due_ms < fresh.min_due_ms:  # noqa: PLR1730
                fresh.min_due_ms = due_ms
            # Compared apart: the layer's earliest key may have fired within this batch.
            if due_ms < self.next_due_ms:  # noqa: PLR1730
                self.next_due_ms = due_ms

    def delete(self, key: bytes) -> None:
        self._fresh.values[key] = (None, 0)

    def due(self, horizon_ms: int, limit: int = NO_LIMIT) -> list[tuple[int, bytes]]:
        self._spend_answered()
        in_store, next_in_store_ms = self._due_in_store(horizon_ms, limit)
        in_flight, next_in_flight_ms = self._due_in_flight(horizon_ms)
        due = sorted(
            {*in_flight, *[(entry.due_ms, key) for entry, keys in in_store for key in keys]}
        )
        self.next_due_ms = min(next_in_store_ms, next_in_flight_ms)
        if len(due) > limit:
            self.next_due_ms = min(self.next_due_ms, due[limit][0])
            due = due[:limit]
        named = set(due)
        for entry, keys in in_store:
            if all((entry.due_ms, key) in named for key in keys):
                self._fired.append((entry, keys))
        self._fired_in_flight.extend(entry for entry in in_flight if entry in named)
        return due

    def _due_in_store(
        self, horizon_ms: int, limit: int
    ) -> tuple[list[tuple[DueEntry, list[bytes]]], int]:
        """Return index entries, each with its keys that are due, and the next entry's due time.

        limit: once so many different keys are found, no further due time is begun.
        """
        found: list[tuple[DueEntry, list[bytes]]] = []
        keys: set[bytes] = set()
        next_due_ms = self._index_from_ms
        # Keys that are no longer due do not count: how many of them an index holds is chance.
        while len(keys) < limit and next_due_ms <= horizon_ms:
            entries, next_due_ms = self.store.due(
                horizon_ms, limit - len(keys), self._done, begin_ms=next_due_ms
            )
            for entry, live in zip(entries, self._still_due(entries), strict=True):
                if live:
                    found.append((entry, live))
                    keys.update(live)
                else:
                    self._spent.append(entry.name)
                    self._done.add(entry.name)
        # The index entries of sealed layers are not in the store yet.
        unpassed = [layer.min_due_ms for layer in self._sealed]
        unpassed += [entry.due_ms for entry, _ in found]
        self._index_from_ms = min([next_due_ms, *unpassed])
        return found, next_due_ms

    def _due_in_flight(self, horizon_ms: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return (due_ms, key) of changes in flight that are due, and when the next one is."""
        found: list[tuple[int, bytes]] = []
        next_due_ms = NEVER_MS
        for layer in (self._fresh, *self._sealed):
            if layer.min_due_ms > horizon_ms:
                next_due_ms = min(next_due_ms, layer.min_due_ms)
                continue
            for key, (_, due_ms) in layer.values.items():
                if due_ms and self._in_flight_due_ms(key) == due_ms:
                    if due_ms <= horizon_ms:
                        found.append((due_ms, key))
                    else:
                        next_due_ms = min(next_due_ms, due_ms)
        return found, next_due_ms

    def _spend_answered(self) -> None:
        """Spend the fired index entries whose keys have all got another due time, or none."""
        left = []
        for entry, keys in self._fired:
            if self._is_answered(self._fresh, entry.due_ms, keys):
                self._spent.append(entry.name)
                self._done.add(entry.name)
            else:
                left.append((entry, keys))
        self._fired = left

    def sweep(self, horizon_ms: int, keys_max: int) -> bool:
        """Drop index entries up to the horizon whose keys are all no longer due.

        Changes nothing but the time that `due` takes; begins where the last sweep ended. May run
        in another thread as long as `due` is not called.

        keys_max: how many keys are looked at, roughly.
        Returns whether the horizon was reached.
        """
        begin_ms = max(self._swept_ms, self._index_from_ms)
        entries, self._swept_ms = self.store.due(horizon_ms, keys_max, begin_ms=begin_ms)
        due_ms = self._stored_due_ms(entries)
        spent = [
            entry.name
            for entry in entries
            if all(due_ms[key] != entry.due_ms for key in entry.keys)
        ]
        if spent:
            self.store.apply(Changes([], [], {}, spent), None)
        return self._swept_ms > horizon_ms

    def _still_due(self, entries: list[DueEntry]) -> list[list[bytes]]:
        """Return, for each index entry, its keys that are still due at its time."""
        due_ms = self._stored_due_ms(entries)
        for layer in (*reversed(self._sealed), self._fresh):
            values = layer.values
            for key in values.keys() & due_ms.keys():
                due_ms[key] = values[key][1]
        return [[key for key in entry.keys if due_ms[key] == entry.due_ms] for entry in entries]

    def _stored_due_ms(self, entries: list[DueEntry]) -> dict[bytes, int]:
        """Return the due time that the store has for each key of these entries; 0 for none."""
        keys = [key for entry in entries for key in entry.keys]
        return {
            key: 0 if stored is None else envelope.due_of(stored)
            for key, stored in zip(keys, self.store.get_many(keys), strict=True)
        }

    def _in_flight_due_ms(self, key: bytes) -> int | None:
        """Return the due time of a key's newest change in flight; None when it has none."""
        for layer in (self._fresh, *self._sealed):
            change = layer.values.get(key)
            if change is not None:
                return change[1]
        return None

    def stored_items(self) -> Iterator[tuple[bytes, bytes]]:
        """Give every (key, payload) of the store, by ascending key; raises CorruptValue."""
        for key, stored in self.store.items():
            yield key, envelope.unpack(stored, self.seed)[0]

    def sign(self, always: Mapping[bytes, bytes], once: Mapping[bytes, bytes]) -> None:
        """Have each batch with changes carry the values of `always`, and the next one `once`."""
        self._signature = always
        self._signed_once = once

    def seal(self) -> Changes:
        """Close the batch that was decided and return its changes."""
        self._spend_answered()
        values = self._fresh.values
        if values:
            self._order += 1
            for signed in (self._signature, self._signed_once):
                values.update({key: (value, 0) for key, value in signed.items()})
            self._signed_once = {}
        fresh, self._fresh = self._fresh, Layer()
        self._index_from_ms = min(self._index_from_ms, fresh.min_due_ms)
        self._sealed.appendleft(fresh)
        spent, self._spent = self._spent, []
        for due_ms, key in self._fired_in_flight:
            self._is_answered(fresh, due_ms, [key])
        self._fired.clear()
        self._done.clear()
        self._fired_in_flight.clear()
        if not values:
            return Changes([], [], {}, spent)
        puts, deletes, dues = envelope.pack_all(values, self.seed, self._order)
        return Changes(puts, deletes, dues, spent, self._order)

    def _is_answered(self, fresh: Layer, due_ms: int, keys: list[bytes]) -> bool:
        """Say whether each of these keys, which `due` named, has got another due time, or none."""
        for key in keys:
            change = fresh.values.get(key)
            if change is None or change[1] == due_ms:
                # A key that was not changed stays due.
                self.next_due_ms = min(self.next_due_ms, due_ms)
                return False
        return True

    def write(self, changes: Changes, changelog_offset: int | None) -> None:
        """Write a committed batch to the store; may run beside the deciding of the next one.

        changelog_offset: offset behind the batch's last changelog record; None when it has none.
        """
        self.store.apply(changes, changelog_offset)

    def release(self) -> None:
        """Forget the oldest sealed batch, now that the store has it."""
        self._sealed.pop()
