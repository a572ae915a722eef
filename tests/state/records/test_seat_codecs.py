"""Each codec writes the record that its name promises, under the registry's id."""

from typing import Any

import pytest
from support.seats.section_commands import CODECS, IDS, identity

from schemas.topics import (
    PAYMENT_COMMANDS,
    RESERVATION_OUTCOMES,
    SECTION_COMMANDS,
    SECTION_STATUS,
    subject,
)
from serdes.avro.codegen import decoder
from serdes.registry.ids import counted_ids
from serdes.wire import HEADER_BYTES, header_of, schema_id_of
from state.records.names import PaymentRequested, SaleDecided
from state.records.seat_codecs import SeatCodecs

WHO = identity("r1")
OUTCOMES = "io.seatstream.outcomes."
SEATS = ((0, 2, 2),)
ID = b"section-commands:0:9:0"
HEAD = WHO, ID, 4, 99
WRITTEN = [
    ("held", "SeatsHeld", (*HEAD, 1, 500, SEATS, 9000, b"EUR")),
    ("rejected", "ReservationRejected", (*HEAD, 9, None)),
    ("confirmed", "ReservationConfirmed", (*HEAD, 1, SEATS, False, 9000, b"EUR")),
    ("released", "ReservationReleased", (*HEAD, 1, 2, SEATS, 9000, b"EUR")),
    ("extended", "HoldExtended", (*HEAD, 1, 800, 0, b"")),
    ("opened", "SectionOpened", (*HEAD, 100, 3)),
    ("blocked", "SeatsBlocked", (*HEAD, SEATS)),
    ("unblocked", "SeatsUnblocked", (*HEAD, SEATS)),
    ("window_changed", "SaleWindowChanged", (*HEAD, 5, 0)),
    ("refused", "CommandRefused", (*HEAD, 13, (0, 1))),
    ("payment_started", "PaymentStarted", (*HEAD, 1, 800, SEATS, 9000, b"EUR", b"mock")),
    ("refunded", "ReservationRefunded", (*HEAD, 1, SEATS, 9000, b"EUR")),
]
TOLD_TO_PAYMENTS = [
    (
        "payment_requested",
        "PaymentRequested",
        (WHO, ID, 1, 9000, b"EUR", b"mock", b"card", b"\0token", 800),
    ),
    ("sale_decided", "SaleDecided", (WHO, ID, 1, 1, 1, 0, 2, ((b"BLOCK-3", 0, 2, 2),))),
]


def test_every_outcome_has_its_encoder() -> None:
    assert {OUTCOMES + name for _, name, _ in WRITTEN} == set(RESERVATION_OUTCOMES.records)


@pytest.mark.parametrize(("codec", "name", "fields"), WRITTEN)
def test_an_outcome_is_written_under_its_own_id_and_read_back(
    codec: str, name: str, fields: tuple[Any, ...]
) -> None:
    value: bytes = getattr(CODECS, codec)(*fields)
    assert schema_id_of(value) == IDS.id_by_subject[subject(RESERVATION_OUTCOMES, OUTCOMES + name)]
    read = decoder(OUTCOMES + name)(value, HEADER_BYTES)
    assert read[:6] == (b"r1", b"ann", b"", read[3], 7, WHO)
    assert read[6:] == fields[1:]


@pytest.mark.parametrize(("codec", "name", "fields"), TOLD_TO_PAYMENTS)
def test_what_payments_are_told_is_written_under_its_own_id_and_read_back(
    codec: str, name: str, fields: tuple[Any, ...]
) -> None:
    value: bytes = getattr(CODECS, codec)(*fields)
    record = "io.seatstream.payments." + name
    assert schema_id_of(value) == IDS.id_by_subject[subject(PAYMENT_COMMANDS, record)]
    read = decoder(record)(value, HEADER_BYTES)
    assert read[5:] == fields
    named: Any = {"PaymentRequested": PaymentRequested, "SaleDecided": SaleDecided}[name]
    assert named._make(read).outcome_id == ID


def test_a_status_and_a_tick_are_written_under_their_own_ids() -> None:
    status = "io.seatstream.status.SectionStatusEvent"
    value = CODECS.status(7, b"A", 3, 99, 4, 1, 2)
    assert schema_id_of(value) == IDS.id_by_subject[subject(SECTION_STATUS, status)]
    assert decoder(status)(value, HEADER_BYTES) == (7, b"A", 3, 99, 4, 1, 2)
    tick = "io.seatstream.commands.Tick"
    value = CODECS.tick(123)
    assert schema_id_of(value) == IDS.id_by_subject[subject(SECTION_COMMANDS, tick)]
    assert decoder(tick)(value, HEADER_BYTES) == (123,)


def test_a_new_hold_is_the_stored_record_and_the_outcome_of_the_plain_codecs() -> None:
    writer = CODECS.new_hold
    price = 9000, b"EUR"
    stored, outcome = writer.write(WHO, ID, 9, 4, writer.times(99, 500), SEATS[0], price)
    assert outcome == CODECS.held(WHO, ID, 4, 99, 1, 500, SEATS, *price)
    assert stored == CODECS.reservation(
        WHO, 2, (), 1, 1, 99, 500, 9, 4, SEATS, 0, None, (), *price, b""
    )


@pytest.mark.parametrize(
    ("read", "write", "fields"),
    [
        ("read_section", "section", (7, b"A", 1, 4, 9, 99, 2, 1, 0, b"\x0f")),
        ("read_blocked", "blocked_seats", (b"\x01",)),
    ],
)
def test_what_is_stored_has_no_header_and_is_read_back(
    read: str, write: str, fields: tuple[Any, ...]
) -> None:
    assert getattr(CODECS, read)(getattr(CODECS, write)(*fields), 0) == fields


def test_another_registrys_ids_are_written_where_it_gave_others() -> None:
    shifted = counted_ids(1_001)
    other = SeatCodecs.of(shifted)
    for codec, name, fields in WRITTEN:
        value: bytes = getattr(other, codec)(*fields)
        assert value[:HEADER_BYTES] == header_of(
            shifted.id_by_subject[subject(RESERVATION_OUTCOMES, OUTCOMES + name)]
        )
        assert value[HEADER_BYTES:] == getattr(CODECS, codec)(*fields)[HEADER_BYTES:]
