"""A pod removes locks of holds that it, or their owner, knows to be over; nobody else's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support.pods.conditions import until
from support.pods.reservation_pods import Seats, pod_over
from support.pods.reservations_asked import feed_of, owners_of
from support.redis.locking import TTL_MS, redis_at
from support.redis.nodes import servers
from support.seats.section_commands import EVENT, A, hold, release

from api.parts.sweeper import LockSweeper
from infra.stack.redis_server import RedisServer
from state.domain.keys import section_key
from state.owners.questions import OwnerNotReady
from state.redis.keys import LockKeys, lease, seat_locks
from state.redis.lease import Lease
from state.redis.seat_lock import Granted, SeatLock, owner_of

HELD, ENDED, UNKNOWN = (f"{name * 26}-0" for name in "abc")
# Of a cart on another partition than its section's.
PART = f"{'d' * 26}-3_1"


async def lock(client: Redis, *owners: str) -> list[LockKeys]:
    """Lock a seat of the section for each owner."""
    locks, taken = SeatLock(client.execute_command), []
    for seat, owner in enumerate(owners):
        keys = seat_locks(EVENT, A, [(0, seat)])
        await client.delete(*keys.locks)
        assert isinstance(await locks.acquire(keys, owner, TTL_MS), Granted)
        taken.append(keys)
    return taken


def test_l25_orphans_go_by_this_pods_memory_or_by_their_owners_word(redis_url: str) -> None:
    async def go(is_forgotten: bool) -> None:
        seats = Seats().open("......")
        pod: Any = pod_over(seats)
        for reservation in (HELD, ENDED, PART):
            seats.append(0, hold(reservation, 1))
        for reservation in (ENDED, PART):
            seats.append(0, release(reservation))
        if is_forgotten:
            feed_of(pod).forget()
        sweeper = LockSweeper(redis_url, pod.outcomes, pod.owners, every_s=0.0)
        async with redis_at(redis_url) as client:
            await client.delete(*lease("sweep").locks)
            owners = [owner_of(ENDED, 1), owner_of(HELD, 1), owner_of(UNKNOWN, 1),
                      owner_of(ENDED, 2), owner_of("none of ours", 1)[5:]]  # fmt: skip
            gone, part, *kept = await lock(client, owners[0], owner_of(PART, 1), *owners[1:])
            await sweeper.start()
            await until(lambda: sweeper.swept)
            await sweeper.close()
            assert not await client.exists(*gone.locks, *part.locks)
            for keys in kept[:3]:
                assert await client.exists(*keys.locks)

    for is_forgotten in (False, True):
        asyncio.run(go(is_forgotten))


def test_where_nobody_who_knows_can_be_asked_every_lock_stays(redis_url: str) -> None:
    async def go() -> None:
        seats = Seats().open("......")
        pod: Any = pod_over(seats)
        seats.append(0, hold(ENDED, 1))
        seats.append(0, release(ENDED))
        feed_of(pod).forget()
        owners_of(pod).failure = OwnerNotReady("it restores")
        sweeper = LockSweeper(redis_url, pod.outcomes, pod.owners)
        section = section_key(EVENT, A)
        silent = set[int]()
        assert not await sweeper._is_over(section, ENDED, 1, silent)
        # In this look nobody waits for them again.
        owners_of(pod).failure = None
        assert not await sweeper._is_over(section, ENDED, 1, silent)
        assert len(silent) == 1
        assert await sweeper._is_over(section, ENDED, 1, set())

    asyncio.run(go())


def test_b80_what_one_look_cannot_read_is_looked_at_again_in_the_next(redis_url: str) -> None:
    async def go() -> None:
        seats = Seats().open("......")
        pod: Any = pod_over(seats)
        seats.append(0, hold(ENDED, 1))
        seats.append(0, release(ENDED))
        feed_of(pod).forget()
        owners_of(pod).failure = ValueError("a record of a later release")
        sweeper = LockSweeper(redis_url, pod.outcomes, pod.owners, every_s=0.0)
        async with redis_at(redis_url) as client:
            await client.delete(*lease("sweep").locks)
            [gone] = await lock(client, owner_of(ENDED, 1))
            await sweeper.start()
            await until(lambda: sweeper._is_troubled)
            assert await client.exists(*gone.locks)
            owners_of(pod).failure = None
            await until(lambda: sweeper.swept)
            await sweeper.close()
            assert not await client.exists(*gone.locks)

    asyncio.run(go())


def test_one_pod_at_a_time_looks_through_them(redis_url: str) -> None:
    async def go() -> None:
        pod: Any = pod_over(Seats())
        sweeper = LockSweeper(redis_url, pod.outcomes, pod.owners)
        async with redis_at(redis_url) as client:
            await client.delete(*lease("sweep").locks)
            locks = SeatLock(client.execute_command)
            other, own = Lease(locks, "sweep", TTL_MS), Lease(locks, "sweep", TTL_MS)
            assert await other.hold()
            await lock(client, owner_of(HELD, 1))
            await sweeper._round(own, client.execute_command)
            assert sweeper.locks == 0
            await other.give_up()
            await sweeper._round(own, client.execute_command)
            assert sweeper.locks >= 1
            await own.give_up()

    asyncio.run(go())


@pytest.mark.redis
def test_f64_a_redis_that_is_gone_or_evicts_is_asked_again_later(tmp_path: Path) -> None:
    async def go(server: RedisServer) -> None:
        pod: Any = pod_over(Seats())
        sweeper = LockSweeper(server.url, pod.outcomes, pod.owners)
        async with Redis.from_url(server.url) as client:
            own = Lease(SeatLock(client.execute_command), "sweep", TTL_MS)
            await client.config_set("maxmemory-policy", "allkeys-lru")
            await sweeper._round(own, client.execute_command)
            assert (own.fence, sweeper.evicts) == (0, True)
            await client.config_set("maxmemory-policy", "noeviction")
            await sweeper._round(own, client.execute_command)
            assert (own.is_held, sweeper.evicts) == (True, False)
            await client.config_set("maxmemory-policy", "allkeys-lru")
            await sweeper._round(own, client.execute_command)
            server.kill()
            await sweeper._round(own, client.execute_command)
            # Nobody has told that it keeps what it was given.
            assert sweeper.evicts

    with servers(tmp_path, 1) as [started]:
        asyncio.run(go(started))


def test_without_redis_nothing_is_done() -> None:
    async def go() -> None:
        pod: Any = pod_over(Seats())
        sweeper = LockSweeper("", pod.outcomes, pod.owners)
        await sweeper.start()
        await sweeper.close()
        assert (sweeper.swept, sweeper.locks) == (0, 0)

    asyncio.run(go())
