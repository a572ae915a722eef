"""The store in memory beside RocksDB: whatever one answers, the other does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole

from state.stores.memory import MemoryStore
from state.stores.partition_state import NEVER_MS, NO_LIMIT, Changes, DueEntry, Store
from state.stores.rocksdb import RocksDBStores, StoreMemory

KEYS = st.sampled_from([b"r1", b"r2", b"s1", b"s2", b"\xffwriter", b"\xff\xff"])
PREFIXES = (b"r", b"s", b"s1", b"x")
DUES_MS = st.sampled_from([1, 10, 10, 20, 1 << 40])

changes = st.builds(
    lambda puts, *more: Changes(sorted(puts.items()), *more),
    st.dictionaries(KEYS, st.binary(max_size=4), max_size=4),
    st.lists(KEYS, max_size=2),
    st.dictionaries(DUES_MS, st.lists(KEYS, min_size=1, max_size=3), max_size=3),
    st.just([]),
    st.integers(0, 3),
    st.none() | st.integers(0, 9),
)
questions = st.tuples(
    st.sampled_from([-1, 0, 1, 10, 20, 1 << 50]),
    st.sampled_from([0, 1, 2, NO_LIMIT]),
    st.sampled_from([0, 1, 10, 11]),
)


@contextmanager
def rocksdb() -> Iterator[Store]:
    with TemporaryDirectory() as directory:
        stores = RocksDBStores(Path(directory), StoreMemory(1 << 20, 1 << 20))
        store = stores.open("changelog", 0, "identity")
        yield store
        store.close()


def due(store: Store, question: tuple[int, int, int]) -> object:
    """Ask what is due; names of entries are each store's own."""
    horizon_ms, limit, begin_ms = question
    entries, following_ms = store.due(horizon_ms, limit, begin_ms=begin_ms)
    return [(entry.due_ms, entry.keys) for entry in entries], following_ms


@settings(max_examples=of_whole(15))
@given(
    st.lists(st.tuples(changes, st.integers(0, 3)), max_size=6), st.lists(questions, max_size=6)
)
def test_it_answers_as_a_store_on_disk_does(
    written: list[tuple[Changes, int]], asked: list[tuple[int, int, int]]
) -> None:
    memory = MemoryStore()
    with rocksdb() as disk:
        for number, (change, fired) in enumerate(written, 1):
            for store in (memory, disk):
                oldest: list[DueEntry] = store.due(1 << 50)[0][:fired]
                store.apply(change._replace(spent=[entry.name for entry in oldest]), 10 * number)
        keys = [b"r1", b"r2", b"s1", b"s2", b"never", b"\xffwriter"]
        assert memory.get_many(keys) == disk.get_many(keys)
        assert list(memory.items()) == list(disk.items())
        for prefix in PREFIXES:
            assert memory.keys(prefix) == disk.keys(prefix)
        for question in asked:
            assert due(memory, question) == due(disk, question)
        for name in ("changelog_offset", "order", "writer_at"):
            assert getattr(memory, name) == getattr(disk, name)


def test_a_limit_of_none_begins_no_time_and_names_the_next() -> None:
    store = MemoryStore()
    store.apply(Changes([], [], {20: [b"r2"], 10: [b"r1"]}, []), 1)
    assert store.due(30, 0) == ([], 10)


def test_one_time_is_not_cut_by_a_limit_and_the_next_is_not_begun() -> None:
    store = MemoryStore()
    store.apply(Changes([], [], {10: [b"r1", b"r2"]}, []), 1)
    store.apply(Changes([], [], {10: [b"r3"], 20: [b"r4"]}, []), 2)
    found, following_ms = store.due(30, 1)
    assert [entry.keys for entry in found] == [[b"r1", b"r2"], [b"r3"]]
    assert following_ms == 20


def test_entries_to_pass_over_count_for_no_limit() -> None:
    store = MemoryStore()
    store.apply(Changes([], [], {10: [b"r1"], 20: [b"r2"]}, []), 1)
    [first], _ = store.due(10)
    found, following_ms = store.due(30, 1, {first.name})
    assert ([entry.keys for entry in found], following_ms) == ([[b"r2"]], NEVER_MS)


def test_what_was_not_published_moves_no_offset() -> None:
    store = MemoryStore()
    store.apply(Changes([(b"a", b"1")], [], {}, [], order=4), 70)
    store.apply(Changes([(b"a", b"2")], [], {}, []), None)
    assert (store.changelog_offset, store.order, store.writer_at) == (70, 4, 69)
    assert store.get_many([b"a"]) == [b"2"]
    assert store.statistics() == {"value_bytes": 1}
