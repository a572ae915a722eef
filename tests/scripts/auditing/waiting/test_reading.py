"""Waiting rooms are read from a real Redis as they lie there, whatever else lies beside them."""

import asyncio
from time import time

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from support.logs.audit_logs import WIRE, value_of
from support.redis.events import EVENTS
from support.redis.locking import redis_at
from support.waiting.proving import set_up

from scripts.auditing.log import Log
from scripts.auditing.report import Report
from scripts.auditing.topics import LogRecord
from scripts.auditing.waiting.judging import judge_lines
from scripts.auditing.waiting.reading import SeenRoom, read_rooms
from state.domain.waiting.admission import RoomState
from state.domain.waiting.line import Fact
from state.redis.keys import waiting_room
from state.redis.waiting.rooms import WaitingRooms


def room_of(url: str, event: int) -> SeenRoom:
    return next(one for one in read_rooms(url) if one.event_id == event)


def test_i22_rooms_as_pods_leave_them_are_read_and_are_as_they_must_be(redis_url: str) -> None:
    event, told = next(EVENTS), list[Fact]()

    async def play() -> None:
        async with redis_at(redis_url) as client:
            rooms = WaitingRooms(client.execute_command)
            await set_up(rooms, event, state=RoomState.OPEN, cap=2)
            for name in ("ann", "ben", "cy", "Ænne"):
                await rooms.enter(event, name)
            await rooms.promote(event, "p-1", 2)
            await rooms.leave(event, "ann")
            await rooms.leave(event, "cy")
            await client.zadd(waiting_room(event)[2], {"Ænne": 1})
            await rooms.reap(event)
            async for facts in rooms.unsaid(event):
                told.extend(facts)
                await rooms.said(event, facts)
            await rooms.enter(event, "late")

    asyncio.run(play())
    room = room_of(redis_url, event)
    assert (room.fault, set(room.waiting), room.admitted) == ("", {"late"}, frozenset({"ben"}))
    assert [step.rpartition(":")[2] for step in room.unsaid] == ["late"]
    log, report = Log(WIRE, 1), Report()
    values = [
        value_of(
            "TurnChanged",
            {
                "eventId": event,
                "userId": fact.user_id,
                "turn": fact.turn,
                "step": fact.step.name,
                "lastMs": fact.last_ms,
            },
        )
        for fact in told
    ]
    log.turns = {0: [LogRecord(at, 0, b"7", value) for at, value in enumerate(values)]}
    log.turns_before, log.rooms = {0: len(values)}, (room,)
    log.rooms_read_ms = int(time() * 1_000)
    judge_lines(log, report)
    assert not report.violations


def test_i22_what_is_no_room_of_ours_is_told_and_hides_no_other(redis_url: str) -> None:
    strange, formless, other = (next(EVENTS) for _ in range(3))
    keys = waiting_room(strange)
    with Redis.from_url(redis_url) as client:
        client.set(keys[0], "somebody's")
        client.set("seatstream:waiting:{x}:room", "no event's")
        client.hset(waiting_room(formless)[0], "joined", "many")
        client.hset(
            waiting_room(other)[0], mapping=dict.fromkeys(("joined", "left", "expired", "done"), 0)
        )
        try:
            assert room_of(redis_url, strange).fault.startswith("WRONGTYPE")
            assert room_of(redis_url, formless).fault.startswith("ValueError")
            assert not room_of(redis_url, other).fault
        finally:
            client.delete(keys[0], "seatstream:waiting:{x}:room", waiting_room(formless)[0])


def test_i22_a_redis_that_does_not_answer_is_no_empty_one() -> None:
    with pytest.raises(NoConnection):
        read_rooms("redis://127.0.0.1:1")
