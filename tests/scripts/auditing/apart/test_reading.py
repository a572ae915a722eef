"""Of a partition effects are read before causes, and what several tell behind all of them."""

from typing import Any, cast

import pytest
from confluent_kafka import Consumer, TopicPartition
from support.logs.audit_logs import START_MS, WIRE, sound_log, value_of
from support.logs.log_consumer import LogConsumer

from schemas.topics import SECTION_STATUS
from scripts.auditing.apart.reading import Wanted, read_parts, read_since, undecided_since
from scripts.auditing.log import Log
from scripts.auditing.topics import CannotRead, LogRecord

TICK = value_of("Tick", {"timerMs": START_MS})


class Noting(LogConsumer):
    order: tuple[str, ...] = ()

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        self.order += (place.topic,)
        return super().get_watermark_offsets(place, timeout)


def wanted(log: Log) -> Wanted:
    return Wanted(log.partitions, log.committed, is_paid=False, statuses=SECTION_STATUS)


def test_effects_are_read_before_causes_and_the_state_before_both() -> None:
    log = sound_log(3, 60)
    consumer = Noting(log)
    part, ends = read_parts(cast("Consumer", consumer), wanted(log), [1], None)
    order = list(dict.fromkeys(consumer.order))
    assert order[:3] == ["purchases-changelog", "payment-events", "seats-changelog"]
    assert order[-3:] == ["payment-commands", "reservation-outcomes", "section-commands"]
    # Asked once more at the end: whether the state was written meanwhile.
    assert consumer.order[-1] == "seats-changelog"
    assert part.moved == frozenset()
    assert part.commands == {1: log.commands[1]}
    assert part.changelog == {1: log.changelog[1]}
    assert ends[1]["section-commands"] == log.commands[1][-1].offset + 1


def test_a_state_that_was_written_meanwhile_is_one_that_moved() -> None:
    log = sound_log(3, 60)

    class Moving(LogConsumer):
        def assign(self, places: list[TopicPartition]) -> None:
            super().assign(places)
            if places:
                lying = self.topics["seats-changelog"][1]
                lying.append(lying[-1]._replace(at=(1, lying[-1].offset() + 1)))

    part, ends = read_parts(cast("Consumer", Moving(log)), wanted(log), [1, 2], None)
    assert part.moved == frozenset({1})
    assert ends[1]["seats-changelog"] == log.changelog[1][-1].offset + 1


def test_commands_without_their_beginning_are_no_partition_to_fold() -> None:
    log = sound_log(3, 60)

    class Cut(LogConsumer):
        def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
            _, high = super().get_watermark_offsets(place, timeout)
            return (5 if place.topic == "section-commands" else 0), high

    with pytest.raises(CannotRead, match=r"section-commands: .*begin at offset 5"):
        read_parts(cast("Consumer", Cut(log)), wanted(log), [1], None)


def test_what_was_written_since_is_read_and_ticks_of_it_are_waited_for_by_nobody() -> None:
    log = sound_log(3, 60)
    consumer = LogConsumer(log)
    reader: Any = consumer
    _, ends = read_parts(reader, wanted(log), range(3), None)
    assert undecided_since(WIRE, read_since(reader, ends)) == 0
    lying = consumer.topics["section-commands"][2]
    at = lying[-1].offset() + 1
    lying.append(lying[-1]._replace(at=(2, at), value_=TICK))
    lying.append(lying[-1]._replace(at=(2, at + 1), value_=b"unreadable"))
    since = read_since(reader, ends)
    assert [record.value for record in since["section-commands"]] == [TICK, b"unreadable"]
    assert all(isinstance(record, LogRecord) for record in since["section-commands"])
    assert undecided_since(WIRE, since) == 1
