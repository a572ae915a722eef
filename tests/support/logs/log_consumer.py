"""A consumer over a log in memory, and a cluster of it as an audit by partitions asks for one."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, TopicPartition
from support.logs.audit_logs import WIRE

from scripts.auditing.apart import processes
from scripts.auditing.log import Log
from scripts.auditing.schemas import WireFormat
from scripts.brokers.addresses import Servers


class Message(NamedTuple):
    """A record as a consumer hands it out; the end of its partition where there is trouble."""

    of: str
    at: tuple[int, int]
    time: int = 0
    key_: bytes | None = None
    value_: bytes | None = None
    headers_: Any = ()
    trouble: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.trouble

    def topic(self) -> str:
        return self.of

    def partition(self) -> int:
        return self.at[0]

    def offset(self) -> int:
        return self.at[1]

    def timestamp(self) -> tuple[int, int]:
        return 1, self.time

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> Any:
        return list(self.headers_)


class LogConsumer:
    """Hands out what lies in a log; asked counts how often a partition's bounds were asked for.

    topics: by name and partition, messages in order.
    """

    def __init__(self, log: Log) -> None:
        self.topics = {
            name: {
                part: [
                    Message(
                        name, (part, one.offset), one.timestamp, one.key, one.value, one.headers
                    )
                    for one in records.get(part, [])
                ]
                for part in range(max([log.partitions, *(number + 1 for number in records)]))
            }
            for name, records in log.by_topic()
        }
        self.asked: Counter[tuple[str, int]] = Counter()
        self._left: list[TopicPartition] = []

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout > 0
        topic = type("Topic", (), {"error": None, "partitions": self.topics[name]})
        return type("Metadata", (), {"topics": {name: topic}})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        self.asked[place.topic, place.partition] += 1
        lying = self.topics[place.topic][place.partition]
        return 0, lying[-1].offset() + 1 if lying else 0

    def assign(self, places: list[TopicPartition]) -> None:
        self._left = list(places)

    def unassign(self) -> None:
        self._left = []

    def consume(self, count: int, timeout: float) -> list[Message]:
        assert count > 0
        assert timeout > 0
        if not self._left:
            return []
        place = self._left.pop()
        lying = self.topics[place.topic][place.partition]
        ended = KafkaError(KafkaError._PARTITION_EOF)
        end = Message(place.topic, (place.partition, 1 << 40), trouble=ended)
        return [*(one for one in lying if one.offset() >= place.offset), end]


def cluster_of(monkeypatch: pytest.MonkeyPatch, log: Log, wire: WireFormat = WIRE) -> LogConsumer:
    """Let audits by partitions read a log in memory; return whom they read it by."""
    consumer = LogConsumer(log)

    @contextmanager
    def reading(_: Servers) -> Iterator[LogConsumer]:
        yield consumer

    monkeypatch.setattr(processes, "reading", reading)
    monkeypatch.setattr(processes, "committed_offsets", lambda *_: dict(log.committed))
    monkeypatch.setattr(processes, "wire_for", lambda *_: wire)
    return consumer
