"""Decoders and encoders of purchases, and of what is told about them; made once at start."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED
from serdes.avro.codegen import Encode, encoder
from serdes.avro.stored import stored_decoder
from serdes.decoding import TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.domain.issued.purchase import IssuedOrder, IssuedPurchase
from state.records.names import SeatRange

PURCHASES: Final = "io.seatstream.purchases."
_STATE: Final = "io.seatstream.state."


class OrderWord(NamedTuple):
    """A PurchaseConfirmed or a PurchaseRevoked, which have the same fields."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    order_id: bytes
    turns: int
    amount: int
    currency: bytes
    booking_number: bytes
    seats: tuple[SeatRange, ...]
    changed_at_ms: int

    def order(self, *, is_valid: bool) -> IssuedOrder:
        """Return what a purchase keeps of it."""
        return IssuedOrder(
            self.order_id,
            self.reservation_id,
            self.section,
            self.turns,
            is_valid,
            self.amount,
            self.currency,
            self.booking_number,
            self.seats,
            self.changed_at_ms,
        )


class Created(NamedTuple):
    """A PurchaseCreated; order: fields of an IssuedOrder."""

    purchase_id: bytes
    user_id: bytes
    event_id: int
    revision: int
    order: tuple[object, ...]


class Changed(NamedTuple):
    """A PurchaseChanged; order: fields of an IssuedOrder."""

    purchase_id: bytes
    user_id: bytes
    event_id: int
    revision: int
    is_active: bool
    order: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class IssuingCodecs:
    """Codecs by the role they play.

    confirmed, told: decode purchase-confirmed and purchase-created; they learn other schema ids.
    created, changed: encode values of records, header included.
    """

    confirmed: TopicDecoder
    told: TopicDecoder
    created: Encode
    changed: Encode

    @classmethod
    def of(cls, ids: SchemaIds) -> "IssuingCodecs":
        """Return the codecs that write these ids."""
        by_name = encoders(PURCHASE_CREATED, ids)
        return cls(
            confirmed=TopicDecoder(PURCHASE_CONFIRMED, ids),
            told=TopicDecoder(PURCHASE_CREATED, ids),
            created=by_name[PURCHASES + "PurchaseCreated"],
            changed=by_name[PURCHASES + "PurchaseChanged"],
        )


_purchase = encoder(_STATE + "IssuedPurchase")
_read_purchase = stored_decoder(_STATE + "IssuedPurchase")


def stored_purchase(purchase: IssuedPurchase) -> bytes:
    """Return the IssuedPurchase record for the store."""
    stored: bytes = _purchase(*purchase)
    return stored


def issued_purchase(payload: bytes) -> IssuedPurchase:
    """Return the purchase in a stored record; raises Refused for other bytes."""
    purchase_id, user_id, event_id, orders = _read_purchase(payload, 0)
    kept = tuple(IssuedOrder(*order) for order in orders)
    return IssuedPurchase(purchase_id, user_id, event_id, kept)
