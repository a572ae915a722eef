"""Committed offsets of a consumer group, read from the broker's answer: an error is no absence.

A coordinator that is loading, has moved or does not let us in answers once for the whole group,
without any partition. aiokafka 0.14 looks at partitions only, and takes that for a group which has
committed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorForGroupError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

NOTHING_COMMITTED: Final = -1

MOVED: Final = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)
"""The coordinator is another broker: find it anew."""


def committed_in(
    answer: Any, asked: Iterable[TopicPartition] = ()
) -> dict[TopicPartition, OffsetAndMetadata | KafkaError]:
    """Return what an OffsetFetch answer says of each partition; raise what it says of the group.

    asked: partitions that must be in it; one that is not counts as unknown.
    An offset of `NOTHING_COMMITTED` is the broker's word that there is none.
    """
    if answer.error_code:
        raise for_code(answer.error_code)("the whole group")
    told: dict[TopicPartition, OffsetAndMetadata | KafkaError] = {}
    for topic, partitions in answer.topics:
        for partition, offset, metadata, error_code in partitions:
            place = TopicPartition(topic, partition)
            told[place] = (
                for_code(error_code)(f"{topic}-{partition}")
                if error_code
                else OffsetAndMetadata(offset, metadata)
            )
    for place in asked:
        told.setdefault(place, UnknownTopicOrPartitionError(f"{place.topic}-{place.partition}"))
    return told


def by_topic(partitions: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    """Return partitions as an OffsetFetch request lists them."""
    listed: dict[str, list[int]] = {}
    for topic, partition in partitions:
        listed.setdefault(topic, []).append(partition)
    return list(listed.items())
