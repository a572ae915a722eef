"""A Redis that comes back with an older file lets nobody in twice (U6)."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.redis.locking import redis_at
from support.waiting.keys import passes
from support.waiting.proving import a_second_after
from support.waiting.turns_in_memory import IDS, TurnsInMemory

from api.admission.cycle import PromotionCycles
from api.admission.desk import WaitingDesk
from api.admission.pool import Pool
from api.admission.proving import LineProver
from api.admission.turns import TurnLog
from infra.stack.redis_server import RedisServer
from state.domain.waiting.admission import RoomState
from state.domain.waiting.line import Step
from state.redis.keys import PROMOTION_CYCLES, WAITING_ROOMS, waiting_room
from state.redis.waiting.rooms import RoomUnproved, WaitingRooms
from state.redis.waiting.tasks import PromotionTasks

EVENT = 8_900_001
USERS = ("ann", "ben", "cy", "dan", "eve")


class Pod:
    """A pod of one life: its desk, and the cycles that it runs."""

    def __init__(self, url: str, client: Any, topic: Any) -> None:
        turns = TurnLog(topic, IDS)
        self.desk = WaitingDesk(url, passes(), turns=turns)
        ask = client.execute_command

        async def say(event_id: int) -> None:
            await turns.say_all(self.cycles.rooms, event_id)

        self.cycles = PromotionCycles(
            WaitingRooms(ask),
            PromotionTasks(ask),
            Pool("tests", 2),
            lambda _: 100,
            say=say,
            prove=LineProver(topic).prove,
            prove_again_s=0,
        )

    async def promote(self) -> None:
        await self.cycles.run()
        if self.cycles.proving is not None:
            await asyncio.wait({self.cycles.proving})

    async def close(self) -> None:
        await self.cycles.close()
        await self.desk.close()


def let_in(topic: TurnsInMemory) -> list[str]:
    step = int(Step.ADMITTED)
    return [one.user_id.decode() for one in topic.records.values() if one.step == step]


def test_u6_an_older_file_that_came_back_lets_nobody_in_again(
    server: RedisServer, tmp_path: Path
) -> None:
    topic: Any = TurnsInMemory()
    file, older = tmp_path / "appendonlydir", tmp_path / "older"

    async def before() -> None:
        async with redis_at(server.url) as client:
            pod = Pod(server.url, client, topic)
            await pod.desk.configure(EVENT, RoomState.OPEN, 2, None, None)
            for user in USERS[:4]:
                await pod.desk.enter(EVENT, user, None)
            shutil.copytree(file, older)
            # Behind it: two are let in, one of them has bought and gone, and one more enters.
            await pod.promote()
            await pod.promote()
            assert let_in(topic) == ["ann", "ben"]
            await pod.desk.leave(EVENT, "ann")
            await pod.desk.enter(EVENT, "eve", None)
            await pod.close()

    async def after() -> None:
        told = dict(topic.records)
        async with redis_at(server.url) as client:
            pod = Pod(server.url, client, topic)
            with pytest.raises(RoomUnproved):
                await pod.cycles.rooms.promote(EVENT, "p-1", 9)
            # Nobody knows what was told: nobody is let in, and everybody keeps the place.
            topic.is_away = True
            await pod.cycles.rooms.look(EVENT, USERS)
            await pod.promote()
            with pytest.raises(RoomUnproved):
                await pod.cycles.rooms.promote(EVENT, "p-2", 9)
            topic.is_away = False
            await pod.promote()
            # What was told is as it was: ben is in, ann has gone, eve waits.
            assert topic.records == told
            stands = [(await pod.desk.look(EVENT, user)).place for user in USERS]
            assert [(one.standing.name, one.rank) for one in stands] == [
                ("NONE", 0), ("ADMITTED", 0), ("WAITING", 0), ("WAITING", 1), ("WAITING", 2)
            ]  # fmt: skip
            await pod.promote()
            assert let_in(topic) == ["ann", "ben", "cy"]
            assert {name: topic.records[name] for name in told} == told
            await pod.close()

    asyncio.run(before())
    server.kill()
    shutil.rmtree(file)
    shutil.move(older, file)
    server.restart()
    server.wait()
    asyncio.run(after())


def test_a_server_that_was_started_again_while_its_line_was_read_is_not_proved(
    redis_url: str,
) -> None:
    async def test() -> None:
        async with redis_at(redis_url) as client:
            rooms = WaitingRooms(client.execute_command)
            event = EVENT + 1
            await rooms.configure(event, state=RoomState.OPEN, cap=9)
            await rooms.enter(event, "ann")
            key = f"seatstream:waiting:{{{event}}}:room"
            await client.hset(key, "life", "0" * 40)
            prover = LineProver(None)
            await prover.prove(rooms, {event: "0" * 40})
            with pytest.raises(RoomUnproved):
                await rooms.promote(event, "p-1", 1)
            await prover.prove(rooms, {event: (await rooms.reap(event)).life})
            assert len(await rooms.promote(event, "p-2", 1)) == 1
            assert (await rooms.reap(event)).life == ""

    asyncio.run(test())


def test_u6_a_redis_that_lost_everything_and_is_only_set_up_again_lets_nobody_in_before_others(
    redis_url: str,
) -> None:
    topic: Any = TurnsInMemory()
    event = EVENT + 2

    async def test() -> None:
        async with redis_at(redis_url) as client:
            # Rooms of other tests are not this one's.
            await client.delete(WAITING_ROOMS, PROMOTION_CYCLES)
            pod = Pod(redis_url, client, topic)
            await pod.desk.configure(event, RoomState.OPEN, 1, None, None)
            for user in ("fay", "gus", "hal"):
                await pod.desk.enter(event, user, None)
            # One cycle knows that nobody was told anything, the next one lets in.
            await pod.promote()
            await pod.promote()
            assert let_in(topic) == ["fay"]
            await client.unlink(*waiting_room(event))
            # Nobody put the line back: the room was opened anew, as on the first day.
            await pod.desk.configure(event, RoomState.OPEN, 1, None, None)
            await a_second_after(client, event, max(one.turn for one in topic.records.values()))
            await pod.desk.enter(event, "ivy", None)
            with pytest.raises(RoomUnproved):
                await pod.cycles.rooms.promote(event, "p-1", 9)
            await pod.promote()
            await pod.promote()
            # The one slot is fay's still; the others stand as they were told, and ivy behind them.
            assert let_in(topic) == ["fay"]
            places = [(await pod.desk.look(event, user)).place for user in ("gus", "hal", "ivy")]
            assert [one.rank for one in places] == [0, 1, 2]
            await pod.close()

    asyncio.run(test())
