"""The payment of a cart, step by step: what its sections are asked, and what payments are told.

For its payment a cart does what a section does for the payment of one hold: it keeps the seats
until payments tell what became of the money, does what they tell, and answers what it did. All
parts wait for the payment before a gateway is asked, and all of them are sold or none.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import IntEnum
from typing import Final, NamedTuple

from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure, SaleDecision, Status


class Ask(IntEnum):
    """What a part's section is asked until it answers; numbers as in Avro."""

    NOTHING = 0
    HOLD = 1
    RELEASE = 2
    START_PAYMENT = 3
    SELL = 4
    FAIL_PAYMENT = 5
    TAKE_BACK = 6


class Step(IntEnum):
    """How far a cart's payment has come; numbers as in Avro."""

    NOTHING = 0
    # All held parts are asked to wait for the payment.
    STARTING = 1
    # All parts wait, and payments were asked for the money; they have not told what became of it.
    CHARGING = 2
    # The money is there, or none is needed: all parts are to be sold.
    SELLING = 3
    SOLD = 4
    # There is no money: no part may be held or wait for the payment any more.
    GIVING_BACK = 5
    GIVEN_BACK = 6
    # A part was sold, or was asked to be, and the money goes back: no part may stay sold.
    TAKING_BACK = 7
    TAKEN_BACK = 8


UNDER_WAY: Final = frozenset({Step.STARTING, Step.CHARGING, Step.SELLING})
"""Where the buyer cannot extend the cart; nor give it back, once money was asked for."""

MAY_SELL: Final = frozenset({Step.SELLING, Step.TAKING_BACK})
"""Where some part may be sold by what was asked of it, whatever its section told before."""

UNPAID: Final = frozenset({Step.GIVING_BACK, Step.GIVEN_BACK, Step.TAKING_BACK, Step.TAKEN_BACK})
"""Steps at which the cart ends, unless money comes late."""


class Answer(NamedTuple):
    """The answer to payments; reason: of a refusal, UNSPECIFIED otherwise."""

    decision: SaleDecision
    reason: Reason = Reason.UNSPECIFIED


class CartPayment(NamedTuple):
    """The payment of a cart; fields in the order of the Avro record.

    step:  number of a Step. turn: how many steps there were; since_ms: when this one began.
    wish:  correlation id of the buyer's request to pay.
    method, parameters: what the gateway needs of the buyer; empty once payments have them.
    saying: number of the Say that payments told last; 0 for none.
    failure: number of the PaymentFailure for which seats are given back.
    """

    step: int = Step.NOTHING
    turn: int = 0
    since_ms: int = 0
    wish: bytes = b""
    amount: int = 0
    currency: bytes = b""
    gateway: bytes = b""
    method: bytes = b""
    parameters: bytes = b""
    saying: int = 0
    failure: int = PaymentFailure.UNSPECIFIED

    def at(self, step: Step, now_ms: int) -> CartPayment:
        """Return the payment at a step; unchanged where it is at that step already."""
        if step == self.step:
            return self
        return self._replace(step=step, turn=self.turn + 1, since_ms=now_ms)

    def without_token(self) -> CartPayment:
        """Return the payment without what only the gateway needs of the buyer."""
        return self._replace(method=b"", parameters=b"")


_MAY_BE_SOLD: Final = frozenset({Step.STARTING, Step.CHARGING, Step.GIVING_BACK, Step.GIVEN_BACK})
_OPEN: Final = frozenset({Status.HELD, Status.PAYING})


def told(payment: CartPayment, say: Say, failure: int, now_ms: int) -> CartPayment:
    """Return the payment after payments have told what is to become of the seats.

    Parts that were sold and must not be are taken back. A sale that a section has refused is not
    tried again.
    """
    step = Step(payment.step)
    match say:
        case Say.SELL_SEATS if step in _MAY_BE_SOLD:
            step = Step.SELLING
        case Say.RELEASE_SEATS if step in {Step.STARTING, Step.CHARGING}:
            step = Step.GIVING_BACK
        case Say.RELEASE_SEATS if step == Step.SELLING:
            step = Step.TAKING_BACK
        case Say.TAKE_SEATS_BACK if step != Step.TAKEN_BACK:
            step = Step.TAKING_BACK
    # Payments have the buyer's token now, so the cart must not keep it.
    known = payment.without_token()._replace(saying=say, failure=failure)
    return known.at(step, now_ms)


