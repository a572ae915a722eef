"""Names for the fields of decoded records: one named tuple per record of a topic or store.

The order is the schema's; see `codegen` for the form of each field. The hot loop unpacks by
position. Elsewhere `HoldBestAvailable._make(fields)` reads better, and the fields after the
identity's five are what the encoder takes: `encode(*outcome[IDENTITY_FIELDS:])`.
"""

from typing import NamedTuple

# reservation_id, user_id, correlation_id, section and event_id, which stand before `span`.
IDENTITY_FIELDS = 5

Seat = tuple[int, int]
SeatRange = tuple[int, int, int]
# label, seat_count, first_number, number_step, seat_labels, aisles, category, seat_categories
RowPlan = tuple[bytes, int, int, int, tuple[bytes, ...], tuple[int, ...], bytes, tuple[bytes, ...]]
# section, name, capacity, layout_version, categories
SectionDescription = tuple[bytes, bytes, int, int, tuple[bytes, ...]]
# kind, span, offset, ordinal, version, at_ms, epoch, deadline_ms
LaterOutcome = tuple[int, bytes, int, int, int, int, int, int]


class RequestIdentity(NamedTuple):
    """Who asks for what; decoded from a span alone."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int


class OpenSection(NamedTuple):
    """Open a section with its layout and rules."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    layout_version: int
    rows: tuple[RowPlan, ...]
    blocked: tuple[SeatRange, ...]
    orphan_rule: int
    max_seats_per_hold: int
    hold_ms: int
    max_hold_ms: int
    sale_starts_ms: int
    sale_ends_ms: int


class HoldBestAvailable(NamedTuple):
    """Set aside adjacent seats of one row, chosen by the section."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    seat_count: int


class HoldChosenSeats(NamedTuple):
    """Set aside exactly these seats, all or none."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    seat_count: int
    seats: tuple[Seat, ...]


class ConfirmReservation(NamedTuple):
    """The seats of a hold are paid for."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    epoch: int


class ReleaseReservation(NamedTuple):
    """The buyer gives the seats of a hold back."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    epoch: int


class ExtendHold(NamedTuple):
    """Let a hold run a full hold time from now, never beyond its absolute cap."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    epoch: int


class BlockSeats(NamedTuple):
    """Take free seats out of sale, all or none."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    seats: tuple[SeatRange, ...]


class UnblockSeats(NamedTuple):
    """Bring blocked seats back on sale, all or none."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    seats: tuple[SeatRange, ...]


class ChangeSaleWindow(NamedTuple):
    """Sell a section from another time on, or until another time."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    sale_starts_ms: int
    sale_ends_ms: int


class Tick(NamedTuple):
    """Moves log time of one partition when nothing else does."""

    timer_ms: int


class SeatsHeld(NamedTuple):
    """Seats are set aside until the deadline."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    epoch: int
    deadline_ms: int
    seats: tuple[SeatRange, ...]


class ReservationRejected(NamedTuple):
    """A hold was refused."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    reason: int
    seat: Seat | None


class ReservationConfirmed(NamedTuple):
    """The seats are sold."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    epoch: int
    seats: tuple[SeatRange, ...]
    reacquired: bool


class ReservationReleased(NamedTuple):
    """The seats are free again."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    epoch: int
    cause: int
    seats: tuple[SeatRange, ...]


class HoldExtended(NamedTuple):
    """The hold runs longer."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    epoch: int
    deadline_ms: int


class SectionOpened(NamedTuple):
    """A section is open."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    capacity: int
    blocked_count: int


class SeatsBlocked(NamedTuple):
    """Seats are out of sale."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    seats: tuple[SeatRange, ...]


class SeatsUnblocked(NamedTuple):
    """Blocked seats are on sale again."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    seats: tuple[SeatRange, ...]


class SaleWindowChanged(NamedTuple):
    """A section is on sale within this window."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    sale_starts_ms: int
    sale_ends_ms: int


class CommandRefused(NamedTuple):
    """A command was refused and changed nothing."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    outcome_id: bytes
    version: int
    decided_at_ms: int
    reason: int
    seat: Seat | None


class SectionStatusEvent(NamedTuple):
    """Slim counts of one section."""

    event_id: int
    section: bytes
    available_count: int
    timestamp: int
    version: int
    held_count: int
    largest_block: int


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


class SectionLayout(NamedTuple):
    """Layout and rules of one section."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    layout_version: int
    rows: tuple[RowPlan, ...]
    blocked: tuple[SeatRange, ...]
    orphan_rule: int
    max_seats_per_hold: int
    hold_ms: int
    max_hold_ms: int
    sale_starts_ms: int
    sale_ends_ms: int


class BlockedSeats(NamedTuple):
    """Which seats of a section are blocked."""

    blocked: bytes


class Reservation(NamedTuple):
    """One reservation."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    span: bytes
    seat_count: int
    chosen: tuple[Seat, ...]
    status: int
    epoch: int
    held_at_ms: int
    first_deadline_ms: int
    decided_offset: int
    decided_version: int
    seats: tuple[SeatRange, ...]
    reason: int
    seat: Seat | None
    later: tuple[LaterOutcome, ...]


class Progress(NamedTuple):
    """How far a partition's state has come."""

    next_offset: int
    log_time_ms: int
    timer_ms: int
    logic_version: int


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
