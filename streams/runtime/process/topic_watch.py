"""Checks, while a worker runs, that the topics of its routes exist and are still the same ones.

For topics that can be written again from the state, it also notices records that were removed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from state.kafka.ends import FIRST, listed

_TIMEOUT_S = 3.0
# Looks in a row in which a topic must be missing: a broker that has not heard of a new topic yet
# answers as if the topic had been deleted.
_LOOKS = 2


class Look(NamedTuple):
    """What a look at the topics found.

    missing:   topics that do not exist.
    renewed:   topics that were created anew since the last look.
    counts:    number of partitions, by topic that has another number than at start.
    shortened: partitions of retold topics whose first records were removed since the last look.
    """

    missing: frozenset[str]
    renewed: frozenset[str]
    counts: Mapping[str, int]
    shortened: Collection[tuple[str, int]] = ()


class TopicWatch:
    """Asks the brokers for the topics that a worker was started with.

    identities: id of each topic, as the brokers tell it.
    partitions: how many partitions each had at start.
    options:    of librdkafka.
    retold:     topics that can be written anew, which are looked at for removed records too.
    """

    def __init__(
        self,
        identities: Mapping[str, str],
        partitions: Mapping[str, int],
        options: Mapping[str, Any],
        retold: Collection[str] = (),
    ) -> None:
        self._identities = dict(identities)
        self._partitions = partitions
        # Quiet: all other clients already log brokers that are away.
        self._admin = AdminClient({**options, "log_level": 2})
        self._missed = dict.fromkeys(identities, 0)
        self._retold = retold
        self._begins: dict[tuple[str, int], int] = {}

    def look(self) -> Look:
        """Ask the brokers; blocks for some seconds at most. No answer counts as no change."""
        renewed = set()
        counts = {}
        names = sorted(self._identities)
        for name, answer in self._admin.describe_topics(
            TopicCollection(names), request_timeout=_TIMEOUT_S
        ).items():
            try:
                topic = answer.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    self._missed[name] += 1
                continue
            self._missed[name] = 0
            topic_id = str(topic.topic_id)
            if len(topic.partitions) != self._partitions[name]:
                counts[name] = len(topic.partitions)
            if topic_id != self._identities[name]:
                self._identities[name] = topic_id
                renewed.add(name)
        missing = {name for name, count in self._missed.items() if count >= _LOOKS}
        return Look(frozenset(missing), frozenset(renewed), counts, self._shortened())

    def _shortened(self) -> list[tuple[str, int]]:
        """Return partitions that begin later than at the last look.

        Compaction leaves a partition's first offset as it is, so records were deleted.
        """
        asked = {
            TopicPartition(topic, number): FIRST
            for topic in self._retold
            if not self._missed[topic]
            for number in range(self._partitions[topic])
        }
        if not asked:
            return []
        shortened = []
        answers = self._admin.list_offsets(asked, request_timeout=_TIMEOUT_S)
        for at, answer in answers.items():
            place = at.topic, at.partition
            try:
                begin = listed(answer).offset
            except KafkaException:
                continue
            if begin > self._begins.setdefault(place, begin):
                shortened.append(place)
            self._begins[place] = begin
        return shortened
