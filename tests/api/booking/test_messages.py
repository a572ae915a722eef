"""Messages become wishes and items become messages, field by field."""

from typing import Any

import pytest
from support.booking_queue.calling import wish

from api.booking.messages import (
    cancelled_body,
    enqueued_body,
    position_body,
    status_body,
    status_of,
    wish_in,
)
from api.web.problems import Problem
from schemas.proto import booking_worker_pb2 as messages
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.queue import Enqueued
from state.domain.booking_queue.statuses import ItemStatus
from state.domain.booking_queue.wishes import Carried, Wish
from state.records.booking_queue.wishes import decoded, encoded_outcome

ITEM = Item("i-7", 7, "ann", ItemStatus.WAITING, 3, 1, 0, 100, 200, b"{}", b"", "")


def test_a_request_is_the_wish_that_it_says() -> None:
    seats = [messages.Seat(row=1, seat=2), messages.Seat(row=1, seat=3)]
    request = wish(seats=seats, seat_count=0, total_amount=9, currency="EUR", metadata={"a": "b"})
    chosen = Wish("A", ((1, 2), (1, 3)), 2, 9, "EUR", (("a", "b"),))
    assert decoded(wish_in(request)) == chosen
    assert decoded(wish_in(wish(seat_count=4))) == Wish("A", (), 4, 0, "", ())


def test_the_same_request_has_the_same_bytes_however_its_map_was_written() -> None:
    one, other = wish(metadata={"a": "1", "b": "2"}), wish(metadata={"b": "2", "a": "1"})
    assert wish_in(one) == wish_in(other)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"idempotency_key": "é"}, 400),
        ({"event_id": -1}, 400),
        ({"section": ""}, 400),
        ({"seat_count": 0}, 400),
        ({"seats": [messages.Seat(row=2**31)]}, 400),
        ({"metadata": {"note": "paid with 4111 1111 1111 1111"}}, 400),
        ({"metadata": {"4111111111111111": ""}}, 400),
        ({"total_amount": 4_111_111_111_111_111, "currency": "EUR"}, 400),
        ({"metadata": {f"{at}": "\u0001" * 128 for at in range(16)}}, 413),
    ],
)
def test_what_no_item_may_ask_for_is_refused(changes: dict[str, Any], status: int) -> None:
    with pytest.raises(Problem) as caught:
        wish_in(wish(**changes))
    assert caught.value.status == status


def test_an_item_is_told_field_by_field() -> None:
    waiting = messages.ITEM_STATUS_WAITING
    assert enqueued_body(Enqueued(ITEM, is_new=True)) == messages.EnqueueBookingResponse(
        queue_item_id="i-7",
        status=waiting,
        position=3,
        estimated_wait_ms=15_000,
        expires_at_ms=200,
        is_new=True,
    )
    assert position_body(ITEM) == messages.QueuePosition(
        queue_item_id="i-7", status=waiting, position=3, estimated_wait_ms=15_000
    )
    done = ITEM._replace(
        status=ItemStatus.COMPLETED, position=0, outcome=encoded_outcome(Carried("", "SOLD_OUT"))
    )
    assert status_body(done) == messages.QueueStatus(
        queue_item_id="i-7",
        event_id=7,
        status=messages.ITEM_STATUS_COMPLETED,
        attempts=1,
        enqueued_at_ms=100,
        expires_at_ms=200,
        reason="SOLD_OUT",
    )
    dead = ITEM._replace(status=ItemStatus.DEAD, position=0, reason="timeout")
    assert status_body(dead).reason == "timeout"


@pytest.mark.parametrize("status", ItemStatus)
def test_only_what_is_cancelled_is_told_so_and_every_status_has_a_symbol(
    status: ItemStatus,
) -> None:
    told = cancelled_body(ITEM._replace(status=status))
    assert told.cancelled == (status is ItemStatus.CANCELLED)
    assert told.status == status_of(status) != messages.ITEM_STATUS_UNSPECIFIED
