"""The life of a purchase: a table of its statuses, and what follows from each turn.

A purchase is the money side of one hold. Reservation id and epoch name it, and it is charged at
most once. It asks its gateway one question at a time. Only a gateway's answer tells whether money
moved: a question without an answer changes nothing, and is asked again.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from enum import IntEnum
from hashlib import sha256
from typing import Final, NamedTuple

from state.domain.transitions import advance


class PurchaseStatus(IntEnum):
    """Where a purchase stands; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    # The gateway has not answered yet.
    PENDING = 1
    # The gateway was asked for the charge and left it open: nobody knows whether money moved.
    PROCESSING = 2
    # The gateway has the money; the seats are not yet sold.
    CAPTURED = 3
    # The seats are sold.
    DONE = 4
    # The charge was declined.
    FAILED = 5
    # The deadline passed without any money.
    EXPIRED = 6
    # The gateway has the money and must give it back.
    REFUND_DUE = 7
    REFUNDED = 8
    # Only a person can say what became of the money.
    COMPENSATION_REQUIRED = 9


class Turn(IntEnum):
    """What may happen to a purchase."""

    LEFT_OPEN = 1
    CAPTURED = 2
    # Captured, but not what was asked for, or for seats that were paid for elsewhere.
    DIFFERED = 3
    DECLINED = 4
    EXPIRED = 5
    SEATS_SOLD = 6
    SEATS_LOST = 7
    REFUND_ASKED = 8
    REFUNDED = 9
    GAVE_UP = 10
    # A person has found that no money moved.
    FOUND_UNPAID = 11


_CALLED: Final = {
    Turn.LEFT_OPEN: PurchaseStatus.PROCESSING,
    Turn.CAPTURED: PurchaseStatus.CAPTURED,
    Turn.DIFFERED: PurchaseStatus.REFUND_DUE,
    Turn.DECLINED: PurchaseStatus.FAILED,
    Turn.EXPIRED: PurchaseStatus.EXPIRED,
    Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED,
}
# Money may come when nobody expects it any more: the seats are sold again, or the money goes back.
_LATE: Final = {
    Turn.CAPTURED: PurchaseStatus.CAPTURED,
    Turn.DIFFERED: PurchaseStatus.REFUND_DUE,
}

# A purchase that ended without money is given up where nobody can say whether money came later.
_ENDED: Final = {**_LATE, Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED}

TRANSITIONS: Final[dict[PurchaseStatus, dict[Turn, PurchaseStatus]]] = {
    PurchaseStatus.UNSPECIFIED: {},
    PurchaseStatus.PENDING: _CALLED,
    PurchaseStatus.PROCESSING: _CALLED,
    PurchaseStatus.CAPTURED: {
        Turn.SEATS_SOLD: PurchaseStatus.DONE,
        Turn.SEATS_LOST: PurchaseStatus.REFUND_DUE,
        Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED,
    },
    PurchaseStatus.DONE: {Turn.REFUND_ASKED: PurchaseStatus.REFUND_DUE},
    PurchaseStatus.FAILED: _ENDED,
    PurchaseStatus.EXPIRED: _ENDED,
    PurchaseStatus.REFUND_DUE: {
        Turn.REFUNDED: PurchaseStatus.REFUNDED,
        Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED,
    },
    # Given up where the section cannot take the seats back.
    PurchaseStatus.REFUNDED: {Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED},
    PurchaseStatus.COMPENSATION_REQUIRED: {
        **_LATE,
        Turn.REFUNDED: PurchaseStatus.REFUNDED,
        Turn.FOUND_UNPAID: PurchaseStatus.FAILED,
    },
}


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


class Retries(NamedTuple):
    """Pauses between tries: `first_ms`, doubled each time up to `longest_ms`; `most` tries."""

    first_ms: int
    longest_ms: int
    most: int

    def pause_ms(self, tries: int) -> int:
        """Return the pause after the try with this number, from 1."""
        return min(self.longest_ms, self.first_ms << min(tries - 1, 32))


ASK_RETRIES: Final = Retries(first_ms=1_000, longest_ms=30_000, most=0)
"""For CHARGE and VERIFY before the deadline; `most` does not count until then."""

LATE_RETRIES: Final = Retries(first_ms=1_000, longest_ms=480_000, most=16)
"""For VERIFY after the deadline: a little more than an hour, which an outage may take."""

REFUND_RETRIES: Final = Retries(first_ms=30_000, longest_ms=480_000, most=5)
"""For a REFUND that the gateway left open, or says that it cannot make."""

