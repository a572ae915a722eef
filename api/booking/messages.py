"""Messages of gRPC in, wishes out; items in, messages out."""

from api.web.problems import Problem
from infra.process.card_numbers import has_card_number
from schemas.proto import booking_worker_pb2 as messages
from state.domain.booking_queue.figures import expected_wait_ms
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.queue import Enqueued
from state.domain.booking_queue.statuses import ItemStatus
from state.domain.booking_queue.wishes import Wish, fault_of, fault_of_ids
from state.domain.reasons import ApiReason
from state.records.booking_queue.wishes import decoded_outcome, encoded


def wish_in(request: messages.EnqueueBookingRequest) -> bytes:
    """Return the bytes of what a request asks for; raises Problem (400, 413).

    Fields that this release does not know are passed over, as protobuf means it.
    """
    seats = tuple((seat.row, seat.seat) for seat in request.seats)
    wish = Wish(
        section=request.section,
        seats=seats,
        seat_count=request.seat_count or len(seats),
        amount=request.total_amount,
        currency=request.currency,
        metadata=tuple(sorted(request.metadata.items())),
    )
    fault = fault_of_ids(request.event_id, request.idempotency_key) or fault_of(wish)
    if fault:
        raise Problem.of(ApiReason.MALFORMED, fault)
    text = encoded(wish)
    if text is None:
        raise Problem.of(ApiReason.BODY_TOO_LARGE, "Say less in metadata.")
    if has_card_number(text.decode()):
        # It would lie in Redis or in a topic, for whoever reads there.
        fault = "metadata, total_amount: never the number of a card"
        raise Problem.of(ApiReason.MALFORMED, fault)
    return text


def status_of(status: ItemStatus) -> messages.ItemStatus:
    symbol: messages.ItemStatus = getattr(messages, f"ITEM_STATUS_{status.name}")
    return symbol


def enqueued_body(enqueued: Enqueued) -> messages.EnqueueBookingResponse:
    item = enqueued.item
    return messages.EnqueueBookingResponse(
        queue_item_id=item.id,
        status=status_of(item.status),
        position=item.position,
        estimated_wait_ms=expected_wait_ms(item.position),
        expires_at_ms=item.expires_ms,
        is_new=enqueued.is_new,
    )


def position_body(item: Item) -> messages.QueuePosition:
    return messages.QueuePosition(
        queue_item_id=item.id,
        status=status_of(item.status),
        position=item.position,
        estimated_wait_ms=expected_wait_ms(item.position),
    )


def status_body(item: Item) -> messages.QueueStatus:
    """Return all that is told of an item; raises WishUnreadable."""
    carried = decoded_outcome(item.outcome)
    return messages.QueueStatus(
        queue_item_id=item.id,
        event_id=item.event_id,
        status=status_of(item.status),
        position=item.position,
        estimated_wait_ms=expected_wait_ms(item.position),
        attempts=item.attempts,
        enqueued_at_ms=item.enqueued_ms,
        expires_at_ms=item.expires_ms,
        reservation_id=carried.reservation_id,
        reason=item.reason or carried.reason,
    )


def cancelled_body(item: Item) -> messages.CancelQueueItemResponse:
    return messages.CancelQueueItemResponse(
        cancelled=int(item.status is ItemStatus.CANCELLED), status=status_of(item.status)
    )
