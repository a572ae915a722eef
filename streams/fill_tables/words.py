"""A record about a purchase in; what it says to the tables, or why it says nothing, out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from serdes.decoding import Decoded, TopicDecoder, Undecodable
from state.domain.issued.purchase import IssuedOrder, purchase_id
from state.domain.keys import buyer_key, partition_of, split_order_id
from state.domain.reasons import Reason
from state.records.issued.codecs import PURCHASES, Allocated, Changed, Created
from state.tables.rows import AllocationRow, PurchaseRow, Row, Word, order_row
from streams.batch import Batch, Record
from streams.folding.reading import told
from streams.working.events import by_headers
from streams.working.inbox import Event

TICKETS_MAX: Final = 10_000
"""Of one order; no cart takes nearly as many."""

_INDEX_MAX: Final = 2**31 - 1
_CREATED: Final = PURCHASES + "PurchaseCreated"
_CHANGED: Final = PURCHASES + "PurchaseChanged"


def word_of(decoder: TopicDecoder, batch: Batch, record: Record) -> Word | Undecodable | None:
    """Return what a record says to the tables; None for one without a value."""
    event = by_headers(batch, record)
    if not isinstance(event, Event):
        return event
    said = told(decoder, batch, record)
    if not isinstance(said, Decoded):
        return said
    word = _read(said)
    wrong = _misplaced(batch, record, word) or _unfit(word)
    if wrong is not None:
        return wrong
    return Word(
        batch.topic,
        batch.partition,
        f"{word.purchase_id.decode()}:{word.revision}",
        event.type,
        event.correlation_id,
        tuple(_rows(word)),
    )


def _read(said: Decoded) -> Created | Changed | Allocated:
    if said.name == _CREATED:
        return Created(*said.fields)
    return Changed(*said.fields) if said.name == _CHANGED else Allocated(*said.fields)


def _misplaced(
    batch: Batch, record: Record, word: Created | Changed | Allocated
) -> Undecodable | None:
    """Return why this is no word about a purchase of its buyer, at its place; None where it is."""
    key = buyer_key(word.event_id, word.user_id)
    if record.key != key:
        return Undecodable(Reason.KEY_MISMATCH.name, f"under the key {record.key!r:.100}")
    if partition_of(key, batch.partitions) != batch.partition:
        return Undecodable(Reason.WRONG_PARTITION.name, f"buyer {key!r:.100}")
    own_id = purchase_id(word.user_id, word.event_id, batch.partition)
    if word.purchase_id.decode() != own_id:
        return Undecodable("BAD_PURCHASE", f"{word.purchase_id!r} of {key!r:.100}")
    return None


def _unfit(word: Created | Changed | Allocated) -> Undecodable | None:
    """Return why no row can have this; None where rows can."""
    texts = [one for one in word if isinstance(one, bytes)]
    if not isinstance(word, Allocated):
        order = IssuedOrder(*word.order)  # type: ignore[arg-type]
        texts += [one for one in order if isinstance(one, bytes)]
        parts = split_order_id(order.order_id.decode())
        if parts is None or parts.reservation_id.encode() != order.reservation_id:
            return Undecodable("BAD_ORDER", f"{order.order_id!r} of {order.reservation_id!r}")
        if wrong := _wrong_seats(order):
            return Undecodable(Reason.BAD_COUNT.name, wrong)
    if any(b"\0" in text for text in texts):
        return Undecodable("NOT_STORABLE", "no database has a text with a zero byte")
    return None


def _wrong_seats(order: IssuedOrder) -> str:
    """Say what is wrong with the seats of an order, without counting them one by one."""
    if any(row < 0 or first < 0 or count < 1 for _, row, first, count in order.seats):
        return "an index below 0, or a range without a seat"
    if any(first + count > _INDEX_MAX for _, _, first, count in order.seats):
        return "an index that is too high"
    wanted = sum(count for _, _, _, count in order.seats)
    if wanted > TICKETS_MAX:
        return f"{wanted} seats in one order"
    seats = {
        (section, row, seat)
        for section, row, first, count in order.seats
        for seat in range(first, first + count)
    }
    return "" if len(seats) == wanted else "one seat twice"


def _rows(word: Created | Changed | Allocated) -> Iterator[Row]:
    whose = word.purchase_id.decode(), word.user_id.decode(), word.event_id, word.revision
    if isinstance(word, Allocated):
        yield AllocationRow(*whose, word.allocation_id.decode(), word.status.decode())
        return
    yield PurchaseRow(*whose, isinstance(word, Created) or word.is_active)
    yield order_row(word.purchase_id, IssuedOrder(*word.order))  # type: ignore[arg-type]
