"""Names for the fields of decoded records: one named tuple for each that is used by its names.

The order is the schema's; see `serdes.avro.codegen` for the form of each field. Whoever needs a
field or two of a record, or is in a hurry, asks `serdes.avro.field_names.position` instead.
"""

from typing import Any, Final, NamedTuple, cast

from serdes.avro.codegen import IDENTITY
from serdes.avro.field_names import field_names, position

# A command and an outcome begin with the identity's five fields, and then have it encoded.
RESERVATION_ID: Final = position(IDENTITY, "reservationId")
IDENTITY_FIELDS: Final = len(field_names(IDENTITY))
# Where a command's own fields begin.
OWN_FIELDS: Final = IDENTITY_FIELDS + 1

# reservation_id, user_id, correlation_id, section, event_id, request
Identity = tuple[bytes, bytes, bytes, bytes, int, bytes]
Seat = tuple[int, int]
SeatRange = tuple[int, int, int]
# section, row, first seat, count
SoldSeats = tuple[bytes, int, int, int]
# label, seat_count, first_number, number_step, seat_labels, aisles, category, seat_categories
RowPlan = tuple[bytes, int, int, int, tuple[bytes, ...], tuple[int, ...], bytes, tuple[bytes, ...]]
# category, amount
CategoryPrice = tuple[bytes, int]
# section, name, capacity, layout_version, categories, amounts
SectionDescription = tuple[bytes, bytes, int, int, tuple[bytes, ...], tuple[int, ...]]


class OpenSection(NamedTuple):
    """Open a section with its layout and rules."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    layout_version: int
    rows: tuple[RowPlan, ...]
    blocked: tuple[SeatRange, ...]
    orphan_rule: int
    max_seats_per_hold: int
    hold_ms: int
    max_hold_ms: int
    sale_starts_ms: int
    sale_ends_ms: int
    currency: bytes
    prices: tuple[CategoryPrice, ...]
    payment_ms: int


# What is stored of a layout is the command that opened it, with the sale window of now.
SectionLayout = OpenSection


class HoldBestAvailable(NamedTuple):
    """Set aside adjacent seats of one row, chosen by the section."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    seat_count: int


class HoldInPieces(NamedTuple):
    """Set aside seats in few pieces near each other, chosen by the section.

    or_fewer: as many as can be had, where not all can.
    """

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    seat_count: int
    or_fewer: bool


class HoldChosenSeats(NamedTuple):
    """Set aside exactly these seats, all or none."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    seat_count: int
    seats: tuple[Seat, ...]


class _OfHold(NamedTuple):
    """What asks about a hold, and needs no more than to name it."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    epoch: int


class ConfirmReservation(_OfHold):
    """The seats of a hold are paid for."""

    __slots__ = ()


class ReleaseReservation(_OfHold):
    """The buyer gives the seats of a hold back."""

    __slots__ = ()


class ExtendHold(_OfHold):
    """Let a hold run a full hold time from now, never beyond its absolute cap."""

    __slots__ = ()


class RefundSeats(_OfHold):
    """The money of a sale went back."""

    __slots__ = ()


class _OfSeats(NamedTuple):
    """What an operator wants of some seats."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    seats: tuple[SeatRange, ...]


class BlockSeats(_OfSeats):
    """Take free seats out of sale, all or none."""

    __slots__ = ()


class UnblockSeats(_OfSeats):
    """Bring blocked seats back on sale, all or none."""

    __slots__ = ()


class ChangeSaleWindow(NamedTuple):
    """Sell a section from another time on, or until another time."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    sale_starts_ms: int
    sale_ends_ms: int


class StartPayment(NamedTuple):
    """Let the buyer pay for a hold."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    epoch: int
    gateway: bytes
    method: bytes
    parameters: bytes


class ClaimPayment(NamedTuple):
    """Another shop claims that a hold is paid for."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    epoch: int
    gateway: bytes
    payment_id: bytes
    amount: int
    currency: bytes


class FailPayment(NamedTuple):
    """A payment brought no money that the seats are sold for; cause as in PaymentFailure."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    epoch: int
    cause: int


Hold = HoldBestAvailable | HoldInPieces | HoldChosenSeats
# What the payment's side tells of the money of a reservation.
SaleCommand = ConfirmReservation | FailPayment | RefundSeats
# Asks something of a hold that is there.
LaterCommand = SaleCommand | ReleaseReservation | ExtendHold | StartPayment | ClaimPayment
Command = Hold | LaterCommand | OpenSection | BlockSeats | UnblockSeats | ChangeSaleWindow


class SectionState(NamedTuple):
    """Counters and free seats of one section."""

    event_id: int
    section: bytes
    layout_version: int
    version: int
    applied_offset: int
    changed_at_ms: int
    held_count: int
    sold_count: int
    blocked_count: int
    free: bytes


class PaymentRequested(NamedTuple):
    """The section holds seats for a payment."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    outcome_id: bytes
    epoch: int
    amount: int
    currency: bytes
    gateway: bytes
    method: bytes
    parameters: bytes
    deadline_ms: int


class SaleDecided(NamedTuple):
    """What the section did when it heard of a payment's money.

    asked: number of a Say; decision: of a SaleDecision; reason: of a Reason.
    seats: those that are sold by it.
    """

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    outcome_id: bytes
    asked: int
    epoch: int
    decision: int
    reason: int
    new_epoch: int
    seats: tuple[SoldSeats, ...] = ()


class SeatUnlock(NamedTuple):
    """A hold is over, and locks of its seats may go; cause: number of an UnlockCause."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    outcome_id: bytes
    epoch: int
    cause: int
    seats: tuple[SeatRange, ...]


class PartDecided(NamedTuple):
    """How the reservation of a cart's part stands, by its section's word."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    outcome_id: bytes
    answers: bytes
    standing: tuple[Any, ...]


class SettleCart(NamedTuple):
    """What became of the money of a cart; asked: number of a Say; cause: why there is none."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    epoch: int
    asked: int
    cause: int


class EventDescription(NamedTuple):
    """What is known of one event beside its seats."""

    event_id: int
    name: bytes
    venue: bytes
    starts_at_ms: int
    sale_starts_ms: int
    sale_ends_ms: int
    status: int
    revision: int
    sections: tuple[SectionDescription, ...]
    opening_digest: bytes
    opened_by: bytes
    changed_at_ms: int
    currency: bytes
    max_seats_per_user: int
    max_open_holds_per_user: int
    admission_required: bool


def identity_of(fields: tuple[object, ...]) -> Identity:
    """Return what a command begins with, and what was told of one: the request's fields."""
    return cast(Identity, fields[:OWN_FIELDS])
