"""Moves log time: sends each owned partition its tick while something in its state is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.runtime.lane import Lane
from streams.runtime.observe import Observer


class Ticker:
    """Ticks on the worker's own clock; two tickers at once do no harm.

    lanes: the partitions owned at this moment.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        lanes: Callable[[], Sequence[Lane]],
        every_ms: int,
        observer: Observer,
    ) -> None:
        self._connection = connection
        self._lanes = lanes
        self._every_ms = every_ms
        self._observer = observer

    async def run(self) -> None:
        """Tick until cancelled."""
        producer = AIOKafkaProducer(**self._connection, acks="all", request_timeout_ms=5_000)
        await producer.start()
        try:
            while True:
                now_ms = int(time.time() * 1000)
                await asyncio.sleep((self._every_ms - now_ms % self._every_ms) / 1000)
                await self._tick(producer, int(time.time() * 1000))
        finally:
            await producer.stop()

    async def _tick(self, producer: AIOKafkaProducer, now_ms: int) -> None:
        for lane in self._lanes():
            tick = lane.route.tick
            if tick is None or lane.state.next_due_ms > now_ms:
                continue
            key, value = tick.record(now_ms)
            try:
                # Not awaited for delivery: a lost tick is followed by the next one.
                await producer.send(lane.topic, value, key=key, partition=lane.partition)
            except KafkaError as error:
                self._observer.log.warning("no tick for %s: %r", lane.place, error)
