"""The life of a purchase: what follows from each thing that happens to it.

A purchase is the money side of one hold. Reservation id and epoch name it, and it is charged at
most once. Only a gateway's answer tells whether money moved.

All times are Unix ms of the log, all amounts integers in the currency's minor unit.
"""

from typing import Final

from state.domain.purchases.questions import (
    LAST_LOOK_MS,
    REFUND_RETRIES,
    WAIT_RETRIES,
    ask,
    ask_again,
    give_back,
    look_again,
    look_for_money,
    pause_ms,
    without_question,
)
from state.domain.purchases.statuses import (
    ENDED_UNPAID,
    GOES_ON,
    HINTS_MATTER,
    MONEY_GOES_BACK,
    TRANSITIONS,
    UNSETTLED,
    PurchaseStatus,
    Turn,
)
from state.domain.purchases.values import (
    Answer,
    Finding,
    Followed,
    Heard,
    Purchase,
    Question,
    Say,
    given_up,
    turned,
)

_NO_MONEY: Final = {Heard.DECLINED, Heard.NOT_FOUND, Heard.REFUNDED}


def begin(amount: int, currency: bytes, deadline_ms: int, now_ms: int, asked: int = 0) -> Purchase:
    """Return a new purchase, which asks for its charge; without any time left it has expired.

    asked: number of the last question of the purchase that this one replaces; 0 for none.
    """
    new = Purchase(amount, currency, deadline_ms, PurchaseStatus.PENDING, asked=asked)
    if now_ms >= deadline_ms:
        return turned(new, Turn.EXPIRED)
    return ask(new, Question.CHARGE, now_ms)


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
        return Followed(ask(new, Question.VERIFY, now_ms))
    ended = ask(turned(new, Turn.EXPIRED), Question.VERIFY, now_ms)
    return Followed(ended, Say.RELEASE_SEATS if deadline_ms else None)


def after_answer(purchase: Purchase, answer: Answer, now_ms: int) -> Followed:
    """Return what follows from a gateway's answer.

    An answer to another question than the open one changes nothing.
    """
    asking = purchase.asking
    if asking is None or answer.number != asking.number:
        return Followed(purchase)
    is_outdated = purchase.is_hinted and answer.heard in _NO_MONEY
    purchase = without_question(purchase)
    # Pauses begin when it was asked, and that was not before, also where the log's time stands
    # still or the clock of whoever asked is ahead. What is over, the log's time alone says.
    asked_ms = max(now_ms, asking.due_ms)
    if asking.question == Question.REFUND:
        return _after_refund_answer(purchase, answer, asked_ms)
    if answer.heard == Heard.CAPTURED:
        return _after_capture(purchase, answer, now_ms)
    if answer.heard == Heard.ANOTHERS:
        return Followed(given_up(purchase))
    is_kept = purchase.status in UNSETTLED and now_ms >= purchase.deadline_ms
    if is_outdated and asking.question == Question.VERIFY and not is_kept:
        # The hint may tell of money that came after this answer. But hints keep no seats longer
        # than the deadline.
        return Followed(ask(purchase, Question.VERIFY, asked_ms))
    if purchase.status in UNSETTLED:
        look_ms = asked_ms if is_outdated else 0
        return _after_answer_without_money(
            purchase, asking.question, answer, now_ms, asked_ms, look_ms
        )
    if answer.heard == Heard.REFUNDED and _may_be_back(purchase):
        return _after_found_refunded(purchase)
    return Followed(look_again(purchase, answer, now_ms, asked_ms))


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
    return _ended(without_question(purchase), Turn.DECLINED)


def after_hint(purchase: Purchase, now_ms: int) -> Followed:
    """Return what follows from a hint that money may have moved: the gateway is asked."""
    # What was captured is known already, and what became of it.
    if purchase.status not in HINTS_MATTER or purchase.payment_id:
        return Followed(purchase)
    return Followed(look_for_money(purchase, now_ms))


def after_seats_sold(purchase: Purchase) -> Followed:
    """Return what follows when the section has sold the seats.

    The section may have been told twice to sell, and have refused the first time. Then the money
    is on its way back, and the seats must follow it.
    """
    if purchase.status == PurchaseStatus.CAPTURED:
        return Followed(turned(purchase, Turn.SEATS_SOLD)._replace(is_sold=True))
    if purchase.is_sold or purchase.status not in MONEY_GOES_BACK:
        return Followed(purchase)
    is_back = purchase.status == PurchaseStatus.REFUNDED
    return Followed(purchase._replace(is_sold=True), Say.TAKE_SEATS_BACK if is_back else None)


