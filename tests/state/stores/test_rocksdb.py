"""F36 to F41 without a broker: a damaged or foreign store is thrown away, never trusted."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from state.stores import envelope
from state.stores.envelope import CorruptValue
from state.stores.partition_state import Changes
from state.stores.rocksdb import (
    ClosedStore,
    CorruptStore,
    RocksDBStore,
    RocksDBStores,
    StoreFull,
    StoreMemory,
)

MEMORY = StoreMemory(1 << 20, 8 << 20)
ENTRIES = 3_000


def open_store(directory: Path, identity: str = "one") -> RocksDBStore:
    return RocksDBStores(directory, MEMORY).open("changelog", 0, identity)


def fill(store: RocksDBStore, first: int = 0, *, changelog_offset: int = ENTRIES) -> None:
    """Put values that do not compress, each with a due time of its own."""
    keys = [b"k%05d" % number for number in range(first, first + ENTRIES)]
    puts = [(key, envelope.pack(os.urandom(100), 1 + at)) for at, key in enumerate(keys)]
    dues = {1 + at: [key] for at, key in enumerate(keys)}
    store.apply(Changes(puts, [], dues, []), changelog_offset)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Give the directory of a closed store with one table file."""
    store = open_store(tmp_path)
    fill(store)
    store.flush()
    store.close()
    assert store.path == tmp_path / "changelog-0.db"
    return store.path


def read_everything(store: RocksDBStore) -> None:
    store.get_many([b"k%05d" % number for number in range(ENTRIES)])


def assert_made_anew(directory: Path) -> None:
    store = open_store(directory)
    assert store.changelog_offset == 0
    assert store.get_many([b"k00001"]) == [None]
    store.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.get_many([b"k00001"]),
        lambda store: store.keys(b"k"),
        lambda store: store.due(10),
        lambda store: list(store.items()),
        lambda store: store.apply(Changes([(b"k", b"v")], [], {}, []), 1),
        lambda store: store.flush(),
    ],
)
def test_a_closed_store_is_no_damaged_one_and_leaves_the_next_owners_alone(
    filled: Path, tmp_path: Path, ask: Callable[[RocksDBStore], object]
) -> None:
    former = open_store(tmp_path)
    former.close()
    store = open_store(tmp_path)
    with pytest.raises(ClosedStore):
        ask(former)
    former.close()
    store.close()
    assert not (filled / "CORRUPT").exists()
    again = open_store(tmp_path)
    read_everything(again)
    assert again.changelog_offset == ENTRIES
    again.close()


def test_f36_a_crash_before_the_flush_leaves_an_older_store_with_its_own_offset(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "live")
    fill(store, changelog_offset=50)
    store.flush()
    fill(store, ENTRIES, changelog_offset=90)
    # What lies on the disk now is what a kill leaves: the second write is in memory only.
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    store.close()
    survivor = open_store(tmp_path / "crashed")
    assert survivor.changelog_offset == 50
    assert survivor.get_many([b"k%05d" % ENTRIES]) == [None]
    assert None not in survivor.get_many([b"k%05d" % number for number in range(ENTRIES)])
    survivor.close()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_f38_a_flipped_byte_is_an_error_and_the_store_is_made_anew(
    filled: Path, tmp_path: Path, share: float
) -> None:
    table = next(filled.glob("*.sst"))
    damaged = bytearray(table.read_bytes())
    damaged[int(len(damaged) * share)] ^= 0x10
    table.write_bytes(damaged)
    store = open_store(tmp_path)
    with pytest.raises(CorruptStore):
        # Of both, because one block holds values or index entries.
        _read_values_and_index(store)
    store.close()
    assert_made_anew(tmp_path)


def _read_values_and_index(store: RocksDBStore) -> None:
    entries, _ = store.due(1 << 60)
    assert len(entries) == ENTRIES, "the index ended early without a word"
    read_everything(store)


def look_at_values(store: RocksDBStore) -> None:
    """Read values as a survey does, which fails at one of them and keeps its place."""
    for _ in store.items():
        raise CorruptValue


