"""The counting example on a real broker, over a crash and a takeover with an empty store."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from integration.workers import (
    Worker,
    committed_offsets,
    create_topics,
    end_offsets,
    producing,
    read_committed,
)

from docs.examples.count_per_key import ROUTE
from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from state.domain.keys import partition_of

pytestmark = pytest.mark.kafka

PARTITIONS = 2
KEYS = [b"key-%d" % number for number in range(7)]


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """Give a broker of our own: the example's topic names are not made unique."""
    with ephemeral_stack(
        "tests-count", parts={"kafka"}, kafka_properties=QUICK_RESTART, fast_jit=True
    ) as stack:
        names = [ROUTE.source, *ROUTE.to, ROUTE.dead_letters]
        changelog = NewTopic(ROUTE.changelog, PARTITIONS, config={"cleanup.policy": "compact"})
        topics = [NewTopic(name, PARTITIONS) for name in names]
        create_topics(stack.kafka_brokers, [*topics, changelog])
        yield stack.kafka_brokers


def append(brokers: str, rounds: int) -> None:
    with producing(brokers) as producer:
        for _ in range(rounds):
            for key in KEYS:
                producer.produce(ROUTE.source, b"", key, partition_of(key, PARTITIONS))


def is_settled(brokers: str) -> bool:
    done = committed_offsets(brokers, "count", ROUTE.source, PARTITIONS)
    return all(done[n] >= end for n, end in end_offsets(brokers, ROUTE.source, PARTITIONS).items())


def test_each_key_counts_on_where_a_killed_worker_stopped(brokers: str, tmp_path: Path) -> None:
    settings = {"KAFKA_BROKERS": brokers, "SEATSTREAM_APP_ID": "count"}
    first, second = (Worker(name, tmp_path, settings) for name in ("first", "second"))
    try:
        first.start("docs.examples.count_per_key").wait_ready()
        append(brokers, 30)
        assert wait_until(lambda: is_settled(brokers), 60), first.tail()
        append(brokers, 20)
        first.kill()
        second.start("docs.examples.count_per_key").wait_ready()
        assert wait_until(lambda: is_settled(brokers), 60), second.tail()
    finally:
        for worker in (first, second):
            if worker.child is not None:
                worker.kill()
    counted: Counter[bytes] = Counter()
    for record in read_committed(brokers, "counts", PARTITIONS):
        key = record.key or b""
        counted[key] += 1
        assert int(record.value or b"") == counted[key]
    assert counted == dict.fromkeys(KEYS, 50)
