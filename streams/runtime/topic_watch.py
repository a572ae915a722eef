"""Looks after the topics of the routes while a worker runs: are they there, and the same ones?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

_TIMEOUT_S = 3.0
# A broker that has not heard of a new topic yet says the same as one that knows it was deleted.
_LOOKS = 2


class Look(NamedTuple):
    """missing: topics that are not there; renewed: created anew since the last look."""

    missing: frozenset[str]
    renewed: frozenset[str]


class TopicWatch:
    """Asks the brokers for the topics that a worker was started with.

    identities: id of each topic, as the brokers tell it.
    options:    of librdkafka.
    """

    def __init__(self, identities: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self._identities = dict(identities)
        self._admin = AdminClient(dict(options))
        self._missed = dict.fromkeys(identities, 0)

    def look(self) -> Look:
        """Ask now; blocks for some seconds at most. No answer is no news of a topic."""
        renewed = set()
        names = sorted(self._identities)
        for name, answer in self._admin.describe_topics(
            TopicCollection(names), request_timeout=_TIMEOUT_S
        ).items():
            try:
                topic_id = str(answer.result().topic_id)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    self._missed[name] += 1
                continue
            self._missed[name] = 0
            if topic_id != self._identities[name]:
                self._identities[name] = topic_id
                renewed.add(name)
        missing = {name for name, count in self._missed.items() if count >= _LOOKS}
        return Look(frozenset(missing), frozenset(renewed))
