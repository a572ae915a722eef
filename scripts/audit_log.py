"""The five topics of the seats as they lie on the broker, read committed up to a snapshot."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
    Topic,
)
from scripts.audit_schemas import Avro, WireFormat
from scripts.commands import NO_OPTIONS
from serdes.known_ids import KnownId, KnownIds, SchemaIdsError
from serdes.schema_ids import RegisteredSchema
from state.stores.broadcast_feed import KafkaOptions
from state.stores.refusals import Refusals
from state.stores.schema_id_log import SchemaIdLog

BROKER_TIMEOUT_S = 15.0
SILENCE_S_MAX = 30.0


class CannotRead(Exception):
    """The log could not be read to its end; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record; timestamp in Unix ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


Records = dict[int, list[LogRecord]]


@dataclass(slots=True)
class Log:
    """Records of each topic by partition, in offset order."""

    wire: WireFormat
    partitions: int
    commands: Records = field(default_factory=dict)
    outcomes: Records = field(default_factory=dict)
    statuses: Records = field(default_factory=dict)
    changelog: Records = field(default_factory=dict)
    dead_letters: Records = field(default_factory=dict)


def read_log(brokers: str, registry_url: str, *, kafka: KafkaOptions = NO_OPTIONS) -> Log:
    """Read all five topics; raises CannotRead.

    kafka: further options of librdkafka, such as for TLS and SASL.
    """
    refusals = Refusals()
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "audit-never-commits",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "socket.timeout.ms": 10_000,
            "queued.max.messages.kbytes": 64 * 1024,
            "error_cb": refusals,
            **kafka,
        }
    )
    try:
        partitions = partition_count(consumer, SECTION_COMMANDS)
        log = Log(WireFormat(Avro(), {}), partitions)
        # Effects first and causes last: what the commands' snapshot lacks cannot have effects.
        log.changelog = read_topic(consumer, SEATS_CHANGELOG)
        log.statuses = read_topic(consumer, SECTION_STATUS)
        log.dead_letters = read_topic(consumer, DEAD_LETTER_QUEUE)
        log.outcomes = read_topic(consumer, RESERVATION_OUTCOMES)
        log.commands = read_topic(consumer, SECTION_COMMANDS)
    except KafkaException as error:
        consumer.poll(0)
        why = refusals.told_with(error.args[0].str())
        raise CannotRead(f"{why}. Is the broker at {brokers} up?") from error
    finally:
        consumer.close()
    for partition, records in log.commands.items():
        if records and records[0].offset > 0:
            raise CannotRead(
                f"commands of partition {partition} begin at offset {records[0].offset}:"
                " retention removed the beginning, so there is nothing to fold from"
            )
    values = [
        records
        for topic in (log.commands, log.outcomes, log.statuses)
        for records in topic.values()
    ]
    ids = {
        int.from_bytes(record.value[1:5], "big")
        for records in values
        for record in records
        if record.value and len(record.value) >= 5 and record.value[0] == 0
    }
    writers, told = writers_of(registry_url, ids)
    try:
        listed = SchemaIdLog(brokers, kafka=kafka).read()
        known = KnownIds()
        known.add(listed)
        known.check(told)
    except (SchemaIdsError, KafkaException) as error:
        raise CannotRead(f"schema ids: {error}") from error
    log.wire = WireFormat(Avro(), writers)
    return log


def partition_count(consumer: Consumer, topic: Topic) -> int:
    """Return how many partitions a topic has."""
    found = consumer.list_topics(topic.name, timeout=BROKER_TIMEOUT_S).topics[topic.name]
    if found.error is not None:
        raise CannotRead(f"topic {topic.name}: {found.error.str()}. Create the topics first")
    return len(found.partitions)


def read_topic(consumer: Consumer, topic: Topic) -> Records:
    """Return every committed record up to the ends that the topic has now."""
    records: Records = {number: [] for number in range(partition_count(consumer, topic))}
    ends: dict[int, int] = {}
    assigned = []
    for partition in records:
        where = TopicPartition(topic.name, partition)
        low, high = consumer.get_watermark_offsets(where, timeout=BROKER_TIMEOUT_S)
        if high > low:
            ends[partition] = high
            assigned.append(TopicPartition(topic.name, partition, low))
    consumer.assign(assigned)
    heard = monotonic()
    while ends:
        # `consume` waits until it has as many as it may return, or its time is over.
        messages = consumer.consume(10_000, timeout=0.02)
        if messages:
            heard = monotonic()
        elif monotonic() - heard > SILENCE_S_MAX:
            raise CannotRead(
                f"{topic.name}: nothing for {SILENCE_S_MAX:.0f} s before the end of"
                f" partitions {sorted(ends)}; a transaction may be open, try again"
            )
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise KafkaException(error)
            number, offset = message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            if error is None and offset < ends.get(number, 0):
                records[number].append(record_of(message))
            # The end may be a transaction's marker, which is never handed out: then the end
            # of the partition is reported in its place.
            past = offset + (1 if error is None else 0)
            if past >= ends.get(number, past + 1) or error is not None:
                ends.pop(number, None)
    consumer.unassign()
    return records


def record_of(message: Any) -> LogRecord:
    """Return the parts of a consumer's message that are judged."""
    headers = tuple(message.headers() or ())
    return LogRecord(
        message.offset(), message.timestamp()[1], message.key(), message.value(), headers
    )


def writers_of(
    registry_url: str, ids: set[int]
) -> tuple[dict[int, tuple[str, Any]], list[KnownId]]:
    """Return name and parsed schema for each id that the registry knows, and what it told."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    avro = Avro()
    writers: dict[int, tuple[str, Any]] = {}
    told: list[KnownId] = []
    for schema_id in sorted(ids):
        try:
            with opener.open(f"{registry_url}/schemas/ids/{schema_id}", timeout=10) as answer:
                text = json.load(answer)["schema"]
                schema = json.loads(text)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                continue
            raise CannotRead(f"registry: {error}") from error
        except (OSError, ValueError) as error:
            raise CannotRead(f"registry at {registry_url}: {error}. Is it up?") from error
        name = schema["name"].rpartition(".")[2]
        if avro.knows(name):
            parsed = fastavro.parse_schema(schema)
            writers[schema_id] = (name, None if avro.is_own(name, parsed) else parsed)
            told.append(
                RegisteredSchema((), text).known_as(schema_id, f"the registry {registry_url}")
            )
    return writers, told
