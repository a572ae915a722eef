"""Sends commands to the sections and reads their outcomes: what all scripts that drive share."""

from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from infra.process.kafka_security import NO_OPTIONS, KafkaOptions
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS, Topic
from serdes.avro.codegen import decoder
from serdes.registry.client import Registry, RegistryUnavailableError, check_has, fetch_ids
from serdes.registry.ids import SchemaIds
from serdes.registry.known_ids import IdLogUnavailableError, KnownIds, SchemaIdsError
from serdes.schema_source import agreed_with_pins
from serdes.wire import HEADER_BYTES
from state.kafka.refusals import Refusals
from state.kafka.schema_id_log import SchemaIdLog
from state.records.commands import CommandEncoders

__all__ = [
    "CommandEncoders",
    "CommandSender",
    "NoBroker",
    "OutcomeReader",
    "schema_ids",
]

BROKER_TIMEOUT_S = 15.0
DELIVERY_TIMEOUT_MS = 30_000
OUTCOMES_PER_POLL = 10_000


class NoBroker(Exception):
    """The broker, a topic on it or the schema registry cannot be reached.

    Operator action: start the stack, or correct KAFKA_BROKERS and SCHEMA_REGISTRY_URL; create the
    topics, register the schemas.
    """


def schema_ids(
    registry_url: str, brokers: str = "", *, kafka: KafkaOptions = NO_OPTIONS
) -> SchemaIds:
    """Return the ids of all schemas; raises NoBroker where they cannot be had, or not be believed.

    brokers: whose list of ids must agree; none is asked where there is no log yet.
    """
    try:
        registry = Registry(registry_url, timeout_s=20.0)
        ids = agreed_with_pins(fetch_ids(registry))
        known = KnownIds()
        known.add(ids.known())
        if brokers:
            listed = SchemaIdLog(brokers, kafka=kafka).read()
            known.check(listed)
            check_has(registry, listed, ids.by_id())
    except RegistryUnavailableError as error:
        raise NoBroker(
            f"schema registry: {error}. Is it up, and is SCHEMA_REGISTRY_URL its address?"
        ) from error
    except SchemaIdsError as error:
        raise NoBroker(f"schema registry: {error}") from error
    except IdLogUnavailableError as error:
        raise NoBroker(f"{error}. Is the broker at {brokers} up?") from error
    return ids


class CommandSender:
    """An idempotent producer that puts each section where every other producer puts it.

    topic:  another one, whose keys are put where other producers put them.
    kafka:  further options of librdkafka, such as for TLS and SASL.
    failed: errors of records that were not acknowledged within the delivery timeout.
    """

    def __init__(
        self,
        brokers: str,
        *,
        topic: Topic = SECTION_COMMANDS,
        linger_ms: int = 5,
        kafka: KafkaOptions = NO_OPTIONS,
    ) -> None:
        self._topic = topic
        self.failed: list[str] = []
        self.sent = 0
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "enable.idempotence": True,
                "acks": "all",
                # Kafka's own default; librdkafka's would give a section a second writer.
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "request.timeout.ms": 5_000,
                "socket.timeout.ms": 10_000,
                "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
                "queue.buffering.max.messages": 200_000,
                "log_level": 2,
                **kafka,
            }
        )

    def send(
        self,
        key: bytes,
        value: bytes,
        *,
        partition: int = -1,
        done: Callable[[Any, Message], None] | None = None,
    ) -> None:
        """Queue one command; waits only while the queue is full."""
        while True:
            try:
                self._producer.produce(
                    self._topic.name,
                    value,
                    key,
                    partition=partition,
                    on_delivery=done or self._note,
                )
            except BufferError:
                self._producer.poll(0.05)
            else:
                self.sent += 1
                return

    def poll(self) -> None:
        """Handle acknowledgements that have come."""
        self._producer.poll(0)

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_MS / 1000 + 5) -> int:
        """Wait for acknowledgements; return how many are still missing."""
        return int(self._producer.flush(timeout_s))

    def drop(self) -> None:
        """Forget what is queued, so that the process can end at once."""
        self._producer.purge()
        self._producer.flush(0)

    def _note(self, error: Any, _: Message) -> None:
        if error is not None:
            self.failed.append(error.str())


class OutcomeReader:
    """Committed outcomes of all partitions, from the moment it is made on.

    kafka: further options of librdkafka, such as for TLS and SASL.
    """

    def __init__(
        self,
        brokers: str,
        ids: SchemaIds,
        topic: Topic = RESERVATION_OUTCOMES,
        *,
        kafka: KafkaOptions = NO_OPTIONS,
    ) -> None:
        refusals = Refusals()
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "scripts-never-commit",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
                "fetch.queue.backoff.ms": 5,
                "socket.timeout.ms": 10_000,
                "log_level": 2,
                "error_cb": refusals,
                **kafka,
            }
        )
        self.name_by_header: dict[bytes, str] = {}
        self._decode_by_header = {}
        for name in topic.records:
            schema_id = ids.id_by_subject[f"{topic.name}-{name}"]
            header = b"\0" + schema_id.to_bytes(4, "big")
            self.name_by_header[header] = name.rpartition(".")[2]
            self._decode_by_header[header] = decoder(name)
        try:
            metadata = self._consumer.list_topics(topic.name, timeout=BROKER_TIMEOUT_S)
            found = metadata.topics[topic.name]
            if found.error is not None:
                raise NoBroker(f"topic {topic.name}: {found.error.str()}. Create the topics first")
            where = [TopicPartition(topic.name, number) for number in found.partitions]
            for place in where:
                place.offset = self._consumer.get_watermark_offsets(
                    place, timeout=BROKER_TIMEOUT_S
                )[1]
        except KafkaException as error:
            self._consumer.poll(0)
            why = refusals.told_with(error.args[0].str())
            raise NoBroker(f"{brokers}: {why}. Is the stack up?") from error
        self._consumer.assign(where)

    def read(self, timeout_s: float) -> Iterator[Message]:
        """Yield what has come of ours, waiting at most `timeout_s` for the first."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return
        # `consume` waits until it has as many as it may return, or its time is over.
        for message in (first, *self._consumer.consume(OUTCOMES_PER_POLL, timeout=0)):
            error = message.error()
            if error is None:
                # Whatever else lies there is a stranger's.
                if (message.value() or b"")[:HEADER_BYTES] in self.name_by_header:
                    yield message
            elif error.code() != KafkaError._TRANSPORT and error.fatal():  # noqa: SLF001
                raise NoBroker(error.str())

    def name_of(self, value: bytes) -> str:
        """Return the last part of a record's name."""
        return self.name_by_header[value[:HEADER_BYTES]]

    def fields_of(self, value: bytes) -> tuple[Any, ...]:
        """Return a record's fields in the generated decoder's form."""
        fields: tuple[Any, ...] = self._decode_by_header[value[:HEADER_BYTES]](value, HEADER_BYTES)
        return fields

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
