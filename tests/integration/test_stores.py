"""F36 to F42 on a worker: its store is a cache, and its changelog is believed with care."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from integration.counting import KEY_TAG
from integration.workers import Fleet, Worker, producing, read_committed
from rocksdict import AccessType, Options, Rdict

from infra.stack.processes import wait_until
from state.stores import envelope
from state.stores.partition_state import NEVER_MS, Changes
from state.stores.rocksdb import RocksDBStore, RocksDBStores, StoreMemory

pytestmark = pytest.mark.kafka


def tables(worker: Worker) -> list[Path]:
    return sorted(worker.stores.glob("*/*.sst"))


def worked_through(fleet: Fleet, words: int, *, keys: int = 50) -> Worker:
    fleet.produce(words, keys=keys)
    worker = fleet.worker("one").start().wait_ready()
    fleet.settle()
    assert worker.terminate() == 0
    return worker


def test_f36_after_a_kill_only_the_tail_is_restored(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(SEATSTREAM_STATIC_MEMBERSHIP="1", SEATSTREAM_SESSION_TIMEOUT_S="10")
    worker = worked_through(fleet, 20_000)
    worker.start().wait_ready()
    assert worker.metric("seatstream_restored_records_total") == 0
    fleet.produce(3_000, seed=2)
    fleet.settle()
    worker.kill()
    worker.start().wait_ready()
    # 50 keys and the progress a partition: far below what the first life wrote.
    assert 0 < worker.metric("seatstream_restored_records_total") <= 3_000
    fleet.settle()
    assert fleet.verify() == 23_000


def test_f38_a_flipped_byte_costs_its_partition_a_restore_and_nobody_else_anything(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    worker = worked_through(fleet, 5_000, keys=1_000)
    for table in worker.stores.glob("*-0.db/*.sst"):
        damaged = bytearray(table.read_bytes())
        # A block of counts, far from the one that is read when the store is opened.
        damaged[100] ^= 0x10
        table.write_bytes(damaged)
    fleet.produce(5_000, keys=1_000, seed=2)
    worker.start()
    fleet.settle()
    worker.wait_ready()
    assert worker.exit_codes == [0]
    assert fleet.verify() == 10_000
    assert "its store is damaged" in worker.output()


@pytest.mark.parametrize("pattern", ["*/CURRENT", "*/*.sst"])
def test_f39_a_store_without_one_of_its_files_is_restored_whole(
    new_fleet: Callable[..., Fleet], pattern: str
) -> None:
    fleet = new_fleet(partitions=2)
    worker = worked_through(fleet, 2_000)
    for file in worker.stores.glob(pattern):
        file.unlink()
    fleet.produce(500, seed=2)
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 2_500


def test_f41_a_store_ahead_of_its_changelog_is_restored_whole(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1)
    worker = worked_through(fleet, 2_000)
    with opened_store(fleet, worker) as store:
        assert store.changelog_offset > 0
        wrong = envelope.pack(b"1")
        puts = [(KEY_TAG + b"0-%d" % number, wrong) for number in range(50)]
        store.apply(Changes(sorted(puts), [], {}, []), 1 << 40)
    fleet.produce(500, seed=2)
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 2_500


def test_what_is_due_no_more_leaves_the_index_before_the_next_record(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1)
    worker = worked_through(fleet, 2_000)
    stale = {due_ms: [b"gone-%d" % due_ms] for due_ms in range(1, 20_001)}
    with opened_store(fleet, worker) as store:
        store.apply(Changes([], [], stale, []), None)
    fleet.produce(500, seed=2)
    worker.start().wait_ready()
    fleet.settle()
    assert worker.terminate() == 0
    with opened_store(fleet, worker) as store:
        # The handler of this topology never asks what is due.
        assert store.due(NEVER_MS) == ([], NEVER_MS)
    assert fleet.verify() == 2_500


@contextmanager
def opened_store(fleet: Fleet, worker: Worker) -> Iterator[RocksDBStore]:
    """Open the only store of a worker that has ended, as its next life would."""
    (path,) = worker.stores.iterdir()
    # The identity of the changelog stands in the store itself.
    copy = Path(shutil.copytree(path, fleet.directory / uuid4().hex))
    stores = RocksDBStores(worker.stores, StoreMemory(1 << 20, 1 << 20))
    store = stores.open(fleet.topics.changelog, 0, _identity_of(copy))
    try:
        yield store
        store.flush()
    finally:
        store.close()


def _identity_of(path: Path) -> str:
    db = Rdict(str(path), options=Options(raw_mode=True), access_type=AccessType.read_only())
    identity: bytes = db.get(b"\xffmidentity")
    db.close()
    return identity.decode()


def append_to_changelog(fleet: Fleet, key: bytes, *values: bytes) -> None:
    with producing(fleet.brokers) as producer:
        for value in values:
            producer.produce(fleet.topics.changelog, value, key, 0)


def test_f42_a_malformed_record_with_a_newer_valid_one_is_passed_over(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1)
    worker = worked_through(fleet, 2_000)
    append_to_changelog(fleet, b"x-foreign", b"garbage", envelope.pack(b"fine"))
    append_to_changelog(fleet, b"", b"no key")
    append_to_changelog(fleet, b"\xffmoffset", b"17")
    worker.wipe()
    worker.start().wait_ready()
    fleet.produce(500, seed=2)
    fleet.settle()
    assert sum(fleet.committed().values()) == 2_500


@pytest.mark.parametrize("malformed", [b"", b"garbage", b"\x01" * 5_000])
def test_f42_a_malformed_record_without_a_newer_one_sets_its_partition_aside_until_there_is_one(
    new_fleet: Callable[..., Fleet], malformed: bytes
) -> None:
    fleet = new_fleet(partitions=2)
    worker = worked_through(fleet, 500)
    stored = latest_in_changelog(fleet, KEY_TAG + b"0-0")
    append_to_changelog(fleet, KEY_TAG + b"0-0", malformed)
    worker.wipe()
    worker.start().wait_set_aside(1, "changelog values cannot be read")
    # The other partition goes on, and so does this one once it is mended.
    fleet.append([b"w"] * 100, 1)
    assert wait_until(lambda: fleet.committed()[1] == fleet.ends()[1], 60), worker.tail()
    append_to_changelog(fleet, KEY_TAG + b"0-0", stored)
    worker.wait_ready()
    fleet.append([b"w"] * 100, 0)
    fleet.settle()
    assert worker.exit_codes == [0]


def latest_in_changelog(fleet: Fleet, key: bytes) -> bytes:
    topic = fleet.topics.changelog
    *_, value = [
        record.value
        for record in read_committed(fleet.brokers, topic, fleet.partitions)
        if record.key == key
    ]
    assert value is not None
    return value


def test_f45_what_a_foreign_transaction_left_in_the_changelog_is_not_restored(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1)
    worker = worked_through(fleet, 500)
    config = {"bootstrap.servers": fleet.brokers, "transactional.id": fleet.prefix + "foreign"}
    foreign = Producer(config)
    foreign.init_transactions(20)
    foreign.begin_transaction()
    foreign.produce(fleet.topics.changelog, envelope.pack(b"1"), KEY_TAG + b"0-0", 0)
    foreign.flush(20)
    foreign.abort_transaction(20)
    worker.wipe()
    fleet.produce(500, seed=2)
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 1_000
