"""What a worker finds out of its partitions every two seconds: lag, memory, what they keep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
from aiokafka.structs import TopicPartition

from streams.route import Route
from streams.runtime.group import end_offsets
from streams.runtime.ownership.generation import Generation
from streams.runtime.ownership.positions import Place
from streams.runtime.ownership.troubles import STORE_ERRORS
from streams.runtime.process.observer import Kept, Observer
from streams.runtime.process.transaction_watch import TransactionWatch
from streams.runtime.slim_records import read_to
from streams.runtime.transactions.input_partition import InputPartition

_PAUSE_S = 2.0


@dataclass(slots=True)
class StockTaking:
    """Tells the observer how partitions and transactions stand.

    routes:       by the topic that each reads.
    transactions: looks for those that nobody ends.
    generation:   returns the present one; None before the first.
    consumer:     returns Faust's consumer.
    process:      this one.
    """

    routes: Mapping[str, Route]
    observer: Observer
    transactions: TransactionWatch
    generation: Callable[[], Generation | None]
    consumer: Callable[[], Any]
    process: psutil.Process = field(default_factory=psutil.Process)

    async def run(self) -> None:
        """Measure lag and memory at intervals, for /live and the metrics."""
        while True:
            await asyncio.sleep(_PAUSE_S)
            await self._take()

    async def watch_transactions(self) -> None:
        """Look for transactions that nobody ends, also in partitions that are set aside."""
        while True:
            await asyncio.sleep(_PAUSE_S)
            generation = self.generation()
            if generation is not None:
                await self.transactions.look(generation.assigned)

    async def _take(self) -> None:
        generation = self.generation()
        partitions = () if generation is None else tuple(generation.partitions.values())
        self.observer.memory(
            buffered_bytes=sum(one.buffered_bytes for one in partitions),
            resident_bytes=self.process.memory_info().rss,
            stores=[one.state.store.statistics() for one in partitions],
        )
        self.observer.time({one.place: one.behind_ms for one in partitions})
        if generation is not None:
            self.observer.kept(kept_in(self.routes, generation.assigned, partitions))
        lags = await self._measured(partitions) if partitions else {}
        self.observer.lag(lags, int(time.time() * 1000))

    async def _measured(
        self, partitions: Sequence[InputPartition]
    ) -> dict[str, tuple[int, int, int]]:
        """Return position, end offset and log time of those partitions whose end is told."""
        thread = self.consumer()._thread
        tps = [TopicPartition(one.topic, one.number) for one in partitions]
        try:
            ends = await thread.call_thread(end_offsets, thread._consumer, tps)
        except Exception as error:  # noqa: BLE001  (the group may be rebalancing)
            self.observer.log.info(
                "the brokers did not tell end offsets, so the lag is unknown: %r", error
            )
            return {}
        for tp, end in ends.items():
            if not isinstance(end, int):
                self.observer.log.info("the end of %s-%d is unknown, and so its lag: %r", *tp, end)
        positions = [
            partition.committed_offset
            if partition.committed_offset < partition.next_offset
            else read_to(thread._consumer, tp, partition.next_offset)
            for partition, tp in zip(partitions, tps, strict=True)
        ]
        for partition, position in zip(partitions, positions, strict=True):
            partition.note_read_to(position)
        return {
            partition.place: (position, ends[tp], partition.log_time_ms)
            for partition, tp, position in zip(partitions, tps, positions, strict=True)
            if isinstance(ends[tp], int)
        }


def kept_in(
    routes: Mapping[str, Route], assigned: Iterable[Place], running: Iterable[InputPartition]
) -> dict[str, Kept | None]:
    """Return what routes count in the states of our partitions; None where nobody can tell.

    routes: by the topic that each reads. Partitions of routes that count nothing are left out.
    """
    by_place = {(one.topic, one.number): one for one in running}
    found: dict[str, Kept | None] = {}
    for place in assigned:
        route, partition = routes[place[0]], by_place.get(place)
        if route.counts is None:
            continue
        name = f"{place[0]}-{place[1]}"
        found[name] = None
        if partition is None:
            # Set aside, or not taken over yet.
            continue
        # Whoever decides in a damaged store finds it too, and knows what to do.
        with suppress(*STORE_ERRORS, ValueError):
            found[name] = {
                (route.role, kind): number
                for kind, number in route.counts(partition.state).items()
            }
    return found
