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
from serdes.avro.codegen import Decode, Encode, encoder
from serdes.avro.stored import stored_decoder
from serdes.decoding import TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.records.held import HeldWriter

_CARTS = "io.seatstream.carts."
_OUTCOMES = "io.seatstream.outcomes."
_SEATS_HELD = _OUTCOMES + "SeatsHeld"
_PAYMENTS = "io.seatstream.payments."
_STATE = "io.seatstream.state."


@dataclass(frozen=True, slots=True)
class SeatCodecs:
    """Codecs by the role they play; forms of decoded values as told in `codegen`.

    commands: bytes of section-commands to records; learns other ids while it is used.
    held .. part_decided, unlock, status: fields to values of the wire, header included.
    new_hold: a hold's stored record and its outcome at once.
    The rest: values of the store, without header.
    """

    commands: TopicDecoder
    held: Encode
    new_hold: HeldWriter
    rejected: Encode
    confirmed: Encode
    released: Encode
    extended: Encode
    opened: Encode
    blocked: Encode
    unblocked: Encode
    window_changed: Encode
    refused: Encode
    payment_started: Encode
    refunded: Encode
    payment_requested: Encode
    sale_decided: Encode
    part_decided: Encode
    unlock: Encode
    status: Encode
    tick: Encode
    read_reservation: Decode
    reservation: Encode
    read_section: Decode
    section: Encode
    read_layout: Decode
    layout: Encode
    read_blocked: Decode
    blocked_seats: Encode

    @classmethod
    def of(cls, ids: SchemaIds) -> "SeatCodecs":
        """Return the codecs that write these ids."""
        outcomes = encoders(RESERVATION_OUTCOMES, ids)
        payments = encoders(PAYMENT_COMMANDS, ids)
        return cls(
            commands=TopicDecoder(SECTION_COMMANDS, ids),
            held=outcomes[_SEATS_HELD],
            new_hold=HeldWriter(ids.id_by_subject[subject(RESERVATION_OUTCOMES, _SEATS_HELD)]),
            rejected=outcomes[_OUTCOMES + "ReservationRejected"],
            confirmed=outcomes[_OUTCOMES + "ReservationConfirmed"],
            released=outcomes[_OUTCOMES + "ReservationReleased"],
            extended=outcomes[_OUTCOMES + "HoldExtended"],
            opened=outcomes[_OUTCOMES + "SectionOpened"],
            blocked=outcomes[_OUTCOMES + "SeatsBlocked"],
            unblocked=outcomes[_OUTCOMES + "SeatsUnblocked"],
            window_changed=outcomes[_OUTCOMES + "SaleWindowChanged"],
            refused=outcomes[_OUTCOMES + "CommandRefused"],
            payment_started=outcomes[_OUTCOMES + "PaymentStarted"],
            refunded=outcomes[_OUTCOMES + "ReservationRefunded"],
            payment_requested=payments[_PAYMENTS + "PaymentRequested"],
            sale_decided=payments[_PAYMENTS + "SaleDecided"],
            part_decided=encoders(CART_COMMANDS, ids)[_CARTS + "PartDecided"],
            unlock=encoders(SEAT_UNLOCK, ids)["io.seatstream.locks.SeatUnlock"],
            status=encoders(SECTION_STATUS, ids)["io.seatstream.status.SectionStatusEvent"],
            tick=encoders(SECTION_COMMANDS, ids)["io.seatstream.commands.Tick"],
            read_reservation=stored_decoder(_STATE + "Reservation"),
            reservation=encoder(_STATE + "Reservation"),
            read_section=stored_decoder(_STATE + "SectionState"),
            section=encoder(_STATE + "SectionState"),
            read_layout=stored_decoder(_STATE + "SectionLayout"),
            layout=encoder(_STATE + "SectionLayout"),
            read_blocked=stored_decoder(_STATE + "BlockedSeats"),
            blocked_seats=encoder(_STATE + "BlockedSeats"),
        )
