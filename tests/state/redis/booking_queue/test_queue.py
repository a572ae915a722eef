"""S004.2 to S004.13: the queue at a real Redis, over the suite that every queue keeps to."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import Phase, given, settings
from redis.asyncio import Redis
from support.booking_queue.hands_in_redis import RedisHands
from support.booking_queue.suite import (
    CASES,
    LENGTH_MAX,
    Case,
    Step,
    agrees,
    filled,
    put,
    steps,
)
from support.redis.events import EVENTS
from support.redis.locking import ask_of, redis_at, twice

from state.domain.booking_queue.figures import CLEANED_AT_ONCE
from state.domain.booking_queue.queue import QueueUnreadable
from state.domain.booking_queue.statuses import ItemStatus
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.client import cluster_of
from state.redis.keys import QUEUE_EVENTS, booking_queue

pytestmark = pytest.mark.redis


def run(url: str, test: Callable[[RedisBookingQueue, Redis], Awaitable[None]]) -> None:
    async def go() -> None:
        async with redis_at(url) as client:
            await test(RedisBookingQueue(ask_of(client)), client)

    asyncio.run(go())


ANSWERED_ONCE = {
    "a_dead_item_is_tried_anew_or_removed_by_an_operator",
    "cleaning_moves_a_bounded_number_and_tells_what_it_moved",
    "whom_time_has_ended_the_process_that_ended_them_is_told",
}
"""Cases that ask whether it was this call that did it: of a repeat that is not known."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("is_sent_twice", [False, True])
def test_a_queue_in_redis_keeps_to_the_suite(
    redis_url: str, case: Case, is_sent_twice: bool
) -> None:
    """A client that lost the first answer sends everything twice."""

    async def go() -> None:
        async with redis_at(redis_url) as client:
            ask = ask_of(client)
            sent = twice(ask) if is_sent_twice else ask
            await case(RedisBookingQueue(sent, length_max=LENGTH_MAX), RedisHands(ask))

    if is_sent_twice and case.__name__ in ANSWERED_ONCE:
        pytest.skip("tells by its answer whether it was the first")
    asyncio.run(go())


def test_a_queue_in_redis_does_as_the_model(redis_url: str) -> None:
    # Where the model differs, the cases say more than a shorter list of steps would.
    @settings(phases=[Phase.explicit, Phase.generate])
    @given(steps)
    def does(told: list[Step]) -> None:
        async def go() -> None:
            async with redis_at(redis_url) as client:
                ask = ask_of(client)
                queue = RedisBookingQueue(ask, length_max=LENGTH_MAX)
                await agrees(queue, RedisHands(ask), told)

        asyncio.run(go())

    does()


def test_scripts_that_the_server_has_lost_are_sent_again(redis_url: str) -> None:
    """NOSCRIPT: after a restart, or where somebody has flushed them."""

    async def lose(queue: RedisBookingQueue, client: Redis) -> None:
        event = next(EVENTS)
        await client.script_flush()
        item = await put(queue, event, "ann")
        for _ in range(2):
            await client.script_flush()
            taken = await queue.take(event)
            assert taken is not None
            assert taken.item.id == item.id
            await client.script_flush()
            await RedisHands(ask_of(client)).end_lease(item.id)
        assert (await queue.standing(event)).taken == 1

    run(redis_url, lose)


