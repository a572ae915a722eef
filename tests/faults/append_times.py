"""Append times that leap, as those of a broker do whose clock is wrong for a while.

Meanwhile a record has the time that its producer gives it, which most producers give rightly.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer
from faults.foreign_changelog import last_records
from support.topic_configs import set_config

_SETTING = "message.timestamp.type"


@contextmanager
def forged_append_times(brokers: str, topic: str) -> Iterator[None]:
    """Let whoever appends to a topic of commands choose the append time: a broker's clock."""
    set_config(brokers, topic, _SETTING, "CreateTime")
    try:
        yield
    finally:
        set_config(brokers, topic, _SETTING, "LogAppendTime")


def append_again(brokers: str, topic: str, partition: int, count: int, shift_ms: int) -> int:
    """Append the last records of a partition once more, at another time; return how many.

    shift_ms: from now. Append times must be ours to choose.
    """
    producer = Producer({"bootstrap.servers": brokers, "message.timeout.ms": 20_000})
    repeated = last_records(brokers, topic, partition, count)
    appended_ms = int(time.time() * 1000) + shift_ms
    for record in repeated:
        producer.produce(topic, record.value(), record.key(), partition, timestamp=appended_ms)
    producer.flush(30)
    return len(repeated)
