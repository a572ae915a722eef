"""The values of a cart: its parts, how each stands, and what follows from them at any moment.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from state.domain.carts.parties import Party
from state.domain.carts.payment import Ask, CartPayment, Step
from state.domain.layout import SeatPosition, SeatRange
from state.domain.outcome import WITH_DEADLINE, rank_of
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause, Status

PARTS_MAX: Final = 8
"""Most sections of what a cart wants; who may sit in several counts once for each of them."""

_GONE: Final = frozenset({Status.REJECTED, Status.RELEASED, Status.REFUNDED})
OPEN: Final = frozenset({Status.UNSPECIFIED, Status.HELD, Status.PAYING})
_HAS: Final = frozenset({Status.HELD, Status.PAYING, Status.SOLD})

# Section, count, (row, seat) that the buyer named, whether it may be parted, and where else it may
# sit then.
Wanted = tuple[bytes, int, tuple[tuple[int, int], ...], bool, tuple[bytes, ...]]


class Standing(NamedTuple):
    """How a reservation stands, as its section has told; fields in the order of the Avro record.

    offset, ordinal: of the decision that has brought it there; -1 and 0 before the first one.
    status: number of a reservation's Status. UNSPECIFIED where the section stores nothing of it,
            could not look, or has not told yet; `reason` says which.
    epoch .. cause: those of the reservation.
    """

    offset: int = -1
    ordinal: int = 0
    status: int = Status.UNSPECIFIED
    epoch: int = 0
    deadline_ms: int = 0
    version: int = 0
    decided_at_ms: int = 0
    seats: tuple[SeatRange, ...] = ()
    amount: int = 0
    currency: bytes = b""
    reason: int = Reason.UNSPECIFIED
    seat: SeatPosition | None = None
    cause: int = ReleaseCause.UNSPECIFIED

    @property
    def rank(self) -> tuple[int, int]:
        """Return the place of that decision among those of its section; later ones are larger."""
        return rank_of(self.offset, self.ordinal)


class Part(NamedTuple):
    """One hold of a cart; fields in the order of its Avro record.

    chosen: the seats that the buyer named; empty for best available ones.
    asked:  number of the Ask that its section has not answered yet.
    is_extending: its section was asked to extend it and has not answered.
    is_paid: it is one of the parts that the cart's payment pays for.
    """

    section: bytes
    seat_count: int
    chosen: tuple[SeatPosition, ...]
    asked: int = Ask.NOTHING
    is_extending: bool = False
    standing: Standing = Standing()
    is_paid: bool = False

    @property
    def status(self) -> int:
        """Return the number of its reservation's Status."""
        return self.standing.status

    @property
    def held_count(self) -> int:
        """Return how many seats it holds, or has sold."""
        return sum(seats.seat_count for seats in self.standing.seats) if self.status in _HAS else 0

    @property
    def is_open(self) -> bool:
        """Say whether it is held, waits for a payment, or is not decided yet."""
        return self.status in OPEN

    @property
    def over_ms(self) -> int:
        """Return when its hold should be over, paid for or not, Unix ms; 0 where none is open.

        No clock ends a payment. But the record that told the end may have been lost by then.
        """
        return self.standing.deadline_ms if self.status in WITH_DEADLINE else 0

    @property
    def is_doubtful(self) -> bool:
        """Say whether its hold killed the workers of its section: it may still be held one day."""
        is_told = self.standing.reason != Reason.UNSPECIFIED
        return self.status == Status.UNSPECIFIED and is_told

    @property
    def has_failed(self) -> bool:
        """Say whether it keeps the cart from being held as a whole."""
        return self.status in _GONE or self.is_doubtful


class Cart(NamedTuple):
    """One cart; fields in the order of its Avro record.

    asked_at_ms:   when it was asked for; changed_at_ms: when its status changed last.
    correlation_id: of the request that it began with.
    applied_offset: of the last record about it.
    extension:     correlation id of the last wish to extend it.
    was_held:      all parts had answered once, and something was held.
    is_limited:    it counts for the limits that the event sets for its buyer.
    parts:         what was wanted, in that order; behind it what parties were asked for later.
    parties:       whose seats may be several pieces where they cannot be adjacent.
    """

    user_id: bytes
    event_id: int
    correlation_id: bytes
    on_failure: int
    status: int
    end: int
    was_held: bool
    asked_at_ms: int
    changed_at_ms: int
    applied_offset: int
    extension: bytes
    parts: tuple[Part, ...]
    payment: CartPayment = CartPayment()
    is_limited: bool = False
    parties: tuple[Party, ...] = ()

    @property
    def wanted(self) -> list[Wanted]:
        """Return what was asked for, whatever has become of it."""
        later = {number for party in self.parties for number in party.parts[1:]}
        found: list[Wanted] = []
        for number, part in enumerate(self.parts):
            if number not in later:
                party = self.party_of(number)
                others = () if party is None else party.sections[1:]
                found.append((*part[:3], party is not None, others))
        return found

    def party_of(self, number: int) -> Party | None:
        """Return the party that a part is for; None where its seats are adjacent or chosen."""
        return next((party for party in self.parties if number in party.parts), None)

    @property
    def passed_over(self) -> frozenset[int]:
        """Return the numbers of refused parts for which another section was asked."""
        return frozenset(
            number
            for party in self.parties
            for number in party.parts[:-1]
            if self.parts[number].status == Status.REJECTED
        )

    def seats_of(self, party: Party) -> int:
        """Return how many seats a party has by now."""
        parts = [self.parts[number] for number in party.parts]
        return sum(part.held_count for part in parts)

    @property
    def deadline_ms(self) -> int:
        """Return when the first of its holds lapses, Unix ms; 0 where nothing is held."""
        held = [part.standing.deadline_ms for part in self.parts if part.status == Status.HELD]
        return min(held, default=0)

    @property
    def is_waiting(self) -> bool:
        """Say whether a section has not answered yet, or payments have not told of the money."""
        return self.payment.step == Step.CHARGING or any(part.asked for part in self.parts)

    @property
    def is_starting(self) -> bool:
        """Say whether its parts are asked to wait for the payment, before money is asked for."""
        return self.payment.step == Step.STARTING

    @property
    def waits_since_ms(self) -> int:
        """Return since when it waits, Unix ms."""
        return max(self.changed_at_ms, self.payment.since_ms)

    @property
    def turn_id(self) -> bytes:
        """Return the correlation id of the commands of this step of its payment.

        Commands about its holds have the correlation id of the buyer's request, which is another.
        """
        mark = b":" if self.correlation_id.startswith(b"pay.") else b"."
        return b"pay%s%d" % (mark, self.payment.turn)

    @property
    def paid(self) -> frozenset[Status]:
        """Return the statuses of the parts that its payment pays for."""
        return frozenset(Status(part.status) for part in self.parts if part.is_paid)

    @property
    def sold(self) -> tuple[tuple[bytes, int, int, int], ...]:
        """Return the seats of these parts that are sold: (section, row, first seat, count)."""
        parts = [part for part in self.parts if part.is_paid and part.status == Status.SOLD]
        return tuple((part.section, *seats) for part in parts for seats in part.standing.seats)

    @property
    def payment_deadline_ms(self) -> int:
        """Return the deadline of its payment: the first of its parts' deadlines, Unix ms."""
        return min(part.standing.deadline_ms for part in self.parts if part.is_paid)
