"""A log that was restored and has grown again is not the one that was read."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from state.kafka.freshness import LogShortened
from state.kafka.timeline import Timeline

EOF = KafkaError(KafkaError._PARTITION_EOF)


@dataclass(frozen=True)
class Record:
    """Stands for a message."""

    number: int
    at: int
    content: bytes = b"v"
    fault: KafkaError | None = None

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000 + self.at

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return self.content

    def error(self) -> KafkaError | None:
        return self.fault


@dataclass
class Log:
    """Stands for the brokers: the consumer that asks for what was read last."""

    answers: list[Record] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    is_closed: bool = True

    def connect(self) -> Any:
        self.is_closed = False
        return self

    def assign(self, places: list[Any]) -> None:
        self.asked = [(place.partition, place.offset) for place in places]

    def consume(self, number: int, timeout_s: float) -> list[Record]:
        assert timeout_s == 0
        given, self.answers = self.answers[:number], self.answers[number:]
        return given

    def close(self) -> None:
        self.is_closed = True


def read(timeline: Timeline, *records: Record) -> list[Any]:
    messages: Any = list(records)
    return timeline.sure(messages)


def test_s3_the_same_records_are_found_and_what_was_held_back_is_taken_in_order() -> None:
    log = Log()
    timeline = Timeline("t", log.connect)
    read(timeline, Record(0, 4), Record(1, 7))
    timeline.doubt()
    assert sorted(log.asked) == [(0, 4), (1, 7)]
    # Nothing of a partition is taken in before it is sure; the other ones go on.
    assert read(timeline, Record(0, 5), Record(2, 0)) == [Record(2, 0)]
    log.answers = [Record(1, 7)]
    assert read(timeline, Record(0, 6), Record(1, 8)) == [Record(1, 8)]
    log.answers = [Record(0, 4)]
    assert read(timeline) == [Record(0, 5), Record(0, 6)]
    assert not timeline.is_in_doubt
    assert log.is_closed


@pytest.mark.parametrize(
    "found",
    [
        Record(0, 4, b"another"),
        Record(0, 6),
        Record(0, 3, fault=EOF),
        Record(0, 9, fault=EOF),
    ],
)
def test_s3_something_else_in_the_place_of_what_was_read_has_the_topic_read_anew(
    found: Record,
) -> None:
    log = Log()
    timeline = Timeline("t", log.connect)
    read(timeline, Record(0, 4))
    timeline.doubt()
    log.answers = [found]
    with pytest.raises(LogShortened, match="something else at offset 4"):
        read(timeline, Record(0, 5))
    timeline.close()
    assert log.is_closed


def test_brokers_that_do_not_answer_decide_nothing() -> None:
    log = Log()
    timeline = Timeline("t", log.connect)
    read(timeline, Record(0, 4))
    timeline.doubt()
    log.answers = [Record(0, -1, fault=KafkaError(KafkaError._TRANSPORT))]
    assert read(timeline, Record(0, 5)) == []
    # A second loss in between: asked for anew.
    timeline.doubt()
    log.answers = [Record(0, 4)]
    assert read(timeline) == [Record(0, 5)]


def test_before_anything_was_read_there_is_nothing_to_doubt() -> None:
    log = Log()
    timeline = Timeline("t", log.connect)
    timeline.doubt()
    assert not timeline.is_in_doubt
    assert read(timeline, Record(0, 0)) == [Record(0, 0)]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["read", "lose", "find"]))))
def test_every_record_is_taken_in_once_and_in_order(story: list[tuple[int, str]]) -> None:
    log = Log()
    timeline = Timeline("t", log.connect)
    ends, taken = [0, 0, 0], [[], [], []]  # type: ignore[var-annotated]
    for number, what in story:
        new = []
        if what == "read":
            new = [Record(number, ends[number])]
            ends[number] += 1
        elif what == "lose":
            timeline.doubt()
        elif (last := taken[number][-1:]) and timeline.is_in_doubt:
            log.answers = [Record(number, last[0])]
        for record in read(timeline, *new):
            taken[record.partition()].append(record.offset())
    for number in range(3):
        log.answers += [Record(number, at) for at in taken[number][-1:]]
    for record in read(timeline):
        taken[record.partition()].append(record.offset())
    assert taken == [list(range(end)) for end in ends]
