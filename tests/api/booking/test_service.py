"""BookingWorkerService over a real channel, at a real Redis: S004.1 to S004.4, S004.13."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

import grpc
import pytest
from support.booking_queue.calling import WAIT_S, Served, of, served, wish
from support.pods.api_client import TrustingVerifier
from support.pods.conditions import until
from support.pods.reservation_pods import Seats, pod_over
from support.pods.whole_pods import EVENT
from support.records.status_records import Fed, counts
from support.waiting.keys import passes

from api.booking.carriers import Carriers
from schemas.proto import booking_worker_pb2 as messages
from state.domain.booking_queue.figures import ITEM_MS
from state.domain.booking_queue.items import item_id
from state.domain.booking_queue.statuses import DeadReason
from state.domain.booking_queue.wishes import Carried
from state.domain.reasons import Reason
from state.records.booking_queue.wishes import decoded, encoded_outcome
from state.redis.booking_queue.queue import RedisBookingQueue

pytestmark = pytest.mark.redis

USERS = count()
FREE = {"limit_create": None, "limit_position": None, "limit_cancel": None, "limit_network": None}


def run(
    url: str, test: Callable[[Served], Awaitable[None]], *, is_free: bool = True, **options: Any
) -> None:
    async def go() -> None:
        settings = {**(FREE if is_free else {}), **options.pop("settings", {})}
        async with served(url, settings=settings, **options) as one:
            await test(one)

    asyncio.run(go())


async def refused(call: Awaitable[Any]) -> tuple[str, str]:
    """Return code and reason of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    told = dict(caught.value.trailing_metadata() or ())
    return caught.value.code().name, str(told.get("seatstream-reason", ""))


def test_a_request_enters_is_looked_at_taken_back_and_stays_so(redis_url: str) -> None:
    async def test(one: Served) -> None:
        stub = one.stub
        first = await stub.EnqueueBooking(wish(), metadata=of("ann"))
        second = await stub.EnqueueBooking(wish(), metadata=of("ben"))
        assert first.queue_item_id == item_id("ann", "k", EVENT)
        assert (first.status, first.position, first.is_new) == (
            messages.ITEM_STATUS_WAITING,
            1,
            True,
        )
        assert (second.position, second.estimated_wait_ms) == (2, 10_000)
        again = await stub.EnqueueBooking(wish(), metadata=of("ann"))
        assert (again.queue_item_id, again.is_new) == (first.queue_item_id, False)
        named = {"queue_item_id": second.queue_item_id}
        place = await stub.GetQueuePosition(
            messages.GetQueuePositionRequest(**named), metadata=of("ben")
        )
        assert (place.position, place.estimated_wait_ms) == (2, 10_000)
        for _ in range(2):
            gone = await stub.CancelQueueItem(
                messages.CancelQueueItemRequest(queue_item_id=first.queue_item_id),
                metadata=of("ann"),
            )
            assert (gone.cancelled, gone.status) == (1, messages.ITEM_STATUS_CANCELLED)
        status = await stub.GetQueueStatus(
            messages.GetQueueStatusRequest(**named), metadata=of("ben")
        )
        assert (status.position, status.event_id, status.attempts) == (1, EVENT, 0)
        assert status.expires_at_ms - status.enqueued_at_ms == ITEM_MS

    run(redis_url, test)


def test_what_a_worker_recorded_is_told_and_an_item_in_work_is_not_taken_back(
    redis_url: str,
) -> None:
    async def test(one: Served) -> None:
        request = wish(
            seats=[messages.Seat(row=0, seat=3)],
            seat_count=0,
            total_amount=500,
            currency="EUR",
            metadata={"b": "2", "a": "1"},
        )
        item = (await one.stub.EnqueueBooking(request, metadata=of("ann"))).queue_item_id
        taken = await one.queue.take(EVENT)
        assert taken is not None
        asked = decoded(taken.item.request)
        assert (asked.seats, asked.seat_count, asked.amount) == (((0, 3),), 1, 500)
        assert asked.metadata == (("a", "1"), ("b", "2"))
        kept = await one.stub.CancelQueueItem(
            messages.CancelQueueItemRequest(queue_item_id=item), metadata=of("ann")
        )
        assert (kept.cancelled, kept.status) == (0, messages.ITEM_STATUS_PROCESSING)
        await one.queue.complete(taken, encoded_outcome(Carried("r-1", "")))
        status = await one.stub.GetQueueStatus(
            messages.GetQueueStatusRequest(queue_item_id=item), metadata=of("ann")
        )
        assert (status.status, status.reservation_id) == (messages.ITEM_STATUS_COMPLETED, "r-1")

    run(redis_url, test)


