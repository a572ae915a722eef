"""Locks of a hold that is over go by exact key and owner: twice, late or reversed harms nobody."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import RedisError
from support.redis.events import EVENTS
from support.redis.locking import TTL_MS, locks_at, redis_at

from infra.stack.ports import free_ports
from state.redis.client import CONNECTIONS_MAX, TIMEOUT_S
from state.redis.keys import seat_locks
from state.redis.seat_lock import Busy, Granted, owner_of
from state.redis.unlock import Caches, Unlocker

SEATS = [(0, 1), (0, 2), (3, 0)]


@given(st.lists(st.sampled_from([("ann", 1), ("ann", 2), ("ben", 1)]), max_size=6))
def test_l24_only_the_holder_s_own_word_ends_its_locks(
    redis_url: str, words: list[tuple[str, int]]
) -> None:
    async def go() -> None:
        event, is_locked = next(EVENTS), True
        unlocker = Unlocker(redis_url)
        async with locks_at(redis_url) as locks:
            keys = seat_locks(event, "A", SEATS)
            assert isinstance(await locks.acquire(keys, owner_of("ann", 2), TTL_MS), Granted)
            for word in words:
                gone = await unlocker.unlock(event, "A", SEATS, *word)
                assert gone == (len(SEATS) if is_locked and word == ("ann", 2) else 0)
                is_locked = is_locked and not gone
            taken = await locks.acquire(keys, owner_of("cy", 1), TTL_MS)
            assert isinstance(taken, Busy if is_locked else Granted)
        await unlocker.close()

    asyncio.run(go())


def test_f64_a_redis_that_is_gone_is_an_error_of_its_own() -> None:
    async def go() -> None:
        [nobody] = free_ports(1)
        unlocker = Unlocker(f"redis://127.0.0.1:{nobody}/0")
        with pytest.raises(RedisError):
            await unlocker.unlock(1, "A", SEATS, "ann", 1)
        await unlocker.close()

    asyncio.run(go())


def test_s002_5_what_is_named_is_deleted_and_nothing_beside_it(redis_url: str) -> None:
    # Of a name that would be a pattern, or two words, anywhere else.
    named, others = (
        ["user:home:a*b c\u00e9", "user:tickets:a"],
        ["user:home:axb", "user:tickets:ab"],
    )

    async def go() -> None:
        caches = Caches(redis_url)
        async with redis_at(redis_url) as client:
            for key in (*named, *others):
                await client.set(key, "page", ex=60)
            assert await caches.forget([*named, "user:home:nobody"]) == 2
            assert await caches.forget(named) == 0
            assert await client.exists(*named) == 0
            assert await client.exists(*others) == 2
            await client.delete(*others)
        await caches.close()

    asyncio.run(go())


def test_a_redis_that_is_not_there_is_no_redis_without_keys() -> None:
    async def go() -> None:
        caches = Caches(f"redis://127.0.0.1:{free_ports(1)[0]}")
        with pytest.raises(RedisError):
            await caches.forget(["user:home:a"])
        await caches.close()

    asyncio.run(go())


def test_f64_who_was_busy_itself_takes_no_redis_for_broken(redis_url: str) -> None:
    def decide() -> None:
        """Keep the loop busy, as a worker does that decides a large batch."""
        time.sleep(1.5 * TIMEOUT_S)

    async def go() -> None:
        caches, unlocker = Caches(redis_url), Unlocker(redis_url)
        for _ in range(3):
            asyncio.get_running_loop().call_later(0.001, decide)
            await asyncio.gather(
                *(caches.forget([f"user:home:{user}"]) for user in range(3 * CONNECTIONS_MAX)),
                *(unlocker.unlock(next(EVENTS), "A", SEATS, "ann", 1) for _ in range(8)),
            )
        await caches.close()
        await unlocker.close()

    asyncio.run(go())