WAIT_RETRIES: Final = Retries(first_ms=30_000, longest_ms=3_600_000, most=30)
"""For questions that keep no seats: about a day long, then a person is asked.

They are a refund that the gateway has not begun or not decided, and VERIFY for a purchase that has
ended without money.
"""

WAIT_MS_MAX: Final = 60_000
"""Longest pause that a gateway may ask for: it must not hold seats for as long as it likes."""

LAST_LOOK_MS: Final = 600_000
"""How long after a purchase has ended without money its gateway is asked once more."""


def begin(amount: int, currency: bytes, deadline_ms: int, now_ms: int, asked: int = 0) -> Purchase:
    """Return a new purchase, which asks for its charge; without any time left it has expired.

    asked: number of the last question of the purchase that this one replaces; 0 for none.
    """
    new = Purchase(amount, currency, deadline_ms, PurchaseStatus.PENDING, asked=asked)
    if now_ms >= deadline_ms:
        return new._replace(status=advance(TRANSITIONS, new.status, Turn.EXPIRED))
    return _ask(new, Question.CHARGE, now_ms)


def begin_claimed(
    amount: int, currency: bytes, deadline_ms: int, now_ms: int, asked: int = 0
) -> Followed:
    """Return a new purchase that another shop claims to be paid for, and what follows.

    The gateway is asked whether it has the money, and never for a charge.

    deadline_ms: 0 where no seats are kept for the claim; a capture is then treated as late money.
    """
    new = Purchase(
        amount, currency, deadline_ms, PurchaseStatus.PENDING, asked=asked, may_charge=False
    )
    if now_ms < deadline_ms:
        return Followed(_ask(new, Question.VERIFY, now_ms))
    ended = _ask(_turn(new, Turn.EXPIRED), Question.VERIFY, now_ms)
    return Followed(ended, Say.RELEASE_SEATS if deadline_ms else None)


def after_answer(purchase: Purchase, answer: Answer, now_ms: int) -> Followed:
    """Return what follows from a gateway's answer.

    An answer to another question than the open one changes nothing.
    """
    asking = purchase.asking
    if asking is None or answer.number != asking.number:
        return Followed(purchase)
    is_outdated = purchase.is_hinted and answer.heard in _NO_MONEY
    purchase = _without_question(purchase)
    # Pauses begin when it was asked, and that was not before, also where the log's time stands
    # still or the clock of whoever asked is ahead. What is over, the log's time alone says.
    asked_ms = max(now_ms, asking.due_ms)
    if asking.question == Question.REFUND:
        return _after_refund_answer(purchase, answer, asked_ms)
    if answer.heard == Heard.CAPTURED:
        return _after_capture(purchase, answer, now_ms)
    if answer.heard == Heard.ANOTHERS:
        return Followed(_given_up(purchase))
    is_kept = purchase.status in _UNSETTLED and now_ms >= purchase.deadline_ms
    if is_outdated and asking.question == Question.VERIFY and not is_kept:
        # The hint may tell of money that came after this answer. But hints keep no seats longer
        # than the deadline.
        return Followed(_ask(purchase, Question.VERIFY, asked_ms))
    if purchase.status in _UNSETTLED:
        look_ms = asked_ms if is_outdated else 0
        return _after_answer_without_money(
            purchase, asking.question, answer, now_ms, asked_ms, look_ms
        )
    if answer.heard == Heard.REFUNDED and _may_be_back(purchase):
        return _after_found_refunded(purchase)
    return Followed(_look_again(purchase, answer, now_ms, asked_ms))


def begin_refused(
    amount: int, currency: bytes, deadline_ms: int, look_ms: int, asked: int
) -> Followed:
    """Return a purchase that has failed before its gateway was asked, and what follows.

    look_ms: when the gateway is asked for money that somebody else may have taken; 0 for never.
    """
    new = Purchase(amount, currency, deadline_ms, PurchaseStatus.PENDING, asked=asked)
    ended = _ended(new, Turn.DECLINED, look_ms)
    return ended if deadline_ms else ended._replace(say=None)


def without_charge(purchase: Purchase) -> Followed:
    """Return what follows where the charge is refused before the gateway was asked for it."""
    return _ended(_without_question(purchase), Turn.DECLINED)


def after_hint(purchase: Purchase, now_ms: int) -> Followed:
    """Return what follows from a hint that money may have moved: the gateway is asked."""
    # What was captured is known already, and what became of it.
    if purchase.status not in _HINTS_MATTER or purchase.payment_id:
        return Followed(purchase)
    return Followed(_look_for_money(purchase, now_ms))


