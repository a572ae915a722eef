"""Locks of seats at a real Redis, alone or in a cluster: one owner each, all or nothing.

What ends a lock is done by hand where a test does not wait for it: no test depends on how fast the
machine is.
"""

import ast
import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from support.redis.locking import (
    TTL_MS,
    ModelOfLocks,
    ask_of,
    fresh_section,
    locks_at,
    redis_at,
    told,
    twice,
)

from infra.paths import ROOT
from infra.stack.processes import wait_until
from infra.stack.redis_server import RedisServer
from state.redis.client import cluster_of
from state.redis.keys import LockKeys, seat_locks
from state.redis.line import NoAnswer
from state.redis.seat_lock import (
    FENCES_MS,
    LIFE_MS,
    Busy,
    Granted,
    NotAll,
    SeatLock,
    Stale,
    acquire_all,
    new_token,
    owner_of,
)

ANN, BEN = owner_of("ann", 1), owner_of("ben", 1)
ROWS = tuple(range(6))
OWNERS = (ANN, BEN, owner_of("ann", 2))
PRODUCT = ("api", "infra", "scripts", "state", "streams", "benchmarks")

Test = Callable[[SeatLock, Redis], Awaitable[None]]


def run(url: str, test: Test) -> None:
    async def go() -> None:
        async with redis_at(url) as client:
            await test(SeatLock(client.execute_command), client)

    asyncio.run(go())


async def granted(locks: SeatLock, keys: LockKeys, owner: str, **options: Any) -> Granted:
    grant = await locks.acquire(keys, owner, options.pop("ttl_ms", TTL_MS), **options)
    assert isinstance(grant, Granted)
    return grant


async def end(client: Redis, keys: LockKeys) -> None:
    """Let locks end as their time would."""
    for key in keys.locks:
        await client.pexpireat(key, 1)


# --- against a model -------------------------------------------------------------------------

some_rows = st.sets(st.sampled_from(ROWS), min_size=1, max_size=4).map(sorted)
acquiring = st.tuples(
    st.just("acquire"), some_rows, st.sampled_from(OWNERS), st.sampled_from("xyz"),
    st.integers(0, 6),
)  # fmt: skip
others = st.tuples(
    st.sampled_from(["release", "release_of", "extend", "end"]),
    some_rows, st.sampled_from(OWNERS), st.sampled_from("xyz"), st.just(0),
)  # fmt: skip


@pytest.mark.parametrize("sent", [1, 2])
@given(st.lists(acquiring | others, max_size=25))
def test_every_answer_and_what_is_left_are_those_of_a_model_of_locks(
    redis_url: str, sent: int, steps: list[tuple[str, list[int], str, str, int]]
) -> None:
    """L01-L10; sent twice, as a client's own retries do, each has the effect of once."""

    async def test(locks: SeatLock, client: Redis) -> None:
        model, section = ModelOfLocks(), fresh_section()
        if sent > 1:
            locks = SeatLock(twice(client.execute_command))
        for name, rows, owner, token, fence in steps:
            keys = section(*rows)
            grant = Granted(keys, owner, token, 0, 0.0)
            if name == "acquire":
                answer = await locks.acquire(keys, owner, TTL_MS, token=token, fence=fence)
                assert told(answer) == model.acquire(keys.names, owner, token, fence)
            elif name == "extend":
                lasts = await locks.extend(grant, TTL_MS)
                assert (lasts is not None) == model.has_all(keys.names, owner, token)
            elif name == "end":
                await end(client, keys)
                for gone in keys.names:
                    model.locks.pop(gone, None)
            else:
                is_own = name == "release"
                kept = token if is_own else ""
                count = model.release(keys.names, owner, kept)
                released = await (
                    locks.release(grant) if is_own else locks.release_of(keys, owner)
                )
                assert released == (count if sent == 1 else 0)
        whole = section(*ROWS)
        left = {}
        for seat, key in zip(whole.names, whole.locks, strict=True):
            kept_lock: Any = await client.hmget(key, ["o", "t", "f"])
            if kept_lock[0] is not None:
                assert 0 < await client.pttl(key) <= TTL_MS
                left[seat] = kept_lock[0].decode(), kept_lock[1].decode(), int(kept_lock[2])
        assert left == model.locks
        kept_fences: Any = await client.hgetall(whole.fence)
        assert {name: int(number) for name, number in kept_fences.items()} == (
            {b"next": model.highest} if model.highest else {}
        )

    run(redis_url, test)


