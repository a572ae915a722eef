"""Who of a group gets which partitions: sticky, and balanced topic by topic.

aiokafka's sticky assignor balances the number of partitions over all topics. A worker of two
routes that joins another would take all partitions of one route, and none of the other: one worker
would decide all sections, however many there are.

Where a topic's partitions cannot be shared evenly, somebody has one more than others. Without a
look at the other topics that would be the same workers each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import product

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.structs import TopicPartition

Given = dict[str, dict[str, list[int]]]
"""Partitions by member and topic; a topic that a member reads is there, with or without any."""


class TopicwiseStickyAssignor(StickyPartitionAssignor):
    """Assigns each topic as if it were the only one, but for who has one more than others.

    It goes by the name of the sticky one, and speaks its protocol: both may lead one group while
    workers are rolled out.
    """

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return what each member gets, by its id."""
        known = {member: cls.parse_member_metadata(said) for member, said in members.items()}
        found: Given = {member: {} for member in members}
        for topic in sorted({topic for one in known.values() for topic in one.subscription}):
            of_topic = {
                member: cls._metadata(
                    [topic],
                    [place for place in one.partitions if place.topic == topic],
                    one.generation,
                )
                for member, one in known.items()
                if topic in one.subscription
            }
            for member, given in super().assign(cluster, of_topic).items():
                found[member][topic] = [
                    number for _, numbers in given.assignment for number in numbers
                ]
        _level(found, {member: set(one.partitions) for member, one in known.items()})
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version,
                [(topic, sorted(numbers)) for topic, numbers in parts.items() if numbers],
                b"",
            )
            for member, parts in found.items()
        }


def _level(given: Given, before: Mapping[str, AbstractSet[TopicPartition]]) -> None:
    """Let those who have most of all topics together pass on what others have one less of.

    The balance of each topic stays as it is. before: who had what.
    """

    def total(member: str) -> int:
        return sum(map(len, given[member].values()))

    def passed_on() -> bool:
        by_total = sorted(given, key=lambda member: (total(member), member))
        for least, most in product(by_total, reversed(by_total)):
            if total(most) < total(least) + 2:
                continue
            for topic, numbers in given[most].items():
                others = given[least].get(topic)
                if others is not None and len(numbers) > len(others):
                    # Rather what changes hands anyway, and best of all to whoever had it.
                    number = min(
                        numbers,
                        key=lambda one: (
                            (topic, one) not in before[least],
                            (topic, one) in before[most],
                            one,
                        ),
                    )
                    numbers.remove(number)
                    others.append(number)
                    return True
        return False

    while passed_on():
        pass
