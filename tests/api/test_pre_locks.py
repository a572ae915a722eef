"""A second buyer of the same chosen seats is told at once; a lock decides nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from support.carts.carting import CARTS, MINUTE_MS, SECTIONS, Carting
from support.pods import carts_asked
from support.pods.api_pods import client_of
from support.pods.reservation_pods import NotAppended, Seats, pod_over
from support.pods.reservations_asked import ANN, BOB, create, problem
from support.records.status_records import Fed
from support.redis.locking import TTL_MS, redis_at
from support.seats.section_commands import EVENT, A, confirm, start_payment

from api.pod import Pod
from infra.stack.ports import free_ports
from state.domain.status import SectionStatus
from state.redis.keys import LockKeys, seat_locks
from state.redis.pre_lock import PreLockCounters, PreLocks
from state.redis.seat_lock import GRACE_MS
from state.views.availability.statuses import SectionStatuses

Test = Callable[[Seats, Pod, httpx.AsyncClient, Redis], Awaitable[None]]
CartTest = Callable[[Carting, Pod, httpx.AsyncClient, Redis], Awaitable[None]]


def keys_of(*seats: int) -> LockKeys:
    return seat_locks(EVENT, A, [(0, seat) for seat in seats])


def chosen(*seats: int) -> dict[str, object]:
    return {"section": A, "seats": [{"row": 0, "seat": seat} for seat in seats]}


def view_of(*sections: str) -> SectionStatuses:
    """Return a view that knows of these sections, and refuses nothing there."""
    fed = Fed()
    for section in sections:
        fed.tell(SectionStatus(1, 5, 6, 0, 6), section)
    fed.heartbeat()
    return fed.view


def asking(url: str, test: Test, *, known: Sequence[str] = (A,), **rules: Any) -> None:
    """Run a test over an open section A of a row of six, with locks at a real Redis.

    known: sections that the pod's view knows. rules: of the section.
    """

    async def go() -> None:
        seats = Seats().open("......", **rules)
        pod = pod_over(seats, view=view_of(*known), wait_ms=0)
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
        # As if Redis had lost the lock: the log says no, and nothing of the grant stays.
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


@pytest.mark.parametrize("known", [(), ("OTHER",)])
def test_nothing_is_locked_in_a_section_that_nobody_knows(
    redis_url: str, known: tuple[str, ...]
) -> None:
    """Its name may be anybody's invention, and would outlive the refusal by a day."""

    async def test(seats: Seats, pod: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        assert (await create(asked, "k1", chosen(1), Prefer="wait=5")).status_code == 201
        invented = {**chosen(1), "section": "NOWHERE"}
        await create(asked, "k2", invented)
        keys = keys_of(1), seat_locks(EVENT, "NOWHERE", [(0, 1)])
        assert not await client.exists(*(key for one in keys for key in (*one.locks, one.fence)))
        assert pod.pre_locks.counters == PreLockCounters()

    asking(redis_url, test, known=known)


def test_a_lock_lasts_as_long_as_its_hold_is_made_to_last(redis_url: str) -> None:
    async def test(seats: Seats, pod: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        held = (await create(asked, "k1", chosen(1, 2), Prefer="wait=5")).json()
        NOW_MS[0] = held["deadline_ms"] - TTL_MS
        seats.partitions[0].now_ms += TTL_MS
        for key in keys_of(1, 2).locks:
            await client.pexpire(key, TTL_MS + GRACE_MS)
        answer = await asked.post(
            f"/v1/reservations/{held['reservation_id']}:extend",
            json={"epoch": held["epoch"]},
            headers={**ANN, "Idempotency-Key": "k2", "Prefer": "wait=5"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["deadline_ms"] == held["deadline_ms"] + TTL_MS
        for key in keys_of(1, 2).locks:
            assert TTL_MS + GRACE_MS < await client.pttl(key) <= 2 * TTL_MS + GRACE_MS
        assert pod.pre_locks.counters.skipped == 0

    asking(redis_url, test, hold_ms=TTL_MS, max_hold_ms=4 * TTL_MS)


def test_f67_a_lock_that_ends_while_its_hold_is_paid_for_frees_no_seat(redis_url: str) -> None:
    async def test(seats: Seats, pod: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        held = (await create(asked, "k1", chosen(1), Prefer="wait=5")).json()
        place = f"/v1/reservations/{held['reservation_id']}"
        seats.append(0, start_payment(held["reservation_id"]))
        assert (await asked.get(place, headers=ANN)).json()["status"] == "PAYING"
        for key in keys_of(1).locks:
            await client.pexpireat(key, 1)
        answer = await create(asked, "k2", chosen(1), BOB, Prefer="wait=5")
        assert problem(answer, 409, "SEAT_TAKEN")["decided"] is True
        # It was granted the lock, which is none of the seat, and has given it back.
        assert pod.pre_locks.counters.locked == 2
        assert not await client.exists(*keys_of(1).locks)
        seats.append(0, confirm(held["reservation_id"]))
        assert (await asked.get(place, headers=ANN)).json()["status"] == "SOLD"

    asking(redis_url, test, currency="EUR", amounts=[500])


def test_f64_without_redis_the_log_alone_decides() -> None:
    [nobody] = free_ports(1)

    async def test(_: Seats, pod: Pod, asked: httpx.AsyncClient) -> None:
        assert (await create(asked, "k1", chosen(1), Prefer="wait=5")).status_code == 201
        problem(await create(asked, "k2", chosen(1), BOB, Prefer="wait=5"), 409, "SEAT_TAKEN")
        counted = pod.pre_locks.counters
        assert (counted.locked, counted.refused, counted.skipped) == (0, 0, 2)

    async def go() -> None:
        seats = Seats().open("......")
        pod = pod_over(seats, view=view_of(A))
        pod.pre_locks = PreLocks(f"redis://127.0.0.1:{nobody}/0", TTL_MS)
        async with client_of(pod) as asked:
            await test(seats, pod, asked)
        await pod.pre_locks.close()

    asyncio.run(go())


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1/0"])
def test_no_seat_is_locked_where_nobody_wants_that(url: str) -> None:
    async def go() -> None:
        pod = pod_over(Seats().open("......"), view=view_of(A))
        pod.pre_locks = PreLocks(url, 0)
        async with client_of(pod) as asked:
            answer = await create(asked, "k1", chosen(1), ANN, Prefer="wait=5")
            assert answer.status_code == 201
        assert pod.pre_locks.counters.skipped == 0
        await pod.pre_locks.close()

    asyncio.run(go())


# --- carts -----------------------------------------------------------------------------------


def items(**seats_by_section: Sequence[int]) -> list[dict[str, object]]:
    return [
        {"section": name.replace("_", "-"), "seats": [{"row": 0, "seat": seat} for seat in seats]}
        for name, seats in seats_by_section.items()
    ]


def carts_asking(url: str, test: CartTest, **options: Any) -> None:
    """Run a test over three open sections of four seats each, with locks at a real Redis."""

    async def with_locks(world: Carting, pod: Pod, asked: httpx.AsyncClient) -> None:
        async with redis_at(url) as client:
            whole = [
                key
                for section in SECTIONS
                for keys in [seat_locks(EVENT, section, [(0, seat) for seat in range(4)])]
                for key in (*keys.locks, keys.fence)
            ]
            await client.delete(*whole)
            pod.pre_locks = PreLocks(url, TTL_MS, now_ms=lambda: NOW_MS[0])
            NOW_MS[0] = 0.0
            try:
                await test(world, pod, asked, client)
            finally:
                await pod.pre_locks.close()
                await client.delete(*whole)

    carts_asked.asking(with_locks, view=view_of(*SECTIONS), **options)


async def locked(client: Redis) -> set[tuple[str, int]]:
    """Return section and seat of every lock in the three sections."""
    return {
        (section, seat)
        for section in SECTIONS
        for seat in range(4)
        if await client.exists(*seat_locks(EVENT, section, [(0, seat)]).locks)
    }


def test_a_cart_of_which_another_has_one_seat_locked_is_refused_whole_without_the_log(
    redis_url: str,
) -> None:
    async def test(world: Carting, pod: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        one = {"items": items(BLOCK_1=[2], BLOCK_2=[0])}
        assert (await carts_asked.create(asked, one, Prefer="wait=0")).status_code == 202
        both = {"items": items(BLOCK_2=[1], BLOCK_1=[2, 3], BLOCK_0=[0])}
        assert world.told(CARTS)
        refused = problem(
            await carts_asked.create(asked, both, "k2", carts_asked.BOB), 409, "SEAT_LOCKED"
        )
        assert (refused["decided"], refused["source"]) == (False, "lock")
        assert (refused["section"], refused["seat"]) == ("BLOCK-1", {"row": 0, "seat": 2})
        assert not world.told(CARTS)
        assert await locked(client) == {("BLOCK-1", 2), ("BLOCK-2", 0)}
        # What can be had is asked of the log, which decides part by part.
        kept = {**both, "on_failure": "keep"}
        answer = await carts_asked.create(asked, kept, "k3", carts_asked.BOB, Prefer="wait=0")
        assert answer.status_code == 202
        assert await locked(client) == {("BLOCK-1", 2), ("BLOCK-2", 0)}
        # The key of the refused wish stands for nothing yet.
        other = {"items": items(BLOCK_2=[1], BLOCK_0=[0])}
        answer = await carts_asked.create(asked, other, "k2", carts_asked.BOB, Prefer="wait=0")
        assert answer.status_code == 202
        counted = pod.pre_locks.counters
        assert (counted.locked, counted.refused, counted.skipped) == (2, 1, 0)

    carts_asking(redis_url, test, relays=False)


def test_locks_of_a_cart_last_as_long_as_its_holds_and_go_with_its_refusal(redis_url: str) -> None:
    async def test(world: Carting, pod: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        held = await carts_asked.create(asked, {"items": items(BLOCK_0=[0, 1], BLOCK_1=[3])})
        assert held.status_code == 201, held.text
        assert await locked(client) == {("BLOCK-0", 0), ("BLOCK-0", 1), ("BLOCK-1", 3)}
        owners = [
            await client.hget(seat_locks(EVENT, section, [(0, seat)]).locks[0], "o")
            for section, seat in (("BLOCK-0", 1), ("BLOCK-1", 3))
        ]
        cart_id = held.json()["cart_id"]
        assert owners == [f"{cart_id}_{part}:1".encode() for part in (0, 1)]
        # By a clock of the pod that stands at 0 they would last for ever, so as long as they may.
        lock = seat_locks(EVENT, "BLOCK-0", [(0, 0)]).locks[0]
        assert await client.pttl(lock) > TTL_MS
        # As if Redis had lost it: the log says no, and nothing of the grants stays.
        await client.delete(lock)
        both = {"items": items(BLOCK_0=[0], BLOCK_2=[2])}
        answer = await carts_asked.create(asked, both, "k2", carts_asked.BOB)
        problem(answer, 409, "SEAT_TAKEN")
        assert await locked(client) == {("BLOCK-0", 1), ("BLOCK-1", 3)}
        carts_asked.log_of(pod).failure = NotAppended("no leader")
        answer = await carts_asked.create(asked, {"items": items(BLOCK_2=[2])}, "k3")
        problem(answer, 503, "BROKER_UNAVAILABLE")
        assert await locked(client) == {("BLOCK-0", 1), ("BLOCK-1", 3)}

    carts_asking(redis_url, test)


def test_locks_of_a_cart_last_as_long_as_it_is_made_to_last(redis_url: str) -> None:
    async def test(world: Carting, pod: Pod, asked: httpx.AsyncClient, client: Redis) -> None:
        cart = {"items": items(BLOCK_0=[0], BLOCK_1=[1])}
        held = (await carts_asked.create(asked, cart)).json()
        keys = [seat_locks(EVENT, f"BLOCK-{at}", [(0, at)]).locks[0] for at in (0, 1)]
        for key in keys:
            await client.pexpire(key, TTL_MS // 2)
        NOW_MS[0] = held["deadline_ms"] - TTL_MS
        world.driver.advance(MINUTE_MS)
        answer = await asked.post(
            f"/v1/carts/{held['cart_id']}:extend",
            headers={**carts_asked.ANN, "Idempotency-Key": "k2"},
        )
        assert answer.status_code == 200, answer.text
        for key in keys:
            assert TTL_MS < await client.pttl(key) <= TTL_MS + MINUTE_MS + GRACE_MS

    carts_asking(redis_url, test)
