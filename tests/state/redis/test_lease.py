"""Of several processes one has a lease, until it gives it up, sleeps or is gone."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as NoConnection
from support.redis.locking import TTL_MS, ask_of, redis_at
from support.redis.nodes import servers

from infra.stack.redis_server import RedisServer
from state.redis.keys import LockKeys, lease
from state.redis.lease import LEFT_S, REST_S, Lease, Leases, PartitionLeases
from state.redis.redlock import Redlock
from state.redis.seat_lock import Acquired, Busy, SeatLock

NAMES = iter(f"lease-{'ab'[n % 2]}{'x' * (n // 2)}" for n in range(40))


def test_one_of_several_has_it_and_another_once_it_gave_it_up(redis_url: str) -> None:
    async def go() -> None:
        name = next(NAMES)
        async with redis_at(redis_url) as client:
            locks = SeatLock(client.execute_command)
            leases = [Lease(locks, name, TTL_MS) for _ in range(4)]
            held = await asyncio.gather(*(one.hold() for one in leases))
            assert sum(held) == 1
            first = leases[held.index(True)]
            fence = first.fence
            assert fence
            for one in leases:
                # Whoever has it keeps it, under the same fence.
                assert await one.hold() == (one is first)
            assert first.fence == fence
            await first.give_up()
            assert (first.is_held, first.fence) == (False, 0)
            second = next(one for one in leases if one is not first)
            assert await second.hold()
            assert second.fence > fence
            # It has it no more, and takes nothing from who does.
            await first.give_up()
            assert await second.hold()
            assert not await first.hold()

    asyncio.run(go())


def test_who_slept_beyond_it_has_it_no_more_by_its_own_clock(redis_url: str) -> None:
    now_s = [0.0]

    async def go() -> None:
        name = next(NAMES)
        async with redis_at(redis_url) as client:
            locks = SeatLock(client.execute_command, clock_s=lambda: now_s[0])
            slept = Lease(locks, name, 10_000, clock_s=lambda: now_s[0])
            assert await slept.hold()
            now_s[0] += 9.85
            assert slept.fence > 0
            now_s[0] += 0.1
            assert slept.fence == 0
            await client.delete(*lease(name).locks)
            other = Lease(locks, name, 10_000, clock_s=lambda: now_s[0])
            assert await other.hold()
            assert not await slept.hold()

    asyncio.run(go())


def test_a_lost_lock_is_taken_again_by_who_asks_first(redis_url: str) -> None:
    """F66: a flushed Redis."""

    async def go() -> None:
        name = next(NAMES)
        async with redis_at(redis_url) as client:
            locks = SeatLock(client.execute_command)
            one, other = Lease(locks, name, TTL_MS), Lease(locks, name, TTL_MS)
            assert await one.hold()
            await client.delete(*lease(name).locks)
            assert await other.hold()
            assert not await one.hold()
            assert not one.is_held

    asyncio.run(go())


async def _put_text(client: Any, key: str) -> None:
    await client.set(key, "somebody's")


async def _put_list_for_a_year(client: Any, key: str) -> None:
    await client.rpush(key, "x")
    await client.pexpire(key, 31_536_000_000)


async def _put_endless(client: Any, key: str) -> None:
    await client.hset(key, mapping={"o": "lease:1", "t": "x", "f": "1"})


async def _put_for_a_year(client: Any, key: str) -> None:
    await _put_endless(client, key)
    await client.pexpire(key, 31_536_000_000)


@pytest.mark.parametrize("put", [_put_text, _put_list_for_a_year, _put_endless, _put_for_a_year])
def test_b80_what_is_no_lease_of_ours_keeps_nobody_from_it(redis_url: str, put: Any) -> None:
    async def go() -> None:
        name = next(NAMES)
        async with redis_at(redis_url) as client:
            locks = SeatLock(client.execute_command)
            [key] = lease(name).locks
            await put(client, key)
            await client.set(lease(name).fence, "no hash")
            first, second = Lease(locks, name, TTL_MS), Lease(locks, name, TTL_MS)
            assert await first.hold()
            assert first.fence
            # One that is held goes on.
            assert not await second.hold()
            assert await first.hold()

    asyncio.run(go())


def test_a_redis_that_is_gone_leaves_it_until_its_time_is_over(redis_url: str) -> None:
    """F64."""
    now_s, is_gone = [0.0], [False]

    async def go() -> None:
        async with redis_at(redis_url) as client:

            async def ask(*command: Any) -> Any:
                if is_gone[0]:
                    raise NoConnection
                return await ask_of(client)(*command)

            locks = SeatLock(ask, clock_s=lambda: now_s[0])
            one = Lease(locks, next(NAMES), 10_000, clock_s=lambda: now_s[0])
            assert await one.hold()
            is_gone[0] = True
            with pytest.raises(NoConnection):
                await one.hold()
            assert one.is_held
            now_s[0] += 10
            assert not one.is_held

    asyncio.run(go())


@given(st.text(max_size=40))
def test_no_text_but_letters_digits_and_dashes_names_a_lease(name: str) -> None:
    plain = 0 < len(name) <= 32 and name[0] in _LETTERS and set(name) <= _LETTERS | _DIGITS | {"-"}
    try:
        keys = lease(name)
    except ValueError:
        assert not plain
    else:
        assert plain
        assert keys.locks == (f"seatstream:lease:{{{name}}}",)


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")


@pytest.mark.redis
def test_leases_lie_at_a_majority_of_independent_servers_and_too_few_tell_nothing(
    tmp_path: Path,
) -> None:
    async def comes_to(one: Lease, turn: bool | None) -> None:
        async with asyncio.timeout(60):
            # On a busy machine a node may take longer than it has.
            while (found := await one.turn()) is not turn:
                assert not found
                await asyncio.sleep(0.05)

    async def go(started: Sequence[RedisServer]) -> None:
        urls = [server.url for server in started]
        first, second = Leases(urls), Leases(urls)
        ann, ben = (
            first.of("lease-of-three", TTL_MS, who="ann"),
            second.of("lease-of-three", TTL_MS),
        )
        await comes_to(ann, True)
        await comes_to(ben, False)
        assert await ben.holder() in {"ann", ""}
        started[0].kill()
        await comes_to(ann, True)
        started[1].kill()
        # Nobody has it where one of three is left, and nobody is told that another has.
        await comes_to(ann, None)
        for leases in (first, second):
            await leases.close()

    with servers(tmp_path, 3) as started:
        asyncio.run(go(started))


def test_a_redis_that_is_gone_tells_nobody_whose_turn_it_is() -> None:
    async def go() -> None:
        leases = Leases(["redis://127.0.0.1:1/0"])
        assert await leases.of("lease-nowhere", TTL_MS).turn() is None
        await leases.close()

    asyncio.run(go())


@pytest.mark.redis
def test_f64_whoever_must_not_wait_goes_on_without_redis_and_asks_it_later(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [0.0]

    async def go() -> None:
        ours = PartitionLeases([redis_url], "places", TTL_MS, clock_s=lambda: now_s[0])
        other = PartitionLeases([redis_url], "places", TTL_MS)
        assert [await ours.turn(at) for at in (1, 2)] == [True, True]
        # Each partition is another matter.
        assert [await other.turn(at) for at in (1, 3)] == [False, True]
        ours._leases.locks = Redlock([SeatLock(_deaf)] * 3)
        ours._of.clear()
        assert [await ours.turn(at) for at in (1, 2)] == [None, None]
        asked.clear()
        now_s[0] += REST_S - 1
        assert await ours.turn(1) is None
        assert asked == []
        now_s[0] += 1
        assert await ours.turn(1) is None
        assert asked
        for one in (ours, other):
            await one.close()

    asked: list[object] = []

    async def _deaf(*command: object) -> Any:
        asked.append(command)
        raise NoConnection

    asyncio.run(go())
    assert caplog.text.count("nobody tells whose turn it is") == 2


@pytest.mark.redis
def test_a_worker_that_leaves_gives_its_partitions_leases_up(redis_url: str) -> None:
    async def go() -> None:
        ours, other = (PartitionLeases([redis_url], "left", TTL_MS) for _ in range(2))
        assert await ours.turn(1)
        assert not await other.turn(1)
        await ours.close()
        assert await other.turn(1)
        await other.close()

    asyncio.run(go())


class Taken(SeatLock):
    """Locks that somebody else has."""

    async def acquire(self, keys: LockKeys, owner: str, ttl_ms: int, **_: Any) -> Acquired:
        assert owner
        return Busy(keys.names, ttl_ms)


def test_b80_what_others_have_for_a_minute_without_a_pause_is_done_all_the_same() -> None:
    now_s = [0.0]

    async def go() -> None:
        ours = PartitionLeases(["redis://x"], "shared", 10_000, clock_s=lambda: now_s[0])
        ours._leases.locks = Taken(ours._leases._clients[0].execute_command)
        turns = []
        for _ in range(int(LEFT_S / 5) + 1):
            turns.append(await ours.turn(1))
            # Of another partition it is not known.
            assert await ours.turn(2 + len(turns)) is False
            now_s[0] += 5.0
        assert set(turns[:-1]) == {False}
        assert turns[-1] is None
        # The next time that it is wanted is another time.
        now_s[0] += 11.0
        assert await ours.turn(1) is False
        await ours.close()

    asyncio.run(go())