def after_seats_sold(purchase: Purchase) -> Followed:
    """Return what follows when the section has sold the seats.

    The section may have been told twice to sell, and have refused the first time. Then the money
    is on its way back, and the seats must follow it.
    """
    if purchase.status == PurchaseStatus.CAPTURED:
        return Followed(_turn(purchase, Turn.SEATS_SOLD)._replace(is_sold=True))
    if purchase.is_sold or purchase.status not in _MONEY_GOES_BACK:
        return Followed(purchase)
    is_back = purchase.status == PurchaseStatus.REFUNDED
    return Followed(purchase._replace(is_sold=True), Say.TAKE_SEATS_BACK if is_back else None)


def after_seats_lost(purchase: Purchase, now_ms: int) -> Followed:
    """Return what follows when the section has no seats for the money: the money goes back."""
    if purchase.status != PurchaseStatus.CAPTURED:
        return Followed(purchase)
    return Followed(_give_back(_turn(purchase, Turn.SEATS_LOST), now_ms))


def after_no_decision(purchase: Purchase) -> Purchase:
    """Return a purchase whose section cannot decide: a person has to look after it.

    An open question to its gateway goes on first, above all a refund that is due.
    """
    if Turn.GAVE_UP in TRANSITIONS[purchase.status] and purchase.status not in _GOES_ON:
        return _turn(purchase, Turn.GAVE_UP)
    return purchase


def after_sale_without_money(purchase: Purchase) -> Followed:
    """Return what follows when the seats of a purchase without money turn out to be sold.

    Somebody else has confirmed the reservation. Only a person can find out what was paid, and
    where. Nothing follows where the sale is known already, or while money is on its way back; the
    section is told again later, and says so again.
    """
    is_known = purchase.is_sold or purchase.is_paid_elsewhere
    if is_known or purchase.status not in {*_ENDED_UNPAID, PurchaseStatus.REFUNDED}:
        return Followed(purchase)
    return Followed(_turn(purchase, Turn.GAVE_UP)._replace(is_sold=True))


def after_refund_asked(purchase: Purchase, now_ms: int) -> Followed:
    """Return what follows when a buyer wants the money of a sale back: once, it goes back."""
    if purchase.status != PurchaseStatus.DONE:
        return Followed(purchase)
    return Followed(_give_back(_turn(purchase, Turn.REFUND_ASKED), now_ms))


def after_finding(purchase: Purchase, finding: Finding, now_ms: int) -> Followed:
    """Return what follows from what a person found.

    Nothing follows where nobody has to look, where a capture is known and found unpaid, or where
    no seats are known to be sold that could be paid for elsewhere.
    """
    if purchase.status != PurchaseStatus.COMPENSATION_REQUIRED:
        return Followed(purchase)
    match finding:
        case Finding.REFUNDED:
            return _after_found_refunded(purchase)
        case Finding.FOUND_UNPAID if not purchase.payment_id:
            # An open question goes on: a hint told of money that the person may not have seen.
            ended = _ended(purchase, Turn.FOUND_UNPAID)
            return ended._replace(say=Say.TAKE_SEATS_BACK) if purchase.is_sold else ended
        case Finding.LOOK_AGAIN:
            return Followed(_look_for_money(purchase, now_ms))
        case Finding.PAID_ELSEWHERE if purchase.is_sold:
            kept = purchase._replace(is_sold=False, is_paid_elsewhere=True, tries=0)
            if purchase.payment_id:
                return _refunded(_without_question(kept))
            return Followed(_turn(kept, Turn.FOUND_UNPAID))
    return Followed(purchase)


