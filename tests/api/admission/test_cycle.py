"""Cycles of promotion at a real Redis: each task once, whoever dies in it, wherever that is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from support.redis.events import EVENTS
from support.redis.locking import ask_of, redis_at
from support.waiting.proving import set_up

from api.admission.cycle import TRIES, PromotionCycles, nobody_is_told
from api.admission.pool import Pool
from state.domain.waiting.admission import PROMOTED_MAX, REAPED_MAX, RoomState
from state.domain.waiting.line import Turn
from state.redis.keys import PROMOTION_CYCLES, WAITING_ROOMS, waiting_room
from state.redis.waiting.rooms import WaitingRooms
from state.redis.waiting.tasks import PromotionTasks

PLENTY = 10_000

Ask = Callable[..., Awaitable[Any]]


class Told:
    """Who was told of whom: what a log would have."""

    def __init__(self) -> None:
        self.turns: dict[int, list[Turn]] = {}

    async def __call__(self, event_id: int, turns: Sequence[Turn]) -> None:
        known = self.turns.setdefault(event_id, [])
        known += [turn for turn in turns if turn not in known]

    def names(self, event_id: int) -> list[str]:
        return [turn.user_id for turn in self.turns.get(event_id, [])]


def cycles_at(ask: Ask, supply: Any = None, told: Any = nobody_is_told) -> PromotionCycles:
    return PromotionCycles(
        WaitingRooms(ask),
        PromotionTasks(ask),
        Pool("tests", 3),
        supply or (lambda _: PLENTY),
        promoted=told,
    )


def run(url: str, test: Callable[[Redis], Awaitable[None]]) -> None:
    async def go() -> None:
        async with redis_at(url) as client:
            # Rooms of other tests are not looked after here.
            await client.delete(WAITING_ROOMS, PROMOTION_CYCLES)
            async for name in client.scan_iter("seatstream:promotion-*"):
                await client.delete(name)
            await test(client)

    asyncio.run(go())


async def rooms_with(client: Redis, users: Sequence[int], cap: int = PLENTY) -> list[int]:
    """Return the events of open rooms in which so many wait."""
    rooms, events = WaitingRooms(client.execute_command), []
    for waiting in users:
        event = next(EVENTS)
        await set_up(rooms, event, state=RoomState.OPEN, cap=cap)
        for at in range(waiting):
            await rooms.enter(event, f"user-{at}")
        events.append(event)
    return events


async def counts(client: Redis, event: int) -> tuple[int, int]:
    """Return how many wait and how many are admitted."""
    _, line, _, active, *_ = waiting_room(event)
    return await client.zcard(line), await client.zcard(active)


def test_s000_17_all_who_are_gone_are_given_up_in_one_cycle_some_hundreds_by_each_script(
    redis_url: str,
) -> None:
    async def test(client: Redis) -> None:
        users = 2 * REAPED_MAX + 1
        [event] = await rooms_with(client, [0])
        rooms = WaitingRooms(client.execute_command)
        await asyncio.gather(*(rooms.enter(event, f"user-{at}") for at in range(users)))
        seen = waiting_room(event)[2]
        await client.zunionstore(seen, {seen: 0.5})
        cycles = cycles_at(client.execute_command)
        await cycles.run()
        assert cycles.counters.gone == users
        assert await counts(client, event) == (0, 0)

    run(redis_url, test)


def test_s000_25_tasks_are_written_and_every_open_room_is_promoted_once(redis_url: str) -> None:
    async def test(client: Redis) -> None:
        events = await rooms_with(client, [3, 0, 5, 1, 4, 2], cap=3)
        paused = events[3]
        await WaitingRooms(client.execute_command).configure(paused, state=RoomState.PAUSED)
        asked: list[tuple[Any, ...]] = []

        async def ask(*command: Any) -> Any:
            asked.append(command)
            return await ask_of(client)(*command)

        cycles = cycles_at(ask)
        await cycles.run()
        assert cycles.counters.promoted == 3 + 3 + 3 + 2
        assert [await counts(client, event) for event in events] == [
            (0, 3), (0, 0), (2, 3), (1, 0), (1, 3), (0, 2),
        ]  # fmt: skip
        # Those where somebody waits, and that are open.
        listed = next(one for one in asked if "promotion-tasks" in str(one) and 300_000 in one)
        assert set(listed[-4:]) == set(events) - {events[1], paused}
        assert (cycles.counters.cycles, cycles.counters.failed) == (1, 0)
        left = [name async for name in client.scan_iter("seatstream:promotion-*")]
        assert left == []

    run(redis_url, test)


def test_a_task_goes_on_until_no_slot_is_left(redis_url: str) -> None:
    async def test(client: Redis) -> None:
        (event,) = await rooms_with(client, [2 * PROMOTED_MAX + 10])
        told = Told()
        cycles = cycles_at(client.execute_command, told=told)
        await cycles.run()
        assert await counts(client, event) == (0, 2 * PROMOTED_MAX + 10)
        assert told.names(event) == [f"user-{at}" for at in range(2 * PROMOTED_MAX + 10)]

    run(redis_url, test)


def test_s000_8_the_trouble_of_one_room_stops_no_other_and_is_told_once(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(client: Redis) -> None:
        first, bad, odd, last = await rooms_with(client, [2, 2, 2, 2])
        active = waiting_room(bad)[3]
        await client.set(active, "somebody else's", px=60_000)
        asked: list[int] = []

        async def told(event_id: int, _: Sequence[Turn]) -> None:
            asked.append(event_id)
            if event_id == odd:
                raise ConnectionError("the log does not answer")

        cycles = cycles_at(client.execute_command, told=told)
        await cycles.run()
        for event in (first, last):
            assert await counts(client, event) == (0, 2)
        assert await client.zcard(waiting_room(bad)[1]) == 2
        # Whoever could not be told of is told of again, and nobody else is let in for it.
        assert asked.count(odd) == TRIES
        assert await counts(client, odd) == (0, 2)
        assert cycles.counters.failed >= TRIES
        assert cycles.counters.given_up == 1
        for _ in range(3):
            await cycles.run()
        told_of = [one for one in caplog.messages if f"event {bad}" in one]
        assert len(told_of) == 1
        await client.delete(active)
        await cycles.run()
        assert await counts(client, bad) == (0, 2)

    run(redis_url, test)


def test_d35_nobody_is_let_in_where_nobody_knows_what_can_be_bought(redis_url: str) -> None:
    async def test(client: Redis) -> None:
        unsure, sold, some = await rooms_with(client, [3, 3, 3])
        seats = {unsure: None, sold: 0, some: 2}
        cycles = cycles_at(client.execute_command, supply=seats.get)
        await cycles.run()
        assert [(await counts(client, event))[1] for event in (unsure, sold, some)] == [0, 0, 2]
        assert cycles.counters.unsure == 1
        rooms = WaitingRooms(client.execute_command)
        told = [(await rooms.look(event, ()))[0] for event in (unsure, sold, some)]
        assert [room is not None and room.is_sold_out for room in told] == [False, True, False]

    run(redis_url, test)


def test_q07_who_was_not_heard_of_is_gone_within_one_cycle(redis_url: str) -> None:
    async def test(client: Redis) -> None:
        (event,) = await rooms_with(client, [3], cap=1)
        gone = Told()
        cycles = PromotionCycles(
            WaitingRooms(client.execute_command),
            PromotionTasks(client.execute_command),
            Pool("tests", 3),
            lambda _: PLENTY,
            gone=gone,
        )
        await cycles.run()
        await client.zadd(waiting_room(event)[3], {"user-0": 1}, xx=True)
        await cycles.run()
        assert gone.names(event) == ["user-0"]
        assert await client.zrange(waiting_room(event)[3], 0, -1) == [b"user-1"]
        assert cycles.counters.gone == 1

    run(redis_url, test)


class Mortal:
    """What asks Redis until its process dies: at its `nth` command, before it or just after it."""

    def __init__(self, client: Redis, nth: int, *, is_after: bool) -> None:
        self._client = client
        self._left = nth
        self._is_after = is_after
        self.is_dead = False

    async def __call__(self, *command: Any) -> Any:
        if self.is_dead:
            raise NoConnection("dead")
        self._left -= 1
        self.is_dead = self._left <= 0
        if self.is_dead and not self._is_after:
            raise NoConnection("died before")
        answer = await ask_of(self._client)(*command)
        if self._left <= 0:
            raise NoConnection("died after")
        return answer


@pytest.mark.parametrize("is_after", [False, True])
def test_s000_10_whoever_dies_at_any_step_every_task_has_its_effect_once(
    redis_url: str, is_after: bool
) -> None:
    """The promoter dies at its first command, at its second, and so on to its last."""

    async def test(client: Redis) -> None:
        deaths = 0
        for nth in count(1):
            events = await rooms_with(client, [4, 2, 3], cap=2)
            told = Told()
            mortal = Mortal(client, nth, is_after=is_after)
            first = cycles_at(mortal, told=told)
            with suppress(NoConnection):
                await first.run()
            begun = [name async for name in client.zscan_iter(PROMOTION_CYCLES)]
            for name, _ in begun:
                await client.zadd(PROMOTION_CYCLES, {name: 1})
            second = cycles_at(client.execute_command, told=told)
            await second.run()
            for event, users in zip(events, (4, 2, 3), strict=True):
                # As if nobody had died: two are in, and the log knows them, in order.
                assert told.names(event) == ["user-0", "user-1"]
                assert await counts(client, event) == (users - 2, 2)
            assert [name async for name in client.scan_iter("seatstream:promotion-*")] == []
            await client.delete(WAITING_ROOMS)
            if not mortal.is_dead:
                break
            deaths += 1
            assert second.counters.taken_over == len(begun)
        assert deaths > 15

    run(redis_url, test)


def test_f72_two_promoters_at_once_admit_no_more_than_one_would(redis_url: str) -> None:
    async def test(client: Redis) -> None:
        events = await rooms_with(client, [9, 9, 9], cap=4)
        told = Told()
        both = [cycles_at(client.execute_command, told=told) for _ in range(4)]
        await asyncio.gather(*(cycles.run() for cycles in both))
        for event in events:
            assert await counts(client, event) == (5, 4)
            assert told.names(event) == [f"user-{at}" for at in range(4)]

    run(redis_url, test)
