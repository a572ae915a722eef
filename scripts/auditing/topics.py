"""Topics as they lie on the broker: their records, read up to the ends that they have now."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import Topic
from scripts.brokers.addresses import Servers
from scripts.program.progress import progress
from state.kafka.message_headers import headers_of
from state.kafka.refusals import Refusals

BROKER_TIMEOUT_S = 15.0
SILENCE_S_MAX = 30.0

GROUP = "audit-never-commits"
"""Named because a consumer must name one; nothing is ever committed under it."""


class CannotRead(Exception):
    """The log could not be read to its end; the message says what to do."""


# Nobody changes one. There are millions, and of a frozen dataclass each takes three times as long.
@dataclass(slots=True, unsafe_hash=True)
class LogRecord:
    """One record; timestamp in Unix ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


Records = dict[int, list[LogRecord]]
Bounds = dict[int, tuple[int, int]]
"""By partition: an offset, and one that is not reached."""


@contextmanager
def reading(where: Servers, *, committed: bool = True) -> Iterator[Consumer]:
    """Give a consumer; raises CannotRead for what the brokers do not answer.

    committed: False tells ends behind open transactions too; nothing is read with it.
    """
    refusals = Refusals()
    consumer = Consumer(
        {
            "bootstrap.servers": where.brokers,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "socket.timeout.ms": 10_000,
            "queued.max.messages.kbytes": 64 * 1024,
            "log_level": 0,
            "error_cb": refusals,
            **where.kafka,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        consumer.poll(0)
        why = refusals.told_with(error.args[0].str())
        raise CannotRead(f"{why}. Is the broker at {where.brokers} up?") from error
    finally:
        consumer.close()


def partition_count(consumer: Consumer, topic: Topic) -> int:
    """Return how many partitions a topic has."""
    found = consumer.list_topics(topic.name, timeout=BROKER_TIMEOUT_S).topics[topic.name]
    if found.error is not None and found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise CannotRead(
            f"topic {topic.name}: {found.error.str()}: whether it is there is not told to this"
            " user. See KAFKA_SASL_* or KAFKA_SSL_CERT, and the rights in SECURITY.md"
        )
    if found.error is not None:
        raise CannotRead(
            f"topic {topic.name}: {found.error.str()}. Create the topics first: python -m "
            'scripts.create_topics. But where it was there before, see "A topic is lost" in '
            "docs/operations.md"
        )
    return len(found.partitions)


def bounds_of(consumer: Consumer, topic: Topic, partitions: Iterable[int] | None = None) -> Bounds:
    """Return first offset and end of each partition; the end is before any open transaction.

    partitions: of which; those that the topic has not are left out. None for all.
    """
    there = range(partition_count(consumer, topic))
    return {
        part: consumer.get_watermark_offsets(
            TopicPartition(topic.name, part), timeout=BROKER_TIMEOUT_S
        )
        for part in (there if partitions is None else partitions)
        if part in there
    }


def read_topic(
    consumer: Consumer, topic: Topic, partitions: Iterable[int] | None = None
) -> Records:
    """Return every committed record up to the ends that the topic has now, as `bounds_of`."""
    return read_between(consumer, topic, bounds_of(consumer, topic, partitions))


def read_between(consumer: Consumer, topic: Topic, bounds: Bounds) -> Records:
    """Return every committed record from each first offset on up to the end beside it."""
    return read_together(consumer, {topic.name: bounds})[topic.name]


def read_together(consumer: Consumer, bounds: Mapping[str, Bounds]) -> dict[str, Records]:
    """Return by topic what `read_between` does; of several at once, for each begin takes time."""
    records: dict[str, Records] = {name: {part: [] for part in of} for name, of in bounds.items()}
    spans = {
        (name, part): span
        for name, of in bounds.items()
        for part, span in of.items()
        if span[1] > span[0]
    }
    consumer.assign([TopicPartition(*place, low) for place, (low, _) in spans.items()])
    with progress(f"{', '.join(bounds)}: records") as told:
        # At most: a compacted topic has fewer, and markers of transactions are offsets too.
        total = sum(high - low for low, high in spans.values())
        ends = {place: high for place, (_, high) in spans.items()}
        _read_to(consumer, ends, records, lambda count: told(count, total))
    consumer.unassign()
    return records


def _read_to(
    consumer: Consumer,
    ends: dict[tuple[str, int], int],
    records: Mapping[str, Records],
    told: Callable[[int], None],
) -> None:
    """Add records until every partition is at its end; takes those that are out of `ends`."""
    heard, count = monotonic(), 0
    while ends:
        # `consume` waits until it has as many as it may return, or its time is over.
        messages = consumer.consume(10_000, timeout=0.02)
        if messages:
            heard = monotonic()
        elif monotonic() - heard > SILENCE_S_MAX:
            named = ", ".join(f"{name}-{part}" for name, part in sorted(ends))
            raise CannotRead(
                f"{named}: nothing for {SILENCE_S_MAX:.0f} s before the end; a transaction may be"
                " open: try again, and then python -m scripts.hanging_transactions"
            )
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise KafkaException(error)
            name, number, offset = message.topic(), message.partition(), message.offset()
            assert name is not None
            assert number is not None
            assert offset is not None
            end = ends.get((name, number), 0)
            if error is None and offset < end:
                records[name][number].append(record_of(message))
                count += 1
            # The end may be a transaction's marker, which is never handed out: then the end
            # of the partition is reported in its place.
            if error is not None or offset + 1 >= end:
                ends.pop((name, number), None)
        told(count)


def record_of(message: Any) -> LogRecord:
    """Return the parts of a consumer's message that are judged."""
    headers = tuple(headers_of(message))
    return LogRecord(
        message.offset(), message.timestamp()[1], message.key(), message.value(), headers
    )


def bounds_from_the_beginning(
    consumer: Consumer, topic: Topic, partitions: Iterable[int] | None = None
) -> Bounds:
    """Return the bounds of a topic of commands; raises CannotRead where its first are gone."""
    bounds = bounds_of(consumer, topic, partitions)
    for partition, (low, _) in bounds.items():
        if low > 0:
            raise CannotRead(
                f"{topic.name}: commands of partition {partition} begin at offset {low}:"
                " retention removed the beginning, so there is nothing to fold from. From a"
                " snapshot of seatstream replay, --from-snapshot goes on, for seats"
            )
    return bounds
