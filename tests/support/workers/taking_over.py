"""What brokers say at a take-over is told by the test; stores are real."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from support.workers.echo import SOURCE, Echo
from support.workers.parts import Consumer, parts_over

from state.kafka.group_offsets import NOTHING_COMMITTED
from state.owners.name import owner_name
from streams.runtime.ownership import claims, takeover, timeline
from streams.runtime.ownership.positions import Place, Watermarks
from streams.runtime.ownership.takeover import Taken, TakeOver
from streams.runtime.ownership.timeline import Writer
from streams.runtime.process.fatal import PartitionTrouble
from streams.settings import Settings

MY_GENERATION = 7
MY_NAME = owner_name("seats", "me", MY_GENERATION)
DEAD = owner_name("seats", "dead", 3)
OTHER = owner_name("seats", "other", 4)


@dataclass
class Brokers:
    """A group, and what can be asked beside it.

    committed:   offset and owner by partition; an error for what is not told.
    high:        where inputs end; 100 where nothing else is said.
    changelog:   where changelogs end.
    unfenced:    owners that cannot be fenced.
    did:         what was done, in order.
    """

    committed_at: dict[int, tuple[int, str] | KafkaError] = field(default_factory=dict)
    high: dict[int, int] = field(default_factory=dict)
    changelog: dict[int, int] = field(default_factory=dict)
    unfenced: set[str] = field(default_factory=set)
    strangers: set[int] = field(default_factory=set)
    restore_troubles: dict[int, PartitionTrouble] = field(default_factory=dict)
    writers: dict[tuple[str, int], Writer] = field(default_factory=dict)
    claim_fails: Exception | None = None
    fenced: list[str] = field(default_factory=list)
    claimed: dict[int, tuple[int, str]] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)

    async def committed(
        self, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | KafkaError]:
        told: dict[TopicPartition, OffsetAndMetadata | KafkaError] = {}
        for tp in tps:
            at = self.committed_at.get(tp.partition, (NOTHING_COMMITTED, ""))
            told[tp] = at if isinstance(at, KafkaError) else OffsetAndMetadata(*at)
        return told

    async def claim(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        self.did.append("claim")
        if self.claim_fails is not None:
            raise self.claim_fails
        self.claimed |= {tp.partition: claim for tp, claim in offsets.items()}

    async def fence(self, _connection: object, transactional_id: str, _timeout_ms: int) -> None:
        self.did.append("fence")
        self.fenced.append(transactional_id)
        if any(transactional_id.startswith(owner) for owner in self.unfenced):
            raise KafkaConnectionError

    async def watermarks(
        self, _connection: object, changelogs: Mapping[Place, Place]
    ) -> Watermarks:
        self.did.append("watermarks")
        return Watermarks(
            dict.fromkeys(changelogs, 0),
            {place: self.high.get(place[1], 100) for place in changelogs},
            {place: self.changelog.get(place[1], 0) for place in changelogs},
        )

    async def last_writers(
        self, _connection: object, _changelogs: object
    ) -> tuple[dict[tuple[str, int], Writer], set[tuple[str, int]]]:
        return self.writers, set()

    async def of_another_timeline(
        self, _connection: object, stores: Collection[Place], _high: object
    ) -> tuple[set[Place], set[Place]]:
        return {place for place in stores if place[1] in self.strangers}, set()

    async def restore(
        self, _connection: object, stores: Mapping[Place, Any], *_: object, **__: object
    ) -> tuple[int, dict[Place, PartitionTrouble]]:
        self.did.append("restore")
        found = {
            place: self.restore_troubles[place[1]]
            for place in stores
            if place[1] in self.restore_troubles
        }
        return len(stores) - len(found), found


def told(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    """Return brokers that every take-over asks from now on."""
    brokers = Brokers()
    monkeypatch.setattr(claims, "fence", brokers.fence)
    monkeypatch.setattr(claims, "watermarks", brokers.watermarks)
    monkeypatch.setattr(takeover, "restore", brokers.restore)
    monkeypatch.setattr(timeline, "last_writers", brokers.last_writers)
    monkeypatch.setattr(timeline, "of_another_timeline", brokers.of_another_timeline)
    return brokers


class Bench:
    def __init__(self, directory: Path, brokers: Brokers) -> None:
        settings = Settings(app_id="seats", instance="me")
        self.parts = parts_over(directory, Echo().route(), Consumer(), settings)
        self.brokers = brokers

    def take(self, *numbers: int, is_closing: bool = False) -> Taken:
        """Take these partitions over; what they opened is closed again."""

        async def taking() -> Taken:
            closing = asyncio.Event()
            takeover = TakeOver(
                self.parts,
                generation_id=MY_GENERATION,
                name=MY_NAME,
                group=self.brokers,
                closing=closing,
            )
            if is_closing:
                closing.set()
            taken = await takeover.take(
                [(SOURCE, number) for number in numbers], beside=asyncio.sleep(0), stalled_s=1.0
            )
            for partition in taken.partitions.values():
                partition.state.store.close()
            return taken

        return asyncio.run(taking())


def runs(taken: Taken) -> list[int]:
    return sorted(number for _, number in taken.partitions)


def troubles(taken: Taken) -> dict[int, str]:
    return {number: str(trouble) for (_, number), trouble in taken.troubles.items()}
