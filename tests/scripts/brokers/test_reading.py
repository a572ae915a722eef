"""A topic is read to the end that was fixed, past markers, and never past what is still open."""

from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from schemas.topics import DEAD_LETTER_QUEUE
from scripts.auditing.topics import CannotRead
from scripts.brokers import reading
from scripts.brokers.reading import read_spans


class Message(NamedTuple):
    at: int
    place: int = 0
    trouble: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.trouble

    def partition(self) -> int:
        return self.place

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"value"

    def headers(self) -> list[tuple[str, bytes]]:
        return []


class Broker:
    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.assigned: list[tuple[int, int]] = []

    def assign(self, places: Any) -> None:
        self.assigned = [(place.partition, place.offset) for place in places]

    def unassign(self) -> None: ...

    def consume(self, number: int, timeout: float) -> list[Message]:
        assert number > 0 < timeout
        handed, self.messages = self.messages[:1], self.messages[1:]
        return handed


def end_at(offset: int, partition: int = 0) -> Message:
    return Message(offset, partition, KafkaError(KafkaError._PARTITION_EOF))


def read(broker: Broker, spans: dict[int, tuple[int, int]]) -> list[tuple[int, int]]:
    found = read_spans(cast("Consumer", broker), DEAD_LETTER_QUEUE, spans)
    return [(part, record.offset) for part, record in found]


def test_records_up_to_the_end_are_read_and_none_behind_it() -> None:
    broker = Broker(Message(2), Message(3), Message(0, 1), Message(4))
    assert read(broker, {0: (2, 4), 1: (0, 1), 2: (5, 5)}) == [(0, 2), (0, 3), (1, 0)]
    assert broker.assigned == [(0, 2), (1, 0)]


def test_a_marker_at_the_end_is_passed_by_the_end_of_the_partition() -> None:
    assert read(Broker(Message(0), end_at(2)), {0: (0, 2)}) == [(0, 0)]


def test_what_lies_behind_an_open_transaction_is_waited_for() -> None:
    """An end before the one that was fixed is none, or what lies behind it would be missed."""
    broker = Broker(Message(0), end_at(1), Message(3), end_at(5))
    assert read(broker, {0: (0, 5)}) == [(0, 0), (0, 3)]


def test_a_transaction_that_stays_open_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SILENCE_S_MAX", 0.0)
    with pytest.raises(CannotRead, match="transactions list"):
        read(Broker(Message(0), end_at(1)), {0: (0, 5)})


def test_an_error_of_the_broker_is_no_end() -> None:
    trouble = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        read(Broker(Message(0, 0, trouble)), {0: (0, 1)})
