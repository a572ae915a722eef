"""How a payment stands, by its reservation and by the purchase that the payments role keeps.

A pod knows from memory that a hold waits for its payment, and says so even while no owner answers.
Only the owner of the purchase knows whether money was captured or goes back.
"""

import asyncio
from typing import Any, Final, NamedTuple

from api.access.identity import Identity
from api.commands.desk import own_outcome
from api.pod import Pod
from api.standing import UNANSWERED, is_news, own, standing_of
from api.web.problems import Problem, told_as
from schemas.topics import PAYMENT_COMMANDS
from state.domain.keys import PURCHASE, split_issued_id
from state.domain.outcome import ReservationView
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.reasons import ApiReason
from state.domain.reservation import Status
from state.records.payments import PurchaseRecord, purchase_of

LOOKS_EVERY_S: Final = 2.0
"""How often a purchase is read again while a caller waits: some changes of it have no outcome."""


class Payment(NamedTuple):
    """A reservation of the caller, and its purchase.

    purchase: None where none was begun, or where its owner does not answer.
    """

    held: ReservationView
    purchase: PurchaseRecord | None

    @property
    def status(self) -> str:
        if self.purchase is not None:
            return PurchaseStatus(self.purchase.status).name
        if self.held.status is Status.PAYING:
            return "PENDING"
        is_free = bool(self.held.currency) and self.held.amount == 0
        if self.held.status is Status.SOLD and is_free:
            return "DONE"
        is_open = self.held.status in {Status.HELD, Status.SOLD}
        return "NOT_STARTED" if is_open else "REJECTED"

    @property
    def revision(self) -> str:
        """Return a text that changes whenever the reservation or the purchase does."""
        purchase = self.purchase
        told = "" if purchase is None else f"{purchase.status}.{purchase.changed_at_ms}"
        return f"{self.held.outcome_id}/{told}"


async def payment_of(pod: Pod, payment_id: str, who: Identity) -> Payment:
    """Return how a payment stands; raises Problem (404, 503) as a look-up of its reservation."""
    held = own(await standing_of(pod, payment_id), who)
    if held.status is Status.HELD:
        return Payment(held, None)
    try:
        return Payment(held, await purchase_at_owner(pod, held))
    except Problem:
        if held.status is Status.PAYING:
            return Payment(held, None)
        raise


async def changed_payment(
    pod: Pod, payment_id: str, who: Identity, revision: str, wait_s: float
) -> Payment:
    """Wait until a payment has another revision, or `wait_s` has passed; return how it stands."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    # The waiter is registered before the payment is read, so no outcome in between is missed.
    with pod.outcomes.waiting(payment_id.encode()) as waiter:
        payment = await payment_of(pod, payment_id, who)
        while payment.revision == revision and (left_s := until_s - loop.time()) > 0:
            if pod.draining.is_set():
                break
            await own_outcome(waiter, is_news, min(left_s, LOOKS_EVERY_S))
            payment = await payment_of(pod, payment_id, who)
    return payment


async def purchase_at_owner(pod: Pod, held: ReservationView) -> PurchaseRecord | None:
    """Return a reservation's purchase, as its owner has it.

    None where none was begun yet, or the seats were sold without a payment. Raises Problem (503)
    where the owner cannot be asked, or has not read as far as the section has decided.
    """
    key = held.reservation_id.encode()
    parts = split_issued_id(held.reservation_id)
    assert parts is not None
    with told_as(UNANSWERED):
        stored = await pod.owners.get(PAYMENT_COMMANDS.name, parts.partition, PURCHASE + key)
        if stored is not None:
            return purchase_of(stored)
        if held.status not in _SOLD_ONCE:
            return None
        reservation = await pod.owners.reservation(parts.partition, key)
    if reservation is not None and reservation.has_payment:
        # The section began the payment, so its owner will know it once it has read everything
        # that is committed.
        raise Problem.of(ApiReason.NOT_READY, "The payment's owner is behind; ask again shortly.")
    return None


_SOLD_ONCE: Final = frozenset({Status.SOLD, Status.REFUNDED})


_UNDER_WAY: Final = frozenset({PurchaseStatus.PENDING, PurchaseStatus.PROCESSING})


def payment_body(payment: Payment) -> dict[str, Any]:
    """Return the members of a PaymentBody."""
    held, purchase = payment.held, payment.purchase
    body = {
        "payment_id": held.reservation_id,
        "status": payment.status,
        "reservation_status": held.status.name,
        "amount": held.amount,
        "currency": held.currency,
        "gateway": None,
        "booking_number": None,
        "epoch": held.epoch,
        "deadline_ms": held.deadline_ms if held.status is Status.PAYING else None,
        "revision": payment.revision,
    }
    if purchase is None:
        return body
    return body | {
        "amount": purchase.amount,
        "currency": purchase.currency.decode(),
        "gateway": purchase.gateway.decode(),
        "booking_number": purchase.booking_number.decode() or None,
        "deadline_ms": purchase.deadline_ms if purchase.status in _UNDER_WAY else None,
    }