@pytest.mark.parametrize("is_damaged", [True, False])
@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.keys(b"k"),
        lambda store: store.due(1 << 60),
        lambda store: list(store.items()),
        look_at_values,
    ],
    ids=["keys", "due", "items", "values"],
)
def test_f38_a_store_is_made_anew_while_somebody_still_has_the_error_of_the_old_one(
    filled: Path, tmp_path: Path, read: Callable[[RocksDBStore], object], is_damaged: bool
) -> None:
    table = next(filled.glob("*.sst"))
    if is_damaged:
        # In each block, whatever it holds.
        damaged = bytearray(table.read_bytes())
        for at in range(0, len(damaged) - 8_000, 4_000):
            damaged[at] ^= 0x10
        table.write_bytes(damaged)
    store = open_store(tmp_path)
    kept: list[Exception] = []
    try:
        read(store)
    except (CorruptStore, CorruptValue) as error:
        # Its frames hold whatever they had, as those of a task that failed do.
        kept.append(error)
    assert bool(kept) is (is_damaged or read is look_at_values)
    store.close()
    again = open_store(tmp_path)
    assert (again.changelog_offset == 0) is is_damaged
    again.close()


def test_a_walk_that_is_under_way_ends_with_its_store(filled: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    walk = store.items()
    next(walk)
    store.close()
    with pytest.raises(ClosedStore):
        next(walk)
    open_store(tmp_path).close()


@pytest.mark.parametrize("byte_from_end", [20, 60, 200, 700])
def test_f38_damage_that_shows_at_the_opening_is_no_obstacle(
    filled: Path, tmp_path: Path, byte_from_end: int
) -> None:
    table = next(filled.glob("*.sst"))
    damaged = bytearray(table.read_bytes())
    damaged[-byte_from_end] ^= 0x10
    table.write_bytes(damaged)
    store = open_store(tmp_path)
    if store.changelog_offset == 0:
        assert store.get_many([b"k00001"]) == [None]
        assert store.due(1 << 60)[0] == []
        store.close()
        return
    try:
        _read_values_and_index(store)
        store.close()
    except CorruptStore:
        store.close()
        assert_made_anew(tmp_path)


@pytest.mark.parametrize("pattern", ["CURRENT", "*.sst", "MANIFEST-*"])
def test_f39_a_missing_file_means_a_new_store(filled: Path, tmp_path: Path, pattern: str) -> None:
    next(filled.glob(pattern)).unlink()
    assert_made_anew(tmp_path)


@pytest.mark.parametrize("pattern", ["CURRENT", "*.sst", "MANIFEST-*"])
def test_f39_a_cut_file_means_a_new_store(filled: Path, tmp_path: Path, pattern: str) -> None:
    file = next(filled.glob(pattern))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    store = open_store(tmp_path)
    # Whole or empty, and its offset says which.
    if store.changelog_offset:
        read_everything(store)
    else:
        assert store.get_many([b"k00001"]) == [None]
    store.close()


@contextmanager
def room_of(file_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size: what a full disk looks like, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_f40_a_full_disk_is_an_error_that_deletes_nothing(filled: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, ENTRIES, changelog_offset=2 * ENTRIES)
    with room_of(64 << 10), pytest.raises(StoreFull):
        store.flush()
    with suppress(StoreFull):
        store.close()
    survivor = open_store(tmp_path)
    assert survivor.changelog_offset == ENTRIES
    read_everything(survivor)
    survivor.close()


def test_f40_no_store_is_opened_on_a_full_disk_and_none_is_deleted(
    filled: Path, tmp_path: Path
) -> None:
    with room_of(0), pytest.raises(StoreFull):
        open_store(tmp_path)
    store = open_store(tmp_path)
    assert store.changelog_offset == ENTRIES
    store.close()


def test_a_store_of_another_changelog_is_made_anew(filled: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path, identity="two")
    assert store.changelog_offset == 0
    assert store.get_many([b"k00001"]) == [None]
    store.close()


def test_a_store_in_use_is_refused_and_left_alone(filled: Path, tmp_path: Path) -> None:
    user = open_store(tmp_path)
    with pytest.raises(Exception, match="LOCK"):
        open_store(tmp_path)
    read_everything(user)
    user.close()
    again = open_store(tmp_path)
    assert again.changelog_offset == ENTRIES
    again.close()
