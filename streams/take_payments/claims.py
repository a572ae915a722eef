"""Claims of other shops that a reservation is paid for already, beside payments of our own.

A claim that the section has refused has a purchase too, with the deadline 0: its gateway is asked
for the money, which goes back. A payment that the section asks for replaces such a purchase as
soon as no money can be forgotten by that: if both have the same order, or if the purchase has no
open question.

A claim about other money than that of the purchase is stored beside it, for a person. A
reservation has one purchase, and only the gateway of the purchase is asked.
"""

from __future__ import annotations

from typing import Final

from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Followed, Say
from state.domain.reservation import PaymentFailure
from state.records.names import PaymentRequested
from state.records.payments import COMPLETED, OtherPayment, PurchaseRecord
from streams.batch import Record
from streams.gateways.protocol import GATEWAY_ID
from streams.take_payments.fold import PaymentFold

_IDENTITY: Final = ("user_id", "correlation_id", "section", "event_id", "request")
_UNPAID: Final = frozenset({PurchaseStatus.FAILED, PurchaseStatus.EXPIRED})
OTHERS_MAX: Final = 16
"""How many claims are stored beside a purchase; more cannot be about one reservation."""

_SELLS: Final = frozenset({PurchaseStatus.CAPTURED, PurchaseStatus.DONE})


def is_claim(asked: PaymentRequested) -> bool:
    """Say whether a request is a claim: another shop says that the gateway has the money."""
    return asked.method == COMPLETED


def has_payment_id(asked: PaymentRequested) -> bool:
    """Say whether a claim names its money as a gateway could; what it names is stored."""
    return GATEWAY_ID.fullmatch(asked.parameters.decode("latin-1")) is not None


def is_empty(known: PurchaseRecord) -> bool:
    """Say whether a purchase is a refused claim for which no money was found."""
    return not known.deadline_ms and known.status in _UNPAID


def gives_way(known: PurchaseRecord, asked: PaymentRequested) -> bool:
    """Say whether this request may replace a refused claim.

    The open question of the claim may find money. A payment with the same order finds that money
    as well; another refused claim with the same order has nothing more to ask.
    """
    if not is_empty(known):
        return False
    return not known.number or (is_same_order(known, asked) and bool(asked.deadline_ms))


def is_same_order(known: PurchaseRecord, asked: PaymentRequested) -> bool:
    """Say whether a gateway would find the money of both under one order."""
    return (known.epoch, known.gateway) == (asked.epoch, asked.gateway)


def ids_of(known: PurchaseRecord) -> frozenset[bytes]:
    """Return the ids of a purchase's money: that of its gateway, and that of the claim."""
    return frozenset({known.payment_id, known.claimed_id} - {b""})


def is_of_other_money(known: PurchaseRecord, asked: PaymentRequested) -> bool:
    """Say whether a claim is about other money than the purchase.

    A capture has one id at its gateway, whoever tells of it and under whatever order.
    """
    ids = ids_of(known)
    if asked.gateway == known.gateway and asked.parameters in ids:
        return False
    return bool(ids) or not is_same_order(known, asked) or asked.user_id != known.user_id


def list_other(
    fold: PaymentFold, record: Record, asked: PaymentRequested, known: PurchaseRecord
) -> PurchaseRecord:
    """Store a claim about other money beside a purchase, once; return the purchase."""
    other = OtherPayment(
        asked.gateway,
        asked.parameters,
        asked.user_id,
        asked.epoch,
        asked.amount,
        asked.currency,
        fold.log_time_ms,
    )
    if any(one[:2] == other[:2] for one in known.others):
        fold.tell(known, "REPEATED")
        return known
    if len(known.others) >= OTHERS_MAX:
        fold.bury(record, "OTHER_PAYMENT", "beside too many others", is_strangers=True)
        return known
    fold.count("ANOTHER_PAYMENT")
    after = known._replace(others=(*known.others, other))
    return fold.change(known, after, Followed(known.purchase))


def tell_spent(fold: PaymentFold, asked: PaymentRequested, known: PurchaseRecord) -> None:
    """Release the seats of a new payment beside a refused claim that has money, or may have.

    A gateway captures an order once, so the new payment cannot be charged under the order of the
    claim, and under another order the buyer would pay twice. If the money of the claim buys the
    seats after all, they stay sold.
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
