"""What a fetch brought, as lists of parsed records: put into aiokafka in place of its own classes.

Stock aiokafka makes an object of each record and moves its position each time. It does not tell
which offsets the log lacks, and a record that it cannot parse stops all partitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiokafka.consumer.fetcher as aiokafka_fetcher

from streams.batch import Record
from streams.runtime.transactions.record_batches import RawRecords, Unreadable, records_of

Hole = tuple[int, int]
"""First offset that is not in the log, and the next one that is."""


class Stretch(list[Record]):
    """Records of one partition, and the offsets that were passed over before and between them.

    begin: first offset of what was read: records, transaction markers and aborted records.
    holes: offsets that the log does not have: their records were compacted away, or lost.
    """

    begin = 0
    holes: Sequence[Hole] = ()


class SlimPartitionRecords(aiokafka_fetcher.PartitionRecords):
    """Yields the parsed records of one record batch after another, as lists.

    Stock aiokafka builds a ConsumerRecord for each record and updates its position each time,
    which costs more than parsing it.

    holes: offsets between the batches for which the log has no record.
    """

    next_fetch_offset: int
    holes: list[Hole]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.holes = []

    def _unpack_records(self) -> Iterator[list[Record]]:
        committed_only = self._isolation_level == aiokafka_fetcher.READ_COMMITTED
        records = self._records
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                yield [self._unreadable(records.raw, "its checksum is wrong: look at the disks")]
                return
            if batch.base_offset > self.next_fetch_offset:
                self.holes.append((self.next_fetch_offset, batch.base_offset))
            if committed_only and batch.producer_id is not None:
                self._consume_aborted_up_to(batch.base_offset)
                if batch.is_control_batch and self._contains_abort_marker(batch):
                    self._aborted_producers.discard(batch.producer_id)
            aborted = (
                committed_only
                and batch.is_transactional
                and batch.producer_id in self._aborted_producers
            )
            if not aborted and not batch.is_control_batch:
                try:
                    chunk = records_of(batch, records.raw)
                except Exception as error:  # noqa: BLE001  (whatever the library makes of bytes)
                    yield [self._unreadable(records.raw, str(error) or repr(error))]
                    return
                if chunk and chunk[0].offset < self.next_fetch_offset:
                    # The fetch began in the middle of this batch.
                    chunk = [one for one in chunk if one.offset >= self.next_fetch_offset]
                if chunk:
                    self.next_fetch_offset = chunk[-1].offset + 1
                    yield chunk
            # Records behind the batch's last one may be compacted away: the next fetch skips them.
            self.next_fetch_offset = batch.next_offset

    def _unreadable(self, raw: memoryview, why: str) -> Any:
        offset = max(self.next_fetch_offset, int.from_bytes(raw[:8], "big"))
        return Unreadable(offset, why)


@dataclass(frozen=True, slots=True)
class Passed:
    """The offsets from `begin` to before `end`, passed over since the last record handed out."""

    begin: int
    end: int
    holes: Sequence[Hole]


class SlimFetchResult(aiokafka_fetcher.FetchResult):
    """Hands out all records of a fetch at once."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Record]:  # noqa: ARG002
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        reading = self._partition_records
        state = self._assignment.state_value(self._topic_partition)
        records = Stretch()
        begin = reading.next_fetch_offset
        passed: Passed | None = getattr(state, "passed", None)
        holes: list[Hole] = []
        if passed is not None and passed.end == begin:
            # Since then no record was handed out, and nobody has sought another offset: the
            # offsets passed over lie right before this fetch.
            begin = passed.begin
            holes.extend(passed.holes)
        handed = begin
        for chunk in reading:
            if isinstance(chunk[0], Unreadable):
                # First the records before the unreadable one are handed out; the next fetch
                # begins at it.
                if not records:
                    records.extend(chunk)
                break
            records.extend(chunk)
            handed = records[-1].offset + 1
        holes.extend(reading.holes)
        # Set before the position is, since `read_to` reads both in another thread: it must not
        # see a position behind records that are not noted as handed out.
        if handed > begin:
            state.handed_offset = handed
        self._update_position()
        self._partition_records = None
        records.begin = begin
        records.holes = [hole for hole in holes if hole[0] < handed]
        later = [hole for hole in holes if hole[0] >= handed]
        state.passed = Passed(handed, reading.next_fetch_offset, later)
        return records


def read_to(consumer: Any, tp: Any, next_offset: int) -> int:
    """Return the offset before which no record will come for a reader.

    next_offset: behind the last record that the reader took; it took all before it.

    Where only transaction markers and aborted records follow, the answer lies behind these: they
    are never handed out, so the committed offset stays before them until another record comes.
    """
    assignment = consumer._subscription.subscription.assignment
    state = assignment and assignment.state_value(tp)
    if not state or not state.has_valid_position:
        return next_offset
    position: int = state.position
    handed: int = getattr(state, "handed_offset", next_offset)
    return max(next_offset, position) if handed <= next_offset else next_offset


def read_slim_records() -> None:
    """Make every consumer of this process hand out records as they were parsed.

    The classes are put into aiokafka's module, where its fetcher looks them up.
    """
    aiokafka_fetcher.PartitionRecords = SlimPartitionRecords
    aiokafka_fetcher.FetchResult = SlimFetchResult
    aiokafka_fetcher.MemoryRecords = RawRecords
