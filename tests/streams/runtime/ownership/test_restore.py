"""A restore reads each changelog to its end, leaves who stands still, and finishes the others.

The consumer is one of the test's; that a real one behaves so is shown with brokers.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiokafka import TopicPartition

from state.stores.envelope import pack, seed_of
from state.stores.memory import MemoryStore
from state.stores.partition_state import Changes
from state.stores.rocksdb import CorruptStore
from streams.batch import Record
from streams.driver import PipedRecord
from streams.runtime.ownership.changelog import ChangelogReader
from streams.runtime.ownership.restore import _Reading, restore
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.transactions.record_batches import Unreadable

TOPIC = "changelog"


class Consumer:
    """Gives what a test puts into partitions, one record of each at a time.

    logs: records by partition; None for an offset that has none: a marker, or compacted away.
    stands: partitions whose next fetch brings nothing. stable: their last stable offsets.
    """

    def __init__(self) -> None:
        self.logs: dict[int, list[bytes | Unreadable | None]] = {}
        self.at: dict[int, int] = {}
        self.stands: set[int] = set()
        self.stable: dict[int, int] = {}

    async def getmany(self, *, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        await asyncio.sleep(0)
        assert timeout_ms > 0
        fetched: dict[TopicPartition, Sequence[Record]] = {}
        for number, log in self.logs.items():
            at = self.at.get(number, 0)
            if number in self.stands or at >= len(log):
                continue
            self.at[number] = at + 1
            entry = log[at]
            if isinstance(entry, Unreadable):
                fetched[TopicPartition(TOPIC, number)] = [entry]
            elif entry is not None:
                fetched[TopicPartition(TOPIC, number)] = [
                    PipedRecord(TOPIC, number, at, 0, b"key", entry, ())
                ]
        return fetched

    async def position(self, tp: TopicPartition) -> int:
        return self.at.get(tp.partition, 0)

    def last_stable_offset(self, tp: TopicPartition) -> int | None:
        return self.stable.get(tp.partition)


class BadStore(MemoryStore):
    def apply(self, *_: object) -> None:
        raise CorruptStore("checksum mismatch")


def value(number: int, order: int) -> bytes:
    return pack(b"%d" % order, seed=seed_of(TOPIC, number), order=order)


class Bench:
    """Changelogs to restore; those in `logs` of the consumer."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.stores: dict[int, MemoryStore] = {}
        self.progress: list[tuple[int, int]] = []
        self.is_cancelled = False

    def has(self, number: int, *log: bytes | Unreadable | None) -> None:
        self.consumer.logs[number] = list(log)
        self.stores.setdefault(number, MemoryStore(seed_of(TOPIC, number)))

    def restored(self, stalled_s: float = 60.0) -> tuple[int, dict[int, PartitionTrouble]]:
        stores = {(TOPIC, number): store for number, store in self.stores.items()}
        readers = {
            place: ChangelogReader(*place, store, 4, None) for place, store in stores.items()
        }
        ends = {TopicPartition(TOPIC, number): len(log)
                for number, log in self.consumer.logs.items()}  # fmt: skip

        async def reading() -> tuple[int, dict[int, PartitionTrouble]]:
            with ThreadPoolExecutor(1) as executor:
                one = _Reading(self.consumer, stores, readers, ends, executor)
                await one.run(
                    lambda *told: self.progress.append(told), lambda: self.is_cancelled, stalled_s
                )
            return one.read, {number: trouble for (_, number), trouble in one.troubles.items()}

        return asyncio.run(reading())


def test_every_changelog_is_read_to_its_end_and_its_last_values_are_stored() -> None:
    bench = Bench()
    bench.has(0, value(0, 1), None, value(0, 2))
    bench.has(1, value(1, 1), None)
    assert bench.restored() == (3, {})
    assert bench.stores[0].stored[b"key"] == value(0, 2)
    assert (bench.stores[0].changelog_offset, bench.stores[1].changelog_offset) == (3, 2)
    assert sum(read for read, _ in bench.progress) == 3
    assert bench.progress[-1][1] == 0


def test_who_stands_still_is_left_with_what_keeps_it_and_the_others_are_finished() -> None:
    bench = Bench()
    bench.has(0, value(0, 1), value(0, 2))
    bench.has(1, value(1, 1), value(1, 2))
    bench.has(2, value(2, 1))
    bench.consumer.stands = {0, 1}
    bench.consumer.stable = {1: 0}
    read, troubles = bench.restored(stalled_s=0.05)
    assert read == 1
    assert sorted(troubles) == [0, 1]
    assert "at 0 of 2. Look at the brokers" in str(troubles[0])
    assert "a transaction that began at 0 is still open" in str(troubles[1])
    assert bench.stores[2].changelog_offset == 1


def test_a_damaged_batch_or_store_is_its_partitions_trouble() -> None:
    bench = Bench()
    bench.has(0, value(0, 1), Unreadable(1, "its checksum is wrong"))
    bench.stores[1] = BadStore(seed_of(TOPIC, 1))
    bench.has(1, value(1, 1))
    bench.has(2, value(2, 1))
    _, troubles = bench.restored()
    assert sorted(troubles) == [0, 1]
    assert "changelog-0: the record batch at 1" in str(troubles[0])
    assert troubles[1].forget_store
    assert bench.stores[2].changelog_offset == 1


def test_a_value_that_cannot_be_read_and_has_no_newer_one_is_not_gone_on_from() -> None:
    bench = Bench()
    bench.has(0, value(0, 1), b"noise")
    bench.has(1, value(1, 1), b"noise", value(1, 2))
    _, troubles = bench.restored()
    assert list(troubles) == [0]
    assert "have no newer value" in str(troubles[0])
    assert troubles[0].forget_store


def test_a_restore_that_is_given_up_blames_nobody() -> None:
    bench = Bench()
    bench.has(0, value(0, 1), b"noise")
    bench.is_cancelled = True
    assert bench.restored() == (0, {})


def test_stores_that_have_all_ask_no_broker() -> None:
    store = MemoryStore()
    store.apply(Changes([], [], {}, []), 7)

    async def nothing_to_do() -> None:
        with ThreadPoolExecutor(1) as executor:
            assert await restore(
                {"bootstrap_servers": "127.0.0.1:1"},
                {(TOPIC, 0): store},
                {(TOPIC, 0): 7},
                {},
                executor=executor,
                progressed=lambda *_: None,
                cancelled=lambda: False,
                stalled_s=1.0,
            ) == (0, {})

    asyncio.run(nothing_to_do())
