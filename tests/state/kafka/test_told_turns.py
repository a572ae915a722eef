"""What was told of turns is read as it was written, and what cannot be read is not nothing."""

import pytest
from confluent_kafka import Message

from infra.stack.ports import free_ports
from schemas.topics import WAITING_TURNS
from serdes.decoding import TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.waiting.line import Fact, Step
from state.domain.waiting.lots import Opening
from state.kafka.told_turns import NotRead, Told, ToldTurns, _take
from state.records.waiting.turns import (
    TurnCodecs,
    record_of,
    seed_key,
    seed_record_of,
    turn_key,
)

IDS = counted_ids()
CODECS = TurnCodecs.of(IDS)
FACTS = [Fact("ann", 5, Step.GIVEN), Fact("ann", 5, Step.ADMITTED, 9), Fact("Ænne", 6, Step.GIVEN)]


def message(key: bytes | None, value: bytes | None) -> Message:
    return Message(topic=WAITING_TURNS.name, partition=0, offset=4, key=key, value=value)


def taken(*messages: Message) -> Told:
    told = {7: Told()}
    for one in messages:
        _take(TopicDecoder(WAITING_TURNS, IDS), one, told)
    return told[7]


def test_what_no_broker_gives_is_told_in_words_of_its_own() -> None:
    (port,) = free_ports(1)
    with pytest.raises(NotRead):
        ToldTurns(f"127.0.0.1:{port}", IDS, kafka={"log_level": 0}, silent_s=0.3).read([7])


def test_u6_facts_and_the_last_opening_of_an_event_are_read_and_those_of_no_other() -> None:
    openings = [Opening(1, "ab"), Opening(2, "cd"), Opening(2, "cd", b"seed")]
    told = taken(
        *(message(turn_key(7, one), CODECS.changed(*record_of(7, one))) for one in FACTS),
        *(
            message(seed_key(7, one, "x"), CODECS.seed(*seed_record_of(7, one)))
            for one in openings
        ),
        message(turn_key(71, FACTS[0]), CODECS.changed(*record_of(71, FACTS[0]))),
        message(turn_key(8, FACTS[0]), b"junk"),
        message(b"7", CODECS.changed(*record_of(7, Fact("a\nb", 5, Step.GIVEN)))),
        message(None, None),
        message(b"\xff:1", b"junk"),
        message(b"9" * 10_000 + b":1", b"junk"),
    )
    assert told.facts == FACTS
    assert told.opening == openings[-1]


@pytest.mark.parametrize("value", [b"junk", b"", None, b"\0\0\0\xff\xff1"])
def test_u6_what_cannot_be_read_of_an_event_is_not_taken_for_nothing(value: bytes | None) -> None:
    with pytest.raises(NotRead, match="offset 4"):
        taken(message(b"7:5:1:ann", value))
