"""A partition's store in RocksDB: a cache of its changelog, written after each commit.

The write-ahead log is off: the values that a crash loses are read again from the changelog, from
the offset that was written in one batch with the last values kept. While no worker runs, a store's
directory can be deleted at any time; a store that is not of this changelog, or that RocksDB calls
corrupt, is deleted when it is opened.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from state.stores.envelope import seed_of
from state.stores.partition_state import NO_LIMIT, Changes, DueEntry, Names, first_due, writer_at

_OFFSET_KEY = b"\xffmoffset"
_IDENTITY_KEY = b"\xffmidentity"
_ORDER_KEY = b"\xffmorder"
_DUE_PREFIX = b"\xffd"
_DUE_BYTES = len(_DUE_PREFIX) + 8
_pack_due = struct.Struct(">2sQQ").pack
_CORRUPT_MARK = "CORRUPT"
# The texts of the errors that tell of no room: ENOSPC, EDQUOT, EFBIG.
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")


class CorruptStore(Exception):
    """RocksDB could not read what it had written.

    Operator action: none; the store is deleted and restored from its changelog at the next
    start. When it happens again on the same machine, look at its disk.
    """


class ClosedStore(Exception):
    """A store was used after its owner had closed it; its content is not in doubt.

    Operator action: none; the partition has another owner by now, or is taken over anew.
    """


class StoreFull(Exception):
    """A store's disk is full.

    Operator action: free space and start again. All that was committed is in the changelog, and
    the store is not deleted meanwhile.
    """


@dataclass(frozen=True, slots=True)
class StoreMemory:
    """Memory that all stores of a worker share, in bytes."""

    cache_bytes: int
    write_buffer_bytes: int


class RocksDBStores:
    """The stores of one worker: a directory, and the memory that they share."""

    def __init__(self, directory: Path, memory: StoreMemory) -> None:
        self._directory = directory
        self._memory = memory
        self._cache = Cache(memory.cache_bytes)
        self._write_buffers = WriteBufferManager(memory.write_buffer_bytes, False)

    def path(self, topic: str, partition: int) -> Path:
        return self._directory / f"{topic}-{partition}.db"

    def open(self, topic: str, partition: int, identity: str) -> RocksDBStore:
        """Open a partition's store; make an empty one where there is none that can be used.

        identity: of the changelog that the store copies; a store of another changelog is deleted.
        Raises StoreFull where the disk is full.
        """
        path = self.path(topic, partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        if (path / _CORRUPT_MARK).exists():
            destroy(path)
        try:
            store = RocksDBStore(path, self._options(), seed_of(topic, partition))
            # Whatever comes of it: an open store keeps its directory locked.
            with contextlib.ExitStack() as unless_returned:
                unless_returned.callback(store.close)
                if store.identity(identity):
                    unless_returned.pop_all()
                    return store
        except Exception as error:
            # rocksdict raises bare Exception. A store that another process uses is not ours to
            # delete, and a full disk says nothing about the store on it.
            if _is_locked(error):
                raise
            if _is_full(error):
                raise StoreFull(f"{path}: {error}") from error
        destroy(path)
        store = RocksDBStore(path, self._options(), seed_of(topic, partition))
        store.identity(identity)
        return store

    def _options(self) -> Options:
        table = BlockBasedOptions()
        # Almost every look-up is for a reservation that does not exist yet.
        table.set_bloom_filter(10, False)
        table.set_block_cache(self._cache)
        table.set_cache_index_and_filter_blocks(True)
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(0.05)
        options.set_write_buffer_manager(self._write_buffers)
        options.set_write_buffer_size(min(32 << 20, self._memory.write_buffer_bytes))
        options.set_max_write_buffer_number(2)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_paranoid_checks(True)
        options.set_max_open_files(64)
        # The info log is for people who debug RocksDB; a worker's own log names what failed.
        options.set_max_log_file_size(1 << 20)
        options.set_keep_log_file_num(1)
        return options


class RocksDBStore:
    """Implements `Store`; raises CorruptStore, and marks the directory as corrupt, or StoreFull.

    A closed store raises ClosedStore and marks nothing: the next owner may have opened the
    directory.
    """

    def __init__(self, path: Path, options: Options, seed: int) -> None:
        self.path = path
        self.seed = seed
        self._is_closed = False
        self._walks: dict[int, list[RdictIter]] = {}
        self._db = Rdict(str(path), options=options)
        self._no_log = WriteOptions()
        self._no_log.disable_wal = True
        self._read_due = ReadOptions()
        self._read_due.set_iterate_upper_bound(b"\xffe")
        self._read_items = ReadOptions()
        self._read_items.set_iterate_upper_bound(b"\xff")
        try:
            offset = self._db.get(_OFFSET_KEY)
            order, _, at = (self._db.get(_ORDER_KEY) or b"0 -1").partition(b" ")
        except Exception:
            # Otherwise the directory would stay locked, and no new store could be made in it.
            self._db.close()
            raise
        self.changelog_offset = int(offset) if offset is not None else 0
        self.order, self.writer_at = int(order), int(at)

    def identity(self, identity: str) -> bool:
        """Return whether the store is this changelog's; an empty one becomes so."""
        known = self._db.get(_IDENTITY_KEY)
        if known is None and self._db.get(_OFFSET_KEY) is None:
            batch = WriteBatch(raw_mode=True)
            batch.put(_IDENTITY_KEY, identity.encode())
            self._db.write(batch, self._no_log)
            return True
        return bool(known == identity.encode())

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        try:
            found: list[bytes | None] = self._db.get(keys)
        except Exception as error:
            raise self._failed(error) from error
        return found

    def keys(self, prefix: bytes) -> list[bytes]:
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(prefix[:-1] + bytes([prefix[-1] + 1]))
        try:
            return [name for name, _ in self._walk(bounds, prefix)]
        except Exception as error:
            raise self._failed(error) from error

    def due(
        self, horizon_ms: int, limit: int = NO_LIMIT, skip: Names = (), *, begin_ms: int = 0
    ) -> tuple[list[DueEntry], int]:
        try:
            return first_due(self._index(begin_ms, skip), horizon_ms, limit)
        except Exception as error:
            raise self._failed(error) from error

    def _index(self, begin_ms: int, skip: Names) -> Iterator[DueEntry]:
        begin = _pack_due(_DUE_PREFIX, begin_ms, 0)
        for name, value in self._walk(self._read_due, begin):
            if name not in skip:
                due_ms = int.from_bytes(name[len(_DUE_PREFIX) : _DUE_BYTES], "big")
                yield DueEntry(due_ms, _split(value), name)

    def apply(self, changes: Changes, changelog_offset: int | None) -> None:
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for name in changes.spent:
            batch.delete(name)
        for key in changes.deletes:
            batch.delete(key)
        for key, stored in changes.puts:
            put(key, stored)
        for due_ms, keys in changes.dues.items():
            # The offset makes the entry's name unique: a transaction writes one entry for each
            # due time.
            put(_pack_due(_DUE_PREFIX, due_ms, changelog_offset or 0), _joined(keys))
        if changelog_offset is not None:
            put(_OFFSET_KEY, b"%d" % changelog_offset)
        at = writer_at(changes, changelog_offset)
        if changes.order:
            put(_ORDER_KEY, b"%d %d" % (changes.order, at))
        try:
            self._db.write(batch, self._no_log)
        except Exception as error:
            raise self._failed(error) from error
        if changelog_offset is not None:
            self.changelog_offset = changelog_offset
        if changes.order:
            self.order, self.writer_at = changes.order, at

    def items(self, begin: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._walk(self._read_items, begin)
        except Exception as error:
            raise self._failed(error) from error

    def _walk(self, bounds: ReadOptions, begin: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give the entries from `begin` on; a walk that is under way ends with the store.

        RocksDB holds a directory locked while there is an iterator, and an error keeps all local
        variables on its way: so the iterator lies in a list, which `close` empties.
        """
        walk = [self._db.iter(bounds)]
        self._walks[id(walk)] = walk
        try:
            walk[0].seek(begin)
            while walk[0].valid():
                yield walk[0].key(), walk[0].value()
                walk[0].next()
            # An iterator stops early at a damaged block; only its status raises for it.
            walk[0].status()
        finally:
            walk.clear()
            del self._walks[id(walk)]

    def statistics(self) -> dict[str, int]:
        """Return sizes in bytes: memtables, table readers, files."""
        names = {
            "memtable_bytes": "rocksdb.cur-size-all-mem-tables",
            "table_reader_bytes": "rocksdb.estimate-table-readers-mem",
            "file_bytes": "rocksdb.live-sst-files-size",
        }
        return {name: self._db.property_int_value(key) or 0 for name, key in names.items()}

    def flush(self) -> None:
        """Write what is in memory to files, so that the next start restores few records."""
        try:
            self._db.flush(wait=True)
        except Exception as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the store; errors of a second call are ignored."""
        was_closed, self._is_closed = self._is_closed, True
        for walk in list(self._walks.values()):
            walk.clear()
        try:
            self._db.close()
        except Exception as error:
            if not was_closed:
                raise self._damaged(error) from error

    def _failed(self, error: Exception) -> CorruptStore | StoreFull | ClosedStore:
        if self._is_closed:
            return ClosedStore(f"{self.path}: closed, and asked: {error}")
        return self._damaged(error)

    def _damaged(self, error: Exception) -> CorruptStore | StoreFull:
        if _is_full(error):
            return StoreFull(f"{self.path}: {error}")
        # Where the disk cannot take the mark either, the next use of the store fails again.
        with contextlib.suppress(OSError):
            (self.path / _CORRUPT_MARK).touch()
        return CorruptStore(f"{self.path}: {error}")


def _is_locked(error: Exception) -> bool:
    """Return whether another process, or another store of this process, uses the directory."""
    return "/LOCK: " in str(error)


def _is_full(error: Exception) -> bool:
    return any(text in str(error) for text in _FULL)


def _joined(keys: list[bytes]) -> bytes:
    """Return keys as one value, each after its length in two bytes."""
    return b"".join([len(key).to_bytes(2, "big") + key for key in keys])


def _split(joined: bytes) -> list[bytes]:
    keys = []
    at = 0
    while at < len(joined):
        start = at + 2
        at = start + int.from_bytes(joined[at:start], "big")
        keys.append(joined[start:at])
    return keys


def destroy(path: Path) -> None:
    """Delete a store's directory."""
    shutil.rmtree(path, ignore_errors=True)
