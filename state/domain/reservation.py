"""The life of a reservation, as a table."""

from enum import IntEnum
from typing import Final, NamedTuple

from state.domain.layout import SeatPosition, SeatRange
from state.domain.reasons import Reason


class Status(IntEnum):
    """Where a reservation stands; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    HELD = 1
    PAYING = 2
    SOLD = 3
    REJECTED = 4
    RELEASED = 5
    REFUNDED = 6


class Later(IntEnum):
    """What may become of a reservation after its first decision; numbers as in Avro."""

    UNSPECIFIED = 0
    EXTENDED = 1
    CONFIRMED = 2
    CANCELLED = 3
    LAPSED = 4
    REACQUIRED = 5
    PAYMENT_STARTED = 6
    DECLINED = 7
    EXPIRED = 8
    DIFFERED = 9
    REFUNDED = 10


class PaymentFailure(IntEnum):
    """Why a payment brought no money that seats are sold for; numbers as in Avro."""

    UNSPECIFIED = 0
    DECLINED = 1
    EXPIRED = 2
    # Captured, but not what was asked for.
    DIFFERED = 3


class SaleDecision(IntEnum):
    """What became of the seats of a payment; numbers as in Avro."""

    UNSPECIFIED = 0
    SOLD = 1
    RELEASED = 2
    REFUNDED = 3
    REFUSED = 4


class ReleaseCause(IntEnum):
    """Why seats were given back; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    CANCELLED = 1
    LAPSED = 2
    DECLINED = 3
    EXPIRED = 4
    DIFFERED = 5


# PAYING and REFUNDED are names in the schema that no decision here leads to.
TRANSITIONS: Final[dict[Status, dict[Later, Status]]] = {
    Status.UNSPECIFIED: {},
    Status.HELD: {
        Later.EXTENDED: Status.HELD,
        Later.CONFIRMED: Status.SOLD,
        Later.CANCELLED: Status.RELEASED,
        Later.LAPSED: Status.RELEASED,
    },
    Status.PAYING: {},
    Status.SOLD: {},
    Status.REJECTED: {},
    # Only a payment that came after the lapse, while the same seats are still free.
    Status.RELEASED: {Later.REACQUIRED: Status.SOLD},
    Status.REFUNDED: {},
}


EXTENSIONS_KEPT: Final = 16
"""Extensions that a reservation remembers: each a key whose late repeat extends nothing again."""


class IllegalTransition(Exception):
    """A decision that the table does not allow: a fault in our rules, never in the input.

    Operator action: none that helps; the worker ends and nothing of the batch is visible.
    """


def advance(status: Status, later: Later) -> Status:
    """Return the status that `later` leads to; raise IllegalTransition where none does."""
    try:
        return TRANSITIONS[status][later]
    except KeyError:
        raise IllegalTransition(f"{status.name} x {later.name}") from None


class LaterOutcome(NamedTuple):
    """A decision after the first one; fields in the order of its Avro record.

    kind:        a number of Later.
    request:     encoded identity of the command that was decided, or of the hold for a lapse.
    deadline_ms: deadline after it, Unix ms; 0 where none runs.
    """

    kind: int
    request: bytes
    offset: int
    ordinal: int
    version: int
    at_ms: int
    epoch: int
    deadline_ms: int


class Reservation(NamedTuple):
    """A reservation and all that was decided about it; fields in the order of its Avro record.

    The first five are those of the request, of which `request` is the encoded form.
    status, reason: numbers of Status and Reason, as they are read.
    epoch: of the hold, from 1; 0 where there never was one.
    amount, currency: price of its seats, fixed when they were held, in the currency's minor unit;
            0 and empty where it never had seats, or they have no price.
    gateway: name of the one that its payment was started with; empty where none was.
    """

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section_id: bytes
    event_id: int
    request: bytes
    seat_count: int
    chosen: tuple[tuple[int, int], ...]
    status: int
    epoch: int
    held_at_ms: int
    first_deadline_ms: int
    decided_offset: int
    decided_version: int
    seats: tuple[SeatRange, ...]
    reason: int
    seat: SeatPosition | None
    later: tuple[LaterOutcome, ...]
    amount: int = 0
    currency: bytes = b""
    gateway: bytes = b""

    @property
    def deadline_ms(self) -> int:
        """Return when the hold lapses, extensions counted."""
        last = self.last(Later.EXTENDED)
        return self.first_deadline_ms if last is None else last.deadline_ms

    @property
    def was_held(self) -> bool:
        """Say whether it ever had seats."""
        return self.epoch > 0

    def last(self, *kinds: Later) -> LaterOutcome | None:
        """Return the newest later decision of these kinds."""
        for later in reversed(self.later):
            if later.kind in kinds:
                return later
        return None

    def with_later(self, later: LaterOutcome, extensions: int = EXTENSIONS_KEPT) -> "Reservation":
        """Return the reservation after one more decision.

        Of extensions only the last few are kept, so that a record's size is bounded.
        """
        kept = self.later
        if later.kind == Later.EXTENDED:
            # Nothing but extensions comes before another one.
            kept = kept[max(0, len(kept) + 1 - extensions) :]
        return self._replace(
            status=advance(Status(self.status), Later(later.kind)),
            epoch=later.epoch,
            later=(*kept, later),
        )


# Decisions that end an epoch.
ENDS: Final = (Later.CONFIRMED, Later.CANCELLED, Later.LAPSED, Later.REACQUIRED)


def refusal_to_confirm(held: Reservation, epoch: int) -> Reason | None:
    """Return why a buyer's confirm finds nothing to sell, or None where it may.

    None does not promise the seats of a lapsed hold: whether they are still free, only the
    section knows.
    """
    if held.status == Status.REJECTED:
        return Reason.NOT_HELD
    if epoch != held.epoch:
        return Reason.STALE_EPOCH
    ended = held.last(*ENDS)
    if held.status == Status.RELEASED and (ended is None or ended.kind != Later.LAPSED):
        return Reason.REFUND_DUE
    return None


def refusal_to_release(held: Reservation, epoch: int) -> Reason | None:
    """Return why a buyer's release is refused, or None; epoch 0 matches any."""
    if held.status == Status.REJECTED:
        return Reason.NOT_HELD
    if epoch not in {0, held.epoch}:
        return Reason.STALE_EPOCH
    return Reason.ALREADY_SOLD if held.status == Status.SOLD else None


def refusal_to_extend(held: Reservation, epoch: int) -> Reason | None:
    """Return why there is no hold to extend, or None; the cap is another matter."""
    if held.status == Status.REJECTED:
        return Reason.NOT_HELD
    if epoch != held.epoch:
        return Reason.STALE_EPOCH
    if held.status == Status.SOLD:
        return Reason.ALREADY_SOLD
    return None if held.status == Status.HELD else Reason.NOT_HELD


def extended_deadline_ms(log_time_ms: int, held_at_ms: int, hold_ms: int, max_hold_ms: int) -> int:
    """Return the deadline that an extension asks for: a full hold from now, capped.

    held_at_ms:  log time of the first decision, from which the cap runs.
    max_hold_ms: longest life of a hold with all its extensions.
    """
    return min(log_time_ms + hold_ms, held_at_ms + max_hold_ms)
