"""Group commit: records that wait in the input partitions become one transaction after another.

While a transaction commits, records gather; the next transaction takes all of them, up to a limit.
With a backlog, the next batch is decided while the last one commits. With little to do, it is
decided after that commit and a pause, so that one transaction carries all that came meanwhile. A
failed transaction ends the process, so deciding ahead is safe.

A partition in trouble leaves: its decided records are committed, its fetched records are dropped,
and the other partitions go on.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from streams.batch import NewerProducer, Record, UnknownSchema
from streams.runtime.outside.projecting import project
from streams.runtime.ownership.troubles import STORE_ERRORS, trouble_of
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd, end_process
from streams.runtime.process.observer import about
from streams.runtime.transactions.carrying import fill, write_stores
from streams.runtime.transactions.dead_letters import DeadLetterLimits
from streams.runtime.transactions.input_partition import Decided, InputPartition
from streams.runtime.transactions.retelling import tell_oldest_again
from streams.runtime.transactions.tracing import Traced, tell_committed, traced_in
from streams.runtime.transactions.transaction import (
    Transaction,
    TransactionalProducers,
    fate_unknown,
)
from streams.runtime.transactions.waiting import Waiting
from streams.runtime.worker_parts import WorkerParts

InputPartitions = Mapping[tuple[str, int], InputPartition]
"""Input partitions by topic and number; replaced whenever one joins or leaves, never changed."""

CHANGELOG_LOST = (
    "the changelog was created anew or lost records. What it had lies in the commands, and in the "
    "workers' stores: keep both, stop all workers, and read `a changelog is lost` in "
    "docs/operations.md"
)

_SWEPT_KEYS = 5_000
"""Entries of an index of due times that are deleted in one go."""


class GroupCommit:
    """The input partitions of one generation, and the loop that commits what they hold."""

    def __init__(
        self,
        parts: WorkerParts,
        *,
        partitions: Sequence[InputPartition],
        producers: TransactionalProducers,
        owner: str,
        left: Callable[[InputPartition, PartitionTrouble], None],
    ) -> None:
        """Take the partitions up.

        left: called with a partition that left and its trouble; a batch that it decided may
              still be committing then.
        """
        self._left = left
        self._producers = producers
        self._owner = owner
        self._settings = parts.settings
        self._observer = parts.observer
        self._reached = parts.reached
        self._executor = parts.executor
        self._intents = parts.intents
        self._journal = parts.journal
        self._watchdog = parts.watchdog
        self._fetch_from = parts.fetch_from
        # By topic and partition, and kept when a partition leaves: once it is taken in again, its
        # dead letters are counted on.
        self._limits: dict[tuple[str, int], DeadLetterLimits] = {}
        self.partitions: InputPartitions = MappingProxyType({})
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._intake = True
        self._is_held = False
        self._took_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._waiting = Waiting(parts, self._wake.set)
        producers.went_back = self._went_back
        for partition in partitions:
            self.join(partition)

    def join(self, partition: InputPartition) -> None:
        """Take a partition up, also while others run."""
        where = partition.topic, partition.number
        self._waiting.join(partition)
        self.partitions = MappingProxyType({**self.partitions, where: partition})
        changelog = partition.route.changelog, partition.number
        self._producers.ends[changelog] = partition.state.store.changelog_offset
        if partition.retelling.is_wanted:
            self._wake.set()

    def leave(self, partition: InputPartition, trouble: PartitionTrouble) -> None:
        """Decide nothing more from a partition; a batch that it has decided is committed."""
        if partition.has_left:
            return
        partition.has_left = True
        where = partition.topic, partition.number
        others = {place: one for place, one in self.partitions.items() if place != where}
        self.partitions = MappingProxyType(others)
        self._fetch_from(partition, False)
        self._left(partition, trouble)
        # The records that it had fetched take no room any more.
        self._make_room()
        self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="group-commit")

    async def stop(self) -> None:
        """Finish the transaction in flight; buffered records are left to the next owner."""
        self.stop_intake()
        self._waiting.stop()
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
        """Take a fetch into the partitions' buffers."""
        if not self._intake:
            return
        self._reached("fetched")
        for part in fetch.slices:
            where = part.topic, part.partition
            partition = self.partitions.get(where)
            # A fetch made for a partition that has left must not reach its successor, which may
            # stand at another offset.
            if partition is None or fetch.intake.get(where) is not partition:
                continue
            try:
                partition.feed(part.records, part.records.begin, part.records.holes)
            except PartitionTrouble as trouble:
                self.leave(partition, trouble)
        if self._buffered_bytes() >= self._settings.buffer_bytes:
            self._room.clear()
        self._wake.set()

    async def has_room(self) -> None:
        """Wait until the buffers are below their limit."""
        await self._room.wait()

    def _buffered_bytes(self) -> int:
        return sum([one.buffered_bytes for one in self._going_on()])

    def _buffered_records(self) -> int:
        return sum([one.buffered_records for one in self._going_on()])

    def _going_on(self) -> list[InputPartition]:
        """Return the partitions that do not wait: who waits must not take the others' room."""
        return [one for one in self.partitions.values() if not one.is_waiting]

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
                    began_s = time.perf_counter()
                    decided, transaction = await self._decide(taken)
                    if committing is not None:
                        await committing
                        committing = None
                    if decided:
                        traced = traced_in(taken, decided)
                        work = self._commit(decided, transaction, traced, began_s)
                        committing = asyncio.create_task(work)
            if committing is not None:
                await committing
        except WorkerMustEnd as error:
            end_process(str(error))
        except BaseException as error:  # noqa: BLE001  (whatever it is, the process ends)
            if unanswered := fate_unknown(error):
                end_process(
                    f"FateUnknown: {unanswered}: a broker was lost in the middle of a commit, and "
                    "nobody knows what it did. Whoever starts next goes on from the last commit"
                )
            end_process(f"unexpected {error!r}", error)

    async def _let_gather(self) -> None:
        """Wait until the commit interval since the last batch is over.

        Each transaction costs something for every partition in it: few records share one.
        """
        loop = asyncio.get_running_loop()
        wait_s = self._took_at + self._settings.commit_interval_ms / 1000 - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self._took_at = loop.time()

    async def _sweep(self) -> None:
        """Clear indexes of due times in which old entries have piled up; runs off the event loop.

        A store that was restored, or that no tick has reached for long, may hold millions of
        entries that are no longer due; the next record that moves the log time would pass them
        all.
        """
        loop = asyncio.get_running_loop()
        for partition in self.partitions.values():
            while self._intake and (until_ms := partition.overdue_ms()):
                sweep = partition.state.sweep
                try:
                    if await loop.run_in_executor(self._executor, sweep, until_ms, _SWEPT_KEYS):
                        break
                except STORE_ERRORS as error:
                    self.leave(partition, trouble_of(error))

    def _is_cautious(self) -> bool:
        """Say whether some partition is being searched for a record that ends its worker.

        During the search nothing is decided ahead: if the next record ended the process, the one
        before it would not be committed either, nor noted in the crash journal as passed.
        """
        return any(self._journal.caution(one.place) for one in self.partitions.values())

    def _went_back(self, topic: str, partition: int, offset: int) -> None:
        """Act on an output that now goes on at an offset below what this worker wrote to it.

        Its topic was created anew or lost records. Raises WorkerMustEnd where it is a changelog;
        any other output is told again.
        """
        if any(one.route.changelog == topic for one in self.partitions.values()):
            # The transaction must not be committed: the group's offset would then lie beyond
            # commands whose changes the changelog lacks.
            message = (
                f"{topic}-{partition} goes on at offset {offset}, before what this worker wrote: "
                + CHANGELOG_LOST
            )
            raise WorkerMustEnd(message)
        self._observer.log.error(
            "%s-%d lost records: it goes on at offset %d. What the state still knows is written "
            "there again; consumers that read the lost records keep them",
            topic,
            partition,
            offset,
        )
        self.tell_again(topic)

    def hold_back(self, is_held: bool) -> None:
        """Begin no transaction while a topic is missing, since it could not be committed."""
        if self._is_held and not is_held:
            self._wake.set()
        self._is_held = is_held

    def tell_again(self, topic: str, number: int | None = None) -> None:
        """Write this output anew from the state, in all of its partitions or in one."""
        for partition in self.partitions.values():
            if partition.retelling.concerns(topic) and number in (None, partition.number):
                partition.retelling.begin()
        self._wake.set()

    def tell_oldest_again(self, age_s: float) -> None:
        """Have the partition whose last retelling is oldest begin another, if older than age_s."""
        tell_oldest_again([one.retelling for one in self.partitions.values()], age_s)
        self._wake.set()

    def _take(self) -> list[tuple[InputPartition, Sequence[Record]]]:
        # Checked again: partitions may have been revoked during the wait for the last commit.
        if self._is_held or not self._intake:
            return []
        room = self._settings.transaction_records
        taken: list[tuple[InputPartition, Sequence[Record]]] = []
        # The fullest partition goes first, so that none waits behind the others for ever.
        for partition in sorted(self.partitions.values(), key=lambda one: -one.buffered_records):
            records = partition.take(room)
            if records or (partition.retelling.is_wanted and not partition.is_waiting):
                taken.append((partition, records))
                room -= len(records)
        self._make_room()
        return taken

    def _make_room(self) -> None:
        if self._buffered_bytes() < self._settings.buffer_bytes:
            self._room.set()

    async def _decide(
        self, taken: Sequence[tuple[InputPartition, Sequence[Record]]]
    ) -> tuple[list[Decided], Transaction]:
        transaction = self._producers.transaction()
        decided: list[Decided] = []
        for partition, records in taken:
            if partition.has_left:
                continue
            one: Decided | None = None
            try:
                with self._journal.deciding(partition.place, records):
                    one = partition.decide(records)
                if one.effects.projected:
                    # Not within `deciding`: who dies while a database is slow was killed by no
                    # record.
                    await project(one, self._settings.transaction_timeout_ms / 1000)
                with self._journal.deciding(partition.place, records):
                    self._count_dead_letters(partition, records, one)
                    fill(transaction, one)
            except UnknownSchema as unknown:
                self._waiting.wait_for_schema(partition, records, unknown)
                continue
            except NewerProducer as newer:
                self._waiting.wait(partition, records, str(newer))
                continue
            except (PartitionTrouble, *STORE_ERRORS) as error:
                # None of these errors is a record's fault.
                self.leave(partition, trouble_of(error))
                continue
            except WorkerMustEnd:
                raise
            except Exception as error:
                if one is None and await self._is_states_fault(partition, error):
                    continue
                if not records:
                    raise
                self._journal.note_death(partition.place, records[0].offset, records[-1].offset)
                message = (
                    f"{partition.place}: deciding offsets "
                    f"{records[0].offset}..{records[-1].offset} failed: {error!r}"
                )
                if isinstance(error, MemoryError):
                    end_process(message, error)
                # Of several records nobody knows yet which it was.
                self._observer.log.exception(
                    "%s", message, extra=about(records[0]) if len(records) == 1 else None
                )
                self.leave(partition, PartitionTrouble(message, "handler"))
                # The failed partition may have put some of its records into it already.
                transaction = transaction.anew()
                for other in decided:
                    fill(transaction, other)
                continue
            partition.set_out()
            decided.append(one)
            # Give the commit under way its turn on the event loop.
            await asyncio.sleep(0)
        self._reached("decided")
        return decided, transaction

    def _count_dead_letters(
        self, partition: InputPartition, records: Sequence[Record], one: Decided
    ) -> None:
        """Count a batch's dead letters, and raise PartitionTrouble where they are too many.

        Called before any of them is written.

        Anybody can write ten bad records to a partition: that must not stop the others.
        """
        limits = self._limits.setdefault(
            (partition.topic, partition.number),
            DeadLetterLimits(
                run_limit=self._settings.dead_letter_run_limit,
                share_limit=self._settings.dead_letter_share_limit,
            ),
        )
        limits.count(records, one.effects.dead_letters)

    async def _is_states_fault(self, partition: InputPartition, error: Exception) -> bool:
        """Say whether a decision failed because of a damaged state; the partition has then left.

        A record is judged by what it does to a sound state. A failure over a damaged one must not
        be counted against the record, which would become a dead letter though nothing is wrong
        with it.
        """
        if isinstance(error, MemoryError):
            return False
        loop = asyncio.get_running_loop()
        try:
            why = await loop.run_in_executor(None, partition.contradiction)
        except STORE_ERRORS as damaged:
            self.leave(partition, trouble_of(damaged))
            return True
        if not why:
            return False
        message = (
            f"its state contradicts itself: {why}; deciding failed with {error!r}. The store is "
            "made anew from its changelog; if it says so again, keep all topics, run the audit, "
            'and see "A backup" in docs/operations.md'
        )
        self.leave(partition, PartitionTrouble(message, "store", forget_store=True))
        return True

    async def _commit(
        self,
        decided: Sequence[Decided],
        transaction: Transaction,
        traced: Traced,
        began_s: float,
    ) -> None:
        self._watchdog.check()
        began = time.perf_counter()
        offsets = {(one.partition.topic, one.partition.number): one.next_offset for one in decided}
        ends = await transaction.commit(self._settings.app_id, offsets, self._owner, self._reached)
        committed = time.perf_counter()
        failed = await asyncio.get_running_loop().run_in_executor(
            self._executor,
            write_stores,
            [one for one in decided if not one.partition.has_lost_writes],
            ends,
        )
        self._reached("store_written")
        for one in decided:
            partition = one.partition
            if partition in failed:
                # The changes stay in the partition's memory, because its store lacks them.
                partition.has_lost_writes = True
                self.leave(partition, trouble_of(failed[partition]))
            partition.committed_offset = one.next_offset
            if not partition.has_lost_writes:
                partition.state.release()
                self._intents.committed(partition, one.changes)
            self._journal.note_passed(partition.place, one.next_offset)
            partition.arrived()
        self._observe(decided, committed - began, time.perf_counter() - committed)
        tell_committed(traced, committed - began_s)

    def _observe(self, decided: Sequence[Decided], commit_s: float, store_s: float) -> None:
        decisions: Counter[str] = Counter()
        for one in decided:
            decisions.update(one.effects.decisions)
            for letter in one.effects.dead_letters:
                self._observer.dead_letter(one.partition.place, letter)
            for letter in one.effects.given_up:
                self._observer.given_up(one.partition.place, letter)
        records = sum([one.records for one in decided])
        self._observer.committed(records, decisions, commit_s, store_s)
