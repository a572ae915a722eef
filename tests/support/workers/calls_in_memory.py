"""A worker whose destinations, brokers and stores are in memory: intents from end to end.

What is appended comes back to the partition, is decided and committed, as from a broker.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaConnectionError
from support.workers.calling import calling, tell
from support.workers.echo import FakeRecord
from support.workers.parts import Consumer, partition_in_memory, parts_over
from support.workers.producers_in_memory import ProducersInMemory

from infra.process.record_ids import Headers
from state.stores.memory import MemoryStore
from streams.intents import JITTER_SHARE, Answer, Intent, Performer, Result
from streams.runtime.outside.answers import AnswerLog
from streams.runtime.outside.executor import IntentExecutor
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.slim_records import Stretch
from streams.runtime.transactions.group_commit import GroupCommit
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transport import Fetch, Slice
from streams.settings import Settings


@dataclass
class Destination:
    """What outside is called; honours idempotency keys.

    goes:    while it is not set, calls hang. fails: what calls raise instead.
    calls:   how often each key was sent. done: keys that it acted on.
    most:    how many calls were under way at once, at most.
    says:    what it answers; ID stands for the intent's.
    is_stubborn: whether calls go on when they are cancelled. was_cancelled: whether one was.
    """

    goes: asyncio.Event = field(default_factory=asyncio.Event)
    fails: BaseException | None = None
    calls: Counter[str] = field(default_factory=Counter)
    done: set[str] = field(default_factory=set)
    under_way: int = 0
    most: int = 0
    says: bytes = b"yes"
    is_stubborn: bool = False
    was_cancelled: bool = False

    async def __call__(self, intent: Intent) -> bytes:
        self.calls[intent.idempotency_key] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            try:
                await self.goes.wait()
            except asyncio.CancelledError:
                self.was_cancelled = True
                if not self.is_stubborn:
                    raise
                await self.goes.wait()
            if self.fails is not None:
                raise self.fails
            self.done.add(intent.idempotency_key)
            return self.says.replace(b"ID", intent.id.encode())
        finally:
            self.under_way -= 1


class Producer:
    """Appends to the worker's log."""

    def __init__(self, worker: "WorkerOfCalls") -> None:
        self.worker = worker

    async def start(self) -> None:
        self.worker.producers_running += 1

    async def stop(self) -> None:
        self.worker.producers_running -= 1

    async def send_and_wait(
        self,
        topic: str,  # noqa: ARG002
        value: bytes,
        *,
        key: bytes | None,  # noqa: ARG002
        partition: int,
        headers: list[tuple[str, bytes]],
    ) -> FakeRecord:
        await asyncio.sleep(0)
        if self.worker.sends_fail:
            self.worker.sends_fail -= 1
            raise KafkaConnectionError("told so")
        return self.worker.append(partition, value, headers)

    async def abandon(self) -> None:
        """Nothing is left of it."""


