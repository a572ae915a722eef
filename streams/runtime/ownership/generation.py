"""A worker's ownership of its partitions during one group generation.

    assigned -> fenced -> claimed -> restored -> running -> closed
        ^                                           |
        +----- set aside until it is tried again ---+

Only a restored partition's records are decided, and its look-ups answered. A partition that cannot
be taken over, or that falls into trouble while it runs, is set aside with its reason and taken
over anew after growing pauses; the others go on. Closing waits for the transaction in flight, for
take-overs under way and for look-ups, then closes stores and producers; nothing touches a closed
store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from state.owners.name import owner_name
from state.stores.rocksdb import RocksDBStore, RocksDBStores
from streams.route import Route
from streams.runtime.ownership.committed_records import CommittedRecords
from streams.runtime.ownership.takeover import LOST_GROUP, Group, Place, TakeOver
from streams.runtime.ownership.troubles import trouble_of
from streams.runtime.process.fatal import PartitionTrouble, end_process
from streams.runtime.process.observer import Observer
from streams.runtime.process.watchdog import Watchdog
from streams.runtime.transactions import transaction as sinks
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.group_commit import Pump
from streams.runtime.transactions.input_partition import Lane
from streams.runtime.transactions.schema_questions import AskRegistry

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

STALLED_S = 30.0
"""How long the restore of a partition that is taken over alone may stand still."""

STALLED_TOGETHER_S = 3.0
"""The same while others wait for it: it is left, and goes on alone."""


class Generation:
    """The partitions of one generation, from assignment to revocation."""

    def __init__(
        self,
        *,
        settings: Any,
        generation_id: int,
        routes: Mapping[str, Route],
        assigned: Sequence[tuple[str, int]],
        group: Group,
        stores: RocksDBStores,
        identities: Mapping[str, str],
        partitions: Mapping[str, int],
        compacted: Collection[str],
        observer: Observer,
        reached: Callable[[str], None],
        journal: CrashJournal,
        watchdog: Watchdog,
        ask_registry: AskRegistry,
        fetch_from: Callable[[Lane, bool], None],
        take_in: Callable[[Lane], Awaitable[None]],
        address: str = "",
    ) -> None:
        """Prepare to take the partitions over.

        take_in: lets the consumer fetch for a lane that joins a running generation.
        """
        self.id = generation_id
        self.name = owner_name(settings.app_id, settings.instance, generation_id, address)
        self._settings = settings
        self.assigned = assigned
        self._observer = observer
        self._reached = reached
        self._journal = journal
        self._watchdog = watchdog
        self._ask_registry = ask_registry
        self._fetch_from = fetch_from
        self._take_in = take_in
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._sink = sinks.TransactionalSink(
            settings.connection, self.name, settings.transaction_timeout_ms
        )
        self._sink_started = False
        self._closing = asyncio.Event()
        self._takeover = TakeOver(
            settings=settings,
            generation_id=generation_id,
            name=self.name,
            routes=routes,
            group=group,
            stores=stores,
            identities=identities,
            partitions=partitions,
            compacted=compacted,
            observer=observer,
            reached=reached,
            journal=journal,
            executor=self._executor,
            closing=self._closing,
        )
        self.committed = CommittedRecords(self.name, assigned, self._damaged)
        self.pump: Pump | None = None
        # Set once the consumer stands at our offsets.
        self.takes_in = False
        # How long the next pause of a partition is, and where it stood when it was taken in.
        self._pauses_s: dict[Place, float] = {}
        self._joined_at: dict[Place, int] = {}
        self._mending: set[asyncio.Task[None]] = set()
        self._closed_once = False
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()

    async def open(self) -> bool:
        """Take over what can be, and start; False when the generation was closed meanwhile."""
        try:
            # Our own producers fence too: a static member's former process used the same ids.
            taken = await self._takeover.take(
                self.assigned, beside=self._start_sink(), stalled_s=STALLED_TOGETHER_S
            )
            if self.is_closing():
                return False
            self.pump = Pump(
                lanes=list(taken.lanes.values()),
                sink=self._sink,
                owner=self.name,
                settings=self._settings,
                observer=self._observer,
                reached=self._reached,
                executor=self._executor,
                journal=self._journal,
                watchdog=self._watchdog,
                ask_registry=self._ask_registry,
                fetch_from=self._fetch_from,
                left=self._leave,
            )
            self.pump.start()
            self.committed.open(self.pump.lanes)
            for place, lane in taken.lanes.items():
                self._joined_at[place] = lane.next_offset
            self._observer.opened(
                self.id,
                taken.fenced,
                len(taken.lanes),
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
    def lanes(self) -> Mapping[Place, Lane]:
        """The partitions that run."""
        return self.pump.lanes if self.pump is not None else {}

    def feed(self, fetch: Any) -> None:
        """Take a fetch in; what of it belongs to this generation's lanes is decided."""
        if self.pump is not None and not self.is_closing():
            self.pump.feed(fetch)

    def in_trouble(self, place: Place, trouble: PartitionTrouble) -> None:
        """Set a running partition aside."""
        lane = self.lanes.get(place)
        if lane is not None and self.pump is not None and not self.is_closing():
            self.pump.leave(lane, trouble)

    async def finish(self) -> None:
        """Take nothing more in and end the transaction in flight."""
        self._closing.set()
        self.takes_in = False
        if self.pump is not None:
            await self.pump.stop()

    async def close(self) -> None:
        """Finish the transaction in flight and let go of everything."""
        if self._closed_once:
            await self._closed.wait()
            return
        self._closed_once = True
        self._closing.set()
        await self._opened.wait()
        await self.finish()
        while self._mending:
            await asyncio.wait(set(self._mending))
        await self.committed.close()
        for lane in self.lanes.values():
            await self._close_store(lane, None)
        if self._sink_started:
            await self._sink.stop()
        self._executor.shutdown(wait=False)
        self._observer.closed(self.id)
        self._closed.set()

    def stop_intake(self) -> None:
        """Take no more records: the partitions are being revoked."""
        self.takes_in = False
        if self.pump is not None:
            self.pump.stop_intake()

    # --- inside ----------------------------------------------------------------------------

    async def _start_sink(self) -> None:
        await self._sink.start()
        self._sink_started = True

    def _lost(self, error: Exception) -> None:
        """Note that the group has moved on; a rebalance brings the next generation."""
        if not self.is_closing():
            self._observer.log.info("generation %d lost: %r", self.id, error)

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

    def _leave(self, lane: Lane, trouble: PartitionTrouble) -> None:
        """Begin to set a lane aside that has left the pump."""
        self.committed.open(self.lanes)
        self._observer.left(lane.place)
        self._mend(self._set_aside(lane, trouble))

    async def _set_aside(self, lane: Lane, trouble: PartitionTrouble) -> None:
        place = lane.topic, lane.partition
        if lane.committed_offset > self._joined_at[place]:
            # It went on for a while: this is another trouble.
            self._pauses_s.pop(place, None)
        await lane.settled()
        await self.committed.let_go_of(place)
        await self._close_store(lane, trouble)
        await self._retry(place, trouble)

    async def _retry(self, place: Place, trouble: PartitionTrouble) -> None:
        """Take a place over again and again, until it runs or the generation is closed."""
        while True:
            pause_s = self._pauses_s.get(place, FIRST_PAUSE_S)
            self._pauses_s[place] = min(LONGEST_PAUSE_S, 2 * pause_s)
            self._observer.set_aside(f"{place[0]}-{place[1]}", trouble, pause_s)
            await self._pause(pause_s)
            if self.is_closing():
                return
            taken = await self._takeover.take([place], beside=_nothing(), stalled_s=STALLED_S)
            for lane in taken.lanes.values():
                if not await self._join(lane):
                    await self._close_store(lane, None)
                return
            if self.is_closing():
                return
            trouble = taken.troubles[place]

    async def _join(self, lane: Lane) -> bool:
        """Let a lane run with the others; False when the generation is being closed."""
        place = lane.topic, lane.partition
        self._joined_at[place] = lane.next_offset
        if self.pump is None or self.is_closing():
            return False
        self.pump.join(lane)
        self.committed.open(self.lanes)
        self._observer.taken_in(lane.place)
        await self._take_in(lane)
        return True

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._closing.wait()
        except TimeoutError:
            pass

    async def _close_store(self, lane: Lane, trouble: PartitionTrouble | None) -> None:
        store = lane.state.store
        assert isinstance(store, RocksDBStore)
        await self._takeover.close_store(store, trouble)


async def _nothing() -> None:
    """Be done at once."""
