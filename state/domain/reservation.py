"""The life of a reservation, as a table."""

from enum import IntEnum
from typing import Final, NamedTuple

from state.domain.layout import SeatPosition, SeatRange
from state.domain.reasons import Reason
from state.domain.transitions import advance


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


TRANSITIONS: Final[dict[Status, dict[Later, Status]]] = {
    Status.UNSPECIFIED: {},
    Status.HELD: {
        Later.EXTENDED: Status.HELD,
        Later.CONFIRMED: Status.SOLD,
        Later.CANCELLED: Status.RELEASED,
        Later.LAPSED: Status.RELEASED,
        Later.PAYMENT_STARTED: Status.PAYING,
    },
    # No clock of the section ends a payment, and no buyer.
    Status.PAYING: {
        Later.CONFIRMED: Status.SOLD,
        Later.DECLINED: Status.RELEASED,
        Later.EXPIRED: Status.RELEASED,
        Later.DIFFERED: Status.RELEASED,
    },
    Status.SOLD: {Later.REFUNDED: Status.REFUNDED},
    Status.REJECTED: {},
    # Only by money that came too late, while the same seats are still free.
    Status.RELEASED: {Later.REACQUIRED: Status.SOLD},
    Status.REFUNDED: {},
}


# Why seats were given back, by what gave them back.
RELEASED_BY: Final = {
    Later.CANCELLED: ReleaseCause.CANCELLED,
    Later.LAPSED: ReleaseCause.LAPSED,
    Later.DECLINED: ReleaseCause.DECLINED,
    Later.EXPIRED: ReleaseCause.EXPIRED,
    Later.DIFFERED: ReleaseCause.DIFFERED,
}

# A failure that only newer code knows by name is one all the same.
FAILED_BY: Final = {
    PaymentFailure.UNSPECIFIED: Later.DECLINED,
    PaymentFailure.DECLINED: Later.DECLINED,
    PaymentFailure.EXPIRED: Later.EXPIRED,
    PaymentFailure.DIFFERED: Later.DIFFERED,
}

# Decisions that end a hold, a payment or a sale.
_ENDS: Final = (*RELEASED_BY, Later.CONFIRMED, Later.REACQUIRED, Later.REFUNDED)

EXTENSIONS_KEPT: Final = 16
"""Extensions that a reservation remembers: each a key whose late repeat extends nothing again."""


class LaterOutcome(NamedTuple):
    """A decision after the first one; fields in the order of its Avro record.

    kind:        a number of Later.
    request:     encoded identity of the command that was decided, or of the hold for a lapse.
    deadline_ms: deadline after it, of the hold or of its payment, Unix ms; 0 where none runs.
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
        """Return when the hold lapses, extensions counted, or its payment has to be settled."""
        last = self.last(Later.EXTENDED, Later.PAYMENT_STARTED)
        return self.first_deadline_ms if last is None else last.deadline_ms

    def is_of(self, user_id: bytes, event_id: int, section_id: bytes) -> bool:
        """Say whether it is what a request of this buyer and section names."""
        return (self.user_id, self.event_id, self.section_id) == (user_id, event_id, section_id)

    @property
    def was_held(self) -> bool:
        """Say whether it ever had seats."""
        return self.epoch > 0

    @property
    def has_payment(self) -> bool:
        """Say whether its payment was started, whatever has become of it."""
        return bool(self.gateway)

    @property
    def is_free_of_charge(self) -> bool:
        """Say whether its seats have a price, and that is nothing."""
        return bool(self.currency) and not self.amount

    @property
    def cause(self) -> ReleaseCause:
        """Return why its seats were given back; UNSPECIFIED where they were not."""
        if self.status != Status.RELEASED:
            return ReleaseCause.UNSPECIFIED
        ended = self.last_end
        # Without an end, its cancellation came before its hold.
        return ReleaseCause.CANCELLED if ended is None else RELEASED_BY[Later(ended.kind)]

    @property
    def last_end(self) -> "LaterOutcome | None":
        """Return the newest decision that ended a hold, a payment or a sale."""
        return self.last(*_ENDS)

    @property
    def last_decision(self) -> tuple[int, int, int, int]:
        """Return offset, ordinal, version and log time of the newest decision."""
        if not self.later:
            return self.decided_offset, 0, self.decided_version, self.held_at_ms
        last = self.later[-1]
        return last.offset, last.ordinal, last.version, last.at_ms

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
            status=advance(TRANSITIONS, Status(self.status), Later(later.kind)),
            epoch=later.epoch,
            later=(*kept, later),
        )


# Why a buyer cannot do otherwise with seats, by where their reservation stands.
_IN_USE: Final = {
    Status.PAYING: Reason.PAYMENT_IN_PROGRESS,
    Status.SOLD: Reason.ALREADY_SOLD,
    Status.REFUNDED: Reason.ALREADY_REFUNDED,
}
# Why there is nothing to pay for, by what gave the seats back; else a payment failed.
_GIVEN_BACK: Final = {
    ReleaseCause.CANCELLED: Reason.CANCELLED,
    ReleaseCause.LAPSED: Reason.LAPSED,
}


def epoch_meant(held: Reservation, epoch: int) -> int:
    """Return the epoch that is meant by who knows of money.

    Who paid for an epoch that had ended speaks of it for ever, also where the money took the
    seats again and began the next one.
    """
    is_former = held.last(Later.REACQUIRED) is not None and epoch == held.epoch - 1
    return held.epoch if is_former else epoch


def _unknown(held: Reservation, epoch: int) -> Reason | None:
    """Return what is asked first of whatever somebody wants of a hold."""
    if held.status == Status.REJECTED:
        return Reason.NOT_HELD
    return None if epoch == held.epoch else Reason.STALE_EPOCH


def refusal_to_confirm(held: Reservation, epoch: int) -> Reason | None:
    """Return why money finds nothing to sell, or None where it may.

    None does not promise the seats of a hold that has ended: whether they are still free, only
    the section knows.
    """
    if (unknown := _unknown(held, epoch)) is not None:
        return unknown
    if held.status == Status.REFUNDED:
        return Reason.ALREADY_REFUNDED
    # Nobody pays for what he has given back.
    return Reason.REFUND_DUE if held.cause == ReleaseCause.CANCELLED else None


def refusal_to_release(held: Reservation, epoch: int) -> Reason | None:
    """Return why a buyer's release is refused, or None; epoch 0 matches any."""
    if (unknown := _unknown(held, epoch or held.epoch)) is not None:
        return unknown
    return _IN_USE.get(Status(held.status))


