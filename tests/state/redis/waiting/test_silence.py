"""Who is given up for silence, and who is not: what could not be heard is nobody's silence.

Nobody waits for time: it passes by hand, as it would for all that lies in Redis.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.redis.events import EVENTS
from support.redis.locking import ask_of, redis_at
from support.waiting.proving import set_up

from infra.stack.redis_server import RedisServer
from state.domain.waiting.admission import (
    NOT_OPEN_PATIENCE_MS,
    SHOW_UP_MS,
    STALE_MS,
    STREAMED_MS,
    RoomState,
)
from state.redis.keys import waiting_room
from state.redis.waiting.rooms import WaitingRooms

BEAT_MS = 1_000
MARGIN_MS = 10_000
HOUR_MS = 3_600_000
NOBODY = (0, ())


class Waiting:
    """A room with one who is let in and others who wait.

    first: who was let in. others: who wait, in order.
    """

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.rooms = WaitingRooms(client.execute_command)
        self.event = next(EVENTS)
        self.first, *self.others = ["ann", "ben", "cy", "dee"]

    async def begin(self, state: RoomState = RoomState.OPEN) -> None:
        await set_up(self.rooms, self.event, state=RoomState.OPEN, cap=1)
        for user in (self.first, *self.others):
            await self.rooms.enter(self.event, user)
        await self.rooms.reap(self.event)
        assert len(await self.rooms.promote(self.event, "p-1", 1)) == 1
        await set_up(self.rooms, self.event, state=state)

    async def pass_ms(self, passed_ms: int) -> None:
        """Have all that was written be so much older."""
        room, _, seen, active, _, last, *_ = waiting_room(self.event)
        for key in (seen, active):
            for member in await ask_of(self.client)("ZRANGE", key, 0, -1):
                await self.client.zincrby(key, -passed_ms, member)
        ages = [(room, "beat"), (room, "heard"), (room, "spare"), (last, self.first)]
        for key, field in ages:
            if await self.client.hexists(key, field):
                await self.client.hincrby(key, field, -passed_ms)

    async def beats(self, passed_ms: int, *asking: str) -> tuple[int, set[str]]:
        """Have so much pass with a look of who reaps every second, while some ask.

        Return how many of those who waited were given up, and who of those who were let in.
        """
        waited, admitted = 0, set[str]()
        by_hand_ms, began_ms = 0, await self.now_ms()
        # What the machine takes passes as well.
        while by_hand_ms + await self.now_ms() - began_ms < passed_ms:
            by_hand_ms += BEAT_MS
            await self.pass_ms(BEAT_MS)
            if asking:
                await self.rooms.look(self.event, asking)
            reaped = await self.rooms.reap(self.event)
            waited += reaped.waiting
            admitted |= {turn.user_id for turn in reaped.admitted}
        return waited, admitted

    async def now_ms(self) -> int:
        seconds, us = await self.client.time()
        return 1_000 * seconds + us // 1_000

    async def standings(self, users: Sequence[str] = ()) -> list[str]:
        _, places = await self.rooms.look(self.event, users or (self.first, *self.others))
        return [place.standing.name for place in places]

    async def everything(self) -> dict[bytes, Any]:
        """Return all that lies in Redis of the room."""
        keys = await ask_of(self.client)("KEYS", f"*{{{self.event}}}*")
        return {key: await ask_of(self.client)("DUMP", key) for key in keys}


Test = Callable[[Waiting], Awaitable[None]]


def run(url: str, test: Test, state: RoomState = RoomState.OPEN) -> None:
    async def go() -> None:
        async with redis_at(url) as client:
            waiting = Waiting(client)
            await waiting.begin(state)
            await test(waiting)

    asyncio.run(go())


ALL_THERE = ["ADMITTED", "WAITING", "WAITING", "WAITING"]


@pytest.mark.parametrize("state", list(RoomState))
@pytest.mark.parametrize("away_ms", [5_000, 12_000, 40_000, HOUR_MS // 2])
def test_f64_f72_a_redis_that_did_not_answer_gives_nobody_up(
    redis_url: str, state: RoomState, away_ms: int
) -> None:
    """Paused, or killed and come back with a file however old, or all pods dead: one thing."""

    async def test(waiting: Waiting) -> None:
        await waiting.pass_ms(away_ms)
        for _ in range(2):
            assert (await waiting.rooms.reap(waiting.event))[:2] == NOBODY
        # Whoever asks first has asked for all of them: nobody is gone before they can.
        assert await waiting.standings([waiting.others[-1]]) == ["WAITING"]
        asked_next_ms = STALE_MS // 3
        assert await waiting.beats(asked_next_ms, waiting.others[-1]) == (0, set())
        assert await waiting.standings() == ALL_THERE

    run(redis_url, test, state)


def test_f64_who_was_let_in_is_told_so_after_any_silence_of_redis(redis_url: str) -> None:
    async def test(waiting: Waiting) -> None:
        await waiting.pass_ms(HOUR_MS // 2)
        assert await waiting.standings() == ALL_THERE
        # But nobody is in for longer than was told.
        await waiting.pass_ms(HOUR_MS)
        assert await waiting.standings([waiting.first]) == ["NONE"]

    run(redis_url, test)


def test_f64_who_waits_is_let_in_after_any_silence_of_redis(redis_url: str) -> None:
    async def test(waiting: Waiting) -> None:
        await waiting.pass_ms(HOUR_MS // 2)
        await waiting.rooms.leave(waiting.event, waiting.first)
        [turn] = await waiting.rooms.promote(waiting.event, "p-2", 1)
        assert turn.user_id == waiting.others[0]

    run(redis_url, test)


def test_s000_17_d32_time_counts_while_others_are_heard_and_somebody_looks(
    redis_url: str,
) -> None:
    async def test(waiting: Waiting) -> None:
        asking = waiting.others[-1]
        assert await waiting.beats(STALE_MS - MARGIN_MS, asking) == (0, set())
        assert await waiting.beats(2 * MARGIN_MS, asking) == (2, set())
        left_ms = SHOW_UP_MS - STALE_MS - MARGIN_MS
        assert await waiting.beats(left_ms, asking) == (0, {waiting.first})
        assert await waiting.standings() == ["NONE", "NONE", "NONE", "WAITING"]

    run(redis_url, test)


def test_s000_17_where_nobody_at_all_is_heard_nobody_is_silent(redis_url: str) -> None:
    """What lies before the pods is gone, and they look after the room all the same."""

    async def test(waiting: Waiting) -> None:
        assert await waiting.beats(4 * STALE_MS) == (0, set())
        asking = waiting.others[-1]
        # All have their whole patience again.
        assert await waiting.beats(STALE_MS - MARGIN_MS, asking) == (0, set())
        assert await waiting.standings([waiting.first]) == ["ADMITTED"]
        assert await waiting.beats(2 * MARGIN_MS, asking) == (2, set())

    run(redis_url, test)


def test_d32_who_asks_alone_and_rarely_is_not_kept_out_by_who_has_gone(redis_url: str) -> None:
    """The clock stands in each of the pauses, and still goes on."""

    async def test(waiting: Waiting) -> None:
        asking, gone = waiting.others[-1], set[str]()
        for _ in range(8):
            gone |= (await waiting.beats(2 * STALE_MS // 3))[1]
            assert await waiting.standings([asking]) == ["WAITING"]
        assert gone == {waiting.first}

    run(redis_url, test)


def test_s000_17_where_nobody_looks_after_a_room_its_time_stands(redis_url: str) -> None:
    async def test(waiting: Waiting) -> None:
        for _ in range(4 * STALE_MS // 10_000):
            await waiting.pass_ms(10_000)
            await waiting.rooms.look(waiting.event, waiting.others[-1:])
        assert (await waiting.rooms.reap(waiting.event))[:2] == NOBODY
        assert await waiting.standings() == ALL_THERE

    run(redis_url, test)


@pytest.mark.parametrize("jump_ms", [HOUR_MS // 2, -HOUR_MS // 2])
def test_f65_a_server_with_another_clock_gives_nobody_up_and_goes_on_to_count(
    redis_url: str, jump_ms: int
) -> None:
    async def test(waiting: Waiting) -> None:
        await waiting.pass_ms(jump_ms)
        assert (await waiting.rooms.reap(waiting.event))[:2] == NOBODY
        assert await waiting.standings() == ALL_THERE
        asking = waiting.others[-1]
        assert await waiting.beats(STALE_MS - MARGIN_MS, asking) == (0, set())
        gone, _ = await waiting.beats(STALE_MS + MARGIN_MS, asking)
        assert gone == 2

    run(redis_url, test)


def test_s000_17_who_waits_is_not_silent_while_signs_of_life_are_refused(redis_url: str) -> None:
    """Some get through, and others are told to come back: these are not silent."""

    async def test(waiting: Waiting) -> None:
        asking = waiting.others[-1:]
        for _ in range((SHOW_UP_MS + MARGIN_MS) // BEAT_MS):
            await waiting.pass_ms(BEAT_MS)
            await waiting.rooms.look(waiting.event, asking, was_deaf=True)
            assert (await waiting.rooms.reap(waiting.event)).waiting == 0
        # But who was let in and is not heard of makes room, however busy it is.
        assert await waiting.standings([waiting.first]) == ["NONE"]
        assert (await waiting.beats(STALE_MS - MARGIN_MS, *asking))[0] == 0
        assert (await waiting.beats(2 * MARGIN_MS, *asking))[0] == 2

    run(redis_url, test)


def test_who_follows_a_stream_is_kept_while_its_pod_stands_still(redis_url: str) -> None:
    async def test(waiting: Waiting) -> None:
        streaming, _, asking = waiting.others
        await waiting.rooms.look(waiting.event, [streaming], is_streamed=True)
        assert (await waiting.beats(2 * STALE_MS, asking))[0] == 1
        assert await waiting.standings([streaming]) == ["WAITING"]
        await waiting.rooms.look(waiting.event, [streaming], is_streamed=True)
        gone, _ = await waiting.beats(STREAMED_MS + MARGIN_MS, asking)
        assert gone == 1

    run(redis_url, test)


def test_u6_nobody_is_given_up_from_a_room_that_is_lost_or_put_back_by_half(
    redis_url: str,
) -> None:
    async def test(waiting: Waiting) -> None:
        await waiting.client.hdel(waiting_room(waiting.event)[0], "state")
        for key in waiting_room(waiting.event)[2:4]:
            await waiting.client.zunionstore(key, {key: 0.5})
        before = await waiting.everything()
        assert await waiting.rooms.reap(waiting.event) == (*NOBODY, None, "")
        assert await waiting.everything() == before

    run(redis_url, test)


async def refused(asking: Awaitable[Any], why: str) -> None:
    with pytest.raises(ResponseError, match=why):
        await asking


@pytest.mark.redis
def test_f70_a_full_redis_takes_nobody_in_lets_nobody_in_and_gives_nobody_up(
    server: RedisServer,
) -> None:
    async def test(waiting: Waiting) -> None:
        rooms, event = waiting.rooms, waiting.event
        seen, active = waiting_room(event)[2:4]
        await set_up(rooms, event, cap=2)
        # All of them have been silent for long.
        for key in (seen, active):
            await waiting.client.zunionstore(key, {key: 0.5})
        await waiting.client.hset(waiting_room(event)[0], "spare", str(1 << 43))
        before = await waiting.everything()
        await waiting.client.config_set("maxmemory", "1")
        await refused(rooms.enter(event, "late"), "maxmemory")
        await refused(rooms.look(event, waiting.others), "maxmemory")
        # Nobody is told to stand nowhere by who cannot note that they asked.
        await refused(rooms.look(event, ["nobody"]), "maxmemory")
        await refused(rooms.promote(event, "p-2", 2), "maxmemory")
        await refused(rooms.reap(event), "maxmemory")
        await waiting.client.config_set("maxmemory", "0")
        assert await waiting.everything() == before
        await waiting.client.hdel(waiting_room(event)[0], "spare")
        assert (await rooms.reap(event)).waiting == len(waiting.others)

    run(server.url, test)


@pytest.mark.redis
def test_f65_a_copy_of_redis_tells_nobody_to_stand_nowhere(server: RedisServer) -> None:
    """A server that was the master before: it reads, and what it reads is old."""

    async def test(waiting: Waiting) -> None:
        rooms, event = waiting.rooms, waiting.event
        await ask_of(waiting.client)("REPLICAOF", "127.0.0.1", "1")
        for user in ("late", *waiting.others):
            await refused(rooms.look(event, [user]), "read only")
        await refused(rooms.reap(event), "read only")
        await ask_of(waiting.client)("REPLICAOF", "NO", "ONE")
        assert await waiting.standings() == ALL_THERE

    run(server.url, test)


def test_the_patience_of_a_room_that_is_not_open_is_longer_by_the_same_clock(
    redis_url: str,
) -> None:
    async def test(waiting: Waiting) -> None:
        asking = waiting.others[-1]
        await waiting.standings()
        assert await waiting.beats(NOT_OPEN_PATIENCE_MS - MARGIN_MS, asking) == (0, set())
        waited, _ = await waiting.beats(2 * MARGIN_MS, asking)
        assert waited == 2

    run(redis_url, test, RoomState.PAUSED)
