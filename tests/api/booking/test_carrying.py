"""An item is carried out as a reservation over HTTP is, by the real handler, and once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.booking_queue.log_in_memory import CODECS, LinesInMemory, LogInMemory
from support.pods.reservation_pods import NotAppended, Seats, pod_over
from support.records.event_values import event
from support.seats.section_commands import A

from api.booking import carrying
from api.booking.carrying import Failed, carried_out, given_back
from api.pod import Pod
from state.domain.booking_queue.figures import LEASE_MS
from state.domain.booking_queue.items import Item, item_id
from state.domain.booking_queue.queue import Settled
from state.domain.booking_queue.statuses import DeadReason, ItemStatus
from state.domain.booking_queue.wishes import Carried, Wish
from state.domain.carts.limits import Limits
from state.records.booking_queue.wishes import encoded, encoded_outcome
from state.views.booking_queue.queue import KafkaBookingQueue

WISH = Wish(A, (), 2, 0, "", ())


def item(key: str = "k", user: str = "ann", **changes: Any) -> Item:
    text = encoded(WISH._replace(**changes))
    assert text is not None
    made = item_id(user, key, 7)
    return Item(made, 7, user, ItemStatus.PROCESSING, 0, 1, 0, 0, 0, text, b"", "")


def run(test: Callable[[Pod, Seats], Awaitable[None]], text: str = "....", **rules: Any) -> None:
    async def go() -> None:
        seats = Seats().open(text, **rules)
        await test(pod_over(seats), seats)

    asyncio.run(go())


def status_of(pod: Pod, reservation_id: str) -> str:
    view = pod.outcomes.get(reservation_id.encode())
    assert view is not None
    return str(view.status.name)


def test_s004_6_seats_are_held_for_the_user_and_the_same_item_is_the_same_reservation() -> None:
    async def test(pod: Pod, seats: Seats) -> None:
        for _ in range(3):
            carried = await carried_out(pod, item())
            assert carried == Carried(carried[0], "")
        first = await carried_out(pod, item())
        again = await carried_out(pod, item("other"))
        assert first != again
        assert isinstance(first, Carried)
        assert status_of(pod, first.reservation_id) == "HELD"
        # Four seats, two items: the fifth attempt has found nothing.
        assert await carried_out(pod, item("third")) == Carried("", "SOLD_OUT")

    run(test)


@pytest.mark.parametrize("ids", [b"", b"c-7 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"])
def test_a_command_is_followed_by_the_ids_of_the_request_that_put_the_item_there(
    ids: bytes,
) -> None:
    async def test(pod: Pod, seats: Seats) -> None:
        asked = item()._replace(ids=ids)
        await carried_out(pod, asked)
        await given_back(pod, asked)
        expected = {"correlation-id": b"c-7", "traceparent": ids[4:]}
        for _, headers in seats.sent:
            assert headers == (expected if ids else {"correlation-id": asked.id.encode()})
        assert len(seats.sent) == 2

    run(test)


def test_an_item_that_an_operator_has_tried_anew_asks_for_another_reservation() -> None:
    async def test(pod: Pod, seats: Seats) -> None:
        first = await carried_out(pod, item())
        await given_back(pod, item())
        assert isinstance(first, Carried)
        assert status_of(pod, first.reservation_id) == "RELEASED"
        anew = await carried_out(pod, item()._replace(round=1))
        assert isinstance(anew, Carried)
        assert anew.reservation_id not in {"", first.reservation_id}

    run(test)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seats": ((0, 1),), "seat_count": 1}, ""),
        ({"seats": ((9, 9),), "seat_count": 1}, "UNKNOWN_SEAT"),
        ({"section": "NONE"}, "UNKNOWN_SECTION"),
        ({"seat_count": 4}, "NO_ADJACENT_SEATS"),
        ({"seat_count": 5}, "BAD_COUNT"),
    ],
)
def test_what_the_log_refuses_is_told_by_its_reason(changes: dict[str, Any], reason: str) -> None:
    async def test(pod: Pod, seats: Seats) -> None:
        carried = await carried_out(pod, item(**changes))
        assert isinstance(carried, Carried)
        assert (carried.reason, bool(carried.reservation_id)) == (reason, not reason)

    run(test, "..\n..", limit=4)


@pytest.mark.parametrize(
    ("amount", "currency", "reason"),
    [
        (0, "", ""),
        (5_000, "EUR", "WRONG_CURRENCY"),
        (0, "EUR", "WRONG_CURRENCY"),
    ],
)
def test_seats_of_another_price_than_was_expected_are_given_back(
    amount: int, currency: str, reason: str
) -> None:
    async def test(pod: Pod, seats: Seats) -> None:
        carried = await carried_out(pod, item(amount=amount, currency=currency))
        assert isinstance(carried, Carried)
        assert carried.reason == reason
        # They are free for the next one.
        other = await carried_out(pod, item("other", seat_count=4))
        assert isinstance(other, Carried)
        assert bool(other.reservation_id) == bool(reason)

    run(test)


def test_an_event_that_limits_its_buyers_is_sold_by_carts() -> None:
    async def test(pod: Pod, seats: Seats) -> None:
        catalogue: Any = pod.catalogue
        catalogue.described[7] = event(7, limits=Limits(2, 0))
        assert await carried_out(pod, item()) == Carried("", "CART_NEEDED")
        assert seats.sent == []

    run(test)


def test_what_nobody_knows_is_tried_again_and_leads_to_the_same_reservation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carrying, "CALL_S", 0.05)
    lost = Failed(DeadReason.TIMEOUT, is_final=False, is_of_the_log=True)
    away = Failed(DeadReason.SERVICE_ERROR, is_final=False, is_of_the_log=True)

    async def test(pod: Pod, seats: Seats) -> None:
        seats.holds_back = True
        assert await carried_out(pod, item()) == lost
        seats.holds_back = False
        seats.decide()
        seats.failure = NotAppended("no broker")
        assert await carried_out(pod, item()) == away
        seats.failure = None
        carried = await carried_out(pod, item())
        assert isinstance(carried, Carried)
        assert status_of(pod, carried.reservation_id) == "HELD"
        # Two seats are free: the first attempt, this one and the lost one are one hold.
        other = await carried_out(pod, item("other"))
        assert isinstance(other, Carried)
        assert other.reservation_id

    run(test)


def test_s004_12_bytes_that_are_no_wish_are_set_aside_and_ask_for_nothing() -> None:
    async def test(pod: Pod, seats: Seats) -> None:
        for text in (b"", b"{}", b"\xff"):
            came = await carried_out(pod, item()._replace(request=text))
            assert came == Failed(DeadReason.INVALID_DATA, is_final=True, is_of_the_log=False)
        assert seats.sent == []

    run(test)


def test_what_a_pod_held_before_it_died_is_what_another_pod_records_of_the_item() -> None:
    """The queue lies in a log, and the first pod dies between the seats and their outcome."""

    async def go() -> None:
        seats, now_ms = Seats().open("...."), [1_900_000_000_000]
        log = LogInMemory(clock_ms=lambda: now_ms[0])
        dying, living = (
            KafkaBookingQueue(LinesInMemory(log), log, CODECS, clock_ms=lambda: now_ms[0])
            for _ in range(2)
        )
        await dying.enqueue(7, "ann", "k", item().request)
        lost = await dying.take(7)
        assert lost is not None
        held = await carried_out(pod_over(seats), lost.item)
        assert isinstance(held, Carried)
        assert await living.take(7) is None
        now_ms[0] += LEASE_MS
        again = await living.take(7)
        assert again is not None
        pod = pod_over(seats)
        assert await carried_out(pod, again.item) == held
        assert (await living.complete(again, encoded_outcome(held))).is_recorded
        late = await dying.complete(lost, encoded_outcome(held))
        assert late == Settled(is_recorded=False, status=ItemStatus.COMPLETED)
        assert late.status not in carrying.TAKEN_AWAY
        assert status_of(pod, held.reservation_id) == "HELD"

    asyncio.run(go())
