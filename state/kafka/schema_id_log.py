"""The list of schema ids that lies beside the log: which schema each id was first given to.

Records carry an id and nothing else, so the list belongs to them like a key: it is a topic of the
same cluster, comes and goes with the same backups, and is known to a machine with an empty disk.
It is only ever added to, and the first that is said of an id stands. Its records need no registry:
the key is the id in decimal, the value JSON, all on partition 0.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from time import monotonic
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from infra.process.kafka_security import KafkaOptions
from schemas.topics import SCHEMA_IDS
from serdes.registry.known_ids import IdLogUnavailableError, KnownId, SchemaIdsError
from state.kafka.refusals import Refusals

log = logging.getLogger(__name__)

GROUP: Final = "schema-ids-never-commits"
TIMEOUT_S: Final = 15.0
_PARTITION: Final = 0
_LACKING: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}  # noqa: SLF001 (its public name)
)


@dataclass(frozen=True, slots=True)
class SchemaIdLog:
    """The list of one cluster. Every call connects anew, and blocks up to `timeout_s`.

    topic: schema-ids, or what it is called there.
    kafka: further options of librdkafka, such as for TLS and SASL.
    """

    brokers: str
    _: KW_ONLY
    topic: str = SCHEMA_IDS.name
    kafka: KafkaOptions = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S

    def read(self) -> list[KnownId]:
        """Return what was said first of each id, up to the end that the list has now.

        Raises SchemaIdsError where there is no list or it is no whole one, IdLogUnavailableError
        where the brokers do not give it.
        """
        refusals = Refusals()
        consumer = Consumer(
            {
                **self._options(refusals),
                "group.id": GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            },
            logger=log,
        )
        try:
            return self._read(consumer)
        except KafkaException as error:
            consumer.poll(0)
            raise IdLogUnavailableError(refusals.told_with(error)) from error
        finally:
            consumer.close()

    def append(self, known: Iterable[KnownId]) -> None:
        """Add to the list; raises IdLogUnavailableError where that is not certain."""
        refusals = Refusals()
        failed: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        producer = Producer(
            {
                **self._options(refusals),
                "acks": "all",
                "enable.idempotence": True,
                "delivery.timeout.ms": int(self.timeout_s * 1000),
            },
            logger=log,
        )
        for one in known:
            value = {"record": one.record, "fingerprint": one.fingerprint}
            producer.produce(
                self.topic,
                json.dumps(value).encode(),
                str(one.schema_id).encode(),
                _PARTITION,
                on_delivery=note,
            )
        missing = producer.flush(self.timeout_s + 1)
        if failed or missing:
            why = failed[0].str() if failed else f"{missing} records without an answer"
            raise IdLogUnavailableError(refusals.told_with(f"{self.topic} was not written: {why}"))

    def _options(self, refusals: Refusals) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.brokers,
            "client.id": "seatstream-schema-ids",
            "allow.auto.create.topics": False,
            "socket.timeout.ms": 10_000,
            "error_cb": refusals,
            **self.kafka,
        }

    def _read(self, consumer: Consumer) -> list[KnownId]:
        where = TopicPartition(self.topic, _PARTITION)
        low, end = self._watermarks(consumer, where)
        if low > 0:
            raise SchemaIdsError(
                f"topic {self.topic} begins at offset {low}: its first records were removed, and "
                "with them what is known of schema ids. Its retention must be -1: python -m "
                "scripts.create_topics --apply-configs; then delete and create the topic, once "
                "the registry is certainly the one that the log was written with"
            )
        first: dict[int, KnownId] = {}
        position = 0
        consumer.assign([TopicPartition(self.topic, _PARTITION, 0)])
        deadline = monotonic() + self.timeout_s
        while position < end:
            message = consumer.poll(max(0.0, min(0.5, deadline - monotonic())))
            if message is None:
                if monotonic() >= deadline:
                    raise KafkaException(
                        f"topic {self.topic} was not read to its end in {self.timeout_s:.0f} s"
                    )
                continue
            error, offset = message.error(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise KafkaException(error)
            assert offset is not None
            position = offset if error is not None else offset + 1
            known = None if error is not None else self._known_of(message)
            if known is not None:
                first.setdefault(known.schema_id, known)
        return list(first.values())

    def _watermarks(self, consumer: Consumer, where: TopicPartition) -> tuple[int, int]:
        # Asked for first: without it an unknown topic is told only after the whole time.
        found = consumer.list_topics(self.topic, timeout=self.timeout_s).topics[self.topic]
        if found.error is not None:
            code = found.error.code()
            if code in _LACKING:
                raise SchemaIdsError(
                    f"there is no topic {self.topic}. Create the topics first: python -m "
                    "scripts.create_topics"
                )
            if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise SchemaIdsError(
                    f"topic {self.topic}: {found.error}. Grant the rights that SECURITY.md lists"
                )
            raise KafkaException(found.error)
        low, end = consumer.get_watermark_offsets(where, timeout=self.timeout_s)
        return int(low), int(end)

    def _known_of(self, message: Message) -> KnownId | None:
        source = f"the list in topic {self.topic} (offset {message.offset()})"
        try:
            said = json.loads(message.value() or b"")
            schema_id = int(message.key() or b"")
            return KnownId(schema_id, str(said["record"]), str(said["fingerprint"]), source)
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            # No writer of ours makes such a record; it says nothing of any id.
            log.warning("%s is no saying of a schema id: %r", source, error)
            return None
