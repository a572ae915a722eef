"""Words about purchases in, with what the tables have; the rows that they shall have, out. Pure.

Of each row the newest version counts, in whatever order words come, and however often.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, time
from typing import NamedTuple

from state.domain.issued.purchase import IssuedOrder, IssuedPurchase


class PurchaseRow(NamedTuple):
    """A row of `purchases`."""

    purchase_id: str
    user_id: str
    event_id: int
    revision: int
    is_active: bool


class OrderRow(NamedTuple):
    """A row of `orders`; seats: (section, row, first seat, count), indexes from 0."""

    order_id: str
    purchase_id: str
    reservation_id: str
    turns: int
    is_valid: bool
    amount: int
    currency: str
    booking_number: str
    seats: tuple[tuple[str, int, int, int], ...]
    changed_at_ms: int

    def tickets(self) -> Iterator[TicketRow]:
        """Yield the rows of `tickets` that follow from it."""
        for section, row, first, count in self.seats:
            for seat in range(first, first + count):
                ticket_id = f"{self.order_id}.{section}.{row}.{seat}"
                yield TicketRow(ticket_id, self.order_id, section, row, seat, self.is_valid)


class TicketRow(NamedTuple):
    """A row of `tickets`; it has no version of its own, but its order's."""

    ticket_id: str
    order_id: str
    section: str
    row_index: int
    seat_index: int
    is_valid: bool


class SlotRow(NamedTuple):
    """A row of `slots`; slot_date, slot_time: where the event is. starts_at_ms: Unix ms."""

    slot_id: str
    purchase_id: str
    user_id: str
    event_id: int
    revision: int
    allocation_id: str
    slot_date: date
    slot_time: time
    starts_at_ms: int
    is_cancelled: bool


class AllocationRow(NamedTuple):
    """A row of `allocations`: what a purchase has, in the service's words."""

    purchase_id: str
    user_id: str
    event_id: int
    revision: int
    allocation_id: str
    status: str


Row = PurchaseRow | OrderRow | AllocationRow | SlotRow
Key = tuple[type[Row], str]
"""A row's table, and its id there."""

Mark = tuple[str, str]
"""An event that was acted on: its topic, and its id there."""


class Word(NamedTuple):
    """What a record says to the tables.

    partition:      where it lies; words of one purchase lie on one partition, on every topic.
    event_id:       what the event is known by on its topic.
    event_type, correlation_id: empty where it has none.
    """

    topic: str
    partition: int
    event_id: str
    event_type: str
    correlation_id: str
    rows: tuple[Row, ...]

    @property
    def mark(self) -> Mark:
        return self.topic, self.event_id


class Wanted(NamedTuple):
    """What tables shall have.

    kept: ids of purchases whose rows nobody deletes, and only newer ones replace.
    """

    rows: Iterable[Row]
    kept: AbstractSet[str] = frozenset()


@dataclass(slots=True)
class Plan:
    """What is to be written.

    rows:  that are new, or newer than what the tables have.
    new:   words that nobody has acted on yet.
    wrong: for each word what is wrong with it; empty where nothing is. Such a word does nothing.
    """

    rows: dict[Key, Row] = field(default_factory=dict)
    new: list[Word] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def key_of(row: Row) -> Key:
    """Return the key of a row: its id is its first field."""
    return type(row), row[0]


def version_of(row: Row) -> int:
    """Return what tells two states of a row apart: the higher one is newer."""
    return row.turns if isinstance(row, OrderRow) else row.revision


def planned(words: Sequence[Word], rows: Mapping[Key, Row], marks: AbstractSet[Mark]) -> Plan:
    """Return what words change; rows, marks: what the tables have of what the words name."""
    plan = Plan()
    seen = set(marks)
    for word in words:
        there = [plan.rows.get(key_of(row)) or rows.get(key_of(row)) for row in word.rows]
        pairs = list(zip(word.rows, there, strict=True))
        wrong = "; ".join(filter(None, (contradiction(row, known) for row, known in pairs)))
        plan.wrong.append(wrong)
        if wrong:
            continue
        for row, known in pairs:
            if known is None or version_of(known) < version_of(row):
                plan.rows[key_of(row)] = row
        if word.mark not in seen:
            seen.add(word.mark)
            plan.new.append(word)
    return plan


def contradiction(row: Row, there: Row | None) -> str:
    """Say how a row contradicts the one that is there; empty where it does not."""
    if there is None or version_of(there) != version_of(row) or there == row:
        return ""
    names = [
        name for name, one, other in zip(row._fields, row, there, strict=True) if one != other
    ]
    return f"{row[0]} at version {version_of(row)} has another {', '.join(names)} already"


def order_row(purchase_id: bytes, order: IssuedOrder) -> OrderRow:
    """Return the row of an order of a purchase."""
    return OrderRow(
        order.order_id.decode(),
        purchase_id.decode(),
        order.reservation_id.decode(),
        order.turns,
        order.is_valid,
        order.amount,
        order.currency.decode(),
        order.booking_number.decode(),
        tuple((section.decode(), *where) for section, *where in order.seats),  # type: ignore[misc]
        order.changed_at_ms,
    )


def slot_row(
    whose: tuple[str, str, int],
    revision: int,
    allocation_id: str,
    day_and_time: tuple[str, str],
    starts_ms: int,
    *,
    is_cancelled: bool,
) -> SlotRow:
    """Return the row of a slot; raises ValueError for what is no day or time of day.

    whose: purchase id, user id and event id. day_and_time: `YYYY-MM-DD` and `HH:MM`.
    """
    day, at = day_and_time
    return SlotRow(
        f"{whose[0]}.{allocation_id}.{day}T{at}",
        *whose,
        revision,
        allocation_id,
        date.fromisoformat(day),
        time.fromisoformat(at),
        starts_ms,
        is_cancelled,
    )


def rows_of(purchase: IssuedPurchase) -> Iterable[Row]:
    """Return the rows of a purchase as it is stored, and of its orders."""
    own_id = purchase.purchase_id.decode()
    whose = purchase.user_id.decode(), purchase.event_id
    yield PurchaseRow(own_id, *whose, purchase.revision, purchase.is_active)
    for order in purchase.orders:
        yield order_row(purchase.purchase_id, order)
