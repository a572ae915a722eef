"""Fence and claim: former owners can write no more, and the group knows us as the owner.

1. Fence: the metadata of a committed offset names the owner that committed it. Initialising that
   owner's transactional ids makes the owner, be it dead, paused or cut off, unable to commit, and
   aborts the transaction that it left open. A live worker already has the name of its next
   generation, so it is never fenced by mistake.
2. Claim: the unchanged offset is committed under our own name through the consumer; the broker
   checks group generation and member, so a worker of an older generation cannot claim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from state.owners.name import generation_of
from streams.route import Route
from streams.runtime.ownership import timeline
from streams.runtime.ownership.positions import Place, Watermarks, believed, watermarks
from streams.runtime.ownership.troubles import trouble_of
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd
from streams.runtime.transactions.transaction import fence, transactional_ids
from streams.runtime.worker_parts import WorkerParts

Troubles = dict[Place, PartitionTrouble]
"""What is wrong with partitions; each step adds to it, and leaves out what is in it."""

_NO_MARKS = Watermarks({}, {}, {})

LOST_GROUP = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
"""The group has moved on: a rebalance brings the next generation."""


class Group(Protocol):
    """What a generation needs of the consumer group."""

    async def committed(
        self, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | KafkaError]:
        """Return offset and metadata, or what is wrong, for each partition, from the coordinator.

        An offset of NOTHING_COMMITTED is the coordinator's word that there is none. Raises
        KafkaError where it says nothing of the whole group, WorkerMustEnd where nobody may ask.
        """

    async def claim(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Commit offsets under this member's generation."""


class Claims:
    """The steps by which one generation becomes the owner of partitions.

    name: of the generation, as it stands beside each offset that it commits.
    """

    def __init__(self, parts: WorkerParts, generation_id: int, name: str, group: Group) -> None:
        self._settings = parts.settings
        self._routes = parts.routes
        self._identities = parts.cluster.identities
        self._partitions = parts.cluster.partitions
        self._generation_id = generation_id
        self._name = name
        self._group = group

    async def check_writers(self, places: Collection[Place], troubles: Troubles) -> None:
        """Refuse a state that was made under another number of partitions, or from another topic.

        The changelogs of all partitions are asked, not only of ours: a partition that was added
        has no state that could tell.
        """
        for source, number in places:
            count = self._partitions[source]
            if number >= count:
                message = (
                    f"{source} had {count} partitions when this worker started, and the group "
                    f"assigns it partition {number}: partitions were added. See "
                    '"Partitions were added" in docs/operations.md'
                )
                raise WorkerMustEnd(message)
        for source in {topic for topic, _ in places}:
            try:
                await self._check_source(source)
            except PartitionTrouble as trouble:
                troubles.update({place: trouble for place in places if place[0] == source})

    async def _check_source(self, source: str) -> None:
        changelog, count = self._routes[source].changelog, self._partitions[source]
        changelogs = [(changelog, number) for number in range(count)]
        try:
            writers, unread = await timeline.last_writers(self._settings.connection, changelogs)
        except (KafkaError, OSError) as error:
            raise trouble_of(error) from error
        for writer in writers.values():
            timeline.check_writer(source, changelog, writer, count, self._identities[source])
        if unread and not writers:
            message = (
                f"nobody can tell what the state in {changelog} was made from: the brokers did "
                f"not answer in time for {len(unread)} of its partitions. Look at the brokers"
            )
            raise PartitionTrouble(message, "changelog")

    async def fence(
        self, places: Collection[Place], troubles: Troubles
    ) -> tuple[list[Place], list[str]]:
        """Fence former owners; return the places whose owner can write no more, and the owners."""
        try:
            committed = await self._group.committed([TopicPartition(*place) for place in places])
        except LOST_GROUP:
            raise
        except (KafkaError, OSError) as error:
            troubles.update(dict.fromkeys(places, _not_told(error)))
            return [], []
        by_owner: dict[str, list[Place]] = {}
        for place in places:
            at = committed[TopicPartition(*place)]
            if isinstance(at, KafkaError):
                troubles[place] = _not_told(at)
            elif at.metadata and at.metadata != self._name:
                by_owner.setdefault(at.metadata, []).append(place)
        for owner in by_owner:
            if generation_of(owner) > self._generation_id:
                message = (
                    f"{owner} owns a partition and is younger than generation "
                    f"{self._generation_id}: this worker was away too long. Start it again"
                )
                raise WorkerMustEnd(message)
        owners, fenced = sorted(by_owner), []
        failures = await asyncio.gather(*(self._fence_one(owner) for owner in owners))
        for owner, failure in zip(owners, failures, strict=True):
            if failure is None:
                fenced.append(owner)
                continue
            message = (
                f"its former owner {owner} could not be fenced: {failure!r}. Look at the brokers"
            )
            for place in by_owner[owner]:
                troubles[place] = PartitionTrouble(message, "offsets")
        return sorted(set(places) - troubles.keys()), fenced

    async def _fence_one(self, owner: str) -> Exception | None:
        timeout_ms = self._settings.transaction_timeout_ms
        connection = self._settings.connection
        try:
            async with asyncio.timeout(self._settings.takeover_timeout_s):
                await asyncio.gather(
                    *(fence(connection, one, timeout_ms) for one in transactional_ids(owner))
                )
        except (KafkaError, OSError) as error:
            return error
        return None

    async def claim(
        self, places: Sequence[Place], troubles: Troubles
    ) -> tuple[dict[Place, int], Watermarks]:
        """Claim places; return the offsets of those claimed, and the watermarks of all."""
        if not places:
            return {}, _NO_MARKS
        try:
            changelogs = {place: changelog_of(self._routes, place) for place in places}
            marks = await watermarks(self._settings.connection, changelogs)
            committed = await self._group.committed([TopicPartition(*place) for place in places])
            offsets: dict[Place, int] = {}
            for place in places:
                try:
                    at = committed[TopicPartition(*place)]
                    if isinstance(at, KafkaError):
                        raise _not_told(at)
                    offsets[place] = believed(place, self._routes[place[0]], at.offset, marks)
                except PartitionTrouble as trouble:
                    troubles[place] = trouble
            claims = {TopicPartition(*place): (at, self._name) for place, at in offsets.items()}
            if claims:
                await self._group.claim(claims)
        except LOST_GROUP:
            raise
        except (KafkaError, OSError) as error:
            # Which partition the error is of shows when each is tried again, alone.
            message = f"its offsets could not be read or claimed: {error!r}. Look at the brokers"
            for place in places:
                troubles.setdefault(place, PartitionTrouble(message, "offsets"))
            return {}, _NO_MARKS
        return offsets, marks


def changelog_of(routes: Mapping[str, Route], place: Place) -> Place:
    """Return the partition of the changelog that belongs to an input partition."""
    topic, partition = place
    return routes[topic].changelog, partition


def _not_told(error: Exception) -> PartitionTrouble:
    message = f"its owner is not to be had from the brokers: {error!r}. Look at them"
    return PartitionTrouble(message, "offsets")
