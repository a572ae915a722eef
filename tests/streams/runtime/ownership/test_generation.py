"""A generation from assignment to its end: who runs, who is tried again, and what is left open.

What a take-over brings is told by the test; stores are real, producers in memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import IllegalGenerationError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from support.pods.conditions import until
from support.workers.echo import CHANGELOG, OUT, SOURCE, Echo, echoed
from support.workers.parts import PARTITIONS, Consumer, parts_over
from support.workers.producers_in_memory import ProducersInMemory

from state.stores.partition_state import Changes, PartitionState
from streams.runtime.outside.executor import IntentExecutor
from streams.runtime.ownership import generation as module
from streams.runtime.ownership.committed_records import Found, Refusal
from streams.runtime.ownership.generation import Generation
from streams.runtime.ownership.positions import Place
from streams.runtime.ownership.takeover import Taken, TakeOver
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.process.observer import Observer
from streams.runtime.slim_records import Stretch
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transport import Fetch, Slice
from streams.runtime.worker_parts import WorkerParts
from streams.settings import Settings


class Nobody:
    """A group of which these tests ask nothing."""

    async def committed(
        self, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | KafkaError]:
        raise NotImplementedError

    async def claim(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        raise NotImplementedError


class ToldTakeOver(TakeOver):
    """Brings what a test says; opens real stores for those that run.

    troubles: by partition, what stands in the way of its next takes, in turn.
    raises:   what the next take raises.
    goes:     while it is not set, a take does not end.
    """

    def __init__(self, parts: WorkerParts, **options: Any) -> None:
        super().__init__(parts, **options)
        self.parts = parts
        self.troubles: dict[int, list[str]] = {}
        self.raises: Exception | None = None
        self.taken: list[list[int]] = []
        self.goes = asyncio.Event()
        self.goes.set()

    async def take(
        self,
        places: Collection[Place],
        *,
        beside: Awaitable[None],
        stalled_s: float,  # noqa: ARG002
    ) -> Taken:
        await beside
        self.taken.append([number for _, number in places])
        await self.goes.wait()
        if self.raises is not None:
            raise self.raises
        taken = Taken()
        for topic, number in places:
            if waiting := self.troubles.get(number):
                taken.troubles[topic, number] = PartitionTrouble(waiting.pop(0), "changelog")
                continue
            store = self.parts.stores.open(CHANGELOG, number, "id")
            taken.partitions[topic, number] = InputPartition(
                self.parts.routes[topic],
                topic,
                number,
                PARTITIONS,
                PartitionState(store),
                0,
                0,
                self.parts.journal,
            )
        return taken


class ToldObserver(Observer):
    """Remembers the pauses before each try."""

    def __init__(self) -> None:
        super().__init__(30)
        self.pauses_s: list[float] = []

    def set_aside(self, place: str, trouble: PartitionTrouble, pause_s: float) -> None:
        super().set_aside(place, trouble, pause_s)
        self.pauses_s.append(pause_s)


class ToldIntents(IntentExecutor):
    """Remembers whose intents are performed.

    let_go: numbers of the partitions whose stores nothing of it touches any more.
    """

    def __init__(self) -> None:
        self.performs: set[int] = set()
        self.let_go: set[int] = set()

    def join(self, partition: InputPartition) -> None:
        self.performs.add(partition.number)
        self.let_go.discard(partition.number)

    def pause(self, partition: InputPartition) -> None:
        self.performs.discard(partition.number)

    async def leave(self, partition: InputPartition) -> None:
        self.pause(partition)
        # Still open: whatever touches it may end.
        assert list(partition.state.store.items()) is not None
        self.let_go.add(partition.number)

    def committed(self, partition: InputPartition, changes: Changes) -> None:
        """Nobody asks."""


class Bench:
    """A worker to which partitions 0, 1 and 2 are assigned."""

    def __init__(self, directory: Path) -> None:
        self.consumer = Consumer()
        self.observer = ToldObserver()
        parts = parts_over(
            directory, Echo().route(), self.consumer, Settings(app_id="seats", instance="one")
        )
        self.intents = ToldIntents()
        self.parts = replace(parts, observer=self.observer, intents=self.intents)
        places = [(SOURCE, number) for number in range(3)]
        self.generation = Generation(self.parts, 7, places, Nobody())
        assert isinstance(self.generation._producers, ProducersInMemory)
        assert isinstance(self.generation._takeover, ToldTakeOver)
        self.producers = self.generation._producers
        self.takeover = self.generation._takeover

    @property
    def running(self) -> list[int]:
        return sorted(number for _, number in self.generation.partitions)

    async def commit(self, number: int, *values: bytes) -> None:
        """Bring values to a running partition, and wait until they are committed."""
        partition = self.generation.partitions[SOURCE, number]
        begin = partition.next_offset
        records = Stretch(echoed(begin, *values))
        records.begin = begin
        fetch = Fetch((Slice(SOURCE, number, records),), dict(self.generation.partitions))
        self.generation.feed(fetch)
        await until(lambda: partition.committed_offset == begin + len(values))

    async def look_up(self, number: int) -> Found | Refusal:
        return await self.generation.committed.read(SOURCE, number, [b"last"], self.parts.executor)


def on_a_bench(directory: Path, talk: Callable[[Bench], Awaitable[None]]) -> None:
    async def conversation() -> None:
        bench = Bench(directory)
        try:
            await talk(bench)
        finally:
            bench.takeover.goes.set()
            bench.producers.goes.set()
            await bench.generation.close()
            bench.parts.executor.shutdown()

    asyncio.run(conversation())


@pytest.fixture(autouse=True)
def without_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TransactionalProducers", lambda *_: ProducersInMemory())
    monkeypatch.setattr(module, "TakeOver", ToldTakeOver)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.004)


def test_what_could_be_taken_runs_and_the_rest_is_tried_again_after_growing_pauses(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.takeover.troubles[1] = ["no answer"] * 5
        assert await bench.generation.open()
        assert bench.running == [0, 2]
        assert bench.generation.name == "seats-one-7"
        await bench.commit(2, b"a")
        await until(lambda: bench.running == [0, 1, 2])
        assert bench.observer.pauses_s == [0.001, 0.002, 0.004, 0.004, 0.004]
        assert bench.takeover.taken == [[0, 1, 2], *[[1]] * 5]
        assert bench.consumer.taken_in == ["in-1"]
        await bench.commit(1, b"b")
        assert bench.producers.values(OUT) == [b"a", b"b"]

    on_a_bench(tmp_path, talk)


def test_a_partition_in_trouble_leaves_and_comes_back_while_the_others_go_on(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        await bench.generation.open()
        await bench.commit(0, b"a")
        bench.takeover.goes.clear()
        bench.generation.in_trouble((SOURCE, 0), PartitionTrouble("its disk is full", "store"))
        assert bench.running == [1, 2]
        assert bench.consumer.paused == {"in-0"}
        assert await bench.look_up(0) is Refusal.NOT_READY
        await bench.commit(1, b"b")
        await until(lambda: bench.takeover.taken[1:] == [[0]])
        assert not bench.observer.ready()[0]
        bench.takeover.goes.set()
        await until(lambda: bench.running == [0, 1, 2])
        # Its store was closed and opened again: it has what was committed before.
        found = await bench.look_up(0)
        assert isinstance(found, Found)
        assert found.payloads == [b"a"]
        assert bench.observer.ready()[0]

    on_a_bench(tmp_path, talk)


def test_a_trouble_after_some_progress_is_another_one_and_its_pauses_begin_anew(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.takeover.troubles[0] = ["no answer"] * 2
        await bench.generation.open()
        await until(lambda: bench.running == [0, 1, 2])
        bench.generation.in_trouble((SOURCE, 0), PartitionTrouble("again", "input"))
        await until(lambda: bench.running == [0, 1, 2])
        await bench.commit(0, b"a")
        bench.generation.in_trouble((SOURCE, 0), PartitionTrouble("another", "input"))
        await until(lambda: len(bench.observer.pauses_s) == 4)
        assert bench.observer.pauses_s == [0.001, 0.002, 0.004, 0.001]

    on_a_bench(tmp_path, talk)


def test_intents_are_performed_of_partitions_that_run_until_they_leave(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.takeover.troubles[1] = ["no answer"]
        await bench.generation.open()
        assert bench.intents.performs >= {0, 2}
        await until(lambda: bench.running == [0, 1, 2])
        await until(lambda: bench.intents.performs == {0, 1, 2})
        bench.takeover.goes.clear()
        bench.generation.in_trouble((SOURCE, 0), PartitionTrouble("its disk is full", "store"))
        assert bench.intents.performs == {1, 2}
        await until(lambda: bench.intents.let_go == {0})
        bench.takeover.goes.set()
        await until(lambda: bench.intents.performs == {0, 1, 2})
        # Before the group is rejoined nothing is performed any more; then the stores are closed.
        await bench.generation.finish()
        assert bench.intents.performs == set()
        await bench.generation.close()
        assert bench.intents.let_go == {0, 1, 2}

    on_a_bench(tmp_path, talk)


def test_a_generation_that_the_group_has_left_behind_opens_nothing_and_ends_nobody(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.takeover.raises = IllegalGenerationError()
        assert not await bench.generation.open()
        assert bench.running == []

    on_a_bench(tmp_path, talk)


def test_a_generation_that_is_closed_while_it_opens_runs_nothing(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.takeover.goes.clear()
        opening = asyncio.create_task(bench.generation.open())
        await until(lambda: bench.takeover.taken == [[0, 1, 2]])
        closing = asyncio.create_task(bench.generation.close())
        await asyncio.sleep(0)
        assert not closing.done()
        bench.takeover.raises = OSError("the loop of the consumer has ended")
        bench.takeover.goes.set()
        assert not await opening
        await closing
        assert bench.running == []
        assert bench.producers.is_stopped

    on_a_bench(tmp_path, talk)


def test_closing_ends_the_transaction_on_its_way_and_lets_go_of_stores_and_producers(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        await bench.generation.open()
        bench.producers.goes.clear()
        committing = asyncio.create_task(bench.commit(0, b"a"))
        await until(lambda: bench.producers.begun == 1)
        closing = asyncio.create_task(bench.generation.close())
        await asyncio.sleep(0)
        assert not closing.done()
        bench.producers.goes.set()
        await closing
        await committing
        await bench.generation.close()
        assert bench.producers.is_stopped
        assert await bench.look_up(0) is Refusal.NOT_READY
        # Nobody has its store open any more, and it has the transaction.
        store = bench.parts.stores.open(CHANGELOG, 0, "id")
        assert store.changelog_offset == bench.producers.ends[CHANGELOG, 0]
        store.close()

    on_a_bench(tmp_path, talk)


def test_closing_waits_for_no_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 3_600.0)

    async def talk(bench: Bench) -> None:
        bench.takeover.troubles[1] = ["no answer"]
        await bench.generation.open()
        await bench.generation.close()
        assert bench.takeover.taken == [[0, 1, 2]]

    on_a_bench(tmp_path, talk)
