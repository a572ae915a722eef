"""Who lets others in: one pod at a time, another once that one is gone, as many as can buy."""

import asyncio
import logging
from typing import Any

import pytest
from redis.asyncio import Redis
from support.pods.conditions import PAUSE_S, until
from support.records.status_records import MS, Fed, counts, partition_of_section
from support.redis.events import EVENTS
from support.redis.locking import redis_at
from support.waiting.proving import set_up

from api.admission import promoter as promoting
from api.admission.desk import WaitingDesk
from api.admission.promoter import EVERY_S, RETURNED_PERCENT, Promoter, supply_of
from api.building import pod_of
from api.settings import ApiSettings
from infra.stack.redis_server import RedisServer
from state.domain.waiting.admission import RoomState
from state.redis.keys import (
    PROMOTION_CYCLES,
    WAITING_ROOMS,
    lease,
    promotion_tasks,
    waiting_room,
)
from state.redis.policy import Evicts
from state.redis.waiting.rooms import WaitingRooms

WAIT_S = 60


async def room_with(client: Redis, users: int) -> int:
    await client.delete(WAITING_ROOMS, *lease("promote").locks)
    rooms, event = WaitingRooms(client.execute_command), next(EVENTS)
    await set_up(rooms, event, state=RoomState.OPEN, cap=1_000)
    for at in range(users):
        await rooms.enter(event, f"user-{at}")
    return event


async def until_admitted(client: Redis, event: int, expected: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while await client.zcard(waiting_room(event)[3]) != expected:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_S)


@pytest.mark.redis
def test_one_of_two_pods_promotes_and_the_other_once_that_one_has_ended(
    redis_url: str,
) -> None:
    async def go() -> None:
        async with redis_at(redis_url) as client:
            event = await room_with(client, 3)
            pods = [
                Promoter(redis_url, lambda _: 1_000, members=2, every_s=0.01) for _ in range(2)
            ]
            for pod in pods:
                await pod.start()
            await until_admitted(client, event, 3)
            await until(lambda: any(pod.is_it for pod in pods))
            first = next(pod for pod in pods if pod.is_it)
            second = pods[1 - pods.index(first)]
            assert second.counters.promoted == 0
            await first.close()
            await WaitingRooms(client.execute_command).enter(event, "late")
            await until_admitted(client, event, 4)
            await until(lambda: second.is_it)
            await second.close()
            assert first.counters.promoted + second.counters.promoted == 4

    asyncio.run(go())


@pytest.mark.redis
def test_f64_a_redis_that_is_gone_is_told_once_and_promotes_again_when_it_is_back(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        promoter = Promoter(server.url, lambda _: 1_000, members=2, every_s=0.01)
        async with redis_at(server.url) as client:
            event = await room_with(client, 1)
            await promoter.start()
            await until_admitted(client, event, 1)
        server.kill()
        await until(lambda: promoter.trouble)
        assert not promoter.is_it
        server.restart()
        await asyncio.to_thread(server.wait)
        await until(lambda: not promoter.trouble)
        async with redis_at(server.url) as client:
            event = await room_with(client, 2)
            await until_admitted(client, event, 2)
        await promoter.close()

    with caplog.at_level(logging.ERROR, "seatstream.api"):
        asyncio.run(go())
    told = [one for one in caplog.messages if "nobody is let in" in one]
    assert 1 <= len(told) <= 5


@pytest.mark.redis
def test_b80_what_others_have_put_among_the_cycles_ends_no_promoter(redis_url: str) -> None:
    async def go() -> None:
        async with redis_at(redis_url) as client:
            event = await room_with(client, 2)
            for name in (b"\xff\xfe", b"no cycle of ours"):
                await client.zadd(PROMOTION_CYCLES, {name: 1})
            known = "0" * 32
            await client.zadd(PROMOTION_CYCLES, {known: 1})
            await client.rpush(promotion_tasks(known)[0], b"\xff", b"no event", event)
            promoter = Promoter(redis_url, lambda _: 1_000, members=2, every_s=0.01)
            await promoter.start()
            await until_admitted(client, event, 2)
            await promoter.close()
            assert not promoter.trouble
            assert not await client.exists(PROMOTION_CYCLES)

    asyncio.run(go())


def test_an_error_that_nobody_foresaw_is_told_and_ends_no_promoter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = iter([ZeroDivisionError("seen once")])

    async def check(*_: Any) -> None:
        for error in errors:
            raise error
        raise Evicts("seen then")

    monkeypatch.setattr(promoting, "check_policy", check)

    async def go() -> None:
        promoter = Promoter("redis://127.0.0.1:1", lambda _: 1_000, members=1, every_s=0.01)
        await promoter.start()
        await until(lambda: "seen then" in promoter.trouble)
        await promoter.close()

    asyncio.run(go())


@pytest.mark.parametrize(("url", "members"), [("", 5), ("redis://127.0.0.1:1", 0)])
def test_a_pod_without_redis_or_without_members_promotes_nobody(url: str, members: int) -> None:
    async def go() -> None:
        promoter = Promoter(url, lambda _: 1_000, members=members)
        await promoter.start()
        assert promoter._task is None
        await promoter.close()
        assert (promoter.trouble, promoter.counters.cycles) == ("", 0)

    asyncio.run(go())


def test_a_pod_says_why_it_lets_nobody_in() -> None:
    promoter = Promoter("", lambda _: 1_000, members=1)
    pod = pod_of(ApiSettings(), waiting=WaitingDesk("", None, promoter))
    assert pod.troubles() == {}
    promoter.trouble = "Redis is gone"
    assert pod.troubles() == {"waiting rooms": "Redis is gone"}
    # Seats are sold all the same.
    assert "waiting rooms" not in pod.readiness()


def test_a_mistake_of_ours_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(promoting.Promoter, "_round", fail)

    async def go() -> None:
        promoter = Promoter("redis://127.0.0.1:1", lambda _: 1_000, members=1)
        await promoter.start()
        task = promoter._task
        assert task is not None
        await until(task.done)
        await promoter.close()
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR, "seatstream.api"):
        asyncio.run(go())
    assert "promotes nobody any more" in caplog.text


def test_u6_d35_what_can_be_bought_is_what_is_free_and_what_holds_bring_back() -> None:
    async def go() -> None:
        fed = Fed()
        supply = supply_of(fed.view)
        assert supply(7) is None
        fed.tell(counts(1, 60, held=40), event=7)
        fed.heartbeat()
        assert supply(7) == 60 + 40 * RETURNED_PERCENT // 100
        # A section that nobody knows anything of keeps nobody from buying in the others.
        fed.tell(counts(1, 30), "B", event=7)
        old = partition_of_section("B")
        assert partition_of_section("A") != old
        fed.now_ms += fed.view.stale_after_ms + 1
        for number, partition in enumerate(fed.contents.partitions):
            if number != old:
                partition.ends_at(partition.position, fed.now_ms * MS)
        assert supply(7) == 60 + 40 * RETURNED_PERCENT // 100
        fed.tell(counts(2, 0), event=7)
        assert supply(7) is None
        fed.tell(counts(2, 0), "B", event=7)
        fed.heartbeat()
        assert supply(7) == 0
        # Of another event nobody knows anything.
        assert supply(8) is None

    asyncio.run(go())


def test_s000_11_a_cycle_begins_each_second() -> None:
    assert EVERY_S == 1.0
