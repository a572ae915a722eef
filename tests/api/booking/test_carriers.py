"""The workers of a pod, at a real Redis, and with the real handler (S004.5 to S004.8)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.pods.conditions import until
from support.pods.reservation_pods import NotAppended, Seats, pod_over
from support.redis.locking import ask_of, redis_at
from support.seats.section_commands import A

from api.booking import carriers as carrying
from api.booking.carriers import Carriers
from api.booking.carrying import carried_out
from api.parts.booking import RedisBookingDesk
from api.pod import Pod
from state.domain.booking_queue.figures import RETRIES_MAX
from state.domain.booking_queue.queue import Enqueued, QueueAway, Settled, Standing, Taken
from state.domain.booking_queue.statuses import DeadReason, ItemStatus
from state.domain.booking_queue.wishes import Carried, Wish
from state.records.booking_queue.wishes import decoded_outcome, encoded
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.keys import PREFIX, booking_queue

pytestmark = pytest.mark.redis

EVENT, OTHER = 7, 8
WISH = encoded(Wish(A, (), 1, 0, "", ())) or b""
WAIT_S = 60.0


@asynccontextmanager
async def pod_at(url: str, text: str = "." * 20) -> AsyncIterator[tuple[Pod, Seats, Any]]:
    """Give a pod with workers, its seats, and a client of its empty Redis."""
    async with redis_at(url) as client:
        async for name in client.scan_iter(f"{PREFIX}queue*"):
            await client.delete(name)
        seats, desk = Seats().open(text), RedisBookingDesk(url)
        pod = pod_over(seats, parts={"booking": desk}, grpc_port=1, bookers=3)
        try:
            yield pod, seats, client
        finally:
            await desk.close()


def run(
    url: str, test: Callable[[Pod, Seats, Any], Awaitable[None]], text: str = "." * 20
) -> None:
    async def go() -> None:
        async with pod_at(url, text) as (pod, seats, client):
            await test(pod, seats, client)

    asyncio.run(go())


async def put(pod: Pod, user: str, event: int = EVENT, request: bytes = WISH) -> str:
    enqueued = await pod.booking.entrance.enqueue(event, user, "k", request)
    assert isinstance(enqueued, Enqueued)
    return enqueued.item.id


async def seen(pod: Pod, item: str) -> tuple[ItemStatus, Carried, int]:
    found = await pod.booking.queue.look(item)
    assert found is not None
    return found.status, decoded_outcome(found.outcome), found.attempts


def holds(pod: Pod, reservation_id: str) -> str:
    view = pod.outcomes.get(reservation_id.encode())
    assert view is not None
    return str(view.status.name)


def test_s004_8_s004_15_every_item_is_carried_out_once_and_what_the_log_said_is_recorded(
    redis_url: str,
) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        items = [await put(pod, f"u-{at}") for at in range(22)]
        workers = Carriers(pod)
        workers.start()
        await until(lambda: workers.carried == len(items), WAIT_S)
        await workers.stop()
        found = [await seen(pod, item) for item in items]
        assert {status for status, _, _ in found} == {ItemStatus.COMPLETED}
        made = [carried.reservation_id for _, carried, _ in found if carried.reservation_id]
        # 20 seats, in the order of the line as far as three workers keep it.
        assert len({*made}) == 20
        assert {holds(pod, one) for one in made} == {"HELD"}
        refused = [carried.reason for _, carried, _ in found if carried.reason]
        assert refused == ["SOLD_OUT"] * 2
        assert len(seats.sent) == len(items)
        page = pod.metrics.exposition().decode()
        for outcome, count in (("held", 20.0), ("refused", 2.0)):
            assert (
                f'seatstream_booking_items_processed_total{{outcome="{outcome}"}} {count}' in page
            )
        assert "seatstream_booking_processing_duration_seconds_count 22.0" in page

    run(redis_url, test)


def test_s004_5_one_worker_carries_out_in_the_order_of_the_line_and_events_in_turn(
    redis_url: str,
) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        crowd = [await put(pod, f"u-{at}") for at in range(3)]
        alone = await put(pod, "ann", OTHER)
        workers, done = Carriers(pod), []
        for _ in range(4):
            assert await workers.carry_one()
            done += [
                item
                for item in (*crowd, alone)
                if item not in done and (await seen(pod, item))[0] is ItemStatus.COMPLETED
            ]
        assert done == [crowd[0], alone, crowd[1], crowd[2]]
        assert (await seen(pod, alone))[1].reason == "UNKNOWN_SECTION"
        assert not await workers.carry_one()

    run(redis_url, test)


def test_s004_11_while_the_log_does_not_answer_nothing_is_taken_and_no_attempt_is_used_up(
    redis_url: str,
) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        now_s = [0.0]
        workers = Carriers(pod, clock_s=lambda: now_s[0])
        items = [await put(pod, f"u-{at}") for at in range(8)]
        for _ in range(5):
            seats.failure = NotAppended("no broker")
            assert await workers.carry_one()
        seats.failure = None
        assert not await workers.carry_one()
        assert [(await seen(pod, item))[2] for item in items] == [1] * 5 + [0] * 3
        told = 'seatstream_booking_errors_total{reason="service_error"} 5.0'
        assert told in pod.metrics.exposition().decode()
        # After 60 s three may try; where they succeed all do.
        now_s[0] = 59.9
        assert not await workers.carry_one()
        now_s[0] = 60.0
        for _ in range(3):
            assert await workers.carry_one()
        assert [(await seen(pod, item))[0] for item in items[5:]] == [ItemStatus.COMPLETED] * 3
        # Those that failed come back to their places after their pauses.
        await client.zunionstore(booking_queue(EVENT)[1], {booking_queue(EVENT)[1]: 0.0})
        for _ in range(5):
            assert await workers.carry_one()
        assert {(await seen(pod, item))[0] for item in items} == {ItemStatus.COMPLETED}

    run(redis_url, test)


def test_an_item_that_breaks_whoever_carries_it_is_set_aside_and_hinders_no_other(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        workers = Carriers(pod)
        bad, good = await put(pod, "bad"), await put(pod, "good")
        unreadable = await put(pod, "odd", request=b"no wish")
        whole = carried_out

        async def breaks(pod: Pod, item: Any) -> Any:
            if item.user_id == "bad":
                raise RuntimeError("a mistake of ours")
            return await whole(pod, item)

        monkeypatch.setattr(carrying, "carried_out", breaks)
        later = booking_queue(EVENT)[1]
        for _ in range(RETRIES_MAX + 3):
            assert await workers.carry_one()
            await client.zunionstore(later, {later: 0.0})
        assert (await seen(pod, good))[0] is ItemStatus.COMPLETED
        for item, reason in ((bad, "max_retries_exceeded"), (unreadable, "invalid_data")):
            found = await pod.booking.queue.look(item)
            assert found is not None
            assert (found.status, found.reason) == (ItemStatus.DEAD, DeadReason(reason))

    run(redis_url, test)


def test_an_event_whose_queue_cannot_be_read_holds_up_no_other(redis_url: str) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        await put(pod, "ann", 3)
        item = await put(pod, "ann")
        await client.set(booking_queue(3)[0], "a text")
        workers = Carriers(pod)
        assert await workers.carry_one()
        assert (await seen(pod, item))[0] is ItemStatus.COMPLETED
        await workers.clean()

    run(redis_url, test)


class AwayFor(RedisBookingQueue):
    """A queue of which one event is away, as where its part of a cluster is."""

    async def take(self, event_id: int) -> Taken | None:
        return await super().take(_here(event_id))

    async def clean(self, event_id: int) -> Standing:
        return await super().clean(_here(event_id))


def _here(event_id: int) -> int:
    if event_id == 3:
        raise QueueAway("no node has it")
    return event_id


def test_an_event_whose_queue_is_away_holds_up_no_other(redis_url: str) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        await put(pod, "ann", 3)
        items = [await put(pod, user) for user in ("ann", "ben")]
        pod.booking.queue = AwayFor(ask_of(client))
        workers = Carriers(pod)
        for item in items:
            assert await workers.carry_one()
            assert (await seen(pod, item))[0] is ItemStatus.COMPLETED
        with pytest.raises(QueueAway):
            await workers.carry_one()
        await put(pod, "cy")
        await client.zadd(booking_queue(EVENT)[3], {items[0]: 1})
        with pytest.raises(QueueAway):
            await workers.clean()
        # The other event was looked after, and how long the queue is nobody knows.
        assert await client.zscore(booking_queue(EVENT)[3], items[0]) is None
        assert "seatstream_booking_queue_length 0.0" in pod.metrics.exposition().decode()

    run(redis_url, test)


def test_seats_of_a_late_attempt_are_given_back_where_its_item_is_over_without_them(
    redis_url: str,
) -> None:
    """The lease has ended, the item went back to the line, and its owner took it back."""

    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        item = await put(pod, "ann")
        late = await pod.booking.queue.take(EVENT)
        assert late is not None
        carried = await carried_out(pod, late.item)
        assert isinstance(carried, Carried)
        taken = booking_queue(EVENT)[2]
        await client.zadd(taken, {item: 1}, xx=True)
        await pod.booking.queue.clean(EVENT)
        await pod.booking.queue.cancel(item, "ann")
        assert holds(pod, carried.reservation_id) == "HELD"
        await Carriers(pod)._record(late, carried)
        assert holds(pod, carried.reservation_id) == "RELEASED"
        assert (await seen(pod, item))[0] is ItemStatus.CANCELLED

    run(redis_url, test)


def test_a_late_attempt_gives_nothing_back_that_another_has_recorded(redis_url: str) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        item = await put(pod, "ann")
        late = await pod.booking.queue.take(EVENT)
        assert late is not None
        carried = await carried_out(pod, late.item)
        assert isinstance(carried, Carried)
        await client.zadd(booking_queue(EVENT)[2], {item: 1}, xx=True)
        workers = Carriers(pod)
        assert await workers.carry_one()
        await workers._record(late, carried)
        status, again, attempts = await seen(pod, item)
        assert (status, again, attempts) == (ItemStatus.COMPLETED, carried, 2)
        assert holds(pod, carried.reservation_id) == "HELD"

    run(redis_url, test)


def test_an_outcome_that_the_queue_did_not_take_is_said_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "SAY_AGAIN_S", (0.0, 0.0))

    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        queue = pod.booking.queue
        complete, faults = queue.complete, [QueueAway("gone"), QueueAway("gone")]

        async def lost(taken: Taken, outcome: bytes) -> Settled:
            settled = await complete(taken, outcome)
            if faults:
                raise faults.pop()
            return settled

        monkeypatch.setattr(queue, "complete", lost)
        item = await put(pod, "ann")
        assert await Carriers(pod).carry_one()
        assert (await seen(pod, item))[0] is ItemStatus.COMPLETED

    run(redis_url, test)


def test_a_pod_that_drains_takes_nothing_more_and_one_without_a_port_nothing_at_all(
    redis_url: str,
) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        workers = Carriers(pod)
        workers.start()
        pod.drain()
        await workers.stop()
        item = await put(pod, "ann")
        again = Carriers(pod)
        again.start()
        await until(lambda: all(task.done() for task in again._tasks[:3]), WAIT_S)
        await again.stop()
        assert (await seen(pod, item))[0] is ItemStatus.WAITING
        plain = Carriers(pod_over(seats, parts={"booking": pod.booking}))
        plain.start()
        assert plain._tasks == []
        await plain.stop()

    run(redis_url, test)


def test_s004_7_cleaning_expires_what_is_over_in_every_event_and_forgets_those_without_items(
    redis_url: str,
) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        item = await put(pod, "ann")
        keys = booking_queue(EVENT)
        await client.hset(keys[7] + item, "ends", "1")
        await client.zadd(keys[3], {item: 1}, xx=True)
        await put(pod, "ben", OTHER)
        await client.zadd(f"{PREFIX}queue-events", {str(EVENT): 1, str(OTHER): 1})
        await Carriers(pod).clean()
        assert (await seen(pod, item))[0] is ItemStatus.EXPIRED
        assert await pod.booking.queue.events() == (OTHER,)
        assert "seatstream_booking_queue_length 1.0" in pod.metrics.exposition().decode()

    run(redis_url, test)


class OddFor(AwayFor):
    """A queue that one look after it fails in, by a mistake of ours."""

    cleaned = 0

    async def clean(self, event_id: int) -> Standing:
        self.cleaned += 1
        if self.cleaned == 1:
            raise ValueError("a mistake of ours")
        return await super().clean(event_id)


def test_whatever_keeps_the_queue_from_being_looked_after_it_is_tried_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(pod: Pod, seats: Seats, client: Any) -> None:
        await put(pod, "ann")
        queue = pod.booking.queue = OddFor(ask_of(client))
        workers = Carriers(pod)
        workers.start()
        await until(lambda: queue.cleaned > 2, WAIT_S)
        await workers.stop()

    monkeypatch.setattr(carrying, "CLEAN_EVERY_MS", 10)
    run(redis_url, test)
    assert "a mistake of ours" in caplog.text
