"""Changelogs in, stores filled: committed records are read up to each high watermark.

Not up to the last stable offset, because a former owner's committed transaction may not have its
marker yet. Records that are not ours are left out; where compaction may have deleted a value of
ours in favour of such a record, the partition is in trouble. A restore never hangs: a partition
that makes no progress is given up, and the others are finished.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from state.stores.partition_state import Changes, Store
from streams.batch import Record
from streams.runtime.ownership.changelog import ChangelogReader
from streams.runtime.ownership.troubles import STORE_ERRORS, trouble_of
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.transactions.record_batches import Unreadable, trouble_with

Changelog = tuple[str, int]
"""Topic and partition of a changelog."""

_POLL_MS = 200


async def restore(
    connection: Mapping[str, Any],
    stores: Mapping[Changelog, Store],
    high_watermarks: Mapping[Changelog, int],
    readers: Mapping[Changelog, ChangelogReader],
    *,
    executor: Executor,
    progressed: Callable[[int, int], None],
    cancelled: Callable[[], bool],
    stalled_s: float,
) -> tuple[int, dict[Changelog, PartitionTrouble]]:
    """Bring every store up to its changelog's high watermark.

    progressed: called with (records read since its last call, records left at most).
    stalled_s:  how long a partition may make no progress before it is given up.
    Returns how many records were read, and the trouble of each store that is not restored.
    """
    behind = {
        TopicPartition(*where): high_watermarks[where]
        for where, store in stores.items()
        if store.changelog_offset < high_watermarks[where]
    }
    if not behind:
        return 0, {}
    consumer = AIOKafkaConsumer(
        **connection,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=2 << 20,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        consumer.assign(list(behind))
        for tp in behind:
            consumer.seek(tp, stores[tp.topic, tp.partition].changelog_offset)
        reading = _Reading(consumer, stores, readers, behind, executor)
        await reading.run(progressed, cancelled, stalled_s)
        return reading.read, reading.troubles
    finally:
        await consumer.stop()


class _Reading:
    """Changelogs that are being read into their stores.

    behind: by changelog whose store is not restored yet, the offset up to which to read.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        stores: Mapping[Changelog, Store],
        readers: Mapping[Changelog, ChangelogReader],
        behind: dict[Any, int],
        executor: Executor,
    ) -> None:
        self.read = 0
        self.troubles: dict[Changelog, PartitionTrouble] = {}
        self._consumer = consumer
        self._stores = stores
        self._readers = readers
        self._behind = behind
        self._executor = executor
        self._positions: dict[Any, int] = {}
        self._moved_at = dict.fromkeys(behind, time.monotonic())
        self._writing: Awaitable[dict[Changelog, Exception]] | None = None

    async def run(
        self,
        progressed: Callable[[int, int], None],
        cancelled: Callable[[], bool],
        stalled_s: float,
    ) -> None:
        """Read until every partition is done or in trouble."""
        loop = asyncio.get_running_loop()
        try:
            while self._behind and not cancelled():
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
                await self._written()
                work, advanced = await self._digest(fetched)
                if work:
                    self._writing = loop.run_in_executor(self._executor, _write, work)
                    ends = self._behind.items()
                    left = sum(max(0, end - self._positions.get(tp, 0)) for tp, end in ends)
                    progressed(advanced, left)
                self._leave_stalled(stalled_s)
        finally:
            # The caller may close the stores next: none of them is then being written.
            await self._written()
        if not cancelled():
            self._leave_refused()

    async def _written(self) -> None:
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        for (topic, partition), error in (await writing).items():
            self._leave(TopicPartition(topic, partition), trouble_of(error))

    async def _digest(
        self, fetched: Mapping[Any, Sequence[Record]]
    ) -> tuple[list[tuple[Changelog, Store, Changes, int]], int]:
        """Return what to write, and how many records it was made of.

        Each item to write: changelog, store, changes, and the offset the store stands at with
        them. Changelogs whose end is reached are no longer behind.
        """
        work = []
        advanced = 0
        for tp in list(self._behind):
            position = await self._consumer.position(tp)
            if position > self._positions.get(tp, -1):
                self._positions[tp] = position
                self._moved_at[tp] = time.monotonic()
            records = fetched.get(tp, ())
            if records and isinstance(records[0], Unreadable):
                place = f"{tp.topic}-{tp.partition}"
                self._leave(tp, trouble_with(records[0], place, "changelog"))
                continue
            where = tp.topic, tp.partition
            store = self._stores[where]
            if records or position > store.changelog_offset:
                work.append((where, store, self._readers[where].changes(records), position))
                advanced += len(records)
            if position >= self._behind.get(tp, position):
                self._behind.pop(tp, None)
        self.read += advanced
        return work, advanced

    def _leave(self, tp: Any, trouble: PartitionTrouble) -> None:
        self._behind.pop(tp, None)
        self.troubles.setdefault((tp.topic, tp.partition), trouble)

    def _leave_stalled(self, stalled_s: float) -> None:
        now = time.monotonic()
        for tp, end in list(self._behind.items()):
            if now - self._moved_at[tp] <= stalled_s:
                continue
            position = self._positions.get(tp, 0)
            message = (
                f"restore made no progress for {stalled_s:.0f} s on {tp.topic}-{tp.partition}, "
                f"at {position} of {end}"
            )
            stable = self._consumer.last_stable_offset(tp)
            if stable is not None and position >= stable:
                message += (
                    f": a transaction that began at {stable} is still open. It must be ended, see "
                    "docs/runbooks/hanging-transaction.md"
                )
            else:
                message += ". Look at the brokers"
            self._leave(tp, PartitionTrouble(message, "changelog"))

    def _leave_refused(self) -> None:
        for where, reader in self._readers.items():
            doubts = reader.in_doubt()
            if not doubts:
                continue
            message = (
                "changelog values cannot be read and have no newer value: "
                + "; ".join(doubts[:5])
                + '. See "Records that are not ours" in docs/operations.md'
            )
            # The store's offset lies beyond these values: reading on from it would never find
            # them, so the next try begins with an empty store.
            trouble = PartitionTrouble(message, "changelog", forget_store=True)
            self._leave(TopicPartition(*where), trouble)


def _write(
    work: Sequence[tuple[Changelog, Store, Changes, int]],
) -> dict[Changelog, Exception]:
    """Apply the changes to each store; return the error of each store that failed."""
    failed: dict[Changelog, Exception] = {}
    for where, store, changes, position in work:
        try:
            store.apply(changes, position)
        except STORE_ERRORS as error:
            failed[where] = error
    return failed
