"""What a buyer has bought of an event: orders, and the tickets that follow from them. Pure.

Everything that one buyer has bought of one event is one purchase, for ever: so there cannot be two
active ones. It is active while one of its orders is valid. Of each order the newest word counts,
in whatever order words come, and however often.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from state.domain.keys import issued_id, split_issued_id, stem_of

TICKETS_MAX: Final = 10_000
"""Of one order; no cart takes nearly as many."""

_INDEX_MAX: Final = 2**31 - 1


class IssuedOrder(NamedTuple):
    """One payment of a purchase, and the seats that it bought; fields in the order of its record.

    turns:         of two words about the order the one with more is newer.
    is_valid:      whether the seats are the buyer's.
    amount:        in the currency's minor unit.
    seats:         (section, row, first seat, count), indexes from 0.
    changed_at_ms: when it was confirmed or revoked, Unix ms.
    """

    order_id: bytes
    reservation_id: bytes
    turns: int
    is_valid: bool
    amount: int
    currency: bytes
    booking_number: bytes
    seats: tuple[tuple[bytes, int, int, int], ...]
    changed_at_ms: int

    @property
    def wrong_seats(self) -> str:
        """Say what is wrong with its seats, without counting them one by one; empty for nothing.

        Whoever lists its tickets makes one for each seat.
        """
        if any(row < 0 or first < 0 or count < 1 for _, row, first, count in self.seats):
            return "an index below 0, or a range without a seat"
        if any(first + count > _INDEX_MAX for _, _, first, count in self.seats):
            return "an index that is too high"
        wanted = sum(count for _, _, _, count in self.seats)
        if wanted > TICKETS_MAX:
            return f"{wanted} seats in one order"
        seats = {
            (section, row, seat)
            for section, row, first, count in self.seats
            for seat in range(first, first + count)
        }
        return "" if len(seats) == wanted else "one seat twice"

    @property
    def shortened(self) -> IssuedOrder:
        """Return the same order with what is needed of it: name and turns, if it is not valid.

        Older words about it are known by them.
        """
        if self.is_valid:
            return self
        return IssuedOrder(
            self.order_id, self.reservation_id, self.turns, False, 0, b"", b"", (), 0
        )


class IssuedTicket(NamedTuple):
    """One seat of an order: row and seat are indexes from 0."""

    order: IssuedOrder
    section: bytes
    row: int
    seat: int

    @property
    def id(self) -> str:
        """Return its id, `{order id}.{section}.{row}.{seat}`: the same for ever."""
        return f"{self.order.order_id.decode()}.{self.section.decode()}.{self.row}.{self.seat}"


class IssuedPurchase(NamedTuple):
    """All that one buyer has bought of one event; orders by ascending id."""

    purchase_id: bytes
    user_id: bytes
    event_id: int
    orders: tuple[IssuedOrder, ...] = ()

    @property
    def is_active(self) -> bool:
        return any(order.is_valid for order in self.orders)

    @property
    def revision(self) -> int:
        """Return a number that each change raises, whatever came before it."""
        return sum(order.turns for order in self.orders)

    def tickets(self) -> Iterator[IssuedTicket]:
        """Yield the tickets of the valid orders as they lie in the house: section, row, seat."""
        found = [
            IssuedTicket(order, section, row, seat)
            for order in self.orders
            if order.is_valid
            for section, row, first, count in order.seats
            for seat in range(first, first + count)
        ]
        yield from sorted(found, key=lambda one: (*one[1:], one.order.order_id))

    def taking(self, order: IssuedOrder) -> IssuedPurchase:
        """Return the purchase with what an order says now; the same one if that is known."""
        by_id = {known.order_id: known for known in self.orders}
        known = by_id.get(order.order_id)
        if known is not None and known.turns >= order.turns:
            return self
        by_id[order.order_id] = order
        return self._replace(orders=tuple(by_id[order_id] for order_id in sorted(by_id)))

    @property
    def shortened(self) -> IssuedPurchase:
        """Return the same purchase without what is not needed of its revoked orders."""
        return self._replace(orders=tuple(order.shortened for order in self.orders))


def purchase_id(user_id: bytes, event_id: int, partition: int) -> str:
    """Return the id of all that a buyer has bought of an event, on the partition of that key."""
    # No idempotency key has a control character: nobody gets this ticket for a reservation.
    return issued_id(stem_of(user_id.decode(), f"\x01purchase:{event_id}"), partition)


def is_purchase_of(own_id: bytes, partition: int) -> bool:
    """Say whether an id is one of a purchase that lies on a partition."""
    # What is no text has a character that no id has.
    parts = split_issued_id(own_id.decode(errors="replace"))
    return parts is not None and parts.partition == partition
