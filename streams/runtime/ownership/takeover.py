"""Taking partitions over: fence, claim, restore. A failure of one partition stops no other.

1. Fence and claim: see `streams.runtime.ownership.claims`.
2. Restore: the stores are brought up to the ends of their changelogs.

A partition that fails a step takes no part in the next step, and is returned with its trouble.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from state.stores.partition_state import PartitionState
from state.stores.rocksdb import RocksDBStore, destroy
from streams.runtime.ownership import timeline
from streams.runtime.ownership.changelog import ChangelogReader, told
from streams.runtime.ownership.claims import Claims, Group, changelog_of
from streams.runtime.ownership.positions import Place
from streams.runtime.ownership.restore import restore
from streams.runtime.ownership.troubles import STORE_ERRORS, trouble_of
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.worker_parts import WorkerParts

T = TypeVar("T")


@dataclass(slots=True)
class Taken:
    """The result of a take-over: for each place a partition that can run, or its trouble.

    fenced:   former owners that were fenced.
    restored: number of changelog records read.
    fence_s:  duration of fence and claim together; restore_s: of the restore.
    """

    partitions: dict[Place, InputPartition] = field(default_factory=dict)
    troubles: dict[Place, PartitionTrouble] = field(default_factory=dict)
    fenced: list[str] = field(default_factory=list)
    restored: int = 0
    fence_s: float = 0.0
    restore_s: float = 0.0


class TakeOver:
    """Takes partitions over for one generation; several calls of `take` may run at a time.

    closing: set when the partitions are given up; take-overs under way then end soon.
    """

    def __init__(
        self,
        parts: WorkerParts,
        *,
        generation_id: int,
        name: str,
        group: Group,
        closing: asyncio.Event,
    ) -> None:
        self._settings = parts.settings
        self._claims = Claims(parts, generation_id, name, group)
        self._routes = parts.routes
        self._stores = parts.stores
        self._identities = parts.cluster.identities
        self._partitions = parts.cluster.partitions
        self._compacted = parts.cluster.compacted
        self._observer = parts.observer
        self._reached = parts.reached
        self._journal = parts.journal
        self._executor = parts.executor
        self._closing = closing

    async def take(
        self, places: Collection[Place], *, beside: Awaitable[None], stalled_s: float
    ) -> Taken:
        """Take places over; raise WorkerMustEnd, or one of LOST_GROUP.

        beside:    awaited while former owners are fenced; the claim comes after both.
        stalled_s: how long the restore of a partition may make no progress.
        Returns neither partitions nor troubles where the generation is closed meanwhile.
        """
        taken = Taken()
        started = time.monotonic()
        _, _, fenced = await asyncio.gather(
            beside,
            self._unless_closing(self._claims.check_writers(places, taken.troubles)),
            self._unless_closing(self._claims.fence(places, taken.troubles)),
        )
        self._reached("fenced")
        if fenced is None:
            return Taken()
        left, taken.fenced = fenced
        left = [place for place in left if place not in taken.troubles]
        # Asked after the fence, so that all that a fenced owner committed is below the watermarks.
        claimed = await self._unless_closing(self._claims.claim(left, taken.troubles))
        if claimed is None:
            return Taken()
        offsets, marks = claimed
        self._reached("claimed")
        fenced_at = time.monotonic()
        taken.fence_s = fenced_at - started
        stores = await self._open_stores(offsets, taken)
        try:
            await self._make_strangers_anew(stores, marks.changelog_high, taken)
            await self._restore(stores, marks.changelog_high, taken, stalled_s)
            if self._closing.is_set():
                return Taken()
            self._reached("restored")
            for place in sorted(stores.keys() - taken.troubles.keys()):
                try:
                    taken.partitions[place] = self._input_partition(
                        place, stores[place], offsets[place], marks.high[place]
                    )
                except (WorkerMustEnd, MemoryError):
                    raise
                except Exception as error:  # noqa: BLE001  (what lies there cannot be read)
                    taken.troubles[place] = trouble_of(error)
        finally:
            for place in stores.keys() - taken.partitions.keys():
                await self.close_store(stores[place], taken.troubles.get(place))
        taken.restore_s = time.monotonic() - fenced_at
        return taken

    async def close_store(self, store: RocksDBStore, trouble: PartitionTrouble | None) -> None:
        """Close a store; keep its content, or delete it where its trouble says so."""
        loop = asyncio.get_running_loop()
        forget = trouble is not None and trouble.forget_store
        try:
            await loop.run_in_executor(self._executor, _close, store, forget)
        except STORE_ERRORS as error:
            # No value is lost: those that the store lacks are in the changelog.
            self._observer.log.error(  # noqa: TRY400
                "a store could not be closed, and is read again from its changelog: %s", error
            )

    async def _unless_closing(self, step: Coroutine[Any, Any, T]) -> T | None:
        """Run a step that may wait for brokers; on closing, cancel it and return None."""
        running = asyncio.ensure_future(step)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({running, closing}, return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() and not self._closing.is_set() else None
        finally:
            running.cancel()
            closing.cancel()
            await asyncio.gather(running, closing, return_exceptions=True)

    # --- the steps -------------------------------------------------------------------------

    async def _open_stores(
        self, places: Iterable[Place], taken: Taken
    ) -> dict[Place, RocksDBStore]:
        loop = asyncio.get_running_loop()
        wanted = list(places)
        # In threads, since the event loop has to go on: opening twenty stores takes half a second.
        opening = [loop.run_in_executor(None, self._open_store, place) for place in wanted]
        opened: dict[Place, RocksDBStore] = {}
        results = await asyncio.gather(*opening, return_exceptions=True)
        for place, result in zip(wanted, results, strict=True):
            if isinstance(result, RocksDBStore):
                opened[place] = result
            elif isinstance(result, Exception):
                taken.troubles[place] = trouble_of(result)
            else:
                raise result
        return opened

    def _open_store(self, place: Place) -> RocksDBStore:
        topic, partition = self._changelog(place)
        return self._stores.open(topic, partition, self._identities[topic])

    async def _make_strangers_anew(
        self,
        stores: dict[Place, RocksDBStore],
        changelog_high: Mapping[Place, int],
        taken: Taken,
    ) -> None:
        """Replace the stores that copy another log than their changelog by empty ones."""
        place_of = {self._changelog(place): place for place in stores}
        strangers, unknown = await timeline.of_another_timeline(
            self._settings.connection,
            {changelog: stores[place] for changelog, place in place_of.items()},
            {changelog: changelog_high[place] for changelog, place in place_of.items()},
        )
        for changelog in unknown:
            message = (
                "the brokers did not tell in time whether its store is a copy of this changelog. "
                "Look at the brokers"
            )
            taken.troubles[place_of[changelog]] = PartitionTrouble(message, "changelog")
        for changelog in sorted(strangers):
            place = place_of[changelog]
            self._observer.log.warning(
                "%s: its store copies another history of %s, or is of a release that did not "
                "note which. A new store is read from the changelog",
                _name_of(place),
                changelog[0],
            )
            self._journal.forget(_name_of(place))
            try:
                stores[place].close()
                destroy(stores[place].path)
                stores[place] = self._open_store(place)
            except Exception as error:  # noqa: BLE001  (whatever it is, it is this store's)
                taken.troubles[place] = trouble_of(error)

    async def _restore(
        self,
        stores: Mapping[Place, RocksDBStore],
        changelog_high: Mapping[Place, int],
        taken: Taken,
        stalled_s: float,
    ) -> None:
        place_of = {self._changelog(place): place for place in stores.keys() - taken.troubles}
        readers = {
            changelog: ChangelogReader(
                *changelog,
                stores[place],
                self._partitions[place[0]],
                self._routes[place[0]].may_store,
            )
            for changelog, place in place_of.items()
        }
        self._observer.restoring(True)
        try:
            taken.restored, troubles = await restore(
                self._settings.connection,
                {changelog: stores[place] for changelog, place in place_of.items()},
                {changelog: changelog_high[place] for changelog, place in place_of.items()},
                readers,
                executor=self._executor,
                progressed=self._observer.restored,
                cancelled=self._closing.is_set,
                stalled_s=stalled_s,
            )
            for changelog, trouble in troubles.items():
                taken.troubles[place_of[changelog]] = trouble
        except (KafkaError, OSError) as error:
            # Which partition the error is of shows when each is restored again, alone.
            for place in stores:
                taken.troubles[place] = trouble_of(error)
        finally:
            self._observer.restoring(False)
            for causes, line in told(readers.values()):
                self._observer.refused(causes, line)

    def _input_partition(
        self, place: Place, store: RocksDBStore, offset: int, end_offset: int
    ) -> InputPartition:
        topic, partition = place
        route = self._routes[topic]
        partitions = self._partitions[topic]
        state = PartitionState(store)
        state.sign(*timeline.signature(store, partitions, self._identities[topic]))
        log_time_ms = 0
        if route.progress is not None:
            progress = route.progress(state)
            log_time_ms = progress.log_time_ms
            first = progress.next_offset
            if offset > first and not timeline.are_given_up(store, first, offset):
                message = (
                    f"{_name_of(place)}: the state stands at offset {progress.next_offset}, the "
                    f"group at {offset}: commands between them would be lost. The changelog "
                    f"{route.changelog} lost records, or the group was moved forward. Stop all "
                    f"workers of the group, set its offset here to {first}, and start them. Where "
                    "the topic begins behind that, set it to the first offset there is, and run "
                    f"python -m scripts.skip_lost_commands --role {route.role}"
                )
                raise PartitionTrouble(message, "offsets")
        return InputPartition(
            route,
            topic,
            partition,
            partitions,
            state,
            offset,
            log_time_ms,
            self._journal,
            has_gaps=topic in self._compacted,
            end_offset=end_offset,
            counts={topic: self._partitions[topic] for topic in route.retold_topics},
        )

    def _changelog(self, place: Place) -> Place:
        return changelog_of(self._routes, place)


def _close(store: RocksDBStore, forget: bool) -> None:
    try:
        if not forget:
            store.flush()
    finally:
        store.close()
        if forget:
            destroy(store.path)


def _name_of(place: Place) -> str:
    return f"{place[0]}-{place[1]}"
