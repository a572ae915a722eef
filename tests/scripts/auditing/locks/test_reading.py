"""Locks are read from a real Redis as they lie there, whatever else lies beside them."""

import asyncio

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from support.redis.events import EVENTS
from support.redis.locking import TTL_MS, locks_at

from scripts.auditing.locks.reading import LOCKS, read_locks
from state.redis.keys import ALL_LOCKS, PREFIX, seat_locks
from state.redis.seat_lock import owner_of


def test_every_lock_is_read_with_its_owner_and_its_end(redis_url: str) -> None:
    event = next(EVENTS)
    keys = seat_locks(event, "A", [(0, 1), (2, 3)])

    async def lock() -> None:
        async with locks_at(redis_url) as locks:
            await locks.acquire(keys, owner_of("ann", 2), TTL_MS)

    asyncio.run(lock())
    tag = f"{PREFIX}lock:{{{event}-A}}:".encode()
    with Redis.from_url(redis_url) as client:
        client.set(tag + b"9-9", "somebody's")
        client.hset(tag + b"9-8", mapping={"o": "ben:1"})
        client.set(f"{PREFIX}idem:x{event}", "no lock", px=TTL_MS)
        try:
            found = [one for one in read_locks(redis_url) if one.key.startswith(tag)]
        finally:
            client.delete(tag + b"9-9", tag + b"9-8", *keys.locks, keys.fence)
    assert [(one.key.removeprefix(tag), one.owner) for one in found] == [
        (b"0-1", b"ann:2"),
        (b"2-3", b"ann:2"),
        (b"9-8", None),
        (b"9-9", None),
    ]
    ends = [one.left_ms for one in found]
    assert all(0 < left_ms <= TTL_MS for left_ms in ends[:2])
    assert ends[2:] == [-1, -1]


def test_who_may_not_read_locks_is_told_so_and_finds_no_strange_ones(redis_url: str) -> None:
    name = f"blind{next(EVENTS)}"
    key = f"{PREFIX}lock:{{{next(EVENTS)}-A}}:0-0"
    with Redis.from_url(redis_url) as client:
        client.hset(key, mapping={"o": "ben:1"})
        client.acl_setuser(
            name, enabled=True, nopass=True, keys=["*"], commands=["+scan", "+pttl"]
        )
        try:
            with pytest.raises(NoPermissionError):
                read_locks(redis_url.replace("redis://", f"redis://{name}:x@"))
        finally:
            client.acl_deluser(name)
            client.delete(key)


def test_the_pattern_is_that_of_the_pods() -> None:
    assert LOCKS == ALL_LOCKS
