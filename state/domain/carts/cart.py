"""The life of a cart: the table of its status, and what its sections are asked after each event.

A cart is several holds of one buyer that stand or fall together. Each part is a reservation of its
section. The section alone decides about it and tells the cart how it stands, more than once if
need be; the cart believes the newest decision. Sections do not wait for each other: while one has
not answered, the others hold their seats, and a hold that is not extended lapses by its section's
time.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from state.domain.carts import payment as paying
from state.domain.carts.parties import Party
from state.domain.carts.payment import UNDER_WAY, UNPAID, Ask, CartPayment, Step
from state.domain.layout import SeatPosition, SeatRange
from state.domain.outcome import WITH_DEADLINE, rank_of
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause, Status

PARTS_MAX: Final = 8
"""Most sections of what a cart wants; who may sit in several counts once for each of them."""


class CartStatus(IntEnum):
    """Where a cart stands; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    # Some section has not answered yet.
    ASKING = 1
    HELD = 2
    # The cart is ending: at least one part is being given back.
    ENDING = 3
    REJECTED = 4
    RELEASED = 5
    SOLD = 6
    # The cart is being paid for as a whole.
    PAYING = 7
    REFUNDED = 8


class OnFailure(IntEnum):
    """What becomes of the other parts when one is refused or ends; numbers as in Avro."""

    UNSPECIFIED = 0
    RELEASE = 1
    KEEP = 2


class CartEnd(IntEnum):
    """What ends a cart; numbers as in Avro."""

    UNSPECIFIED = 0
    # A part was refused before all sections had answered.
    REFUSED = 1
    CANCELLED = 2
    # The hold of a part has ended: it lapsed, or somebody gave it back.
    PART_ENDED = 3
    # The payment has failed, or its money went back.
    UNPAID = 4


_OVER: Final = frozenset(
    {CartStatus.REJECTED, CartStatus.RELEASED, CartStatus.SOLD, CartStatus.REFUNDED}
)
AT_REST: Final = frozenset({CartStatus.HELD, *_OVER})
"""Statuses that last until something happens to a part."""

# A cart of which nothing was held may become ENDING again: a refused hold that somebody sends
# again may be held after all, and is given back; late money may buy seats again, or go back
# because somebody else had the seats refunded. A SOLD cart becomes HELD where somebody else has
# sold a part and another part, which was refused, is held after all.
_ENDS: Final = frozenset({CartStatus.ENDING, *_OVER})
_ON: Final = frozenset({CartStatus.PAYING, *_ENDS})
TRANSITIONS: Final[dict[CartStatus, frozenset[CartStatus]]] = {
    CartStatus.UNSPECIFIED: frozenset({CartStatus.ASKING}),
    CartStatus.ASKING: frozenset({CartStatus.HELD}) | _ENDS,
    CartStatus.HELD: _ON,
    CartStatus.PAYING: _ENDS,
    CartStatus.ENDING: _ON,
    CartStatus.REJECTED: _ENDS,
    CartStatus.RELEASED: _ON,
    CartStatus.SOLD: frozenset({CartStatus.HELD}) | _ON,
    CartStatus.REFUNDED: _ON,
}


class IllegalStep(Exception):
    """A step that the table does not allow: a fault in our rules, never in the input.

    Operator action: none that helps; nothing of the batch is visible.
    """


_GONE: Final = frozenset({Status.REJECTED, Status.RELEASED, Status.REFUNDED})
_OPEN: Final = frozenset({Status.UNSPECIFIED, Status.HELD, Status.PAYING})
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
        return self.status in _OPEN

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


def begin(
    user_id: bytes,
    event_id: int,
    correlation_id: bytes,
    on_failure: OnFailure,
    wanted: tuple[Part, ...],
    now_ms: int,
    parties: tuple[Party, ...] = (),
) -> Cart:
    """Return a new cart, whose sections are all asked for their holds.

    wanted: 1 to `PARTS_MAX`, parts without a standing. parties: with the part of each that is for
    all of it.
    """
    parts = tuple(part._replace(asked=Ask.HOLD) for part in wanted)
    return Cart(
        user_id,
        event_id,
        correlation_id,
        on_failure,
        CartStatus.ASKING,
        CartEnd.UNSPECIFIED,
        False,
        now_ms,
        now_ms,
        -1,
        b"",
        parts,
        parties=parties,
    )


