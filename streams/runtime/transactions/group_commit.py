"""Group commit: what waits in the lanes becomes one transaction after another.

While a transaction is on its way to the broker, records gather; the next transaction takes all of
them, up to a limit. With a backlog the next batch is decided while the last one commits; with
little to do it is decided late, so that everything that waits goes along. A failure of the
transaction ends the process, so deciding ahead is safe.

A lane that is in trouble leaves: what it had decided is committed, what it had fetched is dropped,
and the others go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from types import MappingProxyType
from typing import Any

from serdes.registry.known_ids import SchemaIdsError
from state.stores.envelope import tombstone
from streams.batch import NewerProducer, Record, UnknownSchema
from streams.runtime.ownership.troubles import STORE_ERRORS, trouble_of
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd, end_process
from streams.runtime.process.observer import Observer
from streams.runtime.process.watchdog import Watchdog
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.dead_letters import (
    LETTER_BYTES_MAX,
    DeadLetterLimits,
    dead_letter_record,
)
from streams.runtime.transactions.input_partition import Decided, Lane
from streams.runtime.transactions.schema_questions import AskRegistry, SchemaQuestions
from streams.runtime.transactions.transaction import Transaction, TransactionalSink

Lanes = Mapping[tuple[str, int], Lane]
"""Lanes by topic and partition; replaced whenever one joins or leaves, never changed."""

CHANGELOG_LOST = (
    "the changelog was created anew or lost records. What it had lies in the commands, and in the "
    "workers' stores: keep both, stop all workers, and read `a changelog is lost` in "
    "docs/operations.md"
)
_SWEPT_KEYS = 5_000


class Pump:
    """The lanes of one generation and the loop that commits what they hold."""

    def __init__(
        self,
        *,
        lanes: Sequence[Lane],
        sink: TransactionalSink,
        owner: str,
        settings: Any,
        observer: Observer,
        reached: Callable[[str], None],
        executor: Executor,
        journal: CrashJournal,
        watchdog: Watchdog,
        ask_registry: AskRegistry,
        fetch_from: Callable[[Lane, bool], None],
        left: Callable[[Lane, PartitionTrouble], None],
    ) -> None:
        """Take the lanes up.

        left: told of a lane that left, and why; a batch of it may still be on its way.
        """
        self._left = left
        self._sink = sink
        self._owner = owner
        self._settings = settings
        self._observer = observer
        self._reached = reached
        self._executor = executor
        self._journal = journal
        self._watchdog = watchdog
        self._ask_registry = ask_registry
        self._fetch_from = fetch_from
        # By topic and partition: whoever takes a partition in again goes on counting.
        self._limits: dict[tuple[str, int], DeadLetterLimits] = {}
        self._schemas: dict[tuple[str, int], SchemaQuestions] = {}
        self.lanes: Lanes = MappingProxyType({})
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._intake = True
        self._is_held = False
        self._took_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        sink.went_back = self._went_back
        for lane in lanes:
            self.join(lane)

    def join(self, lane: Lane) -> None:
        """Take a lane up, also while others run."""
        where = lane.topic, lane.partition
        lane.schemas = self._schemas.setdefault(where, lane.schemas)
        self.lanes = MappingProxyType({**self.lanes, where: lane})
        changelog = lane.route.changelog, lane.partition
        self._sink.ends[changelog] = lane.state.store.changelog_offset
        if lane.retelling.is_wanted:
            self._wake.set()

    def leave(self, lane: Lane, trouble: PartitionTrouble) -> None:
        """Take nothing more from a lane; what it has on its way is committed."""
        if lane.has_left:
            return
        lane.has_left = True
        where = lane.topic, lane.partition
        others = {place: one for place, one in self.lanes.items() if place != where}
        self.lanes = MappingProxyType(others)
        self._fetch_from(lane, False)
        self._left(lane, trouble)
        # What it had fetched takes no room any more.
        self._make_room()
        self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="pump")

    async def stop(self) -> None:
        """Finish the transaction in flight; what is buffered belongs to the next owner."""
        self.stop_intake()
        for asking in self._asking:
            asking.cancel()
        if self._task is None:
            return
        limit_s = self._settings.transaction_timeout_ms / 1000
        _, unfinished = await asyncio.wait({self._task}, timeout=limit_s)
        if unfinished:
            end_process(f"the transaction in flight did not end within {limit_s:.0f} s")

    def stop_intake(self) -> None:
        self._intake = False
        self._wake.set()
        self._room.set()

    def feed(self, fetch: Any) -> None:
        """Take a fetch into the lanes' buffers."""
        if not self._intake:
            return
        self._reached("fetched")
        for part in fetch.slices:
            where = part.topic, part.partition
            lane = self.lanes.get(where)
            # What was fetched for a lane that left must not reach the one that took its place.
            if lane is None or fetch.intake.get(where) is not lane:
                continue
            try:
                lane.feed(part.records, part.records.begin, part.records.holes)
            except PartitionTrouble as trouble:
                self.leave(lane, trouble)
        if self._buffered_bytes() >= self._settings.buffer_bytes:
            self._room.clear()
        self._wake.set()

    async def has_room(self) -> None:
        """Wait until the buffers are below their limit."""
        await self._room.wait()

    def _buffered_bytes(self) -> int:
        # What is parked may wait for long: it must not take the room of the others.
        return sum([lane.buffered_bytes for lane in self.lanes.values() if not lane.parked])

    def _buffered_records(self) -> int:
        return sum([lane.buffered_records for lane in self.lanes.values() if not lane.parked])

    async def _run(self) -> None:
        committing: asyncio.Task[None] | None = None
        try:
            while self._intake:
                await self._wake.wait()
                self._wake.clear()
                while self._intake:
                    little = (
                        self._buffered_records() < self._settings.transaction_records // 2
                        or self._is_cautious()
                    )
                    if little and committing is not None:
                        await committing
                        committing = None
                    if little:
                        await self._let_gather()
                    await self._sweep()
                    taken = self._take()
                    if not taken:
                        break
                    decided, transaction = await self._decide(taken)
                    if committing is not None:
                        await committing
                        committing = None
                    if decided:
                        committing = asyncio.create_task(self._commit(decided, transaction))
            if committing is not None:
                await committing
        except WorkerMustEnd as error:
            end_process(str(error))
        except BaseException as error:  # noqa: BLE001  (whatever it is, the process ends)
            end_process(f"unexpected {error!r}", error)

    async def _let_gather(self) -> None:
        """Keep transactions apart while there is little to do: each costs all its partitions."""
        loop = asyncio.get_running_loop()
        wait_s = self._took_at + self._settings.commit_interval_ms / 1000 - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self._took_at = loop.time()

    async def _sweep(self) -> None:
        """Clear the indexes of due times in which much has piled up, off the loop.

        A store that was restored, or that no tick has reached for long, may hold millions of
        entries that are due no more; the next record that moves time would pass them all.
        """
        loop = asyncio.get_running_loop()
        for lane in self.lanes.values():
            while self._intake and (until_ms := lane.overdue_ms()):
                sweep = lane.state.sweep
                try:
                    if await loop.run_in_executor(self._executor, sweep, until_ms, _SWEPT_KEYS):
                        break
                except STORE_ERRORS as error:
                    self.leave(lane, trouble_of(error))

    def _is_cautious(self) -> bool:
        """Say whether a record that kills is being looked for.

        Then nothing is decided ahead: the death of the next record would take the one before
        along, and its place in the journal with it.
        """
        return any(self._journal.caution(lane.place) for lane in self.lanes.values())

    def _went_back(self, topic: str, partition: int, offset: int) -> None:
        """An output ends before what we wrote to it: it was created anew, or lost records."""
        if any(lane.route.changelog == topic for lane in self.lanes.values()):
            # Not committed: with it the group would stand where the changelog has nothing.
            message = (
                f"{topic}-{partition} goes on at offset {offset}, before what this worker wrote: "
                + CHANGELOG_LOST
            )
            raise WorkerMustEnd(message)
        self._observer.log.error(
            "%s-%d goes on at offset %d: it lost records", topic, partition, offset
        )
        self.tell_again(topic)

    def hold_back(self, is_held: bool) -> None:
        """Begin no transaction while a topic is missing: it could not end."""
        if self._is_held and not is_held:
            self._wake.set()
        self._is_held = is_held

    def tell_again(self, topic: str) -> None:
        """Write what this output lost anew."""
        for lane in self.lanes.values():
            if lane.retelling.concerns(topic):
                lane.retelling.begin()
        self._wake.set()

    def _take(self) -> list[tuple[Lane, Sequence[Record]]]:
        if self._is_held:
            return []
        room = self._settings.transaction_records
        taken: list[tuple[Lane, Sequence[Record]]] = []
        # The fullest lane first: none waits behind the others for ever.
        for lane in sorted(self.lanes.values(), key=lambda lane: -lane.buffered_records):
            records = lane.take(room)
            if records or (lane.retelling.is_wanted and not lane.parked):
                taken.append((lane, records))
                room -= len(records)
        self._make_room()
        return taken

    def _make_room(self) -> None:
        if self._buffered_bytes() < self._settings.buffer_bytes:
            self._room.set()

    async def _decide(
        self, taken: Sequence[tuple[Lane, Sequence[Record]]]
    ) -> tuple[list[Decided], Transaction]:
        transaction = self._sink.transaction()
        decided: list[Decided] = []
        for lane, records in taken:
            if lane.has_left:
                continue
            one: Decided | None = None
            try:
                with self._journal.deciding(lane.place, records):
                    one = lane.decide(records)
                    self._count_dead_letters(lane, records, one)
                    self._fill(transaction, one)
            except UnknownSchema as unknown:
                self._park(lane, records, unknown)
                continue
            except NewerProducer as newer:
                self._set_aside(lane, records, str(newer))
                continue
            except (PartitionTrouble, *STORE_ERRORS) as error:
                # None of these is the record's fault.
                self.leave(lane, trouble_of(error))
                continue
            except WorkerMustEnd:
                raise
            except Exception as error:
                if one is None and await self._is_states_fault(lane, error):
                    continue
                if not records:
                    raise
                self._journal.note_death(lane.place, records[0].offset, records[-1].offset)
                message = (
                    f"{lane.place}: deciding offsets {records[0].offset}..{records[-1].offset} "
                    f"failed: {error!r}"
                )
                if isinstance(error, MemoryError):
                    end_process(message, error)
                self._observer.log.exception("%s", message)
                self.leave(lane, PartitionTrouble(message, "handler"))
                # Some of what failed may be in it already.
                transaction = transaction.anew()
                for other in decided:
                    self._fill(transaction, other)
                continue
            lane.set_out()
            decided.append(one)
            # Lets the commit under way take its next step.
            await asyncio.sleep(0)
        self._reached("decided")
        return decided, transaction

    def _count_dead_letters(self, lane: Lane, records: Sequence[Record], one: Decided) -> None:
        """Raise PartitionTrouble where a lane has too many dead letters, before any is written.

        Anybody can write ten bad records to a partition: that must not stop the others.
        """
        limits = self._limits.setdefault(
            (lane.topic, lane.partition),
            DeadLetterLimits(
                run_limit=self._settings.dead_letter_run_limit,
                share_limit=self._settings.dead_letter_share_limit,
            ),
        )
        limits.count(records, one.effects.dead_letters)

    async def _is_states_fault(self, lane: Lane, error: Exception) -> bool:
        """Say whether a decision failed over a state that cannot be; its lane has then left.

        A record is judged by what it does to a sound state: what is wrong with the state must
        not be counted against it, or the next innocent one is set aside for good.
        """
        if isinstance(error, MemoryError):
            return False
        loop = asyncio.get_running_loop()
        try:
            why = await loop.run_in_executor(None, lane.contradiction)
        except STORE_ERRORS as damaged:
            self.leave(lane, trouble_of(damaged))
            return True
        if not why:
            return False
        message = f"its state contradicts itself: {why}; deciding failed with {error!r}"
        self.leave(lane, PartitionTrouble(message, "store", forget_store=True))
        return True

    def _fill(self, transaction: Transaction, one: Decided) -> None:
        lane = one.lane
        partition, at_ms = lane.partition, one.log_time_ms
        for topic, pairs in one.effects.outgoing.items():
            if pairs:
                transaction.add(topic, partition, pairs, at_ms)
        if one.changes.deletes:
            seed, order = lane.state.seed, one.changes.order
            tombstones = [tombstone(key, seed, order) for key in one.changes.deletes]
            transaction.add(lane.route.changelog, partition, tombstones, at_ms)
        if one.changes.puts:
            # Last: who wrote them stands behind all others.
            transaction.add(lane.route.changelog, partition, one.changes.puts, at_ms)
        if one.effects.dead_letters:
            letters = [
                dead_letter_record(letter, lane.topic, partition)
                for letter in one.effects.dead_letters
            ]
            transaction.add(lane.route.dead_letters, partition, letters, at_ms, LETTER_BYTES_MAX)

    async def _commit(self, decided: Sequence[Decided], transaction: Transaction) -> None:
        self._watchdog.check()
        began = time.perf_counter()
        offsets = {(one.lane.topic, one.lane.partition): one.next_offset for one in decided}
        ends = await transaction.commit(self._settings.app_id, offsets, self._owner, self._reached)
        committed = time.perf_counter()
        failed = await asyncio.get_running_loop().run_in_executor(
            self._executor, _write, [one for one in decided if not one.lane.has_lost_writes], ends
        )
        self._reached("store_written")
        for one in decided:
            lane = one.lane
            if lane in failed:
                # Its state still has what the store lacks: nothing is released.
                lane.has_lost_writes = True
                self.leave(lane, trouble_of(failed[lane]))
            if not lane.has_lost_writes:
                lane.state.release()
            lane.committed_offset = one.next_offset
            self._journal.note_passed(lane.place, one.next_offset)
            lane.arrived()
        self._observer.committed(decided, committed - began, time.perf_counter() - committed)

    def _set_aside(self, lane: Lane, records: Sequence[Record], why: str) -> None:
        """Leave a lane alone, and fetch no more for it; the others go on."""
        lane.put_back(records)
        lane.parked = True
        self._fetch_from(lane, False)
        self._observer.parked(lane.place, why)

    def _park(self, lane: Lane, records: Sequence[Record], unknown: UnknownSchema) -> None:
        """Set a lane aside while the registry is asked for what it lacks."""
        self._set_aside(lane, records, f"asking the registry for {unknown}")
        task = asyncio.create_task(self._ask(lane, unknown.schema_ids))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, lane: Lane, schema_ids: frozenset[int]) -> None:
        try:
            await lane.schemas.ask(schema_ids, self._ask_registry)
        except SchemaIdsError as error:
            end_process(f"schema ids: {type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  (whatever it is, the process ends)
            end_process(f"unexpected {error!r}", error)
        if lane.has_left:
            return
        lane.parked = False
        self._fetch_from(lane, True)
        self._observer.unparked(lane.place)
        self._wake.set()


def _write(
    decided: Sequence[Decided], ends: Mapping[tuple[str, int], int]
) -> dict[Lane, Exception]:
    """Write each committed batch to its store; return what went wrong with which."""
    failed: dict[Lane, Exception] = {}
    for one in decided:
        lane = one.lane
        try:
            lane.state.write(one.changes, ends.get((lane.route.changelog, lane.partition)))
        except STORE_ERRORS as error:
            failed[lane] = error
    return failed
