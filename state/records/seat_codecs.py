"""Every decoder and encoder of the seats: made once at start, from the registry's schema ids."""

from dataclasses import dataclass

from schemas.topics import (
    CART_COMMANDS,
    PAYMENT_COMMANDS,
    RESERVATION_OUTCOMES,
    SEAT_UNLOCK,
    SECTION_COMMANDS,
    SECTION_STATUS,
    subject,
)
from serdes.avro.codegen import Decode, Encode
from serdes.codecs import Codecs, made, read_as, read_from, stored_as, written_to
from serdes.decoding import TopicDecoder
from state.records.held import HeldWriter

_CARTS = "io.seatstream.carts."
_OUTCOMES = "io.seatstream.outcomes."
_SEATS_HELD = _OUTCOMES + "SeatsHeld"
_PAYMENTS = "io.seatstream.payments."
_STATE = "io.seatstream.state."


@dataclass(frozen=True, slots=True)
class SeatCodecs(Codecs):
    """Codecs by the role they play; forms of decoded values as told in `codegen`.

    commands: bytes of section-commands to records; learns other ids while it is used.
    held .. part_decided, unlock, status: fields to values of the wire, header included.
    new_hold: a hold's stored record and its outcome at once.
    The rest: values of the store, without header.
    """

    commands: TopicDecoder = read_from(SECTION_COMMANDS)
    held: Encode = written_to(RESERVATION_OUTCOMES, _SEATS_HELD)
    new_hold: HeldWriter = made(
        lambda ids: HeldWriter(ids.id_by_subject[subject(RESERVATION_OUTCOMES, _SEATS_HELD)])
    )
    rejected: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "ReservationRejected")
    confirmed: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "ReservationConfirmed")
    released: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "ReservationReleased")
    extended: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "HoldExtended")
    opened: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "SectionOpened")
    blocked: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "SeatsBlocked")
    unblocked: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "SeatsUnblocked")
    window_changed: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "SaleWindowChanged")
    refused: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "CommandRefused")
    payment_started: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "PaymentStarted")
    refunded: Encode = written_to(RESERVATION_OUTCOMES, _OUTCOMES + "ReservationRefunded")
    payment_requested: Encode = written_to(PAYMENT_COMMANDS, _PAYMENTS + "PaymentRequested")
    sale_decided: Encode = written_to(PAYMENT_COMMANDS, _PAYMENTS + "SaleDecided")
    part_decided: Encode = written_to(CART_COMMANDS, _CARTS + "PartDecided")
    unlock: Encode = written_to(SEAT_UNLOCK, "io.seatstream.locks.SeatUnlock")
    status: Encode = written_to(SECTION_STATUS, "io.seatstream.status.SectionStatusEvent")
    tick: Encode = written_to(SECTION_COMMANDS, "io.seatstream.commands.Tick")
    read_reservation: Decode = read_as(_STATE + "Reservation")
    reservation: Encode = stored_as(_STATE + "Reservation")
    read_section: Decode = read_as(_STATE + "SectionState")
    section: Encode = stored_as(_STATE + "SectionState")
    read_layout: Decode = read_as(_STATE + "SectionLayout")
    layout: Encode = stored_as(_STATE + "SectionLayout")
    read_blocked: Decode = read_as(_STATE + "BlockedSeats")
    blocked_seats: Encode = stored_as(_STATE + "BlockedSeats")