def refused(cart: Cart, reason: Reason, now_ms: int) -> Cart:
    """Return a new cart all of whose parts are refused, without a section being asked."""
    unheld = Standing(status=Status.REJECTED, reason=reason)
    parts = tuple(part._replace(asked=Ask.NOTHING, standing=unheld) for part in cart.parts)
    return _settled(cart._replace(parts=parts), now_ms)


def heard(cart: Cart, number: int, told: Standing, answers: bytes, now_ms: int) -> Cart:
    """Return the cart after a section has told how part `number` (from 0) stands.

    answers: correlation id of the command that the section answers; empty for none.
    """
    part = cart.parts[number]
    is_answered = part.is_paid and answers == cart.turn_id
    if part.is_extending and answers == cart.extension:
        part = part._replace(is_extending=False)
    if told.status == Status.UNSPECIFIED:
        part = _undecided(part, told)
    elif told.rank >= part.standing.rank:
        part = part._replace(standing=told, asked=_asked_still(cart, part, told))
        if told.status != Status.HELD:
            # No hold is left that could be extended.
            part = part._replace(is_extending=False)
    is_taking_back = is_answered and cart.payment.step == Step.TAKING_BACK
    if is_taking_back and told.status != Status.UNSPECIFIED:
        # Any command to sell lies before this one in the section's log: nothing is sold any more.
        part = part._replace(asked=Ask.NOTHING)
    parts = (*cart.parts[:number], part, *cart.parts[number + 1 :])
    cart = _asked_on(cart._replace(parts=parts), number)
    # A section that could not look refuses the start of a payment; a sale is asked for again.
    is_unseen = told.status == Status.UNSPECIFIED
    is_never = cart.is_starting and told.reason not in _SAYS_NOTHING
    is_refused = is_answered and (is_never or not is_unseen)
    is_refused = is_refused and not paying.is_as_asked(cart.payment, Status(part.status))
    return _settled(cart, now_ms, is_refused=is_refused)


def _asked_on(cart: Cart, number: int) -> Cart:
    """Return the cart with the next question for a party, where its last answer was not enough.

    What is refused without being stored may be held yet, so nobody else is asked for it.
    """
    party, part = cart.party_of(number), cart.parts[number]
    if party is None or party.parts[-1] != number or cart.end:
        return cart
    lacking = cart.parts[party.parts[0]].seat_count - cart.seats_of(party)
    is_refused = part.status == Status.REJECTED and part.standing.offset >= 0
    is_short = part.status == Status.HELD and lacking > 0
    section = party.next_section() if is_refused or is_short else None
    if section is None:
        return cart
    asked = Part(section, lacking, (), asked=Ask.HOLD)
    on = party._replace(parts=(*party.parts, len(cart.parts)))
    others = tuple(on if one is party else one for one in cart.parties)
    return cart._replace(parts=(*cart.parts, asked), parties=others)


def refusal_to_pay(cart: Cart, amount: int, currency: bytes) -> Reason | None:
    """Return why a cart cannot be paid for now, or None.

    amount, currency: the price that the buyer saw.
    """
    if cart.payment.step:
        return Reason.PAYMENT_IN_PROGRESS
    if cart.status != CartStatus.HELD:
        return Reason.NOT_HELD
    held = [
        part.standing
        for part in cart.parts
        # A part that is being given back must not be in the sum.
        if part.status == Status.HELD and part.asked != Ask.RELEASE
    ]
    if len(held) < sum(part.is_open for part in cart.parts):
        return Reason.PAYMENT_IN_PROGRESS
    if not all(one.currency for one in held):
        return Reason.NOT_PRICED
    if {one.currency for one in held} != {currency}:
        return Reason.WRONG_CURRENCY
    return None if sum(one.amount for one in held) == amount else Reason.WRONG_AMOUNT