def test_a_request_is_carried_out_and_its_caller_is_told_of_the_reservation(
    redis_url: str,
) -> None:
    async def go() -> None:
        fed = Fed()
        fed.tell(counts(1, 20), event=EVENT)
        fed.heartbeat()
        seats = Seats().open("." * 20, section="A")
        pod = pod_over(seats, view=fed.view, parts={"verifier": TrustingVerifier()})
        async with served(redis_url, pod=pod) as one:
            entered = await one.stub.EnqueueBooking(wish(), metadata=of("ann"))
            assert await Carriers(pod).carry_one()
            status = await one.stub.GetQueueStatus(
                messages.GetQueueStatusRequest(queue_item_id=entered.queue_item_id),
                metadata=of("ann"),
            )
        assert (status.status, status.attempts) == (messages.ITEM_STATUS_COMPLETED, 1)
        view = pod.outcomes.get(status.reservation_id.encode())
        assert view is not None
        assert (view.status.name, view.user_id) == ("HELD", "ann")

    asyncio.run(go())


def test_nobody_sees_or_takes_back_what_is_another_users(redis_url: str) -> None:
    async def test(one: Served) -> None:
        item = (await one.stub.EnqueueBooking(wish(), metadata=of("ann"))).queue_item_id
        for told in (item, "a" * 26 + "-7", "", "{7}", "é" * 99):
            for name, kind in (
                ("GetQueuePosition", messages.GetQueuePositionRequest),
                ("GetQueueStatus", messages.GetQueueStatusRequest),
                ("CancelQueueItem", messages.CancelQueueItemRequest),
            ):
                call = getattr(one.stub, name)(kind(queue_item_id=told), metadata=of("eve"))
                assert await refused(call) == ("NOT_FOUND", "NOT_FOUND")
            watched = one.stub.WatchPosition(
                messages.WatchPositionRequest(queue_item_id=told), metadata=of("eve")
            )
            assert await refused(watched.read()) == ("NOT_FOUND", "NOT_FOUND")

    run(redis_url, test)


def test_refusals_have_codes_and_nothing_of_what_was_refused_is_in_the_queue(
    redis_url: str,
) -> None:
    async def test(one: Served) -> None:
        desk = one.pod.booking
        assert isinstance(desk.entrance, RedisBookingQueue)
        desk.entrance = RedisBookingQueue(desk.entrance._ask, length_max=1)
        ask = one.stub.EnqueueBooking
        bad = wish(section="a;"), wish(key=""), wish(seat_count=99), wish(event_id=-1)
        for request in bad:
            call = ask(request, metadata=of("ann"))
            assert await refused(call) == ("INVALID_ARGUMENT", "MALFORMED")
        large = wish(metadata={f"{at}": "é" * 128 * 3 for at in range(1)})
        assert await refused(ask(large, metadata=of("ann"))) == ("INVALID_ARGUMENT", "MALFORMED")
        assert (await one.queue.standing(EVENT)).enqueued == 0
        await ask(wish(seat_count=10), metadata=of("ann"))
        call = ask(wish(), metadata=of("ann"))
        assert await refused(call) == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED")
        call = ask(wish(), metadata=of("ben"))
        assert await refused(call) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        assert (await one.queue.standing(EVENT)).enqueued == 1

    run(redis_url, test)


