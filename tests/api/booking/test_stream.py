"""Items of the booking queue as they are pushed: what is new, resumed, and to their owners only.

The queue is a dict; the ticks are quick, and nothing depends on how quick.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from support.pods.api_client import TrustingVerifier
from support.pods.asgi_stream import Stream, Told

from api.app import create_app
from api.booking.stream import streams_of
from api.building import pod_of
from api.parts.booking import RedisBookingDesk
from api.pod import Pod
from api.settings import ApiSettings
from api.streaming import client as streamed
from state.domain.booking_queue.items import Item, item_id
from state.domain.booking_queue.queue import QueueAway, QueueUnreadable
from state.domain.booking_queue.statuses import ItemStatus
from state.domain.booking_queue.wishes import Carried
from state.records.booking_queue.wishes import encoded_outcome

ITEM = item_id("ann", "k", 7)
WAITING = Item(ITEM, 7, "ann", ItemStatus.WAITING, 2, 0, 0, 100, 900_100, b"{}", b"", "")
HELD = WAITING._replace(
    status=ItemStatus.COMPLETED, position=0, attempts=1, outcome=encoded_outcome(Carried("r", ""))
)


class Items:
    """Stands for the queue: the items that there are, and the fault that all looks meet."""

    def __init__(self) -> None:
        self.items = {ITEM: WAITING}
        self.fault: Exception | None = None

    async def look(self, item_id: str) -> Item | None:
        if self.fault is not None:
            raise self.fault
        return self.items.get(item_id)

    async def look_all(self, _: int, item_ids: Sequence[str]) -> tuple[Item | None, ...]:
        return tuple([await self.look(item_id) for item_id in item_ids])

    def now(self, item: Item = WAITING, **changes: Any) -> None:
        self.items[ITEM] = item._replace(**changes)


class Queue:
    """A pod over such a queue, and who follows its items."""

    def __init__(self, **settings: Any) -> None:
        desk: Any = RedisBookingDesk("")
        desk.queue = self.items = Items()
        self.pod: Pod = pod_of(ApiSettings(**settings), verifier=TrustingVerifier(), booking=desk)
        self.app = create_app(self.pod.settings, self.pod)
        self.streams: list[Stream] = []

    def follow(
        self, user: str = "ann", item: str = ITEM, role: str = "buyer", **more: str
    ) -> Stream:
        headers = {"authorization": f"Bearer {user}:{role}"} | more
        stream = Stream(self.app, f"/v1/booking-queue/{item}/events", headers)
        self.streams.append(stream)
        return stream


def run(
    monkeypatch: pytest.MonkeyPatch, test: Callable[[Queue], Awaitable[None]], **settings: Any
) -> None:
    monkeypatch.setattr(streamed, "TICK_S", 0.005)

    async def go() -> None:
        queue = Queue(**settings)
        try:
            await test(queue)
        finally:
            for stream in queue.streams:
                stream.go_on_reading()
                await stream.go_away()

    asyncio.run(go())


async def told(stream: Stream) -> Told:
    found = await stream.next_events()
    return found[-1]


async def ended(stream: Stream) -> int:
    """Wait for the end of an answer; return its status."""
    async with asyncio.timeout(60):
        await stream.task
    return stream.answer.status


async def comments(stream: Stream, count: int) -> None:
    async with asyncio.timeout(60):
        while stream.answer.body.count(b": still there") < count:
            stream._grown.clear()
            await stream._grown.wait()


def test_s004_4_its_user_is_told_each_place_the_turn_and_the_reservation_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(queue: Queue) -> None:
        stream = queue.follow()
        first = await told(stream)
        assert (first.event, first.data["position"]) == ("booking:queue_position", 2)
        assert first.data["estimated_wait_ms"] == 10_000
        queue.items.now(position=1)
        assert (await told(stream)).data["position"] == 1
        queue.items.now(status=ItemStatus.PROCESSING, position=0, attempts=1)
        assert (await told(stream)).event == "booking:processing"
        queue.items.now(HELD)
        last = await told(stream)
        assert (last.event, last.data["reservation_id"]) == ("ticket:reserved", "r")
        assert await ended(stream) == 200
        # A browser that comes back with the last id is told to ask no more.
        again = queue.follow(**{"last-event-id": last.id})
        assert await ended(again) == 204
        assert again.answer.body == b""
        later = queue.follow(**{"last-event-id": first.id})
        assert (await told(later)).id == last.id
        assert await ended(later) == 200
        assert not len(streams_of(queue.pod)._room)

    run(monkeypatch, test)


@pytest.mark.parametrize(
    ("changes", "event", "reason"),
    [
        ({"outcome": encoded_outcome(Carried("", "SOLD_OUT"))}, "booking:failed", "SOLD_OUT"),
        ({"status": ItemStatus.EXPIRED, "outcome": b""}, "booking:failed", ""),
        (
            {"status": ItemStatus.DEAD, "outcome": b"", "reason": "timeout"},
            "booking:failed",
            "timeout",
        ),
        ({"status": ItemStatus.CANCELLED, "outcome": b""}, "booking:cancelled", ""),
    ],
)
def test_each_end_is_told_by_its_name(
    changes: dict[str, Any], event: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(queue: Queue) -> None:
        queue.items.now(HELD, **changes)
        stream = queue.follow()
        last = await told(stream)
        assert (last.event, last.data["reason"]) == (event, reason)
        assert await ended(stream) == 200

    run(monkeypatch, test)


def test_what_has_not_changed_is_not_told_again_also_not_to_who_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(queue: Queue) -> None:
        last = (await told(queue.follow())).id
        resumed = queue.follow(**{"last-event-id": last})
        await comments(resumed, 3)
        assert resumed.new_events() == []
        queue.items.now(position=1)
        assert (await told(resumed)).data["position"] == 1

    run(monkeypatch, test)


def test_a_queue_that_is_away_is_told_once_and_the_place_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(queue: Queue) -> None:
        stream = queue.follow()
        await told(stream)
        queue.items.fault = QueueAway("away")
        assert [one.event for one in await stream.next_events()] == ["hold"]
        await comments(stream, 2)
        assert stream.new_events() == []
        assert await ended(queue.follow()) == 503
        queue.items.fault = None
        assert (await told(stream)).data["position"] == 2

    run(monkeypatch, test)


@pytest.mark.parametrize("way", ["gone", "queue", "outcome"])
def test_an_item_of_which_nothing_can_be_said_ends_its_streams_and_no_others(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = item_id("ben", "k", 8)

    async def test(queue: Queue) -> None:
        queue.items.items[other] = WAITING._replace(id=other, user_id="ben", event_id=8)
        kept, stream = queue.follow("ben", other), queue.follow()
        for one in (kept, stream):
            await told(one)
        if way == "gone":
            del queue.items.items[ITEM]
        elif way == "outcome":
            queue.items.now(HELD, outcome=b"none of ours")
        else:
            look = queue.items.look

            async def hostile(item_id: str) -> Item | None:
                if item_id == ITEM:
                    raise QueueUnreadable("secret")
                return await look(item_id)

            queue.items.look = hostile  # type: ignore[method-assign]
        assert await ended(stream) == 200
        assert b"secret" not in stream.answer.body
        queue.items.items[other] = queue.items.items[other]._replace(position=1)
        assert (await told(kept)).data["position"] == 1

    run(monkeypatch, test)


def test_only_its_owner_follows_an_item_and_only_by_an_id_that_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(queue: Queue) -> None:
        assert await ended(queue.follow("eve")) == 404
        assert await ended(queue.follow("eve", item_id("eve", "k", 7))) == 404
        assert await ended(queue.follow(item="a" * 26 + "-9999999999999999999")) == 404
        for bad in ("x", "{7}", ITEM + "0" * 20):
            assert await ended(queue.follow(item=bad)) == 400
        assert await ended(queue.follow(role="operator")) == 403

    run(monkeypatch, test)


def test_a_user_has_so_many_and_a_pod_that_ends_takes_no_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(queue: Queue) -> None:
        open_ = [queue.follow(), queue.follow()]
        for stream in open_:
            await told(stream)
        assert await ended(queue.follow()) == 429
        await open_[0].go_away()
        open_[0] = queue.follow()
        await told(open_[0])
        queue.pod.drain()
        for stream in open_:
            assert await ended(stream) == 200
        assert await ended(queue.follow()) == 503

    run(monkeypatch, test, streams_per_user=2)


def test_who_reads_slowly_is_told_the_newest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(queue: Queue) -> None:
        slow, quick = queue.follow(), queue.follow()
        for stream in (slow, quick):
            await told(stream)
        slow.stop_reading()
        for position in range(50, 10, -1):
            queue.items.now(position=position)
            assert (await told(quick)).data["position"] == position
        slow.go_on_reading()
        while (newest := await told(slow)).data["position"] != 11:
            pass
        assert slow.answer.body.count(b"event:") < 10
        assert newest.event == "booking:queue_position"

    run(monkeypatch, test)
