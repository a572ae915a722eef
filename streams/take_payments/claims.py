"""Claims of other shops that a reservation is paid for already, beside payments of our own.

A claim that the section refused has a purchase too, with the deadline 0, so that the gateway is
asked for its money, and gives it back. Such a purchase gives way to a payment that the section
asks for, once that can make nobody forget the money: for the same order, or when nothing is left
to be asked.
"""

from __future__ import annotations

from typing import Final

from state.domain.purchase import Followed, PurchaseStatus, Say
from state.domain.reservation import PaymentFailure
from state.records.names import PaymentRequested
from state.records.payments import COMPLETED, PurchaseRecord
from streams.take_payments.fold import PaymentFold

_IDENTITY: Final = ("user_id", "correlation_id", "section", "event_id", "request")
_UNPAID: Final = frozenset({PurchaseStatus.FAILED, PurchaseStatus.EXPIRED})
_SELLS: Final = frozenset({PurchaseStatus.CAPTURED, PurchaseStatus.DONE})


def is_claim(asked: PaymentRequested) -> bool:
    """Say whether a request is a claim: another shop says that the gateway has the money."""
    return asked.method == COMPLETED


def is_empty(known: PurchaseRecord) -> bool:
    """Say whether a purchase is a refused claim for which no money was found."""
    return not known.deadline_ms and known.status in _UNPAID


def gives_way(known: PurchaseRecord, asked: PaymentRequested) -> bool:
    """Say whether a refused claim may be replaced by what is asked for now.

    Its open question may find money. Under the same order a new question finds that as well; a
    refused claim of the same order asks nothing that is not asked already.
    """
    if not is_empty(known):
        return False
    return not known.number or (is_same_order(known, asked) and bool(asked.deadline_ms))


def is_same_order(known: PurchaseRecord, asked: PaymentRequested) -> bool:
    """Say whether a gateway would find the money of both under one order."""
    return (known.epoch, known.gateway) == (asked.epoch, asked.gateway)


def paid_as(known: PurchaseRecord) -> bytes:
    """Return the gateway's id of the capture, else the id in the claim; empty without both."""
    return known.payment_id or (known.parameters if known.method == COMPLETED else b"")


def tell_spent(fold: PaymentFold, asked: PaymentRequested, known: PurchaseRecord) -> None:
    """Release the seats of a new payment beside a refused claim that has money, or may have.

    A gateway captures an order once, so the new payment cannot be charged under that order; and
    under another order the buyer would pay twice. If the money of the claim buys the seats after
    all, they stay.
    """
    if not asked.deadline_ms or known.status in _SELLS:
        fold.tell(known, "REPEATED")
        return
    fold.count("ORDER_SPENT")
    if asked.epoch == known.epoch:
        # The purchase takes the identity that the section sent, so that it tells this section
        # until it answers.
        whose = {name: getattr(asked, name) for name in _IDENTITY}
        followed = Followed(known.purchase, Say.RELEASE_SEATS)
        fold.tell(fold.change(known, known._replace(**whose), followed), "REPEATED")
        return
    # The purchase is of another epoch, so of another order, and goes on by itself. It does not
    # tell the section again: if this command is lost, a repeated start leads here again.
    fold.send(asked, Say.RELEASE_SEATS, PaymentFailure.DIFFERED)
