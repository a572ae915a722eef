"""How far the group is, and whether anything waits behind it; what nobody tells is not at rest."""

from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import SECTION_COMMANDS
from scripts.brokers import group_offsets
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import (
    OffsetsUnknown,
    _ends,
    _with_commands,
    committed_offsets,
)


class Message(NamedTuple):
    """A record of a partition, or what came in its place."""

    place: int
    trouble: KafkaError | None = None
    told_key: bytes | None = b"1-A"

    def topic(self) -> str:
        return "t"

    def key(self) -> bytes | None:
        return self.told_key

    def error(self) -> KafkaError | None:
        return self.trouble

    def partition(self) -> int:
        return self.place


class Broker:
    """A consumer that hands out these messages, and then nothing."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.assigned: list[tuple[int, int]] = []

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = [(place.partition, place.offset) for place in places]

    def consume(self, number: int, timeout: float) -> list[Message]:
        assert timeout > 0
        handed, self.messages = self.messages[:number], self.messages[number:]
        return handed


END = KafkaError(KafkaError._PARTITION_EOF)


def behind(broker: Broker, places: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    asked = {("t", part): span for part, span in places.items()}
    found = _with_commands(cast("Consumer", broker), asked)
    return {part: span for (_, part), span in found.items()}


def test_only_a_partition_with_a_record_is_behind() -> None:
    broker = Broker(Message(0), Message(1, END), Message(0))
    assert behind(broker, {0: (4, 6), 1: (7, 9)}) == {0: (4, 6)}
    assert broker.assigned == [(0, 4), (1, 7)]


def test_a_partition_with_ticks_alone_is_at_rest_and_one_with_a_command_behind_them_is_not() -> (
    None
):
    ticks = [Message(part, None, key) for part in (0, 1) for key in (b"tick", b"tick-2")]
    broker = Broker(*ticks, Message(1), Message(0, END))
    assert behind(broker, {0: (4, 6), 1: (7, 10)}) == {1: (7, 10)}


def test_a_partition_of_which_nobody_tells_in_time_is_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_offsets, "ANSWER_S", 0.0)
    assert behind(Broker(), {3: (1, 2)}) == {3: (1, 2)}


def test_an_error_is_no_end() -> None:
    trouble = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        behind(Broker(Message(0, trouble)), {0: (0, 1)})


class Metadata(NamedTuple):
    error: KafkaError | None
    partitions: dict[int, None]


class Untold:
    """A broker that does not know a topic, or not yet: it is told of without partitions."""

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout > 0
        unknown = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return SimpleNamespace(topics={name: Metadata(unknown, {})})


def test_a_topic_that_nobody_tells_of_is_not_one_at_rest() -> None:
    with pytest.raises(KafkaException):
        _ends(cast("Consumer", Untold()), SECTION_COMMANDS)


def test_brokers_that_do_not_answer_leave_the_offsets_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_offsets, "ANSWER_S", 0.5)
    with pytest.raises(OffsetsUnknown, match="committed offsets of the group seats"):
        committed_offsets(Servers("127.0.0.1:1", "http://127.0.0.1:1"), "seats")