def followed(
    payment: CartPayment,
    parts: AbstractSet[Status],
    now_ms: int,
    *,
    is_refused: bool,
    is_asked: bool = False,
) -> CartPayment:
    """Return the payment at the step that follows from the statuses of its parts.

    parts:      statuses of the parts that it pays for.
    is_refused: a section has refused a command of this step.
    is_asked:   a section has not answered a command of the payment yet.
    """
    step = Step(payment.step)
    match step:
        case Step.STARTING if is_refused or parts - _OPEN:
            # Nothing was charged: the cause is that the payment could not begin.
            payment = payment.without_token()._replace(failure=PaymentFailure.DECLINED)
            step = Step.GIVING_BACK
        case Step.STARTING if Status.HELD not in parts and payment.amount:
            step = Step.CHARGING
        case Step.STARTING if Status.HELD not in parts:
            payment, step = payment.without_token(), Step.SELLING
        case Step.SELLING if parts == {Status.SOLD}:
            step = Step.SOLD
        case Step.SELLING if is_refused:
            step = Step.TAKING_BACK
        case Step.GIVING_BACK if not parts & _OPEN:
            step = Step.GIVEN_BACK
        case Step.TAKING_BACK if not (is_asked or parts & {*_OPEN, Status.SOLD}):
            # Not while a sale may be under way: its answer could be lost, and nobody would look.
            step = Step.TAKEN_BACK
        case Step.GIVEN_BACK if parts & _OPEN:
            # A part that is held or sold again is given back before payments are told again.
            step = Step.GIVING_BACK
        case Step.TAKEN_BACK if parts & {*_OPEN, Status.SOLD}:
            # Somebody has sent a sale again that had killed its workers.
            step = Step.TAKING_BACK
    after = payment.at(step, now_ms)
    is_settling = after != payment and step in {Step.GIVING_BACK, Step.TAKING_BACK}
    if not is_settling:
        return after
    return followed(after, parts, now_ms, is_refused=False, is_asked=is_asked)


def asked_of(payment: CartPayment, status: Status, *, is_asked: bool = False) -> Ask | None:
    """Return what this step asks of a part's section; None where it asks nothing of its own.

    is_asked: the section has not answered a command of the payment yet.
    """
    match payment.step:
        case Step.STARTING if status == Status.HELD:
            return Ask.START_PAYMENT
        case Step.SELLING:
            return Ask.NOTHING if status == Status.SOLD else Ask.SELL
        case Step.TAKING_BACK if status == Status.SOLD or (is_asked and status != Status.PAYING):
            # Also where nothing is known to be sold: the answer proves that nothing will be.
            return Ask.TAKE_BACK
        case Step.STARTING | Step.CHARGING:
            return Ask.NOTHING
    # No payment has begun, or it is over: no part may wait for it.
    return Ask.FAIL_PAYMENT if status == Status.PAYING else None


def is_as_asked(payment: CartPayment, status: Status) -> bool:
    """Say whether a part has the status that this step wants; True where it wants none."""
    wanted = {Step.STARTING: Status.PAYING, Step.SELLING: Status.SOLD}.get(Step(payment.step))
    return wanted is None or status == wanted


def answer(payment: CartPayment, parts: AbstractSet[Status]) -> Answer | None:
    """Return the answer to what payments told last; None while the parts have not done it."""
    match payment.step, payment.saying:
        case Step.SOLD, Say.SELL_SEATS:
            return Answer(SaleDecision.SOLD)
        case Step.SOLD, Say.RELEASE_SEATS:
            return Answer(SaleDecision.REFUSED, Reason.ALREADY_SOLD)
        case Step.GIVEN_BACK, Say.RELEASE_SEATS if Status.SOLD in parts:
            # Somebody else has confirmed a part, so its seats are sold.
            return Answer(SaleDecision.REFUSED, Reason.ALREADY_SOLD)
        case ((Step.GIVEN_BACK | Step.TAKEN_BACK), Say.RELEASE_SEATS):
            return Answer(SaleDecision.RELEASED)
        case Step.TAKEN_BACK, Say.SELL_SEATS:
            return Answer(SaleDecision.REFUSED, Reason.REFUND_DUE)
        case Step.TAKEN_BACK, Say.TAKE_SEATS_BACK:
            return Answer(SaleDecision.REFUNDED)
    return None