# --- one after the other ---------------------------------------------------------------------


def test_l01_l02_one_has_it_until_it_is_given_up_and_others_hear_no_name(redis_url: str) -> None:
    async def test(locks: SeatLock, _: Redis) -> None:
        keys = fresh_section()(1, 2)
        grant = await granted(locks, keys, ANN)
        busy = await locks.acquire(keys, BEN, TTL_MS)
        assert busy == Busy(keys.names, busy.wait_ms if isinstance(busy, Busy) else 0)
        assert 0 < busy.wait_ms <= TTL_MS
        assert "ann" not in repr(busy)
        assert await locks.release(grant) == 2
        assert await locks.release(grant) == 0
        assert isinstance(await locks.acquire(keys, BEN, TTL_MS), Granted)

    run(redis_url, test)


def test_l03_the_same_owner_has_it_again_and_for_all_its_time(redis_url: str) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        keys = fresh_section()(1)
        first = await granted(locks, keys, ANN)
        await client.pexpire(keys.locks[0], 1_000_000 // 100)
        second = await granted(locks, keys, ANN)
        assert await client.pttl(keys.locks[0]) > TTL_MS // 2
        assert second.fence > first.fence
        # The older grant is nobody's any more: who made it cannot end the newer one.
        assert await locks.release(first) == 0
        assert await locks.release(second) == 1

    run(redis_url, test)


def test_l04_l06_a_lock_that_ended_is_another_s_and_is_not_extended(redis_url: str) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        keys = fresh_section()(1)
        grant = await granted(locks, keys, ANN, ttl_ms=5)

        async def is_gone() -> bool:
            return not await client.exists(keys.locks[0])

        async with asyncio.timeout(60):
            while not await is_gone():
                pass
        assert grant.left_ms(monotonic()) <= 0
        assert await locks.extend(grant, TTL_MS) is None
        other = await granted(locks, keys, BEN)
        assert await locks.extend(grant, TTL_MS) is None
        assert await locks.release(grant) == 0
        assert await locks.extend(other, TTL_MS) is not None

    run(redis_url, test)


def test_l07_no_extension_lets_a_lock_last_longer_than_it_may_in_all(redis_url: str) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        keys = fresh_section()(1, 2)
        grant = await granted(locks, keys, ANN, ttl_ms=60_000, life_ms=90_000)
        for _ in range(3):
            longer = await locks.extend(grant, 10 * TTL_MS)
            assert longer is not None
            for key in keys.locks:
                # Never cut short either, however near its end it is.
                assert 30_000 < await client.pttl(key) <= 90_000
        shorter = await locks.extend(grant, 10)
        assert shorter is not None
        assert await client.pttl(keys.locks[0]) > 1_000

    run(redis_url, test)


def test_l08_l09_a_lower_fence_is_refused_after_release_and_after_the_end(redis_url: str) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        keys = fresh_section()(1)
        grant = await granted(locks, keys, ANN, fence=7)
        await locks.release(grant)
        assert await locks.acquire(keys, BEN, TTL_MS, fence=6) == Stale(7)
        later = await granted(locks, keys, BEN, fence=9)
        await end(client, keys)
        assert await locks.acquire(keys, ANN, TTL_MS, fence=8) == Stale(9)
        # The next one by the section's own count is above all that were named.
        assert (await granted(locks, keys, ANN)).fence == later.fence + 1
        assert await client.pttl(keys.fence) > LIFE_MS // 1_000

    run(redis_url, test)


def test_l08_a_section_keeps_one_fence_whatever_seats_were_named_in_it(redis_url: str) -> None:
    """Else each seat that somebody names is kept for as long as the section is asked for."""

    async def test(locks: SeatLock, client: Redis) -> None:
        section = fresh_section()
        for first in range(0, 300, 100):
            grant = await granted(locks, section(*range(first, first + 100)), ANN)
            await locks.release(grant)
        fences: Any = await client.hgetall(section(0).fence)
        assert fences == {b"next": b"3"}
        assert await locks.acquire(section(7), BEN, TTL_MS, fence=2) == Stale(3)

    run(redis_url, test)


@pytest.mark.parametrize("is_by_owner", [False, True])
def test_l09_a_fence_outlives_locks_however_often_they_are_extended(
    redis_url: str, is_by_owner: bool
) -> None:
    """A lease that one process keeps for days would begin to count anew."""
    long_ms = 2 * FENCES_MS

    async def test(locks: SeatLock, client: Redis) -> None:
        keys = fresh_section()(1)
        grant = await granted(locks, keys, ANN)
        if is_by_owner:
            assert await locks.extend_of(keys, ANN, long_ms) == long_ms
        else:
            assert await locks.extend(grant, long_ms) is not None
        lasts_ms = await client.pttl(keys.fence)
        assert lasts_ms > long_ms
        assert await locks.extend(grant, TTL_MS) is not None
        # Nothing cuts it short.
        assert await client.pttl(keys.fence) > lasts_ms - TTL_MS

    run(redis_url, test)


def test_a_grant_that_stands_may_be_given_a_fence_below_a_later_one_beside_it(
    redis_url: str,
) -> None:
    """What several servers granted each by its own count is given one number afterwards."""

    async def test(locks: SeatLock, _: Redis) -> None:
        section = fresh_section()
        grant = await granted(locks, section(1), ANN)
        for _turn in range(3):
            await granted(locks, section(2), BEN)
        again = await granted(locks, section(1), ANN, token=grant.token, fence=grant.fence + 1)
        assert again.fence == grant.fence + 1
        answer = await locks.acquire(section(1), ANN, TTL_MS, token=grant.token, fence=1)
        assert answer == Stale(again.fence)
        assert (await granted(locks, section(3), BEN)).fence == 5

    run(redis_url, test)


def test_l10_one_taken_seat_of_eight_leaves_the_others_free(redis_url: str) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        section = fresh_section()
        await granted(locks, section(5), BEN)
        busy = await locks.acquire(section(*range(8)), ANN, TTL_MS)
        assert isinstance(busy, Busy)
        assert busy.names == section(5).names
        for row in {*range(8)} - {5}:
            assert not await client.exists(section(row).locks[0])

    run(redis_url, test)


def test_l13_of_many_at_once_no_two_have_the_same_seat_and_nothing_is_left(redis_url: str) -> None:
    """16 threads with 300 tries each; nobody waits: each try is one script, granted or refused."""
    section, has, guard = fresh_section(), dict[str, str](), threading.Lock()
    rows = list(range(12))

    async def buyer(number: int) -> tuple[int, int]:
        choice, sold, asked = random.Random(number), 0, 0
        async with redis_at(redis_url) as client:

            async def ask(*command: Any) -> Any:
                nonlocal asked
                asked += 1
                return await ask_of(client)(*command)

            locks = SeatLock(ask)
            for attempt in range(300):
                keys = section(*choice.sample(rows, choice.randint(1, 4)))
                owner = owner_of(f"{number}-{attempt}", 1)
                grant = await locks.acquire(keys, owner, TTL_MS)
                if isinstance(grant, Granted):
                    with guard:
                        assert not {*keys.names} & {*has}
                        has.update(dict.fromkeys(keys.names, owner))
                    # Others have a turn.
                    await asyncio.sleep(0)
                    with guard:
                        assert {has.pop(name) for name in keys.names} == {owner}
                    assert await locks.release(grant) == len(keys.names)
                    sold += 1
        return sold, asked

    async def left() -> int:
        async with redis_at(redis_url) as client:
            return int(await client.exists(*section(*rows).locks))

    with ThreadPoolExecutor(16) as threads:
        told = list(threads.map(lambda number: asyncio.run(buyer(number)), range(16)))
    assert all(sold for sold, _ in told)
    # A script is told again where a server that was just started does not know it.
    assert all(300 + sold <= asked <= 302 + sold for sold, asked in told)
    assert asyncio.run(left()) == 0


@pytest.mark.parametrize("url_of", ["redis_url", "cluster_url"])
def test_l14_two_who_want_the_same_sections_in_any_order_never_hold_a_part_each(
    url_of: str, request: pytest.FixtureRequest
) -> None:
    """Unsorted, each taking what is free, both end with one half: the control."""

    async def test(locks: SeatLock) -> None:
        one, two = sorted([fresh_section()(1), fresh_section()(1)], key=lambda keys: keys.locks)
        halves = [await locks.acquire(one, ANN, TTL_MS), await locks.acquire(two, BEN, TTL_MS)]
        assert all(isinstance(half, Granted) for half in halves)
        assert isinstance(await locks.acquire(two, ANN, TTL_MS), Busy)
        assert isinstance(await locks.acquire(one, BEN, TTL_MS), Busy)
        for keys, owner in ((one, ANN), (two, BEN)):
            await locks.release_of(keys, owner)
        for _ in range(10):
            answers = await asyncio.gather(
                acquire_all(locks, [(one, ANN), (two, ANN)], TTL_MS),
                acquire_all(locks, [(two, BEN), (one, BEN)], TTL_MS),
            )
            [whole] = [answer for answer in answers if isinstance(answer, tuple)]
            [refused] = [answer for answer in answers if isinstance(answer, NotAll)]
            assert isinstance(refused.why, Busy)
            assert (refused.keys, refused.why.names) == (one, one.names)
            for grant in whole:
                assert await locks.release(grant) == 1

    asyncio.run(at(request, url_of, test))


class Leaving(SeatLock):
    """Grants the first, and is left with this at the second; nothing can be given up any more."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(self._gone)
        self.error = error
        self.asked = 0

    async def _gone(self, *_: object) -> Any:
        self.asked += 1
        if self.asked == 1:
            return [1, 1]
        if self.asked == 2:
            raise self.error
        raise NoAnswer


@pytest.mark.parametrize("error", [asyncio.CancelledError(), TimeoutError("too slow")])
def test_who_leaves_in_the_middle_is_told_why_whatever_becomes_of_the_locks(
    error: BaseException,
) -> None:
    async def go() -> None:
        locks = Leaving(error)
        groups = [(fresh_section()(1), ANN) for _ in range(2)]
        with pytest.raises(type(error)):
            await acquire_all(locks, groups, TTL_MS)
        assert locks.asked == 3

    asyncio.run(go())


async def at(
    request: pytest.FixtureRequest, url_of: str, test: Callable[[SeatLock], Awaitable[None]]
) -> None:
    """Run a test at the server or the cluster that a fixture names."""
    url = request.getfixturevalue(url_of)
    client: Any = cluster_of(url, timeout_s=30.0) if url_of == "cluster_url" else None
    if client is None:
        async with locks_at(url) as locks:
            await test(locks)
        return
    try:
        await test(SeatLock(client.execute_command))
    finally:
        await client.aclose()


@pytest.mark.redis
def test_a_cluster_takes_all_operations_on_seats_of_one_section(
    cluster_url: str, request: pytest.FixtureRequest
) -> None:
    """L01, L03, L10, L27 on three nodes: a section's keys lie on one, whichever that is."""

    async def test(locks: SeatLock) -> None:
        for _ in range(12):
            section = fresh_section()
            grant = await granted(locks, section(*range(8)), ANN)
            busy = await locks.acquire(section(7, 8), BEN, TTL_MS)
            assert isinstance(busy, Busy)
            assert busy.names == section(7).names
            assert await locks.extend(grant, TTL_MS) is not None
            assert await locks.release_of(section(0), BEN) == 0
            assert await locks.release(grant) == 8
            assert (await granted(locks, section(8), BEN)).fence == grant.fence + 1

    asyncio.run(at(request, "cluster_url", test))


# --- what may go wrong -----------------------------------------------------------------------


def test_l19_who_slept_beyond_its_time_ends_nothing_and_is_refused(redis_url: str) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        keys = fresh_section()(1)
        slept = await granted(locks, keys, ANN)
        await end(client, keys)
        other = await granted(locks, keys, BEN)
        assert await locks.extend(slept, TTL_MS) is None
        assert await locks.release(slept) == 0
        await locks.release(other)
        assert await locks.acquire(keys, ANN, TTL_MS, fence=slept.fence) == Stale(other.fence)

    run(redis_url, test)


def test_l20_the_time_that_redis_took_is_no_time_of_the_grant(redis_url: str) -> None:
    """F72."""
    now_s = [100.0]

    async def go() -> None:
        async with redis_at(redis_url) as client:

            async def slow(*command: Any) -> Any:
                now_s[0] += 0.75
                return await ask_of(client)(*command)

            locks = SeatLock(slow, clock_s=lambda: now_s[0])
            # A script that the server knows is asked for once.
            await locks.acquire(fresh_section()(1), ANN, 1_000)
            grant = await granted(locks, fresh_section()(1), ANN, ttl_ms=1_000)
            assert grant.left_ms(now_s[0]) == pytest.approx(1_000 - 750 - 12)
            longer = await locks.extend(grant, 1_000)
            assert longer is None or longer.left_ms(now_s[0]) <= 250

    asyncio.run(go())


@pytest.mark.redis
def test_l20_a_paused_redis_ends_locks_that_nobody_relies_on_any_more(
    server: RedisServer,
) -> None:
    async def test(locks: SeatLock, _: Redis) -> None:
        keys = fresh_section()(1)
        grant = await granted(locks, keys, ANN, ttl_ms=100)
        # The server may have granted it a moment before it was heard, and a long time after it
        # was asked: by then it has ended there, too.
        ends_there_s = monotonic() + 0.110
        assert server.child is not None
        server.child.signal(SIGSTOP)
        try:
            over = await asyncio.to_thread(wait_until, lambda: monotonic() > ends_there_s, 60.0)
        finally:
            server.child.signal(SIGCONT)
        assert over
        assert grant.left_ms(monotonic()) < 0
        assert await locks.extend(grant, TTL_MS) is None
        assert isinstance(await locks.acquire(keys, BEN, TTL_MS), Granted)

    run(server.url, test)


@pytest.mark.redis
def test_l08_fences_outlive_a_crash_of_a_server_that_appends_always(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, ("--appendfsync", "always"))
    server.begin()
    server.wait()
    keys = fresh_section()(1)

    async def before(locks: SeatLock, _: Redis) -> None:
        await granted(locks, keys, ANN, fence=9)

    async def behind(locks: SeatLock, _: Redis) -> None:
        assert isinstance(await locks.acquire(keys, BEN, TTL_MS), Busy)
        assert await locks.release_of(keys, ANN) == 1
        assert await locks.acquire(keys, BEN, TTL_MS, fence=8) == Stale(9)

    try:
        run(server.url, before)
        server.kill()
        server.restart()
        server.wait()
        run(server.url, behind)
    finally:
        server.kill()


def test_l27_scripts_that_are_forgotten_are_told_again(redis_url: str) -> None:
    """F71."""

    async def test(locks: SeatLock, client: Redis) -> None:
        keys = fresh_section()(1)
        await client.script_flush()
        grant = await granted(locks, keys, ANN)
        await client.script_flush()
        assert await locks.extend(grant, TTL_MS) is not None
        await client.script_flush()
        assert await locks.release(grant) == 1

    run(redis_url, test)


@pytest.mark.parametrize("form", ["string", "list", "a hash of others"])
def test_b80_what_is_no_lock_of_ours_is_somebody_s(redis_url: str, form: str) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        section = fresh_section()
        keys = section(1, 2)
        key = keys.locks[1]
        if form == "string":
            await client.set(key, "somebody's")
        elif form == "list":
            await client.rpush(key, "a", "b")
        else:
            await client.hset(key, mapping={"user": "x"})
        busy = await locks.acquire(keys, ANN, TTL_MS)
        assert busy == Busy(section(2).names, 0)
        assert await locks.release_of(keys, ANN) == 0
        grant = Granted(keys, ANN, "x", 1, 0.0)
        assert await locks.extend(grant, TTL_MS) is None
        assert await locks.release(grant) == 0
        assert await client.exists(key)
        assert not await client.exists(keys.locks[0])

    run(redis_url, test)


def test_a_grant_whose_answer_was_lost_is_the_same_grant_when_it_is_sent_again(
    redis_url: str,
) -> None:
    async def test(locks: SeatLock, client: Redis) -> None:
        doubled = SeatLock(twice(client.execute_command))
        section = fresh_section()
        first = await granted(doubled, section(1, 2), ANN)
        assert first.fence == 1
        assert (await granted(locks, section(3), BEN)).fence == 2
        assert await doubled.extend(first, TTL_MS) is not None

    run(redis_url, test)


def test_l29_tokens_are_128_random_bits() -> None:
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert {len(bytes.fromhex(token)) for token in tokens} == {16}


def test_l23_nobody_uses_the_client_library_s_own_lock() -> None:
    """One object shared by two tasks lets one give up what the other has; its token is guessed."""
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    assert "redis" not in (node.module or "").split(".") or not (
                        {"Lock", "lock"} & {alias.name for alias in node.names}
                    ), path
                    assert not (node.module or "").startswith(("redis.lock", "redis.asyncio.lock"))


@pytest.mark.parametrize("count", [0, 101])
def test_l12_no_seat_and_more_than_a_hundred_are_refused_before_redis_is_asked(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 100 seats"):
        seat_locks(1, "A", [(0, seat) for seat in range(count)])


def test_a_hundred_seats_are_one_grant(redis_url: str) -> None:
    async def test(locks: SeatLock, _: Redis) -> None:
        keys = fresh_section()(*range(100))
        grant = await granted(locks, keys, ANN)
        assert await locks.extend(grant, TTL_MS) is not None
        assert await locks.release(grant) == 100

    run(redis_url, test)
