"""A worker's ownership of its partitions during one generation of its consumer group.

    assigned -> fenced -> claimed -> restored -> running -> closed
        ^                                           |
        +----- set aside until it is tried again ---+

A partition's records are decided, and look-ups in it answered, only once its store is restored. A
partition that cannot be taken over, or that gets into trouble while it runs, is set aside with its
reason and taken over anew after growing pauses; the other partitions go on. Closing waits for the
transaction in flight, for take-overs under way and for look-ups, and only then closes stores and
producers, so that nothing touches a closed store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from state.owners.name import owner_name
from state.stores.rocksdb import RocksDBStore
from streams.runtime.ownership.claims import LOST_GROUP, Group
from streams.runtime.ownership.committed_records import CommittedRecords
from streams.runtime.ownership.positions import Place
from streams.runtime.ownership.takeover import TakeOver
from streams.runtime.ownership.troubles import trouble_of
from streams.runtime.process.fatal import PartitionTrouble, end_process
from streams.runtime.transactions.group_commit import GroupCommit
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transactions.transaction import TransactionalProducers
from streams.runtime.worker_parts import WorkerParts

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

STALLED_S = 30.0
"""How long a restore may make no progress where one partition is taken over alone."""

STALLED_TOGETHER_S = 3.0
"""The same limit where partitions are taken over together, since one that makes no progress keeps
the others waiting: that one is set aside, and tried again alone."""


class Generation:
    """The partitions of one generation, from assignment to revocation."""

    def __init__(
        self,
        parts: WorkerParts,
        generation_id: int,
        assigned: Sequence[Place],
        group: Group,
        address: str = "",
    ) -> None:
        """Prepare to take the partitions over.

        address: host:port at which others look records up; empty where they cannot.
        """
        settings = parts.settings
        self.id = generation_id
        self.name = owner_name(settings.app_id, settings.instance, generation_id, address)
        self.assigned = assigned
        self._parts = parts
        self._observer = parts.observer
        self._producers = TransactionalProducers(
            settings.connection, self.name, settings.transaction_timeout_ms
        )
        self._producers_run = False
        self._closing = asyncio.Event()
        self._takeover = TakeOver(
            parts,
            generation_id=generation_id,
            name=self.name,
            group=group,
            closing=self._closing,
        )
        self.committed = CommittedRecords(self.name, assigned, self._damaged)
        self.group_commit: GroupCommit | None = None
        # True from when the consumer has seeked to the partitions' next offsets.
        self.takes_in = False
        # By partition: the length of its next pause; its next offset when it was last taken in.
        self._pauses_s: dict[Place, float] = {}
        self._joined_at: dict[Place, int] = {}
        self._mending: set[asyncio.Task[None]] = set()
        self._closed_once = False
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()

    async def open(self) -> bool:
        """Take the partitions over, start deciding, and set aside those that cannot be taken over.

        Return False where the generation was closed, or the group moved on, meanwhile.
        """
        try:
            # The start of our producers fences as well: the former process of a static member
            # used the same transactional ids.
            taken = await self._takeover.take(
                self.assigned, beside=self._start_producers(), stalled_s=STALLED_TOGETHER_S
            )
            if self.is_closing():
                return False
            self.group_commit = GroupCommit(
                self._parts,
                partitions=list(taken.partitions.values()),
                producers=self._producers,
                owner=self.name,
                left=self._leave,
            )
            self.group_commit.start()
            self.committed.open(self.group_commit.partitions)
            for place, partition in taken.partitions.items():
                self._joined_at[place] = partition.next_offset
                self._parts.intents.join(partition)
            self._observer.opened(
                self.id,
                taken.fenced,
                len(taken.partitions),
                taken.restored,
                taken.fence_s,
                taken.restore_s,
            )
            for place, trouble in taken.troubles.items():
                self._mend(self._retry(place, trouble))
        except LOST_GROUP as error:
            self._lost(error)
            return False
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  (whatever it is, the process ends)
            if self.is_closing():
                return False
            end_process(f"generation {self.id} could not take its partitions over: {error}", error)
        finally:
            self._opened.set()
        return True

    def is_closing(self) -> bool:
        """Say whether the partitions are being given up; may change at any await."""
        return self._closing.is_set()

    @property
    def partitions(self) -> Mapping[Place, InputPartition]:
        """The partitions that run."""
        return self.group_commit.partitions if self.group_commit is not None else {}

    def feed(self, fetch: Any) -> None:
        """Take a fetch in: those of its records that belong to running partitions get decided."""
        if self.group_commit is not None and not self.is_closing():
            self.group_commit.feed(fetch)

    def in_trouble(self, place: Place, trouble: PartitionTrouble) -> None:
        """Set a running partition aside."""
        partition = self.partitions.get(place)
        if partition is not None and self.group_commit is not None and not self.is_closing():
            self.group_commit.leave(partition, trouble)

    async def finish(self) -> None:
        """Take no more records in, pause intents, and wait for the transaction in flight."""
        self._closing.set()
        self.takes_in = False
        for partition in self.partitions.values():
            self._parts.intents.pause(partition)
        if self.group_commit is not None:
            await self.group_commit.stop()

    async def close(self) -> None:
        """Finish, then close stores and producers; a second call waits for the first."""
        if self._closed_once:
            await self._closed.wait()
            return
        self._closed_once = True
        self._closing.set()
        try:
            await self._opened.wait()
            await self.finish()
            while self._mending:
                await asyncio.wait(set(self._mending))
            await self.committed.close()
            for partition in self.partitions.values():
                await self._close_store(partition, None)
            if self._producers_run:
                await self._producers.stop()
            self._observer.closed(self.id)
        finally:
            # Who waits for this call is not told how it ended, and never waits for ever.
            self._closed.set()

    def stop_intake(self) -> None:
        """Take no more records: the partitions are being revoked."""
        self.takes_in = False
        if self.group_commit is not None:
            self.group_commit.stop_intake()

    # --- inside ----------------------------------------------------------------------------

    async def _start_producers(self) -> None:
        await self._producers.start()
        self._producers_run = True

    def _lost(self, error: Exception) -> None:
        """Log that the group has moved on; a rebalance brings the next generation."""
        if not self.is_closing():
            self._observer.log.info(
                "the group has moved on from generation %d: %r", self.id, error
            )

    def _damaged(self, place: Place, error: Exception) -> None:
        """Set a partition aside whose store a look-up found damaged."""
        self.in_trouble(place, trouble_of(error))

    def _mend(self, mending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(mending, name="partition in trouble")
        self._mending.add(task)
        task.add_done_callback(self._mended)

    def _mended(self, task: asyncio.Task[None]) -> None:
        self._mending.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, LOST_GROUP):
            self._lost(error)
        elif not self.is_closing():
            end_process(f"a partition could not be set aside: {error}", error)

    def _leave(self, partition: InputPartition, trouble: PartitionTrouble) -> None:
        """Begin to set aside a partition that has left the group commit."""
        self.committed.open(self.partitions)
        self._parts.intents.pause(partition)
        self._observer.left(partition.place)
        self._mend(self._set_aside(partition, trouble))

    async def _set_aside(self, partition: InputPartition, trouble: PartitionTrouble) -> None:
        place = partition.topic, partition.number
        if partition.committed_offset > self._joined_at[place]:
            # It has committed since it was taken in: this trouble is new, with pauses of its own.
            self._pauses_s.pop(place, None)
        await partition.settled()
        await self.committed.let_go_of(place)
        await self._close_store(partition, trouble)
        await self._retry(place, trouble)

    async def _retry(self, place: Place, trouble: PartitionTrouble) -> None:
        """Try to take a partition over, after pauses, until it runs or the generation closes."""
        while True:
            pause_s = self._pauses_s.get(place, FIRST_PAUSE_S)
            self._pauses_s[place] = min(LONGEST_PAUSE_S, 2 * pause_s)
            self._observer.set_aside(f"{place[0]}-{place[1]}", trouble, pause_s)
            await self._pause(pause_s)
            if self.is_closing():
                return
            taken = await self._takeover.take([place], beside=_nothing(), stalled_s=STALLED_S)
            for partition in taken.partitions.values():
                if not await self._join(partition):
                    await self._close_store(partition, None)
                return
            if self.is_closing():
                return
            trouble = taken.troubles[place]

    async def _join(self, partition: InputPartition) -> bool:
        """Let a partition run with the others; False when the generation is being closed."""
        place = partition.topic, partition.number
        self._joined_at[place] = partition.next_offset
        if self.group_commit is None or self.is_closing():
            return False
        self.group_commit.join(partition)
        self._parts.intents.join(partition)
        self.committed.open(self.partitions)
        self._observer.taken_in(partition.place)
        await self._parts.take_in(partition)
        return True

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._closing.wait()
        except TimeoutError:
            pass

    async def _close_store(
        self, partition: InputPartition, trouble: PartitionTrouble | None
    ) -> None:
        await self._parts.intents.leave(partition)
        store = partition.state.store
        assert isinstance(store, RocksDBStore)
        await self._takeover.close_store(store, trouble)


async def _nothing() -> None:
    """Do nothing beside a take-over for which no producers have to be started."""
