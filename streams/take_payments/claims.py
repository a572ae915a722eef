"""Claims of other shops that a payment is made already: how they stand beside our own payments.

A claim that the section refused has a purchase too, of deadline 0, so that its money is looked for
and given back. It must never be in the way of a payment that the section did ask for.
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
    """Say whether another shop says that the gateway has the money."""
    return asked.method == COMPLETED


def is_empty(known: PurchaseRecord) -> bool:
    """Say whether a purchase is a refused claim of which no money is known."""
    return not known.deadline_ms and known.status in _UNPAID


def paid_as(known: PurchaseRecord) -> bytes:
    """Return what the gateway calls the capture, or a claim says so; empty where nobody has."""
    return known.payment_id or (known.parameters if known.method == COMPLETED else b"")


def tell_spent(fold: PaymentFold, asked: PaymentRequested, known: PurchaseRecord) -> None:
    """Let the seats go of a payment whose order was used up by money that came for nothing.

    A gateway captures an order once. Where that money buys the seats after all, they stay.
    """
    if not asked.deadline_ms or known.status in _SELLS:
        fold.tell(known, "REPEATED")
        return
    fold.count("ORDER_SPENT")
    if asked.epoch == known.epoch:
        # Whose seats they are, the section says, and is told again until it answers.
        whose = {name: getattr(asked, name) for name in _IDENTITY}
        followed = Followed(known.purchase, Say.RELEASE_SEATS)
        fold.tell(fold.change(known, known._replace(**whose), followed), "REPEATED")
        return
    # That other order's money has its own way to go, and a repeated start asks again.
    key = b"%d-%s" % (asked.event_id, asked.section)
    commands = fold.setup.codecs.commands
    failed = commands.fail_payment(asked.request, asked.epoch, PaymentFailure.DIFFERED)
    fold.effects.to(fold.setup.section_commands).append((key, failed))