def paid(cart: Cart, wish: CartPayment, now_ms: int) -> Cart:
    """Return a cart whose payment begins: all held parts are asked to wait for it.

    wish: the sum that the buyer saw and the way to pay, at no step yet. The cart must be payable.
    """
    parts = tuple(
        part._replace(is_paid=part.status == Status.HELD, is_extending=False)
        for part in cart.parts
    )
    begun = cart._replace(parts=parts, payment=wish.at(Step.STARTING, now_ms))
    return _settled(begun, now_ms)


def settled(cart: Cart, say: Say, failure: int, now_ms: int) -> Cart:
    """Return the cart after payments have told what is to become of its seats.

    failure: number of the PaymentFailure for which seats are given back.
    """
    return _settled(cart._replace(payment=paying.told(cart.payment, say, failure, now_ms)), now_ms)


def cancelled(cart: Cart, now_ms: int) -> Cart:
    """Return the cart after its buyer has given it back: all held parts are given back.

    Nothing changes once money was asked for, or when nothing is held.
    """
    standing = {Status(part.status) for part in cart.parts}
    is_paid_for = cart.payment.step in UNDER_WAY or Status.PAYING in standing
    if cart.end or (is_paid_for and not cart.is_starting) or not standing & _OPEN:
        return cart
    return _settled(cart._replace(end=CartEnd.CANCELLED), now_ms, is_refused=cart.is_starting)


def unstarted(cart: Cart, now_ms: int) -> Cart:
    """Return the cart with its waiting parts given back, if the first of them has waited too long.

    No money was asked for yet. Any other cart is returned as it is.
    """
    waiting = [part for part in cart.parts if part.is_paid and part.status == Status.PAYING]
    waits_ms = [part.over_ms for part in waiting]
    is_over = cart.is_starting and min(waits_ms, default=now_ms + 1) <= now_ms
    return _settled(cart, now_ms, is_refused=True) if is_over else cart


def extended(cart: Cart, correlation_id: bytes) -> Cart:
    """Return the cart after its buyer has asked for an extension of all held parts.

    A second request with the same correlation id extends nothing.
    """
    if cart.status != CartStatus.HELD or cart.extension == correlation_id:
        return cart
    parts = tuple(part._replace(is_extending=part.status == Status.HELD) for part in cart.parts)
    return cart._replace(extension=correlation_id, parts=parts)


def given_up(cart: Cart, now_ms: int) -> Cart:
    """Return the cart with the parts refused whose sections could not decide for too long.

    If such a part is held later, its section tells the cart, which gives the part back.
    """
    parts = tuple(_never_held(part) if part.is_doubtful else part for part in cart.parts)
    return _settled(cart._replace(parts=parts), now_ms)


def _asked_still(cart: Cart, part: Part, told: Standing) -> Ask:
    """Return what the section is still asked after it has told; `_settled` adds what follows."""
    if part.is_paid and cart.payment.step in paying.MAY_SELL:
        return Ask(part.asked)
    is_asked_back = part.status == Status.HELD and part.asked == Ask.RELEASE
    if told.status == Status.HELD and (part.status == Status.REJECTED or is_asked_back):
        # The part was given up, and its buyer may have other seats in its place by now.
        return Ask.RELEASE
    return Ask.NOTHING


def _never_held(part: Part) -> Part:
    standing = part.standing._replace(status=Status.REJECTED)
    return part._replace(standing=standing, asked=Ask.NOTHING)


# Reasons that tell nothing of the part: one that this code does not know, and those about a record
# that lay in another place. The part's section has yet to answer the cart's own command.
_SAYS_NOTHING: Final = frozenset({Reason.UNSPECIFIED, Reason.KEY_MISMATCH, Reason.WRONG_PARTITION})


