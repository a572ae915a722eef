"""Topics that a consumer reads, in memory."""

from typing import Any, NamedTuple

from confluent_kafka import KafkaError, TopicPartition

from schemas.topics import SECTION_COMMANDS


class Message(NamedTuple):
    """A record, or the end of its partition, as a consumer hands it out."""

    at: int
    place: int = 0
    trouble: KafkaError | None = None
    of: str = SECTION_COMMANDS.name

    def topic(self) -> str:
        return self.of

    def error(self) -> KafkaError | None:
        return self.trouble

    def partition(self) -> int:
        return self.place

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000 + self.at

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"value"

    def headers(self) -> list[tuple[str, bytes]]:
        return [("h", b"x")]


def end_at(offset: int, partition: int = 0) -> Message:
    return Message(offset, partition, KafkaError(KafkaError._PARTITION_EOF))


class Broker:
    """A consumer over topics in memory; each call of `consume` hands out the next messages.

    bounds: first offset and end by topic and partition; topics without any have one empty one.
    """

    def __init__(
        self, *messages: Message, bounds: dict[str, list[tuple[int, int]]] | None = None
    ) -> None:
        self.messages = list(messages)
        self.bounds = bounds or {}
        self.assigned: list[tuple[int, int]] = []

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout > 0
        partitions = range(len(self.bounds.get(name, [(0, 0)])))
        topic = type("Topic", (), {"error": None, "partitions": partitions})
        return type("Metadata", (), {"topics": {name: topic}})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return self.bounds.get(place.topic, [(0, 0)])[place.partition]

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = [(place.partition, place.offset) for place in places]

    def unassign(self) -> None:
        self.assigned = []

    def consume(self, number: int, timeout: float) -> list[Message]:
        assert timeout > 0
        handed, self.messages = self.messages[:number], self.messages[number:]
        return handed
