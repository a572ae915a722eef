"""One suite over both stores: what a handler sees while transactions are on their way."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.examples import of_whole

from state.stores import envelope
from state.stores.memory import MemoryStore
from state.stores.partition_state import (
    NEVER_MS,
    NO_LIMIT,
    Changes,
    DueEntry,
    PartitionState,
    Store,
)
from state.stores.rocksdb import RocksDBStores, StoreMemory

KEYS = st.sampled_from([b"s1", b"s2", b"r1", b"r2", b"r3", b"r-long-" + b"x" * 60])
DUES_MS = st.sampled_from([0, 0, 1, 10, 10, 20, 30, 1 << 40])
LIMITS = st.sampled_from([1, 2, 3, NO_LIMIT])
MEMORY = StoreMemory(1 << 20, 1 << 20)


def rocksdb_store(directory: Path) -> Store:
    return RocksDBStores(directory, MEMORY).open("changelog", 0, "identity")


class StateMachine(RuleBasedStateMachine):
    """Puts, deletes, dues, seals, a stale index and writes that lag behind, against one dict.

    model:  key -> (value, due time), as the handler must see it.
    named:  keys that were named as due within the batch: nobody waits for them before its end.
    sealed: batches on their way to the broker, oldest first.
    """

    @staticmethod
    def new_store(directory: Path) -> Store:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.store = self.new_store(Path(self.directory.name))
        self.state = PartitionState(self.store)
        self.model: dict[bytes, tuple[bytes, int]] = {}
        self.named: set[bytes] = set()
        self.sealed: list[Changes] = []
        self.written = 0

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    @rule(key=KEYS, value=st.binary(max_size=5), due_ms=DUES_MS)
    def put(self, key: bytes, value: bytes, due_ms: int) -> None:
        self.state.put(key, value, due_ms)
        self.model[key] = (value, due_ms)
        self.named.discard(key)

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.state.delete(key)
        self.model.pop(key, None)

    @rule(horizon_ms=DUES_MS, answered=st.sets(KEYS), limit=LIMITS)
    def fire(self, horizon_ms: int, answered: set[bytes], limit: int) -> None:
        """Ask what is due and settle some of it, as a handler does."""
        expected = sorted(
            (due_ms, key) for key, (_, due_ms) in self.model.items() if 0 < due_ms <= horizon_ms
        )[:limit]
        assert self.state.due(horizon_ms, limit) == expected
        for _, key in expected:
            self.named.add(key)
            if key in answered:
                self.put(key, b"lapsed", 0)

    @rule()
    def seal(self) -> None:
        changes = self.state.seal()
        keys = [key for key, _ in changes.puts]
        assert keys == sorted(keys)
        self.named.clear()
        self.sealed.append(changes)

    @rule(
        dues=st.dictionaries(DUES_MS.filter(bool), st.lists(KEYS | st.just(b"gone"), min_size=1))
    )
    def restore_index(self, dues: dict[int, list[bytes]]) -> None:
        """Name keys at times that some of them have no more, as a store read back may."""
        self.written += 10
        self.store.apply(Changes([], [], dues, []), self.written)

    @rule(horizon_ms=DUES_MS, keys_max=LIMITS)
    def sweep(self, horizon_ms: int, keys_max: int) -> None:
        """Must be noticed by no other rule."""
        self.state.sweep(horizon_ms, keys_max)

    @precondition(lambda self: self.sealed)
    @rule()
    def write_and_release(self) -> None:
        self.written += 10
        self.state.write(self.sealed.pop(0), self.written)
        self.state.release()
        assert self.store.changelog_offset == self.written

    @precondition(lambda self: not self.sealed)
    @rule()
    def restart(self) -> None:
        """Hand the partition over: what was not sealed and written is decided again."""
        changes = self.state.seal()
        self.named.clear()
        self.written += 10
        self.state.write(changes, self.written)
        self.state.release()
        if not isinstance(self.store, MemoryStore):
            self.store.close()
            self.store = self.new_store(Path(self.directory.name))
            assert self.store.changelog_offset == self.written
        self.state = PartitionState(self.store)

    @invariant()
    def every_key_reads_as_last_put(self) -> None:
        keys = [b"s1", b"s2", b"r1", b"r2", b"r3", b"never-put"]
        expected = [self.model[key][0] if key in self.model else None for key in keys]
        assert self.state.get_many(keys) == expected
        assert [self.state.get(key) for key in keys] == expected

    @invariant()
    def nothing_is_due_before_the_next_due_time(self) -> None:
        dues = [
            due_ms for key, (_, due_ms) in self.model.items() if due_ms and key not in self.named
        ]
        assert self.state.next_due_ms <= min(dues, default=NEVER_MS)


class OverMemory(StateMachine):
    @staticmethod
    def new_store(directory: Path) -> Store:  # noqa: ARG004
        return MemoryStore()


class OverRocksDB(StateMachine):
    @staticmethod
    def new_store(directory: Path) -> Store:
        return rocksdb_store(directory)


OverMemory.TestCase.settings = settings(max_examples=of_whole(60), stateful_step_count=40)
OverRocksDB.TestCase.settings = settings(max_examples=of_whole(12), stateful_step_count=40)
TestStateOverMemory = OverMemory.TestCase
TestStateOverRocksDB = OverRocksDB.TestCase


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = MemoryStore() if request.param == "memory" else rocksdb_store(tmp_path)
    yield store
    store.close()


def commit(state: PartitionState, changelog_offset: int) -> None:
    state.write(state.seal(), changelog_offset)
    state.release()


def test_a_new_store_stands_at_the_beginning_and_has_nothing_due(store: Store) -> None:
    assert store.changelog_offset == 0
    assert store.get_many([b"a", b"b"]) == [None, None]
    assert store.get_many([]) == []
    assert store.due(1 << 60) == ([], NEVER_MS)


def test_a_batch_sees_what_the_one_before_it_put_though_its_transaction_is_under_way(
    store: Store,
) -> None:
    state = PartitionState(store)
    state.put(b"k", b"1")
    first = state.seal()
    assert state.get(b"k") == b"1"
    assert store.get_many([b"k"]) == [None]
    state.put(b"k", b"2")
    second = state.seal()
    state.write(first, 1)
    state.release()
    assert state.get(b"k") == b"2"
    state.write(second, 2)
    state.release()
    assert state.get(b"k") == b"2"


def test_a_hold_that_was_extended_is_due_at_its_new_time_only(store: Store) -> None:
    state = PartitionState(store)
    state.put(b"r1", b"held", 100)
    commit(state, 1)
    state.put(b"r1", b"held", 200)
    commit(state, 2)
    assert state.due(150) == []
    assert state.next_due_ms == 200
    assert state.due(200) == [(200, b"r1")]


def test_what_is_due_stays_due_until_it_is_put_again(store: Store) -> None:
    state = PartitionState(store)
    state.put(b"r1", b"held", 100)
    state.put(b"r2", b"held", 100)
    commit(state, 1)
    assert state.due(100) == [(100, b"r1"), (100, b"r2")]
    state.put(b"r1", b"released")
    commit(state, 2)
    assert state.next_due_ms <= 100
    assert state.due(100) == [(100, b"r2")]
    state.delete(b"r2")
    commit(state, 3)
    assert state.due(1 << 50) == []
    assert state.next_due_ms == NEVER_MS


def test_a_hold_put_and_due_within_one_batch_is_named(store: Store) -> None:
    state = PartitionState(store)
    state.put(b"r1", b"held", 100)
    assert state.due(100) == [(100, b"r1")]
    state.put(b"r1", b"released")
    assert state.due(100) == []
    commit(state, 1)
    assert state.due(100) == []


def test_a_hold_that_a_limit_left_out_while_it_was_under_way_is_named_from_the_store(
    store: Store,
) -> None:
    state = PartitionState(store)
    state.put(b"r1", b"held", 100)
    state.put(b"r2", b"held", 100)
    under_way = state.seal()
    assert state.due(200, 1) == [(100, b"r1")]
    state.put(b"r1", b"lapsed")
    state.write(under_way, 1)
    state.release()
    commit(state, 2)
    assert state.due(200) == [(100, b"r2")]


def test_a_settled_entry_leaves_the_index(store: Store) -> None:
    state = PartitionState(store)
    for offset in range(1, 6):
        state.put(b"r%d" % offset, b"held", 100)
        commit(state, offset)
    for _, key in state.due(100):
        state.put(key, b"released")
    commit(state, 6)
    assert store.due(1 << 50) == ([], NEVER_MS)


def test_keys_that_are_due_no_more_take_no_room_from_those_that_are(store: Store) -> None:
    """A store that was restored may name any number of them."""
    stale = {due_ms: [b"gone-%d-%d" % (due_ms, n) for n in range(3)] for due_ms in range(1, 6)}
    store.apply(Changes([], [], stale, []), 1)
    state = PartitionState(store)
    state.put(b"r0", b"held", 2)
    state.put(b"r1", b"held", 7)
    state.put(b"r2", b"held", 8)
    state.write(state.seal(), 2)
    state.release()
    assert state.due(10, 2) == [(2, b"r0"), (7, b"r1")]
    assert state.next_due_ms == 8


@pytest.mark.parametrize("keys_max", [1, 4, NO_LIMIT])
def test_a_sweep_leaves_what_is_due_or_lies_beyond_its_horizon(
    store: Store, keys_max: int
) -> None:
    before = PartitionState(store)
    before.put(b"r0", b"held", 2)
    before.put(b"r1", b"held", 9)
    commit(before, 1)
    stale = {due_ms: [b"r0", b"r1", b"gone"] for due_ms in (1, 3, 4, 5, 8)}
    store.apply(Changes([], [], stale, []), 2)
    state = PartitionState(store)
    while not state.sweep(5, keys_max):
        pass
    entries, _ = store.due(100)
    assert [entry.due_ms for entry in entries] == [2, 8, 9]
    assert state.due(100) == [(2, b"r0"), (9, b"r1")]


class WatchedStore(MemoryStore):
    """Notes from where it was asked what is due, and how many index entries it named."""

    def __init__(self) -> None:
        super().__init__()
        self.named = 0
        self.begins_ms: list[int] = []

    def due(self, *asked: Any, begin_ms: int = 0, **more: Any) -> tuple[list[DueEntry], int]:
        entries, next_due_ms = super().due(*asked, begin_ms=begin_ms, **more)
        self.named += len(entries)
        self.begins_ms.append(begin_ms)
        return entries, next_due_ms


def test_each_entry_of_the_index_is_passed_once() -> None:
    store = WatchedStore()
    stale = {due_ms: [b"gone"] for due_ms in range(1, 101)}
    store.apply(Changes([], [], stale, []), 1)
    assert PartitionState(store).due(100, 1) == []
    assert store.named == 100
    swept = PartitionState(store)
    while not swept.sweep(100, 7):
        pass
    assert store.named == 200
    assert store.due(100) == ([], NEVER_MS)


def test_the_index_is_asked_from_where_its_first_entry_is_left() -> None:
    """RocksDB passes what was deleted one by one, for as long as it is not compacted."""
    store = WatchedStore()
    state = PartitionState(store)
    for at_ms in range(100, 200):
        state.put(b"r%d" % at_ms, b"held", at_ms)
        commit(state, at_ms)
    store.begins_ms.clear()
    for now_ms in range(100, 200):
        for _, key in state.due(now_ms):
            state.put(key, b"lapsed")
        # Another batch sees the store before it has what this one changed.
        changes = state.seal()
        state.put(b"later%d" % now_ms, b"held", now_ms + 1_000)
        state.write(changes, 100 + now_ms)
        state.release()
        commit(state, 300 + now_ms)
    assert store.begins_ms == [100, *range(100, 199)]


def test_a_value_that_lost_its_checksum_is_refused(store: Store) -> None:
    packed = bytearray(envelope.pack(b"value"))
    packed[-6] ^= 1
    store.apply(Changes([(b"k", bytes(packed))], [], {}, []), 1)
    with pytest.raises(envelope.CorruptValue):
        PartitionState(store).get(b"k")
