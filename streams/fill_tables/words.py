"""A record about a purchase in; what it says to the tables, or why it says nothing, out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from serdes.decoding import Decoded, TopicDecoder, Undecodable
from state.domain.issued.purchase import IssuedOrder, purchase_id
from state.domain.keys import buyer_key, split_order_id
from state.domain.reasons import Reason
from state.records.issued.codecs import PURCHASES, Allocated, Changed, Created, SlotWord
from state.tables.rows import AllocationRow, PurchaseRow, Row, Word, order_row, slot_row
from streams.batch import Batch, Record
from streams.folding.reading import told
from streams.placing import misplaced
from streams.working.events import by_headers
from streams.working.inbox import Event

_CREATED: Final = PURCHASES + "PurchaseCreated"
_CANCELLED: Final = PURCHASES + "SlotCancelled"

Said = Created | Changed | Allocated | SlotWord

_KINDS: Final[dict[str, type[Said]]] = {
    _CREATED: Created,
    PURCHASES + "PurchaseChanged": Changed,
    PURCHASES + "SeatsAllocated": Allocated,
    PURCHASES + "SlotScheduled": SlotWord,
    _CANCELLED: SlotWord,
}


def word_of(decoder: TopicDecoder, batch: Batch, record: Record) -> Word | Undecodable | None:
    """Return what a record says to the tables; None for one without a value."""
    event = by_headers(batch, record)
    if not isinstance(event, Event):
        return event
    said = told(decoder, batch, record)
    if not isinstance(said, Decoded):
        return said
    word = _KINDS[said.name](*said.fields)
    wrong = _misplaced(batch, record, word) or _unfit(word)
    if wrong is not None:
        return wrong
    try:
        rows = tuple(_rows(word, is_cancelled=said.name == _CANCELLED))
    except ValueError as error:
        return Undecodable("BAD_SLOT", f"{error}")
    # Of one purchase several slots are told at one revision.
    own_id = rows[0][0] if isinstance(word, SlotWord) else word.purchase_id.decode()
    return Word(
        batch.topic,
        batch.partition,
        f"{own_id}:{word.revision}",
        event.type,
        event.correlation_id,
        rows,
    )


def _misplaced(batch: Batch, record: Record, word: Said) -> Undecodable | None:
    """Return why this is no word about a purchase of its buyer, at its place; None where it is."""
    key = buyer_key(word.event_id, word.user_id)
    if wrong := misplaced(batch, record, key):
        return wrong
    own_id = purchase_id(word.user_id, word.event_id, batch.partition)
    if word.purchase_id.decode() != own_id:
        return Undecodable("BAD_PURCHASE", f"{word.purchase_id!r} of {key!r:.100}")
    return None


def _unfit(word: Said) -> Undecodable | None:
    """Return why no row can have this; None where rows can."""
    texts = [one for one in word if isinstance(one, bytes)]
    if isinstance(word, Created | Changed):
        order = IssuedOrder(*word.order)  # type: ignore[arg-type]
        texts += [one for one in order if isinstance(one, bytes)]
        parts = split_order_id(order.order_id.decode())
        if parts is None or parts.reservation_id.encode() != order.reservation_id:
            return Undecodable("BAD_ORDER", f"{order.order_id!r} of {order.reservation_id!r}")
        if wrong := order.wrong_seats:
            return Undecodable(Reason.BAD_COUNT.name, wrong)
    if any(b"\0" in text for text in texts):
        return Undecodable("NOT_STORABLE", "no database has a text with a zero byte")
    return None


def _rows(word: Said, *, is_cancelled: bool) -> Iterator[Row]:
    """Yield the rows; raises ValueError for a slot at no time."""
    whose = word.purchase_id.decode(), word.user_id.decode(), word.event_id
    if isinstance(word, SlotWord):
        of_allocation = word.revision, word.allocation_id.decode()
        when = (word.date.decode(), word.time.decode()), word.starts_ms
        yield slot_row(whose, *of_allocation, *when, is_cancelled=is_cancelled)
        return
    if isinstance(word, Allocated):
        ends = word.allocation_id.decode(), word.status.decode()
        yield AllocationRow(*whose, word.revision, *ends)
        return
    yield PurchaseRow(*whose, word.revision, isinstance(word, Created) or word.is_active)
    yield order_row(word.purchase_id, IssuedOrder(*word.order))  # type: ignore[arg-type]