def booking_number(order_id: str, at_ms: int) -> str:
    """Return the number by which a buyer names a sale: `BK-{base 36 time}-{8 hex}`."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    time = ""
    while at_ms:
        at_ms, digit = divmod(at_ms, 36)
        time = digits[digit] + time
    return f"BK-{time or '0'}-{sha256(order_id.encode()).hexdigest()[:8].upper()}"


# --- the steps -------------------------------------------------------------------------------

_UNSETTLED: Final = {PurchaseStatus.PENDING, PurchaseStatus.PROCESSING}
_ENDED_UNPAID: Final = {PurchaseStatus.FAILED, PurchaseStatus.EXPIRED}
# A refused look-up is no answer either: the gateway may know what it does not tell.
_UNANSWERED: Final = {Heard.OPEN, Heard.NOT_DONE, Heard.REFUSED}
_NO_MONEY: Final = {Heard.DECLINED, Heard.NOT_FOUND, Heard.REFUNDED}
_MONEY_GOES_BACK: Final = {
    PurchaseStatus.REFUND_DUE,
    PurchaseStatus.REFUNDED,
    PurchaseStatus.COMPENSATION_REQUIRED,
}
_GOES_ON: Final = {*_UNSETTLED, PurchaseStatus.REFUND_DUE}
_HINTS_MATTER: Final = {
    *_UNSETTLED,
    PurchaseStatus.FAILED,
    PurchaseStatus.EXPIRED,
    PurchaseStatus.COMPENSATION_REQUIRED,
}


def _turn(purchase: Purchase, turn: Turn) -> Purchase:
    return purchase._replace(status=advance(TRANSITIONS, purchase.status, turn))


def _ask(purchase: Purchase, question: Question, due_ms: int) -> Purchase:
    number = purchase.asked + 1
    until_ms = purchase.deadline_ms if question == Question.CHARGE else 0
    asking = Asking(question, number, due_ms, until_ms)
    return purchase._replace(asking=asking, asked=number, is_hinted=False)


def _look_for_money(purchase: Purchase, now_ms: int) -> Purchase:
    """Ask the gateway what became of the order.

    A question that is due may be under way: its answer is waited for, and `is_hinted` remembers
    that it may be older than the money. A question that is due later is replaced by VERIFY, due
    now; that counts as no further try.
    """
    asking = purchase.asking
    if asking is None:
        return _ask(purchase._replace(tries=0), Question.VERIFY, now_ms)
    if asking.due_ms <= now_ms:
        return purchase._replace(is_hinted=True)
    tries, overtime = max(0, purchase.tries - 1), max(0, purchase.overtime - 1)
    return _ask(purchase._replace(tries=tries, overtime=overtime), Question.VERIFY, now_ms)


def _without_question(purchase: Purchase) -> Purchase:
    return purchase._replace(asking=None, is_hinted=False)


def _after_capture(purchase: Purchase, answer: Answer, now_ms: int) -> Followed:
    purchase = purchase._replace(
        payment_id=answer.payment_id, paid=answer.amount, paid_currency=answer.currency, tries=0
    )
    is_exact = (answer.amount, answer.currency) == (purchase.amount, purchase.currency)
    if is_exact and not purchase.is_paid_elsewhere:
        return Followed(_turn(purchase, Turn.CAPTURED), Say.SELL_SEATS)
    due = _give_back(_turn(purchase, Turn.DIFFERED), now_ms)
    return Followed(due, None if purchase.is_paid_elsewhere else Say.RELEASE_SEATS)


def _ended(purchase: Purchase, turn: Turn, look_ms: int = 0) -> Followed:
    """End a purchase without money; its seats go back.

    look_ms: when its gateway is asked once more; 0 for never.
    """
    purchase = _turn(purchase, turn)._replace(tries=0)
    if look_ms:
        purchase = _ask(purchase, Question.VERIFY, look_ms)
    return Followed(purchase, Say.RELEASE_SEATS)


def _given_up(purchase: Purchase) -> Purchase:
    if purchase.status == PurchaseStatus.COMPENSATION_REQUIRED:
        return purchase
    return _turn(purchase, Turn.GAVE_UP)


def _after_answer_without_money(
    purchase: Purchase,
    question: Question,
    answer: Answer,
    now_ms: int,
    asked_ms: int,
    look_ms: int,
) -> Followed:
    """Go on after an answer without money.

    look_ms: when the gateway is asked once more if the answer ends the purchase; 0 for never.
    """
    heard = answer.heard
    if heard in {Heard.DECLINED, Heard.REFUNDED}:
        # REFUNDED before we knew of a capture: a person did both at the gateway. No money is left.
        return _ended(purchase, Turn.DECLINED, look_ms)
    is_refused = heard == Heard.REFUSED and purchase.status == PurchaseStatus.PENDING
    if is_refused and question == Question.CHARGE:
        # This call did nothing, but a former owner that died, or is a zombie, may have charged.
        return _ended(purchase, Turn.DECLINED, look_ms=now_ms)
    if heard == Heard.NOT_FOUND and question == Question.VERIFY:
        if now_ms >= purchase.deadline_ms:
            # The charge may still be on its way, so late money is looked for once more.
            return _ended(purchase, Turn.EXPIRED, look_ms=now_ms + LAST_LOOK_MS)
        if asked_ms < purchase.deadline_ms and purchase.may_charge:
            # The charge never arrived: it is asked for again, with the same key.
            return Followed(_ask(purchase, Question.CHARGE, asked_ms))
    return _ask_again(purchase, question, answer, now_ms, asked_ms)


def _ask_again(
    purchase: Purchase, question: Question, answer: Answer, now_ms: int, asked_ms: int
) -> Followed:
    if question == Question.CHARGE and answer.heard == Heard.OPEN:
        purchase = _turn(purchase, Turn.LEFT_OPEN)
    tries = purchase.tries + 1
    is_over = now_ms >= purchase.deadline_ms
    purchase = purchase._replace(tries=tries, overtime=purchase.overtime + is_over)
    if purchase.overtime > LATE_RETRIES.most:
        return Followed(_turn(purchase, Turn.GAVE_UP))
    # A worker whose clock is ahead of the log's time asks as seldom as after the deadline.
    retries = LATE_RETRIES if asked_ms >= purchase.deadline_ms else ASK_RETRIES
    due_ms = asked_ms + _pause_ms(retries, purchase.overtime or tries, answer)
    # Also where nothing is known to be done: a worker that is gone may have asked.
    is_in_time = purchase.status == PurchaseStatus.PENDING and due_ms < purchase.deadline_ms
    is_charged_again = is_in_time and purchase.may_charge
    next_question = Question.CHARGE if is_charged_again else Question.VERIFY
    return Followed(_ask(purchase, next_question, due_ms))


def _look_again(purchase: Purchase, answer: Answer, now_ms: int, asked_ms: int) -> Purchase:
    """Go on after a look at a purchase that has ended without money, or is a person's."""
    if answer.heard in _UNANSWERED:
        tries = purchase.tries + 1
        purchase = purchase._replace(tries=tries)
        if tries >= WAIT_RETRIES.most:
            # Money may have come, and no other question would find it.
            return _given_up(purchase)
        due_ms = asked_ms + _pause_ms(WAIT_RETRIES, tries, answer)
        return _ask(purchase, Question.VERIFY, due_ms)
    last_ms = purchase.deadline_ms + LAST_LOOK_MS
    if answer.heard == Heard.NOT_FOUND and now_ms < last_ms:
        # A hint, or a worker whose clock is ahead, had this asked before the last look was due.
        due_ms = last_ms if asked_ms < last_ms else asked_ms + LATE_RETRIES.longest_ms
        return _ask(purchase, Question.VERIFY, due_ms)
    return purchase