def refusal_to_extend(held: Reservation, epoch: int) -> Reason | None:
    """Return why there is no hold to extend, or None; the cap is another matter."""
    if (unknown := _unknown(held, epoch)) is not None:
        return unknown
    if held.status == Status.RELEASED:
        return Reason.NOT_HELD
    return _IN_USE.get(Status(held.status))


def refusal_to_pay(held: Reservation, epoch: int) -> Reason | None:
    """Return why no payment can be started for a hold, or None.

    Whether seats are on sale, the section knows.
    """
    if (unknown := _unknown(held, epoch)) is not None:
        return unknown
    if held.status == Status.RELEASED:
        return _GIVEN_BACK.get(held.cause, Reason.PAYMENT_FAILED)
    if held.status != Status.HELD:
        return _IN_USE[Status(held.status)]
    return None if held.currency else Reason.NOT_PRICED


def refusal_to_claim(
    held: Reservation, epoch: int, gateway: bytes, amount: int, currency: bytes
) -> Reason | None:
    """Return why seats are not kept for money that another shop claims, or None.

    None also where their payment at this gateway is under way already.
    """
    is_same = held.status == Status.PAYING and held.gateway == gateway
    reason = _unknown(held, epoch) if is_same else refusal_to_pay(held, epoch)
    if reason is not None:
        return reason
    if currency != held.currency:
        return Reason.WRONG_CURRENCY
    return None if amount == held.amount else Reason.WRONG_AMOUNT


def refusal_to_fail(held: Reservation, epoch: int) -> Reason | None:
    """Return why a payment cannot fail, or None where it may, or has."""
    if (unknown := _unknown(held, epoch)) is not None:
        return unknown
    if held.status == Status.HELD:
        return Reason.NOT_PAID
    if held.status == Status.RELEASED:
        return _GIVEN_BACK.get(held.cause)
    return None if held.status == Status.PAYING else _IN_USE[Status(held.status)]


def refusal_to_refund(held: Reservation, epoch: int) -> Reason | None:
    """Return why there is no sale whose seats come back, or None where there is, or was."""
    if (unknown := _unknown(held, epoch)) is not None:
        return unknown
    if held.status == Status.PAYING:
        return Reason.PAYMENT_IN_PROGRESS
    return None if held.status in {Status.SOLD, Status.REFUNDED} else Reason.NOT_PAID


def extended_deadline_ms(log_time_ms: int, held_at_ms: int, hold_ms: int, max_hold_ms: int) -> int:
    """Return the deadline that an extension asks for: a full hold from now, capped.

    held_at_ms:  log time of the first decision, from which the cap runs.
    max_hold_ms: longest life of a hold with all its extensions.
    """
    return min(log_time_ms + hold_ms, held_at_ms + max_hold_ms)
