"""Decoders and encoders of purchases, tickets' orders and allocations; made once at start."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import (
    PERFORMANCE_SLOTS,
    PURCHASE_CONFIRMED,
    PURCHASE_CREATED,
    SEATS_ALLOCATED,
)
from serdes.avro.codegen import Encode
from serdes.avro.stored import stored_decoder, stored_encoder
from serdes.codecs import Codecs, read_from, written_to
from serdes.decoding import TopicDecoder
from state.domain.issued.purchase import IssuedOrder, IssuedPurchase
from state.domain.issued.slots import Slot
from state.records.names import SoldSeats

PURCHASES: Final = "io.seatstream.purchases."
_STATE: Final = "io.seatstream.state."

KEPT: Final = frozenset({b"approved", b"active"})
"""Statuses of an allocation that a purchase has, in the service's words."""

ENDED: Final = b"ended"
"""Our own word for the status of what a purchase had before it ended."""


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
    seats: tuple[SoldSeats, ...]
    changed_at_ms: int

    def order(self, *, is_valid: bool) -> IssuedOrder:
        """Return what a purchase keeps of it."""
        return IssuedOrder(
            self.order_id,
            self.reservation_id,
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


class Allocated(NamedTuple):
    """A SeatsAllocated."""

    purchase_id: bytes
    user_id: bytes
    event_id: int
    revision: int
    allocation_id: bytes
    status: bytes


class SlotWord(NamedTuple):
    """A SlotScheduled or a SlotCancelled, which have the same fields."""

    purchase_id: bytes
    user_id: bytes
    event_id: int
    revision: int
    allocation_id: bytes
    date: bytes
    time: bytes
    starts_ms: int


class Allocation(NamedTuple):
    """What is allocated to a purchase.

    revision: the newest of the purchase that was acted on.
    allocation_id, status: empty for none.
    """

    revision: int
    allocation_id: bytes = b""
    status: bytes = b""


class SlotWindow(NamedTuple):
    """The slots to come of what a purchase has.

    revision: of the purchase, as the newest word about its allocation told it.
    allocation_id: empty once that has ended.
    """

    revision: int
    allocation_id: bytes = b""
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True)
class IssuingCodecs(Codecs):
    """Codecs by the role they play.

    confirmed, told, heard, planned: decode purchase-confirmed, purchase-created, seats-allocated
                     and performance-slots; they learn other schema ids.
    created, changed, allocated, scheduled, cancelled: encode values of records, header included.
    """

    confirmed: TopicDecoder = read_from(PURCHASE_CONFIRMED)
    told: TopicDecoder = read_from(PURCHASE_CREATED)
    heard: TopicDecoder = read_from(SEATS_ALLOCATED)
    planned: TopicDecoder = read_from(PERFORMANCE_SLOTS)
    created: Encode = written_to(PURCHASE_CREATED, PURCHASES + "PurchaseCreated")
    changed: Encode = written_to(PURCHASE_CREATED, PURCHASES + "PurchaseChanged")
    allocated: Encode = written_to(SEATS_ALLOCATED, PURCHASES + "SeatsAllocated")
    scheduled: Encode = written_to(PERFORMANCE_SLOTS, PURCHASES + "SlotScheduled")
    cancelled: Encode = written_to(PERFORMANCE_SLOTS, PURCHASES + "SlotCancelled")


_purchase = stored_encoder(_STATE + "IssuedPurchase")
_read_purchase = stored_decoder(_STATE + "IssuedPurchase")
_allocation = stored_encoder(_STATE + "Allocation")
_read_allocation = stored_decoder(_STATE + "Allocation")
_window = stored_encoder(_STATE + "SlotWindow")
_read_window = stored_decoder(_STATE + "SlotWindow")


def stored_purchase(purchase: IssuedPurchase) -> bytes:
    """Return the IssuedPurchase record for the store."""
    stored: bytes = _purchase(*purchase)
    return stored


def issued_purchase(payload: bytes) -> IssuedPurchase:
    """Return the purchase in a stored record; raises Refused for other bytes."""
    purchase_id, user_id, event_id, orders = _read_purchase(payload, 0)
    kept = tuple(IssuedOrder(*order) for order in orders)
    return IssuedPurchase(purchase_id, user_id, event_id, kept)


def stored_allocation(allocation: Allocation) -> bytes:
    """Return the Allocation record for the store."""
    stored: bytes = _allocation(*allocation)
    return stored


def allocation_of(payload: bytes) -> Allocation:
    """Return the allocation in a stored record; raises Refused for other bytes."""
    return Allocation(*_read_allocation(payload, 0))


def stored_window(window: SlotWindow) -> bytes:
    """Return the SlotWindow record for the store."""
    stored: bytes = _window(*window)
    return stored


def slot_window(payload: bytes) -> SlotWindow:
    """Return the window in a stored record; raises Refused for other bytes."""
    revision, allocation_id, slots = _read_window(payload, 0)
    return SlotWindow(revision, allocation_id, tuple(Slot(*slot) for slot in slots))
