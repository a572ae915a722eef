"""Watches the transactions in all topics that this worker reads or writes on its partitions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from state.kafka.open_transactions import OpenTransactions, Place, ask_ends
from streams.route import Route
from streams.runtime.process.observer import Observer

_TIMEOUT_S = 5.0


class TransactionWatch:
    """Asks the brokers for last stable offsets and ends, and tells the observer.

    client:  options of librdkafka.
    routes:  by the topic that each reads.
    clock_s: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        routes: Mapping[str, Route],
        observer: Observer,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock_s = clock_s
        self._client = dict(client)
        self._routes = routes
        self._observer = observer
        self._known = OpenTransactions()
        self._admin: AdminClient | None = None

    def watched(self, inputs: Iterable[Place]) -> list[Place]:
        """Return these input partitions, and the partitions that are written for them."""
        return [
            (topic, partition) for source, partition in inputs for topic in self._topics(source)
        ]

    async def look(self, inputs: Iterable[Place]) -> None:
        """Look once at the transactions in `watched` partitions of these inputs."""
        places = self.watched(inputs)
        loop = asyncio.get_running_loop()
        try:
            if self._admin is None:
                self._admin = AdminClient(self._client)
            ends = await loop.run_in_executor(None, ask_ends, self._admin, places, _TIMEOUT_S)
        except KafkaException as error:
            self._observer.log.info("the brokers did not tell the last stable offsets: %r", error)
            return
        now_s = self._clock_s()
        self._known.forget_others(places)
        self._known.note(ends, now_s)
        self._observer.open_transactions({place[0] for place in places}, self._known.open(now_s))

    def _topics(self, source: str) -> tuple[str, ...]:
        route = self._routes[source]
        return (source, route.changelog, route.dead_letters, *route.to)
