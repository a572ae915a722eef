"""How payments stand while the demo runs, as they are told on payment-events."""

from schemas.topics import PAYMENT_EVENTS
from scripts.traffic.sending import OutcomeReader
from serdes.avro.field_names import position
from serdes.registry.ids import SchemaIds
from state.domain.purchases.statuses import PurchaseStatus
from state.records.payments import PAYMENTS

STATUS = position(PAYMENTS + "PaymentChanged", "status")
UNDER_WAY = {
    PurchaseStatus.PENDING,
    PurchaseStatus.PROCESSING,
    PurchaseStatus.CAPTURED,
    PurchaseStatus.REFUND_DUE,
}


class Payments:
    """Which payments have begun and not ended, and how many sales were given back.

    returned: sales whose money went back; their seats go back a moment later.
    """

    def __init__(self, ids: SchemaIds, brokers: str) -> None:
        self.returned = 0
        self._reader = OutcomeReader(brokers, ids, PAYMENT_EVENTS)
        self._status: dict[bytes, PurchaseStatus] = {}
        self._sold: set[bytes] = set()
        self._open: set[bytes] = set()

    def read(self, timeout_s: float = 0) -> None:
        """Take in what has come."""
        for message in self._reader.read(timeout_s):
            fields = self._reader.fields_of(message.value() or b"")
            self._know(message.key() or b"", PurchaseStatus(fields[STATUS]))

    def _know(self, reservation_id: bytes, status: PurchaseStatus) -> None:
        if self._status.get(reservation_id) == status:
            # Told again.
            return
        self._status[reservation_id] = status
        (self._open.add if status in UNDER_WAY else self._open.discard)(reservation_id)
        if status == PurchaseStatus.DONE:
            self._sold.add(reservation_id)
        elif status == PurchaseStatus.REFUNDED and reservation_id in self._sold:
            self.returned += 1

    @property
    def under_way(self) -> int:
        """Return how many have begun and not ended."""
        return len(self._open)

    def close(self) -> None:
        """Leave."""
        self._reader.close()
