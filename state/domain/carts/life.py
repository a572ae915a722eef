"""The life of a cart: what its sections are asked after each event, and where it stands then.

A cart is several holds of one buyer that stand or fall together. Each part is a reservation of its
section. The section alone decides about it and tells the cart how it stands, more than once if
need be; the cart believes the newest decision. Sections do not wait for each other: while one has
not answered, the others hold their seats, and a hold that is not extended lapses by its section's
time.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from __future__ import annotations

from typing import Final

from state.domain.carts import payment as paying
from state.domain.carts.parties import Party
from state.domain.carts.payment import UNDER_WAY, UNPAID, Ask, CartPayment, Step
from state.domain.carts.statuses import TRANSITIONS, CartEnd, CartStatus, IllegalStep, OnFailure
from state.domain.carts.values import OPEN, Cart, Part, Standing
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import Status


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
    if cart.end or (is_paid_for and not cart.is_starting) or not standing & OPEN:
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
    if is_ending or (_gives_back(cart) and standing & OPEN):
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
