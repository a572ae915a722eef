"""Transactional producers that keep in memory what was committed; no broker."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from streams.runtime.transactions.transaction import (
    BATCH_BYTES,
    Pairs,
    Transaction,
    TransactionalProducers,
)

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Committed:
    """One transaction.

    offsets: what was committed of each input. values: what was published, by topic and partition.
    """

    offsets: Mapping[Place, int]
    owner: str
    values: Mapping[Place, list[bytes]]


@dataclass
class ProducersInMemory(TransactionalProducers):
    """Commits at once, unless it is told otherwise.

    log:   what was committed, in order.
    begun: how many transactions were sent.
    goes:  while it is not set, a transaction that was sent waits for the brokers.
    """

    log: list[Committed] = field(default_factory=list)
    begun: int = 0
    is_started: bool = False
    is_stopped: bool = False

    def __post_init__(self) -> None:
        self.ends: dict[Place, int] = {}
        self.went_back = lambda _topic, _partition, _offset: None
        self.goes = asyncio.Event()
        self.goes.set()

    async def start(self) -> Self:
        self.is_started = True
        return self

    async def stop(self) -> None:
        self.is_stopped = True

    def transaction(self) -> "TransactionInMemory":
        return TransactionInMemory(self)

    def values(self, topic: str) -> list[bytes]:
        """Return what was published to a topic, over all transactions and partitions."""
        return [
            value
            for committed in self.log
            for place, values in sorted(committed.values.items())
            if place[0] == topic
            for value in values
        ]


class TransactionInMemory(Transaction):
    def __init__(self, producers: ProducersInMemory) -> None:
        self._memory = producers
        # None deletes a key.
        self._values: dict[Place, list[Any]] = {}

    def anew(self) -> "TransactionInMemory":
        return TransactionInMemory(self._memory)

    def add(
        self,
        topic: str,
        partition: int,
        pairs: Pairs,
        timestamp_ms: int,  # noqa: ARG002
        bytes_max: int = BATCH_BYTES,  # noqa: ARG002
    ) -> None:
        self._values.setdefault((topic, partition), []).extend(pair[1] for pair in pairs)

    async def commit(
        self,
        group: str,  # noqa: ARG002
        offsets: Mapping[Place, int],
        owner: str,
        reached: Any,  # noqa: ARG002
    ) -> dict[Place, int]:
        memory = self._memory
        memory.begun += 1
        await memory.goes.wait()
        ends = {place: memory.ends.get(place, 0) + len(self._values[place])
                for place in self._values}  # fmt: skip
        memory.ends |= ends
        memory.log.append(Committed(dict(offsets), owner, self._values))
        return ends
