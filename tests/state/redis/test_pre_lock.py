"""Locks of chosen seats at a Redis that is down, paused, full or busy: passed by, and counted."""

import asyncio
from itertools import count
from signal import SIGCONT, SIGSTOP

import pytest
from redis.asyncio import Redis
from support.redis.locking import TTL_MS

from infra.stack.redis_server import RedisServer
from state.redis.keys import seat_locks
from state.redis.pre_lock import PreLocks
from state.redis.seat_lock import Busy, Granted

EVENT = count(1_000_000)


def test_of_two_buyers_of_a_seat_one_is_told_of_the_other(redis_url: str) -> None:
    async def go() -> None:
        event = next(EVENT)
        one, other = PreLocks(redis_url, TTL_MS), PreLocks(redis_url, TTL_MS)
        claim = await one.take(event, "A", [(0, 2), (0, 1)], "ann")
        assert isinstance(claim, Granted)
        busy = await other.take(event, "A", [(0, 2)], "ben")
        assert isinstance(busy, Busy)
        # At another pod the same reservation has its own seats.
        again = await other.take(event, "A", [(0, 2), (0, 1)], "ann")
        assert isinstance(again, Granted)
        await other.give_back(again)
        assert isinstance(await one.take(event, "A", [(0, 2)], "ben"), Granted)
        await one.close()
        await other.close()

    asyncio.run(go())


@pytest.mark.redis
def test_f64_f72_a_redis_that_is_paused_or_gone_is_passed_by(server: RedisServer) -> None:
    async def go() -> None:
        locks, event = PreLocks(server.url, TTL_MS), next(EVENT)
        claim = await locks.take(event, "A", [(0, 0)], "ann")
        assert isinstance(claim, Granted)
        assert server.child is not None
        server.child.signal(SIGSTOP)
        try:
            for _ in range(20):
                assert await locks.take(event, "A", [(0, 0)], "ben") is None
            await locks.keep(claim, 1 << 50)
            await locks.give_back(claim)
        finally:
            server.child.signal(SIGCONT)
        server.kill()
        assert await locks.take(event, "A", [(0, 0)], "ben") is None
        assert locks.counters.skipped == 23
        await locks.close()

    asyncio.run(go())


@pytest.mark.redis
def test_f70_a_full_redis_is_passed_by(server: RedisServer) -> None:
    async def go() -> None:
        async with Redis.from_url(server.url) as admin:
            await admin.config_set("maxmemory", "1")
            locks = PreLocks(server.url, TTL_MS)
            assert await locks.take(next(EVENT), "A", [(0, 0)], "ann") is None
            assert locks.counters.skipped == 1
            await locks.close()

    asyncio.run(go())


def test_b80_a_fence_of_another_form_is_passed_by(redis_url: str) -> None:
    async def go() -> None:
        event = next(EVENT)
        async with Redis.from_url(redis_url) as admin:
            await admin.set(seat_locks(event, "A", [(0, 0)]).fence, "somebody's", ex=60)
        locks = PreLocks(redis_url, TTL_MS)
        assert await locks.take(event, "A", [(0, 0)], "ann") is None
        # It is these keys' own trouble: others are locked.
        assert isinstance(await locks.take(next(EVENT), "A", [(0, 0)], "ann"), Granted)
        await locks.close()

    asyncio.run(go())
