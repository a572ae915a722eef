"""The values of a purchase: what is stored of it, what is asked and answered, and what is said.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from enum import IntEnum
from hashlib import sha256
from typing import NamedTuple

from state.domain.purchases.statuses import TRANSITIONS, PurchaseStatus, Turn
from state.domain.transitions import advance


class Question(IntEnum):
    """What a gateway is asked for."""

    CHARGE = 1
    # What became of the order. The answer is the truth, whatever webhooks told.
    VERIFY = 2
    REFUND = 3


class Asking(NamedTuple):
    """The one question of a purchase that is open.

    number:   1, 2 .. within the purchase; an answer to another number changes nothing.
    due_ms:   the question is not asked before this.
    until_ms: the question is not asked after this; 0 for no end.
    """

    question: Question
    number: int
    due_ms: int
    until_ms: int = 0


class Heard(IntEnum):
    """What a gateway may answer."""

    CAPTURED = 1
    DECLINED = 2
    # There is no answer, or none that settles the question: money may have moved.
    OPEN = 3
    # The gateway was not asked, or said that it did nothing.
    NOT_DONE = 4
    # The gateway knows no such order.
    NOT_FOUND = 5
    REFUNDED = 6
    # The gateway did nothing, and to ask again would change nothing.
    REFUSED = 7
    # Another purchase has this capture already: nobody knows whose money it is.
    ANOTHERS = 8


class Answer(NamedTuple):
    """An answer to the question with a number.

    amount, currency, payment_id: of a capture: what was captured, and the gateway's id of it.
    wait_ms: how long the gateway does not want to be asked again; `WAIT_MS_MAX` of it count.
    """

    number: int
    heard: Heard
    amount: int = 0
    currency: bytes = b""
    payment_id: bytes = b""
    wait_ms: int = 0


class Say(IntEnum):
    """What the section is told to do."""

    SELL_SEATS = 1
    RELEASE_SEATS = 2
    # The money of a sale went back, so its seats are no longer sold.
    TAKE_SEATS_BACK = 3


class Finding(IntEnum):
    """What a person says of a purchase that needs one; numbers as in Avro.

    Whatever a gateway says afterwards counts.
    """

    # The money is back at the buyer.
    REFUNDED = 1
    # There never was any.
    FOUND_UNPAID = 2
    # What was in the way is mended: the gateway is asked once more, and by its answer the section
    # is told again.
    LOOK_AGAIN = 3
    # The seats are sold, and were paid for elsewhere: they stay so. Nothing is left here.
    PAID_ELSEWHERE = 4


class Purchase(NamedTuple):
    """One purchase.

    asked:    number of the last question; 0 for none.
    is_sold:  its seats were sold; they stay so until the section has taken them back.
    tries:    how often the gateway left the question without an answer.
    overtime: how often since the deadline; of a refund, how often the gateway did nothing.
    paid, paid_currency: what was captured: as much goes back.
    may_charge: False where another shop claims that the gateway has the money already.
    is_hinted: a hint has come since the open question was asked. An answer "no money" may be
              older than the money that the hint tells of.
    is_paid_elsewhere: a person has found that the seats were paid for in another way. Money that
              comes here goes back.
    """

    amount: int
    currency: bytes
    deadline_ms: int
    status: PurchaseStatus
    asking: Asking | None = None
    asked: int = 0
    tries: int = 0
    overtime: int = 0
    payment_id: bytes = b""
    is_sold: bool = False
    paid: int = 0
    paid_currency: bytes = b""
    may_charge: bool = True
    is_hinted: bool = False
    is_paid_elsewhere: bool = False


class Followed(NamedTuple):
    """A purchase after something has happened, and what its section is told then."""

    purchase: Purchase
    say: Say | None = None


def turned(purchase: Purchase, turn: Turn) -> Purchase:
    """Return a purchase with the status that the table names; raises IllegalTransition."""
    return purchase._replace(status=advance(TRANSITIONS, purchase.status, turn))


def given_up(purchase: Purchase) -> Purchase:
    """Return a purchase that a person has to look after."""
    if purchase.status == PurchaseStatus.COMPENSATION_REQUIRED:
        return purchase
    return turned(purchase, Turn.GAVE_UP)


def booking_number(order_id: str, at_ms: int) -> str:
    """Return the number by which a buyer names a sale: `BK-{base 36 time}-{8 hex}`."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    time = ""
    while at_ms:
        at_ms, digit = divmod(at_ms, 36)
        time = digits[digit] + time
    return f"BK-{time or '0'}-{sha256(order_id.encode()).hexdigest()[:8].upper()}"
