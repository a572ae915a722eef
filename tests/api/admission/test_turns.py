"""Nobody is told of a turn that is not written down, whoever dies on the way (D36, U6)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from support.redis.events import EVENTS
from support.redis.locking import redis_at
from support.waiting.keys import passes
from support.waiting.proving import prove
from support.waiting.turns_in_memory import IDS, TurnsInMemory

from api.admission.cycle import PromotionCycles
from api.admission.desk import WaitingDesk
from api.admission.pool import Pool
from api.admission.turns import TurnLog
from api.web.problems import Problem
from state.domain.waiting.admission import RoomState, Standing
from state.domain.waiting.line import Step
from state.redis.keys import PROMOTION_CYCLES, WAITING_ROOMS, waiting_room
from state.redis.waiting.rooms import Entry
from state.redis.waiting.tasks import PromotionTasks

Test = Callable[[WaitingDesk, TurnsInMemory, Redis, int], Awaitable[None]]


def run(url: str, test: Test) -> None:
    async def go() -> None:
        topic: Any = TurnsInMemory()
        desk = WaitingDesk(url, passes(), turns=TurnLog(topic, IDS))
        event = next(EVENTS)
        try:
            async with redis_at(url) as client:
                await client.delete(WAITING_ROOMS, PROMOTION_CYCLES)
                await desk.start()
                await desk.configure(event, RoomState.OPEN, 100, None, None)
                await prove(desk.rooms, event)
                await test(desk, topic, client, event)
        finally:
            await desk.close()

    asyncio.run(go())


def ann(event: int) -> str:
    """Return a name that no other test has: a user waits for one event at a time."""
    return f"ann-{event}"


async def out_of_reach(asking: Awaitable[Any]) -> None:
    with pytest.raises(Problem) as told:
        await asking
    assert told.value.reason.name == "ROOM_UNREACHABLE"


def cycles(desk: WaitingDesk, client: Redis) -> PromotionCycles:
    async def say(event_id: int) -> None:
        assert desk.turns is not None
        await desk.turns.say_all(desk.rooms, event_id)

    tasks = PromotionTasks(client.execute_command)
    return PromotionCycles(desk.rooms, tasks, Pool("tests", 2), lambda _: 100, say=say)


def test_u6_who_enters_is_told_the_turn_once_it_is_written_down(redis_url: str) -> None:
    async def test(desk: WaitingDesk, topic: TurnsInMemory, client: Redis, event: int) -> None:
        topic.is_away = True
        await out_of_reach(desk.enter(event, ann(event), None))
        # It has the turn, and nobody was told: neither here nor by a pod that is asked next.
        assert await client.zcard(waiting_room(event)[1]) == 1
        await out_of_reach(desk.look(event, ann(event)))
        await out_of_reach(desk.look_all(event, [ann(event)]))
        topic.is_away = False
        stand = await desk.enter(event, ann(event), None)
        assert stand.entry is Entry.WAITS
        assert topic.of(event, ann(event)) == [Step.GIVEN]
        [record] = topic.records.values()
        assert record.turn == stand.place.turn
        # What is written down is asked of nobody again.
        topic.is_away = True
        assert (await desk.look(event, ann(event))).place.rank == 0

    run(redis_url, test)


def test_s000_13_u6_who_is_let_in_is_told_so_once_that_is_written_down(redis_url: str) -> None:
    """The promoter has died between the script and the log: whoever is asked first writes it."""

    async def test(desk: WaitingDesk, topic: TurnsInMemory, client: Redis, event: int) -> None:
        await desk.enter(event, ann(event), None)
        await desk.rooms.promote(event, "p-1", 1)
        topic.is_away = True
        await out_of_reach(desk.look(event, ann(event)))
        topic.is_away = False
        stand = await desk.look(event, ann(event))
        assert stand.place.standing is Standing.ADMITTED
        assert topic.of(event, ann(event)) == [Step.GIVEN, Step.ADMITTED]
        assert {one.last_ms for one in topic.records.values()} == {0, stand.place.last_ms}

    run(redis_url, test)


@pytest.mark.parametrize("is_admitted", [False, True])
def test_u6_who_leaves_is_written_down_by_the_next_cycle_where_it_was_not(
    redis_url: str, is_admitted: bool
) -> None:
    async def test(desk: WaitingDesk, topic: TurnsInMemory, client: Redis, event: int) -> None:
        await desk.enter(event, ann(event), None)
        if is_admitted:
            await desk.rooms.promote(event, "p-1", 1)
        topic.is_away = True
        await out_of_reach(desk.leave(event, ann(event)))
        await cycles(desk, client).run()
        topic.is_away = False
        await cycles(desk, client).run()
        assert topic.of(event, ann(event))[-1] is Step.ENDED
        assert not await client.exists(waiting_room(event)[-1])
        await desk.enter(event, "ben" + ann(event), None)
        await desk.leave(event, "ben" + ann(event))
        assert topic.of(event, "ben" + ann(event)) == [Step.GIVEN, Step.ENDED]

    run(redis_url, test)


def test_u6_nobody_is_let_in_while_nobody_could_be_told(redis_url: str) -> None:
    async def test(desk: WaitingDesk, topic: TurnsInMemory, client: Redis, event: int) -> None:
        names: Sequence[str] = [f"{at}-{ann(event)}" for at in range(3)]
        for name in names:
            await desk.enter(event, name, None)
        # Of whom nobody was told, and so nothing is known but here.
        await desk.rooms.enter(event, "late" + ann(event))
        topic.is_away = True
        cycle = cycles(desk, client)
        await cycle.run()
        assert (cycle.counters.promoted, cycle.counters.failed) == (0, 1)
        topic.is_away = False
        await cycle.run()
        assert cycle.counters.promoted == 4
        for name in (*names, "late" + ann(event)):
            assert topic.of(event, name) == [Step.GIVEN, Step.ADMITTED]

    run(redis_url, test)