def _pause_ms(retries: Retries, tries: int, answer: Answer) -> int:
    return max(retries.pause_ms(tries), min(answer.wait_ms, WAIT_MS_MAX))


def _give_back(purchase: Purchase, now_ms: int) -> Purchase:
    return _ask(purchase._replace(tries=0, overtime=0), Question.REFUND, now_ms)


def _after_refund_answer(purchase: Purchase, answer: Answer, now_ms: int) -> Followed:
    if answer.heard == Heard.REFUNDED:
        return _refunded(purchase)
    if answer.heard == Heard.NOT_DONE:
        # NOT_DONE is an outage of the gateway, and no failure of the refund.
        purchase = purchase._replace(overtime=purchase.overtime + 1)
        retries, tries = WAIT_RETRIES, purchase.overtime
    else:
        purchase = purchase._replace(tries=purchase.tries + 1)
        retries, tries = REFUND_RETRIES, purchase.tries
    if answer.heard == Heard.REFUSED or tries >= retries.most:
        return Followed(_turn(purchase, Turn.GAVE_UP))
    due_ms = now_ms + _pause_ms(retries, tries, answer)
    return Followed(_ask(purchase, Question.REFUND, due_ms))


def _may_be_back(purchase: Purchase) -> bool:
    """Say whether a refund settles what a person looks after: not who paid for seats elsewhere."""
    is_open = purchase.status == PurchaseStatus.COMPENSATION_REQUIRED
    return is_open and bool(purchase.payment_id or not purchase.is_sold)


def _after_found_refunded(purchase: Purchase) -> Followed:
    """End what a person had to look after, and whose money is back."""
    followed = _refunded(_without_question(purchase))
    if purchase.is_sold or purchase.is_paid_elsewhere:
        return followed
    # The seats may still be kept for it.
    return followed._replace(say=Say.RELEASE_SEATS)


def _refunded(purchase: Purchase) -> Followed:
    purchase = _turn(purchase, Turn.REFUNDED)._replace(tries=0)
    return Followed(purchase, Say.TAKE_SEATS_BACK if purchase.is_sold else None)
