"""Paid and sold seats in; purchases and their tickets, and word of new purchases, out.

A buyer has one purchase of an event. What would be a second one, or comes again, is none: the
orders join the purchase that is there, so nobody who has paid is without tickets. An order that is
revoked loses its tickets; a purchase without a valid order has ended. An order with which it would
be longer than decoders read is a dead letter, and nothing of it is stored.

What an order is known by is in the record and not in its headers: order and turn. A buyer may use
one correlation id for several orders, so it does not tell steps apart here.

Keys of the store, beside those of `streams.working`: `i` + purchase id: IssuedPurchase.
"""

from __future__ import annotations

from typing import Final

from schemas.topics import PURCHASE_CREATED
from serdes.avro.codegen import encoder
from serdes.decoding import Decoded, Undecodable
from serdes.wire import VALUE_BYTES_MAX
from state.domain.issued.purchase import IssuedPurchase, is_purchase_of, purchase_id
from state.domain.keys import ISSUED, buyer_key, split_order_id
from state.domain.reasons import Reason
from state.records.issued.codecs import (
    IssuingCodecs,
    OrderWord,
    issued_purchase,
    stored_purchase,
)
from state.records.payments import PAYMENTS
from streams.batch import Batch, Record
from streams.placing import misplaced
from streams.route import RoleTopics, Route
from streams.settings import FIGURES, Figures
from streams.working.events import Identify, by_content
from streams.working.inbox import Event
from streams.working.route import work_route
from streams.working.task import Failed, Hopeless, Task
from streams.working.work import Work, no_answer

ROLE: Final = "issue_purchases"
PURCHASE_FULL: Final = "PURCHASE_FULL"
"""Cause of the dead letter of an order with which its purchase could not be read any more."""

# Of any length, only to know it.
_measured: Final = encoder("io.seatstream.state.IssuedPurchase")
_CONFIRMED: Final = PAYMENTS + "PurchaseConfirmed"


def route(topics: RoleTopics, codecs: IssuingCodecs, figures: Figures = FIGURES) -> Route:
    """Return the route of the only writer of issued purchases."""
    work = Work(
        topics.role,
        topics.source,
        Issue(codecs),
        no_answer,
        *figures.of(topics.role),
        identify=identified(codecs),
    )
    return work_route(
        work,
        **topics.written(),
        owns=owns,
        stored={ISSUED: issued_purchase},
    )


def owns(store_key: bytes, partition: int, _partitions: int) -> bool:
    """Say whether a partition's store may have a key of this worker's own."""
    return store_key[:1] == ISSUED and is_purchase_of(store_key[1:], partition)


def identified(codecs: IssuingCodecs) -> Identify:
    """Return what knows an event by its order and turn, and refuses what is in a wrong place."""

    def known_by(batch: Batch, record: Record, said: Decoded, _: Event) -> Event | Undecodable:
        word = OrderWord(*said.fields)
        wrong = _misplaced(batch, record, word) or _unfit(said, word)
        return wrong or Event(f"{word.order_id.decode()}:{word.turns}")

    return by_content(codecs.confirmed, known_by)


def _misplaced(batch: Batch, record: Record, word: OrderWord) -> Undecodable | None:
    """Return why another key or partition would have to have this; None where it is right."""
    if wrong := misplaced(batch, record, buyer_key(word.event_id, word.user_id)):
        return wrong
    order = split_order_id(word.order_id.decode())
    if order is None or order.reservation_id.encode() != word.reservation_id:
        return Undecodable("BAD_ORDER", f"{word.order_id!r} of {word.reservation_id!r}")
    return None


def _unfit(said: Decoded, word: OrderWord) -> Undecodable | None:
    """Return why no tickets can be made of an order; None where they can."""
    wrong = word.order(is_valid=said.name == _CONFIRMED).wrong_seats
    return Undecodable(Reason.BAD_COUNT.name, wrong) if wrong else None


class Issue:
    """One attempt: what an order says now goes into the purchase of its buyer and event."""

    def __init__(self, codecs: IssuingCodecs) -> None:
        self._codecs = codecs

    def __call__(self, task: Task) -> None:
        said = self._codecs.confirmed.decode(task.value)
        if not isinstance(said, Decoded):
            raise Failed(f"cannot be read any more: {said}")
        word = OrderWord(*said.fields)
        order = word.order(is_valid=said.name == _CONFIRMED)
        own_id = purchase_id(word.user_id, word.event_id, task.partition).encode()
        known = task.read(ISSUED + own_id, issued_purchase)
        before = known or IssuedPurchase(own_id, word.user_id, word.event_id)
        after = before.taking(order)
        if after == before:
            # A purchase has it already: that is success.
            return
        task.put(ISSUED + own_id, stored_purchase(_fitting(after)))
        head = own_id, word.user_id, word.event_id, after.revision
        if after.is_active and not before.is_active:
            value = self._codecs.created(*head, order)
            task.emit(PURCHASE_CREATED.name, task.key, _readable(value), "PURCHASE_CREATED")
        elif after.is_active or before.is_active:
            value = self._codecs.changed(*head, after.is_active, order)
            task.emit(PURCHASE_CREATED.name, task.key, _readable(value), "PURCHASE_CHANGED")


def _fitting(purchase: IssuedPurchase) -> IssuedPurchase:
    """Return the purchase, shortened if it has to be; raises Hopeless if it is still too long.

    Stored, a longer one would stop the buyers of the whole partition.
    """
    if len(_measured(*purchase)) > VALUE_BYTES_MAX:
        purchase = purchase.shortened
        _readable(_measured(*purchase))
    return purchase


def _readable(value: bytes) -> bytes:
    """Return a value that decoders read; raises Hopeless for a longer one."""
    if len(value) > VALUE_BYTES_MAX:
        why = f"with this order its purchase takes {len(value)} bytes of {VALUE_BYTES_MAX}"
        raise Hopeless(PURCHASE_FULL, why)
    return value
