"""Looking through all locks removes those of holds that are over, and what is none of ours."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.redis.events import EVENTS
from support.redis.locking import TTL_MS, ask_of, redis_at

from state.redis import sweep as sweeping
from state.redis.client import CONNECTIONS_MAX
from state.redis.keys import ALL_FENCES, ALL_LOCKS, PREFIX, seat_locks
from state.redis.scripts import Ask
from state.redis.seat_lock import Granted, SeatLock, owner_of
from state.redis.sweep import Swept, sweep

HOLDS = [("ann", 1), ("ann", 2), ("ben", 1), ("cy", 3)]


async def over(holds: set[tuple[str, int]], reservation_id: str, epoch: int) -> bool:
    await asyncio.sleep(0)
    return (reservation_id, epoch) in holds


async def clear(client: Any) -> None:
    for pattern in (ALL_LOCKS, ALL_FENCES):
        async for key in client.scan_iter(pattern):
            await client.delete(key)


@given(
    st.dictionaries(st.integers(0, 40), st.sampled_from(HOLDS), max_size=20),
    st.sets(st.sampled_from(HOLDS)),
)
def test_l25_locks_of_holds_that_are_over_go_and_all_others_stay(
    redis_url: str, owners: dict[int, tuple[str, int]], ended: set[tuple[str, int]]
) -> None:
    async def go() -> None:
        async with redis_at(redis_url) as client:
            await clear(client)
            locks, event = SeatLock(client.execute_command), next(EVENTS)
            for seat, hold in owners.items():
                keys = seat_locks(event, "A", [(1, seat)])
                await locks.acquire(keys, owner_of(*hold), TTL_MS)
            gone = {seat for seat, hold in owners.items() if hold in ended}
            found = await sweep(client.execute_command, lambda _, *hold: over(ended, *hold))
            assert found == Swept(len(owners), len(gone), 0)
            left = {key async for key in client.scan_iter(ALL_LOCKS)}
            kept = [seat_locks(event, "A", [(1, seat)]).locks[0] for seat in owners.keys() - gone]
            assert left == {key.encode() for key in kept}

    asyncio.run(go())


def test_l25_a_slow_server_with_many_locks_is_asked_no_more_at_once_than_a_client_can(
    redis_url: str,
) -> None:
    """Whoever finds no free connection of a client in half a second is told that there is none."""
    under_way = most = 0

    async def go() -> None:
        async with redis_at(redis_url) as client:
            await clear(client)
            locks, event = SeatLock(client.execute_command), next(EVENTS)
            for seat in range(100):
                keys = seat_locks(event, "A", [(1, seat)])
                await locks.acquire(keys, owner_of("ann", 1), TTL_MS)

            asked: Ask = client.execute_command

            async def ask(*words: Any) -> Any:
                nonlocal under_way, most
                under_way += 1
                most = max(most, under_way)
                try:
                    await asyncio.sleep(0)
                    return await asked(*words)
                finally:
                    under_way -= 1

            found = await sweep(ask, lambda _, *hold: over({("ann", 1)}, *hold))
            assert found == Swept(100, 100, 0)

    asyncio.run(go())
    assert most <= CONNECTIONS_MAX // 2


def test_b80_what_is_no_lock_of_ours_goes_and_what_is_no_lock_at_all_stays(
    redis_url: str,
) -> None:
    async def go() -> None:
        async with redis_at(redis_url) as client:
            await clear(client)
            tag = f"{{{next(EVENTS)}-A}}"
            lock = f"{PREFIX}lock:{tag}:"
            whole: dict[Any, Any] = {"o": "ann:1", "t": "x", "f": "1"}
            await client.set(lock + "0-0", "somebody's")
            await client.hset(lock + "0-1", mapping={"o": "ann:1"})
            await client.hset(lock + "0-2", mapping={**whole, "o": "who?"})
            # Without an end nothing of ours is kept.
            await client.hset(lock + "0-3", mapping=whole)
            await client.hset(f"{PREFIX}lock:no place", mapping=whole)
            await client.set(f"{PREFIX}lock:".encode() + b"\xff", "not even text")
            # More digits than any reader converts.
            await client.hset(lock + "9" * 5_000 + "-1", mapping=whole)
            await client.set(f"{PREFIX}fence:{tag}", "no hash")
            await client.set(f"{PREFIX}idem:x", "another's", ex=60)
            locks = SeatLock(client.execute_command)
            good = seat_locks(next(EVENTS), "A", [(0, 0)])
            assert isinstance(await locks.acquire(good, owner_of("ann", 1), TTL_MS), Granted)
            found = await sweep(client.execute_command, lambda _, *hold: over(set(), *hold))
            assert found == Swept(8, 0, 8)
            assert await client.exists(*good.locks, good.fence, f"{PREFIX}idem:x") == 3

    asyncio.run(go())


def test_a_lock_that_ended_while_it_was_looked_at_may_be_another_s_by_now(redis_url: str) -> None:
    """Who looks through all of them has no word in whose seat it is."""

    async def go() -> None:
        async with redis_at(redis_url) as client:
            await clear(client)
            locks, event = SeatLock(client.execute_command), next(EVENTS)
            ann, ben = owner_of("ann", 1), owner_of("ben", 1)
            stays, ends = (seat_locks(event, "A", [(0, seat)]) for seat in (1, 2))
            for keys in (stays, ends):
                assert isinstance(await locks.acquire(keys, ann, TTL_MS), Granted)

            async def ask(*command: Any) -> Any:
                if command[0] == "HMGET" and command[1].decode() in ends.locks:
                    await locks.release_of(ends, ann)
                return await ask_of(client)(*command)

            async def is_over(*_: object) -> bool:
                # Asked about the one that stays: meanwhile somebody takes what is free.
                await locks.release_of(ends, ann)
                assert isinstance(await locks.acquire(ends, ben, TTL_MS), Granted)
                return False

            found = await sweep(ask, is_over)
            assert (found.orphans, found.repaired) == (0, 0)
            assert await client.hget(ends.locks[0], "o") == b"ben:1"

    asyncio.run(go())


@pytest.mark.parametrize("asks", ["HMGET", "PTTL"])
def test_s3_16_a_lock_that_is_granted_between_two_questions_is_nobody_elses_to_remove(
    redis_url: str, asks: str
) -> None:
    """One that has just ended has no owner; what lies there a moment later has one."""

    async def go() -> None:
        async with redis_at(redis_url) as client:
            await clear(client)
            locks, event = SeatLock(client.execute_command), next(EVENTS)
            keys = seat_locks(event, "A", [(0, 1)])
            assert isinstance(await locks.acquire(keys, owner_of("ann", 1), TTL_MS), Granted)

            async def ask(*command: Any) -> Any:
                said = await ask_of(client)(*command)
                # A look may have to ask several times before it is told of the key.
                if command[0] == "SCAN" and asks == "HMGET" and keys.locks[0].encode() in said[1]:
                    await locks.release_of(keys, owner_of("ann", 1))
                if command[0] == asks:
                    # The other one has the seat, whole and in time, behind what was answered.
                    await client.delete(*keys.locks)
                    grant = await locks.acquire(keys, owner_of("ben", 1), TTL_MS)
                    assert isinstance(grant, Granted)
                return [None] * 3 if command[0] == asks == "HMGET" else said

            found = await sweep(ask, lambda _, *hold: over(set(), *hold))
            assert (found.orphans, found.repaired) == (0, 0)
            assert await client.hget(keys.locks[0], "o") == b"ben:1"

    asyncio.run(go())


@pytest.mark.parametrize("kind", ["text", "no owner", "endless"])
def test_s3_16_what_became_a_lock_of_ours_while_it_was_repaired_stays(
    redis_url: str, kind: str
) -> None:
    async def go() -> None:
        async with redis_at(redis_url) as client:
            await clear(client)
            locks, event = SeatLock(client.execute_command), next(EVENTS)
            keys = seat_locks(event, "A", [(0, 1)])
            [key] = keys.locks
            if kind == "text":
                await client.set(key, "somebody's")
            else:
                whole: dict[Any, Any] = {"o": "eve:1"}
                whole |= {"t": "x", "f": "1"} if kind == "endless" else {}
                await client.hset(key, mapping=whole)
            await client.set(keys.fence, "no hash")

            async def ask(*command: Any) -> Any:
                if command[0] == "EVALSHA" and key in map(str_of, command):
                    await client.delete(key, keys.fence)
                    grant = await locks.acquire(keys, owner_of("ben", 1), TTL_MS)
                    assert isinstance(grant, Granted)
                return await ask_of(client)(*command)

            found = await sweep(ask, lambda _, *hold: over(set(), *hold))
            assert found == Swept(1, 0, 0)
            assert await client.hget(key, "o") == b"ben:1"
            assert await client.exists(keys.fence)

    asyncio.run(go())


def str_of(part: Any) -> str:
    return part.decode() if isinstance(part, bytes) else str(part)


def test_only_scan_looks_at_keys_and_every_page_of_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PAGE", 2)
    heard = set[str]()

    async def go() -> None:
        async with redis_at(redis_url) as client:
            await clear(client)

            async def ask(*command: Any) -> Any:
                heard.add(command[0])
                return await ask_of(client)(*command)

            locks = SeatLock(client.execute_command)
            keys = seat_locks(next(EVENTS), "A", [(0, seat) for seat in range(60)])
            await locks.acquire(keys, owner_of("ann", 1), TTL_MS)
            found = await sweep(ask, lambda _, *hold: over({("ann", 1)}, *hold))
            assert found == Swept(60, 60, 0)

    asyncio.run(go())
    assert heard <= {"SCAN", "HMGET", "PTTL", "TYPE", "EVALSHA", "EVAL", "DEL"}
