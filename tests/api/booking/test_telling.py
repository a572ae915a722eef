"""A realtime service is told of items over a real channel, and its trouble is its own (S004.4)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.booking_queue.calling import Served, of, served, wish
from support.booking_queue.hands_in_redis import RedisHands
from support.pages.certificates import Authority
from support.pods.conditions import until
from support.pods.whole_pods import EVENT, whole_pod
from support.redis.locking import ask_of, redis_at

from api.booking import telling
from api.booking.carriers import Carriers
from api.booking.telling import AT_ONCE, CALL_S, Teller
from api.parts import notices as noting
from api.parts.booking import RedisBookingDesk
from api.pod import Pod
from infra.process.breaker import Rules
from schemas.proto import booking_worker_pb2 as booking
from schemas.proto import realtime_pb2 as messages
from schemas.proto.realtime_pb2_grpc import (
    RealtimeServiceServicer,
    add_RealtimeServiceServicer_to_server,
)
from state.domain.booking_queue.items import item_id
from state.domain.booking_queue.queue import QueueAway, Waits

WAIT_S = 60.0
FREE = {"limit_create": None, "limit_cancel": None, "limit_network": None}


class Realtime(RealtimeServiceServicer):
    """A realtime service that notes what it is told; fault: of every call, or of some notices."""

    def __init__(self) -> None:
        self.calls = 0
        self.told: list[messages.QueueNotice] = []
        self.shown: set[str] = set()
        self.left_s = 0.0
        self.fault: grpc.StatusCode | None = None
        self.takes_all_but = ""
        self.port = 0

    async def NotifyQueue(  # noqa: N802
        self, request: messages.NotifyQueueRequest, context: Any
    ) -> messages.NotifyQueueResponse:
        self.calls += 1
        self.left_s = context.time_remaining()
        self.shown |= {
            word for key, word in context.invocation_metadata() if key == "authorization"
        }
        if self.fault is not None:
            await context.abort(self.fault, "a fault")
        if any(one.user_id == self.takes_all_but for one in request.notices):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this one")
        self.told += request.notices
        return messages.NotifyQueueResponse()


def run(
    test: Callable[[Realtime, Pod, Teller], Awaitable[None]], pair: Any = None, **settings: Any
) -> None:
    async def go() -> None:
        realtime, server = Realtime(), grpc.aio.server()
        add_RealtimeServiceServicer_to_server(realtime, server)  # type: ignore[no-untyped-call]
        address, scheme = "127.0.0.1:0", "http"
        if pair is None:
            realtime.port = server.add_insecure_port(address)
        else:
            scheme = "https"
            keys = [(pair.key.read_bytes(), pair.cert.read_bytes())]
            credentials = grpc.ssl_server_credentials(keys)
            realtime.port = server.add_secure_port(address, credentials)
        await server.start()
        pod = whole_pod()
        url = f"{scheme}://127.0.0.1:{realtime.port}"
        pod.settings = pod.settings.__class__(realtime_url=url, **settings)
        pod.given = {**pod.given, "booking": RedisBookingDesk("")}
        teller = Teller(pod, clock_s=lambda: 0.0)
        teller.start()
        try:
            await test(realtime, pod, teller)
        finally:
            await teller.stop()
            await server.stop(0)

    asyncio.run(go())


def counted(pod: Pod, outcome: str) -> float:
    return float(pod.metrics.booking_notices.labels(outcome)._value.get())


def place(user: str, position: int = 1) -> Waits:
    return Waits(f"item-of-{user}", user, position, 0, 0, b"c-7 00-x")


def test_users_are_told_with_ids_and_a_deadline(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("realtime")

    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        pod.booking.notices.place(EVENT, place("ann", 3))
        await until(lambda: realtime.told, WAIT_S)
        [one] = realtime.told
        assert (one.user_id, one.event_id, one.position) == ("ann", EVENT, 3)
        assert (one.type, one.estimated_wait_ms) == ("booking:queue_position", 15_000)
        assert (one.correlation_id, one.traceparent) == ("c-7", "")
        assert 0 < realtime.left_s <= CALL_S
        assert realtime.shown == {"Bearer a-token"}
        await until(lambda: counted(pod, "told") == 1, WAIT_S)

    run(test, pair, realtime_token="a-token", realtime_ca=str(authority.ca))


def test_what_the_service_does_not_take_is_dropped_alone() -> None:
    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        realtime.takes_all_but = "eve"
        for user in ("ann", "eve", "ben"):
            pod.booking.notices.place(EVENT, place(user))
        await until(lambda: len(realtime.told) == 2, WAIT_S)
        assert [one.user_id for one in realtime.told] == ["ann", "ben"]
        await until(lambda: counted(pod, "told") == 2, WAIT_S)
        assert counted(pod, "dropped") == 1
        assert len(pod.booking.notices) == 0

    run(test)


def test_a_service_that_is_away_is_left_alone_after_five_failures_and_told_the_newest_later() -> (
    None
):
    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        notices = pod.booking.notices
        realtime.fault = grpc.StatusCode.UNAVAILABLE
        # The sender of its own waits for 5 s after the first one.
        notices.place(EVENT, place("ann", 9))
        await until(lambda: realtime.calls == 1 and len(notices) == 1, WAIT_S)
        for calls in range(2, Rules().failures + 1):
            assert not await teller.tell(notices.take(AT_ONCE))
            assert realtime.calls == calls
        for _ in range(3):
            assert not await teller.tell(notices.take(AT_ONCE))
        assert realtime.calls == Rules().failures
        assert len(notices) == 1
        assert teller._pause_s() == 60.0
        notices.place(EVENT, place("ann", 4))
        realtime.fault = None
        teller._clock_s = lambda: 60.0
        assert await teller.tell(notices.take(AT_ONCE))
        assert [one.position for one in realtime.told] == [4]

    run(test)


def test_what_makes_room_is_counted_and_said_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(noting, "WAITING_MAX", 1)

    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        realtime.fault = grpc.StatusCode.UNAVAILABLE
        for user in ("ann", "ben", "cy"):
            pod.booking.notices.place(EVENT, place(user))
        assert counted(pod, "no_room") == pod.booking.notices.dropped == 2
        said = [one for one in caplog.records if "made room" in one.message]
        assert [one.levelname for one in said] == ["WARNING"]

    with caplog.at_level("WARNING"):
        run(test)


def test_an_item_that_time_has_ended_waits_for_a_queue_that_is_away() -> None:
    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        notices = pod.booking.notices
        items = [item_id(user, "k", EVENT) for user in ("ann", "ben")]
        for one in items:
            notices.over(one)
        # This pod has no Redis. Of the queue in Kafka one event may be away, and another not.
        for first in (*items, items[0]):
            assert notices.first_over() == first
            with pytest.raises(QueueAway):
                await teller.note_ended()
        assert len(notices) == 2

    run(test)


def test_a_pod_that_ends_tells_what_is_left() -> None:
    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        realtime.fault = grpc.StatusCode.UNAVAILABLE
        pod.booking.notices.place(EVENT, place("ann"))
        await until(lambda: realtime.calls == 1 and len(pod.booking.notices) == 1, WAIT_S)
        realtime.fault = None
        await teller.stop()
        assert [one.user_id for one in realtime.told] == ["ann"]

    run(test)


@pytest.mark.redis
def test_what_becomes_of_an_item_and_the_places_of_a_line_are_noted(redis_url: str) -> None:
    async def test(one: Served) -> None:
        notices = one.pod.booking.notices
        teller = Teller(one.pod)
        told: list[tuple[str, str, int]] = []

        def take() -> list[tuple[str, str, int]]:
            told[:] = [(news.user_id, news.notice, news.position) for news in notices.take(99)]
            return told

        items = {
            user: (await one.stub.EnqueueBooking(wish(), metadata=of(user))).queue_item_id
            for user in ("ann", "ben", "cy")
        }
        await one.stub.EnqueueBooking(wish(), metadata=of("ann"))
        at = "booking:queue_position"
        assert take() == [("ann", at, 1), ("ben", at, 2), ("cy", at, 3)]
        await teller.note_places()
        assert len(take()) == 3
        cancel = booking.CancelQueueItemRequest(queue_item_id=items["ann"])
        await one.stub.CancelQueueItem(cancel, metadata=of("ann"))
        await teller.note_places()
        assert take() == [("ann", "booking:cancelled", 0), ("ben", at, 1), ("cy", at, 2)]
        await teller.note_places()
        assert take() == []
        # The log of this test has no such section.
        assert await Carriers(one.pod).carry_one()
        assert take() == [("ben", "booking:failed", 0)]
        async with redis_at(redis_url) as client:
            await RedisHands(ask_of(client)).lapse(items["cy"])
        await Carriers(one.pod).clean()
        assert take() == []
        await teller.note_ended()
        assert take() == [("cy", "booking:failed", 0)]

    async def go() -> None:
        async with served(redis_url, settings=FREE) as one:
            await test(one)

    asyncio.run(go())


def test_a_notice_that_cannot_be_sent_is_dropped_alone() -> None:
    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        for user in ("ann", "\ud800", "cy"):
            pod.booking.notices.place(EVENT, place(user))
        await until(lambda: len(realtime.told) == 2, WAIT_S)
        assert {one.user_id for one in realtime.told} == {"ann", "cy"}
        assert counted(pod, "dropped") == 1

    run(test)


def test_whatever_ends_a_look_at_items_is_said_once_and_the_next_is_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        looked = 0

        async def look(self, _: str) -> None:
            self.looked += 1
            raise ValueError("a mistake of ours")

    async def test(realtime: Realtime, pod: Pod, teller: Teller) -> None:
        queue = pod.booking.queue = Odd()  # type: ignore[assignment]
        pod.booking.notices.over(item_id("ann", "k", EVENT))
        await until(lambda: queue.looked > 2, WAIT_S)
        pod.booking.notices.looked_at(item_id("ann", "k", EVENT), None)

    monkeypatch.setattr(telling, "ENDED_EVERY_S", 0.01)
    run(test)
    assert caplog.text.count("a mistake of ours") == 1
