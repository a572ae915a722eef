"""A worker's ownership of its partitions during one group generation.

    assigned -> fenced -> claimed -> restored -> running -> closed

1. Fence: the metadata of a committed offset names who committed it. Initialising that owner's
   transactional ids makes a dead, paused or partitioned-off owner unable to commit, and aborts
   what it left open. A live worker already uses its next name, so it is never fenced by mistake.
2. Claim: the unchanged offset is committed under our own name through the consumer; the broker
   checks group generation and member, so a worker of an older generation cannot claim.
3. Restore: the stores are brought up to their changelogs.

Only then is the first record decided, and the first look-up answered. Closing waits for the
transaction in flight and for look-ups, then closes stores and producers; nothing touches a closed
store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from state.stores.owner_name import generation_of, owner_name
from state.stores.partition_state import PartitionState
from state.stores.rocksdb import CorruptStore, RocksDBStore, RocksDBStores, StoreFull, destroy
from streams.route import Route
from streams.runtime import sink as sinks
from streams.runtime.crash_journal import CrashJournal
from streams.runtime.fatal import WorkerMustEnd, end_process
from streams.runtime.lane import Lane
from streams.runtime.lookups import CommittedRecords
from streams.runtime.observe import Observer
from streams.runtime.pump import Pump
from streams.runtime.restore import restore
from streams.runtime.watchdog import Watchdog

_LOST_GROUP = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class Group(Protocol):
    """What a generation needs of the consumer group."""

    async def committed(self, tps: Sequence[Any]) -> Mapping[Any, Any]:
        """Return offset and metadata for each partition, from the coordinator."""

    async def claim(self, offsets: Mapping[Any, Any]) -> None:
        """Commit offsets under this member's generation."""


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
        observer: Observer,
        reached: Callable[[str], None],
        journal: CrashJournal,
        watchdog: Watchdog,
        ask_registry: Callable[[int], bool],
        fetch_from: Callable[[Lane, bool], None],
        address: str = "",
    ) -> None:
        self.id = generation_id
        self.name = owner_name(settings.app_id, settings.instance, generation_id, address)
        self._settings = settings
        self._routes = routes
        self._assigned = assigned
        self._group = group
        self._stores = stores
        self._identities = identities
        self._partitions = partitions
        self._observer = observer
        self._reached = reached
        self._journal = journal
        self._watchdog = watchdog
        self._ask_registry = ask_registry
        self._fetch_from = fetch_from
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._open_stores: dict[tuple[str, int], RocksDBStore] = {}
        self._sink = sinks.TransactionalSink(
            settings.connection, self.name, settings.transaction_timeout_ms
        )
        self._sink_started = False
        self.committed = CommittedRecords(self.name, assigned)
        self.pump: Pump | None = None
        self.offsets: dict[tuple[str, int], int] = {}
        # Set once the consumer stands at our offsets.
        self.takes_in = False
        self._closing = False
        self._closed_once = False
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()

    async def open(self) -> bool:
        """Fence, claim, restore and start; False when the generation was closed meanwhile."""
        try:
            started = time.monotonic()
            # Our own producers fence too: a static member's former process used the same ids.
            fenced, _ = await asyncio.gather(self._fence(), self._start_sink())
            self._reached("fenced")
            if self._closing:
                return False
            # Only now: nothing that a fenced owner committed lies behind these watermarks.
            low, high, changelog_high = await self._watermarks()
            self.offsets = await self._claim(low, high, changelog_high)
            self._reached("claimed")
            fenced_at = time.monotonic()
            read = await self._restore(changelog_high)
            if self.is_closing():
                return False
            self._reached("restored")
            lanes = [self._lane(topic, partition) for topic, partition in self._assigned]
            self.pump = Pump(
                lanes=lanes,
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
            )
            self.pump.start()
            self.committed.open(self.pump.lanes)
            self._observer.opened(
                generation=self.id,
                partitions=len(self._assigned),
                fenced=fenced,
                restored=read,
                fence_s=fenced_at - started,
                restore_s=time.monotonic() - fenced_at,
            )
        except _LOST_GROUP as error:
            if not self._closing:
                # The group has moved on; a rebalance brings the next generation.
                self._observer.log.info("generation %d lost: %r", self.id, error)
            return False
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  (whatever it is, the process ends)
            if self._closing:
                return False
            end_process(f"generation {self.id} could not take its partitions over: {error}", error)
        finally:
            self._opened.set()
        return True

    def is_closing(self) -> bool:
        """Say whether the partitions are being given up; may change at any await."""
        return self._closing

    def feed(self, fetch: Any) -> None:
        """Take a fetch in; it belongs to this generation and begins where the last one ended."""
        if self.pump is not None and not self._closing:
            self.pump.feed(fetch)

    async def finish(self) -> None:
        """Take nothing more in and end the transaction in flight."""
        self._closing = True
        self.takes_in = False
        if self.pump is not None:
            await self.pump.stop()

    async def close(self) -> None:
        """Finish the transaction in flight and let go of everything."""
        if self._closed_once:
            await self._closed.wait()
            return
        self._closed_once = True
        self._closing = True
        await self._opened.wait()
        await self.finish()
        await self.committed.close()
        loop = asyncio.get_running_loop()
        try:
            for store in self._open_stores.values():
                await loop.run_in_executor(self._executor, store.flush)
                store.close()
        except (CorruptStore, StoreFull) as error:
            end_process(f"a store could not be closed: {error}")
        self._open_stores.clear()
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

    # --- the steps -------------------------------------------------------------------------

    async def _watermarks(self) -> tuple[dict[Any, int], dict[Any, int], dict[Any, int]]:
        """Return low and high watermarks of the inputs, and high ones of the changelogs."""
        inputs = [TopicPartition(*where) for where in self._assigned]
        changelogs = [TopicPartition(*self._changelog(where)) for where in self._assigned]
        # Its own consumer: the group's reads committed records, and so sees stable offsets only.
        consumer = AIOKafkaConsumer(
            **self._settings.connection, isolation_level="read_uncommitted", group_id=None
        )
        await consumer.start()
        try:
            low = await consumer.beginning_offsets(inputs)
            high = await consumer.end_offsets(inputs + changelogs)
        finally:
            await consumer.stop()
        return low, high, {(tp.topic, tp.partition): high[tp] for tp in changelogs}

    async def _fence(self) -> list[str]:
        tps = [TopicPartition(*where) for where in self._assigned]
        committed = await self._group.committed(tps)
        owners = {at.metadata for at in committed.values() if at.metadata} - {self.name}
        for owner in owners:
            if generation_of(owner) > self.id:
                message = (
                    f"{owner} owns a partition and is younger than generation {self.id}: this "
                    "worker was away too long"
                )
                raise WorkerMustEnd(message)
        ids = [one for owner in sorted(owners) for one in sinks.transactional_ids(owner)]
        timeout_ms = self._settings.transaction_timeout_ms
        async with asyncio.timeout(self._settings.takeover_timeout_s):
            await asyncio.gather(
                *(sinks.fence(self._settings.connection, one, timeout_ms) for one in ids)
            )
        return sorted(owners)

    async def _start_sink(self) -> None:
        await self._sink.start()
        self._sink_started = True

    async def _claim(
        self,
        low: Mapping[Any, int],
        high: Mapping[Any, int],
        changelog_high: Mapping[tuple[str, int], int],
    ) -> dict[tuple[str, int], int]:
        tps = [TopicPartition(*where) for where in self._assigned]
        committed = await self._group.committed(tps)
        offsets: dict[tuple[str, int], int] = {}
        for tp in tps:
            at = committed.get(tp)
            place = f"{tp.topic}-{tp.partition}"
            known = at.offset if at is not None and at.offset >= 0 else None
            changelog, _ = self._changelog((tp.topic, tp.partition))
            if known is None and changelog_high[changelog, tp.partition] > 0:
                # An owner claims before it writes, so there was an offset once.
                message = (
                    f"{place}: {changelog} holds state, but the group has no committed offset: "
                    "the topic was deleted and created again, or the offsets expired. If it is "
                    "the same topic, set the group's offsets (0 replays, nothing is applied "
                    "twice); if it is another one, delete the state with it"
                )
                raise WorkerMustEnd(message)
            offset = low[tp] if known is None else known
            if offset > high[tp]:
                message = (
                    f"{place}: the committed offset {offset} lies beyond the end {high[tp]}: the "
                    "topic was deleted and created again, or lost records. Decide what to do with "
                    "the state, then reset the group's offsets; no worker goes on by itself"
                )
                raise WorkerMustEnd(message)
            if offset < low[tp]:
                message = (
                    f"{place}: the committed offset {offset} lies before the first record "
                    f"{low[tp]}: retention removed commands that were never processed"
                )
                raise WorkerMustEnd(message)
            offsets[tp.topic, tp.partition] = offset
        await self._group.claim(
            {TopicPartition(*where): (offset, self.name) for where, offset in offsets.items()}
        )
        return offsets

    async def _restore(self, changelog_high: Mapping[tuple[str, int], int]) -> int:
        changelogs = [self._changelog(where) for where in self._assigned]
        loop = asyncio.get_running_loop()
        # Off the loop, which goes on answering: opening twenty stores takes half a second.
        opening = [
            loop.run_in_executor(None, self._open_store, changelog, changelog_high[changelog])
            for changelog in changelogs
        ]
        opened = await asyncio.gather(*opening)
        self._open_stores.update(zip(self._assigned, opened, strict=True))
        stores = dict(zip(changelogs, opened, strict=True))
        self._observer.restoring(True)
        try:
            return await restore(
                self._settings.connection,
                stores,
                changelog_high,
                executor=self._executor,
                progressed=self._observer.restored,
                cancelled=lambda: self._closing,
            )
        finally:
            self._observer.restoring(False)

    def _open_store(self, changelog: tuple[str, int], high_watermark: int) -> RocksDBStore:
        topic, partition = changelog
        store = self._stores.open(topic, partition, self._identities[topic])
        if store.changelog_offset > high_watermark:
            # The changelog was created anew; what the store holds belongs to the old one.
            store.close()
            destroy(store.path)
            store = self._stores.open(topic, partition, self._identities[topic])
        return store

    def _lane(self, topic: str, partition: int) -> Lane:
        route = self._routes[topic]
        state = PartitionState(self._open_stores[topic, partition])
        offset = self.offsets[topic, partition]
        log_time_ms = 0
        if route.progress is not None:
            progress = route.progress(state)
            log_time_ms = progress.log_time_ms
            if offset > progress.next_offset:
                message = (
                    f"{topic}-{partition}: the state stands at offset {progress.next_offset}, the "
                    f"group at {offset}: commands between them would be lost. The changelog "
                    f"{route.changelog} lost records, or the group was moved forward"
                )
                raise WorkerMustEnd(message)
        return Lane(
            route,
            topic,
            partition,
            self._partitions[topic],
            state,
            offset,
            log_time_ms,
            self._journal,
        )

    def _changelog(self, where: tuple[str, int]) -> tuple[str, int]:
        topic, partition = where
        return self._routes[topic].changelog, partition
