"""Reads topics committed and to a fixed end, for commands that look and commit nothing."""

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import Topic
from scripts.auditing.topics import (
    BROKER_TIMEOUT_S,
    SILENCE_S_MAX,
    CannotRead,
    LogRecord,
    partition_count,
    reading,
    record_of,
)
from scripts.brokers.addresses import Servers
from scripts.program.progress import Told, progress

Span = tuple[int, int]  # first offset, and the one behind the last


def spans_of(where: Servers, topic: Topic, *, committed: bool = False) -> dict[int, Span]:
    """Return first offset and end of each partition, records of open transactions included.

    committed: end before them: for who only looks, and waits for nobody.
    """
    with reading(where, committed=committed) as consumer:
        return {
            part: consumer.get_watermark_offsets(
                TopicPartition(topic.name, part), timeout=BROKER_TIMEOUT_S
            )
            for part in range(partition_count(consumer, topic))
        }


def read_spans(
    consumer: Consumer,
    topic: Topic,
    spans: Mapping[int, Span],
) -> Iterator[tuple[int, LogRecord]]:
    """Yield partition and record of every committed record in the spans; raises CannotRead.

    Where a transaction is open in a span, waits until it has ended: what lies behind it may have
    been committed, and is not to be missed.
    """
    with progress(f"{topic.name}: records") as told:
        yield from _read(consumer, topic, spans, told)


def _read(
    consumer: Consumer, topic: Topic, spans: Mapping[int, Span], told: Told
) -> Iterator[tuple[int, LogRecord]]:
    ends = {part: end for part, (first, end) in spans.items() if end > first}
    consumer.assign([TopicPartition(topic.name, part, spans[part][0]) for part in ends])
    heard, count = monotonic(), 0
    # At most: a compacted topic has fewer, and markers of transactions are offsets too.
    total = sum(end - spans[part][0] for part, end in ends.items())
    while ends:
        messages = consumer.consume(10_000, timeout=0.02)
        for message in messages:
            part, past = _passed(message)
            if part not in ends:
                continue
            heard = monotonic()
            if message.error() is None and past <= ends[part]:
                count += 1
                yield part, record_of(message)
            if past >= ends[part]:
                del ends[part]
        if messages:
            told(count, total)
        elif monotonic() - heard > SILENCE_S_MAX:
            raise CannotRead(
                f"{topic.name}: nothing for {SILENCE_S_MAX:.0f} s before the end of partitions"
                f" {sorted(ends)}; a transaction may be open: seatstream transactions list"
            )
    consumer.unassign()


def _passed(message: Any) -> tuple[int, int]:
    """Return partition and next offset; raises KafkaException for any error but an end."""
    error = message.error()
    if error is None:
        return message.partition(), message.offset() + 1
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
        # Its offset is that of the next record; what lies before it was told or is a marker.
        return message.partition(), message.offset()
    raise KafkaException(error)
