"""The payment of a cart, step by step: what its parts are asked for, and what payments hear.

A cart is to its payment what a section is to any other: it keeps the seats until it is told what
became of the money, does as it is told, and says what it did. All parts wait for the payment
before anything is asked of a gateway, and all are sold or none.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import IntEnum
from typing import Final, NamedTuple

from state.domain.purchase import Say
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
    # Every part is asked to wait for the payment.
    STARTING = 1
    # All wait, and payments have been asked for the money; they have not said what became of it.
    CHARGING = 2
    # There is money, or none is needed: every part is to be sold.
    SELLING = 3
    SOLD = 4
    # There is no money: no part may be held or wait for it any more.
    GIVING_BACK = 5
    GIVEN_BACK = 6
    # Some part was sold, or asked to be, and the money does not stay: none may be sold.
    TAKING_BACK = 7
    TAKEN_BACK = 8


UNDER_WAY: Final = frozenset({Step.STARTING, Step.CHARGING, Step.SELLING})
"""Where the buyer cannot extend the cart; nor give it back, once money was asked for."""

MAY_SELL: Final = frozenset({Step.SELLING, Step.TAKING_BACK})
"""Where some part may be sold by what was asked of it, whatever its section told before."""

UNPAID: Final = frozenset({Step.GIVING_BACK, Step.GIVEN_BACK, Step.TAKING_BACK, Step.TAKEN_BACK})
"""Where the cart comes to its end, unless money comes late."""


class Answer(NamedTuple):
    """What payments are answered; reason: why it was refused, UNSPECIFIED otherwise."""

    decision: SaleDecision
    reason: Reason = Reason.UNSPECIFIED


class CartPayment(NamedTuple):
    """The payment of a cart; fields in the order of the Avro record.

    step:  number of a Step. turn: how many there were; since_ms: when it began.
    wish:  correlation id of the wish to pay.
    method, parameters: what the gateway wants to know of the buyer; empty once payments know.
    saying: number of the Say that payments told last; 0 for none. failure: why, to give back.
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
        """Return the payment at a step; the same where it is there already."""
        if step == self.step:
            return self
        return self._replace(step=step, turn=self.turn + 1, since_ms=now_ms)

    def without_token(self) -> CartPayment:
        """Return the payment without what only a gateway needs to know of the buyer."""
        return self._replace(method=b"", parameters=b"")


_MAY_BE_SOLD: Final = frozenset({Step.STARTING, Step.CHARGING, Step.GIVING_BACK, Step.GIVEN_BACK})
_OPEN: Final = frozenset({Status.HELD, Status.PAYING})


def told(payment: CartPayment, say: Say, failure: int, now_ms: int) -> CartPayment:
    """Return the payment after payments have told what became of the money.

    What has been sold, and must not be, is taken back; what was to be sold and could not be, is
    not tried again.
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
    # The buyer's token is theirs now, and must not lie here.
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
    """Return the payment after what has become of its parts.

    parts:      how those that it is for stand.
    is_refused: a section has answered what this step asked of it, and the part stands otherwise.
    is_asked:   some section has not answered what the payment asked of it.
    """
    step = Step(payment.step)
    match step:
        case Step.STARTING if is_refused or parts - _OPEN:
            # Nothing was charged, so there is no other cause than that it could not be begun.
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
            # Not while a sale may be on its way: its word could be lost, and nobody would look.
            step = Step.TAKEN_BACK
        case Step.GIVEN_BACK if parts & _OPEN:
            # Whatever has come back to life is given back before anybody is told again.
            step = Step.GIVING_BACK
        case Step.TAKEN_BACK if parts & {*_OPEN, Status.SOLD}:
            # A sale that killed its workers, sent again.
            step = Step.TAKING_BACK
    after = payment.at(step, now_ms)
    is_settling = after != payment and step in {Step.GIVING_BACK, Step.TAKING_BACK}
    if not is_settling:
        return after
    return followed(after, parts, now_ms, is_refused=False, is_asked=is_asked)


def asked_of(payment: CartPayment, status: Status, *, is_asked: bool = False) -> Ask | None:
    """Return what the section of a part is asked by this step; None where the step has no say.

    is_asked: it has not answered what the payment asked of it.
    """
    match payment.step:
        case Step.STARTING if status == Status.HELD:
            return Ask.START_PAYMENT
        case Step.SELLING:
            return Ask.NOTHING if status == Status.SOLD else Ask.SELL
        case Step.TAKING_BACK if status == Status.SOLD or (is_asked and status != Status.PAYING):
            # Also where nothing is known to be sold: the answer says that nothing will be.
            return Ask.TAKE_BACK
        case Step.STARTING | Step.CHARGING:
            return Ask.NOTHING
    # Nobody has begun, or nobody pays any more: then it does not wait for a payment.
    return Ask.FAIL_PAYMENT if status == Status.PAYING else None


def is_as_asked(payment: CartPayment, status: Status) -> bool:
    """Say whether a part stands as this step wants it; True where nothing could refuse."""
    wanted = {Step.STARTING: Status.PAYING, Step.SELLING: Status.SOLD}.get(Step(payment.step))
    return wanted is None or status == wanted


def answer(payment: CartPayment, parts: AbstractSet[Status]) -> Answer | None:
    """Return what payments are answered to what they told last; None while nobody knows."""
    match payment.step, payment.saying:
        case Step.SOLD, Say.SELL_SEATS:
            return Answer(SaleDecision.SOLD)
        case Step.SOLD, Say.RELEASE_SEATS:
            return Answer(SaleDecision.REFUSED, Reason.ALREADY_SOLD)
        case Step.GIVEN_BACK, Say.RELEASE_SEATS if Status.SOLD in parts:
            # Somebody else has confirmed a part.
            return Answer(SaleDecision.REFUSED, Reason.ALREADY_SOLD)
        case ((Step.GIVEN_BACK | Step.TAKEN_BACK), Say.RELEASE_SEATS):
            return Answer(SaleDecision.RELEASED)
        case Step.TAKEN_BACK, Say.SELL_SEATS:
            return Answer(SaleDecision.REFUSED, Reason.REFUND_DUE)
        case Step.TAKEN_BACK, Say.TAKE_SEATS_BACK:
            return Answer(SaleDecision.REFUNDED)
    return None
