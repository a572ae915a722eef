"""The questions of a purchase to its gateway: when one is asked, again, and for the last time.

A purchase asks one question at a time. A question without an answer changes nothing, and is asked
again after a pause, until patience ends: then a person is asked.
"""

from typing import Final, NamedTuple

from state.domain.purchases.statuses import PurchaseStatus, Turn
from state.domain.purchases.values import (
    Answer,
    Asking,
    Followed,
    Heard,
    Purchase,
    Question,
    given_up,
    turned,
)


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

# A refused look-up is no answer either: the gateway may know what it does not tell.
_UNANSWERED: Final = {Heard.OPEN, Heard.NOT_DONE, Heard.REFUSED}


def ask(purchase: Purchase, question: Question, due_ms: int) -> Purchase:
    """Open a question in place of the one that is open, if any; CHARGE ends at the deadline."""
    number = purchase.asked + 1
    until_ms = purchase.deadline_ms if question == Question.CHARGE else 0
    asking = Asking(question, number, due_ms, until_ms)
    return purchase._replace(asking=asking, asked=number, is_hinted=False)


def look_for_money(purchase: Purchase, now_ms: int) -> Purchase:
    """Ask the gateway what became of the order.

    A question that is due may be under way: its answer is waited for, and `is_hinted` remembers
    that it may be older than the money. A question that is due later is replaced by VERIFY, due
    now; that counts as no further try.
    """
    asking = purchase.asking
    if asking is None:
        return ask(purchase._replace(tries=0), Question.VERIFY, now_ms)
    if asking.due_ms <= now_ms:
        return purchase._replace(is_hinted=True)
    tries, overtime = max(0, purchase.tries - 1), max(0, purchase.overtime - 1)
    return ask(purchase._replace(tries=tries, overtime=overtime), Question.VERIFY, now_ms)


def without_question(purchase: Purchase) -> Purchase:
    """Close the open question: it was answered, or its answer no longer counts."""
    return purchase._replace(asking=None, is_hinted=False)


def give_back(purchase: Purchase, now_ms: int) -> Purchase:
    """Ask for a refund, with patience anew."""
    return ask(purchase._replace(tries=0, overtime=0), Question.REFUND, now_ms)


def ask_again(
    purchase: Purchase, question: Question, answer: Answer, now_ms: int, asked_ms: int
) -> Followed:
    """Ask again after an answer that settles nothing while seats are kept, or give up.

    asked_ms: when it was asked, at the earliest; pauses begin there.
    """
    if question == Question.CHARGE and answer.heard == Heard.OPEN:
        purchase = turned(purchase, Turn.LEFT_OPEN)
    tries = purchase.tries + 1
    is_over = now_ms >= purchase.deadline_ms
    purchase = purchase._replace(tries=tries, overtime=purchase.overtime + is_over)
    if purchase.overtime > LATE_RETRIES.most:
        return Followed(turned(purchase, Turn.GAVE_UP))
    # A worker whose clock is ahead of the log's time asks as seldom as after the deadline.
    retries = LATE_RETRIES if asked_ms >= purchase.deadline_ms else ASK_RETRIES
    due_ms = asked_ms + pause_ms(retries, purchase.overtime or tries, answer)
    # Also where nothing is known to be done: a worker that is gone may have asked.
    is_in_time = purchase.status == PurchaseStatus.PENDING and due_ms < purchase.deadline_ms
    is_charged_again = is_in_time and purchase.may_charge
    next_question = Question.CHARGE if is_charged_again else Question.VERIFY
    return Followed(ask(purchase, next_question, due_ms))


def look_again(purchase: Purchase, answer: Answer, now_ms: int, asked_ms: int) -> Purchase:
    """Go on after a look at a purchase that has ended without money, or is a person's."""
    if answer.heard in _UNANSWERED:
        tries = purchase.tries + 1
        purchase = purchase._replace(tries=tries)
        if tries >= WAIT_RETRIES.most:
            # Money may have come, and no other question would find it.
            return given_up(purchase)
        due_ms = asked_ms + pause_ms(WAIT_RETRIES, tries, answer)
        return ask(purchase, Question.VERIFY, due_ms)
    last_ms = purchase.deadline_ms + LAST_LOOK_MS
    if answer.heard == Heard.NOT_FOUND and now_ms < last_ms:
        # A hint, or a worker whose clock is ahead, had this asked before the last look was due.
        due_ms = last_ms if asked_ms < last_ms else asked_ms + LATE_RETRIES.longest_ms
        return ask(purchase, Question.VERIFY, due_ms)
    return purchase


def pause_ms(retries: Retries, tries: int, answer: Answer) -> int:
    """Return the pause after a try: ours, or a longer one that the gateway asks for."""
    return max(retries.pause_ms(tries), min(answer.wait_ms, WAIT_MS_MAX))
