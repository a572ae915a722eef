"""The life of a cart: a table, and what its parts are asked for after each thing that happens.

A cart is several holds of one buyer that stand or fall together. Each part is a reservation of its
section, which alone decides about it and tells how it stands, again and again if need be; the cart
believes the newest word. Nobody waits for anybody: while one section has not answered, the others
hold, and a hold that is not extended lapses by its own section's clock.

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
from state.domain.purchase import Say
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
    # It comes to its end: some part has to be given back.
    ENDING = 3
    REJECTED = 4
    RELEASED = 5
    SOLD = 6
    # It is being paid for as a whole.
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
    # A part was refused before all had answered.
    REFUSED = 1
    CANCELLED = 2
    # The hold of a part ended: it lapsed, or somebody gave it back.
    PART_ENDED = 3
    # Its payment failed, or its money went back.
    UNPAID = 4


_OVER: Final = frozenset(
    {CartStatus.REJECTED, CartStatus.RELEASED, CartStatus.SOLD, CartStatus.REFUNDED}
)
AT_REST: Final = frozenset({CartStatus.HELD, *_OVER})
"""Where nothing more comes unless something happens to a part."""

# To ENDING also from where nothing was held any more: a refused hold that somebody sends again may
# be held after all, and is given back; money that came late may take seats again, or find that
# somebody else had them refunded, and go back. To HELD from SOLD where somebody else sold a part,
# and one that was refused is held after all.
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
    """How a reservation stands by its section's word; fields in the order of the Avro record.

    offset, ordinal: of the decision that it stands by; -1 and 0 before the first one.
    status: number of a reservation's Status; UNSPECIFIED where nothing is stored of it, or nobody
            could look, or nothing is known yet. `reason` says why.
    epoch .. cause: as the reservation has them.
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
        """Return the place of its decision among those of its section; later ones are larger."""
        return rank_of(self.offset, self.ordinal)