class WorkerOfCalls:
    """Some partitions of the calling route, two destinations, `bank` and `post`.

    now_ms: the wall clock. sends_fail: how many appends fail from now on. told: the answers that
    were to be appended. tell: makes records of them. committed: offsets of the group, while nobody
    owns anything. performers: those of the next owner.
    """

    def __init__(self, directory: Path, count: int = 1, **settings: Any) -> None:
        self.bank, self.post = Destination(), Destination()
        self.now_ms = 1_000
        self.sends_fail = 0
        self.producers_running = 0
        self.told: list[Answer] = []
        self.producers = ProducersInMemory()
        self.former: list[ProducersInMemory] = []
        self.reached: Counter[str] = Counter()
        self.troubles: list[PartitionTrouble] = []
        self.log: dict[int, list[FakeRecord]] = defaultdict(list)
        self.retry_ms = 1_000
        self.call_ms = 60_000
        self.settings = Settings(instance="one", **settings)
        self.directory = directory
        self.stores = [MemoryStore() for _ in range(count)]
        self.committed = [0] * count
        self.performers: dict[str, Performer] = {"bank": self.bank, "post": self.post}
        self.tell: Callable[[Intent, Answer], tuple[bytes | None, bytes]] = tell
        self.own()

    def own(self) -> None:
        """Take the partitions over, from what their stores hold and the group has committed."""
        route = replace(
            calling(self.performers, retry_ms=self.retry_ms, call_ms=self.call_ms),
            answer=self._tell,
        )
        parts = parts_over(self.directory, route, Consumer(), self.settings)
        self.executor = IntentExecutor(
            self.settings,
            [route],
            AnswerLog(lambda: Producer(self), parts.observer),
            parts.observer,
            reached=lambda place: self.reached.update([place]),
            in_trouble=lambda _, trouble: self.troubles.append(trouble),
            now_ms=lambda: self.now_ms,
        )
        self.parts = replace(parts, intents=self.executor)
        self.partitions = [
            partition_in_memory(
                self.parts, number, store, self.committed[number], len(self.log[number])
            )
            for number, store in enumerate(self.stores)
        ]
        self.former.append(self.producers)
        self.producers = ProducersInMemory()
        self.commit = GroupCommit(
            self.parts,
            partitions=self.partitions,
            producers=self.producers,
            owner="one",
            left=lambda _, trouble: self.troubles.append(trouble),
        )
        self.commit.start()
        self.executor.start()
        for partition in self.partitions:
            self.executor.join(partition)
        for number, offset in enumerate(self.committed):
            self._feed(number, self.log[number][offset:])

    def _tell(self, intent: Intent, answer: Answer) -> tuple[bytes | None, bytes]:
        if answer != Answer(result=Result.FAILED):
            # That asks, before a call, whether a failure could be told: it has no words.
            self.told.append(answer)
        return self.tell(intent, answer)

    async def lose(self) -> None:
        """Lose the partitions, as when the worker dies: nothing under way ends well."""
        for partition in self.partitions:
            await self.executor.leave(partition)
        await self.executor.stop()
        await self.commit.stop()
        self.committed = [partition.committed_offset for partition in self.partitions]
        self.parts.executor.shutdown()

    def forget_all(self) -> None:
        """Lose stores and changelogs, and set the group back to 0, while nobody owns anything."""
        self.stores = [MemoryStore() for _ in self.stores]
        self.committed = [0] * len(self.stores)

    def append(self, partition: int, value: bytes, headers: Headers = ()) -> FakeRecord:
        offset = len(self.log[partition])
        record = FakeRecord(offset, timestamp=self.now_ms, value=value, headers=tuple(headers))
        self.log[partition].append(record)
        self._feed(partition, [record])
        return record

    def _feed(self, partition: int, fed: Sequence[FakeRecord]) -> None:
        if not fed:
            return
        records = Stretch(fed)
        records.begin = fed[0].offset
        self.commit.feed(
            Fetch((Slice("asked", partition, records),), dict(self.commit.partitions))
        )

    def call(self, *names: str, destination: str = "bank", partition: int = 0) -> None:
        for name in names:
            self.append(partition, f"call {name} {destination}".encode())

    def later(self, ms: int) -> None:
        self.now_ms += ms

    def after_pause(self, ms: int) -> None:
        """Let a pause and its jitter pass."""
        self.later(ms + ms // JITTER_SHARE)

    @property
    def applied(self) -> list[bytes]:
        return self.producers.values("applied")

    def all_applied(self) -> list[str]:
        """Return what was applied under all owners."""
        return [
            value.decode()
            for producers in [*self.former, self.producers]
            for value in producers.values("applied")
        ]

    def answers(self, result: str) -> int:
        return sum(
            f" {result} ".encode() in (record.value or b"")
            for records in self.log.values()
            for record in records
        )

    def metric(self, name: str, **labels: str) -> float:
        told = self.parts.observer.metrics._registry.get_sample_value(name, labels)
        return told or 0.0

    def partition(self, number: int) -> InputPartition:
        return self.partitions[number]


def with_worker(
    directory: Path,
    talk: Callable[[WorkerOfCalls], Awaitable[None]],
    count: int = 1,
    **settings: Any,
) -> None:
    """Run a conversation with a worker, and let nothing of it outlive it."""

    async def conversation() -> None:
        worker = WorkerOfCalls(directory, count, **settings)
        try:
            await talk(worker)
        finally:
            await worker.lose()
        assert worker.producers_running == 0
        assert worker.bank.under_way == worker.post.under_way == 0

    asyncio.run(conversation())
