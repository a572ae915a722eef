"""A reservation's stored record to its value and back, and to the outcomes it stands for.

An outcome is never stored: it is built from the reservation, with the same bytes every time.
"""

from typing import Any, Final

from state.domain.reservation import (
    RELEASED_BY,
    Later,
    LaterOutcome,
    ReleaseCause,
    Reservation,
    Status,
)
from state.records.names import IDENTITY_FIELDS
from state.records.seat_codecs import SeatCodecs

_CONTINUED: Final = 0x80


def read_reservation(codecs: SeatCodecs, stored: bytes) -> Reservation:
    """Return the reservation of a Reservation record."""
    return reservation_of(codecs.read_reservation(stored, 0))


def reservation_of(fields: tuple[Any, ...]) -> Reservation:
    """Return the reservation of a decoded Reservation record."""
    held = Reservation(*fields)
    return held._replace(later=tuple(LaterOutcome(*later) for later in held.later))


def write_reservation(codecs: SeatCodecs, held: Reservation) -> bytes:
    """Return the Reservation record."""
    return codecs.reservation(*held[IDENTITY_FIELDS:])


def first_outcome(codecs: SeatCodecs, outcome_prefix: bytes, held: Reservation) -> bytes:
    """Return the outcome of the first decision.

    outcome_prefix: `{command topic}:{partition}:`.
    """
    outcome_id = b"%s%d:0" % (outcome_prefix, held.decided_offset)
    head = held.request, outcome_id, held.decided_version, held.held_at_ms
    if held.status == Status.REJECTED:
        return codecs.rejected(*head, held.reason, held.seat)
    if held.was_held:
        price = held.amount, held.currency
        return codecs.held(*head, 1, held.first_deadline_ms, held.seats, *price)
    return codecs.released(*head, 0, ReleaseCause.CANCELLED, (), 0, b"")


def later_outcome(
    codecs: SeatCodecs, outcome_prefix: bytes, held: Reservation, later: LaterOutcome
) -> bytes:
    """Return the outcome of a later decision."""
    outcome_id = b"%s%d:%d" % (outcome_prefix, later.offset, later.ordinal)
    head = later.request, outcome_id, later.version, later.at_ms, later.epoch
    price = held.amount, held.currency
    if later.kind == Later.EXTENDED:
        return codecs.extended(*head, later.deadline_ms, *price)
    if later.kind in RELEASED_BY:
        return codecs.released(*head, RELEASED_BY[Later(later.kind)], held.seats, *price)
    if later.kind == Later.PAYMENT_STARTED:
        return codecs.payment_started(*head, later.deadline_ms, held.seats, *price, held.gateway)
    if later.kind == Later.REFUNDED:
        return codecs.refunded(*head, held.seats, *price)
    return codecs.confirmed(*head, held.seats, later.kind == Later.REACQUIRED, *price)


def correlation_of(request: bytes) -> bytes:
    """Return the correlation id of an encoded identity: its third string."""
    at = 0
    text = b""
    for _ in range(3):
        # Strings of an identity have at most 64 bytes; of these lengths only 64 takes two.
        size, start = (request[at] >> 1, at + 1) if request[at] < _CONTINUED else (64, at + 2)
        at = start + size
        text = request[start:at]
    return text
