"""What an event is known by, read from a stranger's headers; and the headers of what it causes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import CODECS, hold, release
from support.workers.postings import headers

from serdes.decoding import Decoded, Undecodable
from serdes.wire import header_of
from streams.batch import Batch, UnknownSchema
from streams.driver import PipedRecord
from streams.working.events import (
    by_headers,
    by_record,
    headers_of_caused,
    known,
    place_of,
)
from streams.working.inbox import Event

names = st.sampled_from(["event-id", "event-type", "correlation-id", "traceparent", "other"])
values = st.one_of(st.binary(max_size=12), st.sampled_from([b"a", b"b.c_d-e"]), st.none())


def read(
    given_headers: list[tuple[str, bytes]], value: bytes | None = b"v"
) -> Event | Undecodable | None:
    record = PipedRecord("orders", 3, 41, 1, b"k", value, given_headers)
    return by_headers(Batch("orders", 3, 4, [record]), record)


def test_an_event_is_known_by_its_headers() -> None:
    assert read(headers("e1", "c1", "BOUGHT")) == Event("e1", "c1", "BOUGHT")


def test_without_an_id_it_is_known_by_its_place() -> None:
    assert read([]) == Event("at orders:3:41")


@given(st.binary(max_size=30) | st.from_regex(rb"(at )?orders:[0-9]:[0-9]{1,3}", fullmatch=True))
def test_no_header_names_the_place_of_a_record(event_id: bytes) -> None:
    event = read([("event-id", event_id)])
    assert not isinstance(event, Event) or not event.id.startswith("at ")


def test_no_record_claims_the_place_of_another() -> None:
    """Not even where a worker takes ids from values, which may be any text."""
    record = PipedRecord("orders", 3, 41, 1, b"k", b"v", ())
    batch = Batch("orders", 3, 4, [record])
    verdicts = [
        known(lambda *_, at=at: Event(f"at orders:3:{at}"), batch, record) for at in (41, 42)
    ]
    assert verdicts[0] == Event(place_of(batch, record))
    assert isinstance(verdicts[1], Undecodable)


def known_by(said: Decoded, event: Event) -> Event | None:
    """Take holds for what is to be worked on, by their reservation id."""
    is_hold = said.name.endswith("HoldBestAvailable")
    return event._replace(id=said.fields[0].decode()) if is_hold else None


def identified(value: bytes | None, *unknown: int) -> Event | Undecodable | None:
    record = PipedRecord("orders", 3, 41, 1, b"k", value, headers("e1", "c1"))
    batch = Batch("orders", 3, 4, [record], frozenset(unknown))
    return by_record(CODECS.commands, known_by)(batch, record)


def test_an_avro_record_is_known_by_what_it_says() -> None:
    assert identified(hold("r1", 1)[1]) == Event("r1", "c1")
    assert identified(release("r1")[1]) is None
    assert identified(None) is None


def test_b06_an_unknown_schema_is_asked_for_once_and_never_guessed() -> None:
    value = header_of(99_999) + b"rubbish"
    with pytest.raises(UnknownSchema):
        identified(value)
    assert identified(value, 99_999) == Undecodable("UNKNOWN_SCHEMA", "schema 99999")
    assert isinstance(identified(b"{}"), Undecodable)


def test_a_record_without_a_value_is_no_event() -> None:
    assert read(headers("e1"), None) is None


@given(st.lists(st.tuples(names, values), max_size=5))
def test_any_headers_are_an_event_or_undecodable(given_headers: list) -> None:  # type: ignore[type-arg]
    event = read(given_headers)
    assert isinstance(event, Event | Undecodable)
    if isinstance(event, Event):
        assert all(text.isascii() and text.isprintable() for text in event)
        assert event.id
        caused = headers_of_caused(
            PipedRecord("orders", 3, 41, 1, b"k", b"v", given_headers), event, "n", "T", "post", 5
        )
        ids = [value.decode() for name, value in caused if name == "correlation-id"]
        assert ids == [event.correlation_id] * bool(event.correlation_id)
        assert caused[:2] == (("event-id", b"n"), ("event-type", b"T"))
        assert caused[-3:] == (("timestamp", b"5"), ("source", b"post"), ("version", b"1.0.0"))
