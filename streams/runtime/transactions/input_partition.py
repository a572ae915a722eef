"""One input partition of this worker: its buffer, its state, and its position."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from state.stores.partition_state import Changes, PartitionState, last_of
from streams.batch import Batch, DeadLetter, Effects, Record
from streams.intents import INTENT, TRACE, changed_intents
from streams.route import Route
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd
from streams.runtime.transactions.crash_journal import DEATHS_LIMIT, CrashJournal
from streams.runtime.transactions.record_batches import Unreadable, trouble_with
from streams.runtime.transactions.retelling import Retelling
from streams.runtime.transactions.schema_questions import SchemaQuestions

QUARANTINED = "QUARANTINED"
_OVERDUE_MS = 5_000
_OVERDUE_RECORDS = 50


@dataclass(frozen=True, slots=True)
class Decided:
    """A decided batch of one partition: what it brings into a transaction.

    records: how many. next_offset: behind the last of them. log_time_ms: after them.
    """

    partition: InputPartition
    records: int
    next_offset: int
    log_time_ms: int
    effects: Effects
    changes: Changes


class InputPartition:
    """Keeps one partition's records in order, from the fetch to the decision.

    partitions:       number of partitions of the topic.
    next_offset:      of the next record that is expected from the log.
    committed_offset: of the next record that is not decided and committed yet.
    is_waiting:       no records are taken for now, for want of a schema or of newer code.
    has_left:         no records are taken any more, because the partition is in trouble.
    has_lost_writes:  the store lacks a batch that was committed; the changelog has it.
    end_offset:       at which the partition's log ended when it was taken over.
    log_time_ms:      the log's time.
    behind_ms:        how far log time is behind the append time of the last record, because the
                      broker's clock jumped or no record came for long.
    """

    def __init__(
        self,
        route: Route,
        topic: str,
        number: int,
        partitions: int,
        state: PartitionState,
        next_offset: int,
        log_time_ms: int,
        journal: CrashJournal,
        *,
        has_gaps: bool = False,
        end_offset: int = 0,
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Begin at `next_offset`.

        has_gaps: the topic is compacted, so that offsets may be missing from its log.
        counts:   number of partitions by output that may have another one than the topic.
        """
        self.route = route
        self.topic = topic
        self.number = number
        self.place = f"{topic}-{number}"
        self.state = state
        self.next_offset = next_offset
        self.committed_offset = next_offset
        self.end_offset = end_offset
        self.log_time_ms = log_time_ms
        self.behind_ms = 0
        self.buffered_bytes = 0
        self.buffered_records = 0
        self.is_waiting = False
        self.has_left = False
        self.has_lost_writes = False
        self.schemas = SchemaQuestions(time.monotonic)
        self.partitions = partitions
        self._counts = counts
        self.retelling = Retelling(route.retold, state)
        self._decided_to = next_offset
        self._read_to = next_offset
        self._buffer: deque[Sequence[Record]] = deque()
        self._journal = journal
        self._has_gaps = has_gaps
        self._in_flight = 0
        self._is_settled = asyncio.Event()
        self._is_settled.set()

    def partitions_of(self, output: str) -> int:
        """Return how many partitions an output of the route has."""
        return self._counts.get(output, self.partitions)

    def feed(
        self, records: Sequence[Record], begin: int, holes: Sequence[tuple[int, int]] = ()
    ) -> None:
        """Take fetched records in; raises PartitionTrouble unless they continue the last ones.

        begin: offset from which on the log was read, transaction markers and aborted records
               included.
        holes: offsets that the log lacks from there on, each as (first missing, next present).
        """
        if isinstance(records[0], Unreadable):
            raise trouble_with(records[0], self.place, "input")
        first, last = records[0].offset, records[-1].offset
        if first < self.next_offset:
            message = (
                f"{self.place}: expected offset {self.next_offset}, got {first}: the log went "
                "backwards, so the topic was created anew or lost records. Restore the brokers "
                'from a backup, or begin anew. See "A backup" in docs/operations.md'
            )
            raise PartitionTrouble(message, "input")
        lost = [(start, end) for start, end in holes if end > self.next_offset]
        if begin > self.next_offset:
            lost.append((self.next_offset, begin))
        if lost and not self._has_gaps:
            start, end = min(lost)
            message = (
                f"{self.place}: offsets {start} to {end - 1} are not in the log, which is not "
                "compacted: input was lost. Restore the brokers from a backup, or begin anew. See "
                '"A backup" in docs/operations.md'
            )
            raise PartitionTrouble(message, "input")
        self.next_offset = last + 1
        self._buffer.append(records)
        self.buffered_records += len(records)
        self.buffered_bytes += _size(records)

    @property
    def has_caught_up(self) -> bool:
        """Return whether all records up to `end_offset` are decided and committed."""
        return max(self.committed_offset, self._read_to) >= self.end_offset

    def note_read_to(self, offset: int) -> None:
        """Note an offset before which no record is still to come or to be committed.

        It may lie behind the last record, where transaction markers and aborted records follow:
        these are never handed out.
        """
        self._read_to = offset

    def take(self, limit: int) -> Sequence[Record]:
        """Return up to `limit` buffered records, oldest first; none while it waits."""
        if self.is_waiting or self.has_left or not self._buffer or limit <= 0:
            return ()
        if self.overdue_ms():
            # Each of these records may cause many overdue changes, so the batch is kept short.
            limit = min(limit, _OVERDUE_RECORDS)
        caution = self._journal.caution(self.place)
        if caution is not None and self._buffer[0][0].offset <= caution.last_offset:
            # A record of this stretch ended the worker: few at a time show which.
            limit = min(limit, caution.at_once)
        taken: list[Record] = []
        while self._buffer and len(taken) < limit:
            head = self._buffer.popleft()
            room = limit - len(taken)
            if len(head) > room:
                self._buffer.appendleft(head[room:])
                head = head[:room]
            taken.extend(head)
        self.buffered_records -= len(taken)
        self.buffered_bytes -= _size(taken)
        return taken

    def overdue_ms(self) -> int:
        """Return the log time of the next record where keys have been due for long, else 0."""
        if self.is_waiting or self.has_left or not self._buffer:
            return 0
        now_ms = max(self.log_time_ms, self._buffer[0][0].timestamp)
        return now_ms if self.state.next_due_ms < now_ms - _OVERDUE_MS else 0

    def put_back(self, records: Sequence[Record]) -> None:
        """Put taken records back in front of the buffer: they could not be decided yet."""
        self._buffer.appendleft(records)
        self.buffered_records += len(records)
        self.buffered_bytes += _size(records)

    def decide(self, records: Sequence[Record]) -> Decided:
        """Run the handler on records, and seal the changes of state for the transaction.

        Records to be told again go along; without input records, only these.
        """
        effects = self._effects_of(records) if records else Effects()
        self.retelling.add_to(effects)
        for topic in effects.outgoing:
            if topic not in self.route.to:
                message = f"{self.topic} may not publish to {topic}: not in its route"
                raise WorkerMustEnd(message)
        changes = self.state.seal()
        self.route.check_intents(changed_intents(last_of(changes, INTENT, self.state.seed)))
        return Decided(self, len(records), self._decided_to, self.log_time_ms, effects, changes)

    def _effects_of(self, records: Sequence[Record]) -> Effects:
        unknown = self.schemas.unknown()
        batch = Batch(self.topic, self.number, self.partitions, records, unknown)
        if self._journal.is_quarantined(self.place, records[0].offset):
            effects = self._quarantine(batch, records[0])
        else:
            effects = self.route.handler(batch, self.state, self.log_time_ms)
        self._decided_to = records[-1].offset + 1
        appended_ms = max([record.timestamp for record in records])
        progress = self.route.progress
        self.log_time_ms = (
            max(self.log_time_ms, appended_ms)
            if progress is None
            else progress(self.state).log_time_ms
        )
        self.behind_ms = max(0, records[-1].timestamp - self.log_time_ms)
        return effects

    def contradiction(self) -> str:
        """Return how the stored state contradicts itself; empty where not. May take seconds."""
        find = self.route.contradiction
        if find is None:
            return ""
        items = (
            one for one in self.state.stored_items() if not one[0].startswith((INTENT, TRACE))
        )
        return find(items, self.number, self.partitions)

    def set_out(self) -> None:
        """Note that a batch of this partition is on its way into a transaction."""
        self._in_flight += 1
        self._is_settled.clear()

    def arrived(self) -> None:
        """Note that the oldest batch on its way is committed, and its store was written."""
        self._in_flight -= 1
        if not self._in_flight:
            self._is_settled.set()

    async def settled(self) -> None:
        """Wait until no batch of this partition is on its way."""
        await self._is_settled.wait()

    def _quarantine(self, batch: Batch, record: Record) -> Effects:
        deaths = self._journal.deaths(self.place)
        told = batch, self.state, record, self.log_time_ms
        isolate = self.route.isolate
        if isolate is not None and deaths < 2 * DEATHS_LIMIT and isolate(*told):
            # Something else may have killed: by itself the record is decided after all.
            return self.route.handler(batch, self.state, self.log_time_ms)
        effects = Effects() if self.route.refuse is None else self.route.refuse(*told)
        if not effects.is_innocent:
            detail = f"could not be decided {deaths} times"
            effects.dead_letters.append(DeadLetter(record, QUARANTINED, detail, deaths))
        return effects


def _size(records: Sequence[Record]) -> int:
    return sum([len(record.value or b"") for record in records]) + 100 * len(records)
