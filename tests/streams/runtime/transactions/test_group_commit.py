"""What waits in several partitions becomes one transaction after another, troubles apart.

Producers and stores are in memory; the handler echoes (`support.workers.echo`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from support.pods.conditions import until
from support.workers.echo import (
    BAD,
    BOOM,
    CHANGELOG,
    DEAD,
    NEWER,
    OUT,
    SAID,
    SOURCE,
    Echo,
    echoed,
)
from support.workers.parts import Consumer, partition_in_memory, parts_over
from support.workers.producers_in_memory import ProducersInMemory

from state.stores.memory import MemoryStore
from state.stores.partition_state import Changes
from state.stores.rocksdb import StoreFull
from streams.batch import Record
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd
from streams.runtime.slim_records import Stretch
from streams.runtime.transactions.group_commit import GroupCommit
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transport import Fetch, Slice
from streams.settings import Settings


class DiskStore(MemoryStore):
    """A store whose disk may be full."""

    is_full = False

    def apply(self, changes: Changes, changelog_offset: int | None) -> None:
        if self.is_full:
            raise StoreFull("no space left on device")
        super().apply(changes, changelog_offset)


class Bench:
    """A group commit over some partitions.

    left: the partitions that left, with the reason.
    asked: schema ids that the registry was asked for; it learns them when `registers` is set.
    """

    def __init__(self, directory: Path, count: int, **settings: int) -> None:
        self.echo = Echo()
        self.consumer = Consumer()
        self.producers = ProducersInMemory()
        self.left: dict[int, PartitionTrouble] = {}
        self.registers = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.parts = parts_over(
            directory,
            self.echo.route(),
            self.consumer,
            Settings(instance="one", **settings),  # type: ignore[arg-type]
            self._ask_registry,
        )
        self.stores = [DiskStore() for _ in range(count)]
        self.partitions = [
            partition_in_memory(self.parts, number, store)
            for number, store in enumerate(self.stores)
        ]
        self.commit = GroupCommit(
            self.parts,
            partitions=self.partitions,
            producers=self.producers,
            owner="owner-1",
            left=self._leaves,
        )

    def _leaves(self, partition: InputPartition, trouble: PartitionTrouble) -> None:
        self.left[partition.number] = trouble

    def _ask_registry(self, schema_id: int) -> bool:
        asyncio.run_coroutine_threadsafe(self.registers.wait(), self.loop).result(60)
        self.echo.known.add(schema_id)
        return True

    def fetch(self, **values_by_partition: Sequence[bytes]) -> None:
        """Bring values to partitions: p0=[...], p1=[...], where each of them stands."""
        intake = dict(self.commit.partitions)
        slices = []
        for name, values in values_by_partition.items():
            number = int(name.removeprefix("p"))
            begin = self.partitions[number].next_offset
            records = Stretch(echoed(begin, *values))
            records.begin = begin
            slices.append(Slice(SOURCE, number, records))
        self.commit.feed(Fetch(tuple(slices), intake))

    async def committed(self, **next_by_partition: int) -> None:
        """Wait until partitions are committed and stored up to these offsets."""
        wanted = {int(name.removeprefix("p")): next_by_partition[name]
                  for name in next_by_partition}  # fmt: skip
        await until(
            lambda: all(
                self.partitions[number].committed_offset == offset
                for number, offset in wanted.items()
            )
        )

    @property
    def out(self) -> list[bytes]:
        return self.producers.values(OUT)


def on_a_bench(
    directory: Path, talk: Callable[[Bench], Awaitable[None]], count: int = 2, **settings: int
) -> None:
    async def conversation() -> None:
        bench = Bench(directory, count, **settings)
        bench.commit.start()
        try:
            await talk(bench)
        finally:
            bench.producers.goes.set()
            await bench.commit.stop()
            bench.parts.executor.shutdown()

    asyncio.run(conversation())


def test_what_waits_in_all_partitions_is_one_transaction_and_stored_after_it(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.fetch(p0=[b"a", b"b"], p1=[b"c"])
        await bench.committed(p0=2, p1=1)
        [transaction] = bench.producers.log
        assert transaction.offsets == {(SOURCE, 0): 2, (SOURCE, 1): 1}
        assert transaction.owner == "owner-1"
        assert transaction.values[OUT, 0] == [b"a", b"b"]
        assert transaction.values[OUT, 1] == [b"c"]
        for number, last in enumerate([b"b", b"c"]):
            assert bench.partitions[number].state.get(b"last") == last
            assert bench.stores[number].changelog_offset == bench.producers.ends[CHANGELOG, number]

    on_a_bench(tmp_path, talk)


def test_what_arrives_while_a_transaction_is_on_its_way_becomes_the_next_one(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.producers.goes.clear()
        bench.fetch(p0=[b"a"])
        await until(lambda: bench.producers.begun == 1)
        bench.fetch(p0=[b"b"])
        bench.fetch(p1=[b"c"])
        assert bench.partitions[0].committed_offset == 0
        assert bench.producers.log == []
        bench.producers.goes.set()
        await bench.committed(p0=2, p1=1)
        assert [sorted(one.offsets.values()) for one in bench.producers.log] == [[1], [1, 2]]

    on_a_bench(tmp_path, talk)


def test_no_transaction_takes_more_records_than_it_may(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.fetch(p0=[b"%d" % at for at in range(10)], p1=[b"x"] * 3)
        await bench.committed(p0=10, p1=3)
        assert len(bench.producers.log) >= 4
        for one in bench.producers.log:
            assert sum(len(values) for place, values in one.values.items() if place[0] == OUT) <= 4
        assert [value for value in bench.out if value != b"x"] == [b"%d" % at for at in range(10)]

    on_a_bench(tmp_path, talk, transaction_records=4)


def test_a_failing_handler_takes_its_own_partition_out_and_nothing_of_it_is_published(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        # The fullest comes first: what was decided for it stays in the transaction, once.
        bench.fetch(p0=[b"a", b"b", b"c"], p1=[b"d", BOOM])
        await bench.committed(p0=3)
        assert bench.left[1].reason == "handler"
        assert "in-1: deciding offsets 0..1" in str(bench.left[1])
        assert bench.out == [b"a", b"b", b"c"]
        assert bench.partitions[1].committed_offset == 0
        assert bench.parts.journal.deaths("in-1") == 1
        bench.fetch(p0=[b"e"], p1=[b"f"])
        await bench.committed(p0=4)
        assert bench.out[3:] == [b"e"]

    on_a_bench(tmp_path, talk)


def test_a_state_that_contradicts_itself_is_to_blame_and_not_the_record(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.echo.contradicts = "a seat is held twice"
        bench.fetch(p0=[BOOM])
        await until(lambda: 0 in bench.left)
        assert bench.left[0].reason == "store"
        assert bench.left[0].forget_store
        assert bench.parts.journal.deaths("in-0") == 0

    on_a_bench(tmp_path, talk)


def test_too_many_dead_letters_set_their_partition_aside_before_one_is_written(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.fetch(p0=[BAD] * 3, p1=[BAD, b"a"])
        await bench.committed(p1=2)
        assert bench.left[0].reason == "dead_letters"
        assert bench.partitions[0].committed_offset == 0
        assert len(bench.producers.values(DEAD)) == 1

    on_a_bench(tmp_path, talk, dead_letter_run_limit=2)


def test_57_what_goes_to_a_database_is_there_before_its_offsets_and_what_is_wrong_is_a_letter(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.producers.goes.clear()
        bench.fetch(p0=[b"a", SAID + b"1", SAID + BAD], p1=[SAID + b"2"])
        await until(lambda: bench.producers.begun == 1)
        assert sorted(bench.echo.written) == [SAID + b"1", SAID + b"2", SAID + BAD]
        assert bench.partitions[0].committed_offset == 0
        bench.producers.goes.set()
        await bench.committed(p0=3, p1=1)
        assert bench.producers.values(DEAD) == [SAID + BAD]
        assert bench.out == [b"a"]

    on_a_bench(tmp_path, talk)


def test_63_a_database_in_trouble_sets_those_aside_who_write_there_and_passes_nothing_over(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.echo.database_trouble = "the server is starting up"
        bench.fetch(p0=[b"a", SAID + b"1"], p1=[b"b"])
        await bench.committed(p1=1)
        assert bench.left[0].reason == "database"
        assert "in-0 says could not be written: the server is starting" in str(bench.left[0])
        assert (bench.partitions[0].committed_offset, bench.out) == (0, [b"b"])
        # No record is to blame.
        assert bench.parts.journal.deaths("in-0") == 0
        assert bench.producers.values(DEAD) == []

    on_a_bench(tmp_path, talk)


def test_a_partition_that_needs_a_schema_waits_and_the_others_go_on(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.fetch(p0=[b"schema 7", b"a"])
        await until(lambda: bench.partitions[0].is_waiting)
        assert bench.consumer.paused == {"in-0"}
        bench.fetch(p1=[b"b"])
        await bench.committed(p1=1)
        bench.registers.set()
        await bench.committed(p0=2)
        assert bench.consumer.paused == set()
        assert bench.out == [b"b", b"schema 7", b"a"]

    on_a_bench(tmp_path, talk)


def test_a_partition_that_needs_newer_code_waits_with_what_it_has(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.fetch(p0=[NEWER], p1=[b"a"])
        await bench.committed(p1=1)
        assert bench.partitions[0].is_waiting
        assert bench.partitions[0].buffered_records == 1
        assert bench.left == {}
        assert "a type of tomorrow" in bench.parts.observer.ready()[1]

    on_a_bench(tmp_path, talk)


def test_fetching_waits_for_room_and_what_waits_for_a_schema_takes_none(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.producers.goes.clear()
        bench.fetch(p0=[b"a"])
        await until(lambda: bench.producers.begun == 1)
        bench.fetch(p0=[b"x" * 2_000])
        waiting = asyncio.create_task(bench.commit.has_room())
        await asyncio.sleep(0)
        assert not waiting.done()
        bench.producers.goes.set()
        await waiting
        bench.fetch(p1=[b"schema 7", b"x" * 2_000])
        await until(lambda: bench.partitions[1].is_waiting)
        await bench.commit.has_room()

    on_a_bench(tmp_path, talk, buffer_bytes=1_000)


def test_a_full_disk_takes_its_partition_out_and_keeps_what_was_committed_in_its_state(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.stores[0].is_full = True
        bench.fetch(p0=[b"a"], p1=[b"b"])
        await bench.committed(p0=1, p1=1)
        assert "disk is full" in str(bench.left[0])
        assert bench.partitions[0].state.get(b"last") == b"a"
        assert bench.stores[0].stored == {}
        assert bench.stores[1].changelog_offset == bench.producers.ends[CHANGELOG, 1]
        await bench.partitions[0].settled()

    on_a_bench(tmp_path, talk)


def test_nothing_begins_while_a_topic_is_missing(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.commit.hold_back(True)
        bench.fetch(p0=[b"a"])
        await asyncio.sleep(0)
        assert bench.producers.begun == 0
        bench.commit.hold_back(False)
        await bench.committed(p0=1)

    on_a_bench(tmp_path, talk)


def test_what_was_fetched_for_a_partition_that_left_does_not_reach_the_one_in_its_place(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        former = bench.partitions[0]
        begin = former.next_offset
        records: Stretch = Stretch(echoed(begin, b"late"))
        late = Fetch((Slice(SOURCE, 0, records),), dict(bench.commit.partitions))
        bench.commit.leave(former, PartitionTrouble("gone", "input"))
        heir = bench.partitions[0] = partition_in_memory(bench.parts, 0)
        bench.commit.join(heir)
        bench.commit.feed(late)
        assert heir.buffered_records == 0
        bench.fetch(p0=[b"a"])
        await bench.committed(p0=1)
        assert bench.out == [b"a"]

    on_a_bench(tmp_path, talk)


def test_a_changelog_that_goes_on_before_its_end_lets_nothing_be_committed(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        with pytest.raises(WorkerMustEnd, match="goes on at offset 3, before what this worker"):
            bench.producers.went_back(CHANGELOG, 0, 3)
        # An output that lost records is told anew instead.
        bench.producers.went_back(OUT, 0, 3)

    on_a_bench(tmp_path, talk)


def test_stopping_waits_for_the_transaction_on_its_way_and_takes_nothing_more(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.producers.goes.clear()
        bench.fetch(p0=[b"a"])
        await until(lambda: bench.producers.begun == 1)
        bench.fetch(p0=[b"b"])
        stopping = asyncio.create_task(bench.commit.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        bench.producers.goes.set()
        await stopping
        assert bench.out == [b"a"]
        assert bench.partitions[0].committed_offset == 1
        bench.fetch(p0=[b"c"])
        taken: Sequence[Record] = bench.partitions[0].take(10)
        assert [record.value for record in taken] == [b"b"]

    on_a_bench(tmp_path, talk)