def test_what_the_log_would_certainly_refuse_is_not_enqueued_and_a_repeat_is_answered(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(one: Served) -> None:
        await one.stub.EnqueueBooking(wish(), metadata=of("ann"))
        monkeypatch.setattr(type(one.pod.view), "can_refuse", lambda *_, **__: Reason.SOLD_OUT)
        call = one.stub.EnqueueBooking(wish(), metadata=of("ben"))
        assert await refused(call) == ("FAILED_PRECONDITION", "SOLD_OUT")
        again = await one.stub.EnqueueBooking(wish(), metadata=of("ann"))
        assert not again.is_new

    run(redis_url, test)


def told_view() -> Fed:
    """Return a view that knows section A of the event, and that it is behind the brokers."""
    fed = Fed()
    fed.tell(counts(1, 20), event=EVENT)
    fed.heartbeat()
    fed.now_ms += 1
    return fed


def test_events_and_sections_that_nobody_knows_fill_no_queue(redis_url: str) -> None:
    fed = told_view()
    fed.answers = True

    async def test(one: Served) -> None:
        for changes in ({"event_id": EVENT + 1}, {"section": "INVENTED"}):
            call = one.stub.EnqueueBooking(wish(**changes), metadata=of("ann"))
            assert await refused(call) == ("NOT_FOUND", "UNKNOWN_SECTION")
        assert await one.queue.events() == ()

    run(redis_url, test, given={"view": fed.view})


def test_what_has_not_reached_this_pod_yet_is_not_called_unknown(redis_url: str) -> None:
    fed = told_view()

    async def test(one: Served) -> None:
        asked = wish(section="JUST-OPENED")
        # The brokers do not tell.
        call = one.stub.EnqueueBooking(asked, metadata=of("ann"))
        assert await refused(call) == ("UNAVAILABLE", "NOT_READY")
        call = asyncio.ensure_future(one.stub.EnqueueBooking(asked, metadata=of("ann")))
        asked_before = fed.asked
        await until(lambda: fed.asked > asked_before)
        fed.tell(counts(1, 20), "JUST-OPENED", EVENT)
        fed.heartbeat()
        assert (await call).is_new

    run(redis_url, test, given={"view": fed.view})


def test_b77_q16_where_the_event_demands_it_only_who_was_let_in_enters(redis_url: str) -> None:
    async def test(one: Served) -> None:
        call = one.stub.EnqueueBooking(wish(), metadata=of("first"))
        assert await refused(call) == ("PERMISSION_DENIED", "ADMISSION_REQUIRED")
        forged = of("first", seatstream_entry_token="forged")
        call = one.stub.EnqueueBooking(wish(), metadata=forged)
        assert await refused(call) == ("UNAUTHENTICATED", "TURN_NOT_PROVED")
        until_ms = 1_900_000_060_000
        for of_others in (
            passes().entry(EVENT, "second", 1, until_ms),
            passes().entry(EVENT + 1, "first", 1, until_ms),
            passes().entry(EVENT, "first", 1, 1_899_999_000_000),
            passes().queue(EVENT, "first", 1),
        ):
            call = one.stub.EnqueueBooking(
                wish(), metadata=of("first", seatstream_entry_token=of_others)
            )
            assert await refused(call) == ("UNAUTHENTICATED", "TURN_NOT_PROVED")
        token = passes().entry(EVENT, "first", 1, until_ms)
        shown = of("first", seatstream_entry_token=token)
        assert (await one.stub.EnqueueBooking(wish(), metadata=shown)).is_new

    run(redis_url, test, admission_required=True)


def test_s004_19_each_kind_of_call_is_limited_by_its_user(redis_url: str) -> None:
    async def test(one: Served) -> None:
        for at in range(5):
            await one.stub.EnqueueBooking(wish(f"k-{at}"), metadata=of("ann"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await one.stub.EnqueueBooking(wish("k-5"), metadata=of("ann"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        told = dict(caught.value.trailing_metadata() or ())
        assert told["seatstream-reason"] == "TOO_MANY_REQUESTS"
        assert int(str(told["retry-after"])) >= 1
        await one.stub.EnqueueBooking(wish(), metadata=of("ben"))
        # Ten times a user takes something back, and asks for a place sixty times, in a minute.
        back = messages.CancelQueueItemRequest(queue_item_id=item_id("ann", "k-0", EVENT))
        place = messages.GetQueuePositionRequest(queue_item_id=back.queue_item_id)
        calls = ((10, one.stub.CancelQueueItem, back), (60, one.stub.GetQueuePosition, place))
        for most, call, request in calls:
            for _ in range(most):
                await call(request, metadata=of("ann"))
            found = await refused(call(request, metadata=of("ann")))
            assert found == ("RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS")

    run(redis_url, test, is_free=False)


def test_who_watches_is_told_each_change_until_the_item_is_over(redis_url: str) -> None:
    async def test(one: Served) -> None:
        await one.stub.EnqueueBooking(wish(), metadata=of("ann"))
        item = (await one.stub.EnqueueBooking(wish(), metadata=of("ben"))).queue_item_id
        watched = one.stub.WatchPosition(
            messages.WatchPositionRequest(queue_item_id=item), metadata=of("ben"), timeout=WAIT_S
        )
        assert (await watched.read()).position == 2
        await one.queue.complete((await one.queue.take(EVENT)), b"")  # type: ignore[arg-type]
        assert (await watched.read()).position == 1
        taken = await one.queue.take(EVENT)
        assert taken is not None
        assert (await watched.read()).status == messages.ITEM_STATUS_PROCESSING
        await one.queue.fail(taken, DeadReason.INVALID_DATA, is_final=True)
        assert (await watched.read()).status == messages.ITEM_STATUS_DEAD
        assert await watched.read() is grpc.aio.EOF

    run(redis_url, test)


def test_who_goes_away_in_a_stream_leaves_nothing_behind_and_a_user_has_so_many(
    redis_url: str,
) -> None:
    async def test(one: Served) -> None:
        item = (await one.stub.EnqueueBooking(wish(), metadata=of("ann"))).queue_item_id

        def watch() -> Any:
            request = messages.WatchPositionRequest(queue_item_id=item)
            return one.stub.WatchPosition(request, metadata=of("ann"), timeout=WAIT_S)

        open_ = [watch(), watch()]
        for stream in open_:
            assert (await stream.read()).position == 1
        assert await refused(watch().read()) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        for stream in open_:
            stream.cancel()
        # The server hears of it a moment later.
        await until(lambda: not len(one.service._streams), WAIT_S)
        again = watch()
        assert (await again.read()).position == 1
        # A pod that ends sends its watchers to another.
        one.pod.drain()
        assert (await refused(again.read()))[0] == "UNAVAILABLE"

    run(redis_url, test, settings={"streams_per_user": 2})


def test_a_deadline_ends_its_call_and_never_the_item_that_it_is_about(redis_url: str) -> None:
    async def test(one: Served) -> None:
        enqueued = await one.stub.EnqueueBooking(wish(), metadata=of("ann"), timeout=WAIT_S)
        item = enqueued.queue_item_id
        request = messages.WatchPositionRequest(queue_item_id=item)
        watched = one.stub.WatchPosition(request, metadata=of("ann"), timeout=0.5)
        assert (await watched.read()).position == 1
        assert (await refused(watched.read()))[0] == "DEADLINE_EXCEEDED"
        # Its place among the streams is free again, and the item waits as long as any.
        await until(lambda: not len(one.service._streams), WAIT_S)
        again = await one.stub.EnqueueBooking(wish(), metadata=of("ann"), timeout=WAIT_S)
        assert (again.is_new, again.expires_at_ms) == (False, enqueued.expires_at_ms)
        # A call whose deadline passed may have had its effect; the same again tells.
        cancel = messages.CancelQueueItemRequest(queue_item_id=item)
        with suppress(grpc.aio.AioRpcError):
            await one.stub.CancelQueueItem(cancel, metadata=of("ann"), timeout=0.001)
        assert (await one.stub.CancelQueueItem(cancel, metadata=of("ann"))).cancelled == 1

    run(redis_url, test, settings={"streams_per_user": 1})


def test_what_lies_there_that_is_none_of_ours_is_an_error_of_ours_and_shows_nothing(
    redis_url: str,
) -> None:
    async def test(one: Served) -> None:
        item = (await one.stub.EnqueueBooking(wish(), metadata=of("ann"))).queue_item_id
        taken = await one.queue.take(EVENT)
        assert taken is not None
        await one.queue.complete(taken, b"a secret")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await one.stub.GetQueueStatus(
                messages.GetQueueStatusRequest(queue_item_id=item), metadata=of("ann")
            )
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(caught.value)

    run(redis_url, test)
