"""A topic is read to the ends that it had, markers and all; where it cannot be, that is said."""

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from support.logs.topics_in_memory import Broker, Message, end_at

from schemas.topics import SECTION_COMMANDS
from scripts.auditing import topics
from scripts.auditing.topics import CannotRead, read_topic


def records_of(broker: Broker) -> dict[int, list[int]]:
    found = read_topic(cast("Consumer", broker), SECTION_COMMANDS)
    return {part: [record.offset for record in records] for part, records in found.items()}


NAME = SECTION_COMMANDS.name


def test_every_record_before_the_end_is_read_and_none_behind_it() -> None:
    broker = Broker(Message(0), Message(1), Message(2), bounds={NAME: [(0, 2)]})
    assert records_of(broker) == {0: [0, 1]}


def test_a_marker_at_the_end_is_told_by_the_end_of_the_partition() -> None:
    broker = Broker(Message(0), end_at(2), bounds={NAME: [(0, 2)]})
    assert records_of(broker) == {0: [0]}


def test_each_partition_is_read_to_an_end_of_its_own_and_an_empty_one_is_not_asked() -> None:
    broker = Broker(
        Message(4, 2),
        Message(0),
        end_at(5, 2),
        Message(1),
        bounds={NAME: [(0, 2), (3, 3), (4, 6)]},
    )
    assert records_of(broker) == {0: [0, 1], 1: [], 2: [4]}


def test_a_record_is_kept_with_all_that_is_judged() -> None:
    broker = Broker(Message(0), bounds={NAME: [(0, 1)]})
    [record] = read_topic(cast("Consumer", broker), SECTION_COMMANDS)[0]
    assert (record.timestamp, record.key, record.value) == (1_000, b"key", b"value")
    assert record.headers == (("h", b"x"),)


def test_an_error_of_the_broker_is_no_end() -> None:
    trouble = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    broker = Broker(Message(0, 0, trouble), bounds={NAME: [(0, 1)]})
    with pytest.raises(KafkaException):
        records_of(broker)


def test_a_transaction_that_stays_open_is_named_as_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "SILENCE_S_MAX", 0.0)
    with pytest.raises(CannotRead, match="hanging_transactions"):
        records_of(Broker(bounds={NAME: [(0, 1)]}))