class Part(NamedTuple):
    """One hold of a cart; fields in the order of its Avro record.

    chosen: the seats that the buyer named; empty for best available ones.
    asked:  number of an Ask.
    is_extending: its section was asked to extend it and has not answered.
    is_paid: the cart's payment is for it too.
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
        """Return where its reservation stands."""
        return self.standing.status

    @property
    def held_count(self) -> int:
        """Return how many seats it holds, or has sold."""
        return sum(seats.seat_count for seats in self.standing.seats) if self.status in _HAS else 0

    @property
    def is_open(self) -> bool:
        """Say whether nobody knows yet what it will come to."""
        return self.status in _OPEN

    @property
    def over_ms(self) -> int:
        """Return when its hold should be over, paid for or not, Unix ms; 0 where none is open.

        No clock ends a payment; but by then its section's word may have been said, and lost.
        """
        return self.standing.deadline_ms if self.status in WITH_DEADLINE else 0

    @property
    def is_doubtful(self) -> bool:
        """Say whether no worker of its section survived it: it may be held one day after all."""
        is_told = self.standing.reason != Reason.UNSPECIFIED
        return self.status == Status.UNSPECIFIED and is_told

    @property
    def has_failed(self) -> bool:
        """Say whether the whole cannot be had any more."""
        return self.status in _GONE or self.is_doubtful


class Cart(NamedTuple):
    """One cart; fields in the order of its Avro record.

    asked_at_ms:   when it was asked for; changed_at_ms: when its status changed last.
    correlation_id: of the request that it began with.
    applied_offset: of the last record about it.
    extension:     correlation id of the last wish to extend it.
    was_held:      all parts had answered once, and something was held.
    is_limited:    it counts for what its buyer may have of the event.
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
        """Say whether some section has not answered yet, or payments have not told."""
        return self.payment.step == Step.CHARGING or any(part.asked for part in self.parts)

    @property
    def is_starting(self) -> bool:
        """Say whether parts wait for the others before anybody is asked for money."""
        return self.payment.step == Step.STARTING

    @property
    def waits_since_ms(self) -> int:
        """Return when what is waited for began, Unix ms."""
        return max(self.changed_at_ms, self.payment.since_ms)

    @property
    def turn_id(self) -> bytes:
        """Return the correlation id of what this step of its payment asks of sections.

        It is never that of the buyer's request, which what is asked of holds has.
        """
        mark = b":" if self.correlation_id.startswith(b"pay.") else b"."
        return b"pay%s%d" % (mark, self.payment.turn)

    @property
    def paid(self) -> frozenset[Status]:
        """Return how those parts stand that its payment is for."""
        return frozenset(Status(part.status) for part in self.parts if part.is_paid)

    @property
    def sold(self) -> tuple[tuple[bytes, int, int, int], ...]:
        """Return what is sold of that: (section, row, first seat, count)."""
        parts = [part for part in self.parts if part.is_paid and part.status == Status.SOLD]
        return tuple((part.section, *seats) for part in parts for seats in part.standing.seats)

    @property
    def payment_deadline_ms(self) -> int:
        """Return when its payment has to be settled: by the first of its parts' deadlines."""
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
    """Return a new cart, each section of which is asked for its hold.

    wanted: 1 to `PARTS_MAX`, of which nothing is known yet. parties: with the part of each that is
    for all of it.
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
    """Return a new cart that nobody is asked for: each of its parts is refused."""
    unheld = Standing(status=Status.REJECTED, reason=reason)
    parts = tuple(part._replace(asked=Ask.NOTHING, standing=unheld) for part in cart.parts)
    return _settled(cart._replace(parts=parts), now_ms)


def heard(cart: Cart, number: int, told: Standing, answers: bytes, now_ms: int) -> Cart:
    """Return the cart after its section has told how part `number` stands; from 0.

    answers: correlation id of the command that is answered; empty for none.
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
            # Nothing is left that could last longer, whatever became of the wish.
            part = part._replace(is_extending=False)
    is_taking_back = is_answered and cart.payment.step == Step.TAKING_BACK
    if is_taking_back and told.status != Status.UNSPECIFIED:
        # Whatever it was asked to sell lies before this in its section: nothing is sold any more.
        part = part._replace(asked=Ask.NOTHING)
    parts = (*cart.parts[:number], part, *cart.parts[number + 1 :])
    cart = _asked_on(cart._replace(parts=parts), number)
    # Where nobody could look it refuses to begin; what is to be sold is asked again.
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

    amount, currency: what the buyer saw as its price.
    """
    if cart.payment.step:
        return Reason.PAYMENT_IN_PROGRESS
    if cart.status != CartStatus.HELD:
        return Reason.NOT_HELD
    held = [
        part.standing
        for part in cart.parts
        # What is asked back is about to go, and no sum may have it.
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
    """Return a cart that can be paid for after its buyer wants to: its held parts wait for it.

    wish: with what the buyer saw and named, at no step yet.
    """
    parts = tuple(
        part._replace(is_paid=part.status == Status.HELD, is_extending=False)
        for part in cart.parts
    )
    begun = cart._replace(parts=parts, payment=wish.at(Step.STARTING, now_ms))
    return _settled(begun, now_ms)


def settled(cart: Cart, say: Say, failure: int, now_ms: int) -> Cart:
    """Return a cart after payments have told what became of its money.

    failure: number of a PaymentFailure, why seats are given back.
    """
    return _settled(cart._replace(payment=paying.told(cart.payment, say, failure, now_ms)), now_ms)


def cancelled(cart: Cart, now_ms: int) -> Cart:
    """Return the cart after its buyer has given it back: whatever is held is given back.

    Not while money may come in, nor once nothing is held.
    """
    standing = {Status(part.status) for part in cart.parts}
    is_paid_for = cart.payment.step in UNDER_WAY or Status.PAYING in standing
    if cart.end or (is_paid_for and not cart.is_starting) or not standing & _OPEN:
        return cart
    return _settled(cart._replace(end=CartEnd.CANCELLED), now_ms, is_refused=cart.is_starting)


def unstarted(cart: Cart, now_ms: int) -> Cart:
    """Return the cart whose payment did not begin in the time that parts wait for it.

    Nobody was asked for money, so what waits is given back. The same where it is none.
    """
    waiting = [part for part in cart.parts if part.is_paid and part.status == Status.PAYING]
    waits_ms = [part.over_ms for part in waiting]
    is_over = cart.is_starting and min(waits_ms, default=now_ms + 1) <= now_ms
    return _settled(cart, now_ms, is_refused=True) if is_over else cart


def extended(cart: Cart, correlation_id: bytes) -> Cart:
    """Return the cart after its buyer wants it longer: every part that is held is extended.

    The same wish again extends nothing further.
    """
    if cart.status != CartStatus.HELD or cart.extension == correlation_id:
        return cart
    parts = tuple(part._replace(is_extending=part.status == Status.HELD) for part in cart.parts)
    return cart._replace(extension=correlation_id, parts=parts)


def given_up(cart: Cart, now_ms: int) -> Cart:
    """Return the cart without the parts that nobody could decide about, for so long.

    Should one of them be held one day, it is told, and given back.
    """
    parts = tuple(_never_held(part) if part.is_doubtful else part for part in cart.parts)
    return _settled(cart._replace(parts=parts), now_ms)


def _asked_still(cart: Cart, part: Part, told: Standing) -> Ask:
    """Return what its section is asked behind this word; `_settled` adds what the cart asks."""
    if part.is_paid and cart.payment.step in paying.MAY_SELL:
        return Ask(part.asked)
    is_asked_back = part.status == Status.HELD and part.asked == Ask.RELEASE
    if told.status == Status.HELD and (part.status == Status.REJECTED or is_asked_back):
        # It was given up, and its buyer may have others in its place by now.
        return Ask.RELEASE
    return Ask.NOTHING


def _never_held(part: Part) -> Part:
    standing = part.standing._replace(status=Status.REJECTED)
    return part._replace(standing=standing, asked=Ask.NOTHING)


# A word that this code does not know; and the words about a record that lay where no cart asks:
# they are none of the part's section, which still has the cart's own question before it.
_SAYS_NOTHING: Final = frozenset({Reason.UNSPECIFIED, Reason.KEY_MISMATCH, Reason.WRONG_PARTITION})


def _undecided(part: Part, told: Standing) -> Part:
    """Return a part of which nothing is stored, or at which nobody could look."""
    if part.status != Status.UNSPECIFIED or told.reason in _SAYS_NOTHING:
        # What is known of it stands.
        return part
    doubtful = part._replace(standing=part.standing._replace(reason=told.reason))
    # A section that refuses without storing anything will never hold.
    return doubtful if told.reason == Reason.INTERNAL else _never_held(doubtful)


def _settled(cart: Cart, now_ms: int, *, is_refused: bool = False) -> Cart:
    """Return the cart with what follows from its parts: its end, what is asked, its status.

    is_refused: a section has refused what the present step of its payment asked of it.
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
    """Say whether its section has to answer what a payment asked; what is refunded stays so."""
    return part.asked > Ask.RELEASE and part.status != Status.REFUNDED


def _end(cart: Cart) -> int:
    """Return what ends it, once something does."""
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

    It is asked back where it may not be held. Also one that is being asked for: what comes to its
    section behind its hold, or instead of it, sees to it that nothing is held.
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
    """Say whether what is held and not paid for goes back.

    A cart is paid for once: a part that is held behind that, after all, could only lapse.
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
