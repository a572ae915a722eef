"""A second buyer of the same chosen seats is told at once; a lock decides nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from redis.asyncio import Redis
from support.pods.api_pods import client_of
from support.pods.reservation_pods import NotAppended, Seats, pod_over
from support.pods.reservations_asked import ANN, BOB, create, problem
from support.redis.locking import TTL_MS, redis_at
from support.seats.section_commands import EVENT, A

from api.pod import Pod
from infra.stack.ports import free_ports
from state.redis.keys import LockKeys, seat_locks
from state.redis.pre_lock import PreLocks
from state.redis.seat_lock import GRACE_MS

Test = Callable[[Seats, Pod, httpx.AsyncClient, Redis], Awaitable[None]]


def keys_of(*seats: int) -> LockKeys:
    return seat_locks(EVENT, A, [(0, seat) for seat in seats])


def chosen(*seats: int) -> dict[str, object]:
    return {"section": A, "seats": [{"row": 0, "seat": seat} for seat in seats]}


def asking(url: str, test: Test) -> None:
    """Run a test over an open section A of a row of six, with locks at a real Redis."""

    async def go() -> None:
        seats = Seats().open("......")
        pod = pod_over(seats, wait_ms=0)
        async with redis_at(url) as client:
            whole = keys_of(*range(6))
            await client.delete(*whole.locks, whole.fence)
            pod.pre_locks = PreLocks(url, TTL_MS, now_ms=lambda: NOW_MS[0])
            try:
                async with client_of(pod) as asked:
                    await test(seats, pod, asked, client)
            finally:
                await pod.pre_locks.close()
                await client.delete(*whole.locks, whole.fence)

    asyncio.run(go())


NOW_MS = [0.0]
"""The wall clock of the pod's locks."""


def test_a_second_buyer_of_a_seat_is_told_without_the_log(redis_url: str) -> None:
    async def test(seats: Seats, pod: Pod, asked: httpx.AsyncClient, _: Redis) -> None:
        seats.holds_back = True
        assert (await create(asked, "k1", chosen(1, 2))).status_code == 202
        sent = len(seats.sent)
        refused = problem(await create(asked, "k2", chosen(3, 2), BOB), 409, "SEAT_LOCKED")
        assert (refused["decided"], refused["source"]) == (False, "lock")
        assert refused["seat"] == {"row": 0, "seat": 2}
        assert "ann" not in str(refused)
        # Nothing of the refused one is left: its other seat is free for anybody.
        assert (await create(asked, "k3", chosen(3), BOB)).status_code == 202
        assert len(seats.sent) == sent + 1
        counted = pod.pre_locks.counters
        assert (counted.locked, counted.refused, counted.skipped) == (2, 1, 0)

    asking(redis_url, test)


def test_the_buyer_s_own_repeat_passes_and_so_does_the_best_available(redis_url: str) -> None:
    async def test(seats: Seats, pod: Pod, asked: httpx.AsyncClient, _: Redis) -> None:
        seats.holds_back = True
        assert (await create(asked, "k1", chosen(1, 2))).status_code == 202
        problem(await create(asked, "k1", chosen(1, 2)), 409, "STILL_RUNNING")
        assert (await create(asked, "k2", who=BOB)).status_code == 202
        seats.holds_back = False
        seats.decide()
        repeat = await create(asked, "k1", chosen(1, 2), Prefer="wait=5")
        assert repeat.status_code == 201
        assert pod.pre_locks.counters.refused == 0

    asking(redis_url, test)


def test_a_lock_lasts_as_long_as_the_hold_and_ends_with_a_refusal(redis_url: str) -> None:
    async def test(seats: Seats, pod: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        held = await create(asked, "k1", chosen(1), Prefer="wait=5")
        assert held.status_code == 201
        NOW_MS[0] = held.json()["deadline_ms"] - 2 * TTL_MS
        [other] = keys_of(4).locks
        again = await create(asked, "k2", chosen(4), Prefer="wait=5")
        left_ms = again.json()["deadline_ms"] - NOW_MS[0] + GRACE_MS
        assert TTL_MS < await client.pttl(other) <= left_ms
        # As if Redis had lost the lock: the log says no, and nothing of the claim stays.
        await client.delete(*keys_of(1).locks)
        problem(await create(asked, "k3", chosen(0, 1), BOB, Prefer="wait=5"), 409, "SEAT_TAKEN")
        assert not await client.exists(*keys_of(0, 1).locks)

    asking(redis_url, test)


def test_a_lock_that_ended_keeps_nobody_from_what_the_log_grants(redis_url: str) -> None:
    async def test(seats: Seats, _: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        seats.failure = NotAppended("no leader")
        problem(await create(asked, "k1", chosen(1)), 503, "BROKER_UNAVAILABLE")
        # What was certainly not taken is unlocked at once.
        assert not await client.exists(*keys_of(1).locks)
        seats.holds_back = True
        assert (await create(asked, "k2", chosen(1))).status_code == 202
        problem(await create(asked, "k3", chosen(1), BOB), 409, "SEAT_LOCKED")
        await client.pexpireat(keys_of(1).locks[0], 1)
        # The key of the refused request stands for nothing yet.
        assert (await create(asked, "k3", chosen(1), BOB)).status_code == 202

    asking(redis_url, test)


def test_f64_without_redis_the_log_alone_decides() -> None:
    [nobody] = free_ports(1)

    async def test(_: Seats, pod: Pod, asked: httpx.AsyncClient) -> None:
        assert (await create(asked, "k1", chosen(1), Prefer="wait=5")).status_code == 201
        problem(await create(asked, "k2", chosen(1), BOB, Prefer="wait=5"), 409, "SEAT_TAKEN")
        counted = pod.pre_locks.counters
        assert (counted.locked, counted.refused, counted.skipped) == (0, 0, 2)

    async def go() -> None:
        seats = Seats().open("......")
        pod = pod_over(seats)
        pod.pre_locks = PreLocks(f"redis://127.0.0.1:{nobody}/0", TTL_MS)
        async with client_of(pod) as asked:
            await test(seats, pod, asked)
        await pod.pre_locks.close()

    asyncio.run(go())


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1/0"])
def test_no_seat_is_locked_where_nobody_wants_that(url: str) -> None:
    async def go() -> None:
        pod = pod_over(Seats().open("......"))
        pod.pre_locks = PreLocks(url, 0)
        async with client_of(pod) as asked:
            answer = await create(asked, "k1", chosen(1), ANN, Prefer="wait=5")
            assert answer.status_code == 201
        assert pod.pre_locks.counters.skipped == 0
        await pod.pre_locks.close()

    asyncio.run(go())
