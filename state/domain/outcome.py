"""What was decided about a reservation, and how the reservation stands after it.

A pod sees outcomes, not the stored reservation. `after` folds them, and `as_stored` says the same
of the stored record, so that an answer does not depend on where it came from.
"""

from enum import Enum
from typing import Final, NamedTuple

from state.domain.layout import SeatPosition, SeatRange
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause, Reservation, Status


class OutcomeKind(Enum):
    """What an outcome tells; the value is the last part of its record's name."""

    HELD = "SeatsHeld"
    REJECTED = "ReservationRejected"
    CONFIRMED = "ReservationConfirmed"
    RELEASED = "ReservationReleased"
    EXTENDED = "HoldExtended"
    OPENED = "SectionOpened"
    WINDOW_CHANGED = "SaleWindowChanged"
    BLOCKED = "SeatsBlocked"
    UNBLOCKED = "SeatsUnblocked"
    REFUSED = "CommandRefused"
    PAYMENT_STARTED = "PaymentStarted"
    REFUNDED = "ReservationRefunded"


# Rejections that leave what is stored of the id, if anything, as it was.
UNSTORED: Final = frozenset(
    {Reason.KEY_MISMATCH, Reason.WRONG_PARTITION, Reason.CANCELLED, Reason.INTERNAL}
)

# A command's own outcome follows the lapses that its record brought about.
_LAST: Final = 1 << 62


class Outcome(NamedTuple):
    """One outcome; the fields that its kind does not have are 0, empty or None.

    The first five after `kind` are those of the request that it answers.
    outcome_id: `{command topic}:{partition}:{offset}:{ordinal}`.
    reason:     number of a Reason, UNSPECIFIED but for refusals; maybe one that only newer code
                knows by name.
    sale_starts_ms, sale_ends_ms: of a changed sale window.
    amount, currency: price of the seats of a hold, as fixed when it was held; minor unit.
    gateway:    of a payment that was started.
    """

    kind: OutcomeKind
    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    outcome_id: bytes
    version: int
    decided_at_ms: int
    epoch: int = 0
    deadline_ms: int = 0
    seats: tuple[SeatRange, ...] = ()
    reason: int = 0
    seat: SeatPosition | None = None
    cause: int = 0
    reacquired: bool = False
    capacity: int = 0
    blocked_count: int = 0
    sale_starts_ms: int = 0
    sale_ends_ms: int = 0
    amount: int = 0
    currency: bytes = b""
    gateway: bytes = b""

    @property
    def command_offset(self) -> int:
        """Return the offset of the command that decided."""
        return place_of(self.outcome_id)[1]

    @property
    def is_refusal(self) -> bool:
        """Say whether nothing was changed by it."""
        return self.kind in {OutcomeKind.REJECTED, OutcomeKind.REFUSED}


Place = tuple[int, int, int]


def place_of(outcome_id: bytes) -> Place:
    """Return partition, offset and rank of a decision; later ones of a partition are larger.

    Raises ValueError for bytes that are no outcome id.
    """
    topic, partition, offset, ordinal = outcome_id.rsplit(b":", 3)
    if not topic:
        raise ValueError(f"no topic in {outcome_id!r}")
    return int(partition), *rank_of(int(offset), int(ordinal))


def rank_of(offset: int, ordinal: int) -> tuple[int, int]:
    """Return the rank of a decision among those of its partition; later ones are larger."""
    return offset, ordinal or _LAST


class ReservationView(NamedTuple):
    """How a reservation stands, as its owner may know it.

    epoch, deadline_ms: 0 where there is no hold, or none any more that could lapse; of a payment
               that was started, the deadline is the payment's.
    version:   of the section, left behind by the outcome that decided last.
    reason:    why it was rejected; UNSPECIFIED otherwise.
    cause:     why it was released; UNSPECIFIED otherwise.
    amount, currency: price of its seats as fixed when it was held, minor unit; 0 and empty where
               it never had seats, or seats have no price.
    """

    reservation_id: str
    user_id: str
    event_id: int
    section: str
    status: Status
    epoch: int
    seats: tuple[SeatRange, ...]
    deadline_ms: int
    version: int
    decided_at_ms: int
    outcome_id: str
    reason: Reason = Reason.UNSPECIFIED
    seat: SeatPosition | None = None
    cause: ReleaseCause = ReleaseCause.UNSPECIFIED
    amount: int = 0
    currency: str = ""


_STATUS_AFTER: Final = {
    OutcomeKind.HELD: Status.HELD,
    OutcomeKind.REJECTED: Status.REJECTED,
    OutcomeKind.CONFIRMED: Status.SOLD,
    OutcomeKind.RELEASED: Status.RELEASED,
    OutcomeKind.EXTENDED: Status.HELD,
    OutcomeKind.PAYMENT_STARTED: Status.PAYING,
    OutcomeKind.REFUNDED: Status.REFUNDED,
}

# Where a reservation stands while its deadline matters.
WITH_DEADLINE: Final = frozenset({Status.HELD, Status.PAYING})


def moves(kind: OutcomeKind, reason: int) -> bool:
    """Say whether a reservation stands otherwise after such an outcome, when it is a new one."""
    return kind in _STATUS_AFTER and reason not in UNSTORED


def after(outcome: Outcome, seats: tuple[SeatRange, ...]) -> ReservationView:
    """Return how a reservation stands after an outcome that `moves` it.

    seats: those of the hold, for an extension, which does not name them.
    """
    status = _STATUS_AFTER[outcome.kind]
    return ReservationView(
        reservation_id=outcome.reservation_id.decode(),
        user_id=outcome.user_id.decode(),
        event_id=outcome.event_id,
        section=outcome.section.decode(),
        status=status,
        epoch=outcome.epoch,
        seats=seats if outcome.kind is OutcomeKind.EXTENDED else outcome.seats,
        deadline_ms=outcome.deadline_ms,
        version=outcome.version,
        decided_at_ms=outcome.decided_at_ms,
        outcome_id=outcome.outcome_id.decode(),
        reason=reason_of(outcome.reason),
        seat=outcome.seat,
        cause=ReleaseCause(outcome.cause),
        amount=outcome.amount,
        currency=outcome.currency.decode(),
    )


def newer_view(one: ReservationView, other: ReservationView | None) -> ReservationView:
    """Return which of two views of a reservation was decided later."""
    if other is None:
        return one
    places = [place_of(view.outcome_id.encode()) for view in (one, other)]
    return one if places[0] >= places[1] else other


def as_stored(held: Reservation, outcome_prefix: str) -> ReservationView:
    """Return how a stored reservation stands.

    outcome_prefix: `{command topic}:{partition}:`.
    """
    offset, ordinal, version, decided_at_ms = held.last_decision
    status = Status(held.status)
    return ReservationView(
        reservation_id=held.reservation_id.decode(),
        user_id=held.user_id.decode(),
        event_id=held.event_id,
        section=held.section_id.decode(),
        status=status,
        epoch=held.epoch,
        seats=held.seats,
        deadline_ms=held.deadline_ms if status in WITH_DEADLINE else 0,
        version=version,
        decided_at_ms=decided_at_ms,
        outcome_id=f"{outcome_prefix}{offset}:{ordinal}",
        reason=reason_of(held.reason) if status == Status.REJECTED else Reason.UNSPECIFIED,
        seat=held.seat,
        cause=held.cause,
        amount=held.amount,
        currency=held.currency.decode(),
    )


def reason_of(number: int) -> Reason:
    """Return a reason by its number; UNSPECIFIED for one that only newer code knows."""
    try:
        return Reason(number)
    except ValueError:
        return Reason.UNSPECIFIED
