"""Locks of chosen seats at a Redis that is down, paused, full or busy: passed by, and counted."""

import asyncio
from signal import SIGCONT, SIGSTOP

import pytest
from redis.asyncio import Redis
from support.redis.events import EVENTS
from support.redis.locking import TTL_MS

from infra.stack.redis_server import RedisServer
from state.redis.keys import seat_locks
from state.redis.pre_lock import HoldOfSeats, PreLocks, Taken
from state.redis.seat_lock import GRACE_MS, Granted


def seats_for(reservation: str, *seats: int, section: str = "A") -> HoldOfSeats:
    return HoldOfSeats(section, [(0, seat) for seat in seats], reservation)


async def taken(locks: PreLocks, event: int, *holds: HoldOfSeats) -> tuple[Granted, ...]:
    grants = await locks.take(event, holds)
    assert isinstance(grants, tuple)
    return grants


def test_of_two_buyers_of_a_seat_one_is_told_of_the_other(redis_url: str) -> None:
    async def go() -> None:
        event = next(EVENTS)
        one, other = PreLocks(redis_url, TTL_MS), PreLocks(redis_url, TTL_MS)
        await taken(one, event, seats_for("ann", 2, 1))
        assert await other.take(event, [seats_for("ben", 2)]) == Taken("A", (0, 2))
        # At another pod the same reservation has its own seats.
        again = await taken(other, event, seats_for("ann", 2, 1))
        await other.give_back(again)
        await taken(one, event, seats_for("ben", 2))
        await one.close()
        await other.close()

    asyncio.run(go())


def test_seats_of_several_sections_are_locked_for_all_holds_or_for_none(redis_url: str) -> None:
    async def go() -> None:
        event = next(EVENTS)
        locks = PreLocks(redis_url, TTL_MS)
        cart = [seats_for(f"ann_{at}", 1, section=name) for at, name in enumerate("CAB")]
        await taken(locks, event, seats_for("ben", 1, section="B"))
        assert await locks.take(event, cart) == Taken("B", (0, 1))
        # What came before it in the order of the keys is free again.
        await taken(locks, event, seats_for("eve", 1, section="A"))
        grants = await taken(locks, next(EVENTS), *cart)
        assert {grant.owner for grant in grants} == {"ann_0:1", "ann_1:1", "ann_2:1"}
        counted = locks.counters
        assert (counted.locked, counted.refused, counted.skipped) == (3, 1, 0)
        await locks.close()

    asyncio.run(go())


def test_a_hold_that_lasts_longer_keeps_its_locks_whichever_pod_took_them(redis_url: str) -> None:
    async def go() -> None:
        event, hold = next(EVENTS), seats_for("ann", 1, 2)
        one = PreLocks(redis_url, TTL_MS, now_ms=lambda: 0.0)
        other = PreLocks(redis_url, TTL_MS, now_ms=lambda: 0.0)
        [grant] = await taken(one, event, hold)
        await taken(one, event, seats_for("ben", 3))
        async with Redis.from_url(redis_url) as client:
            await other.prolong(event, hold, 3 * TTL_MS)
            for key in grant.keys.locks:
                assert 2 * TTL_MS < await client.pttl(key) <= 3 * TTL_MS + GRACE_MS
            # Those of another, of a later hold and of none stay as they are.
            for not_theirs in (
                seats_for("ann", 3),
                HoldOfSeats("A", [(0, 1)], "ann", epoch=2),
                seats_for("ann", 4),
                seats_for("ann"),
            ):
                await other.prolong(event, not_theirs, 9 * TTL_MS)
            for seat in (1, 3):
                assert await client.pttl(seats_for("", seat).keys(event).locks[0]) < 4 * TTL_MS
            assert not await client.exists(*seats_for("", 4).keys(event).locks)
        assert other.counters.skipped == 0
        await one.close()
        await other.close()

    asyncio.run(go())


@pytest.mark.redis
def test_f64_f72_a_redis_that_is_paused_or_gone_is_passed_by(server: RedisServer) -> None:
    async def go() -> None:
        locks, event = PreLocks(server.url, TTL_MS), next(EVENTS)
        [grant] = await taken(locks, event, seats_for("ann", 0))
        assert server.child is not None
        server.child.signal(SIGSTOP)
        try:
            for _ in range(20):
                assert await locks.take(event, [seats_for("ben", 0)]) is None
            await locks.keep(grant, 1 << 50)
            await locks.prolong(event, seats_for("ann", 0), 1 << 50)
            await locks.give_back([grant])
        finally:
            server.child.signal(SIGCONT)
        server.kill()
        assert await locks.take(event, [seats_for("ben", 0)]) is None
        assert locks.counters.skipped == 24
        await locks.close()

    asyncio.run(go())


@pytest.mark.redis
def test_f70_a_full_redis_is_passed_by(server: RedisServer) -> None:
    async def go() -> None:
        async with Redis.from_url(server.url) as admin:
            await admin.config_set("maxmemory", "1")
            locks = PreLocks(server.url, TTL_MS)
            assert await locks.take(next(EVENTS), [seats_for("ann", 0)]) is None
            assert locks.counters.skipped == 1
            await locks.close()

    asyncio.run(go())


def test_b80_a_fence_of_another_form_is_replaced(redis_url: str) -> None:
    async def go() -> None:
        event = next(EVENTS)
        async with Redis.from_url(redis_url) as admin:
            await admin.set(seat_locks(event, "A", [(0, 0)]).fence, "somebody's", ex=60)
        locks = PreLocks(redis_url, TTL_MS)
        await taken(locks, event, seats_for("ann", 0))
        assert await locks.take(event, [seats_for("ben", 0)]) == Taken("A", (0, 0))
        await locks.close()

    asyncio.run(go())