def after_seats_lost(purchase: Purchase, now_ms: int) -> Followed:
    """Return what follows when the section has no seats for the money: the money goes back."""
    if purchase.status != PurchaseStatus.CAPTURED:
        return Followed(purchase)
    return Followed(give_back(turned(purchase, Turn.SEATS_LOST), now_ms))


def after_no_decision(purchase: Purchase) -> Purchase:
    """Return a purchase whose section cannot decide: a person has to look after it.

    An open question to its gateway goes on first, above all a refund that is due.
    """
    if Turn.GAVE_UP in TRANSITIONS[purchase.status] and purchase.status not in GOES_ON:
        return turned(purchase, Turn.GAVE_UP)
    return purchase


def after_sale_without_money(purchase: Purchase) -> Followed:
    """Return what follows when the seats of a purchase without money turn out to be sold.

    Somebody else has confirmed the reservation. Only a person can find out what was paid, and
    where. Nothing follows where the sale is known already, or while money is on its way back; the
    section is told again later, and says so again.
    """
    is_known = purchase.is_sold or purchase.is_paid_elsewhere
    if is_known or purchase.status not in {*ENDED_UNPAID, PurchaseStatus.REFUNDED}:
        return Followed(purchase)
    return Followed(turned(purchase, Turn.GAVE_UP)._replace(is_sold=True))


def after_refund_asked(purchase: Purchase, now_ms: int) -> Followed:
    """Return what follows when a buyer wants the money of a sale back: once, it goes back."""
    if purchase.status != PurchaseStatus.DONE:
        return Followed(purchase)
    return Followed(give_back(turned(purchase, Turn.REFUND_ASKED), now_ms))


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
            return Followed(look_for_money(purchase, now_ms))
        case Finding.PAID_ELSEWHERE if purchase.is_sold:
            kept = purchase._replace(is_sold=False, is_paid_elsewhere=True, tries=0)
            if purchase.payment_id:
                return _refunded(without_question(kept))
            return Followed(turned(kept, Turn.FOUND_UNPAID))
    return Followed(purchase)


# --- the steps -------------------------------------------------------------------------------


def _after_capture(purchase: Purchase, answer: Answer, now_ms: int) -> Followed:
    purchase = purchase._replace(
        payment_id=answer.payment_id, paid=answer.amount, paid_currency=answer.currency, tries=0
    )
    is_exact = (answer.amount, answer.currency) == (purchase.amount, purchase.currency)
    if is_exact and not purchase.is_paid_elsewhere:
        return Followed(turned(purchase, Turn.CAPTURED), Say.SELL_SEATS)
    due = give_back(turned(purchase, Turn.DIFFERED), now_ms)
    return Followed(due, None if purchase.is_paid_elsewhere else Say.RELEASE_SEATS)


def _ended(purchase: Purchase, turn: Turn, look_ms: int = 0) -> Followed:
    """End a purchase without money; its seats go back.

    look_ms: when its gateway is asked once more; 0 for never.
    """
    purchase = turned(purchase, turn)._replace(tries=0)
    if look_ms:
        purchase = ask(purchase, Question.VERIFY, look_ms)
    return Followed(purchase, Say.RELEASE_SEATS)


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
            return Followed(ask(purchase, Question.CHARGE, asked_ms))
    return ask_again(purchase, question, answer, now_ms, asked_ms)


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
        return Followed(turned(purchase, Turn.GAVE_UP))
    due_ms = now_ms + pause_ms(retries, tries, answer)
    return Followed(ask(purchase, Question.REFUND, due_ms))


def _may_be_back(purchase: Purchase) -> bool:
    """Say whether a refund settles what a person looks after: not who paid for seats elsewhere."""
    is_open = purchase.status == PurchaseStatus.COMPENSATION_REQUIRED
    return is_open and bool(purchase.payment_id or not purchase.is_sold)


def _after_found_refunded(purchase: Purchase) -> Followed:
    """End what a person had to look after, and whose money is back."""
    followed = _refunded(without_question(purchase))
    if purchase.is_sold or purchase.is_paid_elsewhere:
        return followed
    # The seats may still be kept for it.
    return followed._replace(say=Say.RELEASE_SEATS)


def _refunded(purchase: Purchase) -> Followed:
    purchase = turned(purchase, Turn.REFUNDED)._replace(tries=0)
    return Followed(purchase, Say.TAKE_SEATS_BACK if purchase.is_sold else None)
