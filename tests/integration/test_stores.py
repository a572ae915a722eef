"""F36 to F42 on a worker: its store is a cache, and its changelog is believed with care."""

import re
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import google_crc32c
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from faults.foreign_changelog import copy_between_partitions
from integration.counting import KEY_TAG
from integration.workers import Fleet, LoggedRecord, Worker, producing, read_committed
from rocksdict import AccessType, Options, Rdict

from infra.stack.processes import wait_until
from state.stores import envelope
from state.stores.partition_state import NEVER_MS, WRITER_KEY, Changes
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


def test_f39_a_store_without_one_of_its_files_is_restored_whole(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    worker = worked_through(fleet, 2_000)
    for pattern in ("*-0.db/CURRENT", "*-1.db/*.sst"):
        files = list(worker.stores.glob(pattern))
        assert files, pattern
        for file in files:
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


def append_to_changelog(
    fleet: Fleet, key: bytes, *values: bytes | None, partition: int = 0
) -> None:
    with producing(fleet.brokers) as producer:
        for value in values:
            producer.produce(fleet.topics.changelog, value, key, partition)


def test_f42_a_malformed_record_with_a_newer_valid_one_is_passed_over(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1)
    worker = worked_through(fleet, 2_000)
    append_to_changelog(fleet, KEY_TAG + b"0-0", b"garbage")
    # The store has all that was written before; the next record of that key is the newer one.
    fleet.append([b"w"])
    worker.start().wait_ready()
    assert refused(worker) == {"damaged": 1}
    fleet.settle()
    assert worker.terminate() == 0
    worker.wipe()
    worker.start().wait_ready()
    assert refused(worker) == {"damaged": 1}
    fleet.produce(500, seed=2)
    fleet.settle()
    assert told(fleet) == 2_501


def test_s7_what_is_of_another_partition_store_or_time_is_left_out_and_counted(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet, other = new_fleet(partitions=2), new_fleet(partitions=2)
    worked_through(other, 500)
    worked_through(fleet, 1_000)
    first = {record.key: record for record in changelog(fleet, 0)}
    fleet.produce(1_000, seed=3)
    [worker] = fleet.workers
    worker.start()
    fleet.settle()
    assert worker.terminate() == 0
    assert copy_between_partitions(fleet.brokers, fleet.topics.changelog, 1, 0, 5) == 5
    for record in (first[KEY_TAG + b"0-0"], first[WRITER_KEY]):
        assert record.value is not None
        append_to_changelog(fleet, record.key, record.value)
    # A key of our store, deleted by somebody; and keys that it cannot have.
    append_to_changelog(fleet, KEY_TAG + b"0-1", None)
    append_to_changelog(fleet, KEY_TAG + b"1-1", b"garbage", b"n" * 900_000)
    append_to_changelog(fleet, b"x-foreign", changelog(other, 0)[0].value, None)
    append_to_changelog(fleet, b"", b"no key")
    append_to_changelog(fleet, b"\xffmoffset", b"17")
    worker.wipe()
    worker.start().wait_ready()
    assert refused(worker) == {"place": 5, "order": 2, "deletion": 2, "damaged": 4, "key": 2}
    fleet.produce(500, seed=2)
    fleet.settle()
    assert told(fleet) == 2_500


def test_s7_a_state_that_cannot_be_is_no_fault_of_the_command_that_met_it(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    worker = worked_through(fleet, 500)
    topic, key = fleet.topics.changelog, KEY_TAG + b"0-0"
    # As a fault in a worker of ours would leave it: well sealed, and nonsense.
    last = max(envelope.order_of(one.value or b"") for one in changelog(fleet, 0))
    nonsense = envelope.pack(b"none", seed=envelope.seed_of(topic, 0), order=last)
    append_to_changelog(fleet, key, nonsense)
    worker.wipe()
    worker.start().wait_ready()
    fleet.append([b"w"], 0)
    worker.wait_set_aside(1, "its state contradicts itself")
    fleet.append([b"w"] * 100, 1)
    assert wait_until(lambda: fleet.committed()[1] == fleet.ends()[1], 60), worker.tail()
    # The state is mended, and the very command is decided.
    append_to_changelog(fleet, key, latest_in_changelog(fleet, key, before=nonsense))
    fleet.settle()
    worker.wait_ready()
    assert worker.exit_codes == [0]
    assert read_committed(fleet.brokers, fleet.topics.dead, 2) == []


@pytest.mark.parametrize("former", [True, False])
def test_s7_a_value_of_the_first_format_is_believed_before_the_present_one_only(
    new_fleet: Callable[..., Fleet], former: bool
) -> None:
    fleet = new_fleet(partitions=1)
    ours, another = KEY_TAG + b"0-0", KEY_TAG + b"1-0"
    if former:
        append_to_changelog(fleet, ours, packed_formerly(b"7"))
        append_to_changelog(fleet, another, packed_formerly(b"7"))
    fleet.append([b"w"])
    worker = fleet.worker("one")
    if former:
        # A claim comes before what is written, also with the former format.
        move_group_to_0(fleet)
    worker.start().wait_ready()
    fleet.settle()
    if not former:
        append_to_changelog(fleet, another, packed_formerly(b"7"))
    assert worker.terminate() == 0
    worker.wipe()
    worker.start().wait_ready()
    assert refused(worker) == ({"key": 1} if former else {"order": 1})
    counts = read_committed(fleet.brokers, fleet.topics.counts, 1)
    assert [record.value for record in counts] == [b"0 8" if former else b"0 1"]


def packed_formerly(payload: bytes) -> bytes:
    """Return a value as it was written before values said where they belong."""
    body = struct.pack(">BQ", 1, 0) + payload
    return body + struct.pack(">I", google_crc32c.value(body))


def move_group_to_0(fleet: Fleet) -> None:
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    offsets = [TopicPartition(fleet.topics.words, 0, 0)]
    moved = admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(fleet.app_id, offsets)]
    )
    for future in moved.values():
        future.result(timeout=60)


def changelog(fleet: Fleet, partition: int) -> list[LoggedRecord]:
    """Return what lies in one partition of the changelog."""
    records = read_committed(fleet.brokers, fleet.topics.changelog, fleet.partitions)
    return [record for record in records if record.partition == partition]


def refused(worker: Worker) -> dict[str, float]:
    """Return how many changelog records were refused, by cause."""
    found = re.findall(
        r'seatstream_refused_changelog_records_total{cause="(\w+)"} (\S+)',
        worker.page("/metrics")[1],
    )
    return {cause: float(count) for cause, count in found}


def told(fleet: Fleet) -> int:
    """Return how many outcomes there are, once each key's totals were found to be 1, 2, 3, ..."""
    totals: Counter[bytes] = Counter()
    for record in read_committed(fleet.brokers, fleet.topics.counts, fleet.partitions):
        assert record.value is not None
        totals[record.key] += 1
        assert int(record.value.split()[1]) == totals[record.key]
    return totals.total()


def test_f42_a_malformed_record_without_a_newer_one_sets_its_partition_aside_until_there_is_one(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=4)
    worker = worked_through(fleet, 1_000)
    malformed = (b"", b"garbage", b"\x01" * 5_000)
    keys = [KEY_TAG + b"%d-0" % partition for partition in range(len(malformed))]
    stored = [latest_in_changelog(fleet, key) for key in keys]
    for partition, value in enumerate(malformed):
        append_to_changelog(fleet, keys[partition], value, partition=partition)
    worker.wipe()
    worker.start().wait_set_aside(len(malformed), "changelog values cannot be read")
    # The other partition goes on, and so do these once they are mended.
    fleet.append([b"w"] * 100, 3)
    assert wait_until(lambda: fleet.committed()[3] == fleet.ends()[3], 60), worker.tail()
    for partition, value in enumerate(stored):
        append_to_changelog(fleet, keys[partition], value, partition=partition)
    worker.wait_ready()
    for partition in range(len(malformed)):
        fleet.append([b"w"] * 100, partition)
    fleet.settle()
    assert worker.exit_codes == [0]


def latest_in_changelog(fleet: Fleet, key: bytes, before: bytes = b"") -> bytes:
    """Return the last value of a key, or the last one that is not `before`."""
    topic = fleet.topics.changelog
    *_, value = [
        record.value
        for record in read_committed(fleet.brokers, topic, fleet.partitions)
        if record.key == key and record.value != before
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
