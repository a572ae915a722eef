"""An event comes back from its record."""

import pytest
from hypothesis import given
from support.records.event_values import events

from schemas.topics import EVENTS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.event import Event
from state.records.event import EventEncoder, event_key, event_of
from state.records.names import EventDescription

IDS = counted_ids()
ENCODE = EventEncoder(IDS)


def read(value: bytes) -> EventDescription:
    verdict = TopicDecoder(EVENTS, IDS).decode(value)
    assert isinstance(verdict, Decoded)
    return EventDescription._make(verdict.fields)


@given(events)
def test_an_event_is_read_as_it_was_written(one: Event) -> None:
    assert event_of(read(ENCODE(one))) == one


@pytest.mark.parametrize(
    ("event_id", "key"), [(0, b"0"), (7, b"7"), (2**63 - 1, b"%d" % (2**63 - 1))]
)
def test_the_key_of_an_event_is_its_number_in_digits(event_id: int, key: bytes) -> None:
    assert event_key(event_id) == key
