import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.avro_values import hostile
from support.records.event_values import NOW_MS, event, events

from schemas.topics import EVENTS
from serdes.decoding import TopicDecoder
from serdes.registry.ids import counted_ids
from serdes.wire import header_of
from state.domain.event import Event, EventStatus, newer_of
from state.records.event import EventEncoder, event_key
from state.views.events.catalogue import CatalogueReading, Events

IDS = counted_ids()
ENCODE = EventEncoder(IDS)
HEADER = ENCODE(event())[:5]


def catalogue() -> Events:
    """Return a catalogue without a broker, whose clock stands at a second."""
    return Events(TopicDecoder(EVENTS, IDS), clock_ns=lambda: 1_000_000_000)


def reading_of(told: Events, partitions: int = 1) -> CatalogueReading:
    reading = told.new_reading(partitions)
    told.publish(reading)
    return reading


def tell(reading: CatalogueReading, records: Sequence[Event | int]) -> None:
    """Take in events, and tombstones given as their ids."""
    for record in records:
        if isinstance(record, int):
            reading.apply(event_key(record), None)
        else:
            reading.apply(event_key(record.event_id), ENCODE(record))


few_events = st.builds(
    lambda one, event_id: event(
        event_id, revision=one.revision, status=one.status, changed_at_ms=one.changed_at_ms
    ),
    events,
    st.integers(0, 2),
)


@given(st.lists(few_events | st.integers(0, 2), max_size=12))
def test_what_stands_is_the_newest_since_the_last_tombstone(told: list[Event | int]) -> None:
    view = catalogue()
    tell(reading_of(view), told)
    expected: dict[int, Event] = {}
    for record in told:
        if isinstance(record, int):
            expected.pop(record, None)
        else:
            known = expected.get(record.event_id, record)
            expected[record.event_id] = newer_of(known, record)
    assert {one.event.event_id: one.event for one in view.listing()} == expected
    assert all(view.get(event_id) == one for event_id, one in expected.items())
    counters = view.counters
    assert counters.applied + counters.older + counters.removed == counters.records == len(told)


@given(st.lists(few_events, max_size=12), st.data())
def test_records_told_twice_change_nothing(told: list[Event], data: st.DataObject) -> None:
    view = catalogue()
    reading = reading_of(view)
    tell(reading, told)
    listing = view.listing()
    tell(reading, data.draw(st.permutations(told)))
    assert view.listing() is listing


@given(st.binary(max_size=30) | st.sampled_from([b"7", b"007", b"-1", b"9" * 19]), st.data())
def test_bad_bytes_are_counted_and_leave_what_was_known(key: bytes, data: st.DataObject) -> None:
    view = catalogue()
    reading = reading_of(view)
    tell(reading, [event(7)])
    body = data.draw(hostile("io.seatstream.events.EventDescription") | st.binary(max_size=40))
    header = data.draw(st.sampled_from([HEADER, b"", b"\1\0\0\0\1", header_of(9999)]))
    changed = reading.apply(key, header + body)
    if not changed:
        assert view.get(7) == event(7)
    counters = view.counters
    bad = sum(counters.bad.values())
    assert counters.applied + counters.older + bad == counters.records == 2


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (None, ENCODE(event(7)), "BAD_KEY"),
        (b"07", ENCODE(event(7)), "BAD_KEY"),
        (b"9999999999999999999", ENCODE(event(7)), "BAD_KEY"),
        (b"8", ENCODE(event(7)), "KEY_MISMATCH"),
        (b"7", ENCODE(event(7, status=EventStatus.UNSPECIFIED)), "NO_STATUS"),
        (b"7", b"", "EMPTY_VALUE"),
        (b"7", header_of(9999) + b"x", "UNKNOWN_SCHEMA"),
        (b"7", ENCODE(event(7)) + b"x", "BAD_BODY"),
    ],
)
def test_a_bad_record_is_named(key: bytes | None, value: bytes, reason: str) -> None:
    view = catalogue()
    assert not reading_of(view).apply(key, value)
    assert view.counters.bad == {reason: 1}
    assert view.listing() == ()


def test_events_are_listed_by_their_begin_and_then_by_id() -> None:
    view = catalogue()
    later = event(1, starts_at_ms=NOW_MS + 2)
    tell(
        reading_of(view),
        [later, event(9, starts_at_ms=NOW_MS + 1), event(3, starts_at_ms=NOW_MS + 1)],
    )
    assert [one.event.event_id for one in view.listing()] == [3, 9, 1]


def test_a_reading_is_seen_when_it_is_complete_and_not_before() -> None:
    view = catalogue()
    assert not view.is_ready()
    reading = view.new_reading(1)
    tell(reading, [event(7)])
    assert view.get(7) is None
    reading.partitions[0].reached(1)
    reading.partitions[0].ends_at(1, asked_ns=500_000_000)
    assert reading.is_complete()
    view.publish(reading)
    assert view.get(7) == event(7)
    assert view.is_ready()
    assert view.staleness_ms() == 500


def test_a_topic_read_anew_forgets_what_it_no_longer_has() -> None:
    view = catalogue()
    tell(reading_of(view), [event(7)])
    assert [one.event.event_id for one in view.listing()] == [7]
    tell(reading_of(view), [event(8)])
    assert view.get(7) is None
    assert [one.event.event_id for one in view.listing()] == [8]


def test_whoever_writes_waits_until_its_record_was_read() -> None:
    async def scenario() -> None:
        view = catalogue()
        reading = reading_of(view)
        waiting = asyncio.create_task(view.has_read(0, 4, timeout_s=10))
        await asyncio.sleep(0)
        reading.partitions[0].reached(4)
        view.changed(reading, [True])
        await asyncio.sleep(0)
        assert not waiting.done()
        reading.partitions[0].reached(5)
        view.changed(reading, [False])
        assert await waiting
        assert not view._wakers

    asyncio.run(scenario())


def test_a_wait_ends_at_its_deadline_and_leaves_nothing() -> None:
    view = catalogue()
    reading_of(view)
    assert not asyncio.run(view.has_read(0, 0, timeout_s=0.001))
    assert not asyncio.run(view.has_read(5, 0, timeout_s=0.001))
    assert not view._wakers


def test_an_unknown_schema_is_asked_for() -> None:
    decoder = TopicDecoder(EVENTS, IDS)
    asked: list[Any] = []

    def learn(schema_id: int) -> bool:
        asked.append(schema_id)
        return False

    view = Events(decoder, learn)
    reading_of(view).apply(b"7", header_of(9999) + b"x")
    assert asked == [9999]