def test_the_clock_is_that_of_redis_and_of_no_worker(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers whose clocks are a year apart neither take each other's items nor expire any."""

    async def skewed(queue: RedisBookingQueue, client: Redis) -> None:
        event = next(EVENTS)
        first, second = await filled(queue, event, 2)
        seconds, _ = await client.time()
        for year_s in (-31_536_000, 31_536_000):
            monkeypatch.setattr("time.time", lambda year_s=year_s: seconds + year_s)
            taken = await queue.take(event)
            assert taken is not None
            await queue.clean(event)
        monkeypatch.undo()
        for item in (first, second):
            found = await queue.look(item)
            assert found is not None
            assert found.status is ItemStatus.PROCESSING
            assert abs(found.enqueued_ms - 1_000 * seconds) < 60_000

    run(redis_url, skewed)


def test_s004_7_one_step_of_cleaning_moves_a_hundred_and_taking_passes_all_that_are_over(
    redis_url: str,
) -> None:
    async def expire(queue: RedisBookingQueue, client: Redis) -> None:
        event = next(EVENTS)
        items = await filled(queue, event, 3 * CLEANED_AT_ONCE)
        for item in items[:-1]:
            await RedisHands(ask_of(client)).lapse(item)
        assert (await queue.clean(event)).lapsed == CLEANED_AT_ONCE
        taken = await queue.take(event)
        assert taken is not None
        assert taken.item.id == items[-1]
        assert (await queue.standing(event)).expired == len(items) - 1

    run(redis_url, expire)


def test_an_item_in_work_whose_time_is_over_hides_no_other_from_cleaning(redis_url: str) -> None:
    async def hide(queue: RedisBookingQueue, client: Redis) -> None:
        event, hands = next(EVENTS), RedisHands(ask_of(client))
        items = await filled(queue, event, CLEANED_AT_ONCE + 2)
        for item in items[:-1]:
            assert await queue.take(event) is not None
            await hands.lapse(item)
        await hands.lapse(items[-1])
        assert (await queue.clean(event)).lapsed + (await queue.clean(event)).lapsed == 1
        # Back from its worker it is looked at again.
        await hands.end_lease(items[0])
        await queue.clean(event)
        found = await queue.look(items[0])
        assert found is not None
        assert found.status is ItemStatus.EXPIRED

    run(redis_url, hide)


def test_what_another_program_put_there_is_told_and_costs_no_other_event(redis_url: str) -> None:
    async def spoil(queue: RedisBookingQueue, client: Redis) -> None:
        spoilt, whole = next(EVENTS), next(EVENTS)
        item = await put(queue, spoilt, "ann")
        await client.zadd(QUEUE_EVENTS, {"not a number": 1})
        await client.zadd(booking_queue(spoilt)[0], {"no item of ours": 0})
        taken = await queue.take(spoilt)
        assert taken is not None
        assert taken.item.id == item.id
        await client.hset(booking_queue(spoilt)[7] + item.id, "status", "odd")
        with pytest.raises(QueueUnreadable):
            await queue.look(item.id)
        await client.set(booking_queue(spoilt)[0], "a text")
        with pytest.raises(QueueUnreadable):
            await queue.take(spoilt)
        await put(queue, whole, "ann")
        assert {spoilt, whole} <= {*await queue.events()}
        await client.delete(booking_queue(spoilt)[0])
        await client.zrem(QUEUE_EVENTS, "not a number")

    run(redis_url, spoil)


def test_an_event_is_forgotten_a_minute_after_its_last_item_and_not_before(redis_url: str) -> None:
    async def forget(queue: RedisBookingQueue, client: Redis) -> None:
        event = next(EVENTS)
        await put(queue, event, "ann")
        await queue.forget(event)
        assert event in await queue.events()
        await client.zadd(QUEUE_EVENTS, {str(event): 1})
        # Whoever comes now is listed anew, before the event is forgotten or after.
        await put(queue, event, "ben")
        await queue.forget(event)
        assert event in await queue.events()
        await client.zadd(QUEUE_EVENTS, {str(event): 1})
        await queue.forget(event)
        assert event not in await queue.events()

    run(redis_url, forget)


def test_s004_9_all_keys_of_an_event_lie_on_one_node_of_a_cluster(cluster_url: str) -> None:
    async def go() -> None:
        client = cluster_of(cluster_url, timeout_s=30.0)
        try:
            queue = RedisBookingQueue(client.execute_command)
            for _ in range(5):
                event = next(EVENTS)
                items = await filled(queue, event, 2)
                assert event in await queue.events()
                for item in items:
                    taken = await queue.take(event)
                    assert taken is not None
                    assert (await queue.complete(taken, b"")).is_recorded
                    assert await queue.cancel(item, "nobody") is None
        finally:
            await client.aclose()

    asyncio.run(go())
