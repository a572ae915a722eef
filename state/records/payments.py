"""Records of payments: purchases in the store, and what pods append to payment-commands."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from schemas.topics import PAYMENT_COMMANDS
from serdes.avro.stored import stored_decoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.domain.keys import split_order_id
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Asking, Finding, Purchase, Question
from state.records.names import SoldSeats

PAYMENTS: Final = "io.seatstream.payments."

COMPLETED: Final = b"COMPLETED"
"""Method of a payment that another shop claims to be made: no gateway's, for those are small."""
_PURCHASE: Final = "io.seatstream.state.Purchase"


class OtherPayment(NamedTuple):
    """A payment that another shop tells of beside a purchase; fields as in Avro.

    told_at_ms: Unix ms of the log. finding: number of a Finding; 0 while a person has to look.
    """

    gateway: bytes
    payment_id: bytes
    user_id: bytes
    epoch: int
    amount: int
    currency: bytes
    told_at_ms: int
    finding: int = 0


class PurchaseRecord(NamedTuple):
    """A stored purchase.

    status:   number of a PurchaseStatus.
    method:   COMPLETED where another shop says that the gateway has the money; then `parameters`
              are the gateway's payment id as that shop tells it.
    deadline_ms: 0 where no section keeps seats for it: a claim that was refused.
    question: number of the open Question; 0 for none.
    saying:   number of the Say that the section is told until it answers; 0 for none.
    saying_since_ms, undecided_since_ms: since when, and since when it answers INTERNAL to that;
              Unix ms of the log, 0 where it is not so.
    hints, hints_since_ms: ids of the webhooks that were heard in a window, and when that began.
    number, due_ms, until_ms: as in Asking, of the open question; 0 without one.
    paid, paid_currency: what was captured.
    claimed_id: the gateway's id of the capture as another shop tells it.
    others:   an OtherPayment for each payment that is told of beside this one.
    turns:    how often its status has changed. seats: what was sold.
    """

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    epoch: int
    amount: int
    currency: bytes
    gateway: bytes
    method: bytes
    parameters: bytes
    status: int = 0
    payment_id: bytes = b""
    booking_number: bytes = b""
    deadline_ms: int = 0
    changed_at_ms: int = 0
    question: int = 0
    number: int = 0
    due_ms: int = 0
    until_ms: int = 0
    asked: int = 0
    tries: int = 0
    overtime: int = 0
    is_sold: bool = False
    paid: int = 0
    paid_currency: bytes = b""
    saying: int = 0
    detail: bytes = b""
    is_hinted: bool = False
    is_paid_elsewhere: bool = False
    saying_since_ms: int = 0
    undecided_since_ms: int = 0
    hints: tuple[bytes, ...] = ()
    hints_since_ms: int = 0
    claimed_id: bytes = b""
    others: tuple[OtherPayment, ...] = ()
    turns: int = 0
    seats: tuple[SoldSeats, ...] = ()

    @property
    def needs_person(self) -> bool:
        """Say whether a person has to find out about it, or about a payment beside it."""
        is_lost = self.status == PurchaseStatus.COMPENSATION_REQUIRED
        return is_lost or any(not one.finding for one in self.others)

    @property
    def purchase(self) -> Purchase:
        """Return the purchase as the rules of the domain need it."""
        asking = None
        if self.question:
            asking = Asking(Question(self.question), self.number, self.due_ms, self.until_ms)
        return Purchase(
            self.amount,
            self.currency,
            self.deadline_ms,
            PurchaseStatus(self.status),
            asking,
            may_charge=self.method != COMPLETED,
            **_shared(self),
        )

    def unsaid(self) -> PurchaseRecord:
        """Return the record of a purchase whose section is told nothing any more."""
        return self._replace(saying=0, saying_since_ms=0, undecided_since_ms=0)

    def with_purchase(self, purchase: Purchase) -> PurchaseRecord:
        """Return this record with what the rules have changed of its purchase."""
        question, number, due_ms, until_ms = purchase.asking or (0, 0, 0, 0)
        return self._replace(
            status=purchase.status,
            question=question,
            number=number,
            due_ms=due_ms,
            until_ms=until_ms,
            **_shared(purchase),
        )


# What the rules change that a record stores as it is.
_SHARED: Final = (
    "asked",
    "tries",
    "overtime",
    "payment_id",
    "is_sold",
    "paid",
    "paid_currency",
    "is_hinted",
    "is_paid_elsewhere",
)


def _shared(of: Purchase | PurchaseRecord) -> dict[str, Any]:
    return {name: getattr(of, name) for name in _SHARED}


_read = stored_decoder(_PURCHASE)


def purchase_of(payload: bytes) -> PurchaseRecord:
    """Return the purchase in a stored record; raises Refused for other bytes."""
    record = PurchaseRecord._make(_read(payload, 0))
    return record._replace(others=tuple(map(OtherPayment._make, record.others)))


class PaymentEncoders:
    """Encodes what pods append to payment-commands, with the registered schema ids."""

    def __init__(self, ids: SchemaIds) -> None:
        by_name = encoders(PAYMENT_COMMANDS, ids)
        self._hint = by_name[PAYMENTS + "PaymentHint"]
        self._refund = by_name[PAYMENTS + "RefundRequested"]
        self._resolved = by_name[PAYMENTS + "CompensationResolved"]

    def hint(self, gateway: str, event_id: str, order_id: str) -> bytes:
        """Return the hint of a believed webhook; ValueError for an order that is none of ours.

        The caller appends it to the partition of the order, under the reservation's id.
        """
        order = split_order_id(order_id)
        if order is None:
            raise ValueError("no order id of ours")
        return self._hint(
            order.reservation_id.encode(), order.epoch, gateway.encode(), event_id.encode()
        )

    def refund_requested(self, identity: bytes) -> bytes:
        """Return a buyer's wish to have the money of a sale back.

        identity: the buyer's, with the section and event of the payment.
        """
        return self._refund(identity)

    def compensation_resolved(
        self, identity: bytes, finding: Finding, gateway: str = "", payment_id: str = ""
    ) -> bytes:
        """Return what an operator has found.

        gateway, payment_id: of a payment that another shop told of beside the payment's own.
        """
        return self._resolved(identity, finding, gateway.encode(), payment_id.encode())
