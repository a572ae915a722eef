"""Who of a group gets which partitions: sticky, and balanced topic by topic.

aiokafka's sticky assignor balances the number of partitions over all topics. A worker of two
routes that joins another would take all partitions of one route, and none of the other: one worker
would decide all sections, however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)


class TopicwiseStickyAssignor(StickyPartitionAssignor):
    """Assigns each topic as if it were the only one.

    It goes by the name of the sticky one, and speaks its protocol: both may lead one group while
    workers are rolled out.
    """

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return what each member gets, by its id."""
        known = {member: cls.parse_member_metadata(said) for member, said in members.items()}
        found: dict[str, list[tuple[str, list[int]]]] = {member: [] for member in members}
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
                found[member].extend(given.assignment)
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, parts, b"")
            for member, parts in found.items()
        }