def _undecided(part: Part, told: Standing) -> Part:
    """Return a part after its section has told that it stores nothing of it, or could not look."""
    if part.status != Status.UNSPECIFIED or told.reason in _SAYS_NOTHING:
        # The part stands as it was known before.
        return part
    doubtful = part._replace(standing=part.standing._replace(reason=told.reason))
    # A section that has refused and stored nothing will never hold the part.
    return doubtful if told.reason == Reason.INTERNAL else _never_held(doubtful)


def _settled(cart: Cart, now_ms: int, *, is_refused: bool = False) -> Cart:
    """Return the cart with what follows from its parts: its end, its questions and its status.

    is_refused: a section has refused a command of the present step of the payment.
    """
    is_asked = any(part.is_paid and _is_asked_by_payment(part) for part in cart.parts)
    payment = paying.followed(
        cart.payment, cart.paid, now_ms, is_refused=is_refused, is_asked=is_asked
    )
    cart = cart._replace(payment=payment)
    cart = cart._replace(end=_end(cart))
    cart = cart._replace(parts=tuple(_asked(cart, part) for part in cart.parts))
    status = _status(cart)
    if status == cart.status:
        return cart
    if status not in TRANSITIONS[CartStatus(cart.status)]:
        raise IllegalStep(f"{CartStatus(cart.status).name} to {status.name}")
    was_held = cart.was_held or status == CartStatus.HELD
    return cart._replace(status=status, was_held=was_held, changed_at_ms=now_ms)


def _is_asked_by_payment(part: Part) -> bool:
    """Say whether its section has to answer a command of the payment; a refunded part has not."""
    return part.asked > Ask.RELEASE and part.status != Status.REFUNDED


def _end(cart: Cart) -> int:
    """Return the number of the CartEnd that the cart has come to."""
    over = cart.passed_over
    failed = [part.has_failed for number, part in enumerate(cart.parts) if number not in over]
    is_over = all(failed) if cart.on_failure == OnFailure.KEEP else any(failed)
    if cart.end:
        return cart.end
    if cart.payment.step in UNPAID:
        return CartEnd.UNPAID
    if not is_over:
        return CartEnd.UNSPECIFIED
    return CartEnd.PART_ENDED if cart.was_held else CartEnd.REFUSED


def _asked(cart: Cart, part: Part) -> Part:
    """Return a part with what its section is asked.

    A part that may not be held is asked back, also while its hold is asked for: the release comes
    to the section after the hold, or without it, and in both cases nothing is held afterwards.
    """
    status, is_asked = Status(part.status), _is_asked_by_payment(part)
    for_payment = paying.asked_of(cart.payment, status, is_asked=is_asked)
    if for_payment is not None and (part.is_paid or part.status == Status.PAYING):
        return part._replace(asked=for_payment)
    may_hold = part.status in {Status.UNSPECIFIED, Status.HELD}
    if part.is_doubtful or (_gives_back(cart) and may_hold):
        return part._replace(asked=Ask.RELEASE, is_extending=False)
    return part._replace(asked=part.asked if part.asked in _OF_HOLDS else Ask.NOTHING)


_OF_HOLDS: Final = frozenset({Ask.HOLD, Ask.RELEASE})


def _gives_back(cart: Cart) -> bool:
    """Say whether parts that are held and not paid for are given back.

    A cart is paid for once: a part that is held after its payment has begun could only lapse.
    """
    return bool(cart.end or cart.payment.step)


def _status(cart: Cart) -> CartStatus:
    standing = {Status(part.status) for part in cart.parts}
    if cart.payment.step in UNDER_WAY:
        return CartStatus.PAYING
    is_ending = cart.payment.step in {Step.GIVING_BACK, Step.TAKING_BACK}
    if is_ending or (_gives_back(cart) and standing & _OPEN):
        return CartStatus.ENDING
    if Status.UNSPECIFIED in standing:
        return CartStatus.ASKING
    if standing & {Status.HELD, Status.PAYING}:
        return CartStatus.HELD
    if Status.SOLD in standing:
        return CartStatus.SOLD
    if Status.REFUNDED in standing:
        return CartStatus.REFUNDED
    return CartStatus.REJECTED if cart.end == CartEnd.REFUSED else CartStatus.RELEASED
