"""Tasks of a cycle of promotion at a real Redis: each is taken by one, and none is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from support.redis.locking import redis_at

from state.redis.keys import PROMOTION_CYCLES, promotion_tasks
from state.redis.waiting.tasks import HELD_MS, LISTED_MS, PromotionTasks

Test = Callable[[PromotionTasks, Redis], Awaitable[None]]


def run(url: str, test: Test) -> None:
    async def go() -> None:
        async with redis_at(url) as client:
            # Cycles of all tests are in one set.
            await client.delete(PROMOTION_CYCLES)
            await test(PromotionTasks(client.execute_command), client)

    asyncio.run(go())


async def abandon(client: Redis, cycle: str) -> None:
    """Have nobody be at a cycle any more."""
    await client.zadd(PROMOTION_CYCLES, {cycle: 1}, xx=True)


async def over(tasks: PromotionTasks) -> str | None:
    """Return the cycle that was taken over."""
    found = await tasks.take_over()
    return None if found is None else found[0]


async def taken_of(tasks: PromotionTasks, cycle: str) -> list[int]:
    """Return all that is left to take, in order."""
    taken = []
    while (event := await tasks.take(cycle)) is not None:
        taken.append(event)
    return taken


def test_s000_7_a_cycle_has_a_list_of_its_own_that_ends_and_every_event_is_in_it(
    redis_url: str,
) -> None:
    async def test(tasks: PromotionTasks, client: Redis) -> None:
        events = list(range(2_500))
        cycles = [await tasks.begin(events) for _ in range(2)]
        assert len(set(cycles)) == 2
        for cycle in cycles:
            listed, taken = promotion_tasks(cycle)
            assert [int(task) for task in await client.lrange(listed, 0, -1)] == events
            assert 0 < await client.pttl(listed) <= LISTED_MS
            assert await tasks.take(cycle) == 0
            assert 0 < await client.pttl(taken) <= LISTED_MS
            await tasks.end(cycle)
            assert not await client.exists(listed, taken)
        assert not await client.exists(PROMOTION_CYCLES)

    run(redis_url, test)


def test_s000_7_no_list_is_ever_there_without_its_end(redis_url: str) -> None:
    """One that outlives whoever wrote it vanishes, wherever that one stopped."""

    async def test(tasks: PromotionTasks, client: Redis) -> None:
        cycle = await tasks.begin([1])
        listed, taken = promotion_tasks(cycle)
        assert await tasks.take(cycle) == 1
        # The list of tasks is empty now, and so gone; it is made anew by what comes back.
        assert not await client.exists(listed)
        await tasks.give_back(cycle, 1)
        assert 0 < await client.pttl(listed) <= LISTED_MS
        assert not await client.exists(taken)
        assert 0 < await client.pttl(PROMOTION_CYCLES) <= LISTED_MS

    run(redis_url, test)


def test_s000_10_many_take_each_task_once(redis_url: str) -> None:
    async def test(tasks: PromotionTasks, _: Redis) -> None:
        cycle = await tasks.begin(range(200))
        taken = await asyncio.gather(*(taken_of(tasks, cycle) for _ in range(16)))
        assert sorted(event for one in taken for event in one) == list(range(200))

    run(redis_url, test)


def test_s000_10_what_was_taken_and_not_done_is_taken_over_once_nobody_is_at_it(
    redis_url: str,
) -> None:
    async def test(tasks: PromotionTasks, client: Redis) -> None:
        cycle = await tasks.begin(range(5))
        first, second = await tasks.take(cycle), await tasks.take(cycle)
        assert (first, second) == (0, 1)
        await tasks.done(cycle, 0)
        # Somebody is at it.
        assert (await over(tasks)) is None
        await abandon(client, cycle)
        assert (await over(tasks)) == cycle
        # Whoever took it over is at it now.
        assert (await over(tasks)) is None
        score: Any = await client.zscore(PROMOTION_CYCLES, cycle)
        now_s, _us = await client.time()
        assert 0 < score - 1000 * now_s <= HELD_MS + 1_000
        assert sorted(await taken_of(tasks, cycle)) == [1, 2, 3, 4]

    run(redis_url, test)


@pytest.mark.parametrize("at", range(4))
def test_a_cycle_that_ends_halfway_is_ended_by_who_takes_it_over(redis_url: str, at: int) -> None:
    """Whoever began it died before its list, within its tasks, or with all of them done."""

    async def test(tasks: PromotionTasks, client: Redis) -> None:
        cycle = await tasks.begin([1, 2])
        if at == 0:
            await client.delete(*promotion_tasks(cycle))
        for event in range(1, at):
            assert await tasks.take(cycle) == event
            await tasks.done(cycle, event)
        await abandon(client, cycle)
        assert (await over(tasks)) == cycle
        left = await taken_of(tasks, cycle)
        assert left == {0: [], 1: [1, 2], 2: [2], 3: []}[at]
        await tasks.end(cycle)
        assert (await over(tasks)) is None

    run(redis_url, test)


@given(st.lists(st.tuples(st.sampled_from(["take", "done", "back", "over"]), st.integers(0, 3))))
def test_every_task_is_to_be_taken_or_taken_or_done_and_never_two_of_it(
    redis_url: str, steps: list[tuple[str, int]]
) -> None:
    async def test(tasks: PromotionTasks, client: Redis) -> None:
        cycle = await tasks.begin(range(4))
        waiting, taken, done = [0, 1, 2, 3], list[int](), set[int]()
        for name, event in steps:
            if name == "take":
                assert await tasks.take(cycle) == (waiting[0] if waiting else None)
                taken += waiting[:1]
                del waiting[:1]
            elif name == "done":
                await tasks.done(cycle, event)
                done |= {event} & set(taken)
                taken = [one for one in taken if one != event]
            elif name == "back":
                await tasks.give_back(cycle, event)
                waiting += [one for one in taken if one == event]
                taken = [one for one in taken if one != event]
            else:
                await abandon(client, cycle)
                assert (await over(tasks)) == cycle
                waiting, taken = [*waiting, *taken], []
            listed, held = promotion_tasks(cycle)
            assert [int(one) for one in await client.lrange(listed, 0, -1)] == waiting
            assert [int(one) for one in await client.lrange(held, 0, -1)] == taken
            assert sorted([*waiting, *taken, *done]) == [0, 1, 2, 3]

    run(redis_url, test)
